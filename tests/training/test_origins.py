"""Cutoffs and origins: embargo at every origin, no row calibrated by itself, and figures that are those of the rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.rows.contract_rows import day
from support.rows.datasets import PLAN, dataset, plan
from vouch import models
from vouch.features.contract.tables import DAY_US
from vouch.features.errors import Refused
from vouch.models.definition import Cutoffs
from vouch.models.quality.figures import figures, lift_at
from vouch.models.scoring.calibration import sigmoid
from vouch.models.targets import Target
from vouch.training.cutoffs import MOST_ORIGINS, lay_origins, make_plan, thinned
from vouch.training.evaluate import evaluate
from vouch.training.origins import roll
from vouch.training.recipes.learners import CANDIDATES

LONG = plan(range(100, 605, 42), (268, 394, 520, 604))
CHURN, ADVOCACY = models.load("churn"), models.load("advocacy")


@given(
    grid=st.sampled_from([7, 14]),
    steps=st.integers(1, 4),
    train=st.integers(1, 20),
    horizon=st.integers(1, 120),
    gap=st.integers(0, 30),
    days=st.integers(0, 1200),
    as_of=st.integers(19_000, 20_000),
    wanted=st.integers(1, 6),
    outcomes=st.integers(0, 300),
)
def test_every_outcome_is_final_before_it_is_learned_from(
    grid, steps, train, horizon, gap, days, as_of, wanted, outcomes
):
    cutoffs = Cutoffs(grid, grid * steps, train)
    target = Target("t", lambda *a: a, lambda v: v, horizon_days=horizon, gap_days=gap)
    begins = day(as_of - days)
    try:
        laid = make_plan("m", cutoffs, target, day(as_of), begins)
    except Refused:
        assert days < 2 * target.matured_days + cutoffs.history_days + 3 * grid
        return
    laid = lay_origins(laid, cutoffs, target, wanted, dict.fromkeys(laid.instants, outcomes))
    matured = target.matured_days * DAY_US
    assert laid.instants[-1] + matured <= day(as_of) < laid.instants[-1] + matured + grid * DAY_US
    assert laid.instants[0] >= begins + cutoffs.history_days * DAY_US
    assert laid.instants == tuple(sorted(set(laid.instants)))
    assert laid.origins[-1].test == laid.instants[-1], "the newest outcomes are judged"
    assert len(laid.origins) <= max(wanted, MOST_ORIGINS) + 1
    for of in laid.origins:
        assert 0 < len(of.train) <= train
        assert {of.test, *of.train, *of.calibrated_by} <= set(laid.instants)
        assert max([*of.train, *of.calibrated_by]) + matured <= of.test
    assert laid.judged


@given(as_of=st.integers(19_000, 20_000), weeks=st.integers(1, 4))
def test_trainings_some_weeks_apart_share_their_instants(as_of, weeks):
    target, begins = CHURN.targets[0], day(as_of - 500)
    one, later = (make_plan("m", CHURN.cutoffs, target, day(at), begins) for at in (as_of, as_of + 7 * weeks))
    assert set(one.instants) <= set(later.instants)
    assert len(later.instants) - len(one.instants) <= (weeks + 1) // 2 + 1


def test_both_models_share_instants():
    churn, advocacy = (
        make_plan(of.name, of.cutoffs, of.targets[0], day(20_000), day(20_000 - 546)) for of in (CHURN, ADVOCACY)
    )
    assert set(advocacy.instants) <= set(churn.instants)


def test_a_company_of_many_customers_is_fitted_on_fewer_instants():
    few, many = (
        make_plan("m", CHURN.cutoffs, CHURN.targets[0], day(20_000), day(20_000 - 546), customers)
        for customers in (5_000, 20_000)
    )
    assert many.instants == thinned(few.instants, CHURN.cutoffs.spacing_days)
    assert len(many.instants) <= len(few.instants) / 2 + 1


@given(as_of=st.integers(19_000, 20_000), customers=st.sampled_from([1_000, 20_000]))
def test_a_training_a_week_later_is_fitted_and_judged_at_the_same_instants_but_for_the_newest(as_of, customers):
    target, begins = CHURN.targets[0], day(as_of - 546)
    one, later = (
        lay_origins(make_plan("m", CHURN.cutoffs, target, day(at), begins, customers), CHURN.cutoffs, target)
        for at in (as_of, as_of + 7)
    )
    assert set(one.instants[:-1]) <= set(later.instants)
    kept = {of.test for of in one.origins[:-1]} & {of.test for of in later.origins}
    assert len(kept) >= len(one.origins) - 2
    trained = {of.test: set(of.train[1:-1]) for of in later.origins}
    assert all(set(of.train[1:-1]) <= trained[of.test] for of in one.origins if of.test in kept)


def test_the_defaults_have_four_origins_on_the_simulated_history_and_a_short_one_says_so():
    for model in (CHURN, ADVOCACY):
        target = model.targets[0]
        laid = make_plan(model.name, model.cutoffs, target, day(20_000), day(20_000 - 546))
        assert len(lay_origins(laid, model.cutoffs, target).judged) == 4
    short = make_plan("m", model.cutoffs, target, day(20_000), day(20_000 - 270))
    notes = lay_origins(short, model.cutoffs, target).notes
    assert any("of 4 origins: the history does not reach further back" in note for note in notes)
    assert any("judged without its calibration" in note for note in notes)


def test_where_few_outcomes_come_true_more_origins_are_judged():
    target = CHURN.targets[0]
    laid = make_plan("churn", CHURN.cutoffs, target, day(20_000), day(20_000 - 546))
    few = lay_origins(laid, CHURN.cutoffs, target, 4, dict.fromkeys(laid.instants, 20))
    assert len(few.judged) >= 9
    assert len(lay_origins(laid, CHURN.cutoffs, target, 4, dict.fromkeys(laid.instants, 100)).judged) == 4


def test_a_history_that_is_too_short_is_refused_with_figures():
    with pytest.raises(Refused, match=r"200 days of activity are there; about 236 are needed") as refusal:
        make_plan("advocacy", ADVOCACY.cutoffs, ADVOCACY.targets[0], day(20_000), day(20_000 - 200))
    assert refusal.value.exit_code == 4


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vouch.training.evaluate.RESAMPLES", 100)
        data = dataset(customers=500, plan=LONG)
        yield data, evaluate(data, 0)


def test_figures_of_each_origin_and_of_all_are_those_of_their_rows(found):
    data, evaluation = found
    said, chosen = evaluation.challenger.probability, evaluation.challenger
    assert [of["as_of_us"] for of in evaluation.origins] == [of.test for of in reversed(data.plan.judged)]
    for of in evaluation.origins:
        rows = data.test.as_of_us == of["as_of_us"]
        assert of["log_loss"] == figures(data.test.label[rows], said[rows])["log_loss"]
    pooled = figures(data.test.label, said)
    assert {name: chosen.figures[name] for name in pooled} == pooled
    assert pooled["n"] == 500 * len(data.plan.judged)
    for name in ("roc_auc", "brier", "lift_at_5", "precision_at_10"):
        low, high = evaluation.intervals[name]
        assert low <= pooled[name] <= high
    assert evaluation.comparisons["health"]["log_loss"].a_is_better
    assert np.isfinite(chosen.figures["expected_profit"])


def flipped_after(data, instant):
    """The same dataset with all outcomes from an instant on turned round."""
    every = replace(data.train, label=np.where(data.train.as_of_us >= instant, 1 - data.train.label, data.train.label))
    return replace(data, train=every)


@pytest.mark.parametrize("name", ["logistic", "lightgbm"])
def test_what_is_said_at_an_origin_knows_no_outcome_of_its_rows_or_of_later_ones(name):
    data = dataset(customers=300, plan=LONG)
    one = roll(data, {name: CANDIDATES[name]}, 0)
    for place, of in enumerate(one.judged):
        other = roll(flipped_after(data, of.plan.test), {name: CANDIDATES[name]}, 0)
        np.testing.assert_array_equal(other.probability([name], 0)[place], one.probability([name], 0)[place])
        np.testing.assert_array_equal(other.judged[place].rows.label, 1 - of.rows.label)


def test_what_serves_is_fitted_on_every_row_and_calibrated_out_of_time(found):
    data, evaluation = found
    served = evaluation.served
    assert len(served.probability) == len(data.newest) == 500
    raw = served.fitted.scorer.raw(data.newest.matrix)
    np.testing.assert_array_equal(served.calibrated.calibrator.apply(raw), served.probability)
    assert served.calibrated.calibrator.band is not None
    fewer = data.at(data.plan.instants[:-1])
    less = evaluate(replace(data, train=fewer, plan=replace(data.plan, origins=data.plan.origins[:-1])), 0).served
    assert less.fitted.content != served.fitted.content, "the newest rows are learned from"


def test_an_origin_by_itself_is_judged_without_a_calibration():
    data = dataset(customers=300, plan=replace(PLAN, origins=PLAN.origins[:1]))
    rolled = roll(data, {"logistic": CANDIDATES["logistic"]}, 0)
    (said,) = rolled.probability(["logistic"], 0)
    np.testing.assert_array_equal(said, sigmoid(rolled.judged[0].raw["logistic"]))
    assert rolled.calibration(["logistic"], 0).held_out, "what serves is calibrated by it"


def test_rows_to_watch_change_no_model():
    data = dataset(customers=400)
    fit = CANDIDATES["lightgbm"]
    watched = fit(data, 0, rounds=20, watch=data.newest)
    trees = [of.content.partition("end of trees")[0] for of in (watched, fit(data, 0, rounds=20))]
    assert trees[0] == trees[1]
    assert watched.best_rounds
    assert watched.content.count("\nTree=") == 20


def test_a_random_score_of_twelve_values_has_a_lift_of_one():
    rng = np.random.default_rng(0)
    y, score = (rng.random(200_000) < 0.05).astype(float), rng.integers(0, 12, 200_000).astype(float)
    for share in (0.01, 0.05, 0.1):
        assert lift_at(y, score, share) == pytest.approx(1.0, abs=0.12), "within what 830 outcomes can show"
    exact = np.tile(np.repeat([0.0, 1.0], [95, 5]), 12)
    assert lift_at(exact, np.repeat(np.arange(12.0), 100), 0.05) == pytest.approx(1.0, abs=1e-12)
