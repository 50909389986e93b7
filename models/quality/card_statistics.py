"""Statistics of a model card: smooth calibration, decision curve, and what there was to learn from.

After the guidance of STRATOS for prediction models (Van Calster et al. 2025, Lancet Digital Health): calibration as a
smooth curve with a band, with its intercept, slope and observed over expected; usefulness as net benefit at the
thresholds that an action's cost implies. Pure functions of outcomes `y` (n,), probabilities `p` (n,) and the customer
of each row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.statistics.intervals import Z
from vouch.features.statistics.newton import maximum
from vouch.models.quality.figures import brier_parts, calibration_fit
from vouch.models.scoring.calibration import log_odds, sigmoid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

    from vouch.models.scoring.trees import Matrix, Numbers

KNOTS = (0.05, 0.35, 0.65, 0.95)
"""Quantiles of the log-odds at which the curve may bend (Harrell 2015, section 2.4.6)."""
POINTS = 11
RIDGE = 1e-3
"""Pull of the curve towards the promise, in rows: keeps it finite where few outcomes came true."""


def smooth_calibration(y: Numbers, p: Numbers, customers: ArrayLike) -> list[dict[str, float]]:
    """Share that came true as a smooth function of the probability, with its 95 % band over customers.

    A logistic regression on a restricted cubic spline of the log-odds; band by the sandwich over customers (Liang &
    Zeger 1986). Points at quantiles of the probability; none where the probabilities or the outcomes do not differ.
    """
    odds = log_odds(p)
    if len(np.unique(y)) < 2 or len(np.unique(odds)) < 2 * len(KNOTS):
        return []
    knots = np.quantile(odds, KNOTS)
    design, start = _spline(odds, knots), np.array([0.0, 1.0, 0.0, 0.0])
    pull = np.diag(np.full(len(start), RIDGE))

    def look(fit: Numbers) -> tuple[Numbers, Numbers]:
        predicted = sigmoid(design @ fit)
        curvature = design.T @ (design * (predicted * (1 - predicted))[:, None]) + pull
        return design.T @ (y - predicted) - pull @ (fit - start), curvature

    fitted = maximum(look, start)
    fit, inverse = fitted.at, np.linalg.inv(fitted.curvature)
    _, group = np.unique(np.asarray(customers), return_inverse=True)
    scores = np.column_stack([np.bincount(group, column * (y - sigmoid(design @ fit))) for column in design.T])
    covariance = inverse @ (scores.T @ scores) @ inverse
    at = np.unique(np.quantile(p, np.linspace(0.02, 0.98, POINTS)))
    here = _spline(log_odds(at), knots)
    middle, half = here @ fit, Z * np.sqrt(np.einsum("ij,jk,ik->i", here, covariance, here))
    ends = (sigmoid(of) for of in (middle, middle - half, middle + half))
    return [
        {"predicted": float(a), "observed": float(b), "low": float(c), "high": float(d)}
        for a, b, c, d in zip(at, *ends, strict=True)
    ]


def _spline(values: Numbers, knots: Numbers) -> Numbers:
    """Columns of a restricted cubic spline: cubic between the outer knots, a line beyond them."""

    def cube(of: Numbers) -> Numbers:
        return np.asarray(np.maximum(of, 0.0) ** 3)

    last, before = knots[-1], knots[-2]
    span = max(float(last - knots[0]), 1e-9) ** 2
    width = max(float(last - before), 1e-9)
    bends = [
        (
            cube(values - knot)
            - cube(values - before) * (last - knot) / width
            + cube(values - last) * (before - knot) / width
        )
        / span
        for knot in knots[:-2]
    ]
    return np.column_stack([np.ones(len(values)), values, *bends])


def net_benefit(y: Numbers, p: Numbers, threshold: float) -> float:
    """True positives per row less false ones at the odds of the threshold, where all from it on are acted on.

    Source: Vickers & Elkin 2006, Medical Decision Making 26:565-574.
    """
    acted = p >= threshold
    true, false = float(np.mean(acted * y)), float(np.mean(acted * (1 - y)))
    return true - false * threshold / (1 - threshold)


def decision_curve(y: Numbers, p: Numbers, thresholds: Sequence[float]) -> list[dict[str, float]]:
    """Net benefit of the model at each threshold, beside acting on everybody; acting on nobody has none."""
    everybody = np.ones(len(y))
    return [
        {
            "threshold": float(at),
            "acted_on": float(np.mean(p >= at)),
            "net_benefit": net_benefit(y, p, at),
            "everybody": net_benefit(y, everybody, at),
        }
        for at in sorted(set(thresholds))
        if 0 < at < 1
    ]


def card_statistics(
    y: Numbers, p: Numbers, customers: ArrayLike, thresholds: Sequence[float], matrix: Matrix, label: Numbers
) -> dict[str, Any]:
    """Everything that a card tells beside the figures; `matrix` and `label` are what was fitted on."""
    fit, parts = calibration_fit(y, p, customers), brier_parts(y, p)
    rarer = float(min(label.sum(), len(label) - label.sum()))
    missing = np.isnan(matrix).mean(axis=0)
    summary: Mapping[str, float] = {
        "observed over expected": float(y.mean() / p.mean()) if p.mean() else float("nan"),
        "calibration intercept": fit.intercept,
        "calibration slope": fit.slope,
        "calibration slope, low": fit.low,
        "calibration slope, high": fit.high,
        "Brier: reliability (less is better)": parts.reliability,
        "Brier: resolution (more is better)": parts.resolution,
        "Brier: uncertainty": parts.uncertainty,
        **{f"risk, quantile {share:g}": float(np.quantile(p, share)) for share in (0.05, 0.5, 0.95)},
        "rows fitted on": float(len(label)),
        "outcomes of the rarer kind per feature": rarer / matrix.shape[1],
        "cells without a value": float(missing.mean()),
        "features mostly without a value": float((missing > 0.5).sum()),
    }
    return {
        "summary": dict(summary),
        "smooth_calibration": smooth_calibration(y, p, customers),
        "decision_curve": decision_curve(y, p, thresholds),
    }
