"""The files of `vouch features` and `vouch score --table`: one Parquet file, or CSV for scores, atomic."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from vouch.features.durable import replacing_where_asked
from vouch.features.errors import UsageError
from vouch.features.ingest.stage import opened, stage
from vouch.features.instants import instant_text
from vouch.features.vectors.build import vectors
from vouch.serving.exports.written_files import note
from vouch.serving.output import csv_rows
from vouch.serving.snapshots.arrow_streams import ordered_batches, scratch_folder
from vouch.serving.snapshots.schema import repeated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vouch.features.project import Project


PARQUET, CSV = ("", ".parquet", ".pq"), ".csv"
"""Endings of names, by form; a name without one is no promise."""


@dataclass(frozen=True)
class Written:
    """What was written."""

    as_of: str
    customers: int


def write_vectors(
    project: Project, as_of_us: int | None, now_us: int, out: Path, engine: str, progress: Callable[[str], None]
) -> Written:
    """Write `customer_id`, `as_of` and all features of every customer known at an instant."""
    _check_ending(out, PARQUET)
    progress("reading and checking the tables")
    staged = stage(project, now_us)
    tables = opened(project, staged, engine)
    instant = staged.default_as_of_us(now_us) if as_of_us is None else as_of_us
    progress(f"{instant_text(instant)}: vectors")
    customers = 0
    with (
        scratch_folder(project.home, "features") as scratch,
        replacing_where_asked(out, out.with_name(f".{out.name}.draft")) as draft,
    ):
        batches = (_dated(batch, instant) for batch in ordered_batches(vectors(tables, instant), scratch / "vectors"))
        first = next(batches)
        with pq.ParquetWriter(draft, first.schema) as writer:
            for batch in itertools.chain([first], batches):
                writer.write_table(batch)
                customers += len(batch)
    note(project.home, "vectors", instant_text(instant), [out])
    return Written(instant_text(instant), customers)


def write_table_scores(home: Path, rows: list[dict[str, Any]], now_us: int, out: Path) -> None:
    """Write the scores of a flat table: `customer_id`, probability with its interval, reasons.

    As Parquet, or as CSV where the name of the file ends so; raises UsageError for the ending of another form.
    """
    _check_ending(out, (*PARQUET, CSV))
    named = [{"customer_id": row["id"], **{of: value for of, value in row.items() if of != "id"}} for row in rows]
    with replacing_where_asked(out, out.with_name(f".{out.name}.draft")) as draft:
        if out.suffix.lower() == CSV:
            draft.write_text(
                "".join(csv_rows([{**row, "reasons": _in_one_cell(row["reasons"])} for row in named])),
                encoding="utf-8",
                newline="",
            )
        else:
            pq.write_table(pa.Table.from_pylist(named), draft)
    note(home, "vectors", instant_text(now_us), [out])


def _in_one_cell(reasons: list[dict[str, Any]] | None) -> str | None:
    """What moves a score, as one text: column, value and contribution in log-odds."""
    if reasons is None:
        return None
    return "; ".join(f"{of['column']}: {of['value']} ({of['contribution']:+.3f})" for of in reasons)


def _check_ending(out: Path, endings: tuple[str, ...]) -> None:
    """A file whose name promises another form than it holds is opened by nothing."""
    if out.suffix.lower() not in endings:
        named = " or ".join(ending for ending in endings if ending)
        raise UsageError(f"Cannot write {out}: its name ends in {out.suffix!r}; name it with {named}")


def _dated(batch: pa.Table, as_of_us: int) -> pa.Table:
    """The same with a date, or a timestamp, in place of microseconds."""
    place = batch.schema.get_field_index("as_of_us")
    return batch.set_column(place, "as_of", repeated(as_of_us, len(batch)))
