"""Published weeks in the store: loaded from the snapshots on disk, read back atomically.

A reader sees the old one or the new one. The rows of a week lie in Arrow batches, so that they come back exactly as
they were published. They are written batch by batch while nobody sees them; one short transaction then shows them all.
Only a week that is newer than all others takes their place, so that a host with an old disk cannot bring back what was
replaced or erased.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute
from sqlalchemy import and_, delete, func, insert, select, update

from vouch.features.errors import SnapshotError
from vouch.features.instants import instant_text
from vouch.serving.snapshots import files as disk
from vouch.serving.snapshots.read import batches as batches_on_disk
from vouch.serving.snapshots.read import columns_of
from vouch.serving.snapshots.schema import FORMS, NAMED
from vouch.serving.store.digests import is_whole, seal, unsound
from vouch.serving.store.tables import BATCHES_WITH_CUSTOMERS, STATES, batches, known_asks, snapshots

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy import Connection, Row

    from vouch.serving.snapshots.files import Snapshot
    from vouch.serving.store.connection import Database

METRICS, LISTS = "metrics", "lists"
MEND = "The service brings it again from the snapshots on disk, and so does the next `vouch score`."
WEEKS_WITH_CUSTOMERS = 2
"""Weeks whose customers stay in the store: the one that is served, and the one that it is compared with."""
WEEKS_WITH_STATES = 13
"""Weeks of which the store says where each customer stood: a quarter."""
STATE_COLUMNS = (
    "customer_id", "churn_status", "health_score", "health_band", "churn_band", "advocate_tier",
    *(f"{model}_probability" for model in NAMED),
)  # fmt: skip
ASK_COLUMNS = ("ask_id", "kind", "asked_us", "outcome", "outcome_us")


@dataclass(frozen=True)
class StoredWeek:
    """One week as the store holds it."""

    snapshot_id: int
    as_of_us: int
    revision: int
    version: int
    manifest: Mapping[str, Any]


def bring(database: Database, home: Path, now_us: int) -> list[str]:
    """Load what is published on disk and newer than what the store holds; return what was refused, and why.

    Earlier weeks that the store does not know come with their metrics, and those of a quarter with where each
    customer stood.
    """
    instants = disk.published(home)
    if not instants or not _missing(database, home, instants):
        return []
    refused = []
    with database.alone("weeks"):
        for as_of_us in _missing(database, home, instants):
            is_recent, is_shown = (
                as_of_us in instants[-WEEKS_WITH_CUSTOMERS:],
                as_of_us in instants[-WEEKS_WITH_STATES:],
            )
            read = None if is_recent else [METRICS, "scores"] if is_shown else [METRICS]
            try:
                _load(database, disk.read_snapshot(home, as_of_us, read), is_recent, is_shown, now_us)
            except SnapshotError as error:
                refused.append(str(error))
        _prune(database)
    return refused


def _missing(database: Database, home: Path, instants: list[int]) -> list[int]:
    """Instants on disk that the store has not, or has in an earlier revision, the earliest first."""
    with database.reading() as connection:
        newest = select(snapshots.c.as_of_us, func.max(snapshots.c.revision)).where(snapshots.c.is_whole)
        held = {row[0]: row[1] for row in connection.execute(newest.group_by(snapshots.c.as_of_us))}
    return [instant for instant in instants if _revision_on_disk(home, instant) > held.get(instant, 0)]


def _revision_on_disk(home: Path, as_of_us: int) -> float:
    """The published revision; one that cannot be told counts as new, so that reading it says what is wrong."""
    try:
        folder = disk.current_folder(home, as_of_us)
    except SnapshotError:
        return math.inf
    if folder is None:  # withdrawn since it was listed
        return 0
    return max((number for number, path in disk.revisions(folder.parent).items() if path == folder), default=math.inf)


def _load(database: Database, snapshot: Snapshot, with_customers: bool, with_states: bool, now_us: int) -> None:
    """Write one week, unseen; then show it."""
    row = {
        "as_of_us": snapshot.as_of_us,
        "revision": snapshot.revision,
        "version": 1,
        "is_whole": False,
        "has_customers": with_customers,
        "manifest": json.dumps(dict(snapshot.manifest)),
        "loaded_us": now_us,
    }
    with database.writing() as connection:
        connection.execute(delete(snapshots).where(~snapshots.c.is_whole))  # of loads that were killed
        snapshot_id = connection.execute(insert(snapshots).values(row).returning(snapshots.c.snapshot_id)).scalar_one()
    tables = [name for name in BATCHES_WITH_CUSTOMERS if f"{name}.parquet" in snapshot.manifest["files"]]
    parts = [(name, name, columns_of(snapshot, name)) for name in [*(tables if with_customers else []), METRICS]]
    if with_customers and f"{LISTS}.parquet" in snapshot.manifest["files"]:
        parts.append((LISTS, LISTS, columns_of(snapshot, LISTS)))
    if with_states and "scores" in tables:
        parts.append((STATES, "scores", list(STATE_COLUMNS)))
    for name, source, columns in parts:
        for place, table in enumerate(_checked(snapshot, source, columns)):
            with database.writing() as connection:
                connection.execute(insert(batches).values(_batch(snapshot_id, name, place, table)))
                if name == "customers" and (asks := _asks(snapshot_id, table)):
                    connection.execute(insert(known_asks), asks)
    with database.writing("snapshots") as connection:
        seal(connection, snapshot_id)
        connection.execute(update(snapshots).where(snapshots.c.snapshot_id == snapshot_id).values(is_whole=True))


def _checked(snapshot: Snapshot, name: str, columns: Sequence[str]) -> Iterator[pa.Table]:
    """The batches of a table; raises SnapshotError where they are not what the manifest and the order promise."""
    rows, last = 0, ""
    for table in batches_on_disk(snapshot, name, columns):
        if odd := [field.name for field in table.schema if field.type != _kind(name, field, snapshot.as_of_us)]:
            raise SnapshotError(f"{snapshot.folder}: {name} has a column {odd[0]} of another kind. Score it again.")
        if name in BATCHES_WITH_CUSTOMERS:
            ids = table["customer_id"].to_pylist()
            if any(left >= right for left, right in zip([last, *ids], ids, strict=False)):
                raise SnapshotError(f"{snapshot.folder}: {name} is not in the order of its customers. Score it again.")
            last = ids[-1] if ids else last
        rows += len(table)
        yield table
    if rows != (snapshot.manifest.get("rows_out") or {}).get(name):
        raise SnapshotError(
            f"{snapshot.folder}: {name} has {rows} rows, and its manifest says otherwise. Score it again."
        )


def _kind(name: str, field: pa.Field, as_of_us: int) -> pa.DataType:
    """The type that a column of a week has; a column of another version has its own."""
    columns = FORMS[name](as_of_us)
    return columns.field(field.name).type if field.name in columns.names else field.type


def _batch(snapshot_id: int, name: str, place: int, table: pa.Table) -> dict[str, Any]:
    body = packed(table)
    ids = table["customer_id"].drop_null() if "customer_id" in table.schema.names else None
    ids = None if ids is None or not len(ids) else ids.take(pa.compute.sort_indices(ids)) if name == LISTS else ids
    return {
        "snapshot_id": snapshot_id,
        "name": name,
        "place": place,
        "rows": len(table),
        "first_customer": None if ids is None else ids[0].as_py(),
        "last_customer": None if ids is None else ids[-1].as_py(),
        "digest": hashlib.sha256(body).hexdigest(),
        "body": body,
    }


def _asks(snapshot_id: int, table: pa.Table) -> list[dict[str, Any]]:
    """The asks of a batch of customers, one row each."""
    if "asks" not in table.schema.names:
        return []
    people = table.select(["customer_id", "segment", "region", "asks"]).to_pylist()
    return [
        {
            "snapshot_id": snapshot_id,
            **{name: person[name] for name in ("customer_id", "segment", "region")},
            **{name: ask[name] for name in ASK_COLUMNS},
        }
        for person in people
        for ask in person["asks"] or ()
    ]


def _prune(database: Database) -> None:
    """Keep the newest revision of each instant, and what is told of customers for the newest instants alone."""
    with database.writing() as connection:
        whole = list(connection.execute(_whole().order_by(snapshots.c.as_of_us.desc(), snapshots.c.revision.desc())))
        newest = {row.as_of_us: row for row in reversed(whole)}
        replaced = [row.snapshot_id for row in whole if newest[row.as_of_us] is not row]
        recent = sorted((row.as_of_us for row in newest.values() if row.has_customers), reverse=True)[
            :WEEKS_WITH_CUSTOMERS
        ]
        old = [row.snapshot_id for row in newest.values() if row.has_customers and row.as_of_us not in recent]
        connection.execute(delete(snapshots).where(snapshots.c.snapshot_id.in_(replaced)))
        connection.execute(delete(known_asks).where(known_asks.c.snapshot_id.in_(old)))
        of_customers = and_(batches.c.snapshot_id.in_(old), batches.c.name.in_((*BATCHES_WITH_CUSTOMERS, LISTS)))
        connection.execute(delete(batches).where(of_customers))
        connection.execute(update(snapshots).where(snapshots.c.snapshot_id.in_(old)).values(has_customers=False))
        newest_ids = [newest[as_of_us].snapshot_id for as_of_us in sorted(newest)[-WEEKS_WITH_STATES:]]
        of_states = and_(batches.c.name == STATES, batches.c.snapshot_id.not_in(newest_ids))
        untold = set(connection.execute(select(batches.c.snapshot_id).where(of_states)).scalars())
        connection.execute(delete(batches).where(of_states))
        for snapshot_id in {*old, *untold}:
            seal(connection, snapshot_id)


def _whole() -> Any:
    return select(snapshots).where(snapshots.c.is_whole)


def stored_weeks(connection: Connection, with_customers: bool = False) -> list[StoredWeek]:
    """Return the weeks of the store, each in its newest revision, the newest week last.

    Raises SnapshotError where one does not hold what was published.
    """
    query = _whole().order_by(snapshots.c.as_of_us, snapshots.c.revision)
    if with_customers:
        query = query.where(snapshots.c.has_customers)
    rows = {row.as_of_us: row for row in connection.execute(query)}
    if unsound(connection, {row.snapshot_id for row in rows.values()}):
        raise SnapshotError(f"A week in the store is damaged. {MEND}")
    return [_week(row) for row in rows.values()]


def _week(row: Row[Any]) -> StoredWeek:
    return StoredWeek(row.snapshot_id, row.as_of_us, row.revision, row.version, json.loads(row.manifest))


def digests(connection: Connection, snapshot_id: int, name: str) -> list[str]:
    """Return the digests of the batches of one table, which together say what it holds."""
    query = select(batches.c.digest).where(batches.c.snapshot_id == snapshot_id, batches.c.name == name)
    return list(connection.execute(query.order_by(batches.c.place)).scalars())


def read_batches(connection: Connection, snapshot_id: int, name: str) -> Iterator[pa.RecordBatch]:
    """Give the batches of one table, in order; raises SnapshotError where one is damaged."""
    of_table = and_(batches.c.snapshot_id == snapshot_id, batches.c.name == name)
    places = list(connection.execute(select(batches.c.place).where(of_table).order_by(batches.c.place)).scalars())
    for place in places:
        row = connection.execute(select(batches.c.digest, batches.c.body).where(of_table, batches.c.place == place))
        table = _unpacked(*row.one(), name)
        yield from table.to_batches() or [pa.RecordBatch.from_pylist([], table.schema)]


def states(connection: Connection, week: StoredWeek) -> pa.Table | None:
    """Return where each customer stood in a week, None where the store no longer knows."""
    parts = list(read_batches(connection, week.snapshot_id, STATES))
    return pa.Table.from_batches(parts) if parts else None


def states_of(connection: Connection, weeks: Sequence[StoredWeek], customer_id: str) -> list[dict[str, Any]]:
    """Return where one customer stood, week by week as the weeks are given; only weeks that know of it."""
    of_weeks = and_(batches.c.name == STATES, batches.c.snapshot_id.in_([week.snapshot_id for week in weeks]))
    ends = select(batches.c.snapshot_id, batches.c.place, batches.c.first_customer, batches.c.last_customer)
    places = {
        row.snapshot_id: row.place
        for row in connection.execute(ends.where(of_weeks, batches.c.first_customer.is_not(None)))
        if row.first_customer <= customer_id <= row.last_customer  # here: databases order texts in their own ways
    }
    rows = []
    for week in weeks:
        if week.snapshot_id not in places:
            continue
        at = and_(of_weeks, batches.c.snapshot_id == week.snapshot_id, batches.c.place == places[week.snapshot_id])
        row = connection.execute(select(batches.c.digest, batches.c.body).where(at)).one()
        table = _unpacked(*row, STATES)
        of_customer = table.filter(pa.compute.equal(table["customer_id"], customer_id))
        rows += [{"as_of": instant_text(week.as_of_us), **one} for one in of_customer.to_pylist()]
    return rows


def packed(table: pa.Table) -> bytes:
    """Return a table as the store holds it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table.combine_chunks())
    body: bytes = sink.getvalue().to_pybytes()
    return body


