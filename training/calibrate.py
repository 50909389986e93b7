"""How probabilities are made honest: the map is chosen on rows later than those that were fitted, by log loss.

Each way is fitted on one half of the customers and judged on the other, both ways round; the best is then fitted on all
rows of the part. Where the history leaves no such part, scores stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.calibration import Calibrator, sigmoid
from models.quality import calibration_slope_intercept, log_loss

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from models.trees import Numbers

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
    """A line through the log-odds; None where the rows do not give a rising one."""
    slope, intercept = calibration_slope_intercept(label, sigmoid(raw))
    return Calibrator("sigmoid", slope, intercept) if slope > 0 else None


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


WAYS: Mapping[str, Callable[[Numbers, Numbers], Calibrator | None]] = {
    "none": fit_none,
    "sigmoid": fit_sigmoid,
    "isotonic": fit_isotonic,
}
"""From the simplest to the freest; of two that are equally good the simpler is taken."""


def choose(raw: Numbers, label: Numbers, customers: np.ndarray[Any, Any], seed: int) -> Chosen:
    """Return the way that holds best on customers that it was not fitted on, fitted on all of them."""
    if len(np.unique(label)) < 2:
        return Chosen(Calibrator(), {})
    distinct, customer = np.unique(customers, return_inverse=True)
    half = (np.random.default_rng(seed).permutation(len(distinct)) % 2 == 0)[customer]
    losses = {name: _held_out(fit, raw, label, half) for name, fit in WAYS.items()}
    best = min((name for name in losses if np.isfinite(losses[name])), key=lambda name: losses[name])
    fitted = WAYS[best](raw, label)
    return Chosen(fitted if fitted else Calibrator(), losses)


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
