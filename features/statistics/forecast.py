"""Forecast of a weekly figure by mean reversion, which has to earn its place against persistence.

Where it does not beat persistence, persistence is told. The model draws the latest level back to the long-run mean, as
far as the past says that levels are drawn back. It is judged out of time, from one origin after another with nothing
later known, and serves only where its mean absolute error is below that of persistence (skill above 0). The 80 %
interval is that of the errors so made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vouch.features.statistics.intervals import Floats

LEVEL_WEEKS = 4
"""The level of now is the mean of so many weeks."""
LEAST_WEEKS = 12
"""Weeks that the first origin has behind it."""
LEAST_ORIGINS = 12
INNER = 0.8


@dataclass(frozen=True)
class Forecast:
    """The expected figure `weeks` ahead; `skill` is 1 - MAE / MAE of persistence over the `origins`."""

    value: float
    low: float
    high: float
    skill: float
    is_persistence: bool
    origins: int


def forecast(weekly: Floats, weeks: int) -> Forecast | None:
    """Forecast a series of weekly figures, NaN where a week has none; None where there is too little to judge it by."""
    levels = _levels(weekly)
    origins = [at for at in range(LEAST_WEEKS - 1, len(levels) - weeks) if np.isfinite(levels[at] + levels[at + weeks])]
    if len(origins) < LEAST_ORIGINS or not np.isfinite(levels[-1]):
        return None
    truth = np.array([levels[at + weeks] for at in origins])
    naive = np.array([levels[at] for at in origins])
    drawn = np.array([_drawn_back(levels[: at + 1], weeks) for at in origins])
    skill = _skill(truth, naive, drawn)
    is_persistence = skill <= 0
    errors = truth - (naive if is_persistence else drawn)
    value = float(levels[-1]) if is_persistence else _drawn_back(levels, weeks)
    low, high = np.quantile(errors, [(1 - INNER) / 2, (1 + INNER) / 2])
    return Forecast(value, value + float(low), value + float(high), skill, is_persistence, len(origins))


def _levels(weekly: Floats) -> Floats:
    """Mean of the weeks up to each one, of those that have a figure."""
    known = np.isfinite(weekly)
    sums, counts = (np.cumsum(np.append(0.0, values)) for values in (np.where(known, weekly, 0.0), known))
    start = np.maximum(np.arange(len(weekly)) + 1 - LEVEL_WEEKS, 0)
    stop = np.arange(len(weekly)) + 1
    with np.errstate(invalid="ignore", divide="ignore"):
        levels: Floats = (sums[stop] - sums[start]) / (counts[stop] - counts[start])
    return levels


def _drawn_back(levels: Floats, weeks: int) -> float:
    """The last level, drawn to the mean of all by the slope of levels on those so many weeks before."""
    known = levels[np.isfinite(levels)]
    centre = float(known.mean())
    before, after = levels[:-weeks], levels[weeks:]
    both = np.isfinite(before) & np.isfinite(after)
    apart = before[both] - centre
    spread = float((apart**2).sum())
    slope = float((apart * (after[both] - centre)).sum()) / spread if spread > 0 else 1.0
    return centre + min(max(slope, 0.0), 1.0) * (float(levels[-1]) - centre)


def _skill(truth: Floats, naive: Floats, drawn: Floats) -> float:
    worst = float(np.abs(truth - naive).mean())
    return 1 - float(np.abs(truth - drawn).mean()) / worst if worst > 0 else 0.0
