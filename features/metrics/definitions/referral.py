"""Metrics of referrals: how many, how many become customers, how many advocates bring one (M27 to M29)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.contract.tables import DAY_US
from vouch.features.metrics.catalogue import Absent, Example, Row, items, metric
from vouch.features.metrics.estimators import NOT_BELOW_0, Figure, Floats, Mean, Proportion, Rate, Ratio, Total
from vouch.features.metrics.populations.advocacy import CONVERSION_DAYS, invitations, valid_referrals
from vouch.features.metrics.populations.customers import active

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext


@items("referrals")
def recent_referrals(context: MetricContext, days: int | None) -> Frame:
    """Valid referrals by external customers: not to oneself, not known as fraud, one per advocate and prospect."""
    assert days is not None
    pairs = context.keep(valid_referrals).filter(nw.col("invited_us") >= context.before(days))
    return pairs.with_columns(customer_id=nw.col("advocate_id"), unit=nw.col("referral_id"), one=nw.lit(1, nw.Int64))


@items("referrals", counts="customers")
def referrers(context: MetricContext, days: int | None) -> Frame:
    """External customers who made a valid referral in the window; `invites` counts repeated ones too."""
    assert days is not None
    sent = context.keep(invitations).filter(nw.col("own_us") >= context.before(days))
    senders = sent.group_by("sender").agg(
        nw.col("advocate_id").max().alias("customer_id"),
        (nw.col("number") == 1).cast(nw.Int64).sum().alias("referrals"),
        nw.len().alias("invites"),
    )
    return senders.with_columns(unit=nw.col("sender"))


@items("referrals", "referrals.converted_at", counts="customers")
def matured_referrers(context: MetricContext, days: int | None) -> Frame:
    """Advocates with valid referrals from invitations that are older than 30 days.

    Valid: not to oneself, not known as fraud, one per advocate and prospect. Followed for 30 days each.
    """
    assert days is not None
    pairs = context.keep(valid_referrals).filter(
        nw.col("invited_us") >= context.before(days + CONVERSION_DAYS),
        nw.col("invited_us") < context.before(CONVERSION_DAYS),
    )
    until = nw.col("invited_us") + CONVERSION_DAYS * DAY_US
    clicked = (nw.col("clicked_us") <= until).fill_null(False)
    signed = clicked & (nw.col("signed_up_us") <= until).fill_null(False)
    senders = pairs.group_by("sender").agg(
        nw.col("advocate_id").max().alias("customer_id"),
        nw.len().alias("referrals"),
        (~nw.col("converted_us").is_null()).cast(nw.Int64).sum().alias("converted"),
        clicked.cast(nw.Int64).sum().alias("clicked"),
        signed.cast(nw.Int64).sum().alias("signed_up"),
    )
    return senders.with_columns(unit=nw.col("sender"))


def _referral(advocate: str, prospect: str, **more: float | bool) -> dict[str, object]:
    return {"advocate_id": advocate, "prospect_id": prospect, "invited_at": -60, **more}


_INVITED = {
    "referrals": [
        _referral("a", "p1", clicked_at=-59, signed_up_at=-58, converted_at=-50),
        _referral("a", "p2", clicked_at=-59),
        _referral("a", "a", converted_at=-50),
        _referral("b", "p3", clicked_at=-59, signed_up_at=-55, converted_at=-20),
        {**_referral("b", "p3"), "invited_at": -59},
        _referral("b", "p4", clicked_at=-50, signed_up_at=-49),
        _referral("c", "p5", clicked_at=-58, is_fraud=True, converted_at=-50),
        _referral("c", "p1", converted_at=-50),
        {**_referral("d", "p6"), "invited_at": -5},
        _referral("d", "p7", clicked_at=-40),
        _referral("e", "p8", clicked_at=-40, signed_up_at=-39, converted_at=-38),
    ]
}


def _invites(days_ago: float = -20) -> dict[str, list[dict[str, object]]]:
    pairs = [("a", "p1"), ("a", "p2"), ("a", "p2"), ("b", "p3"), ("b", "b"), ("c", "p4"), ("d", "p5"), ("e", "p6")]
    people = [*"abcdefghij"]
    return {
        "referrals": [
            *({"advocate_id": a, "prospect_id": p, "invited_at": days_ago} for a, p in pairs),
            {"advocate_id": "f", "prospect_id": "p7", "invited_at": days_ago, "is_fraud": True},
        ],
        "usage_events": [{"customer_id": name, "occurred_at": -2, "event": "open"} for name in people],
    }


@metric(
    "M27", "Referrals", items=recent_referrals, kind=Total(), days=90, unit="referrals", better="higher",
    source="impact.com: referrals without fraud; ours drops self-referrals and duplicates too",
    formula="count of distinct (advocate, prospect), to somebody else, not fraud as known",
    example=Example("9 rows, one to oneself, one repeated, one fraud: 6", _invites(), 6.0),
)  # fmt: skip
def referrals(referral: Row) -> Mapping[str, nw.Expr]:
    """Valid referrals in the window."""
    return {"amount": referral.one}


@metric(
    "M27", "Referrals per advocate", items=referrers, kind=Mean(limits=NOT_BELOW_0), days=90, unit="referrals",
    better="higher", when_zero="empty_denominator", source="Friendbuy: referrals per advocate",
    formula="valid referrals / customers who made one",
    counts="referrals",
    example=Example("6 referrals by 5 advocates: 1.2", _invites(), 1.2),
)  # fmt: skip
def referrals_per_advocate(advocate: Row) -> Mapping[str, nw.Expr]:
    """Valid referrals of a customer who made any."""
    return {"value": nw.when(advocate.referrals > 0).then(advocate.referrals), "items": advocate.referrals}


@items("referrals", "usage_events|transactions|subscriptions")
def possible_referrers(context: MetricContext, days: int | None) -> Frame:
    """External customers who are active at the instant, and their valid referrals; with those of anybody else."""
    assert days is not None
    pairs = context.keep(valid_referrals).filter(nw.col("invited_us") >= context.before(days))
    made = pairs.group_by("sender").agg(nw.len().alias("referrals"), nw.col("advocate_id").max())
    sent = made.select(
        unit=nw.col("sender"), customer_id=nw.col("advocate_id"), referrals=nw.col("referrals").cast(nw.Int64),
        is_active=nw.lit(0, nw.Int64),
    )  # fmt: skip
    people = context.keep(active).select(
        unit=nw.col("customer_id"), customer_id=nw.col("customer_id"), referrals=nw.lit(0, nw.Int64),
        is_active=nw.lit(1, nw.Int64),
    )  # fmt: skip
    both = nw.concat([sent, people]).group_by("unit", "customer_id")
    return both.agg(nw.col("referrals").sum(), nw.col("is_active").max())


@metric(
    "M27", "Referrals per 1,000 customers", items=possible_referrers, kind=Rate(1000.0), days=90, unit="referrals",
    better="higher", when_zero="empty_denominator", source="Rate per exposure, textbook",
    formula="1000 valid referrals / active customers",
    counts="referrals",
    example=Example("6 referrals among 10 active customers: 600", _invites(), 600.0),
)  # fmt: skip
def referrals_per_1000(customer: Row) -> Mapping[str, nw.Expr]:
    """Valid referrals for each thousand active customers."""
    return {"events": customer.referrals, "exposure": customer.is_active}


@metric(
    "M28", "Referral conversion rate", items=matured_referrers, days=365, reaches=365 + CONVERSION_DAYS,
    kind=Ratio(100.0, is_share=True, limits=(0, 100)), unit="percent", better="higher",
    source="Friendbuy, impact.com: purchases over referrals, fraud left out",
    formula="100 converted within 30 days / valid referrals older than 30 days; a prospect's conversion counts once",
    counts="referrals",
    example=Example("Of 7 valid referrals 2 convert in time: not to oneself, no fraud, one prospect once: 28.571",
                    _INVITED, 28.5714),
)  # fmt: skip
def referral_conversion_rate(advocate: Row) -> Mapping[str, nw.Expr]:
    """Share of invited prospects who became customers within 30 days."""
    return {"top": advocate.converted, "bottom": advocate.referrals}


@metric(
    "M28", "Referral sign-up rate", items=matured_referrers, days=365, reaches=365 + CONVERSION_DAYS,
    kind=Ratio(100.0, is_share=True, limits=(0, 100)), unit="percent", better="higher",
    needs=("referrals.clicked_at", "referrals.signed_up_at"),
    source="Friendbuy: sign-ups over clicks",
    formula="100 signed up / followed the link, both within 30 days of a valid invitation older than 30 days",
    counts="prospects who followed the link",
    example=Example("Of 7 who follow the link in time 4 sign up: 57.143",
                    {"referrals": [*_INVITED["referrals"], _referral("f", "p9", clicked_at=-40)]}, 57.1429),
)  # fmt: skip
def referral_signup_rate(advocate: Row) -> Mapping[str, nw.Expr]:
    """Share of the prospects who followed the link that signed up."""
    return {"top": advocate.signed_up, "bottom": advocate.clicked}


@metric(
    "M29", "Advocacy conversion rate", items=matured_referrers, kind=Proportion(), days=365,
    reaches=365 + CONVERSION_DAYS, unit="percent",
    better="higher", when_zero="empty_denominator", source="impact.com: successful referrers over referrers",
    formula="100 advocates with a prospect who converted within 30 days / advocates with a valid referral older "
    "than 30 days; a prospect's conversion counts for the first who invited",
    example=Example("Of 5 advocates 2 bring a customer in time: 40", _INVITED, 40.0),
)  # fmt: skip
def advocacy_conversion_rate(advocate: Row) -> Mapping[str, nw.Expr]:
    """Share of the advocates who brought a customer."""
    return {"hit": advocate.converted > 0}


@metric(
    "M30", "Invitations per advocate", items=referrers, kind=Mean(limits=NOT_BELOW_0), days=90,
    unit="invitations", better="higher", when_zero="empty_denominator", source="Friendbuy: invitations per advocate",
    formula="valid invitations, repeated ones too / customers who sent one",
    counts="invitations",
    example=Example("7 invitations, one of them repeated, by 5 advocates: 1.4", _invites(), 1.4),
)  # fmt: skip
def invites_per_advocate(advocate: Row) -> Mapping[str, nw.Expr]:
    """Invitations of a customer who sent any."""
    return {"value": advocate.invites, "items": advocate.invites}


@items("referrals", "referrals.converted_at", "usage_events|transactions|subscriptions")
def spreaders(context: MetricContext, days: int | None) -> Frame:
    """External customers who are active at the instant, with the outcome of valid invitations older than 30 days."""
    assert days is not None
    senders = matured_referrers.prepare(context, days)
    assert not isinstance(senders, Absent)
    sent = senders.select("unit", "customer_id", "referrals", "converted")
    people = context.keep(active).select("customer_id", is_active=nw.lit(1, nw.Int64), unit=nw.col("customer_id"))
    zero = nw.lit(0, nw.Int64)
    both = nw.concat(
        [
            sent.with_columns(nw.col("referrals").cast(nw.Int64), is_active=zero).select(*_SPREAD),
            people.with_columns(referrals=zero, converted=zero).select(*_SPREAD),
        ]
    )
    return both.group_by("unit", "customer_id").agg(
        nw.col("is_active").max(), nw.col("referrals").sum(), nw.col("converted").sum()
    )


_SPREAD = ("unit", "customer_id", "is_active", "referrals", "converted")


def growth_factor(means: Floats) -> Floats:
    """Invitations per customer times conversions per invitation."""
    result: Floats = (means[:, 1] / means[:, 0]) * (means[:, 2] / means[:, 1])
    return result


@metric(
    "M30", "Viral coefficient", items=spreaders, days=90, reaches=90 + CONVERSION_DAYS,
    kind=Figure(("active", "invited", "converted"), growth_factor, limits=NOT_BELOW_0), unit="ratio", better="higher",
    when_zero="empty_denominator",
    source="K-factor: invitations per customer times conversion; Friendbuy",
    formula="(valid invitations / active customers) times (converted within 30 days / valid invitations), of "
    "invitations from 120 to 30 days ago",
    example=Example("2 conversions for 10 active customers: 0.2",
                    {**_INVITED, "usage_events": _invites()["usage_events"]}, 0.2),
)  # fmt: skip
def k_factor(customer: Row) -> Mapping[str, nw.Expr]:
    """New customers that each active customer brings by referrals."""
    return {
        "active": customer.is_active, "invited": customer.referrals, "converted": customer.converted,
        "tell": customer.is_active,
    }  # fmt: skip
