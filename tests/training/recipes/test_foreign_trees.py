"""Foreign trees: a bundle's text says what XGBoost and CatBoost said, to the bit where they add in 64 bits.

`foreign/` holds small models as those libraries (3.2.0 and 1.2.10) wrote them, fitted on `support.rows.datasets`, with
rows that lie on thresholds or lack values, and the log-odds that the libraries gave. They need not be installed.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from support.rows.datasets import COLUMNS, dataset
from vouch.features.errors import BundleError, DefinitionError
from vouch.models.scoring.calibration import sigmoid
from vouch.models.scoring.scorers import model_files, scorer_from_files
from vouch.models.scoring.trees import Trees
from vouch.training.recipes.foreign_trees import from_catboost, from_xgboost
from vouch.training.recipes.own import JUDGED_ONLY, fit_own

READ = {"xgboost": from_xgboost, "catboost": from_catboost, "catboost_max": from_catboost}
KEPT = {name: json.loads((Path(__file__).parent / "foreign" / f"{name}.json").read_text("utf-8")) for name in READ}


@pytest.fixture(scope="module")
def data():
    return dataset(customers=120)


def rows_of(name):
    return np.array(KEPT[name]["rows"], dtype=np.float32)


class _Replayed:
    """An estimator that was fitted before, with the file or bytes that its library writes."""

    def __init__(self, name, matrix, document=None):
        self.document = KEPT[name]["model"] if document is None else document
        self.trees = Trees(READ[name](KEPT[name]["model"], matrix), matrix.shape[1])

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        said = sigmoid(self.trees.raw(X.to_numpy(np.float32)))
        return np.column_stack([1 - said, said])

    def get_booster(self):
        return self

    def save_raw(self, raw_format):
        return bytearray(json.dumps(self.document).encode())

    def save_model(self, path, format):
        Path(path).write_text(json.dumps(self.document), encoding="utf-8")


def replayed(name, matrix, document=None):
    """The same under the very name that the library gives its class."""
    module, of = ("xgboost.sklearn", "XGBClassifier") if name == "xgboost" else ("catboost.core", "CatBoostClassifier")
    return type(of, (_Replayed,), {"__module__": module})(name, matrix, document)


@pytest.mark.parametrize(("name", "tolerance"), [("xgboost", 1e-6), ("catboost", 0.0), ("catboost_max", 0.0)])
def test_text_says_what_the_library_said(data, name, tolerance):
    text = READ[name](KEPT[name]["model"], data.train.matrix)
    said = Trees(text, len(COLUMNS)).raw(rows_of(name))
    np.testing.assert_allclose(said, KEPT[name]["raw"], rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", list(READ))
def test_what_a_foreign_learner_told_is_kept_as_text_with_exact_reasons(data, name):
    fitted = fit_own(data, 0, "mine", lambda seed: replayed(name, data.train.matrix))
    assert fitted.kind == "lightgbm"
    kept = scorer_from_files(fitted.kind, model_files(fitted.kind, fitted.content), COLUMNS)
    raw, parts = kept.explained(rows_of(name))
    np.testing.assert_array_equal(raw, kept.raw(rows_of(name)))
    np.testing.assert_allclose(kept.base + parts.sum(axis=1), raw, atol=1e-9)
    assert np.abs(parts).max() > 0.01


def test_leaves_count_the_training_rows(data):
    trees = Trees(from_catboost(KEPT["catboost"]["model"], data.train.matrix), len(COLUMNS))._trees
    assert {sum(tree["leaf_count"]) for tree in trees} == {len(data.train)}
    assert len(trees) == 12


def _changed(name, change):
    document = copy.deepcopy(KEPT[name]["model"])
    change(document)
    return document


def _drops_trees(document):
    document["learner"]["gradient_booster"]["name"] = "dart"


def _has_a_category(document):
    document["learner"]["gradient_booster"]["model"]["trees"][3]["split_type"][0] = 1


def _counts_categories(document):
    document["oblivious_trees"][0]["splits"][0]["split_type"] = "OnlineCtr"


def _is_lopsided(document):
    document["trees"] = document.pop("oblivious_trees")


def _has_many_outcomes(document):
    document["scale_and_bias"] = [1, [0, 0, 0]]


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("xgboost", _drops_trees, "do not simply add up"),
        ("xgboost", _has_a_category, "splits by category"),
        ("catboost", _counts_categories, "splits by category"),
        ("catboost", _is_lopsided, "not symmetric"),
        ("catboost", _has_many_outcomes, "more than two outcomes"),
    ],
)
def test_what_the_text_cannot_say_is_judged_alone(data, name, change, why):
    document = _changed(name, change)
    with pytest.raises(BundleError, match=why):
        READ[name](document, data.train.matrix)
    made = fit_own(data, 0, "mine", lambda seed: replayed(name, data.train.matrix, document))
    assert made.kind == JUDGED_ONLY


def test_text_that_says_something_else_than_the_estimator_is_judged_alone(data):
    def moved(document):
        document["oblivious_trees"][0]["leaf_values"][0] += 0.01

    document = _changed("catboost", moved)
    made = fit_own(data, 0, "mine", lambda seed: replayed("catboost", data.train.matrix, document))
    assert made.kind == JUDGED_ONLY


def test_a_learner_of_a_library_that_is_not_there_is_named_with_the_mend(data):
    def make(seed):
        from a_library_that_is_not_there import Classifier

        return Classifier()

    with pytest.raises(DefinitionError, match="needs 'a_library_that_is_not_there', which is not installed: pip inst"):
        fit_own(data, 0, "mine", make)


@pytest.mark.parametrize("library", ["xgboost", "catboost"])
def test_the_library_of_today_is_stored_where_it_is_installed(data, library):
    module = pytest.importorskip(library, reason="the library is optional")
    make = {
        "xgboost": lambda seed: module.XGBClassifier(n_estimators=5, max_depth=3, n_jobs=1, random_state=seed),
        "catboost": lambda seed: module.CatBoostClassifier(
            iterations=5, depth=3, verbose=0, allow_writing_files=False, thread_count=1, random_seed=seed
        ),
    }[library]
    assert fit_own(data, 0, "mine", make).kind == "lightgbm"
