"""Whole weeks in bulk: the scores of a week as one file, for whoever loads a warehouse. No HTTP here.

A file is made once, batch by batch, on the disk of the home under no name: nobody else reaches it, nothing of a
customer stays when the process ends, and what is served of it is read from there and never held in memory. It is made
anew where the week, or who objects to being profiled, has changed. What has changed since an earlier week is found
batch by batch as well, for both weeks stand in the order of their customers.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from vouch.features.errors import SnapshotError
from vouch.features.instants import instant_text
from vouch.serving.api.bulk.rows import changes
from vouch.serving.api.bulk.writers import WRITERS
from vouch.serving.api.past_weeks import absence_of_week, instant_of
from vouch.serving.api.problems import Problem
from vouch.serving.api.schemas import AsOf, Request, Text
from vouch.serving.asking.by_hand import without_scores
from vouch.serving.snapshots import files
from vouch.serving.snapshots.arrow_streams import BATCH_ROWS, rebatched
from vouch.serving.snapshots.read import batches, columns_of
from vouch.serving.store.actions import objectors
from vouch.serving.store.weeks import read_batches, stored_weeks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from vouch.serving.api.state import ServingState

MEDIA_TYPES = {"parquet": "application/vnd.apache.parquet", "ndjson": "application/x-ndjson", "csv": "text/csv"}
MOST_FILES = 4
"""Files that are ready in one process; the least used go first."""


class BulkGet(Request):
    """A week's scores in bulk."""

    as_of: AsOf = None
    format: Literal["parquet", "ndjson", "csv"] = Field("parquet", description="How the rows are written")
    changed_since: Text | None = Field(
        None,
        description="Only what differs from the newest week no later than this instant, each row with its `change`: "
        "`added`, `changed` or `gone`",
    )


@dataclass(frozen=True)
class BulkFile:
    """One file that is ready: its bytes never change."""

    descriptor: int
    """Of a file that has no name; it is closed with the last who holds it."""
    size: int
    tag: str
    """Digest of its bytes."""
    rows: int
    media_type: str
    name: str
    as_of: str
    revision: int

    def __post_init__(self) -> None:
        weakref.finalize(self, os.close, self.descriptor)

    def read(self, start: int, length: int) -> bytes:
        """Return so many bytes from a place on; safe for threads."""
        return os.pread(self.descriptor, length, start)


@dataclass(frozen=True)
class _Week:
    """The scores of one week, where they are read from, and what says that they are still the same."""

    as_of_us: int
    revision: int
    mark: str
    read: Callable[[], Iterator[pa.Table]]


class BulkFiles:
    """The files that are ready. Safe for threads; each is made by one thread at a time."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[object, ...], BulkFile] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, store: ServingState, request: BulkGet) -> BulkFile:
        """Return the file that a request asks for, made where it is not there yet.

        Raises the problems `no_snapshot`, those of a week that is not there, and `invalid_value`.
        """
        newest = store.portfolio.week.as_of_us
        week = _week(store, newest if request.as_of is None else instant_of(request.as_of))
        earlier = None if request.changed_since is None else _earlier(store, week, request.changed_since)
        with store.database.reading() as connection:
            out = objectors(connection)
        who = hashlib.sha256("\0".join(sorted(out)).encode()).hexdigest()
        key = (week.as_of_us, week.mark, None if earlier is None else (earlier.as_of_us, earlier.mark), who)
        with self._lock:
            for other in [other for other in self._held if other[3] != who]:  # somebody objects who stands there
                del self._held[other]
            file = self._held.get((*key, request.format))
            if file is None:
                try:
                    file = _made(store.home, week, earlier, out, request.format)
                except SnapshotError as error:
                    raise Problem("week_gone", "Its files are damaged: score the week again") from error
            self._held[*key, request.format] = file
            self._held.move_to_end((*key, request.format))
            while len(self._held) > MOST_FILES:  # who still reads one keeps it until the end
                self._held.popitem(last=False)
            return file


def _week(store: ServingState, as_of_us: int) -> _Week:
    """The week of an instant, from the disk of this host or from the store."""
    try:
        folder = files.current_folder(store.home, as_of_us)
        if folder is not None:
            snapshot = files.open_revision(folder, [])  # what is read of it is verified then
            mark = snapshot.manifest["files"]["scores.parquet"]
            return _Week(as_of_us, snapshot.revision, mark, partial(_of_disk, folder))
        with store.database.reading() as connection:
            stored = [week for week in stored_weeks(connection, with_customers=True) if week.as_of_us == as_of_us]
    except SnapshotError as error:
        raise Problem("week_gone") from error
    if not stored:
        raise absence_of_week(store.database, store.home, as_of_us)
    week = stored[0]
    mark = f"{week.snapshot_id} {week.version}"
    return _Week(as_of_us, week.revision, mark, partial(_of_store, store, week.snapshot_id))


def _of_disk(folder: Path) -> Iterator[pa.Table]:
    snapshot = files.open_revision(folder, ["scores"])
    yield from batches(snapshot, "scores", columns_of(snapshot, "scores"))


def _of_store(store: ServingState, snapshot_id: int) -> Iterator[pa.Table]:
    with store.database.reading() as connection:
        parts = read_batches(connection, snapshot_id, "scores")
        first = next(parts)
        yield from rebatched(chain([first], parts), first.schema, BATCH_ROWS)


def _earlier(store: ServingState, week: _Week, since: str) -> _Week:
    """The newest week no later than an instant that a loader has seen."""
    since_us = instant_of(since, "changed_since")
    with store.database.reading() as connection:
        known = {held.as_of_us for held in stored_weeks(connection, with_customers=True)}
    last_us = min(since_us, week.as_of_us)  # against itself nothing has changed
    before = [one for one in {*known, *files.published(store.home)} if one <= last_us]
    if not before:
        raise Problem("week_gone", "No week that old is kept: take the whole week", "changed_since")
    return _week(store, max(before))


def _made(home: Path, week: _Week, earlier: _Week | None, out: frozenset[str], form: str) -> BulkFile:
    """Write a file, batch by batch."""
    folder = home / "serving"
    folder.mkdir(parents=True, exist_ok=True)
    parts: Iterator[pa.Table] = (without_scores(table, out) for table in week.read())
    if earlier is not None:
        parts = changes(parts, (without_scores(table, out) for table in earlier.read()))
    with tempfile.TemporaryFile(dir=folder) as file:
        rows = WRITERS[form](parts, file)
        file.flush()
        size = file.tell()
        file.seek(0)
        tag, descriptor = hashlib.file_digest(file, "sha256").hexdigest()[:32], os.dup(file.fileno())
    day = instant_text(week.as_of_us)[:10]
    name = f"vouch-scores-{day}{'' if earlier is None else f'-since-{instant_text(earlier.as_of_us)[:10]}'}.{form}"
    return BulkFile(descriptor, size, tag, rows, MEDIA_TYPES[form], name, instant_text(week.as_of_us), week.revision)
