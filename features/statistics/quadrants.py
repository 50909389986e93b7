"""Customer value quadrants of Kumar, Petersen & Leone 2007: by own worth, and by worth of referrals.

Each axis is parted at its median. A customer near a border stays where it was: only who passes the border by more than
the hysteresis moves, so that nobody goes to and fro by noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vouch.features.statistics.intervals import Floats

NAMES = ("misers", "affluents", "advocates", "champions")
"""By code: 1 for value above its median, 2 for referral value above its median, added."""
HYSTERESIS = 0.05
"""How far past a border, as a share of customers in order, one must be to move."""


def quadrants(value: Floats, referral_value: Floats, before: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Code of each customer's quadrant; `before` holds those of the time before, -1 where there was none.

    >>> quadrants(np.array([1.0, 9.0, 1.0, 9.0]), np.array([0.0, 0.0, 5.0, 5.0])).tolist()
    [0, 1, 2, 3]
    """
    codes = np.zeros(len(value), dtype=np.int64)
    for weight, axis in ((1, value), (2, referral_value)):
        is_high = axis > np.median(axis) if len(axis) else axis > 0
        if before is not None:
            is_high = _held(axis, is_high, before, weight)
        codes += weight * is_high
    return codes


def _held(axis: Floats, is_high: NDArray[np.bool_], before: NDArray[np.int64], weight: int) -> NDArray[np.bool_]:
    """Who is within the hysteresis of the border stays on the side where it was."""
    ordered = np.sort(axis)
    place = (np.searchsorted(ordered, axis, "left") + np.searchsorted(ordered, axis, "right")) / (2 * max(len(axis), 1))
    is_near = (np.abs(place - 0.5) <= HYSTERESIS) & (before >= 0)
    is_above: NDArray[np.bool_] = np.where(is_near, (before & weight) > 0, is_high)
    return is_above
