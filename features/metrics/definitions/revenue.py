"""Metrics of the money that advocacy brings (M32 to M36, M43).

Whose revenue it is stands in `populations.attribution`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.metrics.catalogue import Absent, Example, Row, items, metric
from vouch.features.metrics.context import collected
from vouch.features.metrics.definitions.value import valued
from vouch.features.metrics.estimators import ANY, Estimate, Figure, Floats, Mean, Parts, Proportion, Ratio, Total
from vouch.features.metrics.populations.advocacy import valid_referrals
from vouch.features.metrics.populations.attribution import (
    FOLLOW_DAYS,
    PERIOD_DAYS,
    YEAR_DAYS,
    credited,
    credits,
    incremental,
    periods,
    unmatched,
    years,
)
from vouch.features.metrics.populations.customers import margins, prorated
from vouch.features.statistics import intervals
from vouch.features.statistics.quadrants import NAMES, quadrants

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

DISCOUNT = 0.1
"""Per year, on margins of referred customers."""
EARNED_SOURCES = ("referral", "word_of_mouth")
"""Values of `acquisition_source` that count as earned, beside a known referrer."""


@items(
    "referrals", "transactions", absent=(
        "`not_applicable` (`unmatched`): fewer than half of the converted prospects are customers",
    ), counts="revenue",
)  # fmt: skip
def payers(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers with a transaction, and what of it is attributed to referrals."""
    return unmatched(context) or context.keep(periods)


