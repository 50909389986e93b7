"""Missed rows: tables as if what was refused for a value could be read, and which tables a count reads at all.

A row whose kind nobody can read may be of any kind: it stands there once as each, so that whatever it would have fed
misses it. Only what changes by it is counted; nothing is measured on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import narwhals as nw

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


def as_if_read(tables: Tables) -> Tables:
    """The tables with the rows that were refused for a value alone among the others."""
    frames = {
        name: nw.concat([tables.frames[name], _as_each_kind(rows, name)]) for name, rows in tables.refused.items()
    }
    return replace(tables, frames={**tables.frames, **frames}, partitions={}, rollups=None, refused={})


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
