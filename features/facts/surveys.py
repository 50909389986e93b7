"""Surveys: what is an answer, and whether it is about the company as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import narwhals as nw

PROMOTER, DETRACTOR = 9, 6
"""From the first answer on (0 to 10) a customer would recommend, up to the second would not."""


def is_answered(status: nw.Expr, score: nw.Expr) -> nw.Expr:
    """Whether a question was answered in full, with a score."""
    return (status == "answered") & ~score.is_null()


def is_relational(touchpoint: nw.Expr) -> nw.Expr:
    """Whether a survey is about the company as a whole, not about one contact."""
    return touchpoint.is_null() | (touchpoint == "relational")
