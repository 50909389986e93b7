"""Worlds: drawn within stated ranges and the same by the same seed; without signal nothing tells, and a prior moves."""

from __future__ import annotations

import json
from dataclasses import asdict

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vouch.features.errors import UsageError
from vouch.features.instants import WEEK_US
from vouch.features.simulation.company import PARAMETERS, simulate
from vouch.features.simulation.parameters import LAST_INSTANT_US
from vouch.features.simulation.worlds import RANGES, with_prior_shift, without_signal, world

SHARES = {"churn": ("notice",), "support": ("slow", "solved"), "mixture": tuple(RANGES["mixture"])}


@given(st.integers(0, 2**31))
def test_a_world_is_drawn_within_its_ranges_and_is_the_same_again(seed):
    law = world(seed)
    assert law == world(seed)
    assert law.world == seed
    for part, ranges in RANGES.items():
        for name, value in asdict(getattr(law, part)).items():
            usual = np.array(getattr(getattr(PARAMETERS, part), name))
            low, high = ranges.get(name, (1.0, 1.0))
            assert (np.abs(value) <= np.abs(usual) * high + 1e-12).all(), name
            assert (np.abs(value) >= np.abs(usual) * low - 1e-12).all(), name
    assert all(0 < getattr(getattr(law, part), name) < 1 for part, names in SHARES.items() for name in names
               if name != "tenure_weeks")  # fmt: skip
    assert law.mixture.silent + law.mixture.buyers < 0.5


def test_worlds_differ():
    assert len({world(seed).churn.base for seed in range(20)}) == 20


def spread(folder, column):
    """Probabilities of those who run, at all instants, by instant."""
    rows = duckdb.sql(
        f"select as_of_us, {column} p from '{folder}/truth/weekly.parquet' where is_running and {column} is not null"
    ).df()
    return rows.groupby("as_of_us")["p"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    law = with_prior_shift(without_signal(world(5)), 2.0, 10)
    return simulate(tmp_path_factory.mktemp("world"), 400, 30, 3, law)


@pytest.mark.parametrize("column", ["churn_28d", "advocacy_90d"])
def test_without_signal_everybody_has_the_same_chance_before_and_after_a_prior_moved(folder, column):
    by_instant = spread(folder, column)
    assert (by_instant.std() < 0.02 * by_instant.mean()).all()
    before, after = by_instant.mean().iloc[4], by_instant.mean().iloc[-1]
    assert np.log1p(-after) / np.log1p(-before) == pytest.approx(2, rel=0.05), "twice the hazard"
    assert by_instant.mean().index[-1] == LAST_INSTANT_US
    assert by_instant.mean().loc[LAST_INSTANT_US - 24 * WEEK_US] == pytest.approx(before)


def test_the_law_stands_beside_the_truth(folder):
    kept = json.loads((folder / "truth" / "parameters.json").read_text())
    assert (kept["world"], kept["has_signal"], kept["prior_shift"], kept["prior_shift_weeks_ago"]) == (5, False, 2, 10)


@pytest.mark.parametrize(("factor", "weeks"), [(0.0, 5), (9.0, 5), (float("nan"), 5), (1.3, 0)])
def test_a_shift_that_is_none_is_refused(factor, weeks):
    with pytest.raises(UsageError, match="prior shifts"):
        with_prior_shift(PARAMETERS, factor, weeks)
