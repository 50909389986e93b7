"""The examples for cron and for Dagster: what they run is what vouch takes, when they say so."""

from __future__ import annotations

import re
import shlex
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer.main
from click import Context

from vouch.features.errors import Locked
from vouch.features.instants import parse_instant
from vouch.serving.batch.outcome import WeekOutcome
from vouch.serving.cli import app
from vouch.serving.weekly_run import WeeklyRun

FOLDER = Path(__file__).parents[3] / "serving" / "deployment"
ENTRY = re.compile(
    r"(\S+) (\S+) (\S+) (\S+) (\S+)\s+vouch\s+(told=\$\((/opt/vouch/\.venv/bin/vouch (.*?)(?: 2>&1)?)\) \|\| .*)"
)
FAR_EAST, FAR_WEST = 14, -12
"""Hours that the clocks of the earth are ahead of UTC at most, and at least."""


def entries():
    lines = (FOLDER / "vouch.cron").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#") and "=" not in line.split()[0]]


@pytest.mark.parametrize("line", entries())
def test_what_cron_runs_is_a_command_that_vouch_takes(line):
    minute, hour, _, _, _, _, _, words = ENTRY.fullmatch(line).groups()
    assert minute == "*/5" or int(minute) < 60
    assert hour == "*" or int(hour) < 24
    name, *given = shlex.split(words)
    command = typer.main.get_command(app).commands[name]
    command.parse_args(Context(command, info_name=name), given)


def test_cron_has_every_job_that_the_units_have():
    units = {path.stem.removeprefix("vouch-") for path in FOLDER.glob("vouch-*.timer")}
    assert {ENTRY.fullmatch(line).groups()[-1].split()[0] for line in entries()} == units


@pytest.mark.parametrize("line", entries())
@pytest.mark.parametrize("code", [0, 1, 2, 3, 4])
def test_cron_has_something_to_mail_where_a_job_failed_and_nothing_where_it_did_not(line, code, tmp_path):
    job = tmp_path / "vouch"
    job.write_text(f"#!/bin/sh\necho on paper; echo aloud >&2; exit {code}\n")
    job.chmod(0o755)
    words = ENTRY.fullmatch(line).group(6).replace("/opt/vouch/.venv/bin/vouch", str(job))
    assert "%" not in words, "cron makes a line end of it"
    done = subprocess.run(["/bin/sh", "-c", words], capture_output=True, text=True, check=False)
    if code == 0:
        assert done.stdout + done.stderr == ""
    else:
        assert f"exit {code}: on paper\naloud" in done.stdout


@pytest.mark.parametrize("zone", range(FAR_WEST, FAR_EAST + 1))
def test_cron_scores_after_the_week_has_ended_whatever_the_machine_s_zone_is(zone):
    assert "CRON_TZ=" not in (FOLDER / "vouch.cron").read_text(), "Debian's cron does not know it"
    days = {"1": 0, "2": 1}
    hours = []
    for line in entries():
        minute, hour, day, month, weekday, *_, words = ENTRY.fullmatch(line).groups()
        if words.startswith("score "):
            assert (day, month) == ("*", "*")
            hours.append(days[weekday] * 24 + int(hour) + int(minute) / 60 - zone)
    assert len(hours) == 2
    assert all(0 < hour < 48 for hour in hours), "within two days of the end of the week in UTC"


@pytest.fixture
def weekly(monkeypatch):
    """The Dagster definition, and what it was made to call."""
    from vouch.serving.deployment import dagster_weekly

    asked = []
    week = WeekOutcome(parse_instant("2026-11-16"), 1, "published", Path("/w"), 5, {}, ["late"])
    answers = [week]

    def run_weekly(project, instants, now_us, _, **__):
        asked.append((project.location, instants, now_us))
        if isinstance(answers[0], Exception):
            raise answers[0]
        return WeeklyRun([answers[0]], [])

    monkeypatch.setattr(dagster_weekly, "run_weekly", run_weekly)
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
