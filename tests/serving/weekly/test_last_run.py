"""What is told of the last run: how it ended, and by which limits it was refused; nothing of what it said."""

from __future__ import annotations

import html
import json

import pytest

from support.servers.answering import Served
from vouch.features.errors import ConfigurationError
from vouch.features.instants import parse_instant
from vouch.serving.batch.run_records import recording
from vouch.serving.presentation.translations import LANGUAGES, speech
from vouch.serving.weekly.last_run import last_run, messages_given_up

FINDING = {
    "guard": "customers_change", "thing": "customers", "level": "hard", "value": 0.7, "limit": 0.3, "meaning": "change",
    "current": 3.0, "before": 10.0, "detail": "",
}  # fmt: skip


def ran(home, moment: str, outcome: str, **other) -> None:
    (home / "runs").mkdir(exist_ok=True)
    week = {"as_of": "2026-11-23", "outcome": "published", "guards": []}
    document = {
        "command": "score", "now": f"{moment}T06:00:00Z", "outcome": outcome, "exit_code": 0, "error": None,
        "weeks": [week], **other,
    }  # fmt: skip
    (home / "runs" / f"score-{moment}T060000.000000Z.json").write_text(json.dumps(document))


def test_a_host_that_does_not_score_tells_of_no_run(tmp_path):
    assert last_run(tmp_path) is None


def test_the_newest_run_is_told(tmp_path):
    ran(tmp_path, "2026-11-16", "done")
    ran(tmp_path, "2026-11-23", "failed", error={"code": "data", "message": "/secret/place"}, weeks=[])
    found = last_run(tmp_path)
    assert (found["at"], found["outcome"], found["code"], found["as_of"]) == (
        "2026-11-23T06:00:00Z", "failed", "data", None,
    )  # fmt: skip
    assert "/secret/place" not in json.dumps(found)


def test_a_refusal_names_the_hard_limits_alone(tmp_path):
    guards = [FINDING, {**FINDING, "level": "soft", "guard": "other"}]
    week = {"as_of": "2026-11-23", "outcome": "refused", "guards": guards}
    ran(tmp_path, "2026-11-23", "refused", weeks=[week], error={"code": "refused", "message": "no"})
    assert [limit["guard"] for limit in last_run(tmp_path)["refused_by"]] == ["customers_change"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"outcome": "done"}', '{"weeks": [{}], "outcome": "done"}'])
def test_a_summary_that_cannot_be_read_is_passed_over(tmp_path, text):
    ran(tmp_path, "2026-11-16", "done")
    (tmp_path / "runs" / "score-2026-11-23T060000.000000Z.json").write_text(text)
    assert last_run(tmp_path)["at"] == "2026-11-16T06:00:00Z"


def test_a_plan_is_no_run(tmp_path):
    ran(tmp_path, "2026-11-16", "done")
    (tmp_path / "runs" / "score-2026-11-23T060000.000000Z.json").write_text(
        json.dumps({"now": "2026-11-23T06:00:00Z", "outcome": "done", "error": None, "plan": []})
    )
    assert last_run(tmp_path)["at"] == "2026-11-16T06:00:00Z"


def test_messages_that_were_given_up_are_told_by_the_last_round_that_counted_them_and_on_the_page(tmp_path):
    assert messages_given_up(tmp_path) == 0
    for day, dead in (("2026-11-23", 7), ("2026-11-24", 2)):
        with recording(tmp_path, "notify", parse_instant(day)) as run:
            run.figures = {"destinations": [{"destination": "hub", "dead": dead}, {"destination": "mail", "dead": 1}]}
    with pytest.raises(ConfigurationError), recording(tmp_path, "notify", parse_instant("2026-11-25")):
        raise ConfigurationError("two receivers are called hub")
    assert messages_given_up(tmp_path) == 3
    served = Served(tmp_path)
    assert served.call("GET", "/v1/week", "read").json()["messages_given_up"] == 3
    for language in LANGUAGES:
        page = html.unescape(served.call("GET", "/app", "read", headers={"accept-language": language}).text)
        assert speech(language)("week.given_up", count="3") in page
    served.close()
