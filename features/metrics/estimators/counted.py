"""Kinds of figure over counts and values: shares, net shares, means, ratios, rates, totals, quotients and medians."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.stats import binom

from vouch.features.metrics.estimators.base import (
    FEW,
    NOT_BELOW_0,
    Estimate,
    Floats,
    Limits,
    Parts,
    Shown,
    counts,
    known_in,
    with_missing,
)
from vouch.features.statistics import intervals
from vouch.features.statistics.intervals import Interval

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Proportion(Shown):
    """A share in percent: units that are a `hit` (or how many of them are) among those of the `base`.

    `through` maps the share (0 to 1) to what is reported, for rates scaled to another period; it must not fall.
    """

    through: Callable[[float], float] | None = None
    required: ClassVar[tuple[str, ...]] = ("hit",)
    interval: ClassVar[str] = "wilson"
    limits: ClassVar[Limits] = (0, 100)
    is_amount: ClassVar[bool] = False

    def estimate(self, parts: Parts) -> Estimate:
        """The share of hits."""
        (hits,), n, missing = counts(parts, "hit")
        if n == 0:
            return Estimate(None, 0, missing)
        share = hits / n
        variance = None if self.through else 10_000 * share * (1 - share)
        return Estimate(100 * self._mapped(share), round(n), missing, variance)

    def interval_of(self, parts: Parts, population: int | None) -> Interval:
        """Wilson's interval."""
        (hits,), n, _ = counts(parts, "hit")
        interval = intervals.wilson(hits, n, population)
        mapped = [np.asarray(100 * self._mapped(float(end))) for end in (interval.low, interval.high)]
        return Interval(mapped[0], mapped[1], interval.method)

    def bounds(self, parts: Parts, missing: int) -> tuple[float, float] | None:
        """The share with so many units more, none and all of which are hits."""
        (hits,), n, _ = counts(parts, "hit")
        ends = None if "base" in parts else with_missing(hits, n, missing, (0, 1))
        return ends and (100 * self._mapped(ends[0]), 100 * self._mapped(ends[1]))

    def _mapped(self, share: float) -> float:
        return self.through(share) if self.through else share


@dataclass(frozen=True)
class Trinomial(Shown):
    """Share that is `up` less share that is `down`, in points."""

    required: ClassVar[tuple[str, ...]] = ("up", "down")
    interval: ClassVar[str] = "adjusted_wald"
    limits: ClassVar[Limits] = (-100, 100)
    is_amount: ClassVar[bool] = False

    def estimate(self, parts: Parts) -> Estimate:
        """The difference of the shares."""
        (up, down), n, missing = counts(parts, "up", "down")
        if n == 0:
            return Estimate(None, 0, missing)
        difference = (up - down) / n
        return Estimate(100 * difference, round(n), missing, 10_000 * ((up + down) / n - difference**2))

    def bounds(self, parts: Parts, missing: int) -> tuple[float, float] | None:
        """The difference with so many units more, all of which are down, and up."""
        (up, down), n, _ = counts(parts, "up", "down")
        return None if "base" in parts else with_missing(100 * (up - down), n, missing, self.limits)

    def interval_of(self, parts: Parts, population: int | None) -> Interval:
        """Adjusted Wald."""
        (up, down), n, _ = counts(parts, "up", "down")
        return intervals.trinomial(up, down, n, population)


