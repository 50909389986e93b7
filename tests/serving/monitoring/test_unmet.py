"""What a model has never met, and what it lost, is named and stops the week; what it is used to does not."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.published_weeks import without_metrics
from support.rows.drifted_frames import histograms, lazy, made
from support.small_model import COLUMNS, LOGISTIC, vectors
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.instants import parse_instant
from vouch.features.project import Project
from vouch.features.vectors.build import vectors as vectors_of
from vouch.models.predictor import champion_folder, encode, write_bundle
from vouch.models.quality.drift import reference
from vouch.models.scoring.calibration import Calibrator
from vouch.models.scoring.feature_matrix import Column
from vouch.models.unmet import alike, gone, unmet
from vouch.serving.batch.run import score_weeks
from vouch.serving.monitoring.guards import drift_figures, judge, load_guards

MONDAY, NOW = parse_instant("2026-11-16"), parse_instant("2026-11-16T06:00:00Z")


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_nothing_is_strange_where_nothing_changed(engine):
    week = lazy(*made(2000, 3), engine)
    assert all(found["share"] < 0.05 for found in unmet(histograms(), week))
    assert gone(histograms(), week) == []
    assert alike(week) < 0.5


@given(st.floats(0.05, 1), st.integers(0, 5))
@settings(max_examples=15)
def test_values_that_are_new_are_named_with_the_share_of_the_rows(share, seed):
    frame, probability = made(2000, seed)
    is_new = np.random.default_rng(seed).random(2000) < share
    changed = frame.assign(plan=np.where(is_new & frame["plan"].notna(), frame["plan"] + "_2027", frame["plan"]))
    (found,) = unmet(histograms(), lazy(changed, probability))
    known = frame["plan"].isin(["basic", "plus", "pro"]).mean()
    assert found["name"] == "plan"
    assert found["share"] == pytest.approx(share * known, abs=0.06)
    assert {"basic_2027", "plus_2027"} & set(found["values"])


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_a_column_that_is_known_of_nobody_or_the_same_for_everybody_is_named(engine):
    frame, probability = made(2000, 1)
    changed = frame.assign(orders_90d=0.0, nps_last=np.nan, plan=None)
    found = {one["name"]: one for one in gone(histograms(), lazy(changed, probability, engine))}
    assert (found["orders_90d"]["value"], found["nps_last"]["value"], found["plan"]["value"]) == (0, None, None)
    assert found["nps_last"]["share"] == pytest.approx(0.4, abs=0.03), "the others had none before"
    assert found["plan"]["share"] > 0.5
    assert set(found) == {"orders_90d", "nps_last", "plan"}


def test_scores_that_are_nearly_equal_are_told_apart_from_those_that_are_not():
    frame, probability = made(1000, 1)
    assert alike(lazy(frame, np.full(1000, 0.04) + np.linspace(0, 1e-5, 1000))) == 1
    assert alike(lazy(frame, np.where(np.arange(1000) < 950, 0.04, probability))) > 0.9
    assert alike(lazy(frame.head(0), probability[:0])) == 0


@pytest.mark.parametrize(("share", "level"), [(0.02, None), (0.1, "soft"), (0.8, "hard")])
def test_new_values_warn_from_a_twentieth_and_refuse_from_half_of_the_rows(tmp_path, share, level):
    of = {
        "reason": None, "score": None, "features": 0, "major": 0, "rows": 500, "alike": 0.1, "gone": [],
        "unmet": [{"name": "plan", "share": share, "values": ["Gold", "Silver"]}],
    }  # fmt: skip
    found = judge(load_guards(tmp_path), drift_figures({"churn": of}))
    assert [finding.level for finding in found] == ([level] if level else [])
    assert all("churn plan" in str(finding) and "'Gold', 'Silver'" in str(finding) for finding in found)


@pytest.fixture(scope="module")
def renamed(company, tmp_path_factory):
    """The simulated company whose plans have new names since the champion was trained, and a home with the champion."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("renamed")
    tables = open_tables(stage(Project(home=home, location=str(company)), NOW), "polars")
    known = vectors_of(tables, MONDAY).collect("polars").to_pandas()
    plans = tuple(sorted(known["plan"].dropna().unique()))
    columns = [Column(c.name, c.family, plans if c.categories else None) for c in COLUMNS]
    weights = {"weights": [0.1] * (len(plans) + 1), "mean": 0.0}
    content = {**LOGISTIC, "terms": [weights if "weights" in term else term for term in LOGISTIC["terms"]]}
    golden = vectors(16).assign(plan=plans[0])
    bins = reference(columns, encode(known, columns), np.full(len(known), 0.1))
    write_bundle(
        champion_folder(home, "churn") / "bundle", model="churn", target="contract", kind="logistic", content=content,
        columns=columns, calibrator=Calibrator(), golden=golden, facts={}, reference=bins,
    )  # fmt: skip
    for path in company.glob("*.parquet"):
        frame = pl.read_parquet(path)
        if "plan" in frame.columns:
            frame = frame.with_columns(pl.col("plan").str.to_titlecase() + " 2027")
        frame.write_parquet(folder / path.name)
    return Project(home=home, location=str(folder))


def test_a_week_in_which_all_plans_have_new_names_is_refused_and_says_which(renamed, monkeypatch):
    monkeypatch.setattr("vouch.serving.batch.steps.envelope_table", without_metrics)
    (week,) = score_weeks(renamed, [MONDAY], NOW)
    assert week.outcome == "refused"
    found = {finding.guard: str(finding) for finding in week.findings if finding.level == "hard"}
    assert "churn plan" in found["unmet_categories"]
    assert "2027" in found["unmet_categories"]
