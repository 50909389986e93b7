"""Runs are on record however they end: `vouch runs` and Prometheus say when each job last went well."""

from __future__ import annotations

import json
from contextlib import nullcontext

import pytest

from vouch.features.errors import Refused, UsageError
from vouch.features.instants import parse_instant
from vouch.serving.batch import run_records
from vouch.serving.batch.run_records import FOLDER, last_of_each, recorded_runs, recording

MONDAY = parse_instant("2026-11-16T02:15:00Z")
HOUR_US = 3_600_000_000
ENDS = {
    "done": (None, 0, None),
    "refused": (Refused("too few rows"), 4, "too few rows"),
    "failed": (UsageError("no such folder"), 2, "no such folder"),
    "unforeseen": (KeyError("ada@example.org"), 1, "KeyError"),
}


def leave(home, command, now_us, raised=None, **figures):
    with recording(home, command, now_us) as run:
        run.figures = figures
        if raised is not None:
            raise raised


@pytest.mark.parametrize("end", ENDS)
def test_a_run_is_on_record_however_it_ends(end, tmp_path):
    raised, code, message = ENDS[end]
    with nullcontext() if raised is None else pytest.raises(type(raised)):
        leave(tmp_path, "score", MONDAY, raised, rows=3)
    (document,) = recorded_runs(tmp_path)
    assert document["exit_code"] == code
    assert (document["error"] or {}).get("message") == message
    assert document["rows"] == 3
    assert document["seconds"] >= 0
    assert "ada" not in json.dumps(document), "what was not foreseen may quote a row"


def test_the_newest_comes_first_and_what_is_no_record_is_left_out(tmp_path):
    for hours, command in enumerate(("score", "train", "score")):
        leave(tmp_path, command, MONDAY + hours * HOUR_US)
    folder = tmp_path / FOLDER
    (folder / "score-2026-11-16T091500.000000Z.json").write_text("{")
    (folder / "score-2026-11-16T101500.000000Z.json").write_text('{"plan": [], "outcome": "done"}')
    (folder / "notes.json").write_text("[]")
    assert [document["command"] for document in recorded_runs(tmp_path)] == ["score", "train", "score"]
    assert [document["now"] for document in recorded_runs(tmp_path, "score")] == [
        "2026-11-16T04:15:00Z",
        "2026-11-16T02:15:00Z",
    ]


def test_when_a_job_last_went_well_is_told_beside_how_it_last_ended(tmp_path):
    leave(tmp_path, "score", MONDAY)
    with pytest.raises(Refused):
        leave(tmp_path, "score", MONDAY + HOUR_US, Refused("too few rows"))
    newest, well = last_of_each(tmp_path)["score"]
    assert newest["outcome"] == "refused"
    assert well["now"] == "2026-11-16T02:15:00Z"


def test_a_run_that_only_looks_leaves_nothing(tmp_path):
    with recording(tmp_path, "score", MONDAY) as run:
        run.is_recorded = False
    assert not (tmp_path / FOLDER).exists()


def test_a_record_is_read_again_where_it_was_touched_and_else_only_once(tmp_path, monkeypatch):
    leave(tmp_path, "score", 1_700_000_000_000_000)
    (path,) = (tmp_path / FOLDER).iterdir()
    assert last_of_each(tmp_path)["score"][0]["outcome"] == "done"
    monkeypatch.setattr(run_records.json, "loads", None)
    assert last_of_each(tmp_path)["score"][0]["outcome"] == "done"
    monkeypatch.undo()
    path.write_text(path.read_text().replace("done", "failed"))
    assert last_of_each(tmp_path)["score"][0]["outcome"] == "failed"
