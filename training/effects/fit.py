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
    from vouch.training.dataset import Dataset
    from vouch.training.effects.rows import ArmRows, TrialArms
    from vouch.training.learners import Fitted
    from vouch.training.origins import Origin

PULL = 4.0
"""Precision with which the shift of a kind is drawn to none: a standard deviation of 0.5 in log-odds."""


def fit_effects(
    data: Dataset,
    origins: Sequence[Origin],
    calibrator: Calibrator,
    refit: Callable[[Dataset], Fitted],
    seed: int,
) -> Effects | None:
    """Fit what each kind of treatment does; None where no kind was tried often enough.

    `refit` fits the recipe that serves on the training rows of a dataset, `calibrator` is that of what serves.
    """
    arms = data.trials
    if arms is None or not len(arms.treated) or not len(arms.untreated):
        return None
    predictions = side_by_side(lambda of: predicted(data, arms, of, calibrator, refit, seed), origins)
    kinds = [kind for kind in arms.kinds if sum((of.treated.cells["kind"] == kind).sum() for of in predictions) >= FEW]
    if not kinds:
        return None
    shares = _shares(arms, kinds)
    offsets = {kind: _offset(predictions, kind) for kind in kinds}
    numbered = {one: place for place, one in enumerate(sorted({c for of in predictions for c in of.everybody()}))}
    trials = {
        kind: trial
        for kind in kinds
        if (trial := _trial(predictions, kind, offsets[kind], shares[kind], numbered)) is not None
    }
    estimate = trial_effects(list(trials.values()), seed) if trials else None
    effects = dict(zip(trials, estimate.kinds, strict=True)) if estimate else {}
    made = [
        _known(arms.treated, kind, offsets[kind], shares[kind], trials.get(kind), effects.get(kind)) for kind in kinds
    ]
    newest = np.unique(arms.untreated.as_of_us)[-data.model.cutoffs.train :]
    line = _line(data, arms.untreated.at(newest.tolist()), seed)
    return Effects(tuple(made), rounded(estimate.slope) if estimate else 1.0, line, estimate.qini if estimate else None)


def _known(
    treated: ArmRows, kind: str, offset: float, share: float, trial: Trial | None, estimate: TrialEffect | None
) -> KindEffect:
    """What is known of one kind, as a bundle keeps it."""
    of_kind = treated.cells.loc[treated.cells["kind"] == kind].drop_duplicates(["customer_id", "own_us"])
    came = of_kind["outcome"].to_numpy(np.float64)
    known = KindEffect(
        kind, len(came), 0, rounded(offset), rounded(share), 0.0, rounded((came.sum() + 1) / (len(came) + 2))
    )
    if trial is None or estimate is None:
        return known
    return replace(
        known,
        at_random=len(trial.treated.weight),
        centre=rounded(estimate.centre),
        untreated=rounded(estimate.untreated),
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
    origin: Origin,
    calibrator: Calibrator,
    refit: Callable[[Dataset], Fitted],
    seed: int,
) -> OriginPredictions:
    """What the recipe and the line say of an origin's rows, fitted on what was final before it."""
    treated, untreated = arms.treated.at([origin.plan.test]), arms.untreated.at([origin.plan.test])
    scorer = refit(replace(data, train=data.at(origin.plan.train))).scorer
    line = Logistic(_line(data, arms.untreated.at(origin.plan.train), seed), len(data.columns))
    both = (treated, untreated)
    return OriginPredictions(
        treated,
        untreated,
        [calibrator.apply(scorer.raw(of.matrix)) if len(of) else np.empty(0) for of in both],
        [sigmoid(line.raw(of.matrix)) for of in both],
    )


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


def _shares(arms: TrialArms, kinds: Sequence[str]) -> dict[str, float]:
    """How much of what comes by itself is of each kind, by Laplace's rule."""
    counts = {kind: arms.untreated.numbers(kind).sum() for kind in arms.kinds}
    total = sum(counts.values()) + len(counts)
    return {kind: float((counts[kind] + 1.0) / total) if len(counts) > 1 else 1.0 for kind in kinds}


def _offset(predictions: Sequence[OriginPredictions], kind: str) -> float:
    """Shift of the log-odds of one kind, by all treatments of it, drawn to none."""
    chosen = [(of.treated.cells["kind"] == kind).to_numpy(bool) for of in predictions]
    raw = log_odds(np.concatenate([of.probability[0][rows] for of, rows in zip(predictions, chosen, strict=True)]))
    came = np.concatenate([of.treated.numbers("outcome")[rows] for of, rows in zip(predictions, chosen, strict=True)])

    def look(fit: Numbers) -> tuple[Numbers, Numbers]:
        now = sigmoid(raw + fit[0])
        return np.array([(came - now).sum() - PULL * fit[0]]), np.array([[(now * (1 - now)).sum() + PULL]])

    return float(maximum(look, np.zeros(1)).at[0])


def _trial(
    predictions: Sequence[OriginPredictions], kind: str, offset: float, share: float, numbered: Mapping[Any, int]
) -> Trial | None:
    """Both arms of one kind out of time; None where too few were treated at random."""
    arms = []
    for place, name in enumerate(("outcome", kind)):
        parts = [_arm_part(of, place, name, kind, offset, share, numbered) for of in predictions]
        arms.append(tuple(np.concatenate(of) for of in zip(*parts, strict=True)))
    if min(len(of[0]) for of in arms) < FEW:
        return None
    chances = [of[-1] for of in arms]
    known = chances[0][np.isfinite(chances[0])]
    mean = float(known.mean()) if len(known) else len(chances[0]) / sum(map(len, chances))
    filled = [np.where(np.isnan(of), mean, of) for of in chances]
    weights = (1.0 / filled[0], 1.0 / (1.0 - filled[1]))
    treated, untreated = (
        Arm(difference, beyond, weight, who.astype(np.int64), without)
        for (difference, beyond, who, without, _), weight in zip(arms, weights, strict=True)
    )
    return Trial(treated, untreated, mean)


def _arm_part(
    predictions: OriginPredictions,
    place: int,
    outcome: str,
    kind: str,
    offset: float,
    share: float,
    numbered: Mapping[Any, int],
) -> tuple[Numbers, ...]:
    """Of one origin and arm: difference, what came beyond the prediction, customer, prediction without, propensity."""
    arm = (predictions.treated, predictions.untreated)[place]
    rows = np.arange(len(arm))
    if not place:
        rows = np.flatnonzero((arm.cells["kind"] == kind) & arm.cells["is_random"].astype(bool))
    done, left = shifted(predictions.probability[place][rows], offset), share * predictions.by_itself[place][rows]
    came = arm.numbers(outcome)[rows]
    chance = arm.numbers("propensity")[rows] if "propensity" in arm.cells else np.full(len(rows), np.nan)
    who = np.array([numbered[one] for one in arm.customers[rows]], dtype=np.float64)
    return done - left, came - (left if place else done), who, left, chance
