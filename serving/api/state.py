"""What the service answers from: the newest week of the store and the champions, in memory, replaced when newer ones
are published.

A snapshot or a champion that is not sound is not taken: the one before stays, and the log says so once. Readers take
`store.portfolio` once per request, so that an answer never mixes two snapshots. A store that does not answer costs what
is written, not what is read.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlalchemy import func, select

from vouch.features.errors import BundleError, DefinitionError, SnapshotError, StoreError
from vouch.features.instants import microseconds
from vouch.models.predictor import champion_folder
from vouch.models.registry.champions import promoted_at_us
from vouch.serving.api.problems import Problem, where
from vouch.serving.api.week import Portfolio, load
from vouch.serving.asking.rules.policy import load_policy
from vouch.serving.scoring.score import Champion, champion
from vouch.serving.snapshots import files
from vouch.serving.snapshots.schema import MODELS
from vouch.serving.store import keys, overrides, weeks
from vouch.serving.store.asks import changed_since
from vouch.serving.store.audit import Journal
from vouch.serving.store.connection import Database
from vouch.serving.store.digests import drop_damaged
from vouch.serving.store.tables import asks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sqlalchemy import Connection

    from vouch.serving.api.shared import SharedNumbers
    from vouch.serving.store.keys import Key
    from vouch.serving.store.overrides import Override

WATCH_SECONDS = 1.0
_log = logging.getLogger("vouch.serving")


def now_us() -> int:
    """The clock of the service, in microseconds since 1970."""
    return microseconds(datetime.now(UTC))


class Store:
    """Holds what the service answers from, and looks for newer."""

    def __init__(self, home: Path, url: str | None = None) -> None:
        self.home = home
        self.database = Database(home, url)
        self.policy = load_policy(home)
        self.journal = Journal(self.database)
        self.keys: Mapping[str, Key] | None = None
        """All keys by their ids; None until the store has told them."""
        self._portfolio: Portfolio | None = None
        self._overrides: Mapping[str, Override] = {}
        self._metrics: dict[tuple[int, int], pa.Table] = {}
        self.counted: dict[tuple[int, int], Any] = {}
        """What was counted of earlier weeks, by snapshot and version: they do not change."""
        self.champions: Mapping[str, Champion] = {name: Champion(name, None, None) for name in MODELS}
        self.refused: tuple[str, ...] = ()
        """Why what is published on disk is not served."""
        self.trouble: str | None = None
        """Why the store does not answer, None while it does."""
        self.refused_champions: tuple[str, ...] = ()
        """Models whose bundle on disk is damaged: the one before it scores."""
        self.promoted_us: Mapping[str, int] = {}
        """When each champion that scores was promoted, as this machine has it."""
        self.shared: SharedNumbers | None = None
        """What this process shares with other workers."""
        self._followed = 0
        self._on_disk: object = None
        self._versions: Mapping[str, int] = {}
        self._reading = threading.Lock()
        self._seen_champions: object = None
        self._stop = threading.Event()

    @property
    def portfolio(self) -> Portfolio:
        """The week to answer from; raises the problem `no_snapshot` where there is none."""
        if self._portfolio is None:
            raise Problem("no_snapshot", "Run `vouch score` on the host of the service")
        return self._portfolio

    @property
    def company_columns(self) -> dict[str, frozenset[str]]:
        """Contract columns that the company hands over, by table; empty where no week has told them yet."""
        held = {} if self._portfolio is None else self._portfolio.week.manifest.get("columns", {})
        return {name: frozenset(columns) for name, columns in held.items()}

    def metrics_of_weeks(self, number: int) -> list[pa.Table]:
        """Metrics of the newest weeks, the newest last."""
        newest = self.portfolio
        if number == 1:
            return [newest.metrics]
        try:
            with self.database.reading() as connection:
                return [*self._earlier_metrics(connection, newest.week, number - 1), newest.metrics]
        except SnapshotError as error:
            self._put_right(error)
            raise StoreError(str(error)) from error

    def _earlier_metrics(self, connection: Connection, newest: weeks.Week, number: int) -> list[pa.Table]:
        """Metrics of so many weeks before one, each read once."""
        known = [week for week in weeks.weeks(connection) if week.as_of_us < newest.as_of_us][-number:]
        for week in known:
            if (week.snapshot_id, week.version) not in self._metrics:
                found = pa.Table.from_batches(weeks.read(connection, week.snapshot_id, weeks.METRICS))
                self._metrics[week.snapshot_id, week.version] = found
        return [self._metrics[week.snapshot_id, week.version] for week in known]

    def _put_right(self, error: SnapshotError) -> None:
        """Let go of weeks that are damaged in the store: the next look brings them again from the disk."""
        _log.warning("the store is damaged: %s", error)
        if drop_damaged(self.database):
            self._on_disk = None

    def state(self) -> dict[str, Any]:
        """How the store and the champions do, as `/readyz` tells everybody: no names, no places."""
        return {
            "store": "away" if self.trouble is not None else "ok" if self.journal.can_write else "read_only",
            "refused_snapshots": len(self.refused),
            "champions": sum(champion.predictor is not None for champion in self.champions.values()),
            "refused_champions": len(self.refused_champions),
        }

    @property
    def is_ready(self) -> bool:
        """Whether there is a snapshot to answer from."""
        return self._portfolio is not None

    def refresh(self) -> None:
        """Take a newer snapshot or champion, where there is one and it is sound."""
        try:
            self._bring()
            self._read()
        except StoreError as error:
            if self.trouble is None:
                _log.error("%s", error)
            self.trouble = str(error)
        else:
            self.trouble = None
        seen = [_mark(champion_folder(self.home, name) / "bundle") for name in MODELS]
        if seen != self._seen_champions:
            self._seen_champions = seen
            self._take_champions()

    def _bring(self) -> None:
        """Load into the store what is published on this host's disk."""
        on_disk = self._published()
        if on_disk == self._on_disk:
            return
        self.refused = tuple(weeks.bring(self.database, self.home, now_us()))
        for reason in self.refused:
            _log.warning("a snapshot is not taken: %s", reason)
        self._on_disk = on_disk

    def _read(self) -> None:
        """Read again what others have moved in the store."""
        versions = self.database.versions()
        if versions.get("snapshots") != self._versions.get("snapshots"):
            self._take_snapshot()
        self.read_asks()
        if versions.get("asks") != self._versions.get("asks"):
            self.read_overrides()
        if versions["keys"] != self._versions.get("keys"):
            with self.database.reading() as connection:
                self.keys = keys.everyone(connection)
        self._versions = versions

    @property
    def is_behind(self) -> bool:
        """Whether another worker has recorded something that was not taken here yet."""
        return self.shared is not None and self.shared.recorded != self._followed

    def recorded(self) -> None:
        """Take what was just recorded here, and let the other workers take it before they answer again."""
        if self.shared is not None:
            self.shared.note_recorded()
        self.follow()

    def follow(self) -> None:
        """Take what was recorded by whatever worker."""
        seen = 0 if self.shared is None else self.shared.recorded
        try:
            self.read_asks()
            self.read_overrides()
        finally:
            self._followed = seen  # and where the store does not answer, the watch takes it when it does

    def read_asks(self) -> None:
        """Take the asks that were recorded since they were read last, by whatever process."""
        if self._portfolio is not None:
            self._portfolio.asking.tick(now_us())
            self._take_asks(self._portfolio)

    def read_overrides(self) -> None:
        """Take the health scores that were set by hand, by whatever process."""
        with self.database.reading() as connection:
            self._overrides = overrides.standing(connection, now_us())

    def override_of(self, customer_id: str) -> Override | None:
        """Return the health score that somebody set by hand for a customer, while it stands."""
        found = self._overrides.get(customer_id)
        return None if found is None or found.expires_us <= now_us() else found

    def _take_asks(self, portfolio: Portfolio) -> None:
        asking = portfolio.asking
        with self._reading, self.database.reading() as connection:
            newest = connection.execute(select(func.max(asks.c.version))).scalar() or 0
            if newest > asking.seen:
                asking.take(changed_since(connection, asking.seen), now_us())
                asking.seen = newest

    def _take_snapshot(self) -> None:
        try:
            found = load(self.database, self.policy, now_us())
        except SnapshotError as error:
            self.refused = (*self.refused, str(error))
            self._put_right(error)
            return
        if found is not None:
            self._take_asks(found)
            self._portfolio = found
            _log.info("serving %s", weeks.describe(found.week))

    def _take_champions(self) -> None:
        found, refused, promoted_us = dict(self.champions), [], dict(self.promoted_us)
        for name in MODELS:
            try:
                found[name] = champion(self.home, name)
                at_us = promoted_at_us(self.home, name)
                promoted_us |= {} if at_us is None else {name: at_us}
            except (BundleError, DefinitionError) as error:
                refused.append(name)
                _log.warning("the champion of %s is not taken: %s", name, error)
        self.champions, self.refused_champions, self.promoted_us = found, tuple(refused), promoted_us

    def _published(self) -> object:
        """What changes when a snapshot is published: a cheap look at the pointers."""
        return [(instant, _mark(files.pointer(self.home, instant))) for instant in files.published(self.home)]

    def watch(self) -> None:
        """Look for newer ones every second, on a thread of its own."""
        self.journal.start()
        threading.Thread(target=self._watch, name="vouch-watch", daemon=True).start()

    def stop(self) -> None:
        """End the watch, and let go of the store."""
        self._stop.set()
        self.journal.stop()
        self.database.close()

    def _watch(self) -> None:
        while not self._stop.wait(WATCH_SECONDS):
            try:
                self.refresh()
            except OSError as error:  # the disk is away for a while: what is in memory still serves
                _log.warning("cannot look for a newer snapshot: %s", where(error))


def _mark(path: Path) -> object:
    """Identity of a file or of what a link points to, which moves when it is replaced."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns
