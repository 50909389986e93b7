"""Incremental store of customer-days: kept from run to run by file and week of ingestion, extended by a week.

A file of rows is named by its digest: what was summed up of it holds for good, and a file that a correction or a
withdrawal touched is another file. At an instant, files whose rows were all known and past before it are taken from
what is kept; of a file that the instant cuts, the rows are read. A superseded row has a cell of its own, so that it
counts until the moment it was superseded, at earlier instants too.

A partial result is named by its definition and those of the columns that it reads: a changed definition leaves the
others as they are. Each file is written whole, renamed, and read only as it was written; else it is made again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw

from vouch.features.asof import position, visible
from vouch.features.durable import file_digest, flush, sealed, unsealed
from vouch.features.errors import DataError
from vouch.features.vectors.fingerprints import rests_on
from vouch.features.vectors.group_by import FeatureGroup, aggregated, narrowed, part_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vouch.features.asof import Frame, Partition, Tables
    from vouch.features.vectors.aggregates import Primitive

FORMAT = 1
"""Moves when the form of what is kept changes."""
SEEN = ("seen_from", "seen_until")
FILE = "number_of_file"
BYTES_AT_ONCE = 24 * 2**20
"""Of files that are summed up in one pass: engines share one file between processors badly, and plan each pass."""
ROWS_TOGETHER = 65_536
"""Cells of neighbouring customers that stand together in a file, so that a range of customers is read by itself."""
FEWEST_ROWS_PER_CELL = 1.5
"""Below, cells are as many as rows, and windows straight from the rows cost the same."""


@dataclass(frozen=True)
class StoredDays:
    """The cells of one table: what can be summed up by customer and day, kept under `home`."""

    tables: Tables
    group: FeatureGroup
    parts: Mapping[str, Primitive]
    home: Path

    @property
    def keys(self) -> tuple[str, ...]:
        """What tells cells apart."""
        return (self.group.by, "day", "superseded_us")

    @cached_property
    def names(self) -> dict[str, str]:
        """For each partial result the name that it is kept under."""
        return {name: _stored_name(self.group, part) for name, part in self.parts.items()}

    @property
    def partitions(self) -> Sequence[Partition]:
        """The files of rows."""
        return self.tables.partitions[self.group.table]

    def is_worth_it(self) -> bool:
        """Whether the table has several rows per customer and day, as its largest file tells."""
        largest = max(self.partitions, key=lambda partition: partition.path.stat().st_size)
        _, facts = self._files(largest)[0]
        return bool(facts["rows"] >= FEWEST_ROWS_PER_CELL * facts["cells"])

    def at(self, instants: Sequence[int]) -> Frame:
        """Cells that are facts at some of several instants (ascending), with the range of these, as for rows.

        Columns: the customer, `day`, `seen_from`, `seen_until`, and the partial results.
        """
        columns = [self.group.by, "day", *SEEN, *self.parts]
        first_seen = {partition: bisect_right(instants, partition.known_until_us) for partition in self.partitions}
        standing = self._make_missing([of for of, first in first_seen.items() if first < len(instants)])
        cells_by_file = []
        for partition, first in first_seen.items():
            if first < len(instants):
                until = nw.when(~nw.col("superseded_us").is_null()).then(position(nw.col("superseded_us"), instants))
                cells = self._cells(standing[partition.digest]).with_columns(
                    seen_from=nw.lit(first, nw.Int64), seen_until=until.otherwise(nw.lit(len(instants), nw.Int64))
                )
                cells_by_file.append(cells.filter(nw.col("seen_until") > first).select(columns))
        return nw.concat([*cells_by_file, self._cut(instants).select(columns).lazy()])

    def _cut(self, instants: Sequence[int]) -> nw.DataFrame[Any]:
        """Cells of files that some of the instants cut, from their rows: at the instants that do not see them whole."""
        table, summed = self.group.table, []
        for partition in self.partitions:
            first = bisect_right(instants, partition.known_until_us)
            if first and partition.known_from_us < instants[first - 1]:
                rows = visible(self.tables.only(table, [partition]), table, instants[:first])
                summed.append(self._summed(rows, (self.group.by, "day", *SEEN)))
        if summed:
            return nw.concat(summed)
        nothing = visible(self.tables.only(table, self.partitions[:1]), table, instants).head(0)
        return self._summed(nothing, (self.group.by, "day", *SEEN))

    def _summed(self, rows: Frame, keys: Sequence[str]) -> nw.DataFrame[Any]:
        """Partial results of rows by keys, in one form whatever the engine."""
        apart = [key for key in keys if key not in {self.group.by}]
        sums = aggregated(narrowed(rows, self.group, *apart), self.parts, *keys).collect("polars")
        return sums.select(*keys, *(_plain(nw.col(name), sums.schema[name]) for name in self.parts)).sort(*keys)

    def _cells(self, files: Sequence[tuple[Path, dict[str, Any]]]) -> Frame:
        """The cells of one file of rows, from the files that hold its partial results."""
        waiting = {column: name for name, column in self.names.items()}
        frames: list[Frame] = []
        for path, facts in files:
            taken = [nw.col(column).alias(waiting.pop(column)) for column in facts["names"] if column in waiting]
            keys = [] if frames else self.keys
            frames.append(nw.scan_parquet(str(path), backend="polars", glob=False).select(*keys, *taken))
        if len(frames) == 1:
            return frames[0]
        return nw.concat([frame.collect() for frame in frames], how="horizontal").lazy()

    def _files(self, partition: Partition) -> list[tuple[Path, dict[str, Any]]]:
        """Files that together hold all partial results of one file of rows; what is missing is made."""
        files, missing = self._standing(partition)
        if missing or not files:
            self._make([partition], missing)
            files, _ = self._standing(partition)
        return files

    def _standing(self, partition: Partition) -> tuple[list[tuple[Path, dict[str, Any]]], frozenset[str]]:
        """Files that stand whole for one file of rows, and the names of the partial results that none of them holds."""
        missing, files = frozenset(self.names.values()), []
        for path in sorted((self.home / partition.digest).glob("*.json")):
            facts = _whole(path)
            if facts and missing & set(facts["names"]):
                files.append((path.with_suffix(".parquet"), facts))
                missing -= set(facts["names"])
        return files, missing

    def _make_missing(self, partitions: Sequence[Partition]) -> dict[str, list[tuple[Path, dict[str, Any]]]]:
        """Make what is missing for files of rows, several in one pass; return all that stands then, by digest."""
        standing = {partition.digest: self._standing(partition) for partition in partitions}
        alike: dict[frozenset[str], list[Partition]] = {}
        for partition in partitions:
            files, missing = standing[partition.digest]
            if missing or not files:
                alike.setdefault(missing, []).append(partition)
        for missing, of in alike.items():
            for batch in _batches(of):
                self._make(batch, missing)
        made = {partition.digest: self._standing(partition) for of in alike.values() for partition in of}
        return {digest: files for digest, (files, _) in (standing | made).items()}

    def _make(self, partitions: Sequence[Partition], missing: frozenset[str]) -> None:
        """Sum up the rows of some files, and keep what comes of each."""
        members = {column: self.parts[name] for name, column in sorted(self.names.items()) if column in missing}
        of_missing = replace(self, parts={part_name(part): part for part in members.values()})
        rows = nw.concat([self._rows(partition, number) for number, partition in enumerate(partitions)])
        cells = of_missing._summed(rows, (*self.keys, FILE))
        counted = rows.group_by(FILE).agg(nw.len().alias("rows")).collect("pyarrow").to_native().to_pylist()
        rows_in = {row[FILE]: row["rows"] for row in counted}
        renamed = cells.select(
            *self.keys, FILE, *(nw.col(part_name(part)).alias(column) for column, part in members.items())
        )
        name = hashlib.sha256(" ".join(members).encode()).hexdigest()[:16]
        self.home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".building-{os.getpid()}-", dir=self.home.parent) as building:
            drafts = []
            for number, partition in enumerate(partitions):
                draft = Path(building) / f"{partition.digest}.parquet"
                of_file = renamed.filter(nw.col(FILE) == number).drop(FILE)
                of_file.to_native().write_parquet(draft, row_group_size=ROWS_TOGETHER)
                facts = {"names": list(members), "rows": rows_in.get(number, 0), "cells": len(of_file)}
                draft.with_suffix(".json").write_text(sealed({**facts, "sha256": file_digest(draft)}), encoding="utf-8")
                drafts.append((draft, self.home / partition.digest / f"{name}.parquet"))
            flush(Path(building))
            for draft, path in drafts:
                path.parent.mkdir(parents=True, exist_ok=True)
                draft.replace(path)
                draft.with_suffix(".json").replace(path.with_suffix(".json"))

    def _rows(self, partition: Partition, number: int) -> Frame:
        """Rows of one file that are not withdrawals, with its number among those that are summed up together."""
        rows = self.tables.only(self.group.table, [partition]).frames[self.group.table]
        return rows.filter(~nw.col("is_deleted")).with_columns(nw.lit(number, nw.Int64).alias(FILE))


def _batches(partitions: Sequence[Partition]) -> Iterator[list[Partition]]:
    """Files that are summed up in one pass: as many as are not large together, or single ones."""
    batch: list[Partition] = []
    size = 0
    for partition in partitions:
        size += (more := partition.path.stat().st_size)
        if batch and size > BYTES_AT_ONCE:
            yield batch
            batch, size = [], more
        batch.append(partition)
    if batch:
        yield batch


def _whole(described: Path) -> dict[str, Any] | None:
    """What a file of cells holds, or None where it is not as it was written."""
    path = described.with_suffix(".parquet")
    try:
        facts = unsealed(described)
    except DataError:
        return None
    return facts if path.exists() and file_digest(path) == facts["sha256"] else None


def _plain(value: nw.Expr, kind: nw.dtypes.DType) -> nw.Expr:
    """A partial result in one type, whatever the engine makes of counts and sums."""
    is_whole = kind.is_integer() or (isinstance(kind, nw.Decimal) and kind.scale == 0)
    return value.cast(nw.Int64) if is_whole else value


def _stored_name(group: FeatureGroup, part: Primitive) -> str:
    """Name of a partial result: its definition, with all that it rests on."""
    facts = [FORMAT, group.table, group.by, str(part), *rests_on(group.table, part.reads)]
    return f"kept_{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}"
