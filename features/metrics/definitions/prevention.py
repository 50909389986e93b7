"""Metrics of churn prediction and prevention: published probabilities, effect of treatment (M23 to M26)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.facts.spans import ran
from vouch.features.facts.subscriptions import revenue
from vouch.features.metrics.catalogue import Absent, Each, Example, Row, items, metric
from vouch.features.metrics.estimators import ANY, NOT_BELOW_0, Custom, Estimate, Mean, Parts, Proportion
from vouch.features.metrics.populations.customers import LEAST_COVERAGE, stays, subscriptions, tells_ends
from vouch.features.metrics.populations.published_reasons import family_contributions, family_names, order_taus
from vouch.features.metrics.populations.published_scores import scored_by
from vouch.features.statistics import intervals
from vouch.features.statistics.intervals import TAIL, Interval, Z
from vouch.features.vectors.lines import OWN_FAMILY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

AT_RISK = ("high", "watch")
"""Churn bands of customers at risk."""
FOLLOW_DAYS = 28
"""How long a treated customer is followed."""
_NOBODY = "nobody was treated"
_NO_SCORES = Example("No value without the scores of a published snapshot", {}, None, "not_applicable")


@items(
    absent=(
        "`not_applicable` (`no_model`): no published week of the instant, or one without the model",
        "`empty` (`nobody_scored`): there is a model and nobody to score",
    ), counts="customers",
)  # fmt: skip
def scored(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers with a churn probability in the published snapshot of the instant."""
    return scored_by(context, "churn", "churn_probability")


@metric(
    "M23", "Churn probability", items=scored, kind=Mean(limits=(0, 1)), unit="probability", better="lower",
    published=False, source="Our model; calibrated, see its card", formula="mean over scored customers of p(churn)",
    example=_NO_SCORES,
)  # fmt: skip
def churn_probability(customer: Row) -> Mapping[str, nw.Expr]:
    """Probability that a customer leaves within the horizon of the model, on average."""
    return {"value": customer.churn_probability}