@dataclass(frozen=True)
class Mean(Shown):
    """Mean of `value`, times `scale`; the parts `low` and `high`, where there, are the ends of each unit's scale."""

    scale: float = 1.0
    limits: Limits = field(kw_only=True)
    bootstrap_always: bool = False
    required: ClassVar[tuple[str, ...]] = ("value",)
    is_amount: ClassVar[bool] = False

    @property
    def interval(self) -> str:
        """Student's t, or a bootstrap."""
        return "bootstrap" if self.bootstrap_always else "student_t"

    def _values(self, parts: Parts) -> Floats:
        values: Floats = parts["value"][known_in(parts, "value")]
        return values * self.scale

    def estimate(self, parts: Parts) -> Estimate:
        """The mean, times the scale."""
        values = self._values(parts)
        missing = len(parts["value"]) - len(values)
        if not len(values):
            return Estimate(None, 0, missing)
        return Estimate(float(values.mean()), len(values), missing, float(values.var()))

    def interval_of(self, parts: Parts, population: int | None) -> Interval:
        """Student's t from 30 observations on, else a bootstrap."""
        values = self._values(parts)
        if self.bootstrap_always or len(values) < FEW:
            return intervals.bootstrap(values, population=population)
        centre = values.mean()
        apart = values - centre  # sums about the mean keep the digits
        around = intervals.student_mean(apart.sum(), (apart**2).sum(), len(values), population)
        return Interval(np.asarray(around.low + centre), np.asarray(around.high + centre), around.method)

    def bounds(self, parts: Parts, missing: int) -> tuple[float, float] | None:
        """The mean with so many units more, at either end of the scale."""
        values = self._values(parts)
        return with_missing(float(values.sum()), len(values), missing, self.limits_of(parts))

    def limits_of(self, parts: Parts) -> Limits:
        """The ends of the scales, where the units have one."""
        if "low" not in parts or not (known := known_in(parts, "value", "low", "high")).any():
            return self.limits
        return float(parts["low"][known].min()), float(parts["high"][known].max())


@dataclass(frozen=True)
class Ratio(Shown):
    """Sum of `top` over sum of `bottom`, times `scale`; the unit is what was drawn independently.

    Limits from 0 to `scale` say that every top is part of its bottom. Where then nothing or everything is a hit, so
    that the linearised error vanishes, the interval is Wilson's over the units. `is_share`: the bottom counts things
    that a unit has several of, which are `n_items`.
    """

    scale: float = 1.0
    is_share: bool = False
    limits: Limits = field(kw_only=True)
    required: ClassVar[tuple[str, ...]] = ("top", "bottom")
    interval: ClassVar[str] = "linearised_ratio"
    is_amount: ClassVar[bool] = False

    @property
    def counts_items(self) -> bool:
        """Whether n_items is what the bottom counts."""
        return self.is_share

    def _columns(self, parts: Parts) -> tuple[Floats, Floats, int]:
        known = known_in(parts, "top", "bottom")
        counted = known & ((parts["bottom"] != 0) | (parts["top"] != 0))
        return parts["top"][counted], parts["bottom"][counted], int(np.count_nonzero(~known))

    def estimate(self, parts: Parts) -> Estimate:
        """The ratio of the sums."""
        top, bottom, missing = self._columns(parts)
        below, n = float(bottom.sum()), len(bottom)
        items = round(below) if self.is_share else None
        if below == 0:
            return Estimate(None, n, missing, status="empty_denominator" if n else None, n_items=items)
        value = float(top.sum()) / below
        variance = _spread_of_units(top - value * bottom, below) * self.scale**2 if self.is_share else None
        return Estimate(self.scale * value, n, missing, variance, n_items=items)

    def interval_of(self, parts: Parts, population: int | None) -> Interval:
        """The linearised interval over units."""
        top, bottom, _ = self._columns(parts)
        is_share = tuple(self.limits) == (0, self.scale)
        if is_share and top.sum() in (0, bottom.sum()):
            return intervals.wilson(len(top) if top.sum() else 0, len(bottom)).scaled(self.scale)
        sums = (top.sum(), bottom.sum(), (top * top).sum(), (bottom * bottom).sum(), (top * bottom).sum())
        return intervals.ratio_of_sums(*sums, len(bottom)).scaled(self.scale)


def _spread_of_units(residuals: Floats, below: float) -> float:
    """Variance of one unit of a ratio of sums: that of the ratio times the number of units."""
    n = len(residuals)
    return float((residuals**2).sum()) / max(n - 1, 1) / (below / n) ** 2


