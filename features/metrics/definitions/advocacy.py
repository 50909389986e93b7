"""Metrics of advocacy: who speaks up, how often, and whether those who say that they would (M30, M31, M37 to M39)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.contract.tables import DAY_US
from vouch.features.facts.act_weights import weight_of_kind
from vouch.features.facts.acts import ORGANIC, SORTS
from vouch.features.facts.surveys import PROMOTER
from vouch.features.metrics.catalogue import Absent, Example, Row, items, metric
from vouch.features.metrics.estimators import NOT_BELOW_0, Mean, Proportion, Rate, Total
from vouch.features.metrics.examples import answers
from vouch.features.metrics.populations.advocacy import acts, tiers
from vouch.features.metrics.populations.customers import active, gone
from vouch.features.metrics.populations.published_scores import scored_by
from vouch.features.metrics.populations.surveys import answers_nps, surveys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

Definition = Callable[[Row], "Mapping[str, nw.Expr]"]
FOLLOW_DAYS = 90


@items("usage_events|transactions|subscriptions", "advocacy_acts|referrals", counts="customers")
def possible_advocates(context: MetricContext, days: int | None) -> Frame:
    """External customers who are active at the instant."""
    assert days is not None
    organic = context.keep(acts).filter(nw.col("own_us") >= context.before(days), nw.col("sort") == ORGANIC)
    marked = organic.select("customer_id").unique().with_columns(has_act=nw.lit(1, nw.Int64))
    possible = context.keep(active).join(marked, on="customer_id", how="left")
    return possible.with_columns(nw.col("has_act").fill_null(0), unit=nw.col("customer_id"))


def _acts() -> dict[str, list[dict[str, object]]]:
    return {
        "usage_events": [{"customer_id": c, "occurred_at": -2, "event": "open"} for c in "abcdefghij"],
        "advocacy_acts": [
            {"customer_id": "a", "occurred_at": -30, "kind": "review"},
            {"customer_id": "a", "occurred_at": -20, "kind": "referral"},
            {"customer_id": "b", "occurred_at": -10, "kind": "testimonial"},
            {"customer_id": "c", "occurred_at": -10, "kind": "review", "is_incentivised": True},
            {"customer_id": "d", "occurred_at": -10, "kind": "case_study", "ask_id": "q1"},
            {"customer_id": "e", "occurred_at": -300, "kind": "review"},
        ],
        "referrals": [
            {"advocate_id": "a", "prospect_id": "p1", "invited_at": -20},
            {"advocate_id": "f", "prospect_id": "p2", "invited_at": -20},
        ],
    }


@metric(
    "M30", "Advocacy participation", items=possible_advocates, kind=Proportion(), days=90, unit="percent",
    better="higher", when_zero="empty_denominator", source="Friendbuy: advocates over customers",
    formula="100 active customers with an organic act in the window / active customers",
    example=Example("Of 10 active customers 3 spoke up unasked and unrewarded: 30", _acts(), 30.0),
)  # fmt: skip
def advocacy_participation(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the active customers who spoke up of their own accord."""
    return {"hit": customer.has_act}


@items("advocacy_acts|referrals", counts="customers")
def actors(context: MetricContext, days: int | None) -> Frame:
    """External customers with an act of any kind in the window: own acts, and valid referrals not among them."""
    assert days is not None
    rows = context.keep(acts).filter(nw.col("own_us") >= context.before(days))
    each = [(nw.col("sort") == sort).cast(nw.Int64).sum().alias(sort) for sort in SORTS]
    whole = (weight_of_kind(context.settings.act_weights) * 1e9).round().cast(nw.Int64)
    people = rows.with_columns(whole=whole).group_by("customer_id").agg(nw.col("whole").sum(), *each)
    depth = nw.col("whole").cast(nw.Float64) / 1e9
    return people.with_columns(depth=depth, unit=nw.col("customer_id"), exposed=nw.lit(days, nw.Int64))


