"""Sessions: visits of people, and how long they count."""

from __future__ import annotations

import narwhals as nw

LONGEST_US = 1_800_000_000
"""A session without engaged seconds counts with its duration, up to half an hour."""


def is_visit(is_bot: nw.Expr) -> nw.Expr:
    """Whether a person made the session; where nobody said, it was one."""
    return ~is_bot.fill_null(False)


def engaged_us(started_us: nw.Expr, ended_us: nw.Expr, engaged_s: nw.Expr) -> nw.Expr:
    """Engaged time in microseconds; where it is not known, the duration up to half an hour."""
    duration = ended_us - started_us
    capped = nw.when(duration > LONGEST_US).then(nw.lit(LONGEST_US, nw.Int64)).otherwise(duration)
    return nw.when(engaged_s.is_null()).then(capped).otherwise((engaged_s * 1_000_000).cast(nw.Int64))
