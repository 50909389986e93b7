"""Cadence of a table: how many days lie between two deliveries, where its rows come on single days far apart.

A ledger by the month stamps a whole month on one day. Between two such days nothing is missing, a window shorter than
the step between them says only how long ago the latest delivery was, and the rows of one week stand for nothing. A
feed that comes whenever something happens has no cadence: there, silence is a fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np

from vouch.features.asof import view
from vouch.features.contract.tables import DAY_US

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.asof import Frame, Tables

RECENT_DAYS = 400
"""What a table did in this time before its newest row says how it comes now; five quarters fit in."""
STAMPED = 0.95
"""Share of the rows that must lie on the days of delivery; the rest are strays."""
SHORTEST_DAYS = 6
LEAST_STEPS = 3
LEAST_ROWS = 5
"""Rows of the middle delivery: fewer on one day come together by chance."""
ALIKE = 0.2
"""Steps are alike within this share of the middle one: months of 28 and of 31 days, a delivery that is days late."""
REGULAR = 0.9
"""Share of the steps that must be alike: one delivery that was left out does not make a feed irregular."""


def cadences(tables: Tables, as_of_us: int) -> dict[str, int]:
    """Return the cadence in days of each table that has one, as known at an instant."""
    found = {name: cadence_days(rows_by_day(view(tables, name, as_of_us))) for name in sorted(tables.frames)}
    return {name: days for name, days in found.items() if days is not None}


def rows_by_day(rows: Frame) -> dict[int, int]:
    """Return how many rows lie on each UTC day (days since 1970), by their own time."""
    daily = rows.select(day=nw.col("own_us") // DAY_US).group_by("day").agg(rows=nw.len().cast(nw.Int64))
    return {int(row["day"]): int(row["rows"]) for row in daily.collect("pyarrow").iter_rows(named=True)}


def cadence_days(rows: Mapping[int, int]) -> int | None:
    """Return the longest usual step between two days of delivery; None where rows come on no such days.

    >>> cadence_days({30 * month: 200 for month in range(12)})
    30
    >>> cadence_days({day: 200 for day in range(300)}) is None
    True
    """
    since = max(rows, default=0) - RECENT_DAYS
    recent = {day: count for day, count in rows.items() if day >= since}
    busiest = sorted(recent, key=lambda day: (-recent[day], day))
    covered = np.cumsum([recent[day] for day in busiest])
    needed = int(np.searchsorted(covered, STAMPED * covered[-1])) + 1 if len(covered) else 0
    days = sorted(busiest[:needed])
    steps = np.diff(days)
    if len(steps) < LEAST_STEPS or np.median([recent[day] for day in days]) < LEAST_ROWS:
        return None
    middle = float(np.median(steps))
    alike = steps[np.abs(steps - middle) <= ALIKE * middle]
    if middle < SHORTEST_DAYS or len(alike) < REGULAR * len(steps):
        return None
    return int(alike.max())


def latest_delivery(rows: Mapping[int, int], cadence: int) -> int:
    """Return how many rows the latest delivery holds: those of the newest day, and of the days shortly before it."""
    newest = max(rows)
    return sum(count for day, count in rows.items() if 2 * (newest - day) < cadence)