def _frequency(sort: str, meaning: str, text: str, value: float, *needs: str) -> Callable[[Definition], Definition]:
    return metric(
        "M31", f"{sort.capitalize()} acts per advocate", items=actors, kind=Rate(30.0), days=90,
        unit="acts per 30 days", better="higher", when_zero="empty_denominator", needs=needs, counts="acts",
        source="Rate per exposure; acts as in the lists of advocacy software (Influitive)",
        formula=f"30 acts that were {meaning} / (90 days times customers with any act)",
        example=Example(text, _acts(), value),
    )  # fmt: skip


@_frequency("organic", "neither asked for nor rewarded", "4 acts by 5 customers in 90 days: 0.26667", 0.26667)
def acts_per_advocate_organic(customer: Row) -> Mapping[str, nw.Expr]:
    """Acts of their own accord by customers who speak up, per 30 days."""
    return {"events": customer.organic, "exposure": customer.exposed}


@_frequency("prompted", "asked for and not rewarded", "1 act by 5 customers in 90 days: 0.06667", 0.06667,
            "advocacy_acts.ask_id")  # fmt: skip
def acts_per_advocate_prompted(customer: Row) -> Mapping[str, nw.Expr]:
    """Acts that were asked for, without a reward, by customers who speak up, per 30 days."""
    return {"events": customer.prompted, "exposure": customer.exposed}


@_frequency("incentivised", "rewarded", "1 act by 5 customers in 90 days: 0.06667", 0.06667,
            "advocacy_acts.is_incentivised|referrals.is_incentivised")  # fmt: skip
def acts_per_advocate_incentivised(customer: Row) -> Mapping[str, nw.Expr]:
    """Rewarded acts by customers who speak up, per 30 days."""
    return {"events": customer.incentivised, "exposure": customer.exposed}


@metric(
    "M31", "Depth of advocacy", items=actors, kind=Mean(limits=NOT_BELOW_0), days=90, unit="weighted acts",
    better="higher", published=False,
    source="Our definition: sum of the weights of a customer's acts; a kind weighs 1 unless the company sets another",
    formula="mean over customers with any act of the sum of the weights of their acts",
    counts="acts",
    example=Example("6 acts by 5 customers: 1.2", _acts(), 1.2),
)  # fmt: skip
def act_depth(customer: Row) -> Mapping[str, nw.Expr]:
    """How much customers who speak up do."""
    return {"value": customer.depth, "items": customer.organic + customer.prompted + customer.incentivised}


@items("advocacy_acts|referrals", counts="customers")
def ranked_advocates(context: MetricContext, days: int | None) -> Frame:
    """External customers at the instant who have not left, by their tier as advocates."""
    ranked = context.keep(tiers).join(gone(context), on="customer_id", how="anti")
    return ranked.with_columns(unit=nw.col("customer_id"))


def _tiered() -> dict[str, list[dict[str, object]]]:
    happy = [{**row, "customer_id": c} for c, row in zip("abcdef", answers("nps", [10] * 6, 0, 10), strict=True)]
    return {
        "surveys": [*happy, *({**row, "customer_id": "g"} for row in answers("nps", [8], 0, 10))],
        "advocacy_acts": [
            {"customer_id": "a", "occurred_at": -30, "kind": "review", "reach": 5000},
            {"customer_id": "b", "occurred_at": -30, "kind": "review", "reach": 10},
            {"customer_id": "g", "occurred_at": -179, "kind": "review"},
            {"customer_id": "c", "occurred_at": -181, "kind": "review"},
            {"customer_id": "d", "occurred_at": -20, "kind": "review", "is_incentivised": True},
        ],
    }


def _tier(name: str, formula: str, value: float, *needs: str) -> Callable[[Definition], Definition]:
    return metric(
        "M37", f"{name.capitalize()} advocates", items=ranked_advocates, kind=Total(), days=180, unit="customers",
        better="higher", published=False, needs=needs, version="2",
        source="Our definition: promoters without an act, those who act, and the tenth of widest reach",
        formula=formula,
        example=Example(f"6 promoters; 3 spoke up in 180 days, one with a reach of 5000: {value:g}", _tiered(), value),
    )  # fmt: skip


@_tier("potential", "latest NPS answer in 180 days is 9 or 10, and no organic act in them", 4.0, "surveys")
def advocates_potential(customer: Row) -> Mapping[str, nw.Expr]:
    """Customers who would recommend the company and have not spoken up."""
    return {"amount": (customer.rank == 2).cast(nw.Int64)}


