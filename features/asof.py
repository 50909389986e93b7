"""The point-in-time view: which rows of a company's tables are facts at an instant.

It is the one reader of rows before T. A row competes at T once it is known (`ingested_us < T`); of the versions of one
key the latest known wins, and it is a fact only if its own time lies before T. So a correction that moves a row past T
takes it away, and a late row changes no earlier view. What a row says about a later date stays unknown until that date,
unless the company stated it before (`is_stated`): an announced end is known, an end that merely stands in today's table
is not.

`superseded_us` (when the next version of the key became known) is computed once, when the tables are staged: it is
half the cost of a rank per instant, and right where a correction moves a row past T.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import narwhals as nw

from vouch.features.contract.tables import DAY_US, TABLES
from vouch.features.errors import DefinitionError, MissingTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from vouch.features.contract.tables import Table
    from vouch.features.feature_settings import FeatureLine

Frame = nw.LazyFrame[Any]

UNANSWERED = "delivered"
"""What the status of a survey reads as before its answer."""


@dataclass(frozen=True)
class Partition:
    """One file of rows: all became known from the first instant on, and were known and past after the second."""

    path: Path
    digest: str
    known_from_us: int
    known_until_us: int


@dataclass(frozen=True)
class Tables:
    """A company's tables in contract form on one engine, all versions of each row kept.

    `frames` holds the tables that are there; `columns` the contract columns that the company handed over, by table.
    """

    frames: Mapping[str, Frame]
    columns: Mapping[str, frozenset[str]]
    fingerprint: str
    engine: str
    partitions: Mapping[str, Sequence[Partition]] = field(default_factory=dict)
    """The files of a table that is kept by week of ingestion."""
    scan: Callable[[Sequence[Path]], Frame] | None = None
    """Opens some of these files on the engine."""
    rollups: Path | None = None
    """Where customer-days stay from run to run."""
    refused: Mapping[str, Frame] = field(default_factory=dict)
    """Rows that were refused for a value alone, by table: they feed nothing, and count as missing."""
    own: Mapping[str, Table] = field(default_factory=dict)
    """Tables that the contract does not know, and those of its tables that have further columns."""
    lines: tuple[FeatureLine, ...] | None = None
    """What the company's own columns feed, a line for each; None where these rows do not say."""

    def __contains__(self, table: str) -> bool:
        return table in self.frames

    def table(self, name: str) -> Table:
        """What a table holds: as the contract has it, with the company's own columns."""
        return self.own.get(name) or TABLES[name]

    def only(self, table: str, partitions: Sequence[Partition]) -> Tables:
        """The same with some of the files of one table."""
        assert self.scan is not None, "files stand with what opens them"
        return replace(self, frames={**self.frames, table: self.scan([of.path for of in partitions])})

    def has(self, table: str, *columns: str) -> bool:
        """Whether the company handed over the table, and these of its contract columns."""
        return table in self.frames and set(columns) <= self.columns[table]


def view(tables: Tables, name: str, as_of_us: int) -> Frame:
    """Return the rows of one table that are facts at an instant, as known just before it.

    All columns of the contract form, later-dated facts nulled, plus `as_of_us`. Raises MissingTable where the
    company has no such table.
    """
    return views(tables, name, [as_of_us])


def views(tables: Tables, name: str, instants: Sequence[int], days: int | None = None) -> Frame:
    """Return the views of several instants under one another, told apart by `as_of_us`.

    `days` leaves out rows that lie longer before an instant, so that files of old rows need not be read.
    """
    rows = _frame(tables, name)
    if days is not None:
        rows = rows.filter(nw.col("own_us") >= min(instants) - days * DAY_US)
    if len(instants) == 1:
        rows = rows.with_columns(nw.lit(instants[0], nw.Int64).alias("as_of_us"))
        return _facts(tables, rows, name, nw.lit(instants[0], nw.Int64))
    one = tables.frames["customers"].head(1)
    spine = nw.concat([one.select(nw.lit(instant, nw.Int64).alias("as_of_us")) for instant in instants])
    rows_at = _facts(tables, rows.join(spine, how="cross"), name, nw.col("as_of_us"))
    return rows_at if days is None else rows_at.filter(nw.col("own_us") >= nw.col("as_of_us") - days * DAY_US)


def _frame(tables: Tables, name: str) -> Frame:
    if name not in tables:
        raise MissingTable(f"The data hold no table {name!r}")
    return tables.frames[name]


def _facts(tables: Tables, rows: Frame, name: str, as_of: nw.Expr) -> Frame:
    known = rows.filter(
        nw.col("own_us") < as_of,
        nw.col("ingested_us") < as_of,
        nw.col("superseded_us").is_null() | (nw.col("superseded_us") >= as_of),
        ~nw.col("is_deleted"),
    )
    running = tables.table(name).running
    masks = _masks(tables.table(name), as_of, running if running and tables.has(name, running) else None)
    return known.with_columns(*masks) if masks else known


def visible(tables: Tables, name: str, instants: Sequence[int]) -> Frame:
    """Return the rows of one table that are facts at some of several instants (ascending), each row once.

    It adds `seen_from` and `seen_until`: a row is a fact at `instants[i]` where `seen_from <= i < seen_until`.
    Only for tables without facts of later dates, whose rows read alike at all instants.
    """
    if tables.table(name).later:
        raise DefinitionError(f"Rows of table {name!r} read differently at different instants")
    reached = nw.max_horizontal("own_us", "ingested_us")
    passed = nw.when(~nw.col("superseded_us").is_null()).then(position(nw.col("superseded_us"), instants))
    rows = _frame(tables, name).filter(nw.col("own_us") < instants[-1], ~nw.col("is_deleted"))
    seen = rows.with_columns(
        seen_from=position(reached, instants), seen_until=passed.otherwise(nw.lit(len(instants), nw.Int64))
    )
    return seen.filter(nw.col("seen_from") < nw.col("seen_until"))


def position(time_us: nw.Expr, instants: Sequence[int]) -> nw.Expr:
    """Number of instants at or before a time."""
    return nw.sum_horizontal(*((time_us >= instant).cast(nw.Int64) for instant in instants))


def _masks(table: Table, as_of: nw.Expr, running: str | None) -> list[nw.Expr]:
    """Null what a row says of a date that had not come, and that nobody had stated.

    Without the date that is called `running` a row goes on, and what comes with that date has not come either.
    """
    masks = []
    for date, facts in table.later.items():
        when_us = nw.col(table.columns[date].staged)
        has_come = (when_us < as_of).fill_null(False) if date == running else when_us.is_null() | (when_us < as_of)
        is_known = has_come | nw.col("is_stated")
        masked = [table.columns[date].staged, *facts, *(["polarity"] if "verbatim" in facts else [])]
        masks += [_masked(column, is_known).alias(column) for column in masked]
    return masks


def _masked(column: str, is_known: nw.Expr) -> nw.Expr:
    if column == "status":
        return nw.when(is_known).then(nw.col(column)).otherwise(nw.lit(UNANSWERED))
    return nw.when(is_known).then(nw.col(column))
