"""Fitting of the calibration map: chosen by log loss, on rows later than those that were fitted.

So probabilities are honest. Each way is fitted on one half of the customers and judged on the other, both ways round;
the best is then fitted on all rows of the part. Where the history leaves no such part, scores stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.statistics.intervals import TAIL
from vouch.features.statistics.newton import maximum
from vouch.models.quality.figures import log_loss
from vouch.models.scoring.calibration import Calibrator, IntervalBand, sigmoid, softplus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vouch.models.scoring.trees import Numbers

CLEARLY = 0.0005
"""Share of the log loss by which a freer way must be better than a simpler one."""
STEPS = ("isotonic", "venn_abers")
MUCH = 0.005
"""The same for ways that are steps: they have many numbers, and the best of many is partly luck."""
STEPS_FROM = 300
"""Outcomes of the rarer kind from which steps are tried at all: fewer make none that hold."""
SMOOTH_FROM = 60
"""The same for curves of more than a line."""
PULL_SLOPE, PULL_INTERCEPT = 2.0, 1.0
"""Precision with which slopes are drawn to 1 and the intercept to 0: raw scores are log-odds already, and those of a
fit on little history spread too little to say how those of a later one become true."""
TILT = 0.01
"""Share of a rising line in Venn-Abers steps: who stands on one step can still be ranked; log loss hardly sees it."""
GROUPS = 200
KNOTS = 33
BAND_DRAWS = 100
DIGITS = 12
PSEUDO_ROWS = 2.0
"""Rows at the base rate that each isotonic step is mixed with: a step without positives is rare, not impossible."""


@dataclass(frozen=True)
class Chosen:
    """The calibrator that held best, and the log loss of each way on customers that it was not fitted on."""

    calibrator: Calibrator
    held_out: Mapping[str, float]

    @property
    def log_loss(self) -> float:
        """Log loss of the chosen way on rows that it was not fitted on; NaN where there were none."""
        return self.held_out.get(self.calibrator.method, float("nan"))


def fit_none(raw: Numbers, label: Numbers) -> Calibrator | None:
    """Leave the log-odds as they are."""
    return Calibrator()


def fit_sigmoid(raw: Numbers, label: Numbers) -> Calibrator | None:
    """A line through the log-odds, drawn to what they say already; None where the rows do not give a rising one."""
    design = np.column_stack([raw, np.ones(len(raw))])
    drawn = logistic_weights(design, label, np.array([1.0, 0.0]), np.array([PULL_SLOPE, PULL_INTERCEPT]))
    slope, intercept = (float(f"{number:.{DIGITS}g}") for number in drawn)
    return Calibrator("sigmoid", slope, intercept) if slope > 0 else None


def logistic_weights(design: Numbers, label: Numbers, start: Numbers, pull: Numbers) -> Numbers:
    """Fit of log-odds to outcomes by Newton's method, each number drawn to where it starts."""

    def look(fit: Numbers) -> tuple[Numbers, Numbers]:
        predicted = sigmoid(design @ fit)
        curvature = design.T @ (design * (predicted * (1 - predicted))[:, None]) + np.diag(pull)
        return design.T @ (label - predicted) - pull * (fit - start), curvature

    return maximum(look, start).at


def fit_isotonic(raw: Numbers, label: Numbers) -> Calibrator | None:
    """Rising steps, joined at their centres (Oron & Flournoy 2017); None where they are a single one."""
    from scipy.optimize import isotonic_regression

    distinct, group, size = np.unique(raw, return_inverse=True, return_counts=True)
    share = np.bincount(group, weights=label) / size
    blocks = isotonic_regression(share, weights=size).blocks
    rows = np.add.reduceat(size.astype(np.float64), blocks[:-1])
    centre = np.add.reduceat(distinct * size, blocks[:-1]) / rows
    positives = np.add.reduceat(share * size, blocks[:-1])
    mixed = (positives + PSEUDO_ROWS * label.mean()) / (rows + PSEUDO_ROWS)
    rising = np.maximum.accumulate(mixed)
    keep = np.append(True, np.diff(centre) > 0)
    if keep.sum() < 2:
        return None
    return Calibrator("isotonic", raw=tuple(centre[keep].tolist()), probability=tuple(rising[keep].tolist()))


