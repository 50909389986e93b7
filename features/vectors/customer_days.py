"""Customer-days, a daily rollup: rows of a busy table summed by customer and day.

Lookback windows at many instants are taken from them. All windows are whole days long, so that a cell of one customer
and one day, cut at the hour of the instant, lies wholly inside or outside each window. Counts, sums, extremes, distinct
days and the days between active days can be had from such cells exactly; distinct values of other columns cannot, and
are counted apart (`vouch.features.vectors.distinct_values`).

Rows that become known late or are superseded carry the instants at which they are facts in the key of their cell.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import narwhals as nw

from vouch.features.asof import visible
from vouch.features.contract.tables import DAY_US
from vouch.features.vectors.active_days import ActiveDays, counts_days, is_from_days, reads_gap
from vouch.features.vectors.aggregates import EVER, Primitive
from vouch.features.vectors.customer_day_store import SEEN, StoredDays
from vouch.features.vectors.distinct_values import (
    MOST_INSTANTS,
    DistinctValues,
    counts_distinct_values,
    distinct_values,
)
from vouch.features.vectors.group_by import FeatureGroup, aggregated, narrowed, part_name
from vouch.features.vectors.windows import in_windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vouch.features.asof import Frame, Tables
    from vouch.features.vectors.declare import Feature

ROLLED = frozenset({"usage_events"})
"""Tables with several rows per customer and day; where there are few, straight from the rows is as fast."""
FEWEST_INSTANTS = 2
"""For one instant, windows straight from the rows cost as much as the cells alone."""
FEWEST_ROWS, MOST_ROWS = 50_000, 30_000_000
"""Below, the steps cost more than they save; above, cells would take more than 4 GB, and the engine can go to disk."""
FEWEST_ROWS_APART = 1_000_000
"""From so many rows on, active days and distinct values cost less in passes of their own than among all rows."""
MOST_CELLS, MOST_SAMPLED = 2_500_000, 1_000_000
"""Kept cells that are windowed at a time, about 1 GB, and those that tell where to cut."""


@dataclass(frozen=True)
class Cells:
    """Cells of some customers in the order of these and of days, and the customers with their numbers."""

    of_days: nw.DataFrame[Any]
    customers: nw.DataFrame[Any]


@dataclass(frozen=True)
class Rollup:
    """The features of one table that can be had from customer-days, and these, by hour of the instants."""

    group: FeatureGroup
    instants: tuple[int, ...]
    cells: Callable[[int], Iterator[Cells]]
    """Gives the cells for an hour, in one piece or customer range by customer range."""

    def partial(self, as_of_us: int) -> Frame:
        """Partial results at one of the instants, as the direct path gives them."""
        windowed = partial(self._windowed, as_of_us)
        # with `map`, no name stays with a piece: it is gone before the next one is made
        return nw.concat([*map(windowed, self.cells(as_of_us % DAY_US))]).lazy()

    def _windowed(self, as_of_us: int, piece: Cells) -> nw.DataFrame[Any]:
        at, phase = self.instants.index(as_of_us), as_of_us % DAY_US
        cells = piece.of_days.filter(nw.col("seen_from") <= at, nw.col("seen_until") > at, nw.col("own_us") < as_of_us)
        is_same = nw.col("number") == nw.col("number").shift(1)
        moved = nw.col("day") - nw.col("day").shift(1)
        cells = cells.with_columns(
            day_gap=nw.when(is_same, moved > 0).then(moved),
            is_new_day=~is_same.fill_null(False) | (moved > 0),
            as_of_us=nw.lit(as_of_us, nw.Int64),
        )
        parts = {name: _from_cells(part, phase) for name, part in self.group.parts.items()}
        values, left = in_windows(cells, "number", parts, as_of_us)
        if left:
            rest = aggregated(cells.lazy(), left, "number", "as_of_us").drop("as_of_us").collect()
            values = values.join(rest, on="number", how="left")
        values = values.with_columns(nw.lit(as_of_us, nw.Int64).alias("as_of_us"))
        return values.join(piece.customers, on="number", how="left").drop("number")


Prepared = Rollup | DistinctValues | ActiveDays


def divided(
    tables: Tables, groups: Sequence[FeatureGroup], instants: Sequence[int]
) -> tuple[list[Prepared], list[FeatureGroup]]:
    """Prepare for all instants at once what can be, and give the groups that are left for the rows."""
    rollups: list[Prepared] = []
    left = []
    ordered = sorted(set(instants))
    for group in groups:
        rolled = tuple(member for member in group.members if _can_be_rolled(member, group))
        rollup = _rollup(tables, replace(group, members=rolled), ordered) if rolled else None
        if rollup is not None:
            rollups.append(rollup)
        elif rolled and _is_large(tables, group.table):
            of_days = [member for member in rolled if is_from_days(member, ordered)]
            rollups += [ActiveDays(days, tables) for days in _some(group, of_days)]
            left += _some(group, [member for member in rolled if member not in of_days])
        else:
            left.append(group)
            continue
        for rest in _some(group, [member for member in group.members if member not in rolled]):
            if (
                rollup is not None
                and FEWEST_INSTANTS <= len(ordered) <= MOST_INSTANTS
                and counts_distinct_values(rest, tables)
            ):
                rollups.append(distinct_values(tables, rest, ordered))
            else:
                left.append(rest)
    return rollups, left


def _some(group: FeatureGroup, members: Sequence[Feature]) -> list[FeatureGroup]:
    """The group with some of its features, where there are any."""
    return [replace(group, members=tuple(members))] if members else []


def _is_large(tables: Tables, table: str) -> bool:
    """Whether it pays to have active days, and distinct values, which look back a little way, apart from the rest."""
    return table in ROLLED and tables.engine != "spark" and _rows(tables, table) >= FEWEST_ROWS_APART


def _rows(tables: Tables, table: str) -> int:
    return int(tables.frames[table].select(nw.len()).collect().item())


def _rollup(tables: Tables, group: FeatureGroup, instants: Sequence[int]) -> Rollup | None:
    """Customer-days from what is kept, or from the rows; None where they gain nothing."""
    if group.table not in ROLLED or tables.table(group.table).later or tables.engine == "spark":
        return None
    if group.table in tables.partitions and not any(instant % DAY_US for instant in instants):
        stored = _stored_days(tables, group)
        return Rollup(group, tuple(instants), _Pieces(stored, instants)) if stored.is_worth_it() else None
    if len(instants) < FEWEST_INSTANTS:
        return None
    is_fitting = FEWEST_ROWS <= _rows(tables, group.table) <= MOST_ROWS
    return _rolled_up(tables, group, instants) if is_fitting else None


def _additive(group: FeatureGroup) -> tuple[FeatureGroup, dict[str, Primitive]]:
    """What is summed up by customer and day: the group without features that read gaps, and its parts over all rows."""
    of_rows = replace(group, members=tuple(member for member in group.members if "day_gap" not in member.reads))
    additive = [replace(part, window=EVER) for part in of_rows.parts.values() if not counts_days(part)]
    return of_rows, {part_name(part): part for part in additive}


def _stored_days(tables: Tables, group: FeatureGroup) -> StoredDays:
    assert tables.rollups is not None, "files stand with the place for their customer-days"
    return StoredDays(tables, *_additive(group), tables.rollups / group.table)


class _Pieces:
    """Stored cells, so many at a time as fit into memory: ranges of customers, which stand in order in each file."""

    def __init__(self, stored: StoredDays, instants: Sequence[int]) -> None:
        self.stored, self.instants = stored, instants
        self.whole: Cells | None = None

    def __call__(self, _: int) -> Iterator[Cells]:
        """The cells for instants at midnight."""
        if self.whole is None:
            cells, by = self.stored.at(self.instants), self.stored.group.by
            if edges := self._edges(cells):
                yield from (_ordered(piece, by) for piece in _between(cells, by, edges))
                return
            self.whole = _ordered(cells, by)
        yield self.whole

    def _edges(self, cells: Frame) -> list[str]:
        """Customers at which to cut, so that pieces are about equal in cells, as those of some days tell."""
        many = int(cells.select(nw.len()).collect().item())
        pieces = -(-many // MOST_CELLS)
        if pieces < 2:
            return []
        of_days = nw.col("day") % max(many // MOST_SAMPLED, 1) == 0
        ordered = cells.filter(of_days).select(self.stored.group.by).collect()[self.stored.group.by].sort()
        places = (len(ordered) * number // pieces for number in range(1, pieces))
        return list(dict.fromkeys(str(ordered[place]) for place in places)) if len(ordered) else []


def _between(cells: Frame, by: str, edges: Sequence[str]) -> Iterator[Frame]:
    """The cells of the customers before the first edge, between edges, and from the last one on."""
    for low, high in itertools.pairwise([None, *edges, None]):
        piece = cells if low is None else cells.filter(nw.col(by) >= low)
        yield piece if high is None else piece.filter(nw.col(by) < high)


def _ordered(cells: Frame, by: str) -> Cells:
    rows = cells.with_columns((nw.col("day") * DAY_US).alias("own_us")).collect()
    customers = _numbered({0: rows}, by)
    return Cells(_in_order(rows, customers, by), customers)


def _can_be_rolled(member: Feature, group: FeatureGroup) -> bool:
    """Whether all parts add up over days: what a row gives must not hang on other rows, or on the instant."""
    alone = FeatureGroup(group.table, group.by, (member,))
    hangs = alone.hangs_on_instant or any(column.is_ordered for column in alone.columns)
    if hangs or (alone.has_day_gap and member.reads != {"day_gap"}):
        return False
    return all(part.operation in {"count", "sum", "min", "max"} or counts_days(part) for part in alone.parts.values())


def _from_cells(part: Primitive, phase: int) -> Primitive:
    """A part of the rows as a part of the cells."""
    if reads_gap(part):
        return part
    if counts_days(part):
        if phase:
            return part
        return Primitive("count", where=nw.col("is_new_day"), window=part.window)
    sums = nw.col(part_name(replace(part, window=EVER)))
    return Primitive("sum" if part.operation == "count" else part.operation, sums, window=part.window)


def _rolled_up(tables: Tables, group: FeatureGroup, instants: Sequence[int]) -> Rollup:
    of_rows, parts = _additive(group)
    rows = narrowed(visible(tables, group.table, instants), of_rows, "day", *SEEN)
    cells = {}
    for phase in sorted({instant % DAY_US for instant in instants}):
        slot = (nw.col("own_us") + (DAY_US - phase)) // DAY_US * DAY_US - (DAY_US - phase)
        keys = (group.by, "day", *SEEN, *(["slot_us"] if phase else []))
        summed = aggregated(rows.with_columns(slot.alias("slot_us")) if phase else rows, parts, *keys)
        begin = nw.col("slot_us") if phase else nw.col("day") * DAY_US
        counts = [nw.col(name).cast(nw.Int64) for name, part in parts.items() if part.operation == "count"]
        cells[phase] = summed.with_columns(*counts, begin.alias("own_us")).collect("polars")
    customers = _numbered(cells, group.by)
    ordered = {phase: Cells(_in_order(of, customers, group.by), customers) for phase, of in cells.items()}
    return Rollup(group, tuple(instants), lambda phase: iter([ordered[phase]]))


def _numbered(cells: dict[int, nw.DataFrame[Any]], by: str) -> nw.DataFrame[Any]:
    """Customers with a number each, which groups faster than a text."""
    customers = nw.concat([of.select(by) for of in cells.values()]).unique().sort(by)
    return customers.with_row_index("number")


def _in_order(cells: nw.DataFrame[Any], customers: nw.DataFrame[Any], by: str) -> nw.DataFrame[Any]:
    return cells.join(customers, on=by, how="left").drop(by).sort("number", "own_us", "day")
