"""Fitting of effects: the recipe and the line of the untreated fitted anew at each origin, judged on what came after.

So the correction by trials, the intervals and the Qini curve rest on predictions that could not know the outcome.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.metrics.estimators import FEW
from vouch.models.quality.uplift import Arm, Trial, trial_effects
from vouch.models.scoring.calibration import log_odds, sigmoid
from vouch.models.scoring.effects import Effects, KindEffect
from vouch.models.scoring.formulas import Logistic
from vouch.training.calibrate import logistic_weights
from vouch.training.dataset import DatasetPart
from vouch.training.origins import side_by_side
from vouch.training.recipes.learners import fit_logistic, rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vouch.models.quality.uplift import TrialEffect
    from vouch.models.scoring.calibration import Calibrator
    from vouch.models.scoring.trees import Numbers
    from vouch.training.arms import ArmRows, TrialArms
    from vouch.training.cutoffs import OriginPlan
    from vouch.training.dataset import Dataset
    from vouch.training.recipes.learners import Fitted

PULL = 4.0
"""Precision with which a weight, and the shift of a kind, is drawn to where it starts: a deviation of 0.5."""
FIXED = 1e9
"""Precision of what does not move."""


def fit_effects(data: Dataset, calibrator: Calibrator, refit: Callable[[Dataset], Fitted], seed: int) -> Effects | None:
    """Fit what each kind of treatment does; None where no kind was tried often enough.

    `refit` fits the recipe that serves on the training rows of a dataset, `calibrator` is that of what serves.
    """
    arms = data.trials
    if arms is None or not arms.origins or not len(arms.untreated):
        return None
    lines = [None, None] if arms.is_of_all else [_line(data, arms, at, seed) for at in (arms.origins[0].test, None)]
    predictions = side_by_side(lambda of: predicted(data, arms, of, calibrator, refit, lines[0]), arms.origins)
    kinds = [kind for kind in arms.kinds if sum((of.treated.cells["kind"] == kind).sum() for of in predictions) >= FEW]
    if not kinds:
        return None
    fitted = Effects((), 1.0, lines[1], None, arms.is_unwanted, *_weights(predictions, arms))
    effects = [_known(predictions, arms, fitted, kind) for kind in kinds]
    numbered = {one: place for place, one in enumerate(sorted({c for of in predictions for c in of.everybody()}))}
    trials = {of.kind: trial for of in effects if (trial := _trial(predictions, fitted, of, numbered)) is not None}
    if not trials:
        return replace(fitted, kinds=tuple(effects))
    estimate = trial_effects(list(trials.values()), seed)
    by_kind = dict(zip(trials, estimate.kinds, strict=True))
    sign = -1.0 if arms.is_unwanted else 1.0
    made = [_tried(of, trials[of.kind], by_kind[of.kind], sign) if of.kind in trials else of for of in effects]
    return replace(fitted, kinds=tuple(made), slope=rounded(estimate.slope), qini=estimate.qini)


def _weights(predictions: Sequence[OriginPredictions], arms: TrialArms) -> tuple[tuple[float, float], float]:
    """How the log-odds of the model and of the line count with a treatment, and those of the line without."""
    if arms.is_of_all:
        return (1.0, 0.0), 1.0
    came = np.concatenate([of.treated.numbers("outcome") for of in predictions])
    model, line = (np.concatenate([getattr(of, name)[0] for of in predictions]) for name in ("model", "line"))
    design = np.column_stack([model, line - line.mean(), np.ones(len(came))])
    weighed = logistic_weights(design, came, np.array([1.0, 0.0, 0.0]), np.array([PULL, PULL, PULL]))
    done = np.concatenate([np.column_stack([of.untreated.numbers(name) for name in arms.kinds]) for of in predictions])
    design = np.column_stack([line_of := np.concatenate([of.line[1] for of in predictions]), np.ones(len(line_of))])
    alone = logistic_weights(design, done.max(axis=1), np.array([1.0, 0.0]), np.array([PULL, 1e-3]))
    return (rounded(weighed[0]), rounded(weighed[1])), rounded(alone[0])


def _known(predictions: Sequence[OriginPredictions], arms: TrialArms, fitted: Effects, kind: str) -> KindEffect:
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
        offset=_shift(predictions, arms, fitted, 0, kind),
        share=1.0 if arms.is_of_all or len(counts) == 1 else rounded((counts[kind] + 1.0) / total),
        base=_shift(predictions, arms, fitted, 1, kind),
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
    """Log-odds that the fits of one origin give to the rows that came after it: of the treated, then of the others."""

    treated: ArmRows
    untreated: ArmRows
    model: Sequence[Numbers]
    line: Sequence[Numbers]

    def everybody(self) -> list[Any]:
        """All customers of both arms."""
        return [*self.treated.customers, *self.untreated.customers]

    def raw(self, fitted: Effects, place: int, *, is_treated: bool) -> Numbers:
        """Log-odds of one arm before the shift of a kind, with the treatment or without."""
        if not is_treated:
            return fitted.line_slope * self.line[place]
        return fitted.weights[0] * self.model[place] + fitted.weights[1] * self.line[place]


def predicted(
    data: Dataset,
    arms: TrialArms,
    origin: OriginPlan,
    calibrator: Calibrator,
    refit: Callable[[Dataset], Fitted],
    line: Mapping[str, Any] | None,
) -> OriginPredictions:
    """What the recipe, fitted on what was final before an origin, and a line that is older say of the origin's rows."""
    both = (arms.treated.at([origin.test]), arms.untreated.at([origin.test]))
    scorer = refit(replace(data, train=data.at(origin.train))).scorer
    model = [log_odds(calibrator.apply(scorer.raw(of.matrix))) if len(of) else np.empty(0) for of in both]
    of_line = None if line is None else Logistic(line, len(data.columns))
    return OriginPredictions(*both, model, model if of_line is None else [of_line.raw(of.matrix) for of in both])


