"""Kinds of figure with arithmetic of their own: functions of means, and pairs of functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from vouch.features.metrics.estimators.base import NOTHING, Estimate, Floats, Limits, Parts, Shown, finite
from vouch.features.statistics import intervals

if TYPE_CHECKING:
    from vouch.features.statistics.intervals import Interval

Statistic = Callable[[Floats], Floats]
Which = Literal["value", "low", "high"]


@dataclass(frozen=True)
class Figure(Shown):
    """Any figure that is a function of per-unit means: composites and products of ratios, with a bootstrap interval.

    `statistic` maps means (B, k) of the parts `of`, in that order, to B figures. `lowest` and `highest` do the same for
    the bounds. The part `n` says which units count (above 0); without it, those that have any part other than 0. The
    part `tell` says of which units n is told, where the means are over more than those; there is no value without any.
    """

    of: tuple[str, ...]
    statistic: Statistic
    lowest: Statistic | None = None
    highest: Statistic | None = None
    limits: Limits = field(kw_only=True)
    interval: ClassVar[str] = "bootstrap"
    is_amount: ClassVar[bool] = False

    @property
    def required(self) -> tuple[str, ...]:
        """The parts of the statistic."""
        return self.of

    def _values(self, parts: Parts) -> tuple[Floats, int]:
        values = np.column_stack([np.nan_to_num(parts[name]) for name in self.of])
        counted = parts["n"] > 0 if "n" in parts else (values != 0).any(axis=1)
        return values[counted], int(np.count_nonzero(counted))

    def estimate(self, parts: Parts) -> Estimate:
        """The figure of the means."""
        values, n = self._values(parts)
        missing = len(parts[self.of[0]]) - n if "n" in parts else 0
        if not n:
            return Estimate(None, 0, missing)
        if "tell" in parts and not (n := int(np.count_nonzero(parts["tell"] > 0))):
            return Estimate(None, 0, missing)
        means = values.mean(axis=0)[None, :]
        low, high = (self._at(which, means) for which in (self.lowest, self.highest))
        bounds = None if low is None or high is None else (low, high)
        return Estimate(self._at(self.statistic, means), n, missing, bounds=bounds)

    @staticmethod
    def _at(statistic: Statistic | None, means: Floats) -> float | None:
        if statistic is None:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            return finite(statistic(means)[0])

    def interval_of(self, parts: Parts, population: int | None) -> Interval:
        """Percentile bootstrap over the units."""
        return intervals.bootstrap(self._values(parts)[0], self.statistic, population=population)


@dataclass(frozen=True)
class Custom(Shown):
    """A figure with arithmetic of its own: two functions over the parts `of`, of one unit or more.

    Over all parts where `of` names none. `why_nothing` is the reason where there are no units, for a figure that is not
    applicable then.
    """

    of: tuple[str, ...]
    value: Callable[[Parts], Estimate]
    range: Callable[[Parts], Interval | None]
    interval: str | None = None
    limits: Limits = field(kw_only=True)
    is_amount: bool = False
    why_nothing: str | None = None

    @property
    def required(self) -> tuple[str, ...]:
        """The parts that the functions read."""
        return self.of

    @property
    def of_nothing(self) -> Estimate:
        """No value, and why."""
        return replace(NOTHING, status="not_applicable", reason=self.why_nothing) if self.why_nothing else NOTHING

    def estimate(self, parts: Parts) -> Estimate:
        """The value for the units given."""
        return self.value(parts)

    def interval_of(self, parts: Parts, population: int | None) -> Interval | None:
        """The interval of the value."""
        return self.range(parts)
