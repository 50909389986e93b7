"""Models of flat tables: one row per customer with a label, from the command to scores with their reasons."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from vouch.features.discovery.flat import read_flat, read_flat_rows
from vouch.features.errors import DataError, Refused, UsageError
from vouch.features.instants import parse_instant
from vouch.features.project import Project
from vouch.models.registry import versions
from vouch.serving.api.handlers.tables import TableScore, score_table_rows
from vouch.serving.api.problems import Problem
from vouch.serving.exports.vectors_file import write_table_scores
from vouch.serving.scoring.flat_scores import columns, flat_champion, scored_rows
from vouch.training import flat
from vouch.training.flat import train_flat

NOW_US = parse_instant("2026-01-01")
ROWS = 900
LEAKS = {
    "churn_flag": lambda left, _: str(left),
    "Cancellation Date": lambda left, number: f"2025-0{1 + number % 9}-11" if left else "",
    "exit_reason": lambda left, _: "price" if left else "",
    "satisfaction_score": lambda left, number: str(1 + number % 2) if left else str(4 + number % 2),
    "Kuendigung": lambda left, _: "ja" if left else "nein",
    "lost_customer": lambda left, _: str(left),
    "termination_fee": lambda left, _: "30" if left else "0",
    "left_on": lambda left, number: f"2025-03-{1 + number % 28:02}" if left else "",
    "offboarding_call": lambda left, number: str(number) if left else "",
    "account_state": lambda left, _: "archived" if left else "open",
}
"""Columns that tell who left, by name or by figures alone."""


def table(path: Path, leak: str | None = None, rows: int = ROWS, *, has_id: bool = True) -> Path:
    """A table in which short tenure and one plan go with leaving, and the rest is noise."""
    made, first = np.random.default_rng(5), ["customer"] if has_id else []
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*first, "tenure", "plan", "noise", "known_on", "churned", *([leak] if leak else [])])
        for number in range(rows):
            tenure, plan = int(made.integers(1, 72)), made.choice(["basic", "plus", "pro"])
            odds = 1.2 - 0.08 * tenure + (1.5 if plan == "basic" else 0.0)
            left = int(made.random() < 1 / (1 + np.exp(-odds)))
            day = f"2025-{1 + number * 11 // rows:02}-05"
            cells = [tenure, plan, round(float(made.random()), 3), day, "Yes" if left else "No"]
            told = [LEAKS[leak](left, number)] if leak else []
            writer.writerow([*(f"K{number:04}" for _ in first), *cells, *told])
    return path


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    monkeypatch.setattr(flat, "TRIED", ("lightgbm", "logistic"))
    return Project(tmp_path / "home", None)


def trained(project: Project, path: Path, key: str | None = "customer", time: str | None = None):
    found = read_flat(project, path, label="churned", key=key, time=time)
    return found, train_flat(project, "leavers", found, path, NOW_US, {"label": "churned", "id": key, "time": time})


def told_of_the_champion(report) -> str:
    return next(rule.why for rule in report.verdict.rules if rule.name == "champion")


def test_a_flat_table_gives_a_champion_whose_reasons_add_up_to_the_score(tmp_path, project):
    path = table(tmp_path / "flat.csv")
    found, report = trained(project, path)
    assert report.verdict.passed
    _, client = versions.connect(project.home)
    assert client.get_model_version("leavers", "1").tags.keys() <= versions.OWN_TAGS, "each is guarded"
    assert "there is no champion yet" in told_of_the_champion(report)
    assert "learned from" in told_of_the_champion(trained(project, path)[1]), "one is there by now, and is not met"
    assert report.positive == "Yes"
    assert report.figures[report.chosen]["roc_auc"] > 0.75
    predictor = flat_champion(project.home, "leavers")
    read = read_flat_rows(project, path, columns(predictor), "customer", None)
    rows = scored_rows(predictor, read.frame, read.ids, with_reasons=True)
    raw = predictor.score(read.frame).raw
    for row, score in zip(rows, raw, strict=True):
        assert row["base"] + sum(of["contribution"] for of in row["reasons"]) == pytest.approx(score)
        assert row["low"] <= row["probability"] <= row["high"]
    assert [row["id"] for row in rows] == [f"K{number:04}" for number in range(ROWS)]
    assert {of["column"] for of in rows[0]["reasons"]} == {"tenure", "plan", "noise"}
    assert np.mean([row["probability"] for row in rows]) == pytest.approx(found.label.mean(), abs=0.02)


def test_figures_are_of_rows_that_a_fit_has_not_seen(tmp_path, project):
    found = read_flat(project, table(tmp_path / "flat.csv"), label="churned", key="customer")
    drawn, settings = np.random.default_rng(3).permutation(found.label), {"id": None, "time": None}
    report = train_flat(project, "leavers", replace(found, label=drawn), tmp_path / "flat.csv", NOW_US, settings)
    assert not report.verdict.passed
    assert 0.4 < report.figures[report.chosen]["roc_auc"] < 0.6
    with pytest.raises(UsageError, match="no champion of a table"):
        flat_champion(project.home, "leavers")


@pytest.mark.parametrize("leak", LEAKS)
def test_a_column_that_tells_who_left_is_left_out_and_named(tmp_path, project, leak):
    found = read_flat(project, table(tmp_path / "flat.csv", leak), label="churned", key="customer")
    assert found.left_out[leak].startswith("a leak")
    assert {column.column for column in found.columns} == {"tenure", "plan", "noise"}


def test_a_column_is_taken_or_left_out_by_name(tmp_path, project):
    path = table(tmp_path / "flat.csv", "satisfaction_score")
    found = read_flat(project, path, label="churned", key="customer", taken=["satisfaction_score"], left_out=["noise"])
    assert {column.column for column in found.columns} == {"tenure", "plan", "satisfaction_score"}


def test_without_an_id_the_number_of_the_row_is_it(tmp_path, project):
    found = read_flat(project, table(tmp_path / "flat.csv", has_id=False), label="churned")
    assert list(found.ids[:3]) == ["0", "1", "2"]


def test_with_a_time_rows_are_judged_by_fits_on_earlier_ones(tmp_path, project):
    found, report = trained(project, table(tmp_path / "flat.csv"), time="known_on")
    data = flat._dataset("leavers", found, 0)
    fold = flat.folds(found.label, found.times, 0)
    for number in range(1, flat.FOLDS):
        assert found.times[fold < number].max() < found.times[fold == number].min()
    for of in data.plan.origins:
        assert max([*of.train, *of.calibrated_by]) < of.test
    assert set(data.test.as_of_us) == {2, 3, 4}, "the first is fitted on, the second calibrates"
    assert report.verdict.passed


def test_the_service_scores_rows_as_the_command_does(tmp_path, project):
    path = table(tmp_path / "flat.csv")
    trained(project, path)
    predictor = flat_champion(project.home, "leavers")
    read = read_flat_rows(project, path, columns(predictor), "customer", None)
    wanted = scored_rows(predictor, read.frame.head(3), read.ids[:3], with_reasons=True)
    cells = [{"tenure": row.tenure, "plan": row.plan, "noise": row.noise} for row in read.frame.head(3).itertuples()]
    store = SimpleNamespace(home=project.home)
    rows = [{"id": str(of), "cells": made} for of, made in zip(read.ids, cells, strict=False)]
    answer = score_table_rows(store, TableScore.model_validate({"model": "leavers", "rows": rows}))
    assert answer["scores"] == wanted
    tenure = {"model": "leavers", "rows": [{"cells": {"tenure": "3"}}]}
    unknown = {"model": "leavers", "rows": [{"cells": {"tenur": 3}}]}
    for broken in ({"model": "nobody", "rows": rows}, {"model": "../x", "rows": rows}, tenure, unknown):
        with pytest.raises(Problem):
            score_table_rows(store, TableScore.model_validate(broken))
    write_table_scores(project.home, wanted, NOW_US, tmp_path / "scores.parquet")
    assert pq.read_table(tmp_path / "scores.parquet")["customer_id"].to_pylist() == ["K0000", "K0001", "K0002"]
    write_table_scores(project.home, wanted, NOW_US, tmp_path / "scores.CSV")
    as_csv = pl.read_csv(tmp_path / "scores.CSV")
    assert as_csv["customer_id"].to_list() == ["K0000", "K0001", "K0002"]
    assert as_csv["probability"].to_list() == pytest.approx([row["probability"] for row in wanted], abs=1e-5)
    assert as_csv["reasons"].str.contains(r"^[a-z]+: \S+ \([+-]\d\.\d{3}\)").all()
    with pytest.raises(UsageError, match=r"its name ends in '\.xlsx'; name it with \.parquet or \.pq or \.csv"):
        write_table_scores(project.home, wanted, NOW_US, tmp_path / "scores.xlsx")
    with pytest.raises(UsageError, match=r"Cannot write .*flat\.csv/scores\.parquet: "):
        write_table_scores(project.home, wanted, NOW_US, path / "scores.parquet")


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        (
            {"label": "churnd"},
            UsageError,
            r"no column 'churnd' \(did you mean 'churned'\?\); there are: customer, tenure",
        ),
        ({"label": "plan"}, DataError, "must have two values, and has 3"),
        ({"label": "churned", "time": "tenure"}, DataError, "must be a date"),
    ],
)
def test_what_cannot_be_meant_is_told_with_what_is_there(tmp_path, project, asked, error, message):
    path = table(tmp_path / "flat.csv")
    with pytest.raises(error, match=message):
        read_flat(project, path, **asked)


def test_a_name_with_a_definition_and_too_few_outcomes_are_refused(tmp_path, project):
    path = table(tmp_path / "flat.csv", rows=60)
    found = read_flat(project, path, label="churned", key="customer")
    settings = {"label": "churned", "id": "customer", "time": None}
    with pytest.raises(UsageError, match="another name"):
        train_flat(project, "churn", found, path, NOW_US, settings)
    with pytest.raises(Refused, match="at least 50 of each kind"):
        train_flat(project, "leavers", found, path, NOW_US, settings)


@pytest.mark.parametrize(
    "spelt",
    [
        lambda days: [f"{day:%Y-%m-%d}" for day in days],
        lambda days: [int(f"{day:%Y%m%d}") for day in days],
        lambda days: [int(day.timestamp()) for day in days],
        lambda days: [int(day.timestamp()) * 1_000 for day in days],
    ],
    ids=["text", "digits", "seconds", "milliseconds"],
)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_time_is_the_same_instant_however_it_is_written(tmp_path, project, spelt, ending):
    days = [datetime(2025, 1 + number % 12, 1 + number % 28, tzinfo=UTC) for number in range(60)]
    rows = {"seen_at": spelt(days), "size": list(range(60)), "churned": ["yes", "no"] * 30}
    path = tmp_path / f"flat.{ending}"
    frame = pd.DataFrame(rows)
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
    found = read_flat(project, path, label="churned", time="seen_at")
    assert found.times.tolist() == [int(day.timestamp()) * 1_000_000 for day in days]


def test_a_folder_is_no_table(tmp_path, project):
    table(tmp_path / "flat.csv")
    with pytest.raises(UsageError, match="is a folder: name the one file"):
        read_flat(project, tmp_path, label="churned")
