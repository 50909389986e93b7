"""Evaluation figures: ranking, calibration and use of probabilities, with intervals by resampling customers.

Pure functions of outcomes `y` (n,) of 0 and 1, scores or probabilities `p` (n,) and weights (n,), 1 each by default.
Everything is tie-aware: rows with equal scores share what they get, so no figure depends on the order of rows. A figure
that does not exist (no positive row, no negative row, constant scores) is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from vouch.features.errors import DefinitionError
from vouch.features.statistics.intervals import TAIL, Z, wilson
from vouch.features.statistics.newton import maximum
from vouch.models.quality import weighted_figures
from vouch.models.quality.weighted_figures import (
    BINS,
    FIGURES,
    LOWER_IS_BETTER,
    ROW_LOSSES,
    Numbers,
    Weighted,
    binned,
    divided,
    ranked,
)
from vouch.models.scoring.calibration import log_odds, sigmoid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import ArrayLike, NDArray

NEAR = 1e-10
CHANCE_DRAWS = 200


def roc_auc(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Share of pairs of a positive and a negative row in which the positive has the higher score; ties count half.

    Source: Hanley & McNeil 1982, Radiology 143:29-36.
    """
    return _taken(weighted_figures.weighted_roc_auc, y, p, weight)


def pr_auc(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Average precision: the precision at each distinct score, weighted by the recall that it adds.

    Source: Davis & Goadrich 2006, ICML (no linear interpolation between the points).
    """
    return _taken(weighted_figures.weighted_pr_auc, y, p, weight)


def log_loss(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Mean of -log of the probability that was given to what happened; kept finite at 0 and 1."""
    return _taken(weighted_figures.weighted_log_loss, y, p, weight)


def brier(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Mean squared difference between probability and outcome. Source: Brier 1950, Monthly Weather Review 78:1-3."""
    return _taken(weighted_figures.weighted_brier, y, p, weight)


def brier_skill(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """1 - Brier / Brier of the base rate of these rows: above 0 where the probabilities say more than the base rate."""
    return _taken(weighted_figures.weighted_brier_skill, y, p, weight)


def calibration_error(y: ArrayLike, p: ArrayLike, bins: int = BINS, weight: ArrayLike | None = None) -> float:
    """Mean distance between mean probability and share of positives over bins of equal mass.

    Rows with equal probability stay in one bin, that of their middle rank.
    Source: Naeini, Cooper & Hauskrecht 2015, AAAI, with bins of equal mass (Nixon et al. 2019).
    """
    return _taken(partial(weighted_figures.weighted_calibration_error, bins=bins), y, p, weight)


def lift_at(y: ArrayLike, score: ArrayLike, share: float, weight: ArrayLike | None = None) -> float:
    """Precision in the best `share` (0 to 1) of the rows over the base rate: 1 for a score that knows nothing."""
    return _taken(partial(weighted_figures.weighted_lift, share=share), y, score, weight)


def precision_at(y: ArrayLike, score: ArrayLike, share: float, weight: ArrayLike | None = None) -> float:
    """Share of positives in the best `share` (0 to 1) of the rows, as expected over all orders of tied rows."""
    return _taken(partial(weighted_figures.weighted_precision, share=share), y, score, weight)


@dataclass(frozen=True)
class BrierParts:
    """Brier = reliability - resolution + uncertainty, exactly. Reliability: less is better; resolution: more is."""

    reliability: float
    resolution: float
    uncertainty: float


def brier_parts(y: ArrayLike, p: ArrayLike) -> BrierParts:
    """Split the Brier score by the isotonic recalibration of the same rows: exact, and without a choice of bins.

    Source: Dimitriadis, Gneiting & Jordan 2021, PNAS 118(8) (there: miscalibration, discrimination, uncertainty).
    """
    from scipy.optimize import isotonic_regression

    y, p = _checked(y, p)
    if not len(y):
        return BrierParts(np.nan, np.nan, np.nan)
    _, group, size = np.unique(p, return_inverse=True, return_counts=True)
    share = np.bincount(group, weights=y) / size
    recalibrated = isotonic_regression(share, weights=size).x[group]
    uncertainty = float(y.mean() * (1 - y.mean()))
    at_best = float(np.mean((recalibrated - y) ** 2))
    return BrierParts(float(np.mean((p - y) ** 2)) - at_best, uncertainty - at_best, uncertainty)


@dataclass(frozen=True)
class CalibrationFit:
    """Slope and intercept of `calibration_fit`, and the 95 % interval of the slope over customers."""

    slope: float
    intercept: float
    low: float
    high: float


def calibration_slope_intercept(y: ArrayLike, p: ArrayLike) -> tuple[float, float]:
    """Slope and intercept of the logistic regression of y on the log-odds of p: 1 and 0 where p is calibrated.

    A slope below 1 says that the probabilities are too extreme. NaN where no finite fit exists.
    Source: Cox 1958, Biometrika 45:562-565; fitted by Newton's method.
    """
    line = calibration_fit(y, p)
    return line.slope, line.intercept


def calibration_fit(y: ArrayLike, p: ArrayLike, customers: ArrayLike | None = None) -> CalibrationFit:
    """The same with an interval of the slope; rows of one customer are not taken for independent of each other.

    Source of the interval: Liang & Zeger 1986, Biometrika 73:13-22 (sandwich by cluster, normal quantiles).
    """
    y, p = _checked(y, p)
    nothing = CalibrationFit(np.nan, np.nan, np.nan, np.nan)
    design = np.column_stack([log_odds(p), np.ones(len(p))])
    if len(np.unique(y)) < 2 or np.ptp(design[:, 0]) == 0:
        return nothing

    def look(fit: Numbers) -> tuple[Numbers, Numbers] | None:
        fitted = sigmoid(design @ fit)
        curvature = design.T @ (design * (fitted * (1 - fitted))[:, None])
        return None if np.linalg.cond(curvature) > 1 / NEAR else (design.T @ (y - fitted), curvature)

    optimum = maximum(look, np.array([1.0, 0.0]), farthest=5.0, near=NEAR)
    if not optimum.has_converged:
        return nothing
    slope, intercept = (float(number) for number in optimum.at)
    half = Z * _error_of_slope(design, y - sigmoid(design @ optimum.at), optimum.curvature, customers)
    return CalibrationFit(slope, intercept, slope - half, slope + half)


def _error_of_slope(design: Numbers, residual: Numbers, curvature: Numbers, customers: ArrayLike | None) -> float:
    group = np.arange(len(residual)) if customers is None else np.unique(np.asarray(customers), return_inverse=True)[1]
    scores = np.column_stack([np.bincount(group, weights=column * residual) for column in design.T])
    inverse = np.linalg.inv(curvature)
    return float(np.sqrt((inverse @ (scores.T @ scores) @ inverse)[0, 0]))


def error_by_chance(probability: Numbers, seed: int, together: ArrayLike | None = None) -> float:
    """Calibration error (95 % quantile) that true probabilities would show on so many rows, by simulation.

    Rows that are `together` (one mark per row) share their luck, as rows of one customer do whose windows overlap.
    """
    generator = np.random.default_rng(seed)
    marks = np.arange(len(probability)) if together is None else _numbered(together, len(probability))
    count = int(marks.max(initial=-1)) + 1
    draws = (
        calibration_error((generator.random(count)[marks] < probability).astype(np.float64), probability)
        for _ in range(CHANCE_DRAWS)
    )
    return float(np.quantile(list(draws), 0.95))


def expected_profit(y: ArrayLike, p: ArrayLike, value: ArrayLike, cost: ArrayLike) -> float:
    """Profit per row of acting where p value > cost: `value` comes in where y is 1, `cost` goes out at every act.

    Both in money, one number or one per row. Source: Elkan 2001, IJCAI (the optimal threshold is cost / value).
    """
    y, p = _checked(y, p)
    value, cost = np.asarray(value, dtype=np.float64), np.asarray(cost, dtype=np.float64)
    return float(np.mean(np.where(p * value > cost, y * value - cost, 0.0))) if len(y) else float(np.nan)


@dataclass(frozen=True)
class CalibrationTable:
    """Bins of equal mass, by rising probability, arrays (bins that have rows,): for a calibration plot."""

    n: Numbers
    predicted: Numbers
    observed: Numbers
    low: Numbers
    high: Numbers


def calibration_table(y: ArrayLike, p: ArrayLike, bins: int = BINS) -> CalibrationTable:
    """Mean probability and share of positives per bin, the latter with its Wilson interval (see calibration_error)."""
    y, p = _checked(y, p)
    n, positives, total = binned(ranked(p), y, p, np.ones(len(y)), bins)
    interval = wilson(positives, n)
    return CalibrationTable(n, total / n, positives / n, interval.low, interval.high)


@dataclass(frozen=True)
class GainTable:
    """What the best share of the rows holds, arrays (points,): for a gain or lift plot."""

    share: Numbers
    captured: Numbers
    precision: Numbers
    lift: Numbers


def gain_table(y: ArrayLike, score: ArrayLike, points: int = 101) -> GainTable:
    """Share of all positives captured, precision and lift in the best 0 to 100 % of the rows, tie-aware."""
    y, score = _checked(y, score)
    share = np.linspace(0, 1, points)
    ranking = ranked(score)
    size, positives = ranking.cumulated(np.ones(len(y))), ranking.cumulated(y)
    taken = np.interp(share * len(y), size, positives)
    with np.errstate(divide="ignore", invalid="ignore"):
        captured = taken / positives[-1]
        return GainTable(share, captured, taken / (share * len(y)), captured / share)


def figures(y: ArrayLike, p: ArrayLike) -> dict[str, float]:
    """All figures of one set of probabilities by name, with n, positives and base_rate; NaN where there is none."""
    y, p = _checked(y, p)
    if ((p < 0) | (p > 1)).any():
        raise DefinitionError("Probabilities lie from 0 to 1: calibrate raw scores before judging them.")
    ones = np.ones(len(y))
    values = {"n": float(len(y)), "positives": float(y.sum()), "base_rate": divided(float(y.sum()), float(len(y)))}
    values |= {name: prepare(y, p)(ones) for name, prepare in FIGURES.items()}
    parts, (slope, intercept) = brier_parts(y, p), calibration_slope_intercept(y, p)
    values |= {f"brier_{name}": value for name, value in vars(parts).items()}
    return values | {"calibration_slope": slope, "calibration_intercept": intercept}


@dataclass(frozen=True)
class Difference:
    """A figure of two scores on the same rows, and a - b with its 95 % interval over resampled customers."""

    figure: str
    a: float
    b: float
    difference: float
    low: float
    high: float

    @property
    def a_is_better(self) -> bool:
        """The whole interval lies on the side where `a` is better."""
        return self.high < 0 if self.figure in LOWER_IS_BETTER else self.low > 0

    @property
    def a_is_worse(self) -> bool:
        """The whole interval lies on the side where `a` is worse: surely worse, and not merely not surely better.

        This is the one rule by which candidates are dropped and a gate refuses.
        """
        return self.low > 0 if self.figure in LOWER_IS_BETTER else self.high < 0


def paired_bootstrap(
    customers: ArrayLike, y: ArrayLike, p_a: ArrayLike, p_b: ArrayLike, figure: str, B: int = 500, seed: int = 0
) -> Difference:
    """Compare two scores of the same rows by a figure of FIGURES, resampling customers with all their rows.

    `customers` (n,) holds the customer of each row. Resamples in which the figure does not exist are left out; the ends
    are NaN where none is left, or where there are fewer than two customers.
    """
    (y, a), (_, b) = _checked(y, p_a), _checked(y, p_b)
    prepared = [_prepare(figure)(y, score) for score in (a, b)]
    whole = [of(np.ones(len(y))) for of in prepared]
    weights = _resamples(customers, len(y), B, seed)
    if figure in ROW_LOSSES:
        drawn = _drawn_means(ROW_LOSSES[figure](y, a) - ROW_LOSSES[figure](y, b), customers, B, seed)
    else:
        pairs = np.array([[of(weight) for of in prepared] for weight in weights]).reshape(-1, 2)
        drawn = pairs[:, 0] - pairs[:, 1]
    low, high = _ends(drawn)
    return Difference(figure, whole[0], whole[1], whole[0] - whole[1], low, high)


def figure_interval(
    customers: ArrayLike, y: ArrayLike, p: ArrayLike, figure: str, B: int = 500, seed: int = 0
) -> tuple[float, float]:
    """Ends of the 95 % interval of one figure of FIGURES, resampling customers with all their rows."""
    y, p = _checked(y, p)
    of = _prepare(figure)(y, p)
    if figure in ROW_LOSSES:
        return _ends(_drawn_means(ROW_LOSSES[figure](y, p), customers, B, seed))
    return _ends(np.array([of(weight) for weight in _resamples(customers, len(y), B, seed)]))


def _prepare(figure: str) -> Callable[[Numbers, Numbers], Weighted]:
    if figure not in FIGURES:
        raise DefinitionError(f"There is no figure {figure!r} to resample. Take one of: {', '.join(FIGURES)}.")
    return FIGURES[figure]


def _taken(
    prepare: Callable[[Numbers, Numbers], Weighted], y: ArrayLike, p: ArrayLike, weight: ArrayLike | None
) -> float:
    y, p = _checked(y, p)
    return prepare(y, p)(np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64))


def _checked(y: ArrayLike, p: ArrayLike) -> tuple[Numbers, Numbers]:
    y, p = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if y.shape != p.shape or y.ndim != 1:
        raise DefinitionError(f"Outcomes {y.shape} and scores {p.shape} are not two columns of the same rows.")
    if not np.isin(y, (0, 1)).all() or not np.isfinite(p).all():
        raise DefinitionError("Outcomes are 0 or 1 and scores are finite: drop rows without either before judging.")
    return y, p


def _resamples(customers: ArrayLike, rows: int, B: int, seed: int) -> Iterator[Numbers]:
    """Weights of the rows in each of B resamples of customers: how often the row's customer was drawn."""
    customer = _numbered(customers, rows)
    for drawn in _draws(customer, B, seed):
        yield drawn[customer]


def _drawn_means(loss: Numbers, customers: ArrayLike, B: int, seed: int) -> Numbers:
    """The mean of one number per row in each of the same resamples, from sums by customer."""
    customer = _numbered(customers, len(loss))
    sums, rows = np.bincount(customer, weights=loss), np.bincount(customer).astype(np.float64)
    return np.array([divided(float(drawn @ sums), float(drawn @ rows)) for drawn in _draws(customer, B, seed)])


def _numbered(customers: ArrayLike, rows: int) -> NDArray[np.int64]:
    """The number of each row's customer."""
    _, customer = np.unique(np.asarray(customers), return_inverse=True)
    if len(customer) != rows:
        raise DefinitionError(f"There are {len(customer)} customers for {rows} rows: name the customer of each row.")
    return customer.astype(np.int64)


def _draws(customer: NDArray[np.int64], B: int, seed: int) -> Iterator[Numbers]:
    """How often each customer is drawn in each of B resamples; none where there are fewer than two."""
    count, generator = int(customer.max(initial=-1)) + 1, np.random.default_rng(seed)
    for _ in range(B if count > 1 else 0):
        yield np.bincount(generator.integers(0, count, count), minlength=count).astype(np.float64)


def _ends(values: Numbers) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    low, high = np.quantile(values, [TAIL, 1 - TAIL]) if len(values) else (np.nan, np.nan)
    return float(low), float(high)
