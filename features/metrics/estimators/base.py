"""The base of the estimators: what every kind of metric offers, and what a value rests on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from vouch.features.statistics.intervals import Interval

Floats = NDArray[np.float64]
Parts = Mapping[str, Floats]
Limits = tuple[float, float]
"""The least and the greatest value that is possible at all."""
ANY: Limits = (-math.inf, math.inf)
NOT_BELOW_0: Limits = (0, math.inf)
FEW = 30
"""Below so many observations a mean is `low_n`, and its interval a bootstrap."""


@dataclass(frozen=True)
class Estimate:
    """A value and what it rests on.

    `n` counts the units of the population that gave a value, `n_missing` those that could not; `n_items` what was
    counted of them (posts, orders), None where that is the units themselves. `variance` is that of one unit, for
    shrinkage; None where the kind is not shrunk. `bounds` take what is missing at its worst and best.
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
    n_items: int | None = None


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

    @property
    def limits(self) -> Limits:
        """Between what a value can lie at all."""

    @property
    def counts_items(self) -> bool:
        """Whether it counts things of which a unit has several."""

    @property
    def of_nothing(self) -> Estimate:
        """What is said where there are no units; no other function of a kind is ever given none."""

    def estimate(self, parts: Parts) -> Estimate:
        """The value for the units given."""

    def ends(self, parts: Parts, population: int | None = None) -> Interval | None:
        """The interval within the limits; None without one. `population`: how many units there are, if known."""

    def bounds(self, parts: Parts, missing: int) -> tuple[float, float] | None:
        """The value with so many units more, at their worst and at their best; None where it could be anything."""


NOTHING = Estimate(None, 0)


class Shown:
    """What the kinds share: a text form that does not move from run to run, and intervals that keep to the limits."""

    if TYPE_CHECKING:  # a kind has limits of its own, or takes them

        @property
        def limits(self) -> Any:
            """Between what a value can lie at all."""

        @property
        def counts_items(self) -> Any:
            """Whether it counts things of which a unit has several."""

    else:
        counts_items = False

    @property
    def of_nothing(self) -> Estimate:
        """A mean or a share of nothing is none."""
        return NOTHING

    def ends(self, parts: Parts, population: int | None = None) -> Interval | None:
        """The interval, cut to what is possible."""
        interval = self.interval_of(parts, population)
        return None if interval is None else interval.within(*self.limits_of(parts))

    def interval_of(self, parts: Parts, population: int | None) -> Interval | None:
        """The interval by the method of the kind, wherever it ends."""
        raise NotImplementedError

    def limits_of(self, parts: Parts) -> Limits:
        """The limits of a value over these parts."""
        limits: Limits = self.limits
        return limits

    def bounds(self, parts: Parts, missing: int) -> tuple[float, float] | None:
        """The value with so many units more, at their worst and at their best; None where it could be anything."""
        return None

    def __str__(self) -> str:
        held = [(f.name, getattr(self, f.name)) for f in fields(self)]  # type: ignore[arg-type]  # all are dataclasses
        shown = [f"{name}={value.__name__ if callable(value) else value!r}" for name, value in held]
        return f"{type(self).__name__}({', '.join(shown)})"


def with_missing(total: float, n: float, missing: int, limits: Limits) -> tuple[float, float] | None:
    """The least and the greatest mean of n values with a sum and of `missing` more, which lie within limits.

    >>> with_missing(80.0, 100, 25, (0, 1))
    (0.64, 0.84)
    """
    if not missing or not n or not all(map(math.isfinite, limits)):
        return None
    least, most = ((total + missing * end) / (n + missing) for end in limits)
    return least, most


def finite(value: float | np.floating | Floats) -> float | None:
    """A number, or an array of one, as a number; None where it is none."""
    return float(value) if np.isfinite(value) else None


def known_in(parts: Parts, *names: str) -> NDArray[np.bool_]:
    """Which units have all of these parts."""
    is_known = np.ones(len(parts[names[0]]), dtype=bool)
    for name in names:
        is_known &= ~np.isnan(parts[name])
    return is_known


def counts(parts: Parts, *names: str) -> tuple[list[float], float, int]:
    """Sums of the parts over the units that have them, the sum of `base` (1 where there is none), and the rest."""
    known = known_in(parts, *names)
    base = parts.get("base", np.ones(len(known)))
    missing = int(np.count_nonzero(~known & (base > 0)))
    known &= base > 0
    return [float(parts[name][known].sum()) for name in names], float(base[known].sum()), missing
