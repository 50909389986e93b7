"""Pauses: days between two days of activity of one customer, and the inactivity window that they speak for.

How long a silence means that somebody has left differs from trade to trade: a grocer's customers come every week, those
of a furniture shop every other year. The company's own pauses say it better than any constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np

from vouch.features.contract.tables import ACTIVITY_TABLES

if TYPE_CHECKING:
    from vouch.features.asof import Tables

WINDOWS = (14, 28, 60, 90, 120, 180, 270, 365, 540, 730)
"""Inactivity windows that are proposed, in days."""
USUAL = 90
SHARE = 0.9
"""Share of the pauses that a window must outlast."""
LEAST = 200
"""Pauses from which anything is proposed."""


@dataclass(frozen=True)
class Pauses:
    """What a company's pauses say: how many, the middle one, the longest of nine in ten (days), and the window.

    `history_days` is from the first to the last day of activity.
    """

    count: int
    median: float
    long: float
    window: int
    history_days: int

    @property
    def evidence(self) -> str:
        """The evidence, for people."""
        return (
            f"half of {self.count:,} pauses between two days of activity last up to {self.median:.0f} days, nine in "
            f"ten up to {self.long:.0f}"
        )


def pauses(tables: Tables) -> Pauses | None:
    """Return what the pauses between days of activity say; None where there are too few."""
    activity = [tables.frames[name].select("customer_id", "day") for name in ACTIVITY_TABLES if name in tables]
    days = nw.concat(activity).filter(~nw.col("customer_id").is_null()).unique()
    before = nw.col("day").shift(1).over("customer_id", order_by="day")
    gaps = days.with_columns(pause=nw.col("day") - before).filter(~nw.col("pause").is_null())
    counted = gaps.group_by("pause").agg(nw.len().alias("rows")).collect("pyarrow").to_native()
    (ends,) = (
        days.select(nw.col("day").min().alias("first"), nw.col("day").max().alias("last"))
        .collect("pyarrow").to_native().to_pylist()
    )  # fmt: skip
    lengths, rows = (np.array(counted[name].to_pylist(), dtype=np.int64) for name in ("pause", "rows"))
    if rows.sum() < LEAST:
        return None
    order = np.argsort(lengths)
    share = np.cumsum(rows[order]) / rows.sum()
    median, long = (float(lengths[order][np.searchsorted(share, part)]) for part in (0.5, SHARE))
    window = next((of for of in WINDOWS if of >= long), WINDOWS[-1])
    return Pauses(int(rows.sum()), median, long, window, int(ends["last"] - ends["first"]) + 1)


def enough_days(horizon: int, history_days: int = 56) -> int:
    """Days of history that a horizon needs: once to fit and once to test, after a first stretch."""
    return 2 * horizon + history_days
