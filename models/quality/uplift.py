"""Uplift by trials at random: the average effect, how far predicted effects are borne out, and the Qini curve.

Doubly robust (Robins, Rotnitzky & Zhao 1994): predictions with and without a treatment, corrected by what the treated
and the untreated did otherwise than predicted, each weighed by the inverse of the chance to be there. Right where
either the predictions or the chances are. Intervals resample customers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vouch.models.scoring.effects import QiniCurve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Numbers = NDArray[np.float64]
RESAMPLES = 300
POINTS = 11
PRIOR_SPREAD = 0.5
"""Standard deviation of the slope before any trial: predicted effects are taken at their word, within reason."""


@dataclass(frozen=True)
class Arm:
    """Rows of the treated or of the untreated: what was predicted to be added, and what came beyond the prediction."""

    difference: Numbers
    """Predicted with the treatment less predicted without."""
    beyond: Numbers
    """What came, less what was predicted for this arm."""
    weight: Numbers
    """Inverse of the chance to be in this arm; scale does not matter."""
    customers: NDArray[np.int64]
    """Numbers of customers, shared by both arms."""
    without: Numbers
    """Predicted without the treatment."""


@dataclass(frozen=True)
class Trial:
    """Both arms of one kind, and the share of the population that is treated."""

    treated: Arm
    untreated: Arm
    chance: float


@dataclass(frozen=True)
class TrialEffect:
    """The average effect of one kind with its 95 % interval, and the mean predicted difference."""

    average: float
    low: float
    high: float
    centre: float
    untreated: float
    """How often the outcome comes without a treatment."""


@dataclass(frozen=True)
class TrialEffects:
    """All kinds of one treatment: each average, the slope of true on predicted differences, and the Qini curve."""

    kinds: tuple[TrialEffect, ...]
    slope: float
    qini: QiniCurve


class _Sums(NamedTuple):
    average: float
    centre: float
    untreated: float
    leaning: float
    spread: float
    added: Numbers
    predicted: Numbers


def trial_effects(trials: Sequence[Trial], seed: int = 0, resamples: int = RESAMPLES) -> TrialEffects:
    """Return what trials say, kind by kind and together; kinds count by their treated rows."""
    looks = [_prepared(trial) for trial in trials]
    shares = np.array([len(trial.treated.weight) for trial in trials], dtype=np.float64)
    shares /= shares.sum()
    customers = 1 + max(int(arm.customers.max()) for trial in trials for arm in (trial.treated, trial.untreated))
    central = [look(np.ones(customers)) for look in looks]
    generator = np.random.default_rng(seed)
    weights = (generator.poisson(1.0, customers).astype(np.float64) for _ in range(resamples))
    drawn = [[look(weight) for look in looks] for weight in weights]
    kinds = []
    for place, of in enumerate(central):
        low, high = np.nanquantile([one[place].average for one in drawn], [0.025, 0.975])
        kinds.append(TrialEffect(of.average, float(low), float(high), of.centre, of.untreated))
    slopes = np.array([_slope(one, shares) for one in drawn])
    slope = _drawn_back(_slope(central, shares), float(np.nanstd(slopes)))
    added = sum(share * of.added for share, of in zip(shares, central, strict=True))
    promised = sum(
        share * (slope * (of.predicted - _line(of.centre)) + _line(of.average))
        for share, of in zip(shares, central, strict=True)
    )
    areas = [_area(sum(share * of.added for share, of in zip(shares, one, strict=True))) for one in drawn]
    low, high = np.nanquantile(areas, [0.025, 0.975])
    at = np.linspace(0, 1, POINTS)
    points = tuple((float(x), float(a), float(p)) for x, a, p in zip(at, added[::10], promised[::10], strict=True))
    return TrialEffects(tuple(kinds), slope, QiniCurve(_area(added), float(low), float(high), _area(promised), points))


GRID = np.linspace(0, 1, 10 * (POINTS - 1) + 1)


def _line(total: float) -> Numbers:
    """What treating at random adds, by share treated."""
    return GRID * total


def _area(curve: Numbers) -> float:
    return float(np.trapezoid(curve - _line(float(curve[-1])), GRID))


def _slope(of: Sequence[_Sums], shares: Numbers) -> float:
    spread = sum(share * one.spread for share, one in zip(shares, of, strict=True))
    leaning = sum(share * one.leaning for share, one in zip(shares, of, strict=True))
    return 1.0 + float(leaning / spread) if spread > 0 else 1.0


def _drawn_back(slope: float, error: float) -> float:
    """A slope drawn to 1 by as much as it is uncertain; never below 0."""
    known, before = 1.0 / max(error, 1e-9) ** 2, PRIOR_SPREAD**-2
    return max(0.0, (slope * known + before) / (known + before))


def _prepared(trial: Trial) -> Callable[[Numbers], _Sums]:
    """Sort once by falling prediction; what is returned sums up for weights of customers."""
    arms = (trial.treated, trial.untreated)
    difference = np.concatenate([arm.difference for arm in arms])
    beyond, without = (np.concatenate([getattr(arm, of) for arm in arms]) for of in ("beyond", "without"))
    customers = np.concatenate([arm.customers for arm in arms])
    inverse = np.concatenate([arm.weight for arm in arms])
    is_treated = np.arange(len(difference)) < len(trial.treated.weight)
    order = np.argsort(-difference, kind="stable")
    difference, beyond, without, customers, inverse, is_treated = (
        of[order] for of in (difference, beyond, without, customers, inverse, is_treated)
    )

    def look(weight: Numbers) -> _Sums:
        drawn = weight[customers] * inverse
        treated, untreated = (_normed(np.where(of, drawn, 0.0)) for of in (is_treated, ~is_treated))
        mass = trial.chance * treated + (1 - trial.chance) * untreated
        centre = float(mass @ difference)
        moved = (treated - untreated) * beyond
        leaning = difference - centre
        until = np.concatenate([[0.0], np.cumsum(mass)])
        added, predicted = (
            np.interp(GRID, until, np.concatenate([[0.0], np.cumsum(of)]))
            for of in (mass * difference + moved, mass * difference)
        )
        return _Sums(
            centre + float(moved.sum()),
            centre,
            float(mass @ without + untreated @ beyond),
            float(leaning @ moved),
            float(mass @ leaning**2),
            added,
            predicted,
        )

    return look


def _normed(weight: Numbers) -> Numbers:
    total = weight.sum()
    return weight / total if total > 0 else np.full(len(weight), np.nan)
