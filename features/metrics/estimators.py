"""The kinds of metric: how counts per unit become one value, its interval and its bounds.

A kind takes the parts of a metric for one segment as arrays, one number per unit, NaN where the unit has none; it knows
no table and no instant. Sums are over integers or exact decimals that were cast last, in the order of the units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from vouch.features.statistics import intervals
from vouch.features.statistics.intervals import Interval

Floats = NDArray[np.float64]
Parts = Mapping[str, Floats]
FEW = 30
"""Below so many observations a mean is `low_n`, and its interval a bootstrap."""


@dataclass(frozen=True)
class Estimate:
    """A value and what it rests on.

    `n` counts what is measured, `n_missing` what belongs to the population and could not be. `variance` is that of one
    observation, for shrinkage; None where the kind is not shrunk. `bounds` take what is missing at its worst and best.
    A `reason` (with a `status`) says why there is no value, or what the reader should know of it. `coverage` is there
    where it is another share than that of `n`.
    """

    value: float | None
    n: int
    n_missing: int = 0
    variance: float | None = None
    bounds: tuple[float, float] | None = None
    status: str | None = None
    reason: str | None = None
    coverage: float | None = None


class Kind(Protocol):
    """What every kind offers. `is_amount` marks counts and sums, which are never suppressed; `interval` is a name."""

    @property
    def required(self) -> tuple[str, ...]:
        """Parts that a metric of this kind must have."""

    @property
    def interval(self) -> str | None:
        """Name of the interval's method."""

    @property
    def is_amount(self) -> bool:
        """Whether the value is a count or a sum."""

    def estimate(self, parts: Parts) -> Estimate:
        """The value for the units given."""

    def ends(self, parts: Parts, population: int | None = None) -> Interval | None:
        """The interval of the value; None where there is none. `population`: how many units there are, where known."""


class _Shown:
    """A text form that does not move from run to run: functions by name."""

    def __str__(self) -> str:
        held = [(f.name, getattr(self, f.name)) for f in fields(self)]  # type: ignore[arg-type]  # all are dataclasses
        shown = [f"{name}={value.__name__ if callable(value) else value!r}" for name, value in held]
        return f"{type(self).__name__}({', '.join(shown)})"


def _number(value: float | np.floating) -> float | None:
    return float(value) if np.isfinite(value) else None


def _known(parts: Parts, *names: str) -> NDArray[np.bool_]:
    there = np.ones(len(parts[names[0]]), dtype=bool)
    for name in names:
        there &= ~np.isnan(parts[name])
    return there


def _counts(parts: Parts, *names: str) -> tuple[list[float], float, int]:
    """Sums of the parts over the units that have them, the sum of `base` (1 where there is none), and the rest."""
    known = _known(parts, *names)
    base = parts.get("base", np.ones(len(known)))
    missing = int(np.count_nonzero(~known & (base > 0)))
    known &= base > 0
    return [float(parts[name][known].sum()) for name in names], float(base[known].sum()), missing


@dataclass(frozen=True)
class Proportion(_Shown):
    """A share in percent: units that are a `hit` (or how many of them are) among those of the `base`.

    `through` maps the share (0 to 1) to what is reported, for rates scaled to another period; it must not fall.
    """

    through: Callable[[float], float] | None = None
    required: ClassVar[tuple[str, ...]] = ("hit",)
    interval: ClassVar[str] = "wilson"
    is_amount: ClassVar[bool] = False

    def estimate(self, parts: Parts) -> Estimate:
        """The share of hits."""
        (hits,), n, missing = _counts(parts, "hit")
        if n == 0:
            return Estimate(None, 0, missing)
        share = hits / n
        variance = None if self.through else 10_000 * share * (1 - share)
        return Estimate(100 * self._mapped(share), round(n), missing, variance)

    def ends(self, parts: Parts, population: int | None = None) -> Interval:
        """Wilson's interval."""
        (hits,), n, _ = _counts(parts, "hit")
        found = intervals.wilson(hits, n, population)
        mapped = [np.asarray(100 * self._mapped(float(end))) for end in (found.low, found.high)]
        return Interval(mapped[0], mapped[1], found.method)

    def _mapped(self, share: float) -> float:
        return self.through(share) if self.through else share


@dataclass(frozen=True)
class Trinomial(_Shown):
    """Share that is `up` less share that is `down`, in points."""

    required: ClassVar[tuple[str, ...]] = ("up", "down")
    interval: ClassVar[str] = "adjusted_wald"
    is_amount: ClassVar[bool] = False

    def estimate(self, parts: Parts) -> Estimate:
        """The difference of the shares."""
        (up, down), n, missing = _counts(parts, "up", "down")
        if n == 0:
            return Estimate(None, 0, missing)
        difference = (up - down) / n
        return Estimate(100 * difference, round(n), missing, 10_000 * ((up + down) / n - difference**2))

    def ends(self, parts: Parts, population: int | None = None) -> Interval:
        """Adjusted Wald."""
        (up, down), n, _ = _counts(parts, "up", "down")
        return intervals.trinomial(up, down, n, population)


