"""Drift: what moved is found, what did not is not, however few the rows; and what came true is held against it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.champions import write_champions
from support.published_weeks import without_metrics
from support.rows.contract_rows import day, make_tables
from support.rows.drifted_frames import TARGET, histograms, lazy, made
from support.small_model import COLUMNS, LOGISTIC, vectors
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.ingest.texts.learned_tone import fits_of
from vouch.features.instants import parse_instant
from vouch.features.project import Project
from vouch.models.predictor import Predictor, write_bundle
from vouch.models.quality.drift import MODERATE, SCORE, counted, drift, histogram_from_json, shifts
from vouch.models.quality.monitoring import came_true
from vouch.models.scoring.calibration import Calibrator
from vouch.serving.batch.run import score_weeks
from vouch.serving.monitoring.drift_and_outcomes import came_true_by_week, drift_of_week
from vouch.serving.scoring.score import Champion


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_the_rows_of_the_reference_count_as_the_reference_itself(engine):
    found = histograms()
    assert counted(lazy(*made(4000, 0), engine), found) == {of.name: of.counts for of in found}
    assert [histogram_from_json(of.as_json()) for of in found] == found


def test_nothing_is_reported_where_nothing_changed_however_few_the_rows():
    found = histograms()
    for rows in (12, 60, 300, 4000):
        weeks = [shifts(found, counted(lazy(*made(rows, seed)), found)) for seed in range(1, 41)]
        reported = [shift for week in weeks for shift in week if shift.level != "none"]
        assert len(reported) <= 2, rows
        if rows == 60:
            assert np.median([week[0].index for week in weeks]) > MODERATE, "an index alone would cry wolf"


def test_what_moved_is_reported_and_leads_the_report():
    frame, probability = made(2000, 1)
    moved = frame.assign(active_days_28d=frame["active_days_28d"] / 3, nps_last=np.nan)
    told = drift(histograms(), lazy(moved, np.sqrt(probability)))
    levels = {entry["name"]: entry["level"] for entry in told["largest"]}
    assert levels["active_days_28d"] == levels["nps_last"] == "major"
    assert levels["plan"] == levels["orders_90d"] == "none"
    assert told["score"]["name"] == SCORE
    assert told["score"]["level"] == "major"
    assert (told["rows"], told["reference_rows"], told["major"]) == (2000, 4000, 2)
    nps = next(entry for entry in told["largest"] if entry["name"] == "nps_last")
    assert (nps["missing"], round(nps["missing_before"], 1)) == (1.0, 0.6)


def test_a_week_without_scored_rows_has_no_drift():
    frame, probability = made(10, 1)
    told = drift(histograms(), lazy(frame, probability).filter(nw.col("probability") > 2))
    assert (told["rows"], told["score"], told["largest"]) == (0, None, [])


@pytest.fixture(scope="module")
def leavers():
    """2,000 customers, of whom each leaves in the four weeks after day 100 with a probability of his own."""
    generator = np.random.default_rng(3)
    probability = generator.beta(1, 4, 2000)
    leaves = generator.random(2000) < probability
    names = [f"c{number:04}" for number in range(2000)]
    tables = make_tables(
        "polars",
        customers=[{"customer_id": name, "created_at": 1} for name in names],
        subscriptions=[
            {"subscription_id": name, "customer_id": name, "started_at": 2, "ended_at": 110 if left else None, "mrr": 1}
            for name, left in zip(names, leaves, strict=True)
        ],
    )
    return tables, pd.DataFrame({"customer_id": names, "probability": probability})


def test_true_probabilities_are_found_to_have_come_true(leavers):
    tables, predicted = leavers
    told = came_true(tables, TARGET, day(100), day(142), predicted).as_dict()
    assert told["reason"] is None
    assert told["n"] == 2000
    assert told["calibration_error"] <= told["calibration_by_chance"]
    assert told["observed_low"] <= told["expected"] <= told["observed_high"]
    assert told["slope_low"] < 1 < told["slope_high"]
    assert told["roc_auc_low"] > 0.5


def test_probabilities_that_did_not_come_true_are_found_to_be_off(leavers):
    tables, predicted = leavers
    halved = predicted.assign(probability=predicted["probability"] / 2)
    told = came_true(tables, TARGET, day(100), day(142), halved).as_dict()
    assert told["calibration_error"] > told["calibration_by_chance"]
    assert told["expected"] < told["observed_low"]


def test_an_outcome_that_is_not_final_has_no_figures_but_a_reason(leavers):
    tables, predicted = leavers
    told = came_true(tables, TARGET, day(100), day(141), predicted).as_dict()
    assert (told["reason"], told["n"], told["observed"], told["final_us"]) == ("not_final", 0, None, day(142))
    nobody = predicted.assign(probability=np.nan)
    assert came_true(tables, TARGET, day(100), day(142), nobody).reason == "nobody_scored"


def test_a_week_is_compared_with_the_newest_rows_of_the_training_run(tmp_path):
    predictor = write_bundle(
        tmp_path / "bundle", model="churn", target="contract", kind="logistic", content=LOGISTIC, columns=COLUMNS,
        calibrator=Calibrator(), golden=vectors(16, seed=9), facts={}, reference=histograms(),
    )  # fmt: skip
    loaded = Predictor.load(tmp_path / "bundle")
    assert loaded.reference == predictor.reference
    frame, probability = made(500, 2)
    probability[:100] = np.nan  # not scored
    frame.to_parquet(tmp_path / "vectors.parquet")
    scores = pd.DataFrame({"customer_id": frame["customer_id"], "churn_probability": probability})
    pq.write_table(pa.Table.from_pandas(scores), tmp_path / "scores.parquet")
    found = drift_of_week(
        tmp_path / "vectors.parquet",
        tmp_path / "scores.parquet",
        {"churn": Champion("churn", TARGET, loaded), "advocacy": Champion("advocacy", None, None)},
    )
    assert found["advocacy"] == {"reason": "no_model"}
    assert (found["churn"]["rows"], found["churn"]["moderate"], found["churn"]["major"]) == (400, 0, 0)


@pytest.fixture
def quick(monkeypatch):
    """Weeks without metrics, which take most of the time and are not looked at here."""
    monkeypatch.setattr("vouch.serving.batch.steps.envelope_table", without_metrics)


def test_what_was_said_weeks_ago_is_held_against_what_came_true(company, quick, tmp_path):
    project = Project(home=tmp_path, location=str(company))
    write_champions(tmp_path)
    monday, earlier = parse_instant("2026-11-16"), parse_instant("2026-08-17")
    score_weeks(project, [earlier], monday)
    tables = open_tables(stage(project, monday), "polars")
    found = came_true_by_week(tmp_path, tables, monday)
    late = {name: {entry["look_back"]: entry for entry in of}["13 weeks"] for name, of in found.items()}
    assert late["churn"]["as_of"] == "2026-08-17"
    assert late["churn"]["n"] > 100
    assert 0 < late["churn"]["observed"] < 1
    assert late["churn"]["model"] == write_champions(tmp_path)["churn"].content_hash
    assert late["advocacy"]["reason"] is None
    assert 0 < late["advocacy"]["observed"] < 1
    assert {"look_back": "6 weeks", "as_of": None, "reason": "no_snapshot"} in found["churn"]
    assert "not_final" not in {entry["reason"] for of in found.values() for entry in of}


def test_a_published_week_is_logged_where_models_are_tracked_and_a_server_that_is_away_stops_nothing(
    company, quick, tmp_path
):
    from vouch.models.registry import versions
    from vouch.serving.monitoring.tracking import log_weeks

    project = Project(home=tmp_path, location=str(company))
    write_champions(tmp_path)
    monday = parse_instant("2026-11-16")
    weeks = score_weeks(project, [monday], monday)
    assert log_weeks(project, weeks) == []
    assert not (tmp_path / "mlflow").exists(), "scoring makes no database"
    _, client = versions.connect(tmp_path)
    assert log_weeks(project, [*weeks, replace(weeks[0], outcome="left_alone")]) == []
    (run,) = client.search_runs([client.get_experiment_by_name(versions.WEEKS).experiment_id])
    drifted = json.loads((weeks[0].folder / "manifest.json").read_text())["drift"]
    assert run.data.tags["as_of"] == "2026-11-16"
    logged = json.loads(Path(client.download_artifacts(run.info.run_id, "drift.json", str(tmp_path))).read_text())
    assert logged == drifted
    fits = fits_of(tmp_path)
    assert fits, "the simulated company has rated texts"
    told = json.loads(Path(client.download_artifacts(run.info.run_id, "sentiment.json", str(tmp_path))).read_text())
    assert told == fits
    assert {name for name in run.data.metrics if name.startswith("sentiment.")} == {
        f"sentiment.{name}" for name in next((fit["figures"] for fit in fits if fit["digest"]), {})
    }
    (reason,) = log_weeks(replace(project, tracking="http://127.0.0.1:1"), weeks)
    assert "does not answer" in reason


def test_of_the_models_of_how_texts_sound_the_newest_in_use_is_logged():
    from vouch.serving.monitoring.tracking import sentiment_metrics

    fits = [{"digest": "a", "figures": {"macro_f1": 0.5}}, {"digest": "b", "figures": {"macro_f1": 0.6}},
            {"digest": None, "figures": {}}]  # fmt: skip
    assert dict(sentiment_metrics(fits)) == {"sentiment.macro_f1": 0.6}
    assert dict(sentiment_metrics(fits[2:])) == {}


def test_metrics_of_a_week_are_how_far_it_moved_and_how_each_look_back_held():
    from vouch.serving.monitoring.tracking import as_metrics

    frame, probability = made(400, 3)
    moved = frame.assign(probability=np.sqrt(probability))
    week = {"reason": None, **drift(histograms(), nw.from_native(pl.from_pandas(moved).lazy()))}
    held = {"look_back": "4 weeks", "reason": None, "observed": 0.1, "log_loss": None}
    found = dict(as_metrics({"churn": week, "advocacy": {"reason": "no_model"}}, {"churn": [held]}))
    assert set(found) == {
        "churn.score_drift", "churn.features_moderate", "churn.features_major", "churn.4_weeks.observed"
    }  # fmt: skip
    assert found["churn.score_drift"] == week["score"]["index"] > MODERATE
