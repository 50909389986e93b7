"""The examples for cron and for Dagster: what they run is what vouch takes, when they say so."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer.main
from click import Context

from vouch.features.errors import Locked
from vouch.features.instants import parse_instant
from vouch.serving.batch.outcome import WeekOutcome
from vouch.serving.cli import app

FOLDER = Path(__file__).parents[3] / "serving" / "deployment"
ENTRY = re.compile(r"(\d+) (\d+) (\S+) (\S+) (\S+)\s+vouch\s+/opt/vouch/\.venv/bin/vouch (.*)")


def entries():
    lines = (FOLDER / "vouch.cron").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#") and "=" not in line.split()[0]]


@pytest.mark.parametrize("line", entries())
def test_what_cron_runs_is_a_command_that_vouch_takes(line):
    minute, hour, _, _, _, words = ENTRY.fullmatch(line).groups()
    assert int(minute) < 60
    assert int(hour) < 24
    name, *given = shlex.split(words)
    command = typer.main.get_command(app).commands[name]
    command.parse_args(Context(command, info_name=name), given)


def test_cron_scores_on_mondays_in_utc_after_the_week_has_ended():
    assert "CRON_TZ=UTC" in (FOLDER / "vouch.cron").read_text()
    scores = [ENTRY.fullmatch(line).groups() for line in entries() if " score " in line]
    assert len(scores) == 2
    assert {(day, month, weekday) for _, _, day, month, weekday, _ in scores} == {("*", "*", "1")}


@pytest.fixture
def weekly(monkeypatch):
    """The Dagster definition, and what it was made to call."""
    from vouch.serving.deployment import dagster_weekly

    asked = []
    week = WeekOutcome(parse_instant("2026-11-16"), 1, "published", Path("/w"), 5, {}, ["late"])
    answers = [week]

    def score_weeks(project, instants, now_us, **_):
        asked.append((project.location, instants, now_us))
        if isinstance(answers[0], Exception):
            raise answers[0]
        return [answers[0]]

    monkeypatch.setattr(dagster_weekly, "score_weeks", score_weeks)
    monkeypatch.setattr(dagster_weekly, "BUSY_SECONDS", 0)
    return dagster_weekly, asked, answers


@pytest.mark.filterwarnings("ignore")  # of Dagster's own
def test_dagster_publishes_the_week_that_its_partition_ends_with(weekly, tmp_path):
    import dagster

    module, asked, answers = weekly

    def materialize():
        resources = {"company": module.Company(data=str(tmp_path))}
        return dagster.materialize(
            [module.snapshot], resources=resources, partition_key="2026-11-09", raise_on_error=False
        )

    done = materialize()
    assert done.success
    ((location, instants, now_us),) = asked
    assert (location, instants) == (str(tmp_path), [parse_instant("2026-11-16")])
    assert now_us > parse_instant("2026-01-01")
    (event,) = done.get_asset_materialization_events()
    assert event.materialization.metadata["customers"].value == 5
    answers[0] = WeekOutcome(parse_instant("2026-11-16"), None, "refused", None, 5, {}, ["rows_lost"])
    assert not materialize().success
    assert len(asked) == 2, "a refusal is not tried again"
    answers[0] = Locked("at work")
    assert not materialize().success
    assert len(asked) == 2 + 1 + module.BUSY_TRIES, "another run is waited for"


@pytest.mark.filterwarnings("ignore")
def test_dagster_starts_it_on_mondays_after_the_week_has_ended():
    import dagster

    from vouch.serving.deployment import dagster_weekly

    schedule = dagster_weekly.definitions.resolve_schedule_def("weekly_schedule")
    assert schedule.cron_schedule == "15 2 * * 1"
    assert schedule.execution_timezone in (None, "UTC")
    context = dagster.build_schedule_context(
        scheduled_execution_time=datetime(2026, 11, 16, 2, 15, tzinfo=UTC),
        repository_def=dagster_weekly.definitions.get_repository_def(),
    )
    (request,) = schedule.evaluate_tick(context).run_requests
    assert request.partition_key == "2026-11-09"
