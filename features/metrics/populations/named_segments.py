"""Segments of customers with names in words: buyers by how lately, often and dear they buy, users by their days of use.

Both are of what customers did up to the instant. Buyers are held against each other, so that a third of them is in each
step; users are not, so that a company whose use fades has fewer of those who use it weekly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.metrics.context import collected
from vouch.features.metrics.populations.customers import only_listed, percentile
from vouch.features.metrics.populations.orders import orders
from vouch.features.metrics.splits import BUYERS, NO_PURCHASE, TOUCHPOINT, USE_DAYS, USERS, buyer_segment, use_band

if TYPE_CHECKING:
    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

YEAR_DAYS = 365
STEPS = 3
AXES = ("recency", "frequency", "spend")


def value_segments(context: MetricContext) -> Frame:
    """Recency, frequency and spend of the buyers of a year, each in thirds by percentile rank: `rfm` 0 to 26."""
    rows = context.keep(orders).filter(nw.col("own_us") >= context.before(YEAR_DAYS))
    segments = (
        only_listed(context, rows)
        .group_by("customer_id")
        .agg(nw.col("own_us").max().alias("recency"), nw.len().alias("frequency"), nw.col("cents").sum().alias("spend"))
    )
    segment: nw.Expr = nw.lit(0, nw.Int64)
    for name in AXES:
        segment = segment * STEPS + (percentile(name) / (100 / STEPS)).floor().clip(0, STEPS - 1).cast(nw.Int64)
    return segments.with_columns(rfm=segment).select("customer_id", "rfm")


def thirds(code: int) -> dict[str, int]:
    """Third of each axis, 1 to 3 (3 is the best), of a segment's code.

    >>> thirds(0), thirds(25)
    ({'recency': 1, 'frequency': 1, 'spend': 1}, {'recency': 3, 'frequency': 3, 'spend': 2})
    """
    return {name: code // STEPS ** (len(AXES) - 1 - place) % STEPS + 1 for place, name in enumerate(AXES)}


def segment_labels(context: MetricContext, by: str | None) -> list[str] | None:
    """Segment of each customer of `people` in a split; None where its segments are not of customers."""
    if by is None or by == TOUCHPOINT:
        return None
    if by not in (BUYERS, USERS):
        return context.labels(by)
    people = context.people["customer_id"].to_pylist()
    if by == BUYERS:
        table = collected(context.keep(value_segments))
        named = {row["customer_id"]: buyer_segment(**thirds(row["rfm"])) for row in table.to_pylist()}
        return [named.get(customer, NO_PURCHASE) for customer in people]
    used = context.rows("usage_events", USE_DAYS).group_by("customer_id").agg(nw.col("day").n_unique().alias("days"))
    days = {row["customer_id"]: row["days"] for row in collected(used).to_pylist()}
    return [use_band(days.get(customer, 0)) for customer in people]
