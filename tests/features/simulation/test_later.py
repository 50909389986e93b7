"""What the simulation tells of the time after the last instant, for evaluation only."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from vouch.features.simulation.company import simulate
from vouch.features.simulation.later import HORIZONS, LATER
from vouch.features.simulation.parameters import LAST_INSTANT_US


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    folder = simulate(tmp_path_factory.mktemp("later"), customers=400, weeks=30, seed=5)
    assert {path.stem for path in folder.glob("*.parquet")}.isdisjoint(LATER), "no reader of the tables sees it"
    return {name: pd.read_parquet(folder / "truth" / f"{name}.parquet") for name in LATER}


def test_all_of_it_is_as_of_the_last_instant(truth):
    assert all((rows["as_of_us"] == LAST_INSTANT_US).all() and len(rows) for rows in truth.values())


def test_an_ask_has_an_effect_of_its_own_for_each_kind(truth):
    rows = truth["ask_effects"]
    assert rows.groupby("customer_id")["kind"].nunique().eq(rows["kind"].nunique()).all()
    assert rows[["act_if_asked", "act_if_not_asked"]].stack().between(0, 1).all()
    effect = (rows["act_if_asked"] - rows["act_if_not_asked"]).groupby(rows["kind"]).mean()
    assert effect.nunique() == rows["kind"].nunique()
    assert (effect > 0).all()


def test_an_offer_helps_on_average_and_not_everybody_alike(truth):
    rows = truth["offers"]
    saved = rows["churn_if_not_offered"] - rows["churn_if_offered"]
    assert saved.mean() > 0
    assert saved.std() > 0.1 * saved.mean()


def test_margins_are_told_of_everybody_and_grow_with_the_horizon(truth):
    rows = truth["margins"]
    sums = [rows[f"margin_{days}d"].sum() for days in HORIZONS]
    assert rows["customer_id"].is_unique
    assert np.all(np.diff(sums) > 0)
    assert (rows["margin_91d"] == 0).any(), "of who has left nothing comes, and 0 is said"
