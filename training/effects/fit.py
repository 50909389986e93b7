"""Fitting of effects: the recipe and the line of the untreated fitted anew at each origin, judged on what came after.

So the correction by trials, the intervals and the Qini curve rest on predictions that could not know the outcome.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.metrics.estimators import FEW
from vouch.features.statistics.newton import maximum
from vouch.models.quality.uplift import Arm, Trial, trial_effects
from vouch.models.scoring.calibration import log_odds, sigmoid
from vouch.models.scoring.effects import Effects, KindEffect, shifted
from vouch.models.scoring.formulas import Logistic
from vouch.training.dataset import DatasetPart
from vouch.training.learners import fit_logistic, rounded
from vouch.training.origins import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vouch.models.quality.uplift import TrialEffect
    from vouch.models.scoring.calibration import Calibrator
    from vouch.models.scoring.trees import Numbers
    from vouch.training.cutoffs import OriginPlan
    from vouch.training.dataset import Dataset
    from vouch.training.effects.rows import ArmRows, TrialArms
    from vouch.training.learners import Fitted

PULL = 4.0
"""Precision with which the shift of a kind is drawn to none: a standard deviation of 0.5 in log-odds."""


def fit_effects(data: Dataset, calibrator: Calibrator, refit: Callable[[Dataset], Fitted], seed: int) -> Effects | None:
    """Fit what each kind of treatment does; None where no kind was tried often enough.

    `refit` fits the recipe that serves on the training rows of a dataset, `calibrator` is that of what serves.
    """
    arms = data.trials
    if arms is None or not arms.origins or not len(arms.untreated):
        return None
    predictions = side_by_side(lambda of: predicted(data, arms, of, calibrator, refit, seed), arms.origins)
    kinds = [kind for kind in arms.kinds if sum((of.treated.cells["kind"] == kind).sum() for of in predictions) >= FEW]
    if not kinds:
        return None
    effects = [_known(predictions, arms, kind) for kind in kinds]
    numbered = {one: place for place, one in enumerate(sorted({c for of in predictions for c in of.everybody()}))}
    trials = {of.kind: trial for of in effects if (trial := _trial(predictions, of, arms, numbered)) is not None}
    estimate = trial_effects(list(trials.values()), seed) if trials else None
    by_kind = dict(zip(trials, estimate.kinds, strict=True)) if estimate else {}
    sign = -1.0 if arms.is_unwanted else 1.0
    made = tuple(_tried(of, trials[of.kind], by_kind[of.kind], sign) if of.kind in trials else of for of in effects)
    newest = np.unique(arms.untreated.as_of_us)[-data.model.cutoffs.train :]
    line = None if arms.is_of_all else _line(data, arms.untreated.at(newest.tolist()), seed)
    if estimate is None:
        return Effects(made, 1.0, line, None, arms.is_unwanted)
    return Effects(made, rounded(estimate.slope), line, estimate.qini, arms.is_unwanted)


def _known(predictions: Sequence[OriginPredictions], arms: TrialArms, kind: str) -> KindEffect:
    """What is known of one kind before any trial: how often it was done, and what came of it."""
    counts = {name: arms.untreated.numbers(name).sum() for name in arms.kinds}
    total = sum(counts.values()) + len(counts)
    done = [of.treated.cells.loc[of.treated.cells["kind"] == kind] for of in predictions]
    came = np.concatenate([cells["outcome"].to_numpy(np.float64) for cells in done])
    costs = np.concatenate([cells["cost"].to_numpy(np.float64) for cells in done if "cost" in cells] or [np.empty(0)])
    costs = costs[np.isfinite(costs)]
    return KindEffect(
        kind,
        treated=len(came),
        at_random=0,
        offset=_shift(predictions, 0, "outcome", kind),
        share=1.0 if arms.is_of_all or len(counts) == 1 else rounded((counts[kind] + 1.0) / total),
        base=_shift(predictions, 1, kind, kind) if arms.is_of_all else 0.0,
        centre=0.0,
        rate=rounded((came.sum() + 1) / (len(came) + 2)),
        cost=rounded(costs.mean()) if len(costs) else None,
    )


def _tried(known: KindEffect, trial: Trial, estimate: TrialEffect, sign: float) -> KindEffect:
    return replace(
        known,
        at_random=len(trial.treated.weight),
        centre=rounded(estimate.centre),
        untreated=rounded(sign * estimate.untreated),
        average=rounded(estimate.average),
        low=rounded(estimate.low),
        high=rounded(estimate.high),
    )


@dataclass(frozen=True)
class OriginPredictions:
    """What the fits of one origin say of the rows that came after it: of the treated, then of the untreated."""

    treated: ArmRows
    untreated: ArmRows
    probability: Sequence[Numbers]
    by_itself: Sequence[Numbers]

    def everybody(self) -> list[Any]:
        """All customers of both arms."""
        return [*self.treated.customers, *self.untreated.customers]


def predicted(
    data: Dataset,
    arms: TrialArms,
    origin: OriginPlan,
    calibrator: Calibrator,
    refit: Callable[[Dataset], Fitted],
    seed: int,
) -> OriginPredictions:
    """What the recipe and the line say of an origin's rows, fitted on what was final before it."""
    both = (arms.treated.at([origin.test]), arms.untreated.at([origin.test]))
    scorer = refit(replace(data, train=data.at(origin.train))).scorer
    probability = [calibrator.apply(scorer.raw(of.matrix)) if len(of) else np.empty(0) for of in both]
    by_itself = probability
    if not arms.is_of_all:
        line = Logistic(_line(data, arms.untreated.at(origin.train), seed), len(data.columns))
        by_itself = [np.asarray(sigmoid(line.raw(of.matrix))) for of in both]
    return OriginPredictions(*both, probability, by_itself)


