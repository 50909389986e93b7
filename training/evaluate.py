"""Evaluation of candidates on the test cutoff, and of the chosen one at several origins.

Figures, intervals, who is taken. The candidate is chosen on the validation cutoffs (log loss on customers that its
calibrator was not fitted on), never on the test cutoff, which is only reported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.models.quality.figures import (
    Difference,
    calibration_fit,
    error_by_chance,
    expected_profit,
    figure_interval,
    figures,
    paired_bootstrap,
    roc_auc,
)
from vouch.training.calibrate import Chosen, choose, with_band
from vouch.training.hazard import fit_hazard, follow, judge_hazard
from vouch.training.learners import BASELINES, CANDIDATES, LINE
from vouch.training.origins import ORIGINS, roll
from vouch.training.slices import slice_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from vouch.models.scoring.hazard import Hazard
    from vouch.models.scoring.trees import Numbers
    from vouch.training.dataset import Dataset, DatasetPart
    from vouch.training.learners import Fitted
    from vouch.training.origins import Origin

RESAMPLES = 500
COMPARED = ("log_loss", "pr_auc", "roc_auc")
"""Figures in which a candidate is compared with the others, resampling customers."""
WITH_INTERVAL = (
    "roc_auc", "pr_auc", "log_loss", "brier", "brier_skill", "calibration_error", "lift_at_5", "lift_at_10",
    "precision_at_5", "precision_at_10",
)  # fmt: skip
CLEARLY = 0.002
"""Share of the log loss by which another candidate must be better before it displaces the preferred one."""
LEAK_ROWS = 20_000
SLICE_ROWS = 50
"""Rows from which a slice is reported."""


@dataclass(frozen=True)
class Judged:
    """One fitted model with its calibrator, and what it is worth on the test rows."""

    fitted: Fitted
    calibrated: Chosen
    probability: Numbers
    figures: Mapping[str, float]

    @property
    def name(self) -> str:
        """Name of the candidate or baseline."""
        return self.fitted.name


@dataclass(frozen=True)
class Rolled:
    """The chosen candidate over all origins: figures of each (the newest first) and of all their rows together.

    `others` holds pooled figures of the rules, fitted at the same origins; `comparisons` the pooled difference.
    """

    origins: tuple[Origin, ...] = ()
    each: tuple[Mapping[str, Any], ...] = ()
    pooled: Mapping[str, float] | None = None
    intervals: Mapping[str, tuple[float, float]] | None = None
    others: Mapping[str, Mapping[str, float]] | None = None
    comparisons: Mapping[str, Difference] | None = None


@dataclass(frozen=True)
class Evaluation:
    """All candidates on the same rows; `chosen` is compared with each other one, and has intervals."""

    judged: Mapping[str, Judged]
    chosen: str
    intervals: Mapping[str, tuple[float, float]]
    comparisons: Mapping[str, Mapping[str, Difference]]
    strongest_features: tuple[tuple[str, float], ...]
    calibration_by_chance: float
    slices: tuple[Mapping[str, Any], ...] = ()
    rolled: Rolled = Rolled()
    hazard: Hazard | None = None
    how_soon: tuple[Mapping[str, Any], ...] = ()
    """How the hazard holds within some numbers of weeks."""

    @property
    def challenger(self) -> Judged:
        """The candidate that stands for promotion."""
        return self.judged[self.chosen]

    @property
    def is_judged(self) -> bool:
        """Whether there are figures; without any the gate has nothing to go by."""
        return bool(self.challenger.figures)

    @property
    def best_baseline(self) -> Judged:
        """What anybody could set up (a rule, a line) and has the least log loss.

        Other candidates are left out: the least of many on the test rows is partly luck.
        """
        others = [judged for name, judged in self.judged.items() if name != self.chosen and name in (*BASELINES, LINE)]
        return min(others, key=lambda judged: judged.figures["log_loss"])


def evaluate(
    data: Dataset,
    fitted: Mapping[str, Fitted],
    seed: int,
    origins: int = ORIGINS,
    fitters: Mapping[str, Callable[[Dataset, int], Fitted]] | None = None,
    known_us: int | None = None,
) -> Evaluation:
    """Calibrate each model on the validation part, choose, judge on the test part and at `origins` moments in all.

    `fitters` say how candidates are fitted anew at an earlier origin, where they are not the usual ones; `known_us` is
    when the outcomes were looked up, for how soon they came.
    """
    judged = {name: _judged(data, model, seed) for name, model in fitted.items()}
    chosen = choose_candidate([*data.model.learners, *(name for name in judged if name not in BASELINES)], judged)
    judged[chosen] = _with_band(data, judged[chosen], seed)
    best, test = judged[chosen], data.test
    comparisons = {
        name: {
            figure: paired_bootstrap(
                test.customers, test.label, best.probability, other.probability, figure, RESAMPLES, seed
            )
            for figure in COMPARED
        }
        for name, other in judged.items()
        if name != chosen
    }
    recipes = {**CANDIDATES, **BASELINES, **(fitters or {})}
    rolled = _rolled(data, judged, chosen, recipes, seed, origins)
    hazard, how_soon = _how_soon(data, best, rolled, seed, known_us)
    return Evaluation(
        judged,
        chosen,
        _intervals(test, best.probability, seed),
        comparisons,
        tuple(strongest_features(data, seed)),
        error_by_chance(best.probability, seed),
        tuple(slice_rows(data.test_frame, test.label, best.probability, SLICE_ROWS)),
        rolled,
        hazard,
        tuple(how_soon),
    )


def calibrate_only(data: Dataset, fitted: Fitted, seed: int) -> Evaluation:
    """One model, calibrated, with its band and without a figure: what a run without evaluation stores."""
    judged = _with_band(data, _calibrated(data, fitted, seed), seed)
    return Evaluation({fitted.name: judged}, fitted.name, {}, {}, (), float("nan"))


def _how_soon(
    data: Dataset, best: Judged, rolled: Rolled, seed: int, known_us: int | None
) -> tuple[Hazard | None, list[dict[str, Any]]]:
    """Fit the hazard on what was said out of time; nothing where the outcome is no moment, or was not rolled."""
    weeks, rest = divmod(data.target.horizon_days, 7)
    if data.moments is None or known_us is None or rest or data.target.lead_days or not rolled.origins:
        return None, []
    parts = [(data.test, best.probability), *((of.rows, of.probability[best.name]) for of in rolled.origins)]
    followed = follow(data, parts, known_us)
    return fit_hazard(followed, weeks), judge_hazard(followed, weeks, seed)


def _with_band(data: Dataset, judged: Judged, seed: int) -> Judged:
    later = data.calibrate
    if not len(later):
        return judged
    raw = judged.fitted.scorer.raw(later.matrix)
    return replace(judged, calibrated=with_band(judged.calibrated, raw, later.label, later.customers, seed))


def _intervals(rows: DatasetPart, probability: Numbers, seed: int) -> dict[str, tuple[float, float]]:
    """95 % intervals over customers, that of the calibration slope by its sandwich."""
    ends = {
        name: figure_interval(rows.customers, rows.label, probability, name, RESAMPLES, seed) for name in WITH_INTERVAL
    }
    fit = calibration_fit(rows.label, probability, rows.customers)
    return {**ends, "calibration_slope": (fit.low, fit.high)}


def all_figures(data: Dataset, label: Numbers, probability: Numbers) -> dict[str, float]:
    """Figures of probabilities, with the profit per row of acting on them where the definition states its costs."""
    values = figures(label, probability)
    costs = data.model.costs
    profit = expected_profit(label, probability, costs.gain, costs.action) if costs else float("nan")
    return {**values, "expected_profit": profit}


def _rolled(
    data: Dataset,
    judged: Mapping[str, Judged],
    chosen: str,
    recipes: Mapping[str, Callable[[Dataset, int], Fitted]],
    seed: int,
    count: int,
) -> Rolled:
    if count < 1:
        return Rolled()
    names = dict.fromkeys([chosen, *BASELINES])
    earlier = roll(data, {name: recipes[name] for name in names}, seed, count)
    probability = {name: [judged[name].probability, *(of.probability[name] for of in earlier)] for name in names}
    parts = [data.test, *(of.rows for of in earlier)]
    label, customers = (np.concatenate([getattr(part, of) for part in parts]) for of in ("label", "customers"))
    pooled = {name: np.concatenate(of) for name, of in probability.items()}
    each = [
        {"as_of_us": int(part.as_of_us[0]), "train": len(of.plan.train) if of else len(data.plan.train),
         **all_figures(data, part.label, said)}
        for part, said, of in zip(parts, probability[chosen], [None, *earlier], strict=True)
    ]  # fmt: skip
    whole = replace(data.test, label=label, customers=customers)
    return Rolled(
        tuple(earlier),
        tuple(each),
        all_figures(data, label, pooled[chosen]),
        _intervals(whole, pooled[chosen], seed),
        {name: all_figures(data, label, pooled[name]) for name in names if name != chosen},
        {
            name: paired_bootstrap(customers, label, pooled[chosen], pooled[name], "log_loss", RESAMPLES, seed)
            for name in names
            if name != chosen
        },
    )


def _judged(data: Dataset, fitted: Fitted, seed: int) -> Judged:
    calibrated = _calibrated(data, fitted, seed)
    return replace(calibrated, figures=all_figures(data, data.test.label, calibrated.probability))


def _calibrated(data: Dataset, fitted: Fitted, seed: int) -> Judged:
    later = data.calibrate
    raw = fitted.scorer.raw(later.matrix) if len(later) else np.empty(0)
    calibrated = choose(raw, later.label, later.customers, seed)
    return Judged(fitted, calibrated, calibrated.calibrator.apply(fitted.scorer.raw(data.test.matrix)), {})


def choose_candidate(learners: Iterable[str], judged: Mapping[str, Judged]) -> str:
    """Return the preferred candidate, or one that is clearly better on the validation part."""
    names = list(dict.fromkeys(learners))
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


def _sample(rows: DatasetPart, seed: int) -> DatasetPart:
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
    areas = [roc_auc(label, np.where(missing, end, values).astype(np.float64)) for end in (low, high)]
    return max(max(auc, 1 - auc) for auc in areas)
