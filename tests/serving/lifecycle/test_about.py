"""The right of access: one file tells all that is held on one person, by the list that erasing goes by."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from support.handwritten_weeks import MONDAY, WEEK, customer, publish
from support.rows.table_files import row, write_csv
from vouch.features.ingest.stage import stage
from vouch.features.instants import parse_instant
from vouch.features.project import Project
from vouch.serving.lifecycle.inventory import HOLDINGS
from vouch.serving.store.audit import newest_entries
from vouch.serving.store.connection import Database
from vouch.serving.store.weeks import bring

WHO = "Jos\u00e9-4711"
NOW = parse_instant("2026-11-17T06:00:00Z")


@pytest.fixture
def home(tmp_path, vouch) -> Path:
    home, out = tmp_path / "home", tmp_path / "out"
    rows = {
        "customers": [row("customers", customer_id=WHO), row("customers", customer_id="c1", referred_by=WHO)],
        "usage_events": [
            row("usage_events", customer_id=WHO),
            row("usage_events", customer_id=f" {WHO}", occurred_at="soon"),
        ],
    }
    stage(Project(home=home, location=str(write_csv(tmp_path / "tables", rows))), NOW)
    publish(home, MONDAY, sorted([*WEEK, customer(WHO, 0.9, 0.9)], key=lambda one: one["customer_id"]))
    database = Database(home)
    assert bring(database, home, NOW) == []
    database.close()
    assert vouch("export", "--to", "salesforce", "--out", out)[0] == 0
    assert vouch("report", "--out", out / "week.html")[0] == 0
    (home / "logs").mkdir()
    (home / "logs" / "a.log").write_text(f"looked at {WHO}\nlooked at c1\n")
    return home


@pytest.mark.parametrize("given", [WHO, unicodedata.normalize("NFD", f" {WHO} ")])
def test_all_that_is_held_is_told_with_where_it_stands_and_what_is_not_held(home, tmp_path, vouch, given):
    out = tmp_path / "about.json"
    code, printed, err = vouch("about", given, "--out", out, "--format", "json")
    assert (code, err) == (0, "")
    told = json.loads(out.read_text())
    assert told["customer_id"] == WHO
    held = {of["place"]: of["rows"] for of in told["held"]}
    assert {"snapshots", "staged", "quarantine", "serving", "logs", "outputs.json"} <= held.keys()
    assert {of["held"]["table"] for of in held["snapshots"]} == {"scores", "customers"}
    assert {Path(of["held"]["file"]).name for of in held["staged"]} >= {"customers.parquet", "usage_events.parquet"}
    assert "soon" in json.dumps(held["quarantine"])
    assert [of["held"] for of in held["logs"]] == [f"looked at {WHO}"]
    assert {Path(of["where"]).name for of in held["outputs.json"]} >= {"vouch-salesforce-2026-11-16-001.csv"}
    listed = {of["place"] for of in [*told["held"], *told["not_held"]]}
    assert listed == {holding.name for holding in HOLDINGS}
    assert all(of["why"] for of in told["not_held"])
    assert told["beyond_reach"]
    summary = json.loads(printed)
    assert {of["place"]: of["rows"] for of in summary["places"] if of["rows"]} == {n: len(r) for n, r in held.items()}
    assert WHO not in printed


def test_what_is_told_of_one_person_holds_no_row_of_another(home, tmp_path, vouch):
    assert vouch("about", "c1", "--out", tmp_path / "about.json")[0] == 0
    told = json.loads((tmp_path / "about.json").read_text())
    rows = [of["held"] for entry in told["held"] for of in entry["rows"] if isinstance(of["held"], dict)]
    assert rows
    assert all("c1" in of.values() for of in rows)


def test_who_stands_nowhere_gets_no_file(home, tmp_path, vouch):
    code, out, err = vouch("about", "nobody", "--out", tmp_path / "about.json")
    assert (code, out) == (1, "")
    assert "found nowhere" in err
    assert "nobody" not in err
    assert not (tmp_path / "about.json").exists()


def test_the_answer_goes_with_the_person_and_then_the_hash_alone_is_held(home, tmp_path, vouch):
    out = tmp_path / "about.json"
    assert vouch("about", WHO, "--out", out)[0] == 0
    assert vouch("about", "c1", "--out", tmp_path / "other.json")[0] == 0
    assert vouch("erase", WHO)[0] == 0
    assert not out.exists()
    other = json.loads((tmp_path / "other.json").read_text())
    assert other["customer_id"] == "c1", "the answer to somebody else stays, without the name"
    assert WHO not in (tmp_path / "other.json").read_text()
    assert vouch("about", WHO, "--out", out)[0] == 0
    (held,) = json.loads(out.read_text())["held"]
    assert held["place"] == "erasure"
    assert held["rows"][0]["held"]["receipts"]


def test_the_audit_log_tells_that_it_was_asked_for(home, tmp_path, vouch):
    assert vouch("about", WHO, "--out", tmp_path / "about.json", "--now", "2026-11-17")[0] == 0
    database = Database(home)
    with database.reading() as connection:
        newest = newest_entries(connection, 1)[0]
    database.close()
    assert (newest["action"], newest["route"], newest["customer_id"]) == ("told", "vouch about", WHO)


def test_erasing_takes_out_all_that_the_answer_told(home, tmp_path, vouch):
    out = tmp_path / "about.json"
    assert vouch("about", WHO, "--out", out)[0] == 0
    told = json.loads(out.read_text())
    _, printed, _ = vouch("erase", WHO, "--format", "json")
    gone = {place["place"] for place in json.loads(printed)["places"]}
    assert {of["where"] for entry in told["held"] for of in entry["rows"]} <= gone
