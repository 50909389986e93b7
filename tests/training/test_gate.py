"""The gate: each rule refuses what it is there for, with its figures, and lets pass what is sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from support.rows.datasets import COLUMNS, PLAN, dataset
from vouch.models.quality.figures import calibration_error, error_by_chance
from vouch.models.scoring.calibration import log_odds, sigmoid
from vouch.models.scoring.feature_matrix import Column
from vouch.training.dataset import DatasetPart
from vouch.training.evaluate import choose_candidate, evaluate, strongest_features
from vouch.training.gate import Incumbent, judge
from vouch.training.learners import Fitted, fit_all
from vouch.training.slices import slice_rows

CLEAN = {"tables": {"customers": {"rows": 100, "quarantined": 0}, "costs": {"rows": 0, "quarantined": 0}}}


@pytest.fixture(scope="module", autouse=True)
def few_resamples():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vouch.training.evaluate.RESAMPLES", 100)
        patch.setattr("vouch.training.gate.RESAMPLES", 100)
        yield


@pytest.fixture(scope="module")
def data():
    return dataset(customers=1200)


@pytest.fixture(scope="module")
def found(data):
    return evaluate(data, fit_all(data, 0), 0)


def verdict(data, found, check=CLEAN, incumbent=None):
    return {rule.name: rule for rule in judge(data, found, check, incumbent, 0).rules}


def refused(data, found, check=CLEAN, incumbent=None):
    return [rule.name for rule in judge(data, found, check, incumbent, 0).refusals]


def with_gate(data, **limits):
    return replace(data, model=replace(data.model, gate=replace(data.model.gate, **limits)))


def test_a_sound_challenger_passes_and_every_rule_says_its_figures(data, found):
    assert found.chosen in {"lightgbm", "lightgbm_deep"}, "the law has an interaction across families"
    result = judge(data, found, CLEAN, None, 0)
    assert result.passed
    assert [rule.name for rule in result.rules] == [
        "contract", "positives", "skill", "baseline", "calibration", "leak", "champion", "slices",
    ]  # fmt: skip
    assert all(rule.why for rule in result.rules)


def test_data_that_broke_the_contract_is_refused(data, found):
    check = {"tables": {**CLEAN["tables"], "usage_events": {"rows": 1000, "quarantined": 60}}}
    assert refused(data, found, check) == ["contract"]
    assert "6.00% of usage_events" in verdict(data, found, check)["contract"].why


def test_too_few_outcomes_to_judge_by_are_refused(data, found):
    strict = with_gate(data, minimum_positives=10_000)
    assert refused(strict, found) == ["positives"]


def test_a_challenger_that_is_worse_than_a_baseline_is_refused(data, found):
    rule = verdict(data, replace(found, chosen="recency", comparisons=_against(data, found, "recency")))["baseline"]
    assert not rule.passed
    assert "of logistic, the best baseline" in rule.why
    assert rule.value > rule.limit


def _against(data, found, chosen):
    from vouch.models.quality.figures import paired_bootstrap

    mine = found.judged[chosen].probability
    return {
        name: {
            "log_loss": paired_bootstrap(
                data.test.customers, data.test.label, mine, other.probability, "log_loss", 100, 0
            )
        }
        for name, other in found.judged.items()
        if name != chosen
    }


def test_chance_is_refused():
    noise = dataset(customers=800, seed=3)
    shuffled = np.random.default_rng(0)
    parts = {
        name: replace(part, label=shuffled.permutation(part.label))
        for name, part in (("train", noise.train), ("calibrate", noise.calibrate), ("test", noise.test))
    }
    noise = replace(noise, **parts)
    found = evaluate(noise, fit_all(noise, 0), 0)
    low, high = found.intervals["roc_auc"]
    assert low < 0.5 < high
    assert "skill" in refused(noise, found)


def test_probabilities_that_are_off_are_refused(data, found):
    best = found.challenger
    off = sigmoid(log_odds(best.probability) + 1.0)
    figures = {**best.figures, "calibration_error": calibration_error(data.test.label, off)}
    judged = {**found.judged, found.chosen: replace(best, probability=off, figures=figures)}
    rule = verdict(data, replace(found, judged=judged))["calibration"]
    assert not rule.passed
    assert rule.value > rule.limit >= 0.02


def test_true_probabilities_pass_the_calibration_rule_however_few_the_rows():
    probability = np.random.default_rng(0).uniform(0, 0.3, 300)
    errors = [
        calibration_error((np.random.default_rng(draw).random(300) < probability).astype(float), probability)
        for draw in range(100)
    ]
    assert np.median(errors) > 0.02  # a fixed limit would refuse the truth
    assert np.mean(np.array(errors) <= error_by_chance(probability, 1)) > 0.9


def test_a_planted_leak_is_found(data):
    columns = (*COLUMNS, Column("cancelled_on", "usage"))
    rng = np.random.default_rng(0)

    def leaking(part):
        leak = np.where(part.label == 1, rng.normal(5, 1, len(part)), np.nan)
        matrix = np.column_stack([part.matrix, leak]).astype(np.float32)
        return DatasetPart(matrix, part.label, part.customers, part.as_of_us)

    planted = replace(
        data, columns=columns, train=leaking(data.train), calibrate=leaking(data.calibrate), test=leaking(data.test)
    )
    found = evaluate(planted, fit_all(planted, 0), 0)
    assert found.strongest_features[0] == ("cancelled_on", 1.0)
    assert refused(planted, found) == ["leak"]
    assert "cancelled_on: ROC-AUC 1.000" in verdict(planted, found)["leak"].why


def test_a_category_that_tells_the_outcome_is_a_leak_too(data):
    rows = data.train
    matrix = rows.matrix.copy()
    matrix[:, 4] = rows.label  # plan
    told = replace(data, train=DatasetPart(matrix, rows.label, rows.customers, rows.as_of_us))
    assert strongest_features(told, 0)[0] == ("plan", 1.0)


def test_the_champion_is_met_on_the_same_rows(data, found):
    best = found.challenger.probability
    assert refused(data, found, incumbent=Incumbent("same", best)) == []
    better = np.clip(0.5 * best + 0.5 * data.test.label, 0.001, 0.999)
    rule = verdict(data, found, incumbent=Incumbent("better", better))["champion"]
    assert not rule.passed
    assert rule.value > 0
    worse = np.full(len(best), data.test.label.mean())
    assert refused(data, found, incumbent=Incumbent("worse", worse)) == []


def test_a_champion_of_other_definitions_does_not_stand_in_the_way(data, found):
    rule = verdict(data, found, incumbent=Incumbent("old", why="fitted on other definitions"))["champion"]
    assert rule.passed
    assert "cannot score these rows: fitted on other definitions" in rule.why


def test_the_candidate_is_chosen_on_the_calibration_part_and_only_where_it_is_clear(found):
    judged = found.judged

    def with_loss(name, loss):
        calibrated = replace(judged[name].calibrated, held_out={judged[name].calibrated.calibrator.method: loss})
        return replace(judged[name], calibrated=calibrated)

    near = {"lightgbm": with_loss("lightgbm", 0.1), "logistic": with_loss("logistic", 0.0998)}
    clear = {"lightgbm": with_loss("lightgbm", 0.1), "logistic": with_loss("logistic", 0.09)}
    assert choose_candidate(("lightgbm", "logistic"), near) == "lightgbm"
    assert choose_candidate(("lightgbm", "logistic"), clear) == "logistic"
    assert choose_candidate(("logistic", "lightgbm"), near) == "logistic"


def test_a_fitted_model_is_what_scores(found):
    assert isinstance(found.challenger.fitted, Fitted)
    assert PLAN.test[0] > PLAN.calibrate[-1]


def test_a_challenger_that_fails_a_part_of_the_customers_is_refused_with_that_part(data, found):
    best = found.challenger.probability
    segment = np.where(np.arange(len(best)) % 4 == 0, "enterprise", "small")
    named = replace(data, test_frame=data.test_frame.assign(segment=segment))
    better = np.where(segment == "enterprise", np.clip(0.7 * best + 0.3 * data.test.label, 0.001, 0.999), best)
    rule = verdict(named, found, incumbent=Incumbent("better there", better))["slices"]
    assert not rule.passed
    assert "of the champion where segment is enterprise" in rule.why
    assert rule.value > rule.limit == 0.05
    assert verdict(named, found, incumbent=Incumbent("same", best))["slices"].passed
    few = with_gate(named, slice_positives=10_000)
    assert "on none of 0 slices" in verdict(few, found, incumbent=Incumbent("better there", better))["slices"].why


def test_slices_say_who_is_served_and_which_attributes_are_sensitive():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "gender": pd.Series(rng.choice(["f", "m"], 4000), dtype="str"),
            "birth_year": np.where(rng.random(4000) < 0.2, np.nan, rng.integers(1950, 2005, 4000)),
            "tenure_days": rng.integers(0, 1000, 4000).astype(float),
            "region": "KR",
        }
    )
    probability = rng.beta(2, 8, 4000)
    label = (rng.random(4000) < np.where(frame["gender"] == "f", probability, probability / 3)).astype(float)
    rows = {(row["by"], row["value"]): row for row in slice_rows(frame, label, probability, 50)}
    assert not rows["gender", "f"]["is_off"]
    assert rows["gender", "m"]["is_off"]
    assert {by for by, _ in rows} == {"gender", "birth_year", "tenure"}, "one region makes no slice"
    assert {by for (by, _), row in rows.items() if row["is_sensitive"]} == {"gender", "birth_year"}
    assert sum(row["n"] for (by, _), row in rows.items() if by == "birth_year") == 4000
    assert rows["birth_year", "unknown"]["n"] == frame["birth_year"].isna().sum()
    assert 0.08 < np.mean([rows["gender", sex]["selected"] for sex in "fm"]) < 0.12
    assert min(row["n"] for row in slice_rows(frame, label, probability, 900)) >= 900
