"""Metrics of churn and retention, of customers and of recurring revenue, and repeat purchase (M13 to M16)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.facts.activity import is_recent
from vouch.features.facts.spans import ran, runs
from vouch.features.facts.subscriptions import revenue, revenue_then
from vouch.features.metrics.catalogue import Example, Row, items, metric
from vouch.features.metrics.estimators import NOT_BELOW_0, Proportion, Ratio
from vouch.features.metrics.examples import repeated
from vouch.features.metrics.populations.customers import activity, stays, subscriptions, tells_ends
from vouch.features.metrics.populations.orders import purchases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

PERIOD_DAYS = 28


@items("subscriptions|usage_events|transactions", counts="customers")
def starters(context: MetricContext, days: int | None) -> Frame:
    """External customers who were subscribed when the window began, or active where nobody has subscriptions.

    A pause of less than 14 days that a known resumption has closed counts as subscribed. Active is usage or a
    transaction in the 90 days before. Where a company tells of no subscription when it ended, it is activity that
    counts, as in the label of churn: that nobody has left would not be known.
    """
    assert days is not None
    return _began_and_stayed(context, context.before(days)).with_columns(unit=nw.col("customer_id"))


def _began_and_stayed(context: MetricContext, start_us: int) -> Frame:
    """Those who were customers at an instant that is past, and whether they are still: `is_retained`."""
    if tells_ends(context):
        began = _subscribed_then(context, start_us)
        running = context.keep(stays).filter(runs(nw.col("started_us"), nw.col("end_us"), context.as_of_us))
        stayed = running.select("customer_id").unique()
    else:
        used = context.keep(activity)
        began = used.filter(is_recent(nw.col("last_28_us"), start_us)).select("customer_id")
        stayed = used.filter(is_recent(nw.col("last_us"), context.as_of_us)).select("customer_id")
    stayed = stayed.with_columns(is_retained=nw.lit(1, nw.Int64))
    return began.join(stayed, on="customer_id", how="left").with_columns(nw.col("is_retained").fill_null(0))


def _subscribed_then(context: MetricContext, at_us: int) -> Frame:
    """Customers who were subscribed at an instant that is past."""
    spans = context.keep(stays).filter(ran(nw.col("started_us"), nw.col("end_us"), at_us))
    return spans.select("customer_id").unique()


def monthly(share: float) -> float:
    """A churn share of the period, as one of a twelfth of 365 days."""
    return scaled_rate(share, PERIOD_DAYS, 365 / 12)


def annual(share: float) -> float:
    """A churn share of the period, as one of 365 days."""
    return scaled_rate(share, PERIOD_DAYS, 365)


def scaled_rate(share: float, days: float, to_days: float) -> float:
    """A churn share over some days as the share over others, at a constant hazard.

    Source: Gold 2020, *Fighting Churn with Data*, section 2.5.

    >>> round(100 * scaled_rate(0.06, 45, 365 / 12), 4), round(100 * scaled_rate(0.06, 45, 365), 4)
    (4.0961, 39.4608)
    """
    return float(1 - (1 - share) ** (to_days / days))


_LEAVERS = {
    "subscriptions": [*repeated(8, started_at=-100, mrr=10), *repeated(2, started_at=-100, ended_at=-5, mrr=10)]
}


@metric(
    "M13", "Customer retention rate", items=starters, kind=Proportion(), days=PERIOD_DAYS, unit="percent",
    version="3", better="higher", when_zero="empty_denominator",
    source="Gold 2020, Fighting Churn with Data, section 2.1",
    formula="100 (active at the start and at the end) / active at the start; new customers are in neither",
    example=Example("2 of 10 subscribers end and do not resume: 80", _LEAVERS, 80.0),
)  # fmt: skip
def retention_rate(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the customers of 28 days ago who are still there."""
    return {"hit": customer.is_retained}


