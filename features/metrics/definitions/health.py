"""Metrics of customer health by rule, and of how stable the observed segments are (M69 to M71)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np

from vouch.features.facts.spans import has_ended
from vouch.features.health import UNKNOWN, health_at, health_rules
from vouch.features.metrics.catalogue import Example, Row, items, metric
from vouch.features.metrics.context import MetricContext
from vouch.features.metrics.estimators import Custom, Estimate, Mean, Parts, Proportion
from vouch.features.metrics.examples import answers
from vouch.features.metrics.populations.customers import active, stays
from vouch.features.metrics.populations.named_segments import STEPS, YEAR_DAYS, value_segments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.asof import Frame
    from vouch.features.statistics.intervals import Interval

COMPARED_DAYS = 49
"""The rules hold four weeks against the four before: without most of these every customer would seem to use more."""
WEEK_DAYS = 7
BOUNDS = ("health_low", "health_high")


def health(context: MetricContext) -> Frame:
    """Health of the customers who are active: from a published snapshot where there is one, else by the rules.

    A week that was published before its scores held the bounds was made by the rules that come with vouch.
    """
    by_rule = context.scores is None or BOUNDS[0] not in context.scores.collect_schema().names()
    rules = context.settings.health if context.scores is None else health_rules()
    rows = health_at(context.tables, context.as_of_us, rules).collect("polars").lazy() if by_rule else None
    if context.scores is not None:
        scored = context.scores.filter(~nw.col("health_band").is_null()).collect("polars").lazy()
        shown = scored.select("customer_id", "health_score", "health_band", *(() if by_rule else BOUNDS))
        rows = shown if rows is None else shown.join(rows.select("customer_id", *BOUNDS), on="customer_id", how="left")
    assert rows is not None
    chosen = rows.select("customer_id", "health_score", *BOUNDS, "health_band")
    chosen = chosen.join(context.keep(active).select("customer_id"), on="customer_id", how="semi")
    if not context.has("subscriptions"):
        return chosen
    newest = context.keep(stays).group_by("customer_id").agg(nw.col("end_us").max())
    left = newest.filter(has_ended(nw.col("end_us"), context.as_of_us))
    return chosen.join(left.select("customer_id"), on="customer_id", how="anti")


@items("customers", "usage_events|transactions|subscriptions", counts="customers")
def healthy(context: MetricContext, days: int | None) -> Frame:
    """External customers who are active at the instant; who has left has no health."""
    return context.keep(health).with_columns(unit=nw.col("customer_id"))


def mean_health(parts: Parts) -> Estimate:
    """The mean score of those of whom enough is known, between the means of the bounds of all."""
    mean = Mean(limits=(0, 100)).estimate({"value": parts["value"]})
    reason = None if mean.n else "too little is known: less than the least share of the rules, of every customer"
    known = ~np.isnan(parts["lowest"])
    bounds = None
    if known.any():
        bounds = float(parts["lowest"][known].mean()), float(parts["highest"][known].mean())
    return Estimate(mean.value, mean.n, mean.n_missing, mean.variance, bounds, reason=reason)


def mean_health_ends(parts: Parts) -> Interval:
    """Student's t, or a bootstrap for few."""
    return Mean(limits=(0, 100)).interval_of({"value": parts["value"]}, None)


_USE = {
    "usage_events": [
        {"customer_id": f"c{number}", "occurred_at": -1 - day, "event": "open"}
        for number in range(5) for day in range(0, 56, 2)
    ]
}  # fmt: skip


_WELL = {
    **_USE,
    "surveys": [{**row, "customer_id": f"c{number}"} for number, row in enumerate(answers("nps", [10] * 5, 0, 10))],
    "tickets": [{"customer_id": f"c{number}", "opened_at": -40, "resolved_at": -39} for number in range(5)],
}


