"""The example for Airflow: its own loader takes it, and it tries again what another try may mend, and nothing else."""

from __future__ import annotations

import ast
import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer.main
from click import Context

from vouch.serving.cli import app

ROOT = Path(__file__).parents[3]
FILE = ROOT / "serving" / "deployment" / "airflow_weekly.py"


def script() -> str:
    """What the DAG runs."""
    found = [
        node.value.value
        for node in ast.parse(FILE.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "SCORE"
    ]
    return found[0]


def test_what_it_runs_is_a_command_that_vouch_takes():
    _, _, name, *given = shlex.split(script().replace("$VOUCH_DATA", "company").replace("$1", "2026-11-16"))
    command = typer.main.get_command(app).commands[name]
    command.parse_args(Context(command, info_name=name), given)


def test_the_command_and_the_data_are_those_of_the_settings(tmp_path):
    job = tmp_path / "my vouch"
    job.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    job.chmod(0o755)
    settings = {"VOUCH_BIN": str(job), "VOUCH_DATA": "my data", "PATH": "/usr/bin:/bin"}
    words = ["/bin/sh", "-c", script(), "vouch", "2026-11-16"]
    done = subprocess.run(words, env=settings, capture_output=True, text=True, check=True)
    assert done.stdout.split("|")[:4] == ["score", "my data", "--as-of", "2026-11-16"]


@pytest.mark.airflow
def test_airflow_loads_it_and_tries_again_what_another_try_may_mend(tmp_path):
    (tmp_path / "dags").mkdir()
    shutil.copy(FILE, tmp_path / "dags")
    job = tmp_path / "vouch"
    job.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nexit $EXIT\n')
    job.chmod(0o755)
    settings = {"AIRFLOW_HOME": str(tmp_path / "home"), "VOUCH_BIN": str(job), "VOUCH_DATA": "company"}
    done = subprocess.run(
        [os.environ["VOUCH_AIRFLOW"], str(ROOT / "tests" / "support" / "airflow_dag.py"), str(tmp_path / "dags")],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["errors"] == {}
    assert told["vouch_weekly"] == ["15 2 * * 1", False, 1, ["score"]]
    again, never = "RuntimeError", "AirflowFailException"
    assert told["ends"] == {"0": "done", "1": again, "2": never, "3": again, "4": never}
    assert {line.split(" --as-of ")[1][:10] for line in (tmp_path / "asked").read_text().splitlines()} == {"2026-11-16"}