@metric(
    "M14", "Churn rate", items=starters, kind=Proportion(), days=PERIOD_DAYS, unit="percent", better="lower",
    version="3", when_zero="empty_denominator", source="Gold 2020, Fighting Churn with Data, section 2.1",
    formula="100 - retention rate",
    example=Example("2 of 10 subscribers end and do not resume: 20", _LEAVERS, 20.0),
)  # fmt: skip
def churn_rate(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the customers of 28 days ago who are gone."""
    return {"hit": 1 - customer.is_retained}


@metric(
    "M14", "Churn rate per month", items=starters, kind=Proportion(monthly), days=PERIOD_DAYS, unit="percent",
    version="3", better="lower", when_zero="empty_denominator",
    source="Gold 2020, Fighting Churn with Data, section 2.5",
    formula="100 (1 - (1 - churn rate)^((365/12)/28))",
    example=Example("20 % in 28 days is 21.526 % in a twelfth of 365 days", _LEAVERS, 21.5260),
)  # fmt: skip
def churn_rate_monthly(customer: Row) -> Mapping[str, nw.Expr]:
    """The churn rate of 28 days, scaled to a month at a constant hazard."""
    return {"hit": 1 - customer.is_retained}


@metric(
    "M14", "Churn rate per year", items=starters, kind=Proportion(annual), days=PERIOD_DAYS, unit="percent",
    version="3", better="lower", when_zero="empty_denominator",
    source="Gold 2020, Fighting Churn with Data, section 2.5",
    formula="100 (1 - (1 - churn rate)^(365/28))",
    example=Example("20 % in 28 days is 94.546 % in 365 days", _LEAVERS, 94.5461),
)  # fmt: skip
def churn_rate_annual(customer: Row) -> Mapping[str, nw.Expr]:
    """The churn rate of 28 days, scaled to a year at a constant hazard."""
    return {"hit": 1 - customer.is_retained}


@items("subscriptions", counts="customers")
def revenue_starters(context: MetricContext, days: int | None) -> Frame:
    """External customers with a running subscription when the window began.

    Where a company tells of no subscription when it ended, they are those who were active, and who is active no more
    pays nothing, as in the churn rate.
    """
    assert days is not None
    start_us, rows = context.before(days), context.keep(subscriptions)
    people = _began_and_stayed(context, start_us)
    retained = people.filter(nw.col("is_retained") == 1)
    start = revenue_then(rows, start_us).rename({"mrr": "start_mrr"}).filter(nw.col("start_mrr") > 0)
    start = start.join(people, on="customer_id", how="semi")
    end = revenue(rows, context.as_of_us).rename({"mrr": "end_mrr"}).join(retained, on="customer_id", how="semi")
    people = start.join(end, on="customer_id", how="left").with_columns(nw.col("end_mrr").fill_null(0.0))
    return people.with_columns(unit=nw.col("customer_id"))


_PRICES = {
    "subscriptions": [
        *repeated(2, started_at=-100, mrr=100),
        {"started_at": -100, "ended_at": -9, "mrr": 100},
        {"customer_id": "down", "started_at": -100, "ended_at": -9, "mrr": 100},
        {"customer_id": "down", "started_at": -9, "mrr": 50},
        {"customer_id": "up", "started_at": -100, "ended_at": -9, "mrr": 100},
        {"customer_id": "up", "started_at": -9, "mrr": 130},
        {"started_at": -5, "mrr": 400},
    ]
}


@metric(
    "M14", "Recurring revenue churn", items=revenue_starters, kind=Ratio(100.0, limits=(0, 100)), days=PERIOD_DAYS,
    unit="percent", version="3", better="lower", when_zero="empty_denominator",
    source="Gold 2020, Fighting Churn with Data, section 2.6",
    formula="100 (recurring revenue lost by ends and downgrades) / recurring revenue at the start",
    example=Example("Of 500, 100 ends and 50 is lost by a downgrade: 30", _PRICES, 30.0),
)  # fmt: skip
def mrr_churn(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the recurring revenue of 28 days ago that was lost; 0 when nobody left."""
    lost = nw.when(customer.end_mrr < customer.start_mrr).then(customer.start_mrr - customer.end_mrr).otherwise(0.0)
    return {"top": lost, "bottom": customer.start_mrr}


@metric(
    "M14", "Gross revenue retention", items=revenue_starters, kind=Ratio(100.0, limits=(0, 100)), days=PERIOD_DAYS,
    unit="percent", version="3", better="higher", when_zero="empty_denominator",
    source="Gold 2020, Fighting Churn with Data, section 2.6",
    formula="100 sum(smaller of end and start) / sum(start), of customers at the start",
    example=Example("Of 500, 350 are left without the upgrade: 70", _PRICES, 70.0),
)  # fmt: skip
def gross_revenue_retention(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the recurring revenue of 28 days ago that is still there, upgrades left out."""
    retained = nw.when(customer.end_mrr < customer.start_mrr).then(customer.end_mrr).otherwise(customer.start_mrr)
    return {"top": retained, "bottom": customer.start_mrr}


@metric(
    "M14", "Net revenue retention", items=revenue_starters, kind=Ratio(100.0, limits=NOT_BELOW_0), days=PERIOD_DAYS,
    unit="percent", version="3", better="higher", when_zero="empty_denominator",
    source="Gold 2020, Fighting Churn with Data, section 2.3",
    formula="100 sum(end) / sum(start), of customers at the start",
    example=Example("Of 500, 380 are there with the upgrade: 76", _PRICES, 76.0),
)  # fmt: skip
def net_revenue_retention(customer: Row) -> Mapping[str, nw.Expr]:
    """Recurring revenue of the customers of 28 days ago, now against then."""
    return {"top": customer.end_mrr, "bottom": customer.start_mrr}


@items("transactions", counts="customers")
def buyers(context: MetricContext, days: int | None) -> Frame:
    """External customers who bought in the window."""
    assert days is not None
    rows = context.keep(recent_purchases).filter(nw.col("own_us") >= context.before(days))
    people = rows.group_by("customer_id").agg(nw.col("order").n_unique().alias("orders"))
    return people.with_columns(unit=nw.col("customer_id"))


def recent_purchases(context: MetricContext) -> Frame:
    """Lines of the orders of the last 365 days: customer, order, own time."""
    rows = purchases(context).filter(nw.col("own_us") >= context.before(365))
    return rows.select("customer_id", "order", "own_us")


@metric(
    "M16", "Repeat purchase rate", items=buyers, kind=Proportion(), days=365, unit="percent", better="higher",
    source="Share of buyers with a second order, as shop systems report it (Shopify: returning customer rate)",
    formula="100 (customers with 2 orders or more) / (customers with 1 or more); rows of one order count once, an "
    "order of nothing or wholly given back not at all",
    version="2",
    example=Example(
        "2 of 5 buyers have two orders; two lines of one order are one: 40",
        {"transactions": [
            {"customer_id": "a", "occurred_at": -9, "amount": 10, "kind": "purchase", "order_id": "1"},
            {"customer_id": "a", "occurred_at": -5, "amount": 10, "kind": "purchase", "order_id": "2"},
            {"customer_id": "b", "occurred_at": -9, "amount": 10, "kind": "purchase", "order_id": "3"},
            {"customer_id": "b", "occurred_at": -3, "amount": 10, "kind": "purchase", "order_id": "4"},
            {"customer_id": "c", "occurred_at": -9, "amount": 10, "kind": "purchase", "order_id": "5"},
            {"customer_id": "c", "occurred_at": -9, "amount": 10, "kind": "purchase", "order_id": "5"},
            {"customer_id": "c", "occurred_at": -8, "amount": -10, "kind": "refund", "order_id": "5"},
            *repeated(2, occurred_at=-9, amount=10, kind="purchase"),
        ]}, 40.0),
)  # fmt: skip
def repeat_purchase_rate(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the buyers of a year who bought more than once."""
    return {"hit": customer.orders >= 2}
