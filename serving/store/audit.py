"""The audit log: who listed, looked, asked, exported, erased.

Written with what was done, or, for what was only read, soon after.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from vouch.features.errors import StoreError
from vouch.features.instants import instant_text
from vouch.serving.store.tables import MARKS, audit, marks

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from vouch.serving.store.connection import Database

COMMAND_LINE = "command line"
"""Who acts where a command does."""
FLUSH_SECONDS = 0.1
"""Often, so that each time is short: whoever asks meanwhile waits for as long."""
PROBE_SECONDS = 5.0
"""A store that nobody writes to is tried so often, so that a full or read-only one is known before it is needed."""
MOST_WAITING = 200_000
"""So many lines wait for a store that is away; the oldest go first."""


def entry(
    at_us: int,
    actor: str,
    action: str,
    *,
    key_id: str | None = None,
    route: str | None = None,
    customer_id: str | None = None,
    rows: int | None = None,
    status: int | None = None,
) -> dict[str, Any]:
    """One line of the audit log."""
    return {
        "at_us": at_us,
        "actor": actor,
        "action": action,
        "key_id": key_id,
        "route": route,
        "customer_id": customer_id,
        "rows": rows,
        "status": status,
    }


def noted(connection: Connection, at_us: int, actor: str, action: str, **other: Any) -> None:
    """Write a line in the transaction of what it tells."""
    connection.execute(insert(audit).values(entry(at_us, actor, action, **other)))


def newest_entries(connection: Connection, limit: int = 1_000) -> list[dict[str, Any]]:
    """Return the newest lines, the newest first."""
    rows = connection.execute(select(audit).order_by(audit.c.entry_id.desc()).limit(limit))
    return [{"at": instant_text(row.at_us), **{k: v for k, v in row._mapping.items() if k != "at_us"}} for row in rows]


class Journal:
    """Lines about what was read, written together by a thread, so that no request waits for them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.can_write = True
        """Whether the store took what was written last."""
        self._tried = 0.0
        self._waiting: deque[dict[str, Any]] = deque(maxlen=MOST_WAITING)
        self._stop = threading.Event()
        self._writer: threading.Thread | None = None

    def note(self, line: dict[str, Any]) -> None:
        """Take a line."""
        self._waiting.append(line)

    def start(self) -> None:
        """Begin to write, on a thread."""
        self._writer = threading.Thread(target=self._write, name="vouch-audit", daemon=True)
        self._writer.start()

    def stop(self) -> None:
        """Write what waits, and end."""
        self._stop.set()
        if self._writer is not None:
            self._writer.join()
        self.flush()

    def _write(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self.flush()
            if time.monotonic() - self._tried >= PROBE_SECONDS:
                self.probe()

    def probe(self) -> None:
        """Write what changes nothing."""
        same = update(marks).where(marks.c.name == MARKS[0]).values(version=marks.c.version)
        with contextlib.suppress(StoreError):  # it is told by `can_write`
            self._put(lambda connection: connection.execute(same))

    def _put(self, write: Callable[[Connection], object]) -> None:
        self._tried = time.monotonic()
        try:
            with self._database.writing() as connection:
                write(connection)
        except StoreError:
            self.can_write = False
            raise
        self.can_write = True

    def flush(self) -> None:
        """Write what waits; where the store is away it goes on waiting."""
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not lines:
            return
        try:
            self._put(lambda connection: connection.execute(insert(audit), lines))
        except StoreError:  # the watch of the store tells of it
            self._waiting.extendleft(reversed(lines))
