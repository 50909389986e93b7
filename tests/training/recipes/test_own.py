"""Own learners: declared in the model's file, judged beside ours, served where text or numbers can hold them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from support.rows.datasets import COLUMNS, dataset
from vouch.features.errors import DefinitionError
from vouch.models.predictor import Predictor
from vouch.training import run
from vouch.training.evaluate import evaluate
from vouch.training.recipes.own import JUDGED_ONLY, fit_own


def line(seed):
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression(C=0.1))


def boosted(seed):
    return LGBMClassifier(n_estimators=30, num_leaves=7, random_state=seed, n_jobs=1, verbose=-1)


def forest(seed):
    return make_pipeline(SimpleImputer(), RandomForestClassifier(20, max_depth=4, random_state=seed, n_jobs=1))


class Telling(LogisticRegression):
    """Says something else than its numbers."""

    def predict_proba(self, X):
        return super().predict_proba(X)[:, ::-1]


@pytest.fixture(scope="module")
def data():
    return dataset(customers=400)


@pytest.mark.parametrize(("make", "kind"), [(line, "linear"), (boosted, "lightgbm"), (forest, JUDGED_ONLY)])
def test_what_is_stored_says_what_the_estimator_says(data, make, kind):
    fitted = fit_own(data, 0, "mine", make)
    assert fitted.kind == kind
    newest = data.newest.matrix
    said = make(0).fit(*_panel(data)).predict_proba(_panel(data, newest)[0])[:, 1]
    np.testing.assert_allclose(1 / (1 + np.exp(-fitted.scorer.raw(newest))), said, atol=1e-6)


def turned(seed):
    """Filled after it was scaled: a constant that the stored form cannot say."""
    return make_pipeline(StandardScaler(), SimpleImputer(strategy="constant", fill_value=3.0), LogisticRegression())


@pytest.mark.parametrize(
    "make", [turned, lambda seed: LGBMClassifier(n_estimators=3, linear_tree=True, verbose=-1)], ids=["order", "trees"]
)
def test_what_the_stored_form_cannot_say_is_judged_alone(data, make):
    assert fit_own(data, 0, "mine", make).kind == JUDGED_ONLY


def test_a_machine_that_does_not_tell_its_cores_fits_without_a_word(data, monkeypatch):
    monkeypatch.setattr("joblib.externals.loky.backend.context._count_physical_cores", lambda: ("not found", OSError()))
    monkeypatch.setattr("joblib.externals.loky.backend.context.physical_cores_cache", None)
    assert fit_own(data, 0, "mine", lambda seed: LGBMClassifier(n_estimators=3, verbose=-1)).kind != JUDGED_ONLY


class Breaking(LogisticRegression):
    """A learner that fails as nobody would expect."""

    def fit(self, X, y):
        raise KeyError("a column of its own")


def _panel(data, matrix=None):
    import pandas as pd

    of = data.train.matrix if matrix is None else matrix
    return pd.DataFrame(of.astype(np.float64), columns=[column.name for column in COLUMNS]), data.train.label


def test_a_class_that_inherits_from_a_known_one_is_not_taken_for_it(data):
    made = fit_own(data, 0, "mine", lambda seed: make_pipeline(SimpleImputer(), Telling()))
    assert made.kind == JUDGED_ONLY


def test_own_learners_are_judged_in_the_same_report_and_a_pickle_is_never_chosen(data):
    model = replace(data.model, learners=("logistic",), estimators={"my_line": line, "my_forest": forest})
    found = evaluate(replace(data, model=model), 0)
    assert {"logistic", "my_line", "my_forest", "recency", "health"} <= set(found.judged)
    assert found.judged["my_forest"].figures["log_loss"] < found.judged["logistic"].figures["log_loss"]
    assert found.judged_only == ("my_forest",)
    assert "my_forest" not in found.choice.members, "it is the best, and cannot be stored"


def test_an_own_learner_that_stands_out_serves_with_reasons_that_add_up(data, tmp_path):
    model = replace(data.model, learners=("logistic",), estimators={"my_trees": boosted})
    known = dataset(customers=400, model=model, columns=COLUMNS[:5])
    made = run.fit_and_judge(known, 0, 0, "f")
    assert made.evaluation.choice.members == ("my_trees",)
    run.write(made, tmp_path / "bundle")
    predictor, rows = Predictor.load(tmp_path / "bundle"), data.test_frame.head(50)
    reasons = predictor.reasons(rows)
    np.testing.assert_allclose(reasons.base + reasons.contributions.sum(axis=1), predictor.score(rows).raw, atol=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda seed: object(), "has no fit and no predict_proba"),
        (lambda seed: Breaking(), "cannot be fitted on these rows: 'a column of its own'"),
        (lambda seed: LogisticRegression(), "cannot be fitted on these rows: Input X contains NaN"),
    ],
)
def test_what_is_no_learner_is_refused_with_its_name(data, make, message):
    with pytest.raises(DefinitionError, match=f"Learner 'mine' of model 'churn'.*{message}"):
        fit_own(data, 0, "mine", make)


@pytest.mark.parametrize("name", ["logistic", "mean", "My Learner"])
def test_an_own_learner_has_a_name_of_its_own(data, name):
    with pytest.raises(DefinitionError, match="a name of its own"):
        replace(data.model, estimators={name: line})
