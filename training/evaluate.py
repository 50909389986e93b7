"""Evaluation: what is chosen by what was said out of time, how good its recipe is, and the model that serves.

Figures, intervals and slices are of the rows of all judged origins together (`vouch.training.origins`), each scored by
a fit that could not know them. They say how good the recipe was with the history of that time; what serves is the same
recipe with all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.errors import Refused
from vouch.models.quality.card_curves import card_curves
from vouch.models.quality.card_statistics import card_statistics
from vouch.models.quality.figures import (
    Difference,
    calibration_fit,
    error_by_chance,
    expected_profit,
    figure_interval,
    figures,
    log_loss,
    paired_bootstrap,
    roc_auc,
)
from vouch.training.choice import MEAN, Choice, decide, finalists, join
from vouch.training.effects.fit import fit_effects
from vouch.training.hazard import fit_hazard, follow, judge_hazard
from vouch.training.origins import roll
from vouch.training.recipes.learners import BASELINES, LINE, recipes
from vouch.training.recipes.own import JUDGED_ONLY, own_recipes
from vouch.training.served import AVERAGED_KINDS, instability, refit, serve
from vouch.training.slices import slice_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.models.scoring.effects import Effects
    from vouch.models.scoring.hazard import Hazard
    from vouch.models.scoring.trees import Numbers
    from vouch.training.dataset import Dataset, DatasetPart
    from vouch.training.origins import Rolled
    from vouch.training.recipes.learners import Recipe
    from vouch.training.served import Served

RESAMPLES = 200
"""Of the customers, for what is told; what decides takes more."""
COMPARED = ("log_loss", "pr_auc", "roc_auc")
"""Figures in which what was chosen is compared with the others, resampling customers."""
WITH_INTERVAL = (
    "roc_auc", "pr_auc", "log_loss", "brier", "brier_skill", "calibration_error", "lift_at_5", "lift_at_10",
    "precision_at_5", "precision_at_10",
)  # fmt: skip
LEAK_ROWS = 20_000
SLICE_ROWS = 50
"""Rows from which a slice is reported."""
SHOWN_FEATURES = 10


@dataclass(frozen=True)
class Judged:
    """One recipe: what it said of the judged rows, how it is calibrated in the end, and what that is worth."""

    name: str
    probability: Numbers
    method: str
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Evaluation:
    """All recipes on the same rows; the chosen one is compared with each other one, and has intervals."""

    data: Dataset
    """The dataset, with the rows that were judged."""
    judged: Mapping[str, Judged]
    choice: Choice
    served: Served
    rolled: Rolled
    """Raw scores of all recipes at the origins."""
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    comparisons: Mapping[str, Mapping[str, Difference]] = field(default_factory=dict)
    strongest_features: tuple[tuple[str, float], ...] = ()
    calibration_by_chance: float = float("nan")
    slices: tuple[Mapping[str, Any], ...] = ()
    origins: tuple[Mapping[str, Any], ...] = ()
    """Figures of the chosen one at each judged origin, the newest first."""
    hazard: Hazard | None = None
    how_soon: tuple[Mapping[str, Any], ...] = ()
    """How the hazard holds within some numbers of weeks."""
    instability: Mapping[str, float] = field(default_factory=dict)
    statistics: Mapping[str, Any] = field(default_factory=dict)
    """What the card tells beside the figures; see `vouch.models.quality.card_statistics`."""
    judged_only: tuple[str, ...] = ()
    """Own learners that cannot be stored, and so cannot serve."""
    effects: Effects | None = None
    """What a treatment adds, where the outcome answers one."""

    @property
    def chosen(self) -> str:
        """Name of what was chosen: a recipe, or the mean of several."""
        return self.choice.name

    @property
    def challenger(self) -> Judged:
        """What stands for promotion."""
        return self.judged[self.chosen]

    @property
    def is_judged(self) -> bool:
        """Whether there are figures; without any the gate has nothing to go by."""
        return bool(self.judged)

    @property
    def best_baseline(self) -> Judged:
        """What anybody could set up (a rule, a line) and has the least log loss.

        Other candidates are left out: the least of many is partly luck.
        """
        others = [judged for name, judged in self.judged.items() if name != self.chosen and name in (*BASELINES, LINE)]
        return min(others, key=lambda judged: judged.figures["log_loss"])


def evaluate(
    data: Dataset,
    seed: int,
    more: Mapping[str, Recipe] | None = None,
    known_us: int | None = None,
) -> Evaluation:
    """Roll all recipes over the origins, choose by the rule, judge, and fit what serves.

    `more` are recipes beside those of the definition; `known_us` is when the outcomes were looked up, for how soon they
    came. Raises Refused where no origin has outcomes of both kinds.
    """
    every = {**recipes(data), **own_recipes(data.model.estimators), **(more or {})}
    rolled = roll(data, every, seed)
    data = _with_judged(data, rolled)
    test = data.test
    predicted = {name: rolled.probability([name], seed) for name in every}
    whole = {name: np.concatenate(parts) for name, parts in predicted.items()}
    choice, mean = _chosen(data, rolled, whole, seed)
    if mean is not None:
        predicted[MEAN], whole[MEAN] = mean, np.concatenate(mean)
    of_members = {name: choice.members if name == MEAN else (name,) for name in whole}
    judged = {
        name: Judged(
            name, of, rolled.calibration(of_members[name], seed).calibrator.method, all_figures(data, test.label, of)
        )
        for name, of in whole.items()
    }
    best, strongest = whole[choice.name], tuple(strongest_features(data, seed))
    served = serve(data, rolled, choice, every, seed)
    hazard, how_soon = _how_soon(data, rolled, predicted[choice.name], seed, known_us)
    return Evaluation(
        data,
        judged,
        choice,
        served,
        rolled,
        _intervals(test, best, seed),
        _comparisons(test, whole, choice.name, seed),
        strongest,
        error_by_chance(best, seed, _together(data)),
        tuple(slice_rows(data.test_frame, test.label, best, SLICE_ROWS)),
        tuple(_each(data, rolled, predicted[choice.name])),
        hazard,
        tuple(how_soon),
        instability(data, rolled, choice, every, seed),
        _card(data, whole, choice.name, strongest),
        tuple(name for name, kind in rolled.kinds.items() if kind == JUDGED_ONLY),
        fit_effects(data, served.calibrated.calibrator, refit(rolled, choice, every, seed), seed),
    )


def fit_only(data: Dataset, seed: int, name: str, recipe: Recipe) -> Evaluation:
    """One recipe, fitted and calibrated as it would be with an evaluation, but by the newest origin alone.

    Without a figure: what a run without evaluation stores.
    """
    newest = replace(data.plan, origins=(replace(data.plan.origins[-1], calibrated_by=()),))
    rolled = roll(replace(data, plan=newest), {name: recipe}, seed)
    data = _with_judged(data, rolled)
    choice = Choice((name,), "it is the preferred candidate, and nothing was compared")
    return Evaluation(data, {}, choice, serve(data, rolled, choice, {name: recipe}, seed), rolled)


def _with_judged(data: Dataset, rolled: Rolled) -> Dataset:
    """The dataset with the rows of the origins that could be judged; raises Refused where there are none."""
    if not rolled.judged:
        raise Refused(f"Model {data.model.name!r}: no origin has outcomes of both kinds to fit on and to judge by")
    rows = np.isin(data.test.as_of_us, [of.plan.test for of in rolled.judged])
    if rows.all() and len(rows) == sum(len(of.rows) for of in rolled.judged):
        return data
    instants = [of.plan.test for of in rolled.judged]
    return replace(data, test=data.at(instants), test_frame=data.test_frame.loc[rows].reset_index(drop=True))


def _chosen(
    data: Dataset, rolled: Rolled, whole: Mapping[str, Numbers], seed: int
) -> tuple[Choice, list[Numbers] | None]:
    """What the rule takes, and what the mean said at each origin where that is it."""
    learned = [name for name in whole if name not in BASELINES and rolled.kinds[name] != JUDGED_ONLY]
    best = finalists(data.test, whole, learned, seed) if learned else ()
    of_one_bundle = [name for name in learned if rolled.kinds[name] in AVERAGED_KINDS]
    order = sorted(of_one_bundle, key=lambda name: log_loss(data.test.label, whole[name]))
    raw = {name: rolled.raw([name], rolled.judged) for name in order}

    def say(names: Sequence[str]) -> Numbers:
        return np.concatenate(rolled.probability(names, seed))

    joint, _ = join(data.test, order, raw, say) if order and order[0] in best else ((), None)
    mean = rolled.probability(joint, seed) if len(joint) > 1 else None
    choice = decide(data.test, whole, best, (joint, np.concatenate(mean)) if mean is not None else None)
    return choice, mean if choice.name == MEAN else None


def _card(
    data: Dataset, whole: Mapping[str, Numbers], chosen: str, strongest: Sequence[tuple[str, float]]
) -> dict[str, Any]:
    """What the card tells and draws; somebody may act from where an action pays, and from where bands begin."""
    test, costs = data.test, data.model.costs
    pays = costs.action / costs.gain if costs else None
    thresholds = [*([] if pays is None else [pays]), *(band.at_least for band in data.target.bands)]
    best = whole[chosen]
    statistics = card_statistics(test.label, best, test.customers, thresholds, data.train.matrix, data.train.label)
    drawn = card_curves(test.label, whole, chosen, test.customers, pays)
    return {**statistics, "drawn": {**drawn, "strongest_features": list(strongest[:SHOWN_FEATURES])}}


def _together(data: Dataset) -> np.ndarray[Any, Any] | None:
    """Whose rows share their luck: those of a customer, where windows of the outcome overlap from origin to origin."""
    instants = np.unique(data.test.as_of_us)
    overlap = len(instants) > 1 and np.diff(instants).min() < data.target.horizon_days * DAY_US
    return data.test.customers if overlap else None


def _comparisons(
    test: DatasetPart, whole: Mapping[str, Numbers], chosen: str, seed: int
) -> dict[str, dict[str, Difference]]:
    return {
        name: {
            figure: paired_bootstrap(test.customers, test.label, whole[chosen], other, figure, RESAMPLES, seed)
            for figure in COMPARED
        }
        for name, other in whole.items()
        if name != chosen
    }


def _each(data: Dataset, rolled: Rolled, predicted: Sequence[Numbers]) -> list[dict[str, Any]]:
    return [
        {"as_of_us": of.plan.test, "train": len(of.plan.train), **all_figures(data, of.rows.label, probability)}
        for of, probability in reversed(list(zip(rolled.judged, predicted, strict=True)))
    ]


def _how_soon(
    data: Dataset, rolled: Rolled, predicted: Sequence[Numbers], seed: int, known_us: int | None
) -> tuple[Hazard | None, list[dict[str, Any]]]:
    """Fit the hazard on what was said out of time; nothing where the outcome is no moment."""
    weeks, rest = divmod(data.target.horizon_days, 7)
    if data.moments is None or known_us is None or rest or data.target.lead_days:
        return None, []
    followed = follow(data, [(of.rows, by) for of, by in zip(rolled.judged, predicted, strict=True)], known_us)
    return fit_hazard(followed, weeks), judge_hazard(followed, weeks, seed)


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
