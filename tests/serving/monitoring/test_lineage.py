"""OpenLineage events of a run: as the specification has them, to a file or an address, and never in the run's way."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import jsonschema
import pytest

from support.capabilities import free_port
from support.handwritten_weeks import MONDAY, publish
from vouch.features.errors import UsageError
from vouch.features.project import Project
from vouch.serving import weekly_run
from vouch.serving.batch.outcome import WeekOutcome

FACETS = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "required": ["_producer", "_schemaURL"],
        "properties": {
            "_producer": {"type": "string", "format": "uri"},
            "_schemaURL": {"type": "string", "format": "uri", "pattern": r"^https://openlineage\.io/spec/facets/\d"},
        },
    },
}


def dataset(facets: str) -> dict:
    return {
        "type": "object",
        "required": ["namespace", "name"],
        "properties": {"namespace": {"type": "string"}, "name": {"type": "string"}, facets: FACETS},
        "additionalProperties": False,
    }


EVENT = {
    "type": "object",
    "required": ["eventTime", "producer", "schemaURL", "run", "job"],
    "properties": {
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "eventTime": {"type": "string", "format": "date-time"},
        "producer": {"type": "string", "format": "uri"},
        "schemaURL": {"const": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"},
        "run": {
            "type": "object",
            "required": ["runId"],
            "properties": {"runId": {"type": "string", "format": "uuid"}, "facets": FACETS},
            "additionalProperties": False,
        },
        "job": {"type": "object", "required": ["namespace", "name"]},
        "inputs": {"type": "array", "items": dataset("inputFacets")},
        "outputs": {"type": "array", "items": dataset("outputFacets")},
    },
    "additionalProperties": False,
}
"""What version 2-0-2 of the specification asks of a run event, read from it."""
CHECK = jsonschema.Draft202012Validator(EVENT, format_checker=jsonschema.FormatChecker())


def week(folder: Path | None, outcome: str = "published") -> WeekOutcome:
    return WeekOutcome(MONDAY, 1, outcome, folder, 6, {})


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs the week with an end of its own, and gives the events that a file has then."""
    snapshot = publish(tmp_path / "home").folder
    monkeypatch.setattr(weekly_run, "log_weeks", lambda *_: [])
    monkeypatch.setattr(weekly_run, "_loaded", lambda *_: [])

    def run_(end=None, place=tmp_path / "lineage" / "events.jsonl"):
        def score_weeks(*_, **__):
            if isinstance(end, BaseException):
                raise end
            return [week(snapshot)] if end is None else end

        monkeypatch.setattr(weekly_run, "score_weeks", score_weeks)
        monkeypatch.setenv("VOUCH_LINEAGE", str(place))
        project = Project(tmp_path / "home", "postgresql://me:secret@db:5433/shop?schema=crm")
        done = weekly_run.run_weekly(project, None, MONDAY, MONDAY)
        return done, events(place)

    return run_


def events(place) -> list[dict]:
    path = Path(str(place))
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    for event in found:
        CHECK.validate(event)
    return found


def test_a_run_tells_its_start_and_what_it_read_and_published_by_one_id(run):
    _, (start, end) = run()
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == end["run"]["runId"]
    assert start["eventTime"] <= end["eventTime"]
    read = {one["name"]: one["inputFacets"]["inputStatistics"]["rowCount"] for one in end["inputs"]}
    assert read == {"shop.crm.customers": 6, "shop.crm.usage_events": 1200}
    assert {one["namespace"] for one in end["inputs"]} == {"postgres://db:5433"}
    (made,) = end["outputs"]
    assert made["outputFacets"]["outputStatistics"]["rowCount"] == 6
    assert "secret" not in json.dumps([start, end])


def test_a_refused_run_and_a_failed_one_have_failed_and_no_row_is_quoted(run, tmp_path):
    _, told = run([week(None, "refused")])
    assert told[-1]["eventType"] == "FAIL"
    assert told[-1]["outputs"] == []
    for error, message in ((UsageError("give the data"), "give the data"), (ValueError("Mona 7"), "ValueError")):
        with pytest.raises(type(error)):
            run(error)
        last = events(tmp_path / "lineage" / "events.jsonl")[-1]
        assert (last["eventType"], last["run"]["facets"]["errorMessage"]["message"]) == ("FAIL", message)


@contextmanager
def collecting(status: int, goes_to: str = ""):
    """A collector of events on loopback that answers all of them alike."""
    heard: list[tuple[str, str | None, dict]] = []

    class Answers(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            heard.append((self.path, self.headers.get("authorization"), body))
            self.send_response(status)
            if goes_to:
                self.send_header("location", goes_to)
            self.end_headers()

    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/v1/lineage", heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_an_address_takes_each_event_with_the_key_of_the_settings(run, monkeypatch):
    monkeypatch.setenv("VOUCH_LINEAGE_KEY", "k")
    with collecting(201) as (address, heard):
        done, _ = run(place=address)
    assert [(path, key, body["eventType"]) for path, key, body in heard] == [
        ("/api/v1/lineage", "Bearer k", "START"),
        ("/api/v1/lineage", "Bearer k", "COMPLETE"),
    ]
    for _, _, body in heard:
        CHECK.validate(body)
    assert done.warnings == []


def test_a_place_that_takes_none_is_a_warning_and_stops_no_run(run, tmp_path):
    (tmp_path / "file").write_text("")
    with collecting(500) as (address, _):
        places = [address, f"http://127.0.0.1:{free_port()}/", tmp_path / "file" / "below"]
        for place in places:
            done, _ = run(place=place)
            assert len(done.weeks) == 1
            assert len(done.warnings) == 2
            assert all("lineage was not told" in warning for warning in done.warnings)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_key_goes_nowhere_but_where_the_settings_say(run, monkeypatch, status):
    monkeypatch.setenv("VOUCH_LINEAGE_KEY", "k")
    with collecting(201) as (elsewhere, heard), collecting(status, elsewhere) as (address, _):
        done, _ = run(place=address)
    assert (len(done.warnings), heard) == (2, [])


def test_without_the_setting_nothing_is_told(run, tmp_path):
    done, found = run(place="")
    assert (done.warnings, found) == ([], [])
    assert not (tmp_path / "lineage").exists()
