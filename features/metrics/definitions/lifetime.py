"""Metrics of lifetime: return after a month, lifetime, early silence, known churn reasons (M15, M17 to M19)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
from scipy.stats import CensoredData, ecdf

from vouch.features.contract.tables import DAY_US
from vouch.features.facts.activity import is_recent
from vouch.features.facts.spans import has_ended
from vouch.features.facts.stays import ended
from vouch.features.metrics.catalogue import Example, Items, Row, items, metric
from vouch.features.metrics.estimators import NOT_BELOW_0, Custom, Estimate, Floats, Parts, Proportion
from vouch.features.metrics.examples import repeated
from vouch.features.metrics.populations.customers import activity, stays, tells_ends
from vouch.features.metrics.populations.orders import comebacks, purchases
from vouch.features.statistics.intervals import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scipy.stats._result_classes import EmpiricalDistributionFunction

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

RETURN_DAYS = 30
FIRST_DAYS = 365
LONGEST_DAYS = 90


@items("customers", "usage_events|transactions", counts="customers")
def newcomers(context: MetricContext, days: int | None) -> Frame:
    """External customers whose 30th day after the day of their creation has fully passed, within the window."""
    assert days is not None
    since, until = (context.before(back + RETURN_DAYS + 1) for back in (days, 0))
    born = nw.col("own_us") // DAY_US * DAY_US
    people = context.customers().filter(born > since, born <= until)  # day 30 is over at the end of the 31st
    used = comebacks(context).filter(nw.col("own_us") >= since).select("customer_id", "day").unique()
    came = people.join(used.collect("polars").lazy(), on="customer_id", how="left")
    later = nw.col("day") - nw.col("own_us") // DAY_US
    arrivals = came.group_by("customer_id").agg(
        (later == RETURN_DAYS).fill_null(False).cast(nw.Int64).max().alias("on_day"),
        (later >= RETURN_DAYS).fill_null(False).cast(nw.Int64).max().alias("from_day"),
    )
    return arrivals.with_columns(unit=nw.col("customer_id"))


def _came_back(*after: float) -> dict[str, list[dict[str, object]]]:
    people = [{"customer_id": f"c{number}", "created_at": -60} for number in range(5)]
    people.append({"customer_id": "young", "created_at": -30})
    uses: list[dict[str, object]] = [
        {"customer_id": f"c{number}", "occurred_at": -60 + day, "event": "open"} for number, day in enumerate(after)
    ]
    return {"customers": people, "usage_events": uses}


@metric(
    "M15", "Retention on day 30", items=newcomers, kind=Proportion(), days=90, reaches=90 + RETURN_DAYS + 1,
    unit="percent", better="higher",
    when_zero="empty_denominator", source="Amplitude: N-day retention, complete cohorts only",
    formula="100 new customers with usage or an order on the 30th UTC day after the day of creation / new "
    "customers whose 30th day has passed",
    version="2",
    example=Example("Of 5 whose day 30 is over, 2 come on it: 40", _came_back(30, 30.9, 29, 31), 40.0),
)  # fmt: skip
def retention_day_30(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of new customers who came back exactly on day 30."""
    return {"hit": customer.on_day}


