"""Figures behind the charts of a model card, as plain data that card, page, notebook and tracking server draw alike.

Rows are those of all judged origins together: outcomes `y` (n,) of 0 and 1, and the probabilities of each candidate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.models.quality.card_statistics import decision_curve, smooth_calibration
from vouch.models.quality.figures import calibration_table, gain_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

    from vouch.models.scoring.trees import Numbers

GAIN_POINTS, RISK_BINS, THRESHOLDS = 41, 20, 25


def card_curves(
    y: Numbers, probabilities: Mapping[str, Numbers], chosen: str, customers: ArrayLike, acted_from: float | None
) -> dict[str, Any]:
    """Everything that a card draws: calibration, gains (the chosen one first), decision curve, distribution of risks.

    `acted_from` is the probability from which an action pays, by what it costs and wins; None where nobody says.
    """
    best, names = probabilities[chosen], [chosen, *(name for name in probabilities if name != chosen)]
    table = calibration_table(y, best)
    return {
        "calibration": [{name: float(of[place]) for name, of in vars(table).items()} for place in range(len(table.n))],
        "smooth_calibration": smooth_calibration(y, best, customers),
        "gains": [{"name": name, "points": _gains(y, probabilities[name])} for name in names],
        "decision_curve": decision_curve(y, best, _thresholds(best, acted_from)),
        "acted_from": acted_from,
        "risks": np.histogram(best, bins=RISK_BINS, range=(0.0, 1.0))[0].tolist(),
    }


def _gains(y: Numbers, probability: Numbers) -> list[list[float]]:
    table = gain_table(y, probability, GAIN_POINTS)
    return [[float(share), float(captured)] for share, captured in zip(table.share, table.captured, strict=True)]


def _thresholds(best: Numbers, acted_from: float | None) -> Sequence[float]:
    """A grid from nothing to where hardly anybody is acted on, or past where acting pays."""
    last = min(0.95, max(float(np.quantile(best, 0.99)), 2 * (acted_from or 0.0), 0.02))
    grid = np.linspace(0, last, THRESHOLDS + 1)[1:].tolist()
    return grid if acted_from is None or acted_from > last else [*grid, acted_from]


def dependence(values: Numbers, parts: Numbers, bins: int = 12) -> list[dict[str, float]]:
    """How what a feature adds to the score goes with its value: means over bins of equal size, with 95 % intervals.

    `values` and `parts` (n,) are the feature's values and its share of the log-odds; rows without a value are left out.
    """
    is_known = np.isfinite(values)
    values, parts = values[is_known], parts[is_known]
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1))) if len(values) else np.array([])
    points = []
    for place in np.unique(bin_of := np.searchsorted(edges, values, side="right").clip(max=max(len(edges) - 1, 0))):
        held = parts[bin_of == place]
        half = 1.96 * float(held.std(ddof=1)) / np.sqrt(len(held)) if len(held) > 1 else 0.0
        middle = float(held.mean())
        at = float(values[bin_of == place].mean())
        points.append({"value": at, "part": middle, "low": middle - half, "high": middle + half})
    return points
