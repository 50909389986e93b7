"""Tickets: which are open at an instant, and which are of high priority."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import narwhals as nw

HIGH_PRIORITIES = ("high", "urgent", "critical", "blocker", "p0", "p1", "p2")
"""What high priority is called, in small letters."""


def is_open(resolved_us: nw.Expr, at_us: nw.Expr | int) -> nw.Expr:
    """Whether a ticket is not resolved before the instant; one whose resolution is announced for later is open."""
    return resolved_us.is_null() | (resolved_us >= at_us)


def priority(called: nw.Expr) -> nw.Expr:
    """A priority as it compares: in small letters."""
    return called.str.to_lowercase()


def is_of_high_priority(called: nw.Expr) -> nw.Expr:
    """Whether a priority means high."""
    return priority(called).is_in(HIGH_PRIORITIES)