def fit_beta(raw: Numbers, label: Numbers) -> Calibrator | None:
    """A curve with a slope of its own at each end; None where the rows do not give a rising one."""
    from scipy.optimize import minimize

    design = np.column_stack([-softplus(-raw), softplus(raw), np.ones(len(raw))])

    start, pull = np.array([1.0, 1.0, 0.0]), np.array([PULL_SLOPE, PULL_SLOPE, PULL_INTERCEPT])

    def loss(numbers: Numbers) -> tuple[float, Numbers]:
        odds, off = design @ numbers, numbers - start
        slope = design.T @ (sigmoid(odds) - label) + pull * off
        return float(np.sum(softplus(odds) - label * odds) + off @ (pull * off) / 2) / len(label), slope / len(label)

    bounds = [(0.0, None), (0.0, None), (None, None)]
    fit = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    left, slope, intercept = (float(f"{number:.{DIGITS}g}") for number in fit.x)
    is_rising = fit.success and max(left, slope) > 0
    return Calibrator("beta", slope, intercept, left=left) if is_rising else None


def fit_venn_abers(raw: Numbers, label: Numbers) -> Calibrator | None:
    """Isotonic steps with the row in question added as positive and as negative, both merged; None where they are flat.

    Rows are taken in up to `GROUPS` groups of equal mass, whose means are the knots.
    """
    from scipy.optimize import isotonic_regression

    order = np.argsort(raw, kind="stable")
    parts = np.array_split(order, min(GROUPS, len(order)))
    size = np.array([len(part) for part in parts], dtype=np.float64)
    positives, at = (np.array([values[part].sum() for part in parts]) for values in (label, raw))
    at, keep = at / size, np.append(True, np.diff(at / size) > 0)
    if keep.sum() < 2:
        return None
    group = np.cumsum(keep) - 1
    size, positives = (np.bincount(group, of).astype(np.float64) for of in (size, positives))
    ends = []
    for outcome in (0.0, 1.0):
        steps = np.empty(len(size))
        for place in range(len(size)):
            rows, true = size.copy(), positives.copy()
            rows[place] += 1
            true[place] += outcome
            steps[place] = isotonic_regression(true / rows, weights=rows).x[place]
        ends.append(steps)
    merged = np.maximum.accumulate(ends[1] / (1 - ends[0] + ends[1]))
    if line := fit_sigmoid(raw, label):
        merged = (1 - TILT) * merged + TILT * line.apply(at[keep])
    return Calibrator("venn_abers", raw=tuple(at[keep].tolist()), probability=tuple(merged.tolist()))


WAYS: Mapping[str, Callable[[Numbers, Numbers], Calibrator | None]] = {
    "none": fit_none,
    "sigmoid": fit_sigmoid,
    "beta": fit_beta,
    "isotonic": fit_isotonic,
    "venn_abers": fit_venn_abers,
}
"""From the simplest to the freest; of two that are equally good the simpler is taken."""


def choose(raw: Numbers, label: Numbers, customers: np.ndarray[Any, Any], seed: int) -> Chosen:
    """Return the way that holds best on customers that it was not fitted on, fitted on all of them."""
    if len(np.unique(label)) < 2:
        return Chosen(Calibrator(), {})
    distinct, customer = np.unique(customers, return_inverse=True)
    half = (np.random.default_rng(seed).permutation(len(distinct)) % 2 == 0)[customer]
    rarer = min(label.sum(), len(label) - label.sum())
    ways = {
        name: fit
        for name, fit in WAYS.items()
        if rarer >= (STEPS_FROM if name in STEPS else SMOOTH_FROM if name == "beta" else 0)
    }
    losses = {name: _held_out(fit, raw, label, half) for name, fit in ways.items()}
    best = "none"
    for name, loss in losses.items():
        if loss < losses[best] * (1 - (MUCH if name in STEPS else CLEARLY)):
            best = name
    fitted = WAYS[best](raw, label)
    return Chosen(fitted if fitted else Calibrator(), losses)


