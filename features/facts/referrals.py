"""Referrals: which invitations are valid, and which of several to one prospect counts.

Valid is an invitation of somebody else that is not fraud as known; where nobody said, it is none. Of those of one
advocate to one prospect the first is the referral, rewarded or not as it was; a conversion on any of them counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.facts.acts import is_rewarded

if TYPE_CHECKING:
    from vouch.features.asof import Frame


def is_valid(advocate_id: nw.Expr, prospect_id: nw.Expr, is_fraud: nw.Expr) -> nw.Expr:
    """Whether the prospect is somebody else, and the referral is not known as fraud; null without an advocate."""
    return (prospect_id != advocate_id) & ~is_fraud.fill_null(False)


def invitations(rows: Frame) -> Frame:
    """The valid invitations, repeated ones too, from all rows of `referrals` that count.

    `sender` is the advocate, or who stands for one that is not named; `number` is 1 in the first of a pair.
    """
    is_one = is_valid(nw.col("advocate_id"), nw.col("prospect_id"), nw.col("is_fraud")).fill_null(True)
    sender = nw.coalesce(nw.col("advocate_id"), nw.concat_str(nw.lit("~"), nw.col("referral_id")))
    rows = rows.filter(is_one).with_columns(sender=sender, number=nw.lit(1, nw.Int64))
    order = ["own_us", "referral_id"]
    return rows.with_columns(nw.col("number").cum_sum().over("sender", "prospect_id", order_by=order))


def referrals(sent: Frame) -> Frame:
    """One row per sender and prospect, from all valid invitations: `invited_us` and `referral_id` of the first.

    `is_rewarded` (1 or 0) is that of the first too. `clicked_us`, `signed_up_us` and `converted_us` are the earliest
    of the pair, `reward_cost` is the sum, `counterfactual_p` the largest.
    """
    first = nw.when(nw.col("number") == 1)
    return sent.group_by("sender", "prospect_id").agg(
        nw.col("advocate_id").max(),
        first.then(nw.col("referral_id")).max().alias("referral_id"),
        first.then(nw.col("own_us")).max().alias("invited_us"),
        first.then(is_rewarded(nw.col("is_incentivised")).cast(nw.Int64)).max().alias("is_rewarded"),
        *(nw.col(name).min() for name in ("clicked_us", "signed_up_us", "converted_us")),
        nw.col("reward_cost").sum(),
        nw.col("counterfactual_p").max(),
    )