def _line(data: Dataset, arms: TrialArms, before_us: int | None, seed: int) -> Mapping[str, Any]:
    """A line of what goes with both arms, by what was final before an instant, else by the newest; flat for want."""
    rows = arms.beside
    if rows is not None:
        instants = np.unique(rows.as_of_us)
        if before_us is not None:
            instants = instants[instants + arms.beside_days * DAY_US <= before_us]
        rows = rows.at(instants[-data.model.cutoffs.train :].tolist())
        label = rows.numbers("label")
        if min(label.sum(), len(label) - label.sum()) >= FEW:
            part = DatasetPart(rows.matrix, label, rows.customers, rows.as_of_us)
            content = fit_logistic(replace(data, train=part), seed).content
            assert not isinstance(content, str), "a line is numbers"
            return content
    flat = {"fill": 0.0, "centre": 0.0, "scale": 1.0, "weight": 0.0, "missing_weight": 0.0, "mean": 0.0}
    terms: list[dict[str, Any]] = [
        flat if column.categories is None else {"weights": [0.0] * (len(column.categories) + 1), "mean": 0.0}
        for column in data.columns
    ]
    return {"base": 0.0, "terms": terms}


def _shift(predictions: Sequence[OriginPredictions], arms: TrialArms, fitted: Effects, place: int, kind: str) -> float:
    """Shift of the log-odds in one arm: of the treated by kind, of the others by all kinds together."""
    raws, cames = [], []
    for of in predictions:
        raw, arm = of.raw(fitted, place, is_treated=not place), (of.treated, of.untreated)[place]
        if place:
            came = np.column_stack([arm.numbers(name) for name in arms.kinds]).max(axis=1)
        else:
            rows = np.flatnonzero(arm.cells["kind"] == kind)
            raw, came = raw[rows], arm.numbers("outcome")[rows]
        raws.append(raw)
        cames.append(came)
    raw, came = np.concatenate(raws), np.concatenate(cames)
    pull = PULL if not place else 1e-3
    design = np.column_stack([raw, np.ones(len(raw))])
    return rounded(logistic_weights(design, came, np.array([1.0, 0.0]), np.array([FIXED, pull]))[1])


def _trial(
    predictions: Sequence[OriginPredictions], fitted: Effects, known: KindEffect, numbered: Mapping[Any, int]
) -> Trial | None:
    """Both arms of one kind out of time; None where too few were treated at random."""
    arms = []
    for place in (0, 1):
        parts = [_arm_part(of, place, fitted, known, numbered) for of in predictions]
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
    predictions: OriginPredictions, place: int, fitted: Effects, known: KindEffect, numbered: Mapping[Any, int]
) -> tuple[Numbers, ...]:
    """Of one origin and arm: difference, what came beyond the prediction, customer, prediction without, propensity.

    Numbers of an unwanted outcome are turned, so that more is better.
    """
    sign = -1.0 if fitted.is_unwanted else 1.0
    arm, outcome = ((predictions.treated, "outcome"), (predictions.untreated, known.kind))[place]
    rows = np.arange(len(arm))
    if not place:
        rows = np.flatnonzero((arm.cells["kind"] == known.kind) & arm.cells["is_random"].astype(bool))
    done = np.asarray(sigmoid(predictions.raw(fitted, place, is_treated=True)[rows] + known.offset))
    left = known.share * np.asarray(sigmoid(predictions.raw(fitted, place, is_treated=False)[rows] + known.base))
    came = arm.numbers(outcome)[rows]
    chance = arm.numbers("propensity")[rows] if "propensity" in arm.cells else np.full(len(rows), np.nan)
    who = np.array([numbered[one] for one in arm.customers[rows]], dtype=np.float64)
    return sign * (done - left), sign * (came - (left if place else done)), who, sign * left, chance
