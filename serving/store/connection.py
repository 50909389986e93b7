"""The connection to the serving store: opened, migrated to the schema of this code, used in transactions.

It is the one way there. SQLite under `VOUCH_HOME` by default, PostgreSQL where `VOUCH_STORE_URL` says so. Every error
of a driver becomes a StoreError, which names no value that was written.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from sqlalchemy import Connection, create_engine, event, insert, inspect, make_url, select, text, update
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from vouch.features.errors import ConfigurationError, MissingExtra, StoreError
from vouch.features.home_format import check_home, mark_home
from vouch.features.private import open_as_usual
from vouch.features.project import sqlite_url, version
from vouch.features.shown import redacted
from vouch.serving.store.tables import HEAD, MARKS, marks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

FOLDER, FILE = "serving", "store.sqlite"
WAIT_SECONDS = 5
"""How long a statement waits for another process that writes."""
_DRIVER_ERRORS = (SQLAlchemyError, sqlite3.Error, UnicodeDecodeError)
"""The last is what Python's driver of SQLite raises for a message that quotes damaged bytes of the file."""
_WRITES = "vouch_writes"
_ADVISORY = 7_868_355_104
"""The number of our lock among PostgreSQL's advisory locks."""


class Database:
    """The store, open: `reading()` and `writing()` give connections in a transaction.

    Without `checks_home` it hangs on nothing beside it, as long as its schema is that of this code.
    """

    def __init__(self, home: Path, url: str | None = None, *, checks_home: bool = True) -> None:
        self.home = home
        self._checks_home = checks_home
        self._place = home / FOLDER / FILE
        self.shown = redacted(url) if url else str(self._place)
        self._engine = _postgres(url, self.shown) if url else _sqlite(self._place)
        self.is_shared = url is not None
        self._is_migrated = False

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the store from its first statement to its last."""
        with self._transaction(False) as connection:
            yield connection

    @contextmanager
    def writing(self, mark: str | None = None) -> Iterator[Connection]:
        """Give a connection that writes, all or nothing.

        Whoever writes under a `mark` waits for the others who do, and tells all processes that something moved.
        """
        with self._transaction(True) as connection:
            if mark is not None:
                connection.execute(update(marks).where(marks.c.name == mark).values(version=marks.c.version + 1))
            yield connection

    @contextmanager
    def _transaction(self, writes: bool) -> Iterator[Connection]:
        try:
            self._migrate()
            with self._engine.connect() as connection:
                self._begin(connection, writes)
                with connection.begin():
                    yield connection
        except _DRIVER_ERRORS as error:
            raise self._broken(error) from error

    def _begin(self, connection: Connection, writes: bool) -> None:
        if self.is_shared:
            connection.execution_options(isolation_level="READ COMMITTED" if writes else "REPEATABLE READ")
        else:
            connection.info[_WRITES] = writes

    def versions(self) -> dict[str, int]:
        """Return how often what processes keep in memory has moved, by its mark."""
        with self.reading() as connection:
            return {row.name: row.version for row in connection.execute(select(marks))}

    @contextmanager
    def alone(self, purpose: str) -> Iterator[None]:
        """Hold a lock of the store across processes and hosts, for work of more than one transaction."""
        if not self.is_shared:
            self._place.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._place.with_name(f"{purpose}.lock")):
                yield
            return
        number = _ADVISORY + sum(purpose.encode())
        settings = text("SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
        try:
            with self._engine.connect() as connection, connection.begin():
                connection.execute(settings)
                connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
                yield
        except _DRIVER_ERRORS as error:
            raise self._broken(error) from error

    def compact(self) -> None:
        """Give back the space of deleted rows, so that nothing of them can be read from the files of the store."""
        try:
            with self._engine.connect() as connection:
                raw = connection.connection.driver_connection
                assert raw is not None, "the connection was just made"
                if self.is_shared:
                    raw.rollback()
                    raw.autocommit = True
                    raw.execute("VACUUM")
                    raw.autocommit = False
                else:
                    for statement in ("PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                        raw.execute(statement).fetchall()
        except _DRIVER_ERRORS as error:
            raise self._broken(error) from error

    def check(self) -> None:
        """Have SQLite look through its file; raises StoreError where it finds something wrong."""
        if self.is_shared:  # PostgreSQL checks its pages whenever it reads them, where its administrator wants that
            return
        with self.reading() as connection:
            verdict = connection.execute(text("PRAGMA integrity_check(1)")).scalar()
        if verdict != "ok":
            raise StoreError(
                f"The store {self.shown} is damaged. Put back a copy of it; or, where asks and keys in it may go, move "
                "it away: the weeks are brought again from the snapshots on disk."
            )

    def close(self) -> None:
        """Let go of the connections."""
        self._engine.dispose()

    def _migrate(self) -> None:
        """Bring the schema to that of this code, once per process; others wait meanwhile."""
        if self._is_migrated:
            return
        if self._checks_home:
            check_home(self.home)
            self._place.parent.mkdir(parents=True, exist_ok=True)
        if self._revision() != HEAD:
            check_home(self.home)
            if not self.is_shared:
                mark_home(self.home, version())
            with self.alone("schema"):
                if not self.is_shared:
                    self._write_ahead()
                    open_as_usual(self._place)
                self._upgrade()
        self._is_migrated = True

    def _write_ahead(self) -> None:
        """Let readers read while one writes; SQLite keeps this with the file."""
        connection = self._engine.raw_connection()
        connection.cursor().execute("PRAGMA journal_mode = WAL")
        connection.close()

    def _revision(self) -> str | None:
        with self._engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            return revision

    def _upgrade(self) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", "vouch.serving.store:migrations")
        with self._engine.connect() as connection:
            self._begin(connection, True)
            with connection.begin():
                config.attributes["connection"] = connection
                try:
                    command.upgrade(config, HEAD)
                except CommandError as error:
                    raise StoreError(
                        f"The store {self.shown} was made by a newer vouch. Install that one, or name another store "
                        "with VOUCH_STORE_URL."
                    ) from error
                marked = set(connection.execute(select(marks.c.name)).scalars())
                for name in sorted(set(MARKS) - marked):
                    connection.execute(insert(marks).values(name=name, version=0))

    def _broken(self, error: Exception) -> StoreError:
        """An error of the driver without what it was about to write."""
        cause = getattr(error, "orig", None) or error
        return StoreError(
            f"The store {self.shown} does not answer ({type(cause).__name__}). See that it is there, not locked by "
            "another program, and has room."
        )


def _sqlite(path: Path) -> Engine:
    engine = create_engine(sqlite_url(path), connect_args={"timeout": WAIT_SECONDS}, pool_size=5, max_overflow=20)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where SQLAlchemy says so, not where the driver guesses
        for setting in ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            connection.execute(f"PRAGMA {setting}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.info.get(_WRITES) else "BEGIN")

    return engine


def _postgres(url: str, shown: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() != "postgresql":
            raise ConfigurationError(f"VOUCH_STORE_URL names {shown}: a postgresql:// URL is needed")
        waits = f"-c lock_timeout={WAIT_SECONDS}s -c idle_in_transaction_session_timeout=60s -c timezone=UTC"
        known = {"connect_timeout": WAIT_SECONDS, "tcp_user_timeout": 1000 * WAIT_SECONDS, "options": waits}
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"), connect_args=known, pool_pre_ping=True, pool_recycle=1800
        )
    except ImportError as error:
        raise MissingExtra("A store on PostgreSQL needs psycopg: pip install 'vouch[postgres]'") from error
    except ArgumentError as error:
        raise ConfigurationError("VOUCH_STORE_URL is no URL: postgresql://user@host/database is needed") from error
