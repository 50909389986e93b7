"""Voices in public: which posts are about the company, and where a review is read by everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import narwhals as nw

PUBLIC_SOURCES = ("amazon", "google", "trustpilot", "tripadvisor", "app_store")
"""Sources of feedback that everybody reads."""


def is_about_us(is_brand_mention: nw.Expr) -> nw.Expr:
    """Whether a post is about the company; where nobody said, it is not."""
    return is_brand_mention.fill_null(False)