@_tier("active", "an organic act in 180 days, and not influential", 2.0)
def advocates_active(customer: Row) -> Mapping[str, nw.Expr]:
    """Customers who spoke up of their own accord."""
    return {"amount": (customer.rank == 1).cast(nw.Int64)}


@_tier("influential", "the top tenth, rounded up, of those with a sum above 0 of the weight of the kind times "
       "ln(1 + reach) 2^(-age / 90 days) over their acts, plus converted referrals", 1.0)  # fmt: skip
def advocates_influential(customer: Row) -> Mapping[str, nw.Expr]:
    """Customers whose acts reach the most people."""
    return {"amount": (customer.rank == 0).cast(nw.Int64)}


@items("surveys", "advocacy_acts|referrals", counts="customers")
def promises(context: MetricContext, days: int | None) -> Frame:
    """External customers whose latest answer to the NPS question from 180 to 90 days ago was 9 or 10."""
    assert days is not None
    since, until = context.before(days + FOLLOW_DAYS), context.before(FOLLOW_DAYS)
    rows = context.keep(surveys).filter(
        nw.col("instrument") == "nps", nw.col("is_relational"), answers_nps(),
        nw.col("answered_us") >= since, nw.col("answered_us") < until,
    )  # fmt: skip
    newest = nw.col("answered_us") == nw.col("answered_us").max().over("customer_id")
    promised = rows.filter(newest).group_by("customer_id").agg(nw.col("score").max(), nw.col("answered_us").max())
    did = context.keep(acts).select("customer_id", "own_us")
    both = promised.filter(nw.col("score") >= PROMOTER).join(did, on="customer_id", how="left")
    lag = nw.col("own_us") - nw.col("answered_us")
    in_time = ((lag >= 0) & (lag <= FOLLOW_DAYS * DAY_US)).fill_null(False).cast(nw.Int64)
    kept_promises = both.with_columns(in_time=in_time).group_by("customer_id").agg(nw.col("in_time").max())
    return kept_promises.with_columns(unit=nw.col("customer_id"))


@metric(
    "M38", "Promoters who act", items=promises, kind=Proportion(), days=90, reaches=90 + FOLLOW_DAYS, unit="percent",
    better="higher",
    when_zero="empty_denominator",
    source="Kumar, Petersen & Leone 2007, Harvard Business Review 85(10): many who say it do not do it",
    formula="100 promoters with an act within 90 days of the answer / promoters whose answer is older than 90 days",
    version="2",
    example=Example(
        "Of 5 promoters 2 act within 90 days: 40",
        {"surveys": [{**row, "customer_id": c, "invited_at": -150}
                     for c, row in zip("abcde", answers("nps", [9, 10, 9, 10, 9], 0, 10), strict=True)],
         "advocacy_acts": [{"customer_id": "a", "occurred_at": -149, "kind": "review"},
                           {"customer_id": "b", "occurred_at": -60, "kind": "review"},
                           {"customer_id": "c", "occurred_at": -59, "kind": "review"},
                           {"customer_id": "d", "occurred_at": -151, "kind": "review"}]}, 40.0),
)  # fmt: skip
def say_do_rate(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the customers who said that they would recommend the company and then spoke up."""
    return {"hit": customer.in_time}


@items(
    absent=(
        "`not_applicable` (`no_model`): no published week of the instant, or one without the model",
        "`empty` (`nobody_scored`): there is a model and nobody to score",
    ), counts="customers",
)  # fmt: skip
def scored_advocates(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers with an advocacy score in the published snapshot of the instant."""
    return scored_by(context, "advocacy", "advocacy_score")


@metric(
    "M39", "Advocacy potential", items=scored_advocates, kind=Mean(limits=(0, 100)), unit="score", better="higher",
    published=False, source="Our model; calibrated, see its card",
    formula="mean over scored customers of 100 p(organic act in the next 90 days)",
    example=Example("No value without the scores of a published snapshot", {}, None, "not_applicable"),
)  # fmt: skip
def advocacy_potential(customer: Row) -> Mapping[str, nw.Expr]:
    """How likely customers are to speak up of their own accord in the next 90 days, on average."""
    return {"value": customer.advocacy_score}
