"""`ServingState`: the newest week of the store and the champions in memory, replaced when newer ones are published.

A snapshot or a champion that is not sound is not taken: the one before stays, and the log says so once. Readers take
`store.portfolio` once per request, so that an answer never mixes two snapshots. A store that does not answer costs what
is written, not what is read.

Keys are read by themselves, by a thread that does nothing else: nothing that happens to weeks, champions or disks keeps
a revoked key working. Where the state of the keys is not known any more, writes are refused after `WRITES_SECONDS`, and
reads, which go on so that a store can be mended in peace, after `READS_SECONDS`.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlalchemy import func, select

from vouch.features.errors import SnapshotError, StoreError, VouchError
from vouch.features.ingest.own.own_features import register_own_features
from vouch.features.instants import microseconds
from vouch.models.predictor import champion_folder
from vouch.models.registry.champions import promoted_at_us
from vouch.models.registry.offsets import OFFSETS
from vouch.serving.api.past_weeks import PastWeeks, instant_of
from vouch.serving.api.problems import Problem, where
from vouch.serving.api.watch import Look, Watch
from vouch.serving.api.week import ServedWeek, load_week
from vouch.serving.asking.candidates import recorded_by_hand
from vouch.serving.asking.rules.policy import load_policy
from vouch.serving.scoring.score import Champion, champion
from vouch.serving.snapshots import files
from vouch.serving.snapshots.schema import MODELS
from vouch.serving.store import keys, overrides, weeks
from vouch.serving.store.asks import changed_since
from vouch.serving.store.audit import Journal
from vouch.serving.store.connection import Database
from vouch.serving.store.digests import drop_damaged
from vouch.serving.store.tables import asks, marks

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from pathlib import Path

    from sqlalchemy import Connection

    from vouch.serving.api.shared import SharedNumbers
    from vouch.serving.store.keys import Key
    from vouch.serving.store.overrides import Override

WRITES_SECONDS, READS_SECONDS = 5.0, 900.0
"""How old what is known of the keys may be before writes, and reads, are refused."""
_log = logging.getLogger("vouch.serving")


def now_us() -> int:
    """The clock of the service, in microseconds since 1970."""
    return microseconds(datetime.now(UTC))


class ServingState:
    """Holds what the service answers from, and looks for newer."""

    def __init__(self, home: Path, url: str | None = None) -> None:
        self.home = home
        register_own_features(home)
        self.database = Database(home, url)
        self.policy = load_policy(home)
        self.journal = Journal(self.database)
        self.keys: Mapping[str, Key] | None = None
        """All keys by their ids; None until the store has told them."""
        self._portfolio: ServedWeek | None = None
        self._overrides: Mapping[str, Override] = {}
        self.past = PastWeeks(self.database, home, self.policy)
        self._metrics: dict[tuple[int, int], pa.Table] = {}
        self.counted: dict[Hashable, Any] = {}
        """What was made of weeks, by what it follows from; let go of where weeks move or somebody is erased."""
        self.champions: Mapping[str, Champion] = {name: Champion(name, None, None) for name in MODELS}
        self.refused: tuple[str, ...] = ()
        """Why what is published on disk is not served."""
        self.refused_champions: tuple[str, ...] = ()
        """Models whose bundle on disk is damaged: the one before it scores."""
        self.promoted_us: Mapping[str, int] = {}
        """When each champion that scores was promoted, as this machine has it."""
        self.shared: SharedNumbers | None = None
        """What this process shares with other workers."""
        self._followed = 0
        self._on_disk: object = None
        self._lost = threading.Event()
        """Set where a week of the store was damaged, and is to be brought again from the disk."""
        self._versions: dict[str, int | None] = {}
        self._keys_version: int | None = None
        self._reading = threading.Lock()
        self._seen_champions: object = None
        self._look_at_keys = Look("the keys", self._read_keys)
        self._looks = (
            Look("the weeks on disk", self._bring),
            Look("the week of the store", self._read_week),
            Look("what was recorded", self._read_recorded),
            Look("the champions", self._look_at_champions),
        )
        self._watches: tuple[Watch, ...] = ()

    @property
    def portfolio(self) -> ServedWeek:
        """The week to answer from; raises the problem `no_snapshot` where there is none.

        Where somebody has written to a file of it since it was verified, the problem is `unavailable` until the file
        has been made again.
        """
        week = self._portfolio
        if week is None:
            raise Problem("no_snapshot", "Run `vouch score` on the host of the service")
        if not week.is_intact:
            raise Problem("unavailable", "The week is read again: its files have changed")
        return week

    def require_week(self) -> None:
        """Raise the problem that `portfolio` does where there is no week to answer from."""
        _ = self.portfolio

    def week_of(self, as_of: str | None, revision: int | None = None) -> ServedWeek:
        """The week of an instant, by default the newest; raises the problem `week_gone` for one that is not kept."""
        newest = self.portfolio
        as_of_us = newest.week.as_of_us if as_of is None else instant_of(as_of)
        if as_of_us == newest.week.as_of_us and revision in (None, newest.week.revision):
            return newest
        week = self.past.get(as_of_us, revision, now_us())
        self._follow_by_hand(week)
        return week

    @property
    def trouble(self) -> str | None:
        """Why the store does not answer, None while it does."""
        looks = (self._look_at_keys, *self._looks)
        return next((look.trouble for look in looks if look.is_of_store), None)

    @property
    def keys_age_s(self) -> float | None:
        """Seconds since all keys were read, None before."""
        return self._look_at_keys.age_s

    @property
    def watch_age_s(self) -> float | None:
        """Seconds since the look at weeks, records or champions that has gone well the longest ago; None before."""
        ages = [look.age_s for look in self._looks]
        return None if None in ages else max(age for age in ages if age is not None)

    def require_keys(self, *, writes: bool) -> Mapping[str, Key]:
        """Return all keys by their ids; raises a problem where they are not known, or too old for what is asked."""
        if self.keys is None:
            raise Problem("store_unavailable")
        age_s = self.keys_age_s if self._watches else 0.0  # who does not watch reads them when it wants to
        if age_s is None or age_s > (WRITES_SECONDS if writes else READS_SECONDS):
            raise Problem("keys_unknown")
        return self.keys

    @property
    def company_columns(self) -> dict[str, frozenset[str]]:
        """Contract columns that the company hands over, by table; empty where no week has told them yet."""
        held = {} if self._portfolio is None else self._portfolio.week.manifest.get("columns", {})
        return {name: frozenset(columns) for name, columns in held.items()}

    def metrics_of_weeks(self, number: int, last: ServedWeek | None = None) -> list[pa.Table]:
        """Metrics of so many weeks that end with one, by default the newest; that one last."""
        newest = last or self.portfolio
        if number == 1:
            return [newest.metrics]
        try:
            with self.database.reading() as connection:
                return [*self._earlier_metrics(connection, newest.week, number - 1), newest.metrics]
        except SnapshotError as error:
            self._put_right(error)
            raise StoreError(str(error)) from error

    def _earlier_metrics(self, connection: Connection, newest: weeks.StoredWeek, number: int) -> list[pa.Table]:
        """Metrics of so many weeks before one, each read once."""
        known = [week for week in weeks.stored_weeks(connection) if week.as_of_us < newest.as_of_us][-number:]
        for week in known:
            if (week.snapshot_id, week.version) not in self._metrics:
                metrics = pa.Table.from_batches(weeks.read_batches(connection, week.snapshot_id, weeks.METRICS))
                self._metrics[week.snapshot_id, week.version] = metrics
        return [self._metrics[week.snapshot_id, week.version] for week in known]

    def _put_right(self, error: SnapshotError) -> None:
        """Let go of weeks that are damaged in the store: the next look brings them again from the disk."""
        _log.warning("the store is damaged: %s", error)
        if drop_damaged(self.database):
            self._lost.set()

    def state(self) -> dict[str, Any]:
        """How the store and the champions do, as `/readyz` tells everybody: no names, no places."""
        return {
            "store": "away" if self.trouble is not None else "ok" if self.journal.can_write else "read_only",
            "keys_age_seconds": _tenths(self.keys_age_s),
            "watch_age_seconds": _tenths(self.watch_age_s),
            "refused_snapshots": len(self.refused),
            "champions": sum(champion.predictor is not None for champion in self.champions.values()),
            "refused_champions": len(self.refused_champions),
        }

    @property
    def is_ready(self) -> bool:
        """Whether there is a snapshot to answer from."""
        return self._portfolio is not None and self._portfolio.is_intact

    def refresh(self) -> None:
        """Read the keys; then take a newer snapshot or champion, where there is one and it is sound."""
        for look in (self._look_at_keys, *self._looks):
            look.take()

    def _read_keys(self) -> None:
        """Read the keys where somebody has moved them."""
        with self.database.reading() as connection:
            version = connection.execute(select(marks.c.version).where(marks.c.name == "keys")).scalar_one()
            if version != self._keys_version or self.keys is None:
                self.keys = keys.everyone(connection)
        self._keys_version = version

    def _bring(self) -> None:
        """Load into the store what is published on this host's disk."""
        on_disk = self._published()
        if on_disk == self._on_disk and not self._lost.is_set():
            return
        self._lost.clear()
        self.refused = tuple(weeks.bring(self.database, self.home, now_us()))
        for reason in self.refused:
            _log.warning("a snapshot is not taken: %s", reason)
        self._on_disk = on_disk

    def _read_week(self) -> None:
        """Take the newest week of the store where that has moved, or where the files of this one have changed."""
        version = self.database.versions().get("snapshots")
        is_whole = self._portfolio is None or self._portfolio.is_intact
        if version != self._versions.get("snapshots") or not is_whole:
            with self.database.reading() as connection:
                self.past.forget_where_erased(connection)
            self._take_snapshot()
        self._versions["snapshots"] = version

    def _read_recorded(self) -> None:
        """Read what others have recorded."""
        self.read_asks()
        version = self.database.versions().get("asks")
        if version != self._versions.get("asks") or any(one.expires_us <= now_us() for one in self._overrides.values()):
            self.read_by_hand()
        self._versions["asks"] = version

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
            self.read_by_hand()
        finally:
            self._followed = seen  # and where the store does not answer, the watch takes it when it does

    def read_asks(self) -> None:
        """Take the asks that were recorded since they were read last, by whatever process."""
        portfolio = self._portfolio
        if portfolio is not None and portfolio.is_intact:
            portfolio.asking.tick(now_us())
            self._take_asks(portfolio)

    def read_by_hand(self) -> None:
        """Take what people have recorded of customers by hand, by whatever process."""
        portfolio = self._portfolio
        with self._reading, self.database.reading() as connection:
            self._overrides = overrides.standing(connection, now_us())
            if portfolio is not None and portfolio.is_intact:
                portfolio.take_by_hand(recorded_by_hand(connection, portfolio.week.as_of_us, now_us()))

    def _follow_by_hand(self, week: ServedWeek) -> None:
        """Take into a past week what was recorded since it was read."""
        week.asking.tick(now_us())
        self._take_asks(week)
        with self._reading, self.database.reading() as connection:
            week.take_by_hand(recorded_by_hand(connection, week.week.as_of_us, now_us()))

    @property
    def overrides(self) -> list[Override]:
        """Health scores set by hand that stand now."""
        now = now_us()
        return [one for one in self._overrides.values() if one.expires_us > now]

    def override_of(self, customer_id: str) -> Override | None:
        """Return the health score that somebody set by hand for a customer, while it stands."""
        override = self._overrides.get(customer_id)
        return None if override is None or override.expires_us <= now_us() else override

    def overrides_between(self, since_us: int, until_us: int) -> int:
        """How many health scores were set by hand from one instant to another and stood at the end."""
        return sum(since_us <= one.set_us <= until_us < one.expires_us for one in self._overrides.values())

    def _take_asks(self, portfolio: ServedWeek) -> None:
        asking = portfolio.asking
        with self._reading, self.database.reading() as connection:
            newest = connection.execute(select(func.max(asks.c.version))).scalar() or 0
            if newest > asking.seen:
                asking.take(changed_since(connection, asking.seen), now_us())
                asking.seen = newest

    def _take_snapshot(self) -> None:
        try:
            week = load_week(self.database, self.policy, now_us())
        except SnapshotError as error:
            self.refused = (*self.refused, str(error))
            self._put_right(error)
            return
        if week is not None:
            self._take_asks(week)
            if (before := self._portfolio) is not None and before.week.snapshot_id != week.week.snapshot_id:
                self.past.keep(before)
            self._portfolio = week
            self._metrics, self.counted = {}, {}  # of weeks that may have gone, or have other rows
            _log.info("serving %s", weeks.describe(week.week))

    def _look_at_champions(self) -> None:
        seen = [_mark(champion_folder(self.home, name) / of) for name in MODELS for of in ("bundle", OFFSETS)]
        if seen != self._seen_champions:
            self._take_champions()
            self._seen_champions = seen

    def _take_champions(self) -> None:
        champions, refused, promoted_us = dict(self.champions), [], dict(self.promoted_us)
        for name in MODELS:
            try:
                champions[name] = champion(self.home, name)
                at_us = promoted_at_us(self.home, name)
                promoted_us |= {} if at_us is None else {name: at_us}
            except Exception as error:  # one that cannot be read in any way leaves the others, and the one before
                refused.append(name)
                message = error if isinstance(error, VouchError) else where(error)
                _log.warning("the champion of %s is not taken: %s", name, message)
        self.champions, self.refused_champions, self.promoted_us = champions, tuple(refused), promoted_us

    def _published(self) -> object:
        """What changes when a snapshot is published: a cheap look at the pointers."""
        return [(instant, _mark(files.pointer(self.home, instant))) for instant in files.published(self.home)]

    def watch(self) -> None:
        """Look for newer ones every second, at the keys on a thread of their own."""
        self.journal.start()
        self._watches = (Watch("vouch-keys", [self._look_at_keys]), Watch("vouch-watch", self._looks))
        for watch in self._watches:
            watch.start()

    def stop(self) -> None:
        """End the watch, and let go of the store."""
        for watch in self._watches:
            watch.stop()
        self.journal.stop()
        self.database.close()


def _tenths(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _mark(path: Path) -> object:
    """Identity of a file or of what a link points to, which moves when it is replaced."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns
