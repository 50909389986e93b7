"""Metrics of advocacy and loyalty programmes: software in use, points, members, return (M40 to M43)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.facts.spans import is_on
from vouch.features.metrics.catalogue import Absent, Example, Row, items, metric
from vouch.features.metrics.context import collected
from vouch.features.metrics.estimators import (
    ANY,
    NOT_BELOW_0,
    Custom,
    Estimate,
    Figure,
    Floats,
    Parts,
    Proportion,
    Ratio,
)
from vouch.features.metrics.examples import repeated
from vouch.features.metrics.populations.attribution import credited, incremental, unmatched
from vouch.features.metrics.populations.customers import active, margins, prorated
from vouch.features.statistics import intervals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext
    from vouch.features.statistics.intervals import Interval

LOT_DAYS = 182
"""Points of a lot count as redeemed within so many days of issue, and only lots older than this are counted."""
COMPANY = "company"


def _licensed(context: MetricContext) -> tuple[float, float]:
    """Seats and features of the licences that run at the instant."""
    rows = context.rows("licences").filter(is_on(nw.col("ended_us"), context.as_of_us))
    sums = collected(rows.select(nw.col("seats").sum(), nw.col("features_available").sum()))
    seats, features = (float(sums[name][0].as_py() or 0) for name in ("seats", "features_available"))
    return seats, features


@items("advocacy_software", "licences")
def software(context: MetricContext, days: int | None) -> Frame:
    """Seats of the advocacy software that are licensed at the instant."""
    assert days is not None
    used = context.rows("advocacy_software", days).select(
        nw.col("user_id").n_unique().alias("users"), nw.col("feature").n_unique().alias("features")
    )
    seats, features = _licensed(context)
    return used.with_columns(seats=nw.lit(seats), available=nw.lit(features), unit=nw.lit(COMPANY))


def share_of_seats(parts: Parts) -> Estimate:
    """Used over available in percent; more than all is said and stands."""
    used, seats = float(np.nansum(parts["used"])), float(np.nansum(parts["there"]))
    if not seats:
        return Estimate(None, 0, status="empty_denominator", reason="nothing is licensed")
    reason = "more in use than licensed" if used > seats else None
    return Estimate(100 * used / seats, round(seats), reason=reason)


def share_of_seats_ends(parts: Parts) -> Interval | None:
    """Wilson's interval, where not more is used than there is."""
    used, seats = float(np.nansum(parts["used"])), float(np.nansum(parts["there"]))
    return intervals.wilson(used, seats).scaled(100) if used <= seats else None


_OF_SEATS = Custom(("used", "there"), share_of_seats, share_of_seats_ends, "wilson", limits=NOT_BELOW_0)
_OFFICE = {
    "advocacy_software": [
        *({"user_id": u, "role": "member", "occurred_at": -3, "feature": f} for u, f in (("u1", "asks"), ("u2", "acts"),
          ("u2", "asks"))),
        {"user_id": "u3", "role": "admin", "occurred_at": -8, "feature": "report"},
    ],
    "licences": [{"product": "p", "started_at": -300, "seats": 8, "features_available": 6},
                 {"product": "old", "started_at": -300, "ended_at": -10, "seats": 90, "features_available": 90}],
}  # fmt: skip


@metric(
    "M40", "Advocacy software adoption", items=software, kind=_OF_SEATS, days=7, unit="percent", better="higher",
    source="Weekly active users over licences, textbook", formula="100 users in 7 days / seats licensed at the instant",
    absent=("`empty_denominator`: nothing is licensed",),
    example=Example("2 users in a week, 8 seats: 25", _OFFICE, 25.0),
)  # fmt: skip
def software_adoption(company: Row) -> Mapping[str, nw.Expr]:
    """Share of the licensed seats in use in a week."""
    return {"used": company.users, "there": company.seats}


@metric(
    "M40", "Advocacy software activation", unit="percent", better="higher", unavailable="no_input",
    source="Activated over invited accounts, textbook; the contract has no column for invited accounts",
    formula="100 activated accounts / invited accounts",
    example=Example("No value: invited accounts are not in the contract", {}, None, "not_applicable"),
)  # fmt: skip
def software_activation(company: Row) -> Mapping[str, nw.Expr]:
    """Share of the invited accounts that were activated."""
    return {}


@metric(
    "M40", "Advocacy software features used", items=software, kind=_OF_SEATS, days=90, unit="percent",
    better="higher", needs=("licences.features_available",), source="Features used over available, textbook",
    formula="100 distinct features used in 90 days / features of the licences that run at the instant",
    absent=("`empty_denominator`: nothing is licensed",),
    example=Example("3 of 6 features used: 50", _OFFICE, 50.0),
)  # fmt: skip
def software_feature_use(company: Row) -> Mapping[str, nw.Expr]:
    """Share of the available features that are used."""
    return {"used": company.features, "there": company.available}


@items(
    "loyalty_ledger", "loyalty_ledger.lot_id", absent=(
        "`not_applicable` (`no_input`): points are redeemed, and no redemption names its lot",
    ), counts="customers",
)  # fmt: skip
def lots(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers with points issued in lots that are older than 182 days.

    Absent where points are redeemed and no redemption says from which lot: none would seem to be redeemed.
    """
    assert days is not None
    rows = context.rows("loyalty_ledger")
    is_redeemed = nw.col("kind") == "redeem"
    counts = rows.select(
        is_redeemed.cast(nw.Int64).sum().alias("redeemed"),
        (is_redeemed & ~nw.col("lot_id").is_null()).cast(nw.Int64).sum().alias("told"),
    )
    (counted,) = collected(counts).to_pylist()
    if counted["redeemed"] and not counted["told"]:
        return Absent("not_applicable", "no_input: no redemption names its lot (loyalty_ledger.lot_id)")
    rows = rows.filter(~nw.col("lot_id").is_null())
    rows = rows.select("customer_id", "lot_id", "kind", "own_us", nw.col("points").cast(nw.Float64))
    recent = rows.filter(nw.col("own_us") >= context.before(days + LOT_DAYS)).collect("polars").lazy()
    since, until = context.before(days + LOT_DAYS), context.before(LOT_DAYS)
    earned = recent.filter(nw.col("kind") == "earn").group_by("customer_id", "lot_id")
    issued = earned.agg(nw.col("own_us").min().alias("issued_us"), nw.col("points").sum().alias("issued"))
    issued = issued.filter(nw.col("issued_us") >= since, nw.col("issued_us") < until)
    spent = recent.filter(nw.col("kind") == "redeem").join(issued, on=["customer_id", "lot_id"], how="inner")
    spent = spent.filter(nw.col("own_us") - nw.col("issued_us") <= LOT_DAYS * DAY_US)
    redeemed = spent.group_by("customer_id").agg(nw.col("points").sum().alias("redeemed"))
    issues = issued.group_by("customer_id").agg(nw.col("issued").sum()).join(redeemed, on="customer_id", how="left")
    return issues.with_columns(nw.col("redeemed").fill_null(0.0), unit=nw.col("customer_id"))


def _points() -> dict[str, list[dict[str, object]]]:
    def entry(customer: str, at: float, kind: str, points: float, lot: str) -> dict[str, object]:
        return {"customer_id": customer, "occurred_at": at, "kind": kind, "points": points, "lot_id": lot}

    return {
        "loyalty_ledger": [
            *(entry(c, -220, "earn", 20, f"lot {c}") for c in "abcde"),
            entry("a", -100, "redeem", 15, "lot a"), entry("b", -50, "redeem", 5, "lot b"),
            entry("c", -30, "redeem", 20, "lot c"), entry("d", -30, "expire", 20, "lot d"),
            entry("a", -20, "earn", 50, "new"), entry("a", -10, "redeem", 30, "new"),
        ]
    }  # fmt: skip


@metric(
    "M41", "Redemption rate", items=lots, kind=Ratio(100.0, limits=(0, 100)), days=90, reaches=90 + LOT_DAYS,
    unit="percent", better="higher",
    when_zero="empty_denominator", source="Vintage redemption: RewardOps",
    formula="100 points redeemed within 182 days of issue / points issued in lots from 272 to 182 days ago",
    example=Example("100 issued, 20 redeemed in time (20 more after 190 days): 20", _points(), 20.0),
)  # fmt: skip
def redemption_rate(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the points issued that were redeemed within half a year."""
    return {"top": customer.redeemed, "bottom": customer.issued}


@items("loyalty_ledger", counts="customers")
def ledger_sums(context: MetricContext, days: int | None) -> Frame:
    """External customers with points earned or redeemed in the window."""
    rows = context.rows("loyalty_ledger", days).filter(nw.col("kind").is_in(("earn", "redeem")))
    sums = [
        nw.when(nw.col("kind") == kind).then(nw.col("points")).sum().cast(nw.Float64).fill_null(0.0).alias(name)
        for kind, name in (("earn", "earned"), ("redeem", "redeemed"))
    ]
    return rows.group_by("customer_id").agg(*sums).with_columns(unit=nw.col("customer_id"))


@metric(
    "M41", "Redemption rate of the period", items=ledger_sums, kind=Ratio(100.0, limits=NOT_BELOW_0), days=90,
    unit="percent", better="higher", when_zero="empty_denominator",
    source="Period redemption: RewardOps; may exceed 100",
    formula="100 points redeemed in the window / points earned in it, whenever they were earned",
    example=Example("5 earn 10 each, two redeem 30 in all: 60",
                    {"loyalty_ledger": [*({"customer_id": c, "occurred_at": -9, "kind": "earn", "points": 10}
                                          for c in "abcde"),
                                        *({"customer_id": c, "occurred_at": -8, "kind": "redeem", "points": 15}
                                          for c in "ab")]}, 60.0),
)  # fmt: skip
def redemption_rate_period(customer: Row) -> Mapping[str, nw.Expr]:
    """Points redeemed against points earned in the same window."""
    return {"top": customer.redeemed, "bottom": customer.earned}


@metric(
    "M41", "Breakage", items=lots, kind=Ratio(100.0, limits=(0, 100)), days=90, reaches=90 + LOT_DAYS, unit="percent",
    better="lower",
    when_zero="empty_denominator", source="Customer Insight Group: expired and unredeemed points over issued",
    formula="100 points expired or not redeemed within 182 days of issue / points issued from 272 to 182 days ago",
    example=Example("100 issued, 20 redeemed in time: 80", _points(), 80.0),
)  # fmt: skip
def breakage(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the points issued that were not redeemed within half a year."""
    return {"top": customer.issued - customer.redeemed, "bottom": customer.issued}


def members(context: MetricContext) -> Frame:
    """Customers who are enrolled at the instant, `is_moving` where they earned or redeemed in 90 days."""
    enrolled = context.rows("loyalty_members").filter(is_on(nw.col("left_us"), context.as_of_us))
    people = enrolled.select("customer_id").unique().collect("polars").lazy()
    if not context.has("loyalty_ledger"):
        return people.with_columns(is_moving=nw.lit(None, nw.Int64))
    moved = context.rows("loyalty_ledger", 90).filter(nw.col("kind").is_in(("earn", "redeem"))).select("customer_id")
    moving = moved.unique().with_columns(is_moving=nw.lit(1, nw.Int64)).collect("polars").lazy()
    return people.join(moving, on="customer_id", how="left").with_columns(nw.col("is_moving").fill_null(0))


@items("loyalty_members", "usage_events|transactions|subscriptions", counts="customers")
def eligible(context: MetricContext, days: int | None) -> Frame:
    """External customers who are active at the instant."""
    enrolled = context.keep(members).select("customer_id", is_member=nw.lit(1, nw.Int64))
    people = context.keep(active).join(enrolled, on="customer_id", how="left")
    return people.with_columns(nw.col("is_member").fill_null(0), unit=nw.col("customer_id"))


_MEMBERS = {
    "usage_events": [{"customer_id": c, "occurred_at": -3, "event": "open"} for c in "abcdefghij"],
    "loyalty_members": [
        *({"customer_id": c, "enrolled_at": -200} for c in "abcde"),
        {"customer_id": "f", "enrolled_at": -200, "left_at": -5},
    ],
    "loyalty_ledger": [
        {"customer_id": "a", "occurred_at": -9, "kind": "earn", "points": 5},
        {"customer_id": "b", "occurred_at": -90, "kind": "redeem", "points": 5},
        {"customer_id": "c", "occurred_at": -91, "kind": "earn", "points": 5},
        {"customer_id": "d", "occurred_at": -9, "kind": "expire", "points": 5},
    ],
}


@metric(
    "M42", "Loyalty programme enrolment", items=eligible, kind=Proportion(), unit="percent", better="higher",
    when_zero="empty_denominator", source="Oracle CrowdTwist: members over eligible customers",
    formula="100 members at the instant / active customers",
    example=Example("5 of 10 active customers are members, one has left: 50", _MEMBERS, 50.0),
)  # fmt: skip
def loyalty_enrolment(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the active customers who are members of the loyalty programme."""
    return {"hit": customer.is_member}


@items("loyalty_members", "loyalty_ledger", counts="customers")
def enrolled(context: MetricContext, days: int | None) -> Frame:
    """External customers who are members of the loyalty programme at the instant."""
    return context.keep(members).with_columns(unit=nw.col("customer_id"))


@metric(
    "M42", "Active loyalty members", items=enrolled, kind=Proportion(), days=90, unit="percent", better="higher",
    when_zero="empty_denominator", source="Oracle CrowdTwist: active over all members",
    formula="100 members who earned or redeemed points in 90 days / members",
    example=Example("Of 5 members 2 earned or redeemed in 90 days: 40", _MEMBERS, 40.0),
)  # fmt: skip
def loyalty_active(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the members who take part."""
    return {"hit": customer.is_moving}


@items(
    "costs", "referrals", "transactions", "transactions.gross_margin", absent=(
        "`not_applicable` (`unmatched`): fewer than half of the converted prospects are customers",
        "`not_applicable` (`no_input`): of a referred customer `counterfactual_p` is not known; with bounds",
        "`not_applicable` (`no_input`): more than 20 % of the transactions have no gross_margin",
        "`insufficient_history`: costs of the programme cover less than 0.8 of the window",
        "`not_applicable` (`no_input`): there are no costs of the programme",
    ), counts="revenue",
)  # fmt: skip
def returns(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers with a transaction in the window, against the cost of the programme in it, pro rata."""
    assert days is not None
    rows, cost = margins(context), prorated(context, "costs", days, "programme")
    for part in (unmatched(context), rows, cost):
        if isinstance(part, Absent):
            return part
    assert not isinstance(rows, Absent)
    assert not isinstance(cost, Absent)
    rows = credited(rows, context).filter(nw.col("own_us") >= context.before(days))
    margin = nw.when(nw.col("is_credited")).then(nw.col("margin"))
    people = rows.group_by("customer_id").agg(margin.sum(), nw.col("counterfactual_p").max().alias("p"))
    people = people.with_columns(margin=nw.col("margin").fill_null(0).cast(nw.Float64) / 10_000)
    people = people.collect("polars").lazy()
    totals = incremental(people, "margin", "p")
    absent = totals.absent(lambda gain: 100 * (gain - cost.amount) / cost.amount if cost.amount else math.nan)
    if absent is not None:
        return absent
    gained = nw.col("margin") * (1 - nw.col("p").fill_null(0.0))
    each = nw.lit(cost.amount) / nw.col("customer_id").count().cast(nw.Float64)
    return people.with_columns(gained=gained, cost=each, coverage=nw.lit(cost.coverage), unit=nw.col("customer_id"))


def return_on_cost(means: Floats) -> Floats:
    """Gain less cost, in percent of the cost."""
    result: Floats = 100 * (means[:, 0] - means[:, 1]) / means[:, 1]
    return result


@metric(
    "M43", "Return on the advocacy programme", items=returns, days=90,
    kind=Figure(("gained", "cost"), return_on_cost, limits=ANY), unit="percent", better="higher",
    when_zero="empty_denominator",
    source="Return on investment, textbook: incremental margin against cost",
    formula="100 (sum(advocacy margin times (1 - counterfactual_p)) - cost) / cost of the programme, in the window",
    version="2",
    example=Example(
        "A referred margin of 400, a quarter of which would have come, for 100: 200",
        {"referrals": [{"advocate_id": "a", "prospect_id": "p", "invited_at": -60, "counterfactual_p": 0.25}],
         "transactions": [{"customer_id": c, "occurred_at": -40, "amount": 800, "gross_margin": 400,
                           "kind": "purchase"} for c in "pqrst"],
         "costs": [{"started_at": -180, "ended_at": 0, "kind": "programme", "amount": 200},
                   *repeated(1, started_at=-180, ended_at=0, kind="sales", amount=999)]}, 200.0),
)  # fmt: skip
def programme_roi(customer: Row) -> Mapping[str, nw.Expr]:
    """What the advocacy programme returns on its cost."""
    return {"gained": customer.gained, "cost": customer.cost, "coverage": customer.coverage}