def with_band(chosen: Chosen, raw: Numbers, label: Numbers, customers: np.ndarray[Any, Any], seed: int) -> Chosen:
    """Add the interval of the probability: the same way on resamples of the customers, its 95 % range.

    Lines and curves take one step of Newton's method per resample (Davison & Hinkley 1997, section 7.2), steps are
    fitted anew.
    """
    if len(np.unique(label)) < 2 or len(np.unique(raw)) < 2:
        return chosen
    calibrator, generator = chosen.calibrator, np.random.default_rng(seed)
    at = np.unique(np.quantile(raw, np.linspace(0, 1, KNOTS)))
    distinct, customer = np.unique(customers, return_inverse=True)
    times = [
        np.bincount(generator.integers(0, len(distinct), len(distinct)), minlength=len(distinct))
        for _ in range(BAND_DRAWS)
    ]
    redraw = _stepped if calibrator.method in {"isotonic", "venn_abers"} else _curved
    drawn = redraw(calibrator, raw, label, customer, np.array(times), at)
    if not len(drawn):
        return chosen
    low, high = np.quantile(drawn, [TAIL, 1 - TAIL], axis=0)
    ends = [tuple(np.round(np.maximum.accumulate(end), DIGITS).tolist()) for end in (low, high)]
    return Chosen(replace(calibrator, band=IntervalBand(tuple(at.tolist()), ends[0], ends[1])), chosen.held_out)


def _stepped(
    calibrator: Calibrator, raw: Numbers, label: Numbers, customer: Any, times: np.ndarray[Any, Any], at: Numbers
) -> Numbers:
    """Probabilities at some scores, resamples by scores, of a way that is fitted anew on each."""
    drawn = []
    for of in times:
        rows = np.repeat(np.arange(len(raw)), of[customer])
        fitted = WAYS[calibrator.method](raw[rows], label[rows]) if len(np.unique(label[rows])) == 2 else None
        if fitted:
            drawn.append(fitted.apply(at))
    return np.array(drawn)


def _curved(
    calibrator: Calibrator, raw: Numbers, label: Numbers, customer: Any, times: np.ndarray[Any, Any], at: Numbers
) -> Numbers:
    """The same for a way that is linear in its numbers: one step from the fit towards that of each resample."""

    def design(values: Numbers) -> Numbers:
        if calibrator.method == "beta":
            return np.column_stack([-softplus(-values), softplus(values), np.ones(len(values))])
        return np.column_stack([values, np.ones(len(values))])

    numbers = [calibrator.slope, calibrator.intercept]
    fit = np.array([calibrator.left, *numbers] if calibrator.method == "beta" else numbers)
    rows, calibrated = design(raw), calibrator.apply(raw)
    curvature = rows.T @ (rows * (calibrated * (1 - calibrated))[:, None])
    scores = np.column_stack([np.bincount(customer, column * (label - calibrated)) for column in rows.T])
    steps = (times - 1) @ scores @ np.linalg.pinv(curvature, rcond=1e-9, hermitian=True)
    moved = fit + steps
    moved[:, :-1] = np.maximum(moved[:, :-1], 0.0)
    return sigmoid(moved @ design(at).T)


def _held_out(
    fit: Callable[[Numbers, Numbers], Calibrator | None], raw: Numbers, label: Numbers, half: np.ndarray[Any, Any]
) -> float:
    probability = np.empty(len(raw))
    for part in (half, ~half):
        fitted = fit(raw[~part], label[~part]) if len(np.unique(label[~part])) == 2 else None
        if fitted is None:
            return float("nan")
        probability[part] = fitted.apply(raw[part])
    return log_loss(label, probability)
