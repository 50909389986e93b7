"""Acts of speaking up: `organic`, `prompted` or `incentivised`; and which referrals are acts of their own.

An act is organic where it is neither rewarded nor asked for, prompted where it was asked for without a reward, and
incentivised where it was rewarded. Acts are the rows of `advocacy_acts`, and the valid referrals that are not already
among them: a referral that stands there on the same day for the same customer is one act.
"""

from __future__ import annotations

import narwhals as nw

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
