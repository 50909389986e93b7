"""Referrals: how many, how many become customers, and how many advocates bring one (M27 to M29)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from features.catalogue import Example, Row, items, metric
from features.contract import DAY_US
from features.kinds import Ratio
from features.populations import CONVERSION_DAYS, referrals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from features.asof import Frame
    from features.moment import Moment


@items("referrals")
def matured_referrers(moment: Moment, days: int | None) -> Frame:
    """Advocates with valid referrals from invitations that are older than 30 days.

    Valid: not to oneself, not known as fraud, one per advocate and prospect. Followed for 30 days each.
    """
    assert days is not None
    pairs = moment.keep(referrals).filter(
        nw.col("invited_us") >= moment.before(days + CONVERSION_DAYS),
        nw.col("invited_us") < moment.before(CONVERSION_DAYS),
    )
    until = nw.col("invited_us") + CONVERSION_DAYS * DAY_US
    clicked = (nw.col("clicked_us") <= until).fill_null(False)
    signed = clicked & (nw.col("signed_up_us") <= until).fill_null(False)
    found = pairs.group_by("sender").agg(
        nw.col("advocate_id").max().alias("customer_id"),
        nw.len().alias("referrals"),
        (~nw.col("converted_us").is_null()).cast(nw.Int64).sum().alias("converted"),
        clicked.cast(nw.Int64).sum().alias("clicked"),
        signed.cast(nw.Int64).sum().alias("signed_up"),
    )
    return found.with_columns(unit=nw.col("sender"))


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


@metric(
    "M28", "Referral conversion rate", items=matured_referrers, kind=Ratio(100.0, is_share=True), days=365,
    unit="percent", better="higher", source="Friendbuy, impact.com: purchases over referrals, fraud left out",
    formula="100 converted within 30 days / valid referrals older than 30 days; a prospect's conversion counts once",
    example=Example("Of 7 valid referrals 2 convert in time: not to oneself, no fraud, one prospect once: 28.571",
                    _INVITED, 28.5714),
)  # fmt: skip
def referral_conversion_rate(advocate: Row) -> Mapping[str, nw.Expr]:
    """Share of invited prospects who became customers within 30 days."""
    return {"top": advocate.converted, "bottom": advocate.referrals}
