"""The page of measured speed shows what the history says, and a benchmark says what it lacks before it measures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MACHINE = {"cores": 2, "memory_gib": 23.5, "architecture": "x86_64", "python": "3.11.7", "libraries": {"duckdb": "1.4"}}


@pytest.fixture
def history(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import history

    return history


def row(ratio: float, **other: object) -> dict[str, object]:
    usual = {"benchmark": "engine", "name": "state built", "reference": "DuckDB", "target": "at most 1", "note": ""}
    return {**usual, "ratio": ratio, "met": ratio <= 1, **other}


def test_the_page_is_what_the_history_says(history):
    assert history.PAGE.read_text("utf-8") == history.page(history.recorded())


def test_a_row_shows_its_newest_figure_and_those_before_newest_first(history, tmp_path):
    path = tmp_path / "history.jsonl"
    for day, ratio in enumerate([1.25, 1.125, 0.875], start=1):
        run = {"date": f"2026-01-0{day}", "commit": f"{day}" * 40, "machine": MACHINE}
        history.record([row(ratio), row(2.0, name="a | b")], run, path)
    shown = history.page(history.recorded(path))
    assert "| state built | DuckDB | 0.875 | at most 1 | 1.12, 1.25 |  |" in shown
    assert "| a \\| b | DuckDB | 2 **missed** | at most 1 | 2, 2 |  |" in shown
    assert "2026-01-03, commit 3333333, 2 cores, 23.5 GiB, x86_64, Python 3.11.7; duckdb 1.4." in shown


def test_a_benchmark_says_at_once_what_the_machine_lacks_and_how_to_get_it(tmp_path):
    bare = {**os.environ, "PATH": str(tmp_path), "VOUCH_DATASETS": ""}
    command = [sys.executable, str(BENCHMARKS / "run.py"), "serving", "sentiment"]
    ended = subprocess.run(command, env=bare, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert "serving: cannot run, the program wrk is not there: apt-get install wrk" in ended.stdout
    assert "sentiment: cannot run, the folder of public data sets is not there: export VOUCH_DATASETS" in ended.stdout
    assert "Error" not in ended.stdout + ended.stderr