@metric(
    "M15", "Retention from day 30", items=newcomers, kind=Proportion(), days=90, reaches=90 + RETURN_DAYS + 1,
    unit="percent", better="higher",
    when_zero="empty_denominator", source="Amplitude: unbounded retention, complete cohorts only",
    formula="100 new customers with usage or an order on or after the 30th UTC day after the day of creation / "
    "new customers whose 30th day has passed",
    version="2",
    example=Example("Of 5 whose day 30 is over, 3 come on it or after it: 60", _came_back(30, 30.9, 29, 31), 60.0),
)  # fmt: skip
def retention_from_day_30(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of new customers who came back on day 30 or later."""
    return {"hit": customer.from_day}


@items("subscriptions|usage_events|transactions", counts="customers")
def lifetimes(context: MetricContext, days: int | None) -> Frame:
    """Stays of external customers, those that run on counted as unfinished.

    Without subscriptions, or ends of any, a stay is from the first use or transaction to the last, over after 90 days
    without any.
    """
    if tells_ends(context):
        spans = context.keep(stays).with_columns(unit=_stay_unit())
        is_over = has_ended(nw.col("end_us"), context.as_of_us)
        start = nw.col("started_us")
    else:
        spans = context.keep(activity).with_columns(end_us=nw.col("last_us"), unit=nw.col("customer_id"))
        is_over = ~is_recent(nw.col("last_us"), context.as_of_us)
        start = nw.col("first_us")
    until = nw.when(is_over).then(nw.col("end_us")).otherwise(nw.lit(context.as_of_us, nw.Int64))
    return spans.with_columns(is_over=is_over.cast(nw.Int64), lasted=(until - start).cast(nw.Float64) / DAY_US)


def _stay_unit() -> nw.Expr:
    return nw.concat_str(nw.col("customer_id"), nw.col("stay").cast(nw.String), separator="\n")


def survival(lasted: Floats, is_over: Floats) -> EmpiricalDistributionFunction:
    """Kaplan-Meier: the share that lasts longer than each time.

    Source: Kaplan & Meier 1958, JASA 53:457-481; Greenwood 1926.
    """
    return ecdf(CensoredData(lasted[is_over > 0], right=lasted[is_over == 0])).sf


def _first_at_most_half(times: Floats, share: Floats) -> float:
    below = np.flatnonzero(share <= 0.5 + 1e-12)
    return float(times[below[0]]) if len(below) else float("nan")


def median_survival(parts: Parts) -> Estimate:
    """The first time at which at most half are left."""
    curve = survival(parts["lasted"], parts["is_over"])
    middle = _first_at_most_half(curve.quantiles, curve.probabilities)
    if np.isnan(middle):
        return Estimate(None, len(parts["lasted"]), status="empty", reason="more than half are still there")
    return Estimate(middle, len(parts["lasted"]))


def median_survival_ends(parts: Parts) -> Interval:
    """Brookmeyer & Crowley 1982, Biometrics 38:29-41, on the log-log scale; no upper end where it is not reached."""
    curve = survival(parts["lasted"], parts["is_over"])
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # no interval where all or none are left
        band: Any = curve.confidence_interval(method="log-log")
    sides = (np.where(np.isnan(side.probabilities), curve.probabilities, side.probabilities) for side in band)
    low, high = (np.asarray(_first_at_most_half(curve.quantiles, side)) for side in sides)
    return Interval(low, high, "kaplan_meier_log_log")


@metric(
    "M17", "Median lifetime", items=lifetimes, unit="days", better="higher",
    version="3",
    kind=Custom(("lasted", "is_over"), median_survival, median_survival_ends, "kaplan_meier_log_log",
                limits=NOT_BELOW_0),
    source="Kaplan & Meier 1958, JASA 53:457-481; interval: Brookmeyer & Crowley 1982, Biometrics 38:29-41",
    formula="first day at which the Kaplan-Meier share of stays that last longer is at most a half",
    absent=("`empty`: more than half are still there",),
    example=Example("Stays that end after 10, 20 and 40 days, two that run on since 30 and 50: 40",
                    {"subscriptions": [{"started_at": -60, "ended_at": -50, "mrr": 1},
                                       {"started_at": -60, "ended_at": -40, "mrr": 1},
                                       {"started_at": -60, "ended_at": -20, "mrr": 1},
                                       {"started_at": -30, "mrr": 1}, {"started_at": -50, "mrr": 1}]}, 40.0),
)  # fmt: skip
def median_lifetime(stay: Row) -> Mapping[str, nw.Expr]:
    """Days after which half of the customers have left, those still there taken into account."""
    return {"lasted": stay.lasted, "is_over": stay.is_over}


def first_buyers(context: MetricContext) -> Frame:
    """Customers by their first purchase of the last 455 days: `first_us`, and `next_us`, when they came back."""
    firsts = purchases(context).group_by("customer_id").agg(nw.col("own_us").min().alias("first_us"))
    firsts = firsts.filter(nw.col("first_us") >= context.before(FIRST_DAYS + LONGEST_DAYS))
    seen = comebacks(context).join(firsts, on="customer_id", how="inner")
    again = nw.when(nw.col("own_us") > nw.col("first_us")).then(nw.col("own_us"))
    return seen.group_by("customer_id").agg(nw.col("first_us").min(), again.min().alias("next_us"))


def _matured_buyers(follow: int) -> Items:
    def prepare(context: MetricContext, days: int | None) -> Frame:
        assert days is not None
        buyers = context.keep(first_buyers).filter(
            nw.col("first_us") >= context.before(days + follow), nw.col("first_us") < context.before(follow)
        )
        is_silent = nw.col("next_us").is_null() | (nw.col("next_us") > nw.col("first_us") + follow * DAY_US)
        return buyers.with_columns(is_silent=is_silent.cast(nw.Int64), unit=nw.col("customer_id"))

    return Items(
        f"first_buyers_{follow}", prepare, ("transactions",), f"external customers with a first purchase more than "
        f"{follow} days ago", counts="customers",
    )  # fmt: skip


def _first_purchases(*next_days: float) -> dict[str, list[dict[str, object]]]:
    rows = [{"customer_id": f"c{n}", "occurred_at": -200, "amount": 10, "kind": "purchase"} for n in range(6)]
    more = [
        {"customer_id": f"c{n}", "occurred_at": -200 + day, "amount": 10, "kind": "purchase"}
        for n, day in enumerate(next_days)
    ]
    return {"transactions": [*rows, *more, {"occurred_at": -20, "amount": 10, "kind": "purchase"}]}


Definition = Callable[[Row], "Mapping[str, nw.Expr]"]


def _early(follow: int, again: int, value: float) -> Callable[[Definition], Definition]:
    """One of the three metrics that differ in how long a new buyer is followed."""
    return metric(
        "M18", f"Immediate churn, {follow} days", items=_matured_buyers(follow), kind=Proportion(), days=FIRST_DAYS,
        reaches=FIRST_DAYS + follow, unit="percent", better="lower", when_zero="empty_denominator", published=False,
        version="2", source="Our definition: customers who leave right after their purchase",
        formula=f"100 (no usage and no order within {follow} days after the first purchase) / first purchases "
        f"between {FIRST_DAYS + follow} and {follow} days ago",
        example=Example(f"Of 6 first buyers {again} come again within {follow} days: {value:g}",
                        _first_purchases(1, 30, 20, 31, 70), value),
    )  # fmt: skip


@_early(30, 3, 50.0)
def immediate_churn_30(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of new buyers who were not seen again within 30 days."""
    return {"hit": customer.is_silent}


@_early(60, 4, 33.3333)
def immediate_churn_60(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of new buyers who were not seen again within 60 days."""
    return {"hit": customer.is_silent}


@_early(90, 5, 16.6667)
def immediate_churn_90(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of new buyers who were not seen again within 90 days."""
    return {"hit": customer.is_silent}


@items("subscriptions", "subscriptions.cancel_reason", counts="customers")
def leavers(context: MetricContext, days: int | None) -> Frame:
    """Stays of external customers that ended in the window, without a resumption that is known."""
    assert days is not None
    spans = context.keep(stays).filter(nw.col("end_us") >= context.before(days), nw.col("end_us") < context.as_of_us)
    newest = context.keep(stays).group_by("customer_id").agg(nw.col("end_us").max().alias("newest_us"))
    spans = spans.join(newest, on="customer_id", how="left").filter(nw.col("end_us") == nw.col("newest_us"))
    return ended(spans).with_columns(unit=_stay_unit())


@metric(
    "M19", "Churn reasons known", items=leavers, kind=Proportion(), days=90, unit="percent", better="higher",
    version="2", published=False, source="Our definition: whether customers who left were asked why",
    formula="100 churned customers with a recorded reason / churned customers",
    example=Example("2 of 5 leavers have a reason: 40",
                    {"subscriptions": [*repeated(2, started_at=-99, ended_at=-9, mrr=1, cancel_reason="price"),
                                       *repeated(3, started_at=-99, ended_at=-9, mrr=1)]}, 40.0),
)  # fmt: skip
def churn_reason_coverage(stay: Row) -> Mapping[str, nw.Expr]:
    """Share of the customers who left whose reason is recorded."""
    return {"hit": stay.has_reason}
