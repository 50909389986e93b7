"""What serves is chosen by evidence, and where there is none, no throw of the dice decides."""

from __future__ import annotations

import numpy as np
import pytest

from support.rows.datasets import COLUMNS, dataset
from vouch.models.definition import LEARNERS
from vouch.models.scoring.calibration import log_odds, sigmoid
from vouch.training.choice import MEAN, SIMPLEST, decide, finalists, join
from vouch.training.dataset import DatasetPart
from vouch.training.recipes.learners import CANDIDATES, LINE_FROM, TREES_FROM, recipes
from vouch.training.served import joined

N = 4000


@pytest.fixture(scope="module")
def world():
    """Rows with their true log-odds; half a dozen scores are made of them."""
    rng = np.random.default_rng(0)
    true = rng.normal(-2, 1.2, N)
    label = (rng.random(N) < sigmoid(true)).astype(float)
    rows = DatasetPart(np.zeros((N, 1), np.float32), label, np.arange(N), np.zeros(N, np.int64))

    def said(noise, of=true):
        return sigmoid(of + rng.normal(0, noise, N)) if noise else sigmoid(of)

    flat = np.full(N, label.mean())
    return rows, {"recency": flat, "health": flat}, said, true


def test_one_that_is_surely_better_serves_alone(world):
    rows, rules, said, _ = world
    probability = {**rules, "logistic": said(1.5), "lightgbm": said(0)}
    found = finalists(rows, probability, ["logistic", "lightgbm"], 0)
    assert found == ("lightgbm",)
    assert decide(rows, probability, found, None).members == ("lightgbm",)


def test_those_that_the_evidence_does_not_tell_apart_are_averaged_where_the_mean_says_more(world):
    rows, rules, said, _ = world
    probability = {**rules, "logistic": said(0.5), "lightgbm": said(0.5)}
    found = finalists(rows, probability, ["logistic", "lightgbm"], 0)
    assert set(found) == {"logistic", "lightgbm"}
    mean = sigmoid(np.mean([log_odds(probability[name]) for name in found], axis=0))
    choice = decide(rows, probability, found, (found, mean))
    assert (choice.name, set(choice.members)) == (MEAN, {"logistic", "lightgbm"})
    assert "says more than logistic, the simplest of 2" in choice.why


def test_where_the_mean_says_no_more_the_simplest_serves(world):
    rows, rules, said, _ = world
    line = said(0.3)
    probability = {**rules, "logistic": line, "lightgbm": said(0.6), "lightgbm_deep": line}
    mean = (("lightgbm", "logistic"), probability["lightgbm"])
    choice = decide(rows, probability, ("lightgbm_deep", "lightgbm", "logistic"), mean)
    assert choice.members == ("logistic",)


def test_the_best_is_joined_by_what_lowers_the_loss_and_by_nothing_else(world):
    rows, _, said, _ = world
    raw = {"a": log_odds(said(0.5)), "c": log_odds(said(0.6)), "d": log_odds(said(6.0))}
    raw["b"] = raw["a"] + 0.001

    def say(names):
        return sigmoid(np.mean([raw[name] for name in names], axis=0))

    taken, mean = join(rows, ["a", "b", "c", "d"], raw, say)
    assert taken == ("a", "c"), "b says the same as a, and d only noise"
    np.testing.assert_array_equal(mean, say(["a", "c"]))
    assert join(rows, ["a", "d"], raw, say) == (("a",), None)


def test_a_rule_serves_where_nothing_learned_says_more_and_where_nothing_could_be_taught(world):
    rows, rules, said, _ = world
    probability = {**rules, "recency": said(0.2), "logistic": said(2.0)}
    assert decide(rows, probability, ("logistic",), None).members == ("recency",)
    choice = decide(rows, {**rules, "recency": said(0.2)}, (), None)
    assert choice.members == ("recency",)
    assert "too few outcomes" in choice.why


@pytest.mark.parametrize(
    ("customers", "wanted"),
    [(LINE_FROM - 1, set()), (TREES_FROM - 1, {"logistic"}), (TREES_FROM, {"logistic", "lightgbm"})],
)
def test_few_customers_teach_the_line_and_fewer_a_rule(customers, wanted):
    data = dataset(customers=400)
    rows = data.train
    label = (rows.customers < f"c{customers:05}").astype(float)
    told = recipes(dataset_with(data, label))
    assert {name for name in told if name in CANDIDATES} & {"logistic", "lightgbm"} == wanted
    assert {"recency", "health"} <= set(told)


def dataset_with(data, label):
    from dataclasses import replace

    return replace(data, train=replace(data.train, label=label))


@pytest.mark.parametrize("names", [("lightgbm", "logistic"), ("lightgbm", "lightgbm_deep", "logistic"), ("logistic",)])
def test_the_mean_says_the_mean_of_its_members_and_its_reasons_add_up(names):
    data = dataset(customers=400)
    fits = [CANDIDATES[name](data, 0, rounds=15) for name in names]
    whole, matrix = joined(fits, len(COLUMNS), "mean"), data.newest.matrix
    expected = np.mean([fit.scorer.raw(matrix) for fit in fits], axis=0)
    np.testing.assert_allclose(whole.scorer.raw(matrix), expected, atol=1e-12)
    raw, parts = whole.scorer.explained(matrix)
    np.testing.assert_array_equal(raw, whole.scorer.raw(matrix))
    np.testing.assert_allclose(whole.scorer.base + np.asarray(parts.sum(axis=1)).ravel(), raw, atol=1e-9)
    moved = whole.scorer.moved(matrix[:50], matrix[50:100])
    np.testing.assert_allclose(moved.sum(axis=1), raw[50:100] - raw[:50], atol=1e-9)


def test_every_learner_that_a_definition_may_name_can_be_fitted_and_has_a_place_among_the_simplest():
    assert set(CANDIDATES) == set(LEARNERS)
    assert set(LEARNERS) <= set(SIMPLEST)
