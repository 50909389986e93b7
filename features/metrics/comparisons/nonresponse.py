"""NPS weighted for nonresponse: strata of all who were asked, each with the weight that it has among them.

Strata are tenure band, plan, region and tenth of use (active days in 28); a stratum with fewer than 5 answers is merged
with its neighbours by leaving out the last of these, then the one before, down to none. Source: post-stratification,
Cochran 1977, *Sampling Techniques*, section 5A.9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute

from vouch.features.contract.tables import ACTIVITY_TABLES
from vouch.features.facts.surveys import DETRACTOR, PROMOTER
from vouch.features.metrics.context import collected
from vouch.features.metrics.estimators import Estimate
from vouch.features.metrics.populations.customers import activity
from vouch.features.metrics.splits import COLUMNS, TENURE
from vouch.features.statistics.intervals import Interval, Z

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext
    from vouch.features.metrics.estimators import Floats

LEAST_ANSWERS = 5
STRATA = (TENURE, "plan", "region", "use")
TENTHS = 10


@dataclass(frozen=True)
class Stratum:
    """How many were asked, and of those who answered how many would recommend, would not, and are in between."""

    asked: int
    up: int
    down: int
    answered: int


def stratified(strata: Sequence[Stratum]) -> tuple[Estimate, Interval]:
    """NPS as the sum of those of the strata by their share of all asked; a stratum without an answer is left out.

    >>> found, _ = stratified([Stratum(100, 30, 10, 50), Stratum(300, 10, 30, 50)])
    >>> round(found.value, 9)
    -20.0
    """
    known = [stratum for stratum in strata if stratum.answered]
    asked = sum(stratum.asked for stratum in strata)
    answered = sum(stratum.answered for stratum in known)
    if not known:
        nothing = np.asarray(np.nan)
        return Estimate(None, 0, asked), Interval(nothing, nothing, "stratified")
    whole = sum(stratum.asked for stratum in known)
    value, variance = 0.0, 0.0
    for stratum in known:
        up, down, weight = stratum.up / stratum.answered, stratum.down / stratum.answered, stratum.asked / whole
        value += weight * 100 * (up - down)
        variance += weight**2 * 10_000 * (up + down - (up - down) ** 2) / stratum.answered
    half = Z * float(np.sqrt(variance))
    interval = Interval(np.asarray(value - half), np.asarray(value + half), "stratified").within(-100, 100)
    return Estimate(value, answered, asked - answered), interval


def weighted_nps(context: MetricContext, answers: Frame) -> tuple[Estimate, Interval]:
    """Weight the answers (one row per customer asked, `score` null without an answer) to all who were asked."""
    asked = collected(answers.select("customer_id", score=nw.col("score").cast(nw.Float64)))
    codes = _strata(context, asked["customer_id"])
    score = asked["score"].to_numpy().astype(np.float64)
    return stratified(list(_merged(codes, score)))


def _strata(context: MetricContext, customers: pa.ChunkedArray) -> list[tuple[str, ...]]:
    """The stratum of each customer, coarse first."""
    people = context.people
    place = pa.compute.index_in(customers, value_set=people["customer_id"]).to_pylist()
    columns = [context.labels(name) for name in STRATA if name == TENURE or _is_known(context, name)]
    columns.append(_tenths(context))
    names = list(zip(*columns, strict=True))
    return [("",) * len(columns) if at is None else tuple(names[at]) for at in place]


def _is_known(context: MetricContext, name: str) -> bool:
    return name in COLUMNS and context.has("customers", name)


def _tenths(context: MetricContext) -> list[str]:
    """Tenth of use of each customer of `people`, ties together."""
    if not any(context.has(table) for table in ACTIVITY_TABLES):
        return [""] * len(context.people)
    used = collected(context.keep(activity).select("customer_id", days=nw.col("active_days").cast(nw.Float64)))
    place = pa.compute.index_in(context.people["customer_id"], value_set=used["customer_id"])
    days = used["days"].take(place).fill_null(0.0).to_numpy()
    ordered = np.sort(days)
    below, upto = np.searchsorted(ordered, days, side="left"), np.searchsorted(ordered, days, side="right")
    middle = (below + upto) / 2 / max(len(days), 1)
    return [str(int(tenth)) for tenth in np.minimum(middle * TENTHS, TENTHS - 1)]


def _merged(names: Sequence[tuple[str, ...]], score: Floats) -> list[Stratum]:
    """Strata of enough answers each: what is too small at one depth is put together at the one before."""
    left = np.arange(len(names))
    merged: list[Stratum] = []
    for depth in range(len(names[0]) if names else 0, -1, -1):
        groups: dict[tuple[str, ...], list[int]] = {}
        for row in left.tolist():
            groups.setdefault(names[row][:depth], []).append(row)
        rest: list[int] = []
        for rows in groups.values():
            of_group = score[rows]
            answered = of_group[~np.isnan(of_group)]
            if len(answered) < LEAST_ANSWERS and depth:
                rest += rows
                continue
            up, down = int((answered >= PROMOTER).sum()), int((answered <= DETRACTOR).sum())
            merged.append(Stratum(len(rows), up, down, len(answered)))
        left = np.array(rest, dtype=np.int64)
    return merged
