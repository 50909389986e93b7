"""Sessions: visits of people, and how long they count."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import narwhals as nw

LONGEST_S = 1_800
"""A session without engaged seconds counts with its duration, up to this many seconds."""


def is_visit(is_bot: nw.Expr) -> nw.Expr:
    """Whether a person made the session; where nobody said, it was one."""
    return ~is_bot.fill_null(False)
