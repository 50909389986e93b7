"""Forecasts of many customers at once: one model for all, which has to earn its place against persistence.

Where the weekly forecast of a company has one series, a customer has too little of a past for a model of his own: what
became of all customers from one origin to another tells what may become of each. As there, everything is judged out of
time, from origins after those that were learned of, and persistence is told where it is not beaten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

INNER = 0.8
"""The share of truths that an interval is to hold."""
LOW, HIGH = (1 - INNER) / 2, (1 + INNER) / 2
LEAST_PAIRS = 100
"""Pairs of an origin and its outcome without which nothing is learned, nor judged."""
BANDS = 3
"""Customers are parted into so many bands by how much is known of each; an interval is that of the band's errors."""


@dataclass(frozen=True)
class Origin:
    """What is known of customers at an instant: (customers, columns) `inputs`, the `last` level, and how much is known.

    `truth` is what became of each, NaN where that is not known.
    """

    inputs: Floats
    last: Floats
    known: Floats
    truth: Floats

    @property
    def has_truth(self) -> NDArray[np.bool_]:
        """Whose outcome is known."""
        return np.isfinite(self.truth)


@dataclass(frozen=True)
class PooledForecast:
    """The expected level of each customer with an interval of 80 %, NaN where none can be told.

    `skill` is 1 - MAE / MAE of persistence out of time; None where there was too little to judge it by.
    """

    expected: Floats
    low: Floats
    high: Floats
    skill: float | None
    is_persistence: bool


def pooled_forecast(origins: Sequence[Origin], steps: int) -> PooledForecast:
    """Forecast the newest origin; `origins` are evenly apart, the newest first, and an outcome is `steps` of them on.

    A linear regression of how levels change on the inputs, without a constant: nobody knows whether all will rise or
    fall, so that this is in the interval. What an origin is judged by was learned of origins whose outcome had come by
    then.
    """
    now, errors, plain, known = origins[0], [], [], []
    for place in range(steps, len(origins)):
        weights = _learned(origins[place + steps :])
        if weights is None:
            break
        of, is_known = origins[place], origins[place].has_truth
        errors.append((of.truth - of.last - of.inputs @ weights)[is_known])
        plain.append((of.truth - of.last)[is_known])
        known.append(of.known[is_known])
    weights, nothing = _learned(origins[steps:]), np.full(len(now.last), np.nan)
    if weights is None or sum(map(len, errors)) < LEAST_PAIRS:
        return PooledForecast(now.last, nothing, nothing, None, is_persistence=True)
    skill = _skill(np.abs(np.concatenate(errors)), np.abs(np.concatenate(plain)))
    is_persistence = skill <= 0
    expected = now.last if is_persistence else now.last + now.inputs @ weights
    low, high = _ends(_widened(plain if is_persistence else errors, steps), np.concatenate(known), now.known)
    return PooledForecast(expected, expected + low, expected + high, skill, is_persistence)


def _learned(origins: Sequence[Origin]) -> Floats | None:
    """Weights of the inputs, from all origins whose outcome is known."""
    pairs = [(of.inputs[of.has_truth], (of.truth - of.last)[of.has_truth]) for of in origins]
    if sum(len(truth) for _, truth in pairs) < LEAST_PAIRS:
        return None
    inputs, change = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    weights: Floats = np.linalg.lstsq(inputs, change, rcond=1e-6)[0]
    return weights


def _widened(errors: Sequence[Floats], steps: int) -> Floats:
    """All errors, with what those of an origin have in common as far apart as so few origins let it be.

    All customers of an origin rise or fall together, and outcomes of origins nearer than `steps` overlap. Means with
    an autocorrelation r count as n (1 - r) / (1 + r) that are apart (Bayley & Hammersley 1946, JRSS B 8:184-197); a
    further one lies sqrt(1 + 1 / n) times Student's t about their mean.
    """
    middle = np.array([of.mean() for of in errors if len(of)])
    off = middle - middle.mean()
    alike = max(float(off[1:] @ off[:-1]) / max(float(off @ off), 1e-12), 1 - 1 / steps)
    apart = max(len(middle) * (1 - alike) / (1 + alike), 2.0)
    spread = np.sqrt((1 + 1 / apart) * apart / (apart - 1)) * student.ppf(HIGH, apart - 1) / norm.ppf(HIGH)
    wide = middle.mean() + off * spread
    return np.concatenate([of - of.mean() + mean for of, mean in zip(filter(len, errors), wide, strict=True)])


def _ends(errors: Floats, known: Floats, now: Floats) -> tuple[Floats, Floats]:
    """What to add for the ends of the intervals, by how much is known of a customer."""
    borders = np.quantile(known, np.arange(1, BANDS) / BANDS)
    band, band_now = (np.searchsorted(borders, of, side="right") for of in (known, now))
    ends = np.array([np.quantile(errors[band == place] if (band == place).any() else errors, [LOW, HIGH])
                     for place in range(BANDS)])  # fmt: skip
    return ends[band_now, 0], ends[band_now, 1]


def pooled_classes(origins: Sequence[Origin], steps: int, classes: Sequence[float]) -> PooledForecast:
    """Forecast the class of each customer at the newest origin: the median of what became of those of the same class.

    `last` and `truth` are of `classes`, which are in order; the ends are the classes that 80 % lie between.
    """
    now, errors, plain = origins[0], [], []
    for place in range(steps, len(origins)):
        counted = _counted(origins[place + steps :], classes)
        if counted is None:
            break
        of, is_known = origins[place], origins[place].has_truth
        errors.append((of.truth - _class_at(counted, of.last, classes, 0.5))[is_known])
        plain.append((of.truth - of.last)[is_known])
    counted, nothing = _counted(origins[steps:], classes), np.full(len(now.last), np.nan)
    if counted is None or sum(map(len, errors)) < LEAST_PAIRS:
        return PooledForecast(now.last, nothing, nothing, None, is_persistence=True)
    skill = _skill(np.abs(np.concatenate(errors)), np.abs(np.concatenate(plain)))
    middle, low, high = (_class_at(counted, now.last, classes, share) for share in (0.5, LOW, HIGH))
    if skill <= 0:
        return PooledForecast(now.last, np.minimum(low, now.last), np.maximum(high, now.last), skill, True)
    return PooledForecast(middle, low, high, skill, is_persistence=False)


def _counted(origins: Sequence[Origin], classes: Sequence[float]) -> Floats | None:
    """How many of each class (rows) came to each class, and one more for who stays what he is."""
    pairs = [(of.last[of.has_truth], of.truth[of.has_truth]) for of in origins]
    if sum(len(truth) for _, truth in pairs) < LEAST_PAIRS:
        return None
    last, truth = (np.searchsorted(classes, np.concatenate(parts)) for parts in zip(*pairs, strict=True))
    counted = np.eye(len(classes))
    np.add.at(counted, (last, truth), 1)
    return counted


def _class_at(counted: Floats, last: Floats, classes: Sequence[float], share: float) -> Floats:
    """The class below or at which a share of those lies who were of the same class."""
    reached = np.cumsum(counted, axis=1) / counted.sum(axis=1, keepdims=True)
    of_class = np.asarray(classes)[(reached < share - 1e-12).sum(axis=1)]
    return np.asarray(of_class[np.searchsorted(classes, last)])


def _skill(errors: Floats, plain: Floats) -> float:
    worst = float(plain.mean())
    return 1 - float(errors.mean()) / worst if worst > 0 else 0.0
