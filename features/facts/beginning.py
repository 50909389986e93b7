"""The beginning of the data: the first day on which a company's activity is really there.

A few rows of decades ago are a clock that was wrong, and no history; so a thousandth of all rows may lie before it.
What looks further back than that sees a rise that never was: windows of metrics and cutoffs of training keep to it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.contract.tables import DAY_US

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vouch.features.asof import Frame

STRAYS = 1_000
"""One row in so many may lie before the beginning."""


def beginning_us(activity: Iterable[Frame]) -> int | None:
    """Start of the first day (microseconds since 1970 UTC) of rows of use and transactions; None where there are none.

    Internal customers count: what they did shows that it was recorded.
    """
    counted: Counter[int] = Counter()
    for frame in activity:
        daily = frame.select(day=nw.col("own_us") // DAY_US).group_by("day").agg(rows=nw.len().cast(nw.Int64))
        for row in daily.collect("pyarrow").iter_rows(named=True):
            counted[int(row["day"])] += int(row["rows"])
    passed, total = 0, counted.total()
    for day in sorted(counted):
        passed += counted[day]
        if passed * STRAYS >= total:
            return day * DAY_US
    return None
