"""Missed rows: tables as if what was refused for a value could be read, and which tables a count reads at all.

A row whose kind nobody can read may be of any kind: it stands there once as each, so that whatever it would have fed
misses it. An accepted row with an emptied cell stands there as what the cell may have said: a time as the earliest and
as the latest that it can be. Only what changes by them is counted; nothing is measured on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.contract.stand_ins import EMPTIED, STAND_IN, can_stand_in, identity_columns
from vouch.features.contract.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vouch.features.asof import Frame, Tables


class WatchedFrames(Mapping[str, "Frame"]):
    """Frames by table; `read` holds the names of those that somebody took."""

    def __init__(self, frames: Mapping[str, Frame]) -> None:
        self._frames = frames
        self.read: set[str] = set()

    def __getitem__(self, table: str) -> Frame:
        self.read.add(table)
        return self._frames[table]

    def __contains__(self, table: object) -> bool:
        return table in self._frames

    def __iter__(self) -> Iterator[str]:
        return iter(self._frames)

    def __len__(self) -> int:
        return len(self._frames)


def kinds_of(table: str) -> list[str]:
    """Columns that say what kind a row of a table is of, one of those that the contract knows."""
    return [column.name for column in TABLES[table].required() if column.values]


def as_if_read(tables: Tables, as_of_us: int) -> Iterator[Tables]:
    """The tables with the rows that were refused for a value alone among the others, and emptied cells filled.

    Once for each thing that such a cell may have said: both at once could cancel out.
    """
    are_emptied = any(map(_has_emptied, tables.refused.values()))
    for stand_ins in (_earliest_and_largest, _latest_and_least)[: 2 if are_emptied else 1]:
        frames = {
            name: _as_if_read(tables.frames[name], rows, name, stand_ins(as_of_us))
            for name, rows in tables.refused.items()
        }
        yield replace(tables, frames={**tables.frames, **frames}, partitions={}, rollups=None, refused={})


def _has_emptied(apart: Frame) -> bool:
    if EMPTIED not in apart.collect_schema().names():
        return False
    return len(apart.filter(~nw.col(EMPTIED).is_null()).select(EMPTIED).head(1).collect("polars")) > 0


def _as_if_read(accepted: Frame, apart: Frame, table: str, stand_ins: Mapping[str, nw.Expr]) -> Frame:
    columns = accepted.collect_schema().names()
    if EMPTIED not in apart.collect_schema().names():
        return nw.concat([accepted, _as_each_kind(apart, table)])
    keys = identity_columns(TABLES[table])
    emptied = apart.filter(~nw.col(EMPTIED).is_null()).select(*keys, EMPTIED)
    refused = _as_each_kind(apart.filter(nw.col(EMPTIED).is_null()).select(*columns), table)
    filled = _filled(accepted.join(emptied, on=keys), table, stand_ins)
    others = accepted.join(emptied, on=keys, how="anti")
    return nw.concat([others, *(rows.select(*columns) for rows in filled), refused])


def _filled(rows: Frame, table: str, stand_ins: Mapping[str, nw.Expr]) -> Iterator[Frame]:
    """Accepted rows with what stands in for their emptied cells; where one is of a kind, once as each kind."""
    schema = rows.collect_schema()
    columns = [c for c in TABLES[table].columns.values() if can_stand_in(c) and c.staged in schema]
    for number in range(max(len(column.values) for column in columns) or 1):
        cells = {
            column.staged: (f",{column.name},", nw.lit(column.values[number % len(column.values)]))
            if column.values
            else (f",{column.name},", stand_ins[column.kind])
            for column in columns
        }
        if {"polarity", "rating"} <= set(schema):  # it follows from the rating and where its scale ends
            cells["polarity"] = (",rating", stand_ins["polarity"])
        yield rows.with_columns(
            nw.when(nw.col(EMPTIED).str.contains(said, literal=True))
            .then(value.cast(schema[staged]))
            .otherwise(nw.col(staged))
            .alias(staged)
            for staged, (said, value) in cells.items()
        )


def _earliest_and_largest(_: int) -> dict[str, nw.Expr]:
    """What may stand in the place of a cell, by kind: the first that a time can be, a truth, a large number."""
    numbers = dict.fromkeys(("money", "number", "integer"), nw.lit(STAND_IN))
    return numbers | {
        "time": nw.col("own_us"), "boolean": nw.lit(True), "probability": nw.lit(0.9999), "polarity": nw.lit(1),
    }  # fmt: skip


def _latest_and_least(as_of_us: int) -> dict[str, nw.Expr]:
    """The other thing that a cell may have said, by kind: the last that a time can be that is known, a falsehood, 0."""
    numbers = dict.fromkeys(("money", "number", "integer", "probability"), nw.lit(0))
    return numbers | {"time": nw.lit(as_of_us - 1), "boolean": nw.lit(False), "polarity": nw.lit(-1)}


def _as_each_kind(rows: Frame, table: str) -> Frame:
    """Rows of a table; one whose kind could not be read once as each kind that the contract knows."""
    for name in kinds_of(table):
        is_unread = nw.col(name).is_null()
        unread = rows.filter(is_unread)
        as_each = [
            unread.with_columns(nw.lit(kind, nw.String).alias(name)) for kind in TABLES[table].columns[name].values
        ]
        rows = nw.concat([rows.filter(~is_unread), *as_each])
    return rows


def of_no_rows(tables: Tables) -> Tables:
    """The same tables without a row, in Polars."""
    frames = {name: frame.head(0).collect("polars").lazy() for name, frame in tables.frames.items()}
    return replace(tables, frames=frames, engine="polars", partitions={}, rollups=None, refused={})
