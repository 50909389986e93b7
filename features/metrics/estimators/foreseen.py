"""Forecast of a weekly figure as a kind of metric: what it is expected to be so many weeks on, with 80 %."""

from __future__ import annotations

import numpy as np

from vouch.features.metrics.estimators.base import Estimate, Limits, Parts
from vouch.features.metrics.estimators.composed import Custom
from vouch.features.statistics.forecast import forecast
from vouch.features.statistics.intervals import Interval

OUT_OF_TIME = "out_of_time_80"
"""An interval of the errors that were made out of time."""


def _expected(parts: Parts, name: str, weeks: int) -> Estimate:
    """What a figure is expected to be, with how much better than persistence that is."""
    known = int(np.count_nonzero(~np.isnan(parts[name])))
    forecasted = forecast(parts[name][np.argsort(-parts["week"])], weeks)
    if forecasted is None:
        return Estimate(None, known, status="insufficient_history", reason="too few weeks with answers to judge it by")
    skill = f"skill {forecasted.skill:.2f} against persistence in {forecasted.origins} weeks"
    return Estimate(forecasted.value, known, reason=f"persistence; {skill}" if forecasted.is_persistence else skill)


def _ends(parts: Parts, name: str, weeks: int) -> Interval | None:
    """The interval of 80 %, from errors out of time."""
    forecasted = forecast(parts[name][np.argsort(-parts["week"])], weeks)
    return (
        None if forecasted is None else Interval(np.asarray(forecasted.low), np.asarray(forecasted.high), OUT_OF_TIME)
    )


def foreseen(name: str, weeks: int, limits: Limits) -> Custom:
    """The forecast of a weekly figure so many weeks on.

    The parts are `week` (0 is the newest) and the figure; its functions are named, for the fingerprint.
    """

    def value(parts: Parts) -> Estimate:
        return _expected(parts, name, weeks)

    def ends(parts: Parts) -> Interval | None:
        return _ends(parts, name, weeks)

    value.__name__, ends.__name__ = f"expected_{name}_{weeks}_weeks", f"ends_of_{name}_{weeks}_weeks"
    return Custom(("week", name), value, ends, OUT_OF_TIME, limits=limits)
