"""Reasons of trees are the Shapley values of TreeSHAP: for every row, to the last digits, alone as in a batch."""

from __future__ import annotations

from itertools import permutations

import lightgbm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vouch.models.scoring import leaf_tables
from vouch.models.scoring.leaf_tables import shapley
from vouch.models.scoring.trees import CHUNK, Trees
from vouch.training.recipes.averaging import averaged

COLUMNS = 10


def rows(number, seed=0):
    """Numbers, counts, codes of 20 categories, and cells without a value."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(number, COLUMNS)).astype(np.float32)
    matrix[:, 1] = np.round(matrix[:, 1])
    matrix[:, 2] = rng.integers(0, 20, number)
    matrix[rng.random(matrix.shape) < 0.15] = np.nan
    return matrix


def fitted(leaves, rounds=15, **told):
    matrix = rows(2000)
    rng = np.random.default_rng(1)
    odds = np.nan_to_num(matrix[:, 0] * matrix[:, 1]) + np.isin(matrix[:, 2], [1, 4, 7, 11]) + np.isnan(matrix[:, 3])
    data = lightgbm.Dataset(matrix, (odds + rng.normal(size=2000) > 0.6).astype(float), categorical_feature=[2])
    fixed = {"objective": "binary", "num_leaves": leaves, "min_data_in_leaf": 5, "verbose": -1, "num_threads": 1}
    return lightgbm.train({**fixed, "cat_smooth": 1.0, **told}, data, rounds)


@pytest.mark.parametrize(
    ("leaves", "told"),
    [
        (2, {}),
        (8, {}),
        (31, {"bagging_fraction": 0.6, "bagging_freq": 1}),
        (63, {"max_cat_to_onehot": 1}),
        (16, {"use_missing": False}),
        (16, {"zero_as_missing": True}),
    ],
)
def test_parts_are_those_of_treeshap_for_every_row(leaves, told):
    booster, matrix = fitted(leaves, **told), rows(700, seed=2)
    ours = Trees(booster.model_to_string(), COLUMNS)
    raw, parts = ours.explained(matrix)
    exact = np.asarray(booster.predict(matrix, pred_contrib=True))
    np.testing.assert_allclose(parts, exact[:, :-1], atol=1e-9)
    assert ours.base == pytest.approx(exact[0, -1], abs=1e-9)
    np.testing.assert_array_equal(raw, ours.raw(matrix))
    np.testing.assert_allclose(ours.base + parts.sum(axis=1), raw, atol=1e-9)


@pytest.mark.parametrize("bound", ["MOST_BITS", "BUDGET_BYTES"])
def test_what_would_be_too_large_for_tables_is_computed_row_by_row_to_the_same_values(monkeypatch, bound):
    booster, matrix = fitted(31), rows(200, seed=3)
    little = {"MOST_BITS": 2, "BUDGET_BYTES": 100_000}[bound]
    monkeypatch.setattr(leaf_tables, bound, little)
    tables = [table for _, of, _ in Trees(booster.model_to_string(), COLUMNS)._tables._trees for table in of]
    if bound == "BUDGET_BYTES":
        assert 0 < sum(of.parts.nbytes + of.values.nbytes for of in tables) <= little
    ours = Trees(booster.model_to_string(), COLUMNS)
    raw, parts = ours.explained(matrix)
    np.testing.assert_allclose(parts, booster.predict(matrix, pred_contrib=True)[:, :-1], atol=1e-9)
    np.testing.assert_array_equal(raw, ours.raw(matrix))


def test_the_parts_of_a_mean_are_the_mean_of_the_parts():
    boosters, matrix = [fitted(leaves) for leaves in (4, 20)], rows(300, seed=4)
    joined = Trees(averaged([of.model_to_string() for of in boosters]), COLUMNS)
    exact = np.mean([of.predict(matrix, pred_contrib=True)[:, :-1] for of in boosters], axis=0)
    np.testing.assert_allclose(joined.contributions(matrix), exact, atol=1e-9)


def test_a_row_is_explained_to_the_same_bit_alone_and_in_any_batch():
    ours, matrix = Trees(fitted(31).model_to_string(), COLUMNS), rows(CHUNK + 50, seed=5)
    whole = ours.contributions(matrix)
    for at in (0, 7, CHUNK - 1, CHUNK, CHUNK + 49):
        np.testing.assert_array_equal(ours.contributions(matrix[at : at + 1])[0], whole[at])
    np.testing.assert_array_equal(ours.contributions(matrix[::-1])[::-1], whole)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4), st.floats(-5, 5))
def test_a_leaf_is_shared_out_by_the_mean_over_all_orders(shares, value):
    count = len(shares)
    found = shapley(value, shares)
    for case in range(2**count):
        holds = [case >> number & 1 for number in range(count)]
        expected = np.zeros(count)
        orders = list(permutations(range(count)))
        for order in orders:
            product = float(np.prod(shares))
            for place, feature in enumerate(order):
                known = order[: place + 1]
                now = np.prod([holds[of] if of in known else shares[of] for of in range(count)])
                expected[feature] += value * (now - product) / len(orders)
                product = now
        np.testing.assert_allclose(found[:, case], expected, atol=1e-9)
