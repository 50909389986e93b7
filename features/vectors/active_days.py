"""Active-day features straight from the rows of a large table: one row per customer and day first, then the rest.

To put all rows in order, or to count the distinct days among them, costs several times what everything else does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.asof import view
from vouch.features.contract.tables import DAY_US
from vouch.features.vectors.aggregates import Primitive
from vouch.features.vectors.group_by import aggregated, narrowed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vouch.features.asof import Frame, Tables
    from vouch.features.vectors.declare import Feature
    from vouch.features.vectors.group_by import FeatureGroup


@dataclass(frozen=True)
class ActiveDays:
    """Features of one table that need to know no more than when a customer's days began, and of how many rows each."""

    group: FeatureGroup
    tables: Tables

    def partial(self, as_of_us: int) -> Frame:
        """Partial results at one instant, as the rows give them."""
        by, table = self.group.by, self.group.table
        rows = narrowed(view(self.tables, table, as_of_us), replace(self.group, members=()), "day", "as_of_us")
        days = rows.group_by(by, "as_of_us", "day").agg(nw.col("own_us").min(), nw.len().alias("rows"))
        before = nw.col("day").shift(1).over(by, "as_of_us", order_by="day")
        parts = {name: _from_days(part) for name, part in self.group.parts.items()}
        values = aggregated(days.with_columns(day_gap=nw.col("day") - before), parts, by, "as_of_us")
        return values if values.implementation.is_polars() else values.collect("polars").lazy()


def is_from_days(member: Feature, instants: Sequence[int]) -> bool:
    """Whether a feature of a table can be had from active days: at midnight, windows hold days whole or not at all."""
    parts = [] if member.aggregate is None else list(member.aggregate.primitives())
    if not any(reads_gap(part) or counts_days(part) for part in parts) or not member.reads <= {"day", "day_gap"}:
        return False
    return all(
        reads_gap(part) or ((_is_count(part) or counts_days(part)) and not any(at % DAY_US for at in instants))
        for part in parts
    )


def counts_days(part: Primitive) -> bool:
    """Whether a part is the number of distinct days."""
    return str(part) == str(Primitive("distinct", nw.col("day"), window=part.window))


def reads_gap(part: Primitive) -> bool:
    """Whether a part reads the days since the active day before."""
    return "day_gap" in part.reads


def _is_count(part: Primitive) -> bool:
    return part.operation == "count" and part.where is None


def _from_days(part: Primitive) -> Primitive:
    """A part of the rows as a part of the days."""
    if counts_days(part):
        return Primitive("count", window=part.window)
    return Primitive("sum", nw.col("rows"), window=part.window) if _is_count(part) else part
