"""`import vouch`: what a notebook starts from, on the simulated company."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier

import vouch
from support.champions import write_champions
from vouch.features.contract.tables import DAY_US
from vouch.features.instants import parse_instant
from vouch.features.simulation.parameters import LAST_INSTANT_US
from vouch.models import load
from vouch.models.predictor import champion_folder
from vouch.models.registry.offsets import OFFSETS, Offset, set_offset
from vouch.models.scoring.calibration import log_odds
from vouch.models.value.predictor import write_value_bundle
from vouch.models.value.valuation import ValueNumbers

NOW = "2026-11-16T06:00:00Z"
AS_OF = "2026-11-16"


@pytest.fixture(scope="module")
def opened(company, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOUCH_HOME", str(tmp_path_factory.mktemp("library")))
        found = vouch.open(str(company), now=NOW)
        write_champions(found.project.home)
        yield found


def test_what_is_public_is_listed_and_there():
    assert all(getattr(vouch, name) is not None for name in vouch.__all__)
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        vouch.opne  # noqa: B018 - asking for it is what is tried


def test_tables_are_checked_and_vectors_are_frames(opened):
    assert opened.check()["tables"]["customers"]["quarantined"] == 0
    vectors = opened.vectors(AS_OF)
    assert isinstance(vectors, pd.DataFrame)
    assert set(opened.features()["name"]) <= set(vectors.columns)
    assert vectors["customer_id"].is_unique


def test_a_panel_holds_who_was_eligible_with_what_came_true(opened):
    panel = opened.panel("churn", as_of=AS_OF)
    target = load("churn").targets[0]
    assert set(panel["label"]) == {0.0, 1.0}
    assert panel["as_of_us"].max() + target.matured_days * DAY_US <= parse_instant(AS_OF)
    assert not panel.duplicated(["customer_id", "as_of_us"]).any()
    assert "gender" not in panel.columns  # sensitive ones are not read
    assert "is_leaving" not in panel.columns  # what the definition leaves out


def test_splits_keep_outcomes_of_the_rows_to_judge_out_of_those_to_fit_on(opened):
    panel = opened.panel("churn", as_of=AS_OF)
    matured_us = load("churn").targets[0].matured_days * DAY_US
    splits = list(opened.splits(panel, "churn"))
    assert len(splits) > 3
    for fit, judge in splits:
        times = panel["as_of_us"].to_numpy()
        assert times[fit].max() + matured_us <= times[judge].min()
        assert len(np.unique(times[judge])) == 1


def test_the_splitter_goes_where_scikit_learn_takes_one(opened):
    panel = opened.panel("churn", as_of=AS_OF)
    splitter, rows = opened.splitter("churn", most=3), panel[["tenure_days", "active_days_28d"]].fillna(-1.0)
    assert splitter.get_n_splits(rows, groups=panel["as_of_us"]) == 3
    for ours, theirs in zip(splitter.split(panel), list(opened.splits(panel, "churn"))[-3:], strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))
    search = GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2]}, cv=splitter, scoring="roc_auc")
    search.fit(rows, panel["label"], groups=panel["as_of_us"])
    assert search.n_splits_ == 3
    assert search.best_score_ > 0.5


def test_rows_that_say_no_instant_or_lie_too_close_are_not_split():
    with pytest.raises(vouch.VouchError, match="at which instant each row stands"):
        next(vouch.EmbargoSplit(28).split(np.zeros((3, 2))))
    with pytest.raises(vouch.VouchError, match="nothing to split"):
        next(vouch.EmbargoSplit(28).split(np.zeros((2, 1)), groups=[0, 27 * DAY_US]))
    with pytest.raises(vouch.VouchError, match="no negative number"):
        vouch.EmbargoSplit(-1)
    assert repr(vouch.EmbargoSplit(28, most=4)) == "EmbargoSplit(28, 4)"


def test_a_frame_of_vectors_is_scored_and_explained_as_the_week_is(opened):
    vectors, scores = opened.vectors(AS_OF), opened.score("churn", AS_OF)
    pd.testing.assert_frame_equal(opened.score("churn", AS_OF, vectors=vectors), scores)
    pd.testing.assert_frame_equal(opened.score("churn", AS_OF, vectors=pl.from_pandas(vectors)), scores)
    few = vectors.loc[vectors["customer_id"].isin(set(scores["customer_id"].head(5)))]
    assert set(opened.explain("churn", AS_OF, vectors=few)["customer_id"]) == set(scores["customer_id"].head(5))
    with pytest.raises(vouch.VouchError, match="The vectors lack customer_id"):
        opened.score("churn", AS_OF, vectors=vectors.drop(columns="customer_id"))


def test_scores_are_ranked_and_their_reasons_add_up(opened):
    scores, reasons = opened.score("churn", AS_OF), opened.explain("churn", AS_OF)
    assert scores["probability"].is_monotonic_decreasing
    assert set(reasons["customer_id"]) == set(scores["customer_id"])
    predictor = opened.champion("churn")
    vectors = opened.vectors(AS_OF).set_index("customer_id").loc[scores["customer_id"]]
    raw = pd.Series(predictor.score(vectors).raw, index=scores["customer_id"])
    added = reasons.groupby("customer_id")["contribution"].sum() + predictor.reasons(vectors).base
    assert np.allclose(added.loc[raw.index], raw)


def test_an_offset_shifts_scores_of_the_weeks_after_it_as_the_weekly_run_does_and_no_reason(opened):
    of, before, at_us = opened.champion("churn"), opened.score("churn", AS_OF), parse_instant(AS_OF)
    week = {"content_hash": of.content_hash, "changed_us": 1, "n": 10, "came_true": 5, "expected": 3.0}
    path = champion_folder(opened.project.home, "churn") / OFFSETS
    try:
        set_offset(opened.project.home, "churn", Offset(as_of_us=at_us, offset=0.5, **week))
        pd.testing.assert_frame_equal(opened.score("churn", AS_OF), before)  # the week that found it is as it was
        assert opened.champion("churn").calibrator.shift == 0.5
        reasons = opened.explain("churn", AS_OF)
        set_offset(opened.project.home, "churn", Offset(as_of_us=at_us - DAY_US, offset=0.3, **week))
        after = opened.score("churn", AS_OF)
        for name in ("probability", "low", "high"):
            moved = log_odds(after[name].to_numpy()) - log_odds(before[name].to_numpy())
            assert np.allclose(moved[np.isfinite(moved)], 0.3)
        pd.testing.assert_frame_equal(opened.explain("churn", AS_OF), reasons)
    finally:
        path.unlink()


def test_the_champion_of_value_is_there_for_a_notebook_and_gives_no_probability(opened):
    with pytest.raises(vouch.VouchError, match="vouch train value"):
        opened.champion("value")
    folder = champion_folder(opened.project.home, "value") / "bundle"
    made = write_value_bundle(folder, ValueNumbers(1.0, None), None, None, {})
    try:
        assert opened.champion("value").content_hash == made.content_hash
        with pytest.raises(vouch.VouchError, match="gives no probability"):
            opened.score("value", AS_OF)
    finally:
        shutil.rmtree(folder)


def test_metrics_come_as_a_frame_in_either_library(opened, company):
    found = opened.metrics(["nps"], by="segment", as_of=AS_OF)
    assert isinstance(found, pd.DataFrame)
    assert set(found["metric_id"]) == {"nps"}
    in_polars = vouch.CompanyTables(opened.project, opened.now_us, "polars").metrics(["nps"], as_of=AS_OF)
    assert isinstance(in_polars, pl.DataFrame)


def test_what_is_not_there_is_told_with_the_mend(opened, tmp_path):
    with pytest.raises(vouch.VouchError, match="vouch train upgrade"):
        opened.champion("upgrade")
    with pytest.raises(vouch.VouchError, match="no file or folder"):
        vouch.open(str(tmp_path / "nowhere"))
    with pytest.raises(vouch.VouchError, match="too short"):
        opened.panel("churn", as_of="2025-10-06")
    assert parse_instant(AS_OF) <= LAST_INSTANT_US


@pytest.mark.slow
def test_training_from_a_notebook_registers_judges_and_gates_as_the_command_does(company, tmp_path, monkeypatch):
    monkeypatch.setenv("VOUCH_HOME", str(tmp_path))
    found = vouch.open(str(company), now=NOW)
    (trained,) = found.train("churn", seed=3, origins=1, tags={"asked": "notebook"})
    assert isinstance(trained, vouch.TrainedModel)
    assert (trained.model, trained.version) == ("churn", 1)
    assert trained.is_promoted != trained.is_refused
    assert {"recency", "health"} <= set(trained.figures["candidate"])
    assert "log loss" in trained.text
    assert (champion_folder(tmp_path, "churn") / "bundle").exists() == trained.is_promoted
    (record,) = (tmp_path / "runs").glob("train-*.json")
    assert json.loads(record.read_text(encoding="utf-8"))["models"][0]["model"] == "churn"
    with pytest.raises(vouch.VouchError, match="upgrades"):
        found.train("churn_of_upgrades")
    with pytest.raises(vouch.VouchError, match="Tag"):
        found.train("churn", tags={"": "x"})