@metric(
    "M69", "Health score", items=healthy, unit="points", better="higher", published=False, reaches=COMPARED_DAYS,
    kind=Custom(("value", "lowest", "highest"), mean_health, mean_health_ends, "student_t", limits=(0, 100)),
    source="Our rules, in health.toml: product use, feedback, support, community, commercial",
    formula="mean over active customers of sum(weight points) / sum(weight) over the measures that are there, where "
    "these weigh at least 0.6; bounds, of all customers, take a missing measure for 0 and for 100",
    absent=("`empty`: less than 0.6 of the rules is known of every customer",),
    version="3",
    example=Example("As much use as before, the best answer, a ticket resolved, the rest unknown: 100", _WELL, 100.0),
)  # fmt: skip
def health_score(customer: Row) -> Mapping[str, nw.Expr]:
    """How customers fare by the rules, 0 to 100."""
    is_known = customer.health_band != UNKNOWN
    value = nw.when(is_known).then(customer.health_score)
    return {"value": value, "lowest": customer.health_low, "highest": customer.health_high}


@metric(
    "M70", "Customer success rate", items=healthy, kind=Proportion(), unit="percent", better="higher",
    when_zero="empty", published=False, source="Our definition: healthy by our rules", reaches=COMPARED_DAYS,
    version="2",
    formula="100 customers in the band healthy / customers in a known band",
    example=Example("Nothing but use is known, too little for a band", _USE, None, "empty"),
)  # fmt: skip
def success_rate(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the customers who fare well."""
    is_healthy = (customer.health_band == "healthy").cast(nw.Int64)
    return {"hit": nw.when(customer.health_band != UNKNOWN).then(is_healthy)}


@items("transactions", counts="customers")
def settled(context: MetricContext, days: int | None) -> Frame:
    """External customers who bought in the year before the instant and in the year before the week before."""
    earlier = MetricContext(context.tables, context.before(WEEK_DAYS))
    before = earlier.keep(value_segments).select("customer_id", rfm_before=nw.col("rfm"))
    people = context.keep(value_segments).join(before, on="customer_id", how="inner")
    return people.with_columns(unit=nw.col("customer_id"))


def agreement(parts: Parts) -> Estimate:
    """Adjusted Rand index: 1 where the segments are the same, 0 where they agree by chance alone.

    Source: Hubert & Arabie 1985, Journal of Classification 2:193-218.
    """
    now, before = parts["now"].astype(int), parts["before"].astype(int)
    n = len(now)
    if n < 2:
        return Estimate(None, n)
    table = np.zeros((STEPS**3, STEPS**3))
    np.add.at(table, (now, before), 1)
    pairs = [float((counts * (counts - 1) / 2).sum()) for counts in (table, table.sum(axis=0), table.sum(axis=1))]
    expected = pairs[1] * pairs[2] / (n * (n - 1) / 2)
    most = (pairs[1] + pairs[2]) / 2
    return Estimate(1.0 if most == expected else (pairs[0] - expected) / (most - expected), n)


def _no_ends(parts: Parts) -> Interval | None:
    return None


@metric(
    "M71", "Stability of segments", items=settled, days=YEAR_DAYS, reaches=YEAR_DAYS + WEEK_DAYS, unit="ratio",
    better="higher", hidden_below=30,
    kind=Custom(("now", "before"), agreement, _no_ends, limits=(-1, 1)), published=False,
    source="Segments by recency, frequency, monetary value (Hughes); agreement: Hubert & Arabie 1985",
    formula="adjusted Rand index between the 27 segments (thirds by mid-rank of recency, frequency and spend in 365 "
    "days) now and a week ago",
    version="2",
    example=Example("30 buyers, none of whom bought in the week: 1",
                    {"transactions": [{"customer_id": f"c{n:02}", "occurred_at": -10 - n, "amount": 5 + n % 7,
                                       "kind": "purchase"} for n in range(30)]}, 1.0),
)  # fmt: skip
def segments(customer: Row) -> Mapping[str, nw.Expr]:
    """How much of last week's segments of customers is the same this week."""
    return {"now": customer.rfm, "before": customer.rfm_before}
