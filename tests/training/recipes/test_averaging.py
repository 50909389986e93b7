"""Several trees-models as one: it says their mean, and is explained as any other."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest

from support.rows.datasets import dataset
from vouch.models.scoring.scorers import make_scorer
from vouch.training.recipes.averaging import averaged
from vouch.training.recipes.learners import CANDIDATES, COPIES, DEEP


@pytest.fixture(scope="module")
def data():
    return dataset(customers=600)


@pytest.fixture(scope="module")
def texts(data):
    """Three models of different sizes and seeds, categories among their splits."""
    rows = lightgbm.Dataset(data.train.matrix, data.train.label, categorical_feature=[4], params={"verbose": -1})
    told = {"objective": "binary", "bagging_fraction": 0.6, "bagging_freq": 1, "verbose": -1, "num_threads": 1}
    fits = [
        lightgbm.train({**told, "num_leaves": leaves, "seed": leaves}, rows, rounds)
        for leaves, rounds in ((3, 5), (8, 20), (31, 11))
    ]
    return [fit.model_to_string() for fit in fits]


def test_the_mean_of_models_says_the_mean_of_their_log_odds(data, texts):
    matrix, columns = data.test.matrix, data.test.matrix.shape[1]
    each = [make_scorer("lightgbm", text, columns).raw(matrix) for text in texts]
    joined = make_scorer("lightgbm", averaged(texts), columns)
    np.testing.assert_allclose(joined.raw(matrix), np.mean(each, axis=0), atol=1e-12)
    raw, contributions = joined.explained(matrix)
    np.testing.assert_allclose(joined.base + np.asarray(contributions.sum(axis=1)).ravel(), raw, atol=1e-9)


def test_one_model_is_its_own_mean(texts):
    assert averaged(texts[:1]) == texts[0]


def test_copies_of_the_deep_candidate_differ_and_give_equal_bytes_again(data):
    fitted = CANDIDATES[DEEP](data, 0)
    assert fitted.content == CANDIDATES[DEEP](data, 0).content
    assert fitted.content.count("\nTree=") == COPIES * fitted.facts["rounds"]
    first, second = (fitted.content.split("\nTree=")[1 + copy * int(fitted.facts["rounds"])] for copy in (0, 1))
    assert first.partition("\n")[2] != second.partition("\n")[2]
