"""Customer-days: rows of a busy table summed up once by customer and day, and windows at many instants from them.

All windows are whole days long, so that a cell of one customer and one day, cut at the hour of the instant, lies wholly
inside or outside each window. Counts, sums, extremes, distinct days and the days between active days can be had from
such cells exactly; distinct values of other columns cannot, and are counted from the rows of their window.

Rows that become known late or are superseded carry the instants at which they are facts in the key of their cell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import narwhals as nw

from features.aggregates import EVER, Primitive
from features.asof import visible
from features.contract import DAY_US, TABLES
from features.grouping import Group, aggregated, narrowed, part_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.asof import Frame, Tables
    from features.define import Feature

ROLLED = frozenset({"usage_events"})
"""Tables with several rows per customer and day; where there are few, straight from the rows is as fast."""
FEWEST_INSTANTS = 2
"""For one instant, windows straight from the rows cost as much as the cells alone."""
FEWEST_ROWS, MOST_ROWS = 50_000, 30_000_000
"""Below, the steps cost more than they save; above, cells would take more than 4 GB, and the engine can go to disk."""
SEEN = ("seen_from", "seen_until")


@dataclass(frozen=True)
class Rollup:
    """The features of one table that can be had from customer-days, and these, by hour of the instants."""

    group: Group
    instants: tuple[int, ...]
    cells: dict[int, nw.DataFrame[Any]]
    customers: nw.DataFrame[Any]

    def partial(self, as_of_us: int) -> Frame:
        """Partial results at one of the instants, as the direct path gives them."""
        at, phase = self.instants.index(as_of_us), as_of_us % DAY_US
        cells = self.cells[phase].filter(
            nw.col("seen_from") <= at, nw.col("seen_until") > at, nw.col("own_us") < as_of_us
        )
        is_same = nw.col("number") == nw.col("number").shift(1)
        gap = nw.when(is_same).then(nw.col("day") - nw.col("day").shift(1))
        cells = cells.with_columns(gap.alias("day_gap"), nw.lit(as_of_us, nw.Int64).alias("as_of_us"))
        parts = {name: _from_cells(part, phase) for name, part in self.group.parts.items()}
        found = aggregated(cells.lazy(), parts, "number", "as_of_us")
        return found.join(self.customers.lazy(), on="number", how="left").drop("number")


def divided(tables: Tables, groups: Sequence[Group], instants: Sequence[int]) -> tuple[list[Rollup], list[Group]]:
    """Roll up what can be rolled up, and give the groups that are left for the rows."""
    rollups: list[Rollup] = []
    left = []
    for group in groups:
        rolled = [member for member in group.members if _can_be_rolled(member, group)]
        if not rolled or len(set(instants)) < FEWEST_INSTANTS or not _is_worth_it(tables, group.table):
            left.append(group)
            continue
        rollups.append(_rolled_up(tables, replace(group, members=tuple(rolled)), sorted(set(instants))))
        if rest := tuple(member for member in group.members if member not in rolled):
            left.append(replace(group, members=rest))
    return rollups, left


def _is_worth_it(tables: Tables, table: str) -> bool:
    if table not in ROLLED or TABLES[table].later or tables.engine == "spark":
        return False
    return FEWEST_ROWS <= int(tables.frames[table].select(nw.len()).collect().item()) <= MOST_ROWS


def _can_be_rolled(member: Feature, group: Group) -> bool:
    """Whether all parts add up over days: what a row gives must not hang on other rows, or on the instant."""
    alone = Group(group.table, group.by, (member,))
    hangs = alone.hangs_on_instant or any(column.is_ordered for column in alone.columns)
    if hangs or (alone.has_day_gap and member.reads != {"day_gap"}):
        return False
    return all(part.operation in {"count", "sum", "min", "max"} or _counts_days(part) for part in alone.parts.values())


def _counts_days(part: Primitive) -> bool:
    return part.operation == "distinct" and part.where is None and repr(part.value) == repr(nw.col("day"))


def _reads_gap(part: Primitive) -> bool:
    return "day_gap" in f"{part.value!r} {part.where!r}"


def _from_cells(part: Primitive, phase: int) -> Primitive:
    """A part of the rows as a part of the cells."""
    if _reads_gap(part):
        return part
    if _counts_days(part):
        if phase:
            return part
        begins = nw.col("day_gap").is_null() | (nw.col("day_gap") > 0)
        return Primitive("count", where=begins, window=part.window)
    kept = nw.col(part_name(replace(part, window=EVER)))
    return Primitive("sum" if part.operation == "count" else part.operation, kept, window=part.window)


def _rolled_up(tables: Tables, group: Group, instants: Sequence[int]) -> Rollup:
    of_rows = replace(group, members=tuple(member for member in group.members if "day_gap" not in member.reads))
    rows = narrowed(visible(tables, group.table, instants), of_rows, "day", *SEEN)
    kept = [replace(part, window=EVER) for part in of_rows.parts.values() if not _counts_days(part)]
    parts = {part_name(part): part for part in kept}
    cells = {}
    for phase in sorted({instant % DAY_US for instant in instants}):
        slot = (nw.col("own_us") + (DAY_US - phase)) // DAY_US * DAY_US - (DAY_US - phase)
        keys = (group.by, "day", *SEEN, *(["slot_us"] if phase else []))
        found = aggregated(rows.with_columns(slot.alias("slot_us")) if phase else rows, parts, *keys)
        begin = nw.col("slot_us") if phase else nw.col("day") * DAY_US
        counts = [nw.col(name).cast(nw.Int64) for name, part in parts.items() if part.operation == "count"]
        cells[phase] = found.with_columns(*counts, begin.alias("own_us")).collect("polars")
    customers = _numbered(cells, group.by)
    return Rollup(group, tuple(instants), {p: _in_order(of, customers, group.by) for p, of in cells.items()}, customers)


def _numbered(cells: dict[int, nw.DataFrame[Any]], by: str) -> nw.DataFrame[Any]:
    """Customers with a number each, which groups faster than a text."""
    found = nw.concat([of.select(by) for of in cells.values()]).unique().sort(by)
    return found.with_row_index("number")


def _in_order(cells: nw.DataFrame[Any], customers: nw.DataFrame[Any], by: str) -> nw.DataFrame[Any]:
    return cells.join(customers, on=by, how="left").drop(by).sort("number", "own_us", "day")
