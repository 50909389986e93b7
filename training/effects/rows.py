"""Rows of trials: encoded vectors of the treated and of the untreated, at the instants that a model learns from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vouch.models.definition import SCORED
from vouch.models.predictor import encode
from vouch.training.arms import ArmRows, TrialArms
from vouch.training.cutoffs import every_origin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.features.asof import Tables
    from vouch.models.scoring.feature_matrix import Column
    from vouch.models.scoring.trees import Matrix
    from vouch.models.targets import Trials
    from vouch.training.dataset import Dataset, InstantVectors

MOST_ORIGINS = 13
"""Moments at which an effect is judged at most: a year of them, for what an offer does changes."""
BESIDE_AT_ONCE = 3_000
AT_ONCE, PER_TREATED = 1_000, 4
"""Untreated of an instant that are kept at least, and for each treated; more are drawn by the seed."""


def followed_up(
    data: Dataset, tables: Tables, panel: Mapping[int, InstantVectors], known_us: int, seed: int
) -> Dataset:
    """The dataset with the moments of its outcome, and with its trials at the origins, where its target has them."""
    target, plan = data.target, data.plan
    if target.moments:
        data = replace(data, moments=target.moments(tables, known_us, target))
    if target.trials:
        origins = every_origin(plan, data.model.cutoffs, target)[-MOST_ORIGINS:]
        instants = sorted({instant for of in origins for instant in (of.test, *of.train)})
        trials = target.trials(tables, instants, known_us, target)
        arms = trial_arms(data.model.name, trials, panel, data.columns, seed)
        tried = set(arms.treated.as_of_us.tolist())
        data = replace(data, trials=replace(arms, origins=tuple(of for of in origins if of.test in tried)))
    return data


def trial_arms(
    model: str, trials: Trials, panel: Mapping[int, InstantVectors], columns: Sequence[Column], seed: int
) -> TrialArms:
    """Join trials with the vectors of those who are scored: a row has no more of the time after than its outcome."""
    random = np.random.default_rng(seed)
    treated, untreated, beside = [], [], []
    others = [] if trials.beside is None else trials.beside["as_of_us"].unique().tolist()
    for instant in sorted({*trials.treated["as_of_us"].unique().tolist(), *others}):
        known = panel.get(int(instant))
        if known is None or model not in known.status:
            continue
        scored = known.frame.loc[np.isin(known.status[model], list(SCORED))].reset_index(drop=True)
        places = pd.Series(np.arange(len(scored)), index=scored["customer_id"].to_numpy(dtype=object))
        matrix = encode(scored, columns)
        done = _of(trials.treated, instant, places)
        without = _drawn(_of(trials.untreated, instant, places), max(AT_ONCE, PER_TREATED * len(done)), random)
        treated.append((matrix[done["place"].to_numpy()], done))
        untreated.append((matrix[without["place"].to_numpy()], without))
        if trials.beside is not None:
            more = _drawn(_of(trials.beside, instant, places), BESIDE_AT_ONCE, random)
            beside.append((matrix[more["place"].to_numpy()], more))
    kinds = tuple(sorted(trials.treated["kind"].dropna().unique()))
    arms = _joined(treated, columns), _joined(untreated, columns)
    plenty = _joined(beside, columns) if beside else None
    return TrialArms(*arms, kinds, plenty, trials.beside_days, trials.is_of_all, trials.is_unwanted)


def _drawn(rows: pd.DataFrame, most: int, random: np.random.Generator) -> pd.DataFrame:
    """As many rows as are wanted at most."""
    if len(rows) <= most:
        return rows
    return rows.iloc[np.sort(random.choice(len(rows), most, replace=False))]


def _of(rows: pd.DataFrame, instant: int, places: pd.Series[int]) -> pd.DataFrame:
    """Rows of an instant whose customers are scored, with the place of each."""
    here = rows.loc[rows["as_of_us"] == instant]
    placed = here.assign(place=here["customer_id"].map(places))
    return placed.loc[placed["place"].notna()].astype({"place": "int64"})


def _joined(parts: Sequence[tuple[Matrix, pd.DataFrame]], columns: Sequence[Column]) -> ArmRows:
    if not parts:
        nothing = pd.DataFrame({"customer_id": [], "as_of_us": []})
        return ArmRows(np.empty((0, len(columns)), np.float32), np.empty(0, object), np.empty(0, np.int64), nothing)
    cells = pd.concat([of for _, of in parts], ignore_index=True)
    matrix = np.concatenate([of for of, _ in parts])
    return ArmRows(matrix, cells["customer_id"].to_numpy(object), cells["as_of_us"].to_numpy(np.int64), cells)