@dataclass(frozen=True)
class Rate(Shown):
    """Independent `events` per `exposure`, times `per`."""

    per: float = 1.0
    required: ClassVar[tuple[str, ...]] = ("events", "exposure")
    interval: ClassVar[str] = "garwood"
    counts_items: ClassVar[bool] = True
    limits: ClassVar[Limits] = NOT_BELOW_0
    is_amount: ClassVar[bool] = False

    def estimate(self, parts: Parts) -> Estimate:
        """The rate; n counts the units that were exposed, n_items the events."""
        (events, exposure), _, missing = counts(parts, "events", "exposure")
        n = int(np.count_nonzero(parts["exposure"] > 0))
        return Estimate(self.per * events / exposure if exposure else None, n, missing, n_items=round(events))

    def interval_of(self, parts: Parts, population: int | None) -> Interval:
        """Garwood's exact interval."""
        (events, exposure), _, _ = counts(parts, "events", "exposure")
        return intervals.garwood(events, exposure / self.per)


@dataclass(frozen=True)
class Total(Shown):
    """Sum of `amount`: a count or a sum, known exactly; 0 where there is nothing."""

    limits: Limits = NOT_BELOW_0
    required: ClassVar[tuple[str, ...]] = ("amount",)
    interval: ClassVar[str | None] = None
    is_amount: ClassVar[bool] = True

    @property
    def of_nothing(self) -> Estimate:
        """A count of nothing is 0."""
        return Estimate(0.0, 0)

    def estimate(self, parts: Parts) -> Estimate:
        """The sum. Units of which nothing is known have none."""
        known = parts["amount"][known_in(parts, "amount")]
        missing = len(parts["amount"]) - len(known)
        if not len(known):
            return Estimate(None, 0, missing)
        return Estimate(float(known.sum()), len(known), missing)

    def interval_of(self, parts: Parts, population: int | None) -> None:
        """A count has no interval."""
        return


@dataclass(frozen=True)
class Quotient(Shown):
    """Sum of `top` over sum of `bottom`, times `scale`, both known exactly; n is the sum of the part `n`."""

    scale: float = 1.0
    limits: Limits = field(kw_only=True)
    required: ClassVar[tuple[str, ...]] = ("top", "bottom", "n")
    interval: ClassVar[str | None] = None
    is_amount: ClassVar[bool] = True

    def estimate(self, parts: Parts) -> Estimate:
        """The quotient of the sums."""
        top, bottom, n = (float(np.nansum(parts[name])) for name in self.required)
        return Estimate(self.scale * top / bottom if bottom else None, round(n))

    def interval_of(self, parts: Parts, population: int | None) -> None:
        """What is known exactly has no interval."""
        return


@dataclass(frozen=True)
class Median(Shown):
    """Middle of `value`, halfway between the two middle ones where their number is even."""

    limits: Limits = field(kw_only=True)
    required: ClassVar[tuple[str, ...]] = ("value",)
    interval: ClassVar[str] = "order_statistics"
    is_amount: ClassVar[bool] = False

    def estimate(self, parts: Parts) -> Estimate:
        """The median."""
        values = parts["value"][known_in(parts, "value")]
        missing = len(parts["value"]) - len(values)
        return Estimate(float(np.median(values)) if len(values) else None, len(values), missing)

    def interval_of(self, parts: Parts, population: int | None) -> Interval:
        """Distribution-free interval between two order statistics, at least 95 % sure where n is 6 or more.

        Source: Conover 1999, *Practical Nonparametric Statistics*, section 3.2.
        """
        values = np.sort(parts["value"][known_in(parts, "value")])
        rank = int(binom.ppf(intervals.TAIL, len(values), 0.5))
        if rank < 1:  # too few for any pair of order statistics to hold 95 %
            return Interval(np.asarray(np.nan), np.asarray(np.nan), self.interval)
        return Interval(np.asarray(values[rank - 1]), np.asarray(values[-rank]), self.interval)
