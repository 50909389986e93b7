"""Rolling origin: embargo at every origin, no vector twice, and figures that are those of the rows."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.rows.datasets import PLAN, dataset
from vouch.features.contract.tables import DAY_US
from vouch.features.errors import Refused
from vouch.models.definition import Cutoffs, Target
from vouch.models.quality.figures import figures, lift_at
from vouch.training.dataset import CutoffPlan, make_plan
from vouch.training.evaluate import evaluate
from vouch.training.learners import fit_all
from vouch.training.origins import lay_origins, roll

LONG = CutoffPlan(tuple(day * DAY_US for day in range(100, 521, 42)), (562 * DAY_US,), (604 * DAY_US,))


@given(
    spacing=st.sampled_from([14, 28]),
    counts=st.tuples(st.integers(1, 20), st.integers(1, 3)),
    horizon=st.integers(1, 100),
    days=st.integers(200, 1200),
    wanted=st.integers(1, 6),
)
def test_every_origin_keeps_the_embargo_and_uses_instants_that_are_there(spacing, counts, horizon, days, wanted):
    target = Target("t", lambda *a: a, lambda v: v, horizon_days=horizon, gap_days=7)
    try:
        cutoffs = Cutoffs(14, spacing, counts[0], counts[1], 1)
        plan = make_plan("m", cutoffs, target, 20_000 * DAY_US, (20_000 - days) * DAY_US)
    except Refused:
        return
    origins = lay_origins(plan, target, wanted)
    assert origins[0] == plan
    assert len(origins) <= wanted
    tests = [of.test[0] for of in origins]
    assert tests == sorted(set(tests), reverse=True)
    for of in origins:
        assert of.train
        assert set(of.instants) <= set(plan.instants)
        parts = [part for part in (of.train, of.calibrate, of.test) if part]
        for part, following in itertools.pairwise(parts):
            assert part[-1] + target.matured_days * DAY_US <= following[0]


def test_the_defaults_have_four_origins_on_the_simulated_history():
    from vouch import models

    for name in ("churn", "advocacy"):
        model = models.load(name)
        plan = make_plan(name, model.cutoffs, model.targets[0], 20_000 * DAY_US, (20_000 - 546) * DAY_US)
        assert len(lay_origins(plan, model.targets[0])) == 4


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vouch.training.evaluate.RESAMPLES", 100)
        data = dataset(customers=500, plan=LONG)
        yield data, evaluate(data, fit_all(data, 0), 0)


def test_figures_of_each_origin_and_of_all_are_those_of_their_rows(found):
    data, evaluation = found
    rolled, chosen = evaluation.rolled, evaluation.chosen
    assert len(rolled.each) == len(rolled.origins) + 1 == 4
    said = [evaluation.challenger.probability, *(of.probability[chosen] for of in rolled.origins)]
    true = [data.test.label, *(of.rows.label for of in rolled.origins)]
    for figures_there, y, p in zip(rolled.each, true, said, strict=True):
        assert figures_there["log_loss"] == figures(y, p)["log_loss"]
    pooled = figures(np.concatenate(true), np.concatenate(said))
    assert {name: rolled.pooled[name] for name in pooled} == pooled
    assert rolled.pooled["n"] == 2000
    for name in ("roc_auc", "brier", "lift_at_5", "precision_at_10", "calibration_error"):
        low, high = rolled.intervals[name]
        assert low <= rolled.pooled[name] <= high or name == "calibration_error"
    low, high = rolled.intervals["calibration_slope"]
    assert low < rolled.pooled["calibration_slope"] < high
    assert rolled.comparisons["health"].a_is_better
    assert np.isfinite(rolled.pooled["expected_profit"])


def test_an_origin_sees_no_label_of_later_rows(found):
    data, _ = found
    from vouch.training.learners import CANDIDATES

    chosen = {"logistic": CANDIDATES["logistic"]}
    oldest = roll(data, chosen, 0)[-1]
    last = oldest.plan.test[0]
    later = {
        name: replace(part, label=np.where(part.as_of_us >= last, 1 - part.label, part.label))
        for name, part in (("train", data.train), ("calibrate", data.calibrate), ("test", data.test))
    }
    flipped = roll(replace(data, **later), chosen, 0)[-1]
    np.testing.assert_array_equal(flipped.probability["logistic"], oldest.probability["logistic"])
    np.testing.assert_array_equal(flipped.rows.label, 1 - oldest.rows.label)


def test_rolling_can_be_left_out():
    data = dataset(customers=300, plan=PLAN)
    assert lay_origins(PLAN, data.target, 0) == []
    assert evaluate(data, fit_all(data, 0), 0, origins=0).rolled.each == ()


def test_a_random_score_of_twelve_values_has_a_lift_of_one():
    rng = np.random.default_rng(0)
    y, score = (rng.random(200_000) < 0.05).astype(float), rng.integers(0, 12, 200_000).astype(float)
    for share in (0.01, 0.05, 0.1):
        assert lift_at(y, score, share) == pytest.approx(1.0, abs=0.12), "within what 830 outcomes can show"
    exact = np.tile(np.repeat([0.0, 1.0], [95, 5]), 12)
    assert lift_at(exact, np.repeat(np.arange(12.0), 100), 0.05) == pytest.approx(1.0, abs=1e-12)
