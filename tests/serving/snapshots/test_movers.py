"""Who moved since the week before, and what became of who was flagged: short lists whose parts add up."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pytest

from support.handwritten_weeks import MONDAY, customer, publish
from vouch import models
from vouch.features.asof import Tables
from vouch.features.contract.tables import DAY_US
from vouch.features.errors import UsageError
from vouch.features.instants import WEEK_US
from vouch.serving import metric_queries
from vouch.serving.monitoring.alerts import followed
from vouch.serving.snapshots import schema as columns
from vouch.serving.snapshots.movers import LISTS, LONGEST, mover_table, movers_of, state_columns

PART = {"cause": "feature", "family": "usage", "feature": "active_days_28d", "before": "9", "value": "3"}


def week(*people):
    """Scores of a week by hand: (customer, churn, advocacy, tier)."""
    rows = [
        customer(name, churn, advocacy, advocate_tier=tier)
        | {"churn_raw": None if churn is None else 10 * churn, "advocacy_raw": 10 * advocacy}
        for name, churn, advocacy, tier in people
    ]
    schema = columns.scores_schema(MONDAY)
    return pa.Table.from_pylist([{name: row.get(name) for name in state_columns()} for row in rows]).cast(
        pa.schema([schema.field(name) for name in state_columns()])
    )


THEN = week(
    ("a", 0.1, 0.2, "none"), ("b", 0.6, 0.2, "active"), ("c", 0.3, 0.2, "none"), ("d", None, 0.2, "none"),
    ("gone", 0.9, 0.9, "active"),
)  # fmt: skip
NOW = week(
    ("a", 0.7, 0.2, "none"), ("b", 0.2, 0.1, "active"), ("c", 0.31, 0.6, "influential"), ("d", 0.8, 0.2, "none"),
    ("new", 0.9, 0.9, "active"),
)  # fmt: skip


def changes(now, then):
    """One part per customer, which is the whole movement."""
    before = {row["customer_id"]: row for row in then.to_pylist()}
    rows = []
    for row in now.to_pylist():
        parts = {}
        for model in columns.MODELS:
            old = before.get(row["customer_id"], {}).get(f"{model}_raw")
            is_both = old is not None and row[f"{model}_raw"] is not None
            parts[f"{model}_changes"] = [{**PART, "contribution": row[f"{model}_raw"] - old}] if is_both else None
        rows.append({"customer_id": row["customer_id"], "as_of": None, **parts})
    return pa.Table.from_pylist(rows, columns.changes_schema(MONDAY))


def names(table, model, name):
    return [row["customer_id"] for row in movers_of(table, model, name, LONGEST)]


def test_the_lists_hold_who_moved_the_largest_movement_first():
    table = mover_table(NOW, THEN, changes(NOW, THEN), MONDAY)
    assert table.schema.equals(columns.movers_schema(MONDAY))
    assert names(table, "churn", "rose") == ["a", "c"]
    assert names(table, "churn", "fell") == ["b"]
    assert names(table, "churn", "new_high") == ["a", "d"], "who had no score before is newly high, too, and comes last"
    assert names(table, "churn", "no_longer_high") == ["b"]
    assert names(table, "advocacy", "new_advocate") == ["c"], "who is new has not moved"
    assert {(row["model"], row["list"]) for row in table.to_pylist()} <= {
        (model, name) for model, of in LISTS.items() for name in of
    }


def test_the_parts_of_every_mover_add_up_to_the_movement():
    table = mover_table(NOW, THEN, changes(NOW, THEN), MONDAY)
    moved = [row for row in table.to_pylist() if row["changes"] is not None]
    assert len(moved) >= 5
    for row in moved:
        parts = sum(part["contribution"] for part in row["changes"])
        assert row["raw_before"] + parts == pytest.approx(row["raw"], abs=1e-12)


def test_without_a_week_before_there_are_no_movers():
    table = mover_table(NOW, None, changes(NOW, THEN), MONDAY)
    assert (len(table), table.schema) == (0, columns.movers_schema(MONDAY))


def test_a_list_is_no_longer_than_it_may_be():
    many = [(f"c{number:04}", 0.1, 0.1, "none") for number in range(LONGEST + 5)]
    then, now = week(*many), week(*((name, 0.9, 0.1, "none") for name, *_ in many))
    table = mover_table(now, then, changes(now, then), MONDAY)
    assert len(names(table, "churn", "rose")) == LONGEST
    assert names(table, "churn", "rose")[0] == "c0000"


@pytest.fixture
def labels(monkeypatch):
    """Outcomes by hand: of ten customers whose numbers are below 5, every second one left."""

    def label(tables, instants, known_us, target):
        return pd.DataFrame(
            {
                "customer_id": [f"c{number}" for number in range(10)],
                "as_of_us": instants[0],
                "label": [1.0 if number in (0, 2) else 0.0 for number in range(10)],
            }
        )

    def moments(tables, known_us, target):
        days = [("c0", -3), ("c0", 3), ("c0", 20), ("c2", 8), ("c1", 1), ("c2", 60)]  # c1 came back: no churn
        then_us = MONDAY - 13 * WEEK_US
        return pd.DataFrame({"customer_id": [c for c, _ in days], "moment_us": [then_us + d * DAY_US for _, d in days]})

    real = models.load

    def judged(name):
        by_hand = {"label": label, "moments": moments if name == "churn" else None}
        targets = [replace(target, **by_hand) for target in real(name).targets]
        return SimpleNamespace(targets=targets, target_named=lambda of: replace(real(name).target_named(of), **by_hand))

    monkeypatch.setattr("vouch.serving.monitoring.alerts.models.load", judged)


NOBODY = Tables(frames={}, columns={}, fingerprint="", engine="duckdb")
STATES = pd.DataFrame(
    {
        "customer_id": [f"c{number}" for number in range(9)],
        "churn_status": ["churned", "ok", "leaving", *["ok"] * 6],
        "churn_band": [None, "high", None, *["low"] * 6],
        "advocate_tier": ["none"] * 9,
    }
)


def entries(home):
    return {(entry["model"], entry["weeks"]): entry for entry in followed(home, NOBODY, MONDAY, STATES)}


def test_who_was_flagged_is_followed_and_judged_once_the_outcome_is_final(tmp_path, labels):
    people = [customer(f"c{number}", 0.7 if number < 5 else 0.1, 0.2) for number in range(10)]
    for weeks in (6, 13):
        publish(tmp_path, MONDAY - weeks * WEEK_US, people)
    found = entries(tmp_path)
    late, early = found["churn", 13], found["churn", 6]
    assert (late["flagged"], late["reason"], late["as_of"]) == (5, None, "2026-08-17")
    assert late["became"] == {"churned": 1, "high": 1, "leaving": 1, "low": 2}
    assert (late["precision"], late["base_rate"], late["lift"]) == (0.4, 0.2, 2.0)
    assert late["precision_low"] < 0.4 < late["precision_high"]
    assert (early["reason"], early["precision"], early["flagged"]) == (None, 0.4, 5)
    assert late["lead_days"] == 5.5, "from the flag to leaving, in the middle of the two who left"
    assert all(entry["reason"] != "not_final" for entry in found.values())
    assert early["became"] == late["became"]
    assert found["advocacy", 13]["flagged"] == 1, "the tenth with the highest probability"


def test_the_list_of_alerts_is_what_the_published_week_says_of_them(tmp_path, labels):
    people = [customer(f"c{number}", 0.7 if number < 5 else 0.1, 0.2) for number in range(10)]
    publish(tmp_path, MONDAY - 13 * WEEK_US, people)
    with pytest.raises(UsageError, match="vouch score"):
        metric_queries.alerts(tmp_path, MONDAY)
    publish(tmp_path, MONDAY, people, flagged=followed(tmp_path, NOBODY, MONDAY, STATES))
    found = {(row["model"], row["weeks"]): row for row in metric_queries.alerts(tmp_path, MONDAY)}
    late, early = found["churn", 13], found["churn", 6]
    assert (late["flagged"], late["precision"], late["lead_days"], late["reason"]) == (5, 0.4, 5.5, None)
    assert (early["precision"], early["lead_days"], early["reason"]) == (None, None, "no_snapshot")
    assert "alerts" in {row["list"] for row in metric_queries.list_meanings()}


def test_weeks_that_cannot_be_followed_say_why(tmp_path):
    publish(tmp_path, MONDAY - 6 * WEEK_US, [customer("c1", 0.1, 0.2)], models={"churn": {"target": "contract"}})
    found = entries(tmp_path)
    assert found["churn", 6]["reason"] == "nobody_flagged"
    assert found["advocacy", 13]["reason"] == "no_snapshot"
    assert found["churn", 13]["reason"] == "no_snapshot"
    folder = next((tmp_path / "snapshots").glob("*/revision-1"))
    (folder / "scores.parquet").write_bytes(b"")
    assert entries(tmp_path)["churn", 6]["reason"] == "damaged_snapshot"


def test_a_week_that_was_scored_by_a_model_that_knew_what_came_is_marked_and_not_judged(tmp_path, labels):
    people = [customer(f"c{number}", 0.7 if number < 5 else 0.1, 0.2) for number in range(10)]
    for weeks, fitted in ((6, "2026-11-02"), (13, "2026-08-17")):
        facts = {name: {"target": target, "content_hash": "h", "as_of": fitted}
                 for name, target in (("churn", "contract"), ("advocacy", "organic"))}  # fmt: skip
        publish(tmp_path, MONDAY - weeks * WEEK_US, people, models=facts)
    found = entries(tmp_path)
    late = found["churn", 6]
    assert (late["reason"], late["precision"], late["flagged"]) == ("learned_later", None, 5)
    assert late["became"], "where they stand is told all the same"
    assert (found["churn", 13]["reason"], found["churn", 13]["precision"]) == (None, 0.4)


def test_each_model_is_looked_at_when_what_it_foretold_is_final(tmp_path, labels):
    people = [customer(f"c{number}", 0.7, 0.2) for number in range(10)]
    for weeks in range(4, 20):
        publish(tmp_path, MONDAY - weeks * WEEK_US, people)
    found = entries(tmp_path)
    assert {(model, weeks) for model, weeks in found if model in {"churn", "advocacy"}} == {
        ("churn", 6), ("churn", 13), ("advocacy", 13),
    }  # fmt: skip
    assert {entry["reason"] for key, entry in found.items() if key[0] in {"churn", "advocacy"}} == {None}
