"""Rolling-origin evaluation: every recipe fitted anew at earlier instants, and what it said of rows that came after.

Out-of-time scores are what all else rests on: they judge, they choose, and they calibrate what serves. Going forward
from the oldest origin, each learns from those that were final before it: how many rounds to fit, and how raw scores
became true. So a fit costs one fit, and no row is calibrated by itself.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from vouch.training.calibrate import Chosen, choose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from vouch.models.scoring.trees import Numbers
    from vouch.training.cutoffs import OriginPlan
    from vouch.training.dataset import Dataset, DatasetPart
    from vouch.training.recipes.learners import Fitted, Recipe

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Origin:
    """One origin: its rows, and the raw score that each recipe gave them when it was fitted before."""

    plan: OriginPlan
    rows: DatasetPart
    raw: Mapping[str, Numbers]
    best_rounds: Mapping[str, int]


@dataclass(frozen=True)
class Rolled:
    """All origins, the oldest first; figures are of those that are judged."""

    origins: tuple[Origin, ...]
    judged: tuple[Origin, ...]
    kinds: Mapping[str, str]
    """Kind of model that each recipe makes."""

    def raw(self, members: Sequence[str], origins: Sequence[Origin]) -> Numbers:
        """Mean raw score of some recipes on the rows of some origins."""
        return np.concatenate([np.mean([of.raw[name] for name in members], axis=0) for of in origins])

    def calibration(self, members: Sequence[str], seed: int) -> Chosen:
        """The map that all origins together teach: that of what serves."""
        return _learned(self, members, self.origins, seed)

    def probability(self, members: Sequence[str], seed: int) -> list[Numbers]:
        """Probabilities of the rows of each judged origin, as calibrated by origins that were final before it."""
        predicted = []
        for of in self.judged:
            earlier = [by for by in self.origins if by.plan.test in of.plan.calibrated_by]
            predicted.append(_learned(self, members, earlier, seed).calibrator.apply(self.raw(members, [of])))
        return predicted

    def rounds(self, name: str) -> int | None:
        """Rounds to fit a recipe with, as all origins found them; None where it has none."""
        return _mean_rounds(_best_rounds(self.origins, name))


def _learned(rolled: Rolled, members: Sequence[str], origins: Sequence[Origin], seed: int) -> Chosen:
    if not origins:
        return choose(np.empty(0), np.empty(0), np.empty(0), seed)
    label, customers = (np.concatenate([getattr(of.rows, part) for of in origins]) for part in ("label", "customers"))
    return choose(rolled.raw(members, origins), label, customers, seed)


def _best_rounds(origins: Sequence[Origin], name: str) -> list[int]:
    return [of.best_rounds[name] for of in origins if name in of.best_rounds]


def _mean_rounds(rounds: Sequence[int]) -> int | None:
    return max(1, round(float(np.mean(rounds)))) if rounds else None


def roll(data: Dataset, recipes: Mapping[str, Recipe], seed: int) -> Rolled:
    """Fit every recipe at every origin of the plan; origins without outcomes of both kinds are left out."""
    origins: list[Origin] = []
    kinds: dict[str, str] = {}
    for plan in data.plan.origins:
        here = replace(data, train=data.at(plan.train))
        rows = data.at([plan.test])
        if min(len(np.unique(part.label)) for part in (here.train, rows)) < 2:
            continue
        known = [of for of in origins if of.plan.test in plan.calibrated_by]
        rounds = {
            name: _mean_rounds([of.best_rounds[name] for of in known if name in of.best_rounds]) for name in recipes
        }

        def fit(name: str, here: Dataset = here, rows: DatasetPart = rows, rounds: Any = rounds) -> Fitted:
            return recipes[name](here, seed, rounds=rounds[name], watch=rows)

        fitted = dict(zip(recipes, side_by_side(fit, recipes), strict=True))
        kinds |= {name: model.kind for name, model in fitted.items()}
        raw = {name: model.scorer.raw(rows.matrix) for name, model in fitted.items()}
        best = {name: model.best_rounds for name, model in fitted.items() if model.best_rounds}
        origins.append(Origin(plan, rows, raw, best))
    tested = {of.plan.test for of in origins}
    origins = [replace(of, plan=_known(of.plan, tested)) for of in origins]
    judged = [of for of in origins if of.plan.calibrated_by] or origins
    return Rolled(tuple(origins), tuple(judged), kinds)


def _known(plan: OriginPlan, tested: set[int]) -> OriginPlan:
    return replace(plan, calibrated_by=tuple(test for test in plan.calibrated_by if test in tested))


def side_by_side(work: Callable[[Given], Made], given: Iterable[Given]) -> list[Made]:
    """What some work makes of each: fits use one thread each, and nearly all of their time is outside Python."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(work, given))
