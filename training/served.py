"""The model that serves: the chosen recipe fitted anew on every final instant, and calibrated out of time.

It was never judged itself, for no later outcome is known; its figures are those of the recipe at the origins. No row
calibrates that the raw score of the row was fitted on. How much it would change with other draws and with a newer
instant is measured beside (Riley & Collins 2023, stability of individual predictions).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.models.scoring.scorers import make_scorer
from vouch.training.calibrate import Chosen, with_band
from vouch.training.origins import side_by_side
from vouch.training.recipes.averaging import averaged
from vouch.training.recipes.learners import Fitted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vouch.models.scoring.trees import Numbers
    from vouch.training.choice import Choice
    from vouch.training.dataset import Dataset
    from vouch.training.origins import Rolled
    from vouch.training.recipes.learners import Recipe

AVERAGED_KINDS = frozenset({"lightgbm", "logistic"})
"""Kinds of model of which a mean can be made that is still one bundle."""


@dataclass(frozen=True)
class Served:
    """The model that is stored: its content, its calibration, and its probabilities of the newest rows."""

    fitted: Fitted
    calibrated: Chosen
    probability: Numbers


def serve(data: Dataset, rolled: Rolled, choice: Choice, recipes: Mapping[str, Recipe], seed: int) -> Served:
    """Fit what was chosen on all rows, with as many rounds as the origins found, and calibrate it by what they said."""
    fitted = _fitted(data, rolled, choice, recipes, seed)
    chosen = rolled.calibration(choice.members, seed)
    label, customers = (
        np.concatenate([getattr(of.rows, part) for of in rolled.origins]) for part in ("label", "customers")
    )
    chosen = with_band(chosen, rolled.raw(choice.members, rolled.origins), label, customers, seed)
    return Served(fitted, chosen, chosen.calibrator.apply(fitted.scorer.raw(data.newest.matrix)))


def _fitted(data: Dataset, rolled: Rolled, choice: Choice, recipes: Mapping[str, Recipe], seed: int) -> Fitted:
    def fit(name: str) -> Fitted:
        return recipes[name](data, seed, rounds=rolled.rounds(name))

    return joined(side_by_side(fit, choice.members), len(data.columns), choice.name)


def refit(rolled: Rolled, choice: Choice, recipes: Mapping[str, Recipe], seed: int) -> Callable[[Dataset], Fitted]:
    """Return what fits the chosen recipe, of a mean its first member, on the training rows of another dataset."""
    first = replace(choice, members=choice.members[:1])
    return lambda data: _fitted(data, rolled, first, recipes, seed)


def joined(fits: Sequence[Fitted], columns: int, name: str) -> Fitted:
    """The mean of fitted models in log-odds as one model; of a single one, that one."""
    if len(fits) == 1:
        return fits[0]
    trees = [str(of.content) for of in fits if of.kind == "lightgbm"]
    lines = [of.content for of in fits if of.kind == "logistic"]
    kind, content = "lightgbm", averaged(trees) if trees else ""
    parts: Any = content
    if lines:
        kind, parts = "mean", {"line": lines[0], "share": len(trees) / len(fits), "trees": content}
    facts = {f"{of.name}_{fact}": value for of in fits for fact, value in of.facts.items()}
    parameters = {f"{of.name}.{known}": value for of in fits for known, value in of.parameters.items()}
    return Fitted(name, kind, parts, make_scorer(kind, parts, columns), facts, parameters)


def instability(
    data: Dataset, rolled: Rolled, choice: Choice, recipes: Mapping[str, Recipe], seed: int
) -> dict[str, float]:
    """Share of the newest origin's customers whose band is another by another seed, and with one cutoff less.

    All are fits of what serves at the newest origin, with as many rounds and calibrated as that is. Empty where the
    target has no bands.
    """
    if not data.target.bands:
        return {}
    newest = rolled.judged[-1]
    here = replace(data, train=data.at(newest.plan.train))
    calibrator = rolled.calibration(choice.members, seed).calibrator

    def bands(of: Dataset, by_seed: int) -> np.ndarray[Any, Any]:
        raw = _fitted(of, rolled, choice, recipes, by_seed).scorer.raw(newest.rows.matrix)
        return np.array(data.target.bands_of(calibrator.apply(raw)))

    as_served = bands(here, seed)

    def changed(of: Dataset, by_seed: int) -> float:
        return float(np.mean(as_served != bands(of, by_seed)))

    changes = {"another_seed": changed(here, seed + 1)}
    if len(newest.plan.train) > 1:
        less = here.at(newest.plan.train[:-1])
        if len(np.unique(less.label)) == 2:
            changes["one_cutoff_less"] = changed(replace(here, train=less), seed)
    return changes
