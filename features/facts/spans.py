"""Time spans: whether a subscription, a membership or a licence runs at an instant.

Who looks from an instant sees what was before it: an end that is announced for the instant itself is yet to come, and
belongs to the window that begins there. Of an instant that is past it is known that the end has come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import narwhals as nw

NEVER_US = 2**62
"""Stands for the end of what runs on, where an end has to be compared."""


def has_ended(ended_us: nw.Expr, at_us: nw.Expr | int) -> nw.Expr:
    """Whether a span has ended before the instant that we look from; null where it has no end."""
    return ended_us < at_us


def is_yet_to_end(ended_us: nw.Expr, at_us: nw.Expr | int) -> nw.Expr:
    """Whether the end of a span is known and yet to come; null where it has no end."""
    return ended_us >= at_us


def is_on(ended_us: nw.Expr, at_us: nw.Expr | int) -> nw.Expr:
    """Whether what began before the instant that we look from has not ended before it; without an end it runs on."""
    return ended_us.is_null() | is_yet_to_end(ended_us, at_us)


def runs(started_us: nw.Expr, ended_us: nw.Expr, at_us: nw.Expr | int) -> nw.Expr:
    """Whether a span runs at the instant that we look from: begun before it, and not ended before it."""
    return (started_us < at_us) & is_on(ended_us, at_us)


def ran(started_us: nw.Expr, ended_us: nw.Expr, at_us: nw.Expr | int) -> nw.Expr:
    """Whether a span ran at an instant that is past: begun before it, and not ended before it or at it."""
    return (started_us < at_us) & (ended_us.is_null() | (ended_us > at_us))