@dataclass(frozen=True)
class Mean(_Shown):
    """Mean of `value`, times `scale`; `limits` are the ends of its scale."""

    scale: float = 1.0
    limits: tuple[float, float] | None = None
    bootstrap_always: bool = False
    required: ClassVar[tuple[str, ...]] = ("value",)
    is_amount: ClassVar[bool] = False

    @property
    def interval(self) -> str:
        """Student's t, or a bootstrap."""
        return "bootstrap" if self.bootstrap_always else "student_t"

    def _values(self, parts: Parts) -> Floats:
        values: Floats = parts["value"][_known(parts, "value")]
        return values * self.scale

    def estimate(self, parts: Parts) -> Estimate:
        """The mean, times the scale."""
        values = self._values(parts)
        missing = len(parts["value"]) - len(values)
        if not len(values):
            return Estimate(None, 0, missing)
        return Estimate(float(values.mean()), len(values), missing, float(values.var()))

    def ends(self, parts: Parts, population: int | None = None) -> Interval:
        """Student's t from 30 observations on, else a bootstrap."""
        values = self._values(parts)
        if self.bootstrap_always or len(values) < FEW:
            found = intervals.bootstrap(values, population=population)
        else:
            centre = values.mean()
            apart = values - centre  # sums about the mean keep the digits
            around = intervals.student_mean(apart.sum(), (apart**2).sum(), len(values), population)
            found = Interval(np.asarray(around.low + centre), np.asarray(around.high + centre), around.method)
        return found.within(*self.limits) if self.limits else found


@dataclass(frozen=True)
class Ratio(_Shown):
    """Sum of `top` over sum of `bottom`, times `scale`; the unit is what was drawn independently.

    `is_share`: every top is part of its bottom. Then n counts the bottom, and where nothing or everything is a hit,
    so that the linearised error vanishes, the interval is Wilson's over the clusters.
    """

    scale: float = 1.0
    is_share: bool = False
    required: ClassVar[tuple[str, ...]] = ("top", "bottom")
    interval: ClassVar[str] = "linearised_ratio"
    is_amount: ClassVar[bool] = False

    def _columns(self, parts: Parts) -> tuple[Floats, Floats, int]:
        known = _known(parts, "top", "bottom")
        counted = known & ((parts["bottom"] != 0) | (parts["top"] != 0))
        return parts["top"][counted], parts["bottom"][counted], int(np.count_nonzero(~known))

    def estimate(self, parts: Parts) -> Estimate:
        """The ratio of the sums."""
        top, bottom, missing = self._columns(parts)
        below = float(bottom.sum())
        n = round(below) if self.is_share else len(bottom)
        if below == 0:
            return Estimate(None, n, missing, status="empty_denominator" if n else None)
        value = float(top.sum()) / below
        variance = 10_000 * value * (1 - value) if self.is_share else None
        return Estimate(self.scale * value, n, missing, variance)

    def ends(self, parts: Parts, population: int | None = None) -> Interval:
        """The linearised interval over units."""
        top, bottom, _ = self._columns(parts)
        if self.is_share and top.sum() in (0, bottom.sum()):
            return intervals.wilson(len(top) if top.sum() else 0, len(bottom)).scaled(self.scale)
        sums = (top.sum(), bottom.sum(), (top * top).sum(), (bottom * bottom).sum(), (top * bottom).sum())
        found = intervals.ratio_of_sums(*sums, len(bottom)).scaled(self.scale)
        return found.within(0, self.scale) if self.is_share else found


@dataclass(frozen=True)
class Rate(_Shown):
    """Independent `events` per `exposure`, times `per`."""

    per: float = 1.0
    required: ClassVar[tuple[str, ...]] = ("events", "exposure")
    interval: ClassVar[str] = "garwood"
    is_amount: ClassVar[bool] = False

    def estimate(self, parts: Parts) -> Estimate:
        """The rate; n counts the units that were exposed."""
        (events, exposure), _, missing = _counts(parts, "events", "exposure")
        n = int(np.count_nonzero(parts["exposure"] > 0))
        return Estimate(self.per * events / exposure if exposure else None, n, missing)

    def ends(self, parts: Parts, population: int | None = None) -> Interval:
        """Garwood's exact interval."""
        (events, exposure), _, _ = _counts(parts, "events", "exposure")
        return intervals.garwood(events, exposure / self.per)


