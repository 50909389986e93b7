"""Rows of a company say what comes true: in the window and nowhere else, as another target."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from vouch.features.errors import ConfigurationError, MissingTable
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.instants import microseconds, parse_instant
from vouch.features.model_settings import ModelSettings, OutcomeRows
from vouch.features.project import load_project
from vouch.features.vectors.build import collect, vectors
from vouch.features.vectors.lines import use_lines
from vouch.models import load
from vouch.models.own_outcomes import with_outcome
from vouch.models.scoring.documents import BundleManifest
from vouch.training.incumbent import meet

T = datetime(2025, 6, 2, tzinfo=UTC)
T_US, NOW_US = microseconds(T), parse_instant("2025-09-01")
CALLS = """
[tables.calls]
from = "phone"
columns = { customer_id = "who", occurred_at = "ts" }
[churn]
horizon = 28
lead = 7
"""
CANCELS = CALLS + '[churn.outcome]\ntable = "calls"\ncolumn = "reason"\nequals = "cancel"\n'


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("VOUCH_HOME", str(tmp_path / "home"))
    yield
    use_lines((), {})


def call(who: str, day: float, reason: str = "cancel", *, left: bool = False):
    return {"who": who, "ts": T + timedelta(days=day), "reason": reason, "has_churned": left}


FIRST, AFTER = 7, 35
"""Days from T to the first of the window, and to the first after it."""
MINUTE = 1 / 1440
ROWS = [
    call("first", FIRST),
    call("early", FIRST - MINUTE),
    call("last", AFTER - MINUTE),
    call("late", AFTER),
    call("asked", 20, "question", left=True),
    call("before", -3),
]
PEOPLE = ["after", *(row["who"] for row in ROWS)]


def opened(folder, settings: str = CANCELS, rows=ROWS):
    folder.mkdir(exist_ok=True)
    day = timedelta(days=1)
    people = {"customer_id": PEOPLE, "created_at": [T - 300 * day] * len(PEOPLE)}
    pl.DataFrame(people).write_parquet(folder / "customers.parquet")
    used = {"customer_id": PEOPLE, "occurred_at": [T - day] * len(PEOPLE), "event": ["login"] * len(PEOPLE)}
    pl.DataFrame(used).write_parquet(folder / "usage_events.parquet")
    pl.DataFrame(rows).write_parquet(folder / "phone.parquet")
    (folder / "vouch.toml").write_text(f'data = "."\n{settings}')
    project = load_project(str(folder / "vouch.toml"))
    tables = open_tables(stage(project, NOW_US), "polars")
    return tables, load("churn").configured(project.models["churn"])


def who_came_true(tables, model, known_us: int = NOW_US) -> set[str]:
    target = model.target(tables)
    rows = target.label(tables, [T_US], known_us, target)
    assert sorted(rows["customer_id"]) == sorted(PEOPLE)
    return set(rows.loc[rows["label"] == 1, "customer_id"])


def test_a_row_counts_from_the_first_moment_of_the_window_to_the_last_before_its_end(tmp_path):
    tables, model = opened(tmp_path / "shop")
    assert who_came_true(tables, model) == {"first", "last"}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("", {"first", "last", "asked"}),
        ('column = "reason"', {"first", "last", "asked"}),
        ('column = "reason"\nequals = "question"', {"asked"}),
        ('column = "has_churned"', {"asked"}),
        ('column = "has_churned"\nequals = "false"', {"first", "last"}),
    ],
)
def test_all_rows_count_or_those_with_a_value(tmp_path, told, expected):
    tables, model = opened(tmp_path / "shop", f'{CALLS}[churn.outcome]\ntable = "calls"\n{told}\n')
    assert who_came_true(tables, model) == expected


def test_rows_of_a_table_of_the_contract_count_as_well(tmp_path):
    settings = CALLS.replace("lead = 7", "") + '[churn.outcome]\ntable = "usage_events"\nequals = "login"\n'
    settings = settings.replace("equals", 'column = "event"\nequals')
    tables, model = opened(tmp_path / "shop", settings)
    target = model.target(tables)
    before = T_US - 2 * 86_400_000_000
    assert target.label(tables, [before], NOW_US, target)["label"].eq(1.0).all()


def test_what_is_not_final_is_no_label(tmp_path):
    tables, model = opened(tmp_path / "shop")
    target, end = model.target(tables), T_US + AFTER * 86_400_000_000
    assert target.label(tables, [T_US], end - 1, target)["label"].isna().all()
    assert target.label(tables, [T_US], end, target)["label"].notna().all()


def test_the_future_changes_no_vector_and_what_lies_after_the_window_no_label(tmp_path):
    tables, model = opened(tmp_path / "shop")
    seen, came = collect(vectors(tables, T_US)), who_came_true(tables, model)
    rng = np.random.default_rng(7)
    future = [call(str(rng.choice(PEOPLE)), float(day), "cancel", left=True) for day in rng.uniform(AFTER, 80, 40)]
    kept = [row for row in ROWS if row["who"] not in {"late", "early"}] + [call("early", 1)]
    tables, model = opened(tmp_path / "other", rows=[*kept, *future])
    assert who_came_true(tables, model) == came
    again = collect(vectors(tables, T_US))
    assert seen["calls_rows"].sum() == 1  # what lies before T is history
    for name in seen.columns:
        assert seen[name].equals(again[name]), name


def test_a_leaking_column_is_read_for_the_outcome_and_feeds_nothing(tmp_path):
    settings = f'{CALLS}[features]\nleave_out = ["calls.has_churned"]\n'
    assert not opened(tmp_path / "shop", settings)[0].has("calls", "has_churned")
    told = '[churn.outcome]\ntable = "calls"\ncolumn = "has_churned"\n'
    tables, model = opened(tmp_path / "shop", settings + told)
    assert who_came_true(tables, model) == {"asked"}
    assert [line for line in tables.lines if line.value == "has_churned"] == []
    assert any(line.value == "reason" for line in tables.lines)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ('table = "cals"', r"\[churn.outcome\] table = 'cals' is no table .*did you mean 'calls'"),
        ('table = "customers"', "is no table with a customer and a time"),
        ('table = "calls"\ncolumn = "reson"', r"is no column of 'calls' \(did you mean 'reason'\?\)"),
        ('table = "calls"\ncolumn = "has_churned"\nequals = "maybe"', "is true or false"),
        ('table = "calls"\nequals = "cancel"', "`equals` goes with a column"),
        ('column = "reason"', "needs `table"),
        ('table = "calls"\ncolumn = "reason"\nequals = "a\\nb"', "one line of at most 200 signs"),
        ('table = "calls"\ncolum = "reason"', "unknown key 'colum' .did you mean 'column'"),
    ],
)
def test_an_outcome_that_cannot_be_meant_is_refused_with_the_mend(tmp_path, told, message):
    with pytest.raises(ConfigurationError, match=message):
        opened(tmp_path / "shop", f"{CALLS}[churn.outcome]\n{told}\n")


FILES = dict.fromkeys(["model.json", "calibrator.json", "features.json", "golden.json"], "0" * 64)
"""What a bundle of rules lists."""


@pytest.mark.parametrize("equals", ["cancel", "a.b=c (d)", "x)_horizon9", None])
def test_an_own_outcome_is_another_target_and_is_found_by_its_name(equals):
    settings = ModelSettings(outcome=OutcomeRows("calls", "reason", equals), horizon_days=60, inactive_days=30)
    model = load("churn").configured(settings)
    assert len({target.name for target in (*model.targets, *load("churn").targets)}) == 4
    for target in model.targets:
        assert load("churn").target_named(target.name) == target
        assert target.gap_days == 0
        manifest = {"format": 2, "kind": "rules", "model": "churn", "target": target.name, "files": FILES}
        assert BundleManifest.model_validate(manifest).target == target.name
        assert target.trials is None
    assert model.fingerprint != load("churn").fingerprint


def test_without_its_rows_there_is_no_such_outcome(tmp_path):
    tables, _ = opened(tmp_path / "shop", CALLS)
    model = load("churn").configured(ModelSettings(outcome=OutcomeRows("letters")))
    with pytest.raises(MissingTable, match="letters"):
        model.target(tables)


def test_the_champion_of_another_outcome_is_met_as_such(monkeypatch, tmp_path):
    class Champion:
        target, content_hash = "contract", "abc"

    class Judged:
        model = load("churn")
        target = with_outcome(load("churn").targets[0], OutcomeRows("calls"))

    monkeypatch.setattr("vouch.training.incumbent.load_champion", lambda *_: Champion())
    found = meet(tmp_path, Judged(), None, 0)
    assert found.is_of_another_target
    assert "contract, not contract(calls)" in found.why
