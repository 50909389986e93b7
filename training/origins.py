"""Rolling-origin evaluation: the chosen recipe fitted anew at earlier instants, judged on what came after each.

One test cutoff says how a model does in one month. Here the instants of the panel are dealt out again: a test cutoff,
calibration cutoffs whose outcomes were final before it, training cutoffs whose outcomes were final before those. The
embargo is that of the run itself, no vector is computed twice, and the last origin is the run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.training.calibrate import choose
from vouch.training.dataset import CutoffPlan, DatasetPart

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vouch.models.definition import Target
    from vouch.models.scoring.trees import Numbers
    from vouch.training.dataset import Dataset
    from vouch.training.learners import Fitted

ORIGINS = 4
TRAINING_CUTOFFS = 3
"""An origin with fewer training cutoffs, or with fewer calibration cutoffs than the run, is taken only for want."""


@dataclass(frozen=True)
class Origin:
    """What was said at one origin of the rows of its test cutoff, by each model that was fitted there."""

    plan: CutoffPlan
    rows: DatasetPart
    raw: Mapping[str, Numbers]
    probability: Mapping[str, Numbers]


def lay_origins(plan: CutoffPlan, target: Target, count: int = ORIGINS) -> list[CutoffPlan]:
    """Plans of the origins, the newest (the run itself) first; fewer where the history does not hold them."""
    if count < 1:
        return []
    plans = [laid for instant in plan.instants[: -len(plan.test)] if (laid := _origin(plan, target, instant))]
    full = [of for of in plans if len(of.calibrate) == len(plan.calibrate) and len(of.train) >= TRAINING_CUTOFFS]
    rest = [of for of in plans if of not in full]
    wanted = count - 1
    spread = np.unique(np.linspace(0, len(full) - 1, min(wanted, len(full))).round().astype(int))
    taken = [full[place] for place in spread] if full else []
    taken += rest[::-1][: wanted - len(taken)]
    return [plan, *sorted(taken, key=lambda of: -of.test[0])]


def _origin(plan: CutoffPlan, target: Target, test: int) -> CutoffPlan | None:
    """The plan of one earlier test cutoff, with as many calibration cutoffs as leave one to fit on."""
    matured = target.matured_days * DAY_US
    for count in range(len(plan.calibrate), -1, -1):
        earlier = [instant for instant in plan.instants if instant + matured <= test]
        calibrate = tuple(earlier[len(earlier) - count :])
        first = calibrate[0] if calibrate else test
        train = tuple(instant for instant in earlier if instant + matured <= first)
        if train and len(calibrate) == count:
            return CutoffPlan(train, calibrate, (test,))
    return None


def roll(
    data: Dataset, fitters: Mapping[str, Callable[[Dataset, int], Fitted]], seed: int, count: int = ORIGINS
) -> list[Origin]:
    """Fit and calibrate models at all origins before the run; those without outcomes of both kinds are left out."""
    every = _joined([data.train, data.calibrate, data.test])
    origins = []
    for plan in lay_origins(data.plan, data.target, count)[1:]:
        train, calibrate, test = (
            every.take(np.isin(every.as_of_us, np.array(part, np.int64)))
            for part in (plan.train, plan.calibrate, plan.test)
        )
        if min(len(np.unique(part.label)) for part in (train, test)) < 2:
            continue
        here = replace(data, plan=plan, train=train, calibrate=calibrate, test=test)
        fitted = {name: fit(here, seed) for name, fit in fitters.items()}
        raw = {name: model.scorer.raw(test.matrix) for name, model in fitted.items()}
        origins.append(Origin(plan, test, raw, {name: _said(here, fitted[name], raw[name], seed) for name in fitted}))
    return origins


def _said(data: Dataset, fitted: Fitted, raw: Numbers, seed: int) -> Numbers:
    later = data.calibrate
    if not len(later):
        return choose(np.empty(0), np.empty(0), np.empty(0), seed).calibrator.apply(raw)
    chosen = choose(fitted.scorer.raw(later.matrix), later.label, later.customers, seed)
    return chosen.calibrator.apply(raw)


def _joined(parts: Sequence[DatasetPart]) -> DatasetPart:
    def whole(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])

    return DatasetPart(whole("matrix"), whole("label"), whole("customers"), whole("as_of_us"))
