"""Past weeks, to be served beside the newest one: by their instant, and for a cursor by their revision too.

A page of a list and a link that was shared show the week that they were made from for as long as it is kept: the weeks
served lately are in memory, the others are read from the disk of this host, or from the store where that has them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from sqlalchemy import select

from vouch.features.errors import SnapshotError, UsageError
from vouch.features.instants import WEEK_US, parse_instant
from vouch.serving.api.problems import Problem
from vouch.serving.api.week import WeekBefore, load_week, ready_week
from vouch.serving.asking.candidates import recorded_by_hand
from vouch.serving.snapshots import files
from vouch.serving.snapshots.read import week_before
from vouch.serving.store.mapped import Customers, in_memory
from vouch.serving.store.secrets import secret
from vouch.serving.store.tables import snapshots
from vouch.serving.store.weeks import StoredWeek

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from vouch.serving.api.week import ServedWeek
    from vouch.serving.asking.rules.policy import Policy
    from vouch.serving.snapshots.files import Snapshot
    from vouch.serving.store.connection import Database

MOST_WEEKS = 2
"""Past weeks in memory; the least used go first."""
Key = tuple[int, int]
"""An instant and a revision."""


def instant_of(as_of: str, field: str = "as_of") -> int:
    """The instant that a field of a request names; raises the problem `invalid_value`."""
    try:
        return parse_instant(as_of)
    except UsageError as error:
        raise Problem("invalid_value", "Give an ISO date or instant", field) from error


def absence_of_week(database: Database, home: Path, as_of_us: int, revision: int | None = None) -> Problem:
    """Return why a week is not there: `week_gone` where it may have been published once, else `unknown_week`.

    That may be said of each instant before the oldest week that is kept, and of whole weeks before the newest: what is
    kept of weeks long ago is one of several.
    """
    with database.reading() as connection:
        known = set(connection.execute(select(snapshots.c.as_of_us)).scalars()) | {*files.published(home)}
    before_us = max(known, default=as_of_us) - as_of_us
    may_have_been = as_of_us < min(known, default=as_of_us) or (before_us >= 0 and before_us % WEEK_US == 0)
    was = revision is not None or as_of_us in known or may_have_been
    return Problem("week_gone" if was else "unknown_week", field="as_of")


class PastWeeks:
    """Weeks that were served before, or that somebody asks for. Safe for threads."""

    def __init__(self, database: Database, home: Path, policy: Policy) -> None:
        self._database, self._home, self._policy = database, home, policy
        self._held: OrderedDict[Key, ServedWeek] = OrderedDict()
        self._versions: dict[int, int] = {}
        self._lock = threading.Lock()
        self._reading: dict[tuple[int, int | None], threading.Lock] = {}
        """Held while a week is read, so that two who ask for one read it once, and others wait for nobody."""
        self._times_let_go = 0

    def keep(self, week: ServedWeek) -> None:
        """Keep a week that another one takes the place of."""
        with self._lock:
            self._put(week)

    def _put(self, week: ServedWeek) -> None:
        key = (week.week.as_of_us, week.week.revision)
        self._held[key] = week
        self._held.move_to_end(key)
        while len(self._held) > MOST_WEEKS:
            self._held.popitem(last=False)

    def forget_where_erased(self, connection: Connection) -> None:
        """Let go of all where rows were taken out of a week of the store since the last look."""
        versions = {row[0]: row[1] for row in connection.execute(select(snapshots.c.snapshot_id, snapshots.c.version))}
        is_rewritten = any(self._is_rewritten(week) for week in list(self._held.values()))
        if is_rewritten or any(versions.get(key, version) != version for key, version in self._versions.items()):
            with self._lock:
                self._times_let_go += 1
                self._held.clear()
        self._versions = versions

    def _is_rewritten(self, week: ServedWeek) -> bool:
        """Whether the disk holds a week that is held here, and no longer what it held: somebody was taken out."""
        held = week.week
        try:
            if files.current_folder(self._home, held.as_of_us) is None:
                return False  # there is no disk of weeks here, or this one has been cleaned away
            snapshot = self._on_disk(held.as_of_us, held.revision)
        except (OSError, SnapshotError):
            return True
        return snapshot is None or snapshot.manifest.get("files") != held.manifest.get("files")

    def has(self, as_of_us: int, revision: int | None) -> bool:
        """Whether a week is in memory."""
        return any(as_of == as_of_us and revision in (None, number) for as_of, number in list(self._held))

    def get(self, as_of_us: int, revision: int | None, now_us: int) -> ServedWeek:
        """Return a past week; raises the problems of `absence_of_week`."""
        week = self._in_memory(as_of_us, revision)
        if week is not None:
            return week
        with self._lock:
            reading = self._reading.setdefault((as_of_us, revision), threading.Lock())
        with reading:
            try:
                return self._in_memory(as_of_us, revision) or self._brought(as_of_us, revision, now_us)
            finally:
                with self._lock:
                    self._reading.pop((as_of_us, revision), None)

    def _in_memory(self, as_of_us: int, revision: int | None) -> ServedWeek | None:
        with self._lock:
            for (as_of, number), week in reversed(self._held.items()):
                if as_of == as_of_us and revision in (None, number) and week.is_intact:
                    self._held.move_to_end((as_of, number))
                    return week
        return None

    def _brought(self, as_of_us: int, revision: int | None, now_us: int) -> ServedWeek:
        """A week from the disk or the store, kept; read again where weeks were let go of meanwhile."""
        while True:
            let_go = self._times_let_go
            week = self._read(as_of_us, revision, now_us)
            if week is None:
                raise absence_of_week(self._database, self._home, as_of_us, revision)
            with self._lock:
                if let_go == self._times_let_go:
                    self._put(week)
                    return week

    def _read(self, as_of_us: int, revision: int | None, now_us: int) -> ServedWeek | None:
        try:
            snapshot = self._on_disk(as_of_us, revision)
            if snapshot is not None:
                return self._of_disk(snapshot, now_us)
            stored = load_week(self._database, self._policy, now_us, as_of_us)
        except SnapshotError:  # damaged: it cannot be told any more
            return None
        return stored if stored is not None and revision in (None, stored.week.revision) else None

    def _on_disk(self, as_of_us: int, revision: int | None) -> Snapshot | None:
        folder = files.current_folder(self._home, as_of_us)
        if revision is not None:
            folder = files.revisions(files.pointer(self._home, as_of_us).parent).get(revision)
        return None if folder is None else files.open_revision(folder)

    def _of_disk(self, snapshot: Snapshot, now_us: int) -> ServedWeek:
        rows = {name: in_memory(snapshot.table(name)) for name in ("scores", "customers")}
        more = {
            name: in_memory(snapshot.table(name)) for name in ("changes", "lists")
            if f"{name}.parquet" in snapshot.manifest["files"]
        }  # fmt: skip
        with self._database.reading() as connection:
            hand = recorded_by_hand(connection, snapshot.as_of_us, now_us)
        return ready_week(
            StoredWeek(-1, snapshot.as_of_us, snapshot.revision, 1, snapshot.manifest),
            rows["scores"],
            rows["customers"],
            self._policy,
            secret(self._database, "exploration"),
            now_us,
            snapshot.table("metrics"),
            self._before(snapshot.as_of_us),
            more.get("changes"),
            hand,
            more.get("lists"),
        )

    def _before(self, as_of_us: int) -> WeekBefore | None:
        """The week before one, as the disk has it."""
        before = week_before(self._home, as_of_us, ["scores"])
        if before is None:
            return None
        scores = in_memory(before.table("scores"))
        week = StoredWeek(-1, before.as_of_us, before.revision, 1, before.manifest)
        return WeekBefore(week, scores, Customers(scores))
