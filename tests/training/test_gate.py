"""The gate: each rule refuses what it is there for, with its figures, and lets pass what is sound."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from support.rows.datasets import COLUMNS, dataset
from vouch.models.quality.figures import calibration_error, error_by_chance, paired_bootstrap
from vouch.models.scoring.calibration import log_odds, sigmoid
from vouch.models.scoring.feature_matrix import Column
from vouch.training.choice import Choice
from vouch.training.dataset import DatasetPart
from vouch.training.evaluate import evaluate, strongest_features
from vouch.training.gate import judge
from vouch.training.incumbent import Incumbent, meet
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
    return evaluate(data, 0)


def verdict(found, check=CLEAN, incumbent=None):
    return {rule.name: rule for rule in judge(found, check, incumbent, 0).rules}


def refused(found, check=CLEAN, incumbent=None):
    return [rule.name for rule in judge(found, check, incumbent, 0).refusals]


def with_gate(found, **limits):
    model = found.data.model
    return replace(found, data=replace(found.data, model=replace(model, gate=replace(model.gate, **limits))))


def test_a_sound_challenger_passes_and_every_rule_says_its_figures(found):
    assert {"lightgbm", "lightgbm_deep"} & set(found.choice.members), "the law has an interaction across families"
    result = judge(found, CLEAN, None, 0)
    assert result.passed
    assert [rule.name for rule in result.rules] == [
        "contract", "positives", "skill", "baseline", "calibration", "leak", "champion", "slices",
    ]  # fmt: skip
    assert all(rule.why for rule in result.rules)


def test_data_that_broke_the_contract_is_refused(found):
    check = {"tables": {**CLEAN["tables"], "usage_events": {"rows": 1000, "quarantined": 60}}}
    assert refused(found, check) == ["contract"]
    assert "6.00% of usage_events" in verdict(found, check)["contract"].why


def test_too_few_outcomes_to_judge_by_are_refused(found):
    assert refused(with_gate(found, minimum_positives=10_000)) == ["positives"]


def test_a_challenger_that_is_surely_worse_than_a_baseline_is_refused(found):
    rule = verdict(_with_chosen(found, "recency"))["baseline"]
    assert not rule.passed
    assert "of logistic, the best baseline" in rule.why
    assert rule.value > 0


def test_a_challenger_that_is_not_surely_worse_than_a_baseline_is_not_refused(found):
    rng = np.random.default_rng(0)
    line = found.judged["logistic"]
    near = np.clip(line.probability * np.exp(rng.normal(0, 0.02, len(line.probability))), 1e-6, 1 - 1e-6)
    rule = verdict(_with_chosen(found, found.chosen, near))["baseline"]
    assert rule.passed, "the interval of the difference holds 0"
    assert " to +" in rule.why


def _with_chosen(found, name, probability=None):
    """The same evaluation, had it chosen another one."""
    test = found.data.test
    mine = found.judged[name].probability if probability is None else probability
    against = {
        other: {"log_loss": paired_bootstrap(test.customers, test.label, mine, of.probability, "log_loss", 100, 0)}
        for other, of in found.judged.items()
        if other != name
    }
    judged = {**found.judged, name: replace(found.judged[name], probability=mine)}
    members = found.choice.members if name == found.chosen else (name,)
    return replace(found, judged=judged, choice=Choice(members, "a test"), comparisons=against)


@pytest.mark.parametrize("seed", range(3))
def test_chance_is_refused(seed):
    noise = dataset(customers=500, seed=seed + 3)
    every = replace(noise.train, label=np.random.default_rng(seed).permutation(noise.train.label))
    noise = replace(noise, train=every, test=every.take(np.isin(every.as_of_us, noise.test.as_of_us)))
    assert "skill" in refused(evaluate(noise, 0))


def test_probabilities_that_are_off_are_refused(found):
    best = found.challenger
    off = sigmoid(log_odds(best.probability) + 1.0)
    figures = {**best.figures, "calibration_error": calibration_error(found.data.test.label, off)}
    judged = {**found.judged, found.chosen: replace(best, probability=off, figures=figures)}
    rule = verdict(replace(found, judged=judged))["calibration"]
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

    planted = replace(data, columns=columns, train=leaking(data.train), test=leaking(data.test))
    found = evaluate(planted, 0)
    assert found.strongest_features[0] == ("cancelled_on", 1.0)
    assert refused(found) == ["leak"]
    assert "cancelled_on: ROC-AUC 1.000" in verdict(found)["leak"].why


def test_a_category_that_tells_the_outcome_is_a_leak_too(data):
    rows = data.train
    matrix = rows.matrix.copy()
    matrix[:, 4] = rows.label  # plan
    told = replace(data, train=DatasetPart(matrix, rows.label, rows.customers, rows.as_of_us))
    assert strongest_features(told, 0)[0] == ("plan", 1.0)


def test_the_champion_is_met_on_rows_that_it_has_not_learned_from(found):
    best, test = found.challenger.probability, found.data.test
    assert refused(found, incumbent=Incumbent("same", best, learned_us=0)) == []
    better = np.clip(0.5 * best + 0.5 * test.label, 0.001, 0.999)
    rule = verdict(found, incumbent=Incumbent("better", better, learned_us=0))["champion"]
    assert not rule.passed
    assert rule.value > 0
    worse = np.full(len(best), test.label.mean())
    assert refused(found, incumbent=Incumbent("worse", worse, learned_us=0)) == []
    for learned_us in (int(test.as_of_us.max()) + 1, None):
        knows = Incumbent("knows them, or may", better, learned_us=learned_us)
        assert "it has learned from all that came true so far" in verdict(found, incumbent=knows)["champion"].why
        assert refused(found, incumbent=knows) == [], "who knows the outcomes judges nobody"


def test_a_champion_that_learned_from_all_rows_is_met_by_its_recipe_at_the_same_origins(found):
    best, test = found.challenger.probability, found.data.test
    knows = Incumbent("knows all", np.clip(test.label, 0.001, 0.999), learned_us=int(test.as_of_us.max()) + 1)
    same = verdict(found, incumbent=replace(knows, recipe=best))["champion"]
    assert same.passed
    assert same.value == 0
    assert "of the champion's recipe at the same origins" in same.why
    better = np.clip(0.9 * best + 0.1 * test.label, 0.001, 0.999)
    assert not verdict(found, incumbent=replace(knows, recipe=better))["champion"].passed


@pytest.mark.parametrize("given", ["as it is", "fewer features", "other parameters"])
def test_the_champions_recipe_is_its_candidates_features_and_parameters(data, found, given, monkeypatch, tmp_path):
    left = COLUMNS[:2] if given == "fewer features" else COLUMNS
    parameters = {"num_leaves": 2} if given == "other parameters" else {}
    manifest = {"members": "lightgbm logistic", "as_of": "2020-01-01", "lightgbm": parameters}
    champion = SimpleNamespace(
        manifest=manifest, target=data.target.name, content_hash="c", names=tuple(column.name for column in left),
        score=lambda frame: SimpleNamespace(probability=np.full(len(frame), 0.2)), reference=(),
    )  # fmt: skip
    monkeypatch.setattr("vouch.training.incumbent.load_champion", lambda home, name: champion)
    met = meet(tmp_path, found.data, found, 0)
    said = np.concatenate(found.rolled.probability(["lightgbm", "logistic"], 0))
    assert len(met.recipe) == len(found.data.test)
    assert np.array_equal(met.recipe, said) == (given == "as it is")
    assert np.corrcoef(met.recipe, found.challenger.probability)[0, 1] > 0.3
    manifest["members"] = "lightgbm_tuned"
    assert meet(tmp_path, found.data, found, 0).recipe is None, "nobody knows its parameters"


def test_a_champion_of_other_definitions_does_not_stand_in_the_way(found):
    rule = verdict(found, incumbent=Incumbent("old", why="fitted on other definitions"))["champion"]
    assert rule.passed
    assert "not compared: fitted on other definitions" in rule.why


def test_a_challenger_that_fails_a_part_of_the_customers_is_refused_with_that_part(found):
    best, data = found.challenger.probability, found.data
    segment = np.where(np.arange(len(best)) % 4 == 0, "enterprise", "small")
    named = replace(found, data=replace(data, test_frame=data.test_frame.assign(segment=segment)))
    better = np.where(segment == "enterprise", np.clip(0.7 * best + 0.3 * data.test.label, 0.001, 0.999), best)
    rule = verdict(named, incumbent=Incumbent("better there", better, learned_us=0))["slices"]
    assert not rule.passed
    assert "of the champion where segment is enterprise" in rule.why
    assert rule.value > rule.limit == 0.05
    assert verdict(named, incumbent=Incumbent("same", best, learned_us=0))["slices"].passed
    few = with_gate(named, slice_positives=10_000)
    assert (
        "on none of 0 slices" in verdict(few, incumbent=Incumbent("better there", better, learned_us=0))["slices"].why
    )


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