@dataclass(frozen=True)
class Total(_Shown):
    """Sum of `amount`: a count or a sum, known exactly; 0 where there is nothing."""

    required: ClassVar[tuple[str, ...]] = ("amount",)
    interval: ClassVar[str | None] = None
    is_amount: ClassVar[bool] = True

    def estimate(self, parts: Parts) -> Estimate:
        """The sum; n counts the units that add something."""
        known = parts["amount"][_known(parts, "amount")]
        return Estimate(float(known.sum()), int(np.count_nonzero(known)), len(parts["amount"]) - len(known))

    def ends(self, parts: Parts, population: int | None = None) -> None:
        """A count has no interval."""
        return


@dataclass(frozen=True)
class Quotient(_Shown):
    """Sum of `top` over sum of `bottom`, times `scale`, both known exactly; n is the sum of the part `n`."""

    scale: float = 1.0
    required: ClassVar[tuple[str, ...]] = ("top", "bottom", "n")
    interval: ClassVar[str | None] = None
    is_amount: ClassVar[bool] = True

    def estimate(self, parts: Parts) -> Estimate:
        """The quotient of the sums."""
        top, bottom, n = (float(np.nansum(parts[name])) for name in self.required)
        return Estimate(self.scale * top / bottom if bottom else None, round(n))

    def ends(self, parts: Parts, population: int | None = None) -> None:
        """What is known exactly has no interval."""
        return


@dataclass(frozen=True)
class Median(_Shown):
    """Middle of `value`, halfway between the two middle ones where their number is even."""

    required: ClassVar[tuple[str, ...]] = ("value",)
    interval: ClassVar[str] = "order_statistics"
    is_amount: ClassVar[bool] = False

    def estimate(self, parts: Parts) -> Estimate:
        """The median."""
        values = parts["value"][_known(parts, "value")]
        missing = len(parts["value"]) - len(values)
        return Estimate(float(np.median(values)) if len(values) else None, len(values), missing)

    def ends(self, parts: Parts, population: int | None = None) -> Interval:
        """Distribution-free interval between two order statistics, at least 95 % sure where n is 6 or more.

        Source: Conover 1999, *Practical Nonparametric Statistics*, section 3.2.
        """
        values = np.sort(parts["value"][_known(parts, "value")])
        rank = int(binom.ppf(intervals.TAIL, len(values), 0.5))
        if rank < 1:  # too few for any pair of order statistics to hold 95 %
            return Interval(np.asarray(np.nan), np.asarray(np.nan), self.interval)
        return Interval(np.asarray(values[rank - 1]), np.asarray(values[-rank]), self.interval)


Statistic = Callable[[Floats], Floats]
Which = Literal["value", "low", "high"]


@dataclass(frozen=True)
class Figure(_Shown):
    """Any figure that is a function of per-unit means: composites and products of ratios, with a bootstrap interval.

    `statistic` maps means (B, k) of the parts `of`, in that order, to B figures. `lowest` and `highest` do the same for
    the bounds. The part `n` says which units count (above 0); without it, those that have any part other than 0.
    """

    of: tuple[str, ...]
    statistic: Statistic
    lowest: Statistic | None = None
    highest: Statistic | None = None
    limits: tuple[float, float] | None = None
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
        means = values.mean(axis=0)[None, :]
        low, high = (self._at(which, means) for which in (self.lowest, self.highest))
        bounds = None if low is None or high is None else (low, high)
        return Estimate(self._at(self.statistic, means), n, missing, bounds=bounds)

    @staticmethod
    def _at(statistic: Statistic | None, means: Floats) -> float | None:
        if statistic is None:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            return _number(statistic(means)[0])

    def ends(self, parts: Parts, population: int | None = None) -> Interval:
        """Percentile bootstrap over the units."""
        found = intervals.bootstrap(self._values(parts)[0], self.statistic, population=population)
        return found.within(*self.limits) if self.limits else found


@dataclass(frozen=True)
class Custom(_Shown):
    """A figure with arithmetic of its own: two functions over the parts `of`, over all where it names none."""

    of: tuple[str, ...]
    value: Callable[[Parts], Estimate]
    range: Callable[[Parts], Interval | None]
    interval: str | None = None
    is_amount: bool = False

    @property
    def required(self) -> tuple[str, ...]:
        """The parts that the functions read."""
        return self.of

    def estimate(self, parts: Parts) -> Estimate:
        """The value for the units given."""
        return self.value(parts)

    def ends(self, parts: Parts, population: int | None = None) -> Interval | None:
        """The interval of the value."""
        return self.range(parts)
