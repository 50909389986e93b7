"""Evaluation figures as functions of row weights, for the bootstrap: sorted once, taken for many weights.

That is what makes 500 resamples of 40,000 rows a matter of seconds. A figure that does not exist is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vouch.features.errors import DefinitionError

Numbers = NDArray[np.float64]
Weighted = Callable[[Numbers], float]
"""A figure of one score, as a function of the weights (n,) of its rows."""

BINS = 20
SHARES = (0.01, 0.05, 0.10)


def divided(a: float, b: float) -> float:
    """Quotient, NaN where the divisor is 0."""
    return a / b if b else float(np.nan)


@dataclass(frozen=True)
class Ranking:
    """Rows by falling score; `starts` holds where each group of equal scores begins."""

    order: NDArray[np.int64]
    starts: NDArray[np.int64]

    def grouped(self, values: Numbers) -> Numbers:
        """Sums per distinct score, best first."""
        sums: Numbers = np.add.reduceat(values[self.order], self.starts) if len(values) else values
        return sums

    def cumulated(self, values: Numbers) -> Numbers:
        """Sums of all rows with at least each distinct score, 0 first."""
        return np.concatenate([[0.0], np.cumsum(self.grouped(values))])


def ranked(p: Numbers) -> Ranking:
    """Sort once: rows by falling score, equal scores together."""
    order = np.argsort(-p, kind="stable")
    return Ranking(order, np.flatnonzero(np.diff(p[order], prepend=np.nan) != 0))


def weighted_roc_auc(y: Numbers, p: Numbers) -> Weighted:
    """Area under the ROC curve, ties half."""
    ranking = ranked(p)

    def of(weight: Numbers) -> float:
        up, down = ranking.cumulated(weight * y), ranking.cumulated(weight * (1 - y))
        return divided(float(np.trapezoid(up, down)), float(up[-1] * down[-1]))

    return of


def weighted_pr_auc(y: Numbers, p: Numbers) -> Weighted:
    """Average precision over distinct scores."""
    ranking = ranked(p)

    def of(weight: Numbers) -> float:
        positives, size = ranking.cumulated(weight * y), ranking.cumulated(weight)[1:]
        precision = np.divide(positives[1:], size, out=np.zeros_like(size), where=size > 0)
        return divided(float(np.sum(np.diff(positives) * precision)), float(positives[-1]))

    return of


def mean_of(loss: Numbers) -> Weighted:
    """Weighted mean of one number per row."""
    return lambda weight: divided(float(np.sum(weight * loss)), float(np.sum(weight)))


def weighted_log_loss(y: Numbers, p: Numbers) -> Weighted:
    """Mean of -log of the probability given to what happened, kept finite at 0 and 1."""
    return mean_of(row_log_loss(y, p))


def row_log_loss(y: Numbers, p: Numbers) -> Numbers:
    """-log of the probability given to what happened, kept finite at 0 and 1, by row."""
    tiny = np.finfo(np.float64).eps
    losses: Numbers = -np.log(np.clip(np.where(y == 1, p, 1 - p), tiny, 1 - tiny))
    return losses


def row_brier(y: Numbers, p: Numbers) -> Numbers:
    """Squared difference, by row."""
    return (p - y) ** 2


def weighted_brier(y: Numbers, p: Numbers) -> Weighted:
    """Mean squared difference."""
    return mean_of(row_brier(y, p))


def weighted_brier_skill(y: Numbers, p: Numbers) -> Weighted:
    """1 - Brier / Brier of the base rate."""
    score, base = weighted_brier(y, p), mean_of(y)

    def of(weight: Numbers) -> float:
        rate = base(weight)
        return 1 - divided(score(weight), rate * (1 - rate))

    return of


def weighted_calibration_error(y: Numbers, p: Numbers, bins: int = BINS) -> Weighted:
    """Mean distance of predicted and observed over bins of equal mass."""
    ranking = ranked(p)

    def of(weight: Numbers) -> float:
        size, positives, total = binned(ranking, y, p, weight, bins)
        return divided(float(np.sum(np.abs(total - positives))), float(np.sum(size)))

    return of


def binned(ranking: Ranking, y: Numbers, p: Numbers, weight: Numbers, bins: int) -> tuple[Numbers, Numbers, Numbers]:
    """Weight, weighted positives and weighted sum of p in each bin of equal mass that holds rows, by rising p."""
    size, positives, total = (ranking.grouped(values)[::-1] for values in (weight, weight * y, weight * p))
    if not np.sum(size) > 0:
        return size[:0], size[:0], size[:0]
    middle = (np.cumsum(size) - size / 2) / np.sum(size)
    place = np.minimum((middle * bins).astype(np.int64), bins - 1)
    sums = [np.bincount(place, weights=values, minlength=bins) for values in (size, positives, total)]
    held = np.array(sums, dtype=np.float64)[:, sums[0] > 0]
    return held[0], held[1], held[2]


def weighted_precision(y: Numbers, p: Numbers, share: float) -> Weighted:
    """Share of positives in the best `share` of the rows; a row or tie that is cut counts in part."""
    if not 0 < share <= 1:
        raise DefinitionError(f"A share of rows lies above 0 and up to 1, not at {share}; 0.05 stands for 5 %.")
    ranking = ranked(p)

    def of(weight: Numbers) -> float:
        positives, size = ranking.cumulated(weight * y), ranking.cumulated(weight)
        wanted = share * float(size[-1])
        return divided(float(np.interp(wanted, size, positives)), wanted)

    return of


def weighted_lift(y: Numbers, p: Numbers, share: float) -> Weighted:
    """Precision in the best `share` of the rows over the base rate."""
    best, all_rows = weighted_precision(y, p, share), mean_of(y)
    return lambda weight: divided(best(weight), all_rows(weight))


FIGURES: dict[str, Callable[[Numbers, Numbers], Weighted]] = {
    "roc_auc": weighted_roc_auc,
    "pr_auc": weighted_pr_auc,
    "log_loss": weighted_log_loss,
    "brier": weighted_brier,
    "brier_skill": weighted_brier_skill,
    "calibration_error": weighted_calibration_error,
    **{f"lift_at_{100 * share:g}": partial(weighted_lift, share=share) for share in SHARES},
    **{f"precision_at_{100 * share:g}": partial(weighted_precision, share=share) for share in SHARES},
}
"""Figures by name, as `figures` gives them and as they can be resampled; the numbers in the names are percent."""

ROW_LOSSES: dict[str, Callable[[Numbers, Numbers], Numbers]] = {"log_loss": row_log_loss, "brier": row_brier}
"""Figures that are the mean of one number per row, which makes their resamples cheap."""
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "calibration_error"})
