"""Referrals: which are valid. Not to oneself, and not fraud as known; where nobody said, it is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import narwhals as nw


def is_valid(advocate_id: nw.Expr, prospect_id: nw.Expr, is_fraud: nw.Expr) -> nw.Expr:
    """Whether the prospect is somebody else, and the referral is not known as fraud."""
    return (prospect_id != advocate_id) & ~is_fraud.fill_null(False)