def _unpacked(digest: str, body: bytes, name: str) -> pa.Table:
    if not is_whole(digest, body):
        raise SnapshotError(f"A batch of {name} in the store is damaged. {MEND}")
    return pa.ipc.open_stream(body).read_all()


def _with_customer(connection: Connection, customer_id: str) -> Iterator[tuple[Row[Any], pa.Table]]:
    """Give the batches that hold a customer, each with the table that it is."""
    key = (batches.c.snapshot_id, batches.c.name, batches.c.place)
    ends = select(*key, batches.c.first_customer, batches.c.last_customer).where(batches.c.first_customer.is_not(None))
    for *place, first, last in connection.execute(ends).all():
        if not first <= customer_id <= last:  # compared here: databases order texts in their own ways
            continue
        at = and_(*(column == value for column, value in zip(key, place, strict=True)))
        row = connection.execute(select(batches).where(at)).one()
        table = _unpacked(row.digest, row.body, row.name)
        if pa.compute.any(pa.compute.equal(table["customer_id"], customer_id)).as_py():
            yield row, table


def rows_of_customer(connection: Connection, customer_id: str) -> Iterator[dict[str, Any]]:
    """Give all that the weeks of the store hold on a customer, with the table and the instant of each row."""
    as_of_us = {row[0]: row[1] for row in connection.execute(select(snapshots.c.snapshot_id, snapshots.c.as_of_us))}
    for row, table in _with_customer(connection, customer_id):
        of_customer = table.filter(pa.compute.equal(table["customer_id"], customer_id))
        yield from (
            {"table": row.name, "as_of": instant_text(as_of_us[row.snapshot_id]), **one}
            for one in of_customer.to_pylist()
        )


def without_customer(connection: Connection, customer_id: str) -> int:
    """Write the batches that hold a customer anew without those rows; return how many rows went."""
    gone, touched = 0, set()
    for row, table in _with_customer(connection, customer_id):
        at = and_(*(batches.c[name] == getattr(row, name) for name in ("snapshot_id", "name", "place")))
        is_other = pa.compute.not_equal(table["customer_id"], customer_id)
        of_others = table.filter(pa.compute.fill_null(is_other, True))  # a row of a list may name nobody
        gone += len(table) - len(of_others)
        touched.add(row.snapshot_id)
        connection.execute(update(batches).where(at).values(_batch(row.snapshot_id, row.name, row.place, of_others)))
    moved = {"version": snapshots.c.version + 1}
    connection.execute(update(snapshots).where(snapshots.c.snapshot_id.in_(touched)).values(moved))
    for snapshot_id in touched:
        seal(connection, snapshot_id)
    return gone


def describe(week: StoredWeek) -> str:
    """A week in the words of a log line."""
    return f"the snapshot as of {instant_text(week.as_of_us)}, revision {week.revision}"
