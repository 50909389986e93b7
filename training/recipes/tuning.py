"""Hyperparameter tuning with Optuna, inside the training cutoffs: seeded, pruned, bounded by trials, resumable.

Each trial is drawn by a sampler seeded with its place in the study, so that a study which was interrupted goes on as if
it had not been: the trials that are done stand in a database under the home. A limit in seconds is for people in a
hurry: where it ends the search, the run says that it cannot be reproduced.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vouch.features.project import sqlite_url
from vouch.models.scoring.trees import load_lightgbm
from vouch.training.recipes.learners import (
    PATIENCE,
    ROUNDS,
    TREES,
    fit_lightgbm,
    lightgbm_data,
    lightgbm_parameters,
    validation,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import optuna

    from vouch.training.dataset import Dataset
from vouch.training.recipes.learners import Fitted

NAME = "lightgbm_tuned"
REPORT_EVERY = 10
"""Rounds between two looks at whether a trial is worth going on with."""
UNPRUNED = 5
"""Trials that are run to their end before any is cut short."""


@dataclass(frozen=True)
class Tuning:
    """How long to search: trials in all (those of an earlier run count), and seconds at most."""

    trials: int = 0
    seconds: float | None = None


@dataclass(frozen=True)
class Tuned:
    """What a search found: a recipe to fit with, all trials as rows, and whether the same search gives the same."""

    fit: Callable[[Dataset, int], Fitted]
    trials: tuple[Mapping[str, Any], ...]
    is_reproducible: bool


def tune(
    data: Dataset, seed: int, tuning: Tuning, home: Path, facts: Mapping[str, Any],
    clock: Callable[[], float] = time.monotonic,
) -> Tuned | None:  # fmt: skip
    """Search, or take up a search where it stopped; None where no trial was asked for or none was finished.

    `facts` (fingerprints of data, definition and code) say which search this is.
    """
    if tuning.trials < 1:
        return None
    study, start = _study(home, data.model.name, {**facts, "seed": seed}), clock()
    is_whole = True
    while (done := len(_finished(study))) < tuning.trials:
        if tuning.seconds is not None and clock() - start > tuning.seconds:
            is_whole = False
            break
        study.sampler = _sampler(seed, done)
        study.optimize(partial(_loss, data, seed), n_trials=1)
    complete = [trial for trial in _finished(study)[: tuning.trials] if trial.value is not None and not _was_cut(trial)]
    if not complete:
        return None
    best = min(complete, key=lambda trial: (trial.value, trial.number))
    given = dict(best.params)
    fit = partial(fit_lightgbm, name=NAME, trees=TREES[given.pop("trees")], given=given)
    return Tuned(fit, tuple(_row(trial) for trial in _finished(study)[: tuning.trials]), is_whole)


def _study(home: Path, name: str, facts: Mapping[str, Any]) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    home.mkdir(parents=True, exist_ok=True)
    mark = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]
    return optuna.create_study(
        storage=sqlite_url(home / "tuning.db"),
        study_name=f"{name}-{mark}",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED, n_warmup_steps=2 * REPORT_EVERY),
    )


def _sampler(seed: int, done: int) -> optuna.samplers.BaseSampler:
    import optuna

    return optuna.samplers.TPESampler(seed=1_000_003 * seed + done, n_startup_trials=UNPRUNED)


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    import optuna

    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return study.get_trials(deepcopy=False, states=states)


def _was_cut(trial: optuna.trial.FrozenTrial) -> bool:
    return trial.state.name == "PRUNED"


def _row(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    return {"trial": trial.number, "loss": trial.value, "is_cut": _was_cut(trial), **trial.params}


def _loss(data: Dataset, seed: int, trial: optuna.Trial) -> float:
    """Log loss on the last training cutoff of trees that were fitted on those before it."""
    lightgbm = load_lightgbm()
    given = {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 3, 32, log=True),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 20, 500, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.1, 1.0),
        "lambda_l2": trial.suggest_float("lambda_l2", 0.1, 100.0, log=True),
    }
    trees = TREES[trial.suggest_categorical("trees", sorted(TREES))]
    parameters = lightgbm_parameters(data, seed, trees, given)
    fit, held = validation(data.train, data.target.matured_days, seed)
    first = lightgbm_data(data, data.train.take(fit), parameters)
    valid = lightgbm_data(data, data.train.take(held), parameters, first)
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    booster = lightgbm.train(parameters, first, ROUNDS, valid_sets=[valid], callbacks=[partial(_look, trial), stop])
    return float(booster.best_score["valid_0"]["binary_logloss"])


def _look(trial: optuna.Trial, state: Any) -> None:
    """Tell the study how a trial goes, and end it where the median of the others is better."""
    import optuna

    if state.iteration % REPORT_EVERY:
        return
    trial.report(state.evaluation_result_list[0][2], state.iteration)
    if trial.should_prune():
        raise optuna.TrialPruned
