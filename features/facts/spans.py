"""Spans of time: whether a subscription, a membership or a licence runs at an instant."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import narwhals as nw

NEVER_US = 2**62
"""Stands for the end of what runs on, where an end has to be compared."""


def is_on(ended_us: nw.Expr, at_us: nw.Expr | int) -> nw.Expr:
    """Whether a span that began before the instant has not ended by then; without an end it runs on."""
    return ended_us.is_null() | (ended_us >= at_us)


def runs(started_us: nw.Expr, ended_us: nw.Expr, at_us: nw.Expr | int) -> nw.Expr:
    """Whether a span runs at an instant: begun before it, and not ended by then."""
    return (started_us < at_us) & is_on(ended_us, at_us)
