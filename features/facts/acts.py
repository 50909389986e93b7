"""Acts of speaking up: `organic`, `prompted` or `incentivised`; and which referrals are acts of their own.

An act is organic where it is neither rewarded nor asked for, prompted where it was asked for without a reward, and
incentivised where it was rewarded. Acts are the rows of `advocacy_acts`, and the valid referrals that are not already
among them: a referral that stands there on the same day for the same customer is one act.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.contract.tables import DAY_US

if TYPE_CHECKING:
    from vouch.features.asof import Frame

REFERRAL = "referral"
COLUMNS = ("unit", "customer_id", "own_us", "day", "kind", "sort", "reach")
ORGANIC, PROMPTED, INCENTIVISED = SORTS = ("organic", "prompted", "incentivised")


def is_rewarded(is_incentivised: nw.Expr) -> nw.Expr:
    """Whether there was a reward; where nobody said, there was none."""
    return is_incentivised.fill_null(False)


def is_asked(ask_id: nw.Expr) -> nw.Expr:
    """Whether the company asked for the act."""
    return ~ask_id.is_null()


def is_organic(rewarded: nw.Expr, asked: nw.Expr) -> nw.Expr:
    """Whether an act was neither rewarded nor asked for."""
    return ~rewarded & ~asked


def is_prompted(rewarded: nw.Expr, asked: nw.Expr) -> nw.Expr:
    """Whether an act was asked for and not rewarded."""
    return ~rewarded & asked


def sort_of(is_incentivised: nw.Expr, ask_id: nw.Expr) -> nw.Expr:
    """Which of SORTS an act is."""
    unrewarded = nw.when(is_asked(ask_id)).then(nw.lit(PROMPTED)).otherwise(nw.lit(ORGANIC))
    return nw.when(is_rewarded(is_incentivised)).then(nw.lit(INCENTIVISED)).otherwise(unrewarded)


def listed_acts(rows: Frame) -> Frame:
    """The rows of `advocacy_acts` as acts: COLUMNS, of which `unit` names the row, and `sort` is one of SORTS."""
    rows = rows.with_columns(
        unit=nw.concat_str(nw.lit("act "), nw.col("act_id")), sort=sort_of(nw.col("is_incentivised"), nw.col("ask_id"))
    )
    return rows.select(*COLUMNS)


def referred(pairs: Frame) -> Frame:
    """Valid referrals of known advocates as acts, whether or not they are listed too."""
    rewarded = nw.when(nw.col("is_rewarded") == 1)
    return (
        pairs.filter(~nw.col("advocate_id").is_null())
        .select(
            customer_id=nw.col("advocate_id"),
            own_us=nw.col("invited_us"),
            day=nw.col("invited_us") // DAY_US,
            kind=nw.lit(REFERRAL),
            sort=rewarded.then(nw.lit(INCENTIVISED)).otherwise(nw.lit(ORGANIC)),
            reach=nw.lit(None, nw.Int64),
            unit=nw.concat_str(nw.lit("referral "), nw.col("referral_id")),
        )
        .select(*COLUMNS)
    )


def unlisted(rows: Frame, kind: str, listed: Frame) -> Frame:
    """Of what makes acts of one kind those that are not among the listed acts: same customer, same kind, same day."""
    same = listed.filter(nw.col("kind") == kind).select("customer_id", "day").unique()
    return rows.join(same, on=["customer_id", "day"], how="anti")


def acts(recorded: Frame | None, pairs: Frame | None) -> Frame:
    """All acts, from those that are `listed` and from the valid referrals; None where there is no such table."""
    if pairs is None:
        assert recorded is not None, "acts come from one of the two tables"
        return recorded
    made = referred(pairs)
    return made if recorded is None else nw.concat([recorded, unlisted(made, REFERRAL, recorded)])