def _line(data: Dataset, untreated: ArmRows, seed: int) -> Mapping[str, Any]:
    """A line of whether the outcome came by itself, in any kind; the mean alone where it hardly ever or always did."""
    label = _by_itself(data, untreated).max(axis=1)
    part = DatasetPart(untreated.matrix, label, untreated.customers, untreated.as_of_us)
    if min(label.sum(), len(label) - label.sum()) >= FEW:
        content = fit_logistic(replace(data, train=part), seed).content
        assert not isinstance(content, str), "a line is numbers"
        return content
    rate = (label.sum() + 0.5) / (len(label) + 1.0)
    flat = {"fill": 0.0, "centre": 0.0, "scale": 1.0, "weight": 0.0, "missing_weight": 0.0, "mean": 0.0}
    terms: list[dict[str, Any]] = [
        flat if column.categories is None else {"weights": [0.0] * (len(column.categories) + 1), "mean": 0.0}
        for column in data.columns
    ]
    return {"base": rounded(float(np.log(rate / (1 - rate)))), "terms": terms}


def _by_itself(data: Dataset, untreated: ArmRows) -> Numbers:
    assert data.trials is not None, "the caller sees to it"
    return np.column_stack([untreated.numbers(kind) for kind in data.trials.kinds])


def _shift(predictions: Sequence[OriginPredictions], place: int, outcome: str, kind: str) -> float:
    """Shift of the log-odds in one arm, by all of its rows of one kind, drawn to none."""
    arms = [(of.treated, of.untreated)[place] for of in predictions]
    rows = [np.flatnonzero(of.cells["kind"] == kind) if "kind" in of.cells else np.arange(len(of)) for of in arms]
    raw = log_odds(np.concatenate([of.probability[place][at] for of, at in zip(predictions, rows, strict=True)]))
    came = np.concatenate([of.numbers(outcome)[at] for of, at in zip(arms, rows, strict=True)])

    def look(fit: Numbers) -> tuple[Numbers, Numbers]:
        now = sigmoid(raw + fit[0])
        return np.array([(came - now).sum() - PULL * fit[0]]), np.array([[(now * (1 - now)).sum() + PULL]])

    return rounded(float(maximum(look, np.zeros(1)).at[0]))


def _trial(
    predictions: Sequence[OriginPredictions], known: KindEffect, of_both: TrialArms, numbered: Mapping[Any, int]
) -> Trial | None:
    """Both arms of one kind out of time; None where too few were treated at random."""
    sign = -1.0 if of_both.is_unwanted else 1.0
    arms = []
    for place in (0, 1):
        parts = [_arm_part(of, place, known, sign, numbered) for of in predictions]
        arms.append(tuple(np.concatenate(of) for of in zip(*parts, strict=True)))
    if min(len(of[0]) for of in arms) < FEW:
        return None
    chances = [of[-1] for of in arms]
    noted = chances[0][np.isfinite(chances[0])]
    mean = float(noted.mean()) if len(noted) else len(chances[0]) / sum(map(len, chances))
    filled = [np.where(np.isnan(of), mean, of) for of in chances]
    weights = (1.0 / filled[0], 1.0 / (1.0 - filled[1]))
    treated, untreated = (
        Arm(difference, beyond, weight, who.astype(np.int64), without)
        for (difference, beyond, who, without, _), weight in zip(arms, weights, strict=True)
    )
    return Trial(treated, untreated, mean)


def _arm_part(
    predictions: OriginPredictions, place: int, known: KindEffect, sign: float, numbered: Mapping[Any, int]
) -> tuple[Numbers, ...]:
    """Of one origin and arm: difference, what came beyond the prediction, customer, prediction without, propensity.

    All but the last two turned by `sign`, so that more is better.
    """
    arm, outcome = ((predictions.treated, "outcome"), (predictions.untreated, known.kind))[place]
    rows = np.arange(len(arm))
    if not place:
        rows = np.flatnonzero((arm.cells["kind"] == known.kind) & arm.cells["is_random"].astype(bool))
    done = shifted(predictions.probability[place][rows], known.offset)
    left = known.share * shifted(predictions.by_itself[place][rows], known.base)
    came = arm.numbers(outcome)[rows]
    chance = arm.numbers("propensity")[rows] if "propensity" in arm.cells else np.full(len(rows), np.nan)
    who = np.array([numbered[one] for one in arm.customers[rows]], dtype=np.float64)
    return sign * (done - left), sign * (came - (left if place else done)), who, sign * left, chance