@items(
    "subscriptions", absent=(
        "`not_applicable` (`no_model`): no published week of the instant, or one without the model",
        "`empty` (`nobody_scored`): there is a model and nobody to score",
    ), counts="customers",
)  # fmt: skip
def scored_revenue(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers with a churn probability and a running subscription."""
    rows = scored.prepare(context, days)
    if isinstance(rows, Absent):
        return rows
    return rows.join(revenue(context.keep(subscriptions), context.as_of_us), on="customer_id", how="inner")


def expected_loss(parts: Parts) -> Estimate:
    """Sum of probability times value."""
    risk = parts["risk"] * parts["value"]
    return Estimate(float(risk.sum()), len(risk))


def expected_loss_ends(parts: Parts) -> Interval:
    """Normal interval with the standard deviation of a Poisson-binomial sum; at most all that is there to lose."""
    risk, value = parts["risk"], parts["value"]
    half = Z * float(np.sqrt((risk * (1 - risk) * value**2).sum()))
    centre = float((risk * value).sum())
    return Interval(np.asarray(centre - half), np.asarray(min(centre + half, float(value.sum()))), "poisson_binomial")


@metric(
    "M24", "Revenue at risk", items=scored_revenue, unit="money per month", better="lower",
    kind=Custom(("risk", "value"), expected_loss, expected_loss_ends, "poisson_binomial", limits=NOT_BELOW_0,
                is_amount=True),
    source="Expected loss: sum of probability times value, textbook",
    formula="sum over scored customers of p(churn) times recurring revenue per month", example=_NO_SCORES,
)  # fmt: skip
def revenue_at_risk(customer: Row) -> Mapping[str, nw.Expr]:
    """Recurring revenue per month that is expected to be lost within the horizon of the model."""
    return {"risk": customer.churn_probability, "value": customer.mrr}


@items(
    "touches", absent=(
        "`not_applicable` (`no_model`): no published week of the instant, or one without the model",
        "`empty` (`nobody_scored`): there is a model and nobody to score",
    ), counts="customers",
)  # fmt: skip
def at_risk(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers in the churn bands high and watch of the published snapshot."""
    rows = scored.prepare(context, days)
    if isinstance(rows, Absent):
        return rows
    touched = context.rows("touches", days).filter(nw.col("kind").is_in(("service", "sales"))).select("customer_id")
    reached = touched.unique().with_columns(is_reached=nw.lit(1, nw.Int64)).collect("polars").lazy()
    people = rows.filter(nw.col("churn_band").is_in(AT_RISK)).join(reached, on="customer_id", how="left")
    return people.with_columns(nw.col("is_reached").fill_null(0))


@metric(
    "M25", "At-risk customers contacted", items=at_risk, kind=Proportion(), days=28, unit="percent", better="higher",
    when_zero="empty_denominator", published=False, source="Our definition: no public one exists",
    formula="100 (contacted by service or sales in the window) / customers in the churn bands high and watch",
    version="2",
    example=_NO_SCORES,
)  # fmt: skip
def at_risk_coverage(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the customers at risk whom somebody has contacted."""
    return {"hit": customer.is_reached}


@items(
    "treatments", "subscriptions", counts="customers",
    absent=("`not_applicable` (`no_input`): no subscription tells when it ended, and there is use",),
)  # fmt: skip
def treated(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers whom a campaign treated or kept as control more than 28 days ago, subscribed at that time.

    The first assignment in the window counts; churned is a stay that ended within 28 days of it.
    """
    assert days is not None
    if not tells_ends(context):
        return Absent("not_applicable", "no_input: subscriptions.ended_at, without which nobody is known to have left")
    rows = context.rows("treatments", days + FOLLOW_DAYS).filter(nw.col("own_us") < context.before(FOLLOW_DAYS))
    rows = rows.select("treatment_id", "customer_id", "own_us", "arm", nw.col("cost").cast(nw.Float64))
    rows = rows.collect("polars").lazy().with_columns(one=nw.lit(1, nw.Int64))
    place = nw.col("one").cum_sum().over("customer_id", order_by=["own_us", "treatment_id"])
    first = rows.with_columns(place=place).filter(nw.col("place") == 1)
    spans = context.keep(stays).select("customer_id", "started_us", "end_us")
    followed = first.join(spans, on="customer_id", how="inner").filter(
        ran(nw.col("started_us"), nw.col("end_us"), nw.col("own_us"))
    )
    return followed.with_columns(
        unit=nw.col("treatment_id"),
        is_treated=(nw.col("arm") == "treated").cast(nw.Int64),
        is_churned=(nw.col("end_us") <= nw.col("own_us") + FOLLOW_DAYS * DAY_US).cast(nw.Int64),
    )


def _campaign() -> dict[str, list[dict[str, object]]]:
    arms = ["treated"] * 10 + ["control"] * 10
    leaves = [number < 1 for number in range(10)] + [number < 3 for number in range(10)]
    people = [f"c{number}" for number in range(20)]
    spans = [
        {"customer_id": c, "started_at": -200, "mrr": 10, **({"ended_at": -50} if gone else {})}
        for c, gone in zip(people, leaves, strict=True)
    ]
    treatments = [
        {"customer_id": c, "occurred_at": -60, "campaign": "save", "arm": arm, "cost": 4}
        for c, arm in zip(people, arms, strict=True)
    ]
    return {"subscriptions": spans, "treatments": treatments}


@metric(
    "M25", "Save rate", items=treated, kind=Proportion(), days=90, reaches=90 + FOLLOW_DAYS, unit="percent",
    better="higher",
    when_zero="empty_denominator", source="Retention campaigns, textbook; says nothing of what treatment changed",
    formula="100 treated customers who are still subscribed 28 days later / treated customers",
    example=Example("1 of 10 treated leaves: 90", _campaign(), 90.0),
)  # fmt: skip
def save_rate(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the treated customers who stayed."""
    return {"hit": 1 - customer.is_churned, "base": customer.is_treated}


def _arms(parts: Parts) -> tuple[float, float, float, float]:
    """Churned and all, treated then control."""
    treated_, churned = parts["treated"], parts["churned"]
    control = 1 - treated_
    return (
        float((churned * treated_).sum()), float(treated_.sum()), float((churned * control).sum()), float(control.sum())
    )  # fmt: skip


def saves(parts: Parts) -> Estimate:
    """How many more of the treated would have left at the churn rate of the control."""
    lost, n, lost_control, n_control = _arms(parts)
    if not n or not n_control:
        reason = "no_input: no customers in the control arm (treatments.arm)" if n else _NOBODY
        return Estimate(None, round(n + n_control), status="not_applicable", reason=reason)
    return Estimate((lost_control / n_control - lost / n) * n, round(n + n_control))


def saves_ends(parts: Parts) -> Interval:
    """Newcombe 1998, Statistics in Medicine 17:873-890, method 10: the difference of two Wilson intervals."""
    lost, n, lost_control, n_control = _arms(parts)
    here, control = intervals.wilson(lost, n), intervals.wilson(lost_control, n_control)
    share, share_control = lost / n, lost_control / n_control
    difference = share_control - share
    low = difference - np.hypot(share_control - control.low, here.high - share)
    high = difference + np.hypot(control.high - share_control, share - here.low)
    return Interval(np.asarray(low * n), np.asarray(high * n), "newcombe")


@metric(
    "M25", "Incremental saves", items=treated, days=90, reaches=90 + FOLLOW_DAYS, unit="customers", better="higher",
    kind=Custom(("treated", "churned"), saves, saves_ends, "newcombe", limits=ANY, why_nothing=_NOBODY),
    source="Ascarza 2018, J. Marketing Research 55(1):80-98: effect against a randomised control",
    formula="(churn share of the control - churn share of the treated) times the number of treated, 28 days on",
    absent=("`not_applicable`: nobody was treated, or nobody is in the control arm",),
    example=Example("1 of 10 treated and 3 of 10 controls leave: 2", _campaign(), 2.0),
)  # fmt: skip
def incremental_saves(customer: Row) -> Mapping[str, nw.Expr]:
    """Customers who stayed because they were treated."""
    return {"treated": customer.is_treated, "churned": customer.is_churned}


def price(parts: Parts) -> Estimate:
    """Cost of the treated over incremental saves; null where nobody was saved, or too few of the costs are known.

    The few that are not known cost what the others do on average.
    """
    saved = saves(parts)
    if saved.value is None:
        return saved
    if saved.value <= 0:
        return Estimate(None, saved.n, status="empty_denominator", reason="treatment saved nobody")
    cost, coverage = _cost(parts)
    if coverage < LEAST_COVERAGE:
        reason = f"no_input: the cost is known of {coverage:.0%} of the treated (treatments.cost)"
        return Estimate(None, saved.n, status="not_applicable", reason=reason)
    return Estimate(cost / saved.value, saved.n, coverage=coverage)


def _cost(parts: Parts) -> tuple[float, float]:
    """What treating cost in all, from the mean of what is known, and of which share it is known."""
    costs = parts["cost"][parts["treated"] > 0]
    known = costs[~np.isnan(costs)]
    return (float(known.mean()) * len(costs) if len(known) else 0.0), len(known) / max(len(costs), 1)


def price_ends(parts: Parts) -> Interval:
    """Cost over the ends of the incremental saves; no upper end where these reach 0."""
    cost, saved = _cost(parts)[0], saves_ends(parts)
    high = cost / float(saved.low) if saved.low > 0 else float("nan")
    return Interval(np.asarray(cost / float(saved.high)), np.asarray(high), saved.method)


@metric(
    "M25", "Cost per save", items=treated, days=90, reaches=90 + FOLLOW_DAYS, unit="money", better="lower",
    kind=Custom(("treated", "churned", "cost"), price, price_ends, "newcombe", limits=NOT_BELOW_0,
                why_nothing=_NOBODY),
    needs=("treatments.cost",),
    source="Cost over incremental saves", formula="cost of the treated / incremental saves",
    absent=("`not_applicable`: nobody was treated, or nobody is in the control arm",
            "`not_applicable` (`no_input`): the cost is known of fewer than 0.8 of the treated",
            "`empty_denominator`: treatment saved nobody"),
    version="2",
    example=Example("10 treated at 4 each save 2: 20", _campaign(), 20.0),
)  # fmt: skip
def cost_per_save(customer: Row) -> Mapping[str, nw.Expr]:
    """What it costs to keep one customer who would have left."""
    return {"treated": customer.is_treated, "churned": customer.is_churned, "cost": customer.cost}


@items(
    absent=(
        "`not_applicable` (`no_model`): no published week of the instant, or one without the model",
        "`empty` (`nobody_scored`): there is a model and nobody to score",
    ), counts="customers",
)  # fmt: skip
def driven(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers with reasons for their churn score in the published snapshot of the instant."""
    rows = scored_by(context, "churn", "churn_reasons")
    if isinstance(rows, Absent):
        return rows
    contributions = family_contributions(context.scores)
    made = {name: np.zeros(len(contributions.customers)) for name in family_names()}
    for place, name in enumerate(contributions.families):
        made[name if name in made else OWN_FAMILY] += contributions.of[:, place]
    columns = {"customer_id": contributions.customers, **{name: of.tolist() for name, of in made.items()}}
    kinds = {name: nw.String() if name == "customer_id" else nw.Float64() for name in columns}
    return nw.from_dict(columns, schema=kinds, backend="polars").lazy().with_columns(unit=nw.col("customer_id"))


def stability(parts: Parts) -> Estimate:
    """How alike the order of the families stays when customers are drawn anew: mean of Kendall's tau."""
    size = np.abs(np.column_stack([parts[name] for name in parts]))
    taus = order_taus(size[:, size.any(axis=0)])
    return Estimate(float(taus.mean()) if len(taus) else None, len(size))


def stability_ends(parts: Parts) -> Interval:
    """The middle 95 % of the draws."""
    size = np.abs(np.column_stack([parts[name] for name in parts]))
    taus = order_taus(size[:, size.any(axis=0)])
    ends = np.quantile(taus, [TAIL, 1 - TAIL]) if len(taus) else np.array([np.nan, np.nan])
    return Interval(np.asarray(ends[0]), np.asarray(ends[1]), "bootstrap")


@metric(
    "M26", "Churn drivers: stability", items=driven, unit="ratio", better="higher", published=False,
    kind=Custom((), stability, stability_ends, "bootstrap", limits=(-1, 1)),
    source="Our definition; order of families by their share in the scores, Kendall 1938, Biometrika 30:81-93",
    formula="mean Kendall's tau between the order of the families by mean size of their contribution to the log-odds "
    "and the same order in 200 draws of customers; the contributions themselves are per customer, and listed",
    example=_NO_SCORES,
)  # fmt: skip
def churn_drivers(customer: Row) -> Mapping[str, nw.Expr]:
    """Whether what drives customers away can be told in an order that holds."""
    return Each("family of features", {name: getattr(customer, name) for name in family_names()})