@items(
    "referrals", "transactions", absent=(
        "`not_applicable` (`unmatched`): fewer than half of the converted prospects are customers",
        "`not_applicable` (`no_input`): of a referred customer `counterfactual_p` is not known; with bounds",
    ), counts="revenue",
)  # fmt: skip
def incremental_payers(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers with a transaction, and what of it would not be there without referrals."""
    paying = payers.prepare(context, days)
    if isinstance(paying, Absent):
        return paying
    whole = float(collected(paying.select(nw.col("this_period").sum()))[0][0].as_py() or 0.0)
    gained = incremental(paying, "credited_now", "p")
    return gained.absent(lambda amount: 100 * amount / whole if whole else math.nan) or paying


def _referred() -> dict[str, list[dict[str, object]]]:
    def sale(customer: str, at: float, amount: float) -> dict[str, object]:
        kind = "purchase" if amount > 0 else "refund"
        return {"customer_id": customer, "occurred_at": at, "amount": amount, "kind": kind, "gross_margin": amount / 2}

    return {
        "referrals": [
            {"advocate_id": "a", "prospect_id": "p", "invited_at": -60, "counterfactual_p": 0.25},
            {"advocate_id": "b", "prospect_id": "p", "invited_at": -50, "counterfactual_p": 0.25},
            {"advocate_id": "q", "prospect_id": "q", "invited_at": -60, "counterfactual_p": 0.25},
            {"advocate_id": "a", "prospect_id": "r", "invited_at": -60, "counterfactual_p": 0.25},
        ],
        "transactions": [
            sale("p", -40, 100.0), sale("p", -20, 120.0), sale("p", -10, -20.0), sale("q", -40, 300.0),
            sale("r", -20, 150.0), sale("a", -30, 50.0), sale("b", -30, 100.0), sale("c", -30, 100.0),
            sale("d", -30, 100.0), sale("d", -120, 500.0), sale("d", -200, 1.0),
        ],
    }  # fmt: skip


_REFERRED = "200 net by one referred customer in time (not to oneself, not after 40 days, not twice), of 1000"


@metric(
    "M32", "Advocacy revenue", items=payers, kind=Total(ANY), days=PERIOD_DAYS, unit="money", better="higher",
    source="Friendbuy: referral revenue; first invitation, 30 days to the first order, 365 days of the customer",
    formula="revenue in the window, refunds too, of customers whose first order followed a valid invitation by at "
    "most 30 days, in 365 days from it; one prospect of two advocates counts once",
    version="2",
    example=Example(f"{_REFERRED}: 200", _referred(), 200.0),
)  # fmt: skip
def advocacy_revenue(customer: Row) -> Mapping[str, nw.Expr]:
    """Revenue of customers who came by referral."""
    return {"amount": customer.credited_now}


@metric(
    "M33", "Advocacy revenue share", items=payers, kind=Ratio(100.0, limits=(0, 100)), days=PERIOD_DAYS,
    unit="percent", better="higher", when_zero="empty_denominator", source="Friendbuy: percent of total revenue",
    formula="100 advocacy revenue / revenue, in the window", version="2",
    example=Example(f"{_REFERRED}: 20", _referred(), 20.0),
)  # fmt: skip
def advocacy_revenue_share(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the revenue that comes from customers who came by referral."""
    return {"top": customer.credited_now, "bottom": customer.this_period}


@metric(
    "M33", "Advocacy revenue share, incremental", items=incremental_payers, kind=Ratio(100.0, limits=(0, 100)),
    days=PERIOD_DAYS, unit="percent", better="higher", when_zero="empty_denominator",
    published=False,
    source="Our definition: the share less what would have come without the referral",
    formula="100 sum(advocacy revenue times (1 - counterfactual_p)) / revenue; where it is not known of a referred "
    "customer there is no value, and the bounds take it for 0 and for 1",
    version="2",
    example=Example(f"{_REFERRED}, a quarter of which would have come anyway: 15", _referred(), 15.0),
)  # fmt: skip
def advocacy_revenue_share_incremental(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the revenue that would not be there without referrals."""
    return {"top": customer.credited_now * (1 - customer.p.fill_null(0.0)), "bottom": customer.this_period}


@items(
    "referrals", "transactions", absent=(
        "`not_applicable` (`unmatched`): fewer than half of the converted prospects are customers",
    ), counts="revenue",
)  # fmt: skip
def payers_of_two_periods(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers with a transaction in the window or in the one of the same length before."""
    return unmatched(context) or context.keep(periods)


def growth_contribution(means: Floats) -> Floats:
    """Points that the change of advocacy revenue adds to growth."""
    result: Floats = 100 * (means[:, 0] - means[:, 1]) / means[:, 2]
    return result


@metric(
    "M33", "Contribution of advocacy to growth", items=payers_of_two_periods, days=PERIOD_DAYS,
    reaches=2 * PERIOD_DAYS, unit="points",
    kind=Figure(("credited_now", "credited_before", "before"), growth_contribution, limits=ANY), better="higher",
    when_zero="empty_denominator", source="Contribution to growth, textbook",
    formula="100 (advocacy revenue - that of the window before) / revenue of the window before",
    version="2",
    example=Example(f"{_REFERRED}; 500 in the window before, none of it referred: 40", _referred(), 40.0),
)  # fmt: skip
def advocacy_growth_contribution(customer: Row) -> Mapping[str, nw.Expr]:
    """Percentage points of growth that come from advocacy."""
    return {
        "credited_now": customer.credited_now,
        "credited_before": customer.credited_before,
        "before": customer.before,
        "n": ((customer.this_period != 0) | (customer.before != 0)).cast(nw.Int64),
    }


@items(
    "transactions", "customers", absent=(
        "`not_applicable` (`no_input`): nothing says who was earned (referred_by, acquisition_source, referrals)",
    ), counts="revenue",
)  # fmt: skip
def earners(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers with a transaction in the window or in the one of the same length before.

    New: the first transaction lies in the window. Earned: new, and referred, by a known referrer, a valid invitation
    or an acquisition source of `referral` or `word_of_mouth`. Absent where nothing says who was earned.
    """
    assert days is not None
    people = context.customers().select("customer_id", "referred_by", "acquisition_source")
    origins = people.select(nw.max_horizontal(nw.col("referred_by").count(), nw.col("acquisition_source").count()))
    says_so = bool(collected(origins)[0][0].as_py())
    invited = None
    if context.has("referrals"):
        lost = unmatched(context)
        if lost is not None and not says_so:
            return lost
        invited = context.keep(credits).select("customer_id").unique()
        says_so = says_so or bool(len(collected(context.keep(valid_referrals).select("sender").head(1))))
    if not says_so:
        reason = (
            "no_input: nothing says which customers were earned; "
            "customers.referred_by, customers.acquisition_source and referrals hold nothing"
        )
        return Absent("not_applicable", reason)
    return _earned(context.keep(years).join(people, on="customer_id", how="left"), invited, context.before(days))


def _earned(people: Frame, invited: Frame | None, since_us: int) -> Frame:
    """Add `earned`, revenue of new customers who were earned, and `kept`, that of customers of the period before."""
    source = nw.col("acquisition_source").str.to_lowercase().is_in(EARNED_SOURCES).fill_null(False)
    if invited is None:
        people = people.with_columns(is_invited=nw.lit(None, nw.Int64))
    else:
        people = people.join(invited.with_columns(is_invited=nw.lit(1, nw.Int64)), on="customer_id", how="left")
    is_earned = source | ~nw.col("referred_by").is_null() | ~nw.col("is_invited").is_null()
    is_new = nw.col("first_us") >= since_us
    earned = nw.when(is_new & is_earned).then(nw.col("this_period")).otherwise(0.0)
    retained = nw.when(nw.col("before") != 0).then(nw.col("this_period")).otherwise(0.0)
    return people.with_columns(earned=earned, kept=retained)


def earned_growth(means: Floats) -> Floats:
    """NRR + earned new customers - 100, all in percent of the revenue of the window before."""
    result: Floats = 100 * (means[:, 1] + means[:, 2]) / means[:, 0] - 100
    return result


def earned_ratio(means: Floats) -> Floats:
    """Earned growth in percent of all growth."""
    result: Floats = earned_growth(means) / (means[:, 3] / means[:, 0] - 1)
    return result


class _OfGrowth(Figure):
    """A share of growth, which is there where growth is above 0 with its interval, and nowhere else."""

    def estimate(self, parts: Parts) -> Estimate:
        """The figure of the means, or that growth is not surely there."""
        growth = super().estimate(parts)
        now, base = parts["now"], parts["base"]
        sums = (now.sum(), base.sum(), (now * now).sum(), (base * base).sum(), (now * base).sum())
        ends = intervals.ratio_of_sums(*sums, growth.n)
        if not sums[1] or float(ends.low) > 1:
            return growth
        reason = f"growth is not surely above 0: {100 * (sums[0] / sums[1] - 1):.4g} %"
        if np.isfinite(ends.low):
            reason += f", {100 * float(ends.low) - 100:.4g} to {100 * float(ends.high) - 100:.4g}"
        return replace(growth, value=None, status="not_applicable", reason=reason)


def _growing() -> dict[str, list[dict[str, object]]]:
    kinds = {"old": (100, "ads"), "told": (25, "referral"), "bought": (20, "ads")}
    people = {f"{name}{n}": source for name, (count, source) in kinds.items() for n in range(count)}
    sales = [(who, -500, 1.0) for who in people if who.startswith("old")]
    sales += [(who, -30, 0.85 if who.startswith("old") else 1.0) for who in people]
    return {
        "customers": [
            {"customer_id": who, "created_at": -900, "acquisition_source": source} for who, source in people.items()
        ],
        "transactions": [
            {"customer_id": who, "occurred_at": at, "amount": amount, "kind": "purchase"} for who, at, amount in sales
        ],
    }


_GROWTH = {"base": "before", "kept": "kept", "earned": "earned", "now": "this_period"}


@metric(
    "M34", "Earned growth rate", items=earners,
    kind=Figure(("base", "kept", "earned"), earned_growth, limits=ANY), days=YEAR_DAYS, reaches=2 * YEAR_DAYS,
    unit="percent", better="higher", when_zero="empty_denominator", version="2",
    source="Reichheld 2021, Winning on Purpose, appendix B",
    formula="net revenue retention + revenue of earned new customers - 100, in percent of the revenue of the "
    "year before",
    example=Example("Base 100, now 130, retention 85, earned 25: 10", _growing(), 10.0),
)  # fmt: skip
def earned_growth_rate(customer: Row) -> Mapping[str, nw.Expr]:
    """Growth by customers who stay and by those they bring."""
    return {name: getattr(customer, column) for name, column in _GROWTH.items() if name != "now"}


@metric(
    "M34", "Earned growth ratio", items=earners, kind=_OfGrowth(tuple(_GROWTH), earned_ratio, limits=ANY),
    days=YEAR_DAYS, reaches=2 * YEAR_DAYS, unit="percent", better="higher", when_zero="empty_denominator", version="2",
    source="Reichheld 2021, Winning on Purpose, appendix B",
    formula="100 earned growth rate / growth of revenue, where growth is above 0 with its interval",
    absent=("`not_applicable`: growth is not above 0 with its interval",),
    example=Example("Earned growth of 10 in a growth of 30: 33.333", _growing(), 33.3333),
)  # fmt: skip
def earned_growth_ratio(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the growth that is earned."""
    return {name: getattr(customer, column) for name, column in _GROWTH.items()}


@items(
    "referrals", "transactions", "transactions.gross_margin", absent=(
        "`not_applicable` (`unmatched`): fewer than half of the converted prospects are customers",
        "`not_applicable` (`no_input`): of a referred customer `counterfactual_p` is not known; with bounds",
        "`not_applicable` (`no_input`): more than 20 % of the transactions have no gross_margin",
        "`insufficient_history`: costs of sales and marketing cover less than 0.8 of the window",
        "`not_applicable` (`no_input`): there are no costs of sales and marketing",
    ), counts="customers",
)  # fmt: skip
def referrers_by_value(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers with a valid referral in the window, by what their referred customers brought since."""
    assert days is not None
    rows, saved = margins(context), _cost_of_a_customer(context, days)
    for part in (unmatched(context), rows, saved):
        if isinstance(part, Absent):
            return part
    assert not isinstance(rows, Absent)
    assert not isinstance(saved, Absent)
    age = (nw.col("own_us") - nw.col("invited_us")).cast(nw.Float64) / (FOLLOW_DAYS * DAY_US)
    factor = (age * -float(np.log1p(DISCOUNT))).exp()
    discounted = (nw.col("margin").cast(nw.Float64) * factor).round().cast(nw.Int64)
    paid = credited(rows, context).filter(nw.col("is_credited"))
    brought = paid.group_by("customer_id").agg(discounted.sum().alias("margin")).collect("polars").lazy()
    shares = context.keep(credits).filter(nw.col("invited_us") >= context.before(days))
    won = shares.join(brought, on="customer_id", how="inner")
    reward = nw.col("reward_cost").fill_null(0).cast(nw.Float64)
    won = won.with_columns(net=nw.col("margin").cast(nw.Float64) / 10_000 * nw.col("share") - reward)
    made = context.keep(valid_referrals).filter(nw.col("invited_us") >= context.before(days))
    senders = made.group_by("sender").agg(nw.col("advocate_id").max().alias("customer_id"))
    count = len(collected(senders.select("sender")))
    spared = float(collected(won.select(nw.col("share").sum()))[0][0].as_py() or 0.0) * saved
    gained = incremental(won, "net", "counterfactual_p").absent(lambda amount: (amount + spared) / count)
    if gained is not None:
        return gained
    whole = (
        ((1 - nw.col("counterfactual_p").fill_null(0.0)) * nw.col("net") + saved * nw.col("share")) * 10_000
    ).round()
    value = won.with_columns(value=whole.cast(nw.Int64)).group_by("sender").agg(nw.col("value").sum())
    senders = senders.join(value.collect("polars").lazy(), on="sender", how="left")
    return senders.with_columns(value=nw.col("value").fill_null(0).cast(nw.Float64) / 10_000, unit=nw.col("sender"))


def _cost_of_a_customer(context: MetricContext, days: int) -> float | Absent:
    """Acquisition cost that a referral saves; 0 where the company hands over no costs at all."""
    if not context.has("costs"):
        return 0.0
    spent = prorated(context, "costs", days, "sales", "marketing")
    if isinstance(spent, Absent):
        return spent
    new = context.people["own_us"].to_numpy()
    count = int((new >= context.before(days)).sum())
    return spent.amount / count if count else 0.0


@metric(
    "M35", "Customer referral value", items=referrers_by_value, days=FOLLOW_DAYS,
    kind=Mean(limits=ANY, bootstrap_always=True), unit="money", better="higher",
    source="Kumar, Petersen & Leone 2007, Harvard Business Review 85(10)",
    formula="mean over advocates of sum over referred customers of (1 - counterfactual_p) (margin in 365 days, "
    "discounted at 10 % a year - reward) + saved acquisition cost (0 without the table costs)",
    version="2",
    example=Example(
        "5 advocates, one brings a margin of 100 at once, half of which would have come: 10",
        {"referrals": [{"advocate_id": c, "prospect_id": f"p{c}", "invited_at": -100, "counterfactual_p": 0.5}
                       for c in "abcde"],
         "transactions": [{"customer_id": "pa", "occurred_at": -100, "amount": 200, "gross_margin": 100,
                           "kind": "purchase"}]}, 10.0),
)  # fmt: skip
def referral_value(advocate: Row) -> Mapping[str, nw.Expr]:
    """What the referrals of an advocate have brought, on average."""
    return {"value": advocate.value}


@items(
    "referrals", "transactions", "transactions.gross_margin", absent=(
        "`not_applicable` (`no_model`): no published week of the instant, or one without the model",
        "`not_applicable` (`unmatched`): fewer than half of the converted prospects are customers",
        "`not_applicable` (`no_input`): of a referred customer `counterfactual_p` is not known; with bounds",
        "`not_applicable` (`no_input`): more than 20 % of the transactions have no gross_margin",
    ), counts="customers",
)  # fmt: skip
def placed(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers who ever bought, with a lifetime value in the published snapshot, by their quadrant."""
    people = valued.prepare(context, None)
    sent = referrers_by_value.prepare(context, FOLLOW_DAYS)
    for part in (people, sent):
        if isinstance(part, Absent):
            return part
    assert not isinstance(people, Absent)
    assert not isinstance(sent, Absent)
    both = people.join(sent.select("customer_id", "value"), on="customer_id", how="left")
    table = collected(both.select("customer_id", "clv_margin", nw.col("value").fill_null(0.0))).sort_by("customer_id")
    value, brought = (table[name].to_numpy().astype(np.float64) for name in ("clv_margin", "value"))
    columns = {"customer_id": table["customer_id"].to_pylist(), "code": quadrants(value, brought).tolist()}
    made = nw.from_dict(columns, schema={"customer_id": nw.String(), "code": nw.Int64()}, backend="polars")
    return made.lazy().with_columns(unit=nw.col("customer_id"))


@metric(
    "M36", "Champions among customers", items=placed, kind=Proportion(), days=FOLLOW_DAYS, unit="percent",
    better="higher", source="Kumar, Petersen & Leone 2007, Harvard Business Review 85(10)",
    formula="100 customers above the median in lifetime value and above it in referral value / customers with a "
    "lifetime value; affluents, advocates and misers are listed",
    example=Example("No value until a model of future purchases is there", {}, None, "not_applicable"),
)  # fmt: skip
def value_quadrants(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the customers who are worth much and bring others: the champions of four quadrants."""
    return {"hit": (customer.code == NAMES.index("champions")).cast(nw.Int64)}
