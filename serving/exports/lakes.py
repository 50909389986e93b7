"""Published weeks as Delta and Iceberg tables, which grow by a week at a time: scores, what moved them, and metrics.

A week takes the place of what stands there of the same instant, in one commit, and one that stands there as it is is
left alone: it can be written as often as one likes, and whoever reads meanwhile sees the week before or after. An
Iceberg table has no catalogue: `version-hint.text` names the metadata that stand.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vouch.features.durable import flush_file, write_whole
from vouch.features.engines import first_line
from vouch.features.errors import MissingExtra, UsageError
from vouch.features.ingest.files import ICEBERG_METADATA, is_iceberg
from vouch.features.ingest.lakes.tables import HINT, newest_metadata
from vouch.features.instants import as_datetime
from vouch.serving.asking.by_hand import without_scores

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from vouch.serving.snapshots.files import Snapshot

TABLES = {
    "scores": ["customer_id"],
    "changes": ["customer_id"],
    "metrics": ["metric_id", "by", "segment"],
}
"""The tables of a week that are written, and what names a row of a week in each."""
INSTANT = pa.timestamp("us", tz="UTC")
DELTA_LOG = "_delta_log"


class Lake(StrEnum):
    """A kind of table that knows its own history."""

    DELTA = "delta"
    ICEBERG = "iceberg"


@dataclass(frozen=True)
class WrittenTable:
    """One table after a week was written into it."""

    name: str
    path: Path
    rows: int
    """Rows of the week."""
    is_new: bool
    """Whether anything was written: the week did not stand there as it is."""


class LakeTable(Protocol):
    """A table in a folder of its own, which may not be there yet."""

    def replace(self, week: pa.Table, as_of: pa.Scalar | None) -> None:
        """Put in a week, in place of what stands of an instant (None: of none), in one commit."""

    def rows(self, wanted: pc.Expression) -> pa.Table | None:
        """Return the rows that are wanted; None where there is no table yet."""

    def forget(self, customer_ids: Collection[str]) -> None:
        """Take out all rows of customers, and every file of an earlier version that still holds them."""


def write_week(
    snapshot: Snapshot, kind: Lake, folder: Path, objecting: Collection[str] = frozenset()
) -> list[WrittenTable]:
    """Write a week into the tables of a folder, `scores`, `changes` and `metrics`; those who object without scores.

    Raises MissingExtra where the library is not installed, UsageError where something else lies there or the folder
    cannot be written to, SnapshotError where the week is damaged.
    """
    written = []
    for name, key in TABLES.items():
        if f"{name}.parquet" not in snapshot.manifest["files"]:
            continue
        week = _week_of(snapshot, name, objecting)
        path = folder.resolve() / name
        with _telling(path, kind):
            table = open_table(path, kind)
            as_of = pa.scalar(as_datetime(snapshot.as_of_us), INSTANT)
            held = table.rows(pc.field("as_of") == as_of)
            is_new = held is None or not _is_same(held, week, key)
            if is_new:
                table.replace(week, as_of if held else None)
        written.append(WrittenTable(name, path, len(week), is_new))
    return written


def open_table(path: Path, kind: Lake) -> LakeTable:
    """Return the table of a folder; raises UsageError where something else lies there."""
    mine, other = (DELTA_LOG, ICEBERG_METADATA) if kind is Lake.DELTA else (ICEBERG_METADATA, DELTA_LOG)
    is_made = (path / mine).is_dir() if kind is Lake.DELTA else is_iceberg(path)
    if (path / other).is_dir() or (not is_made and path.exists() and any(path.iterdir())):
        raise UsageError(f"{path}: something else than a table of {kind.value} lies there. Name another folder.")
    return _DeltaTable(path, is_made) if kind is Lake.DELTA else _IcebergTable(path, is_made)


def rows_of(path: Path, kind: Lake, customer_ids: Collection[str]) -> list[dict[str, Any]]:
    """Return the rows of customers in a table; raises as `write_week` does."""
    with _telling(path, kind):
        found = open_table(path, kind).rows(of_customers(customer_ids))
    return [] if found is None else found.to_pylist()


def forget(path: Path, kind: Lake, customer_ids: Collection[str]) -> None:
    """Take customers out of a table, with each of its versions that holds them; raises as `write_week` does."""
    if rows_of(path, kind, customer_ids):
        with _telling(path, kind):
            open_table(path, kind).forget(customer_ids)


def _week_of(snapshot: Snapshot, name: str, objecting: Collection[str]) -> pa.Table:
    """A table of a week as a lake holds it: the instant as one in every week, and the revision beside it."""
    table = snapshot.table(name)
    if name == "scores":
        table = without_scores(table, objecting)
    elif "customer_id" in table.column_names and objecting:
        table = table.filter(pc.invert(pc.is_in(table["customer_id"], pa.array(sorted(objecting), pa.string()))))
    place = table.schema.get_field_index("as_of")
    table = table.set_column(place, "as_of", table["as_of"].cast(INSTANT))
    revision = pa.array([snapshot.revision] * len(table), pa.int64())
    return table.add_column(place + 1, "revision", revision).replace_schema_metadata(None)


def _is_same(held: pa.Table, week: pa.Table, key: list[str]) -> bool:
    """Whether what stands there of a week is what would be written; columns that it lacks are null there."""
    if len(held) != len(week) or not set(week.column_names) <= set(held.column_names):
        return False
    if any(held[name].null_count < len(held) for name in set(held.column_names) - set(week.column_names)):
        return False
    order = [(name, "ascending") for name in key]
    stands = held.select(week.column_names).cast(week.schema).combine_chunks().sort_by(order)
    return bool(stands.equals(week.combine_chunks().sort_by(order)))


@contextmanager
def _telling(path: Path, kind: Lake) -> Iterator[None]:
    """Say where a table cannot be written, and why, in one line."""
    try:
        yield
    except ImportError as error:
        raise MissingExtra(f"A table of {kind.value} needs its library: pip install 'vouch[lakes]'") from error
    except UsageError:
        raise
    except Exception as error:
        if not _is_of_a_lake(error):
            raise
        raise UsageError(f"{path}: is no table of {kind.value} that can be used: {first_line(error)}") from error


def _is_of_a_lake(error: Exception) -> bool:
    """Whether an error tells of a folder or a table: neither library has one class above its own."""
    return isinstance(error, OSError | pa.ArrowException | NotImplementedError) or type(error).__module__.startswith(
        ("deltalake", "_internal", "pyiceberg")
    )


class _DeltaTable:
    """A Delta table."""

    def __init__(self, path: Path, is_made: bool) -> None:
        self._path, self._is_made = path, is_made

    def replace(self, week: pa.Table, as_of: pa.Scalar | None) -> None:
        from deltalake import write_deltalake

        options: dict[str, Any] = {"mode": "append", "schema_mode": "merge"} if self._is_made else {}
        if as_of is not None:
            at = as_of.as_py().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            options |= {"mode": "overwrite", "predicate": f"as_of = '{at}'"}
        self._path.mkdir(parents=True, exist_ok=True)
        write_deltalake(str(self._path), week, **options)

    def rows(self, wanted: pc.Expression) -> pa.Table | None:
        from deltalake import DeltaTable

        if not self._is_made:
            return None
        return DeltaTable(str(self._path)).to_pyarrow_dataset().to_table(filter=wanted)

    def forget(self, customer_ids: Collection[str]) -> None:
        """Write the rest anew: a deletion would name in the log whom it deletes, and the log of before goes too."""
        from deltalake import DeltaTable, write_deltalake

        rest = DeltaTable(str(self._path)).to_pyarrow_dataset().scanner(filter=~of_customers(customer_ids)).to_reader()
        write_deltalake(str(self._path), rest, mode="overwrite", schema_mode="overwrite")
        table = DeltaTable(str(self._path))
        table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
        table.create_checkpoint()
        for path in (self._path / DELTA_LOG).iterdir():
            number = path.name.partition(".")[0]
            if number.isdigit() and int(number) < table.version():
                path.unlink()


class _IcebergTable:
    """An Iceberg table without a catalogue: one of a moment commits, and the hint names what was committed.

    Files of rows are written and read here: the library makes an empty list of one that is null, where it holds rows.
    """

    def __init__(self, path: Path, is_made: bool) -> None:
        self._path, self._is_made = path, is_made

    def replace(self, week: pa.Table, as_of: pa.Scalar | None) -> None:
        from pyiceberg.expressions import EqualTo

        with self._catalogue() as catalogue:
            if not self._is_made:
                making = catalogue.create_table_transaction(_NAME, week.schema, location=f"file://{self._path}")
                with making as change:
                    change.add_files([self._written(week)])
            else:
                with catalogue.load_table(_NAME).transaction() as change:
                    with change.update_schema() as columns:
                        columns.union_by_name(week.schema)
                    if as_of is not None:
                        change.delete(EqualTo("as_of", as_of.as_py().isoformat()))
                    change.add_files([self._written(week)])
            self._point(catalogue.load_table(_NAME))

    def rows(self, wanted: pc.Expression) -> pa.Table | None:
        if not self._is_made:
            return None
        with self._catalogue() as catalogue:
            parts = [part.filter(wanted) for part in self._parts(catalogue.load_table(_NAME))]
        return pa.concat_tables(parts, promote_options="default")

    def forget(self, customer_ids: Collection[str]) -> None:
        from pyiceberg.expressions import AlwaysTrue

        with self._catalogue() as catalogue:
            table = catalogue.load_table(_NAME)
            rest = [self._written(part.filter(~of_customers(customer_ids))) for part in self._parts(table)]
            with table.transaction() as change:
                change.delete(AlwaysTrue())
                change.add_files(rest)
            table.maintenance.expire_snapshots().by_ids([one.snapshot_id for one in table.snapshots()[:-1]]).commit()
            table = catalogue.load_table(_NAME)
            self._point(table)
            self._sweep(table)

    def _written(self, rows: pa.Table) -> str:
        """Write a file of rows; it counts once a commit names it."""
        path = self._path / "data" / f"{uuid4()}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, path, compression="zstd")
        flush_file(path)
        return f"file://{path}"

    def _parts(self, table: Any) -> Iterator[pa.Table]:
        """Give the rows of each file that counts."""
        for task in table.scan().plan_files():
            if task.delete_files:
                raise UsageError(f"{self._path}: somebody has deleted rows of it; rewrite its data files first")
            yield pq.read_table(task.file.file_path.removeprefix("file://"), partitioning=None)

    def _sweep(self, table: Any) -> None:
        """Delete all files that the version that stands does not name."""
        stands = table.current_snapshot()
        named = {table.metadata_location, stands.manifest_list}
        for manifest in stands.manifests(table.io):
            named.add(manifest.manifest_path)
            named |= {entry.data_file.file_path for entry in manifest.fetch_manifest_entry(table.io)}
        kept = {str(name).removeprefix("file://") for name in named}
        for path in sorted(self._path.rglob("*")):
            if path.is_file() and path.name != HINT and str(path) not in kept:
                path.unlink()

    @contextmanager
    def _catalogue(self) -> Iterator[Any]:
        from pyiceberg.catalog.sql import SqlCatalog

        catalogue = SqlCatalog("weeks", uri="sqlite:///:memory:", warehouse=f"file://{self._path}")
        try:
            catalogue.create_namespace(_NAME.partition(".")[0])
            if self._is_made:
                catalogue.register_table(_NAME, f"file://{newest_metadata(self._path)}")
            yield catalogue
        finally:
            catalogue.close()

    def _point(self, table: Any) -> None:
        """Let the hint name the metadata that were committed, once they have reached the disk."""
        name = table.metadata_location.rpartition("/")[2]
        flush_file(self._path / ICEBERG_METADATA / name)
        write_whole(self._path / ICEBERG_METADATA / HINT, name.removesuffix(".metadata.json"))


def of_customers(customer_ids: Collection[str]) -> pc.Expression:
    """What is true of the rows of some customers."""
    return pc.field("customer_id").cast(pa.string()).isin(pa.array(sorted(customer_ids), pa.string()))


_NAME = "weeks.week"
