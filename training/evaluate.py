"""Candidates side by side on the test cutoffs: figures, intervals over customers, and who is taken.

The candidate is chosen on the calibration part (log loss on customers that its calibrator was not fitted on), never on
the test part, which is only reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.quality import Difference, error_by_chance, figure_interval, figures, paired_bootstrap, roc_auc
from training.calibrate import Chosen, choose

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from models.trees import Numbers
    from training.dataset import Dataset, Part
    from training.learners import Fitted

RESAMPLES = 500
COMPARED = ("log_loss", "pr_auc")
"""Figures in which a candidate is compared with the others, resampling customers."""
WITH_INTERVAL = ("roc_auc", "pr_auc", "log_loss", "brier_skill")
CLEARLY = 0.005
"""Share of the log loss by which another candidate must be better before it displaces the preferred one."""
LEAK_ROWS = 20_000


@dataclass(frozen=True)
class Judged:
    """One fitted model with its calibrator, and what it is worth on the test rows."""

    fitted: Fitted
    calibrated: Chosen
    probability: Numbers
    figures: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]

    @property
    def name(self) -> str:
        """`lightgbm`, `logistic`, `recency` or `health`."""
        return self.fitted.name


@dataclass(frozen=True)
class Evaluation:
    """All candidates on the same rows; `chosen` is compared with each other one."""

    judged: Mapping[str, Judged]
    chosen: str
    comparisons: Mapping[str, Mapping[str, Difference]]
    strongest_features: tuple[tuple[str, float], ...]
    calibration_by_chance: float

    @property
    def challenger(self) -> Judged:
        """The candidate that stands for promotion."""
        return self.judged[self.chosen]

    @property
    def best_other(self) -> Judged:
        """The other candidate or baseline with the least log loss."""
        others = [judged for name, judged in self.judged.items() if name != self.chosen]
        return min(others, key=lambda judged: judged.figures["log_loss"])


def evaluate(data: Dataset, fitted: Mapping[str, Fitted], seed: int) -> Evaluation:
    """Calibrate each model on the calibration part and judge it on the test part."""
    judged = {name: _judged(data, model, seed) for name, model in fitted.items()}
    chosen = choose_candidate(data.model.learners, judged)
    best = judged[chosen]
    comparisons = {
        name: {
            figure: paired_bootstrap(
                data.test.customers, data.test.label, best.probability, other.probability, figure, RESAMPLES, seed
            )
            for figure in COMPARED
        }
        for name, other in judged.items()
        if name != chosen
    }
    return Evaluation(
        judged,
        chosen,
        comparisons,
        tuple(strongest_features(data, seed)),
        error_by_chance(best.probability, seed),
    )


def _judged(data: Dataset, fitted: Fitted, seed: int) -> Judged:
    later, test = data.calibrate, data.test
    raw = fitted.scorer.raw(later.matrix) if len(later) else np.empty(0)
    calibrated = choose(raw, later.label, later.customers, seed)
    probability = calibrated.calibrator.apply(fitted.scorer.raw(test.matrix))
    intervals = {
        name: figure_interval(test.customers, test.label, probability, name, RESAMPLES, seed) for name in WITH_INTERVAL
    }
    return Judged(fitted, calibrated, probability, figures(test.label, probability), intervals)


def choose_candidate(learners: Iterable[str], judged: Mapping[str, Judged]) -> str:
    """Return the preferred candidate, or one that is clearly better on the calibration part."""
    names = list(learners)
    chosen = names[0]
    for name in names[1:]:
        if judged[name].calibrated.log_loss < judged[chosen].calibrated.log_loss * (1 - CLEARLY):
            chosen = name
    return chosen


def strongest_features(data: Dataset, seed: int) -> list[tuple[str, float]]:
    """Return each feature's ROC-AUC on its own (on training rows, turned so that it is at least 0.5), best first.

    A category counts by its share of positives, a missing number by whichever end suits it: an upper bound, so that a
    leak cannot hide.
    """
    rows = _sample(data.train, seed)
    powers = [
        (column.name, _power(rows.matrix[:, place], rows.label, is_category=column.categories is not None))
        for place, column in enumerate(data.columns)
    ]
    return sorted(powers, key=lambda power: (-power[1], power[0]))


def _sample(rows: Part, seed: int) -> Part:
    if len(rows) <= LEAK_ROWS:
        return rows
    return rows.take(np.sort(np.random.default_rng(seed).choice(len(rows), LEAK_ROWS, replace=False)))


def _power(values: np.ndarray[Any, Any], label: Numbers, *, is_category: bool) -> float:
    missing = np.isnan(values)
    if len(np.unique(label)) < 2:
        return 0.5
    if is_category:
        codes = np.where(missing, -1, values).astype(np.int64) + 1
        rows = np.bincount(codes)
        return roc_auc(label, (np.bincount(codes, weights=label) / np.maximum(rows, 1))[codes])
    known = values[~missing]
    if len(known) == 0:
        return 0.5
    low, high = float(known.min()) - 1.0, float(known.max()) + 1.0
    found = [roc_auc(label, np.where(missing, end, values).astype(np.float64)) for end in (low, high)]
    return max(max(auc, 1 - auc) for auc in found)
