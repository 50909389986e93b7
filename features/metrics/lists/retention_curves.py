"""Retention curves (behind M15): how many new customers come back on day k, and from day k on, for many k.

Only those whose day k is over are counted. The share of all of them together (pooled) and the plain mean of the monthly
cohorts are both told; a cohort of whom nobody came back is a cohort with 0 %, not one to be skipped. The survival curve
of stays, with those still there taken into account, stands beside it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.metrics.catalogue import Absent
from vouch.features.metrics.context import collected
from vouch.features.metrics.definitions.lifetime import lifetimes, survival
from vouch.features.metrics.populations.customers import only_listed
from vouch.features.metrics.populations.orders import comebacks
from vouch.features.statistics import intervals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vouch.features.metrics.context import MetricContext
    from vouch.features.metrics.estimators import Floats

DAYS = (1, 3, 7, 14, 30, 60, 90, 180, 365)
COHORT_DAYS = 28


@dataclass(frozen=True)
class Point:
    """The curve at one day, in percent: `pooled` with its interval, and the mean of the cohorts."""

    day: int
    is_from: bool
    n: int
    cohorts: int
    pooled: float | None
    ci_low: float | None
    ci_high: float | None
    mean_of_cohorts: float | None

    def as_dict(self) -> dict[str, Any]:
        """The columns by name."""
        return asdict(self)


def pooled_and_mean(cohorts: Floats, hits: Floats) -> tuple[float | None, float | None, int]:
    """Share of all together, plain mean of the shares of the cohorts, and how many cohorts there are; in percent.

    >>> pooled_and_mean(np.array([1.0] * 100 + [2.0] * 10), np.array([1.0] * 25 + [0.0] * 85))
    (22.727272727272727, 12.5, 2)
    """
    if not len(hits):
        return None, None, 0
    codes = np.unique(cohorts, return_inverse=True)[1]
    sizes, came = np.bincount(codes), np.bincount(codes, hits)
    return float(100 * hits.mean()), float(100 * (came / sizes).mean()), len(sizes)


def retention_curve(context: MetricContext, days: Sequence[int] = DAYS) -> list[Point]:
    """The curve of customers created since activity is recorded, at these days: exactly on the day, and on it or later.

    Whoever was there before the data begin could not be seen coming back, and is left out.
    """
    begin_us = context.as_of_us if context.begins_us is None else context.begins_us
    created = context.customers().filter(nw.col("own_us") >= begin_us)
    people = collected(created.select("customer_id", day=nw.col("own_us") // DAY_US)).sort_by("customer_id")
    used = comebacks(context).select("customer_id", "day").unique().collect("polars").lazy()
    born = created.select("customer_id", born=nw.col("own_us") // DAY_US)
    came = collected(used.join(born, on="customer_id", how="inner").with_columns(age=nw.col("day") - nw.col("born")))
    came = came.filter(came["age"].to_numpy() >= 0)
    codes = {customer: row for row, customer in enumerate(people["customer_id"].to_pylist())}
    rows = np.array([codes[customer] for customer in came["customer_id"].to_pylist()], dtype=np.int64)
    age, start = came["age"].to_numpy(), people["day"].to_numpy()
    points = []
    for day in days:
        is_over = start + day + 1 <= context.as_of_us // DAY_US
        for is_from in (False, True):
            hits = np.zeros(len(start))
            hits[rows[age >= day if is_from else age == day]] = 1.0
            points.append(_point(day, is_from, (start // COHORT_DAYS)[is_over], hits[is_over]))
    return points


def _point(day: int, is_from: bool, cohorts: Floats, hits: Floats) -> Point:
    pooled, mean, count = pooled_and_mean(cohorts, hits)
    ends = intervals.wilson(hits.sum(), len(hits)).scaled(100)
    low, high = (None if pooled is None else float(end) for end in (ends.low, ends.high))
    return Point(day, is_from, len(hits), count, pooled, low, high, mean)


def survival_curve(context: MetricContext, days: Sequence[int] = DAYS) -> list[dict[str, float | int]]:
    """Share of stays that last longer than so many days, by Kaplan and Meier; nothing where there are no stays."""
    frame = lifetimes.prepare(context, None)
    assert not isinstance(frame, Absent)
    table = collected(only_listed(context, frame).select("lasted", "is_over"))
    lasted, is_over = (table[name].to_numpy().astype(np.float64) for name in ("lasted", "is_over"))
    left = survival(lasted, is_over).evaluate(days)
    return [
        {"day": day, "share": float(share), "at_risk": int((lasted >= day).sum())}
        for day, share in zip(days, left, strict=True)
    ]
