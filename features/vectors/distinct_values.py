"""Distinct counts at many instants from one pass: at which instants a lookback window holds a value, as bits.

The instants at which a window holds a row follow one another, so two comparisons tell them. The bits of all rows of one
customer and value are joined, and what is left to do is to count bits. Rows are not multiplied by instants, and what
must be held at a time is one number per customer, value and window.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import narwhals as nw

from vouch.features.contract.tables import DAY_US
from vouch.features.engines import counted_bits, joined_bits
from vouch.features.vectors.aggregates import EVER
from vouch.features.vectors.group_by import narrowed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vouch.features.asof import Frame, Tables
    from vouch.features.vectors.aggregates import Primitive, Window
    from vouch.features.vectors.group_by import FeatureGroup

MOST_INSTANTS = 60
"""Bits of a 64-bit number that can be shifted freely."""


@dataclass(frozen=True)
class DistinctValues:
    """Features of one table that count distinct values, at several instants."""

    group: FeatureGroup
    instants: tuple[int, ...]
    counts: nw.DataFrame[Any]
    """One row per customer; of each part a column per instant, null where there is nothing to count."""

    def partial(self, as_of_us: int) -> Frame:
        """Partial results at one of the instants, as the direct path gives them; null where that gives 0, or no row."""
        at = self.instants.index(as_of_us)
        values = (nw.col(_column(name, at)).alias(name) for name in self.group.parts)
        return self.counts.lazy().select(self.group.by, nw.lit(as_of_us, nw.Int64).alias("as_of_us"), *values)


def counts_distinct_values(group: FeatureGroup, tables: Tables) -> bool:
    """Whether all that the features need are distinct values in windows, and rows read alike at all instants."""
    hangs = group.hangs_on_instant or group.has_day_gap or any(column.is_ordered for column in group.columns)
    is_bounded = all(part.operation == "distinct" and part.span[0] is not None for part in group.parts.values())
    return is_bounded and not hangs and not tables.table(group.table).later


def distinct_values(tables: Tables, group: FeatureGroup, instants: Sequence[int]) -> DistinctValues:
    """Count the distinct values of a group at several instants (ascending, at most `MOST_INSTANTS`)."""
    rows = _with_bits(tables, group, instants)
    counts = [_counted(rows, group, names, len(instants)).collect("polars") for names in _by_column(group)]
    customers = nw.concat([of.select(group.by) for of in counts]).unique().sort(group.by)
    for of in counts:
        customers = customers.join(of, on=group.by, how="left")
    return DistinctValues(group, tuple(instants), customers)


def _by_column(group: FeatureGroup) -> Iterable[list[str]]:
    """Names of the parts that count values of the same column under the same condition."""
    parts_by_column: dict[str, list[str]] = {}
    for name, part in group.parts.items():
        parts_by_column.setdefault(str(replace(part, window=EVER)), []).append(name)
    return parts_by_column.values()


def _with_bits(tables: Tables, group: FeatureGroup, instants: Sequence[int]) -> Frame:
    """Rows of a customer that some window holds at some instant, with the bits of each window."""
    farthest = group.farthest_days
    assert farthest is not None, "windows are bounded"
    own, superseded = nw.col("own_us"), nw.col("superseded_us")
    rows = tables.frames[group.table].filter(
        own < instants[-1], own >= instants[0] - farthest * DAY_US, ~nw.col("is_deleted")
    )
    everywhere = nw.lit(2 ** len(instants) - 1, nw.Int64)
    rows = rows.with_columns(
        bits_before=passed(nw.max_horizontal("own_us", "ingested_us"), instants),
        bits_until=nw.when(superseded.is_null()).then(everywhere).otherwise(passed(superseded, instants)),
    )
    windows = {_bits_name(part.span): _bits(part.span, instants) for part in group.parts.values()}
    return narrowed(rows.with_columns(**windows), group, *windows)


def passed(time_us: nw.Expr, instants: Sequence[int]) -> nw.Expr:
    """Bits of the instants (ascending) at or before a time: of two such numbers the smaller is what both have."""
    bits = nw.lit(0, nw.Int64)
    for number, instant in enumerate(instants, 1):
        bits = nw.when(time_us >= instant).then(nw.lit(2**number - 1, nw.Int64)).otherwise(bits)
    return bits


def _bits(window: Window, instants: Sequence[int]) -> nw.Expr:
    """Bits of the instants whose window holds a row that is a fact at them; 0 for none."""
    (far, near), own = window, nw.col("own_us")
    assert far is not None, "windows are bounded"
    until = nw.min_horizontal(passed(own + far * DAY_US, instants), "bits_until")
    before = nw.col("bits_before")
    if near:
        before = nw.max_horizontal(passed(own + near * DAY_US, instants), "bits_before")
    return nw.when(until > before).then(until - before).otherwise(nw.lit(0, nw.Int64))


def _bits_name(window: Window) -> str:
    return f"bits_{window[0]}_{window[1]}"


def _column(part: str, at: int) -> str:
    return f"{part}_{at}"


def _counted(rows: Frame, group: FeatureGroup, names: Sequence[str], instants: int) -> Frame:
    """The number of values by customer, part and instant."""
    parts = {name: group.parts[name] for name in names}
    one: Primitive = next(iter(parts.values()))
    assert one.value is not None, "values are counted"
    if one.where is not None:
        rows = rows.filter(one.where)
    bits = sorted({_bits_name(part.span) for part in parts.values()})
    chosen = rows.select(group.by, one.value.alias("counted_value"), *bits).filter(~nw.col("counted_value").is_null())
    joined = joined_bits(chosen, (group.by, "counted_value"), bits)
    return counted_bits(
        joined,
        group.by,
        {_column(name, at): (_bits_name(part.span), at) for name, part in parts.items() for at in range(instants)},
    )
