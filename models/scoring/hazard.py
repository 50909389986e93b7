"""Piecewise exponential hazard: the probability that the outcome comes within 1 to 26 weeks, from one score.

A piecewise exponential model (Friedman 1982): the rate of each week is exp(intercept + slope log(-log(1 - p))), with
an intercept and a slope per stretch of weeks and weights for weeks in which a renewal falls due. The calibrated
probability p of the model's own horizon is all that it reads of the customer beside those dates. Within that horizon
the rates are scaled so that they make p, and beyond they go on from p: both answers are one. Rates are positive, so
that a longer horizon is never less probable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.errors import BundleError, UsageError
from vouch.models.scoring.calibration import FLOOR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.models.scoring.trees import Numbers

WEEKS = 26
STARTS = (1, 5, 9, 14)
"""First week of each stretch with rates of its own."""
DUE = ("days_to_renewal", "days_to_annual_renewal")
"""Features that say when something falls due, where the company has them."""


@dataclass(frozen=True)
class Hazard:
    """The fitted numbers: an intercept and a slope per stretch, a weight per date, and the weeks of p's horizon."""

    anchor_weeks: int
    intercepts: tuple[float, ...]
    slopes: tuple[float, ...]
    due: tuple[float, ...]
    observed_weeks: int
    """Weeks that the rows it was fitted on were followed; beyond, the rate of the last stretch goes on."""

    def by_week(self, probability: Numbers, due_days: Sequence[Numbers]) -> Numbers:
        """Probability within each number of weeks, rows by `WEEKS`; `due_days` as `DUE`, NaN where nothing is due."""
        clipped = np.clip(probability, FLOOR, 1 - FLOOR)
        rates = np.exp(self._log_rates(clipped, due_days))
        total, own = np.cumsum(rates, axis=1), -np.log1p(-clipped)[:, None]
        anchor = total[:, [self.anchor_weeks - 1]]
        within = np.arange(WEEKS) < self.anchor_weeks
        result: Numbers = -np.expm1(-np.where(within, total * own / anchor, own + total - anchor))
        result[:, self.anchor_weeks - 1] = probability
        return np.asarray(np.maximum.accumulate(result, axis=1))

    def _log_rates(self, probability: Numbers, due_days: Sequence[Numbers]) -> Numbers:
        at = log_minus_log(probability)
        place = stretch(np.arange(1, WEEKS + 1))
        rates = np.array(self.intercepts)[place] + np.array(self.slopes)[place] * at[:, None]
        for weight, days in zip(self.due, due_days, strict=True):
            rates = rates + weight * falls_due(days)
        return np.asarray(rates)

    def as_json(self) -> dict[str, Any]:
        """The numbers that a bundle keeps."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}


def hazard_from_json(content: Mapping[str, Any]) -> Hazard:
    """Read what `Hazard.as_json` wrote; raises BundleError where it cannot be one."""
    hazard = Hazard(
        int(content["anchor_weeks"]),
        tuple(map(float, content["intercepts"])),
        tuple(map(float, content["slopes"])),
        tuple(map(float, content["due"])),
        int(content["observed_weeks"]),
    )
    numbers = [*hazard.intercepts, *hazard.slopes, *hazard.due]
    is_whole = len(hazard.intercepts) == len(hazard.slopes) == len(STARTS) and len(hazard.due) == len(DUE)
    if not is_whole or not np.isfinite(numbers).all() or not 1 <= hazard.anchor_weeks <= WEEKS:
        raise BundleError("The hazard of the bundle is not sound. Train the model again.")
    return hazard


def log_minus_log(probability: Numbers) -> Numbers:
    """log(-log(1 - p)): the log of the rate that makes p over one span."""
    return np.asarray(np.log(-np.log1p(-np.clip(probability, FLOOR, 1 - FLOOR))))


def stretch(weeks: Numbers | np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Place of the stretch that each week belongs to."""
    return np.asarray(np.searchsorted(STARTS, weeks, side="right") - 1)


def falls_due(days: Numbers) -> Numbers:
    """Rows by weeks: 1 where something falls due in the week, else 0; NaN days are never due."""
    week = np.floor(days / 7) + 1
    return np.asarray(week[:, None] == np.arange(1, WEEKS + 1), dtype=np.float64)


def checked_weeks(weeks: int) -> int:
    """Return a number of weeks; raises UsageError where the hazard does not reach there."""
    if not 1 <= weeks <= WEEKS:
        raise UsageError(f"A horizon is 1 to {WEEKS} weeks, not {weeks}")
    return weeks
