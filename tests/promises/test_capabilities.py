"""What a machine lacks is skipped and listed, and fails where it is required."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = "pytester"

TESTS = """
import pytest

def test_by_fixture(datasets): ...

@pytest.mark.datasets
def test_by_mark(): ...

def test_free(): ...
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """A function that runs three tests, two of which need data sets that are not there."""
    for name in ("conftest.py", "support/capabilities.py"):
        copied = pytester.path / name
        copied.parent.mkdir(exist_ok=True)
        copied.write_text((Path(__file__).parents[1] / name).read_text("utf-8"), "utf-8")
    pytester.makepyfile(TESTS)
    pytester.makepyprojecttoml("[tool.pytest]\npythonpath = ['.']\nmarkers = ['datasets']\n")
    monkeypatch.delenv("VOUCH_DATASETS", raising=False)

    def run_with(required: str):
        monkeypatch.setenv("VOUCH_REQUIRE", required)
        return pytester.runpytest_subprocess("--strict-markers")

    return run_with


def test_what_is_missing_is_skipped_and_listed(run):
    result = run("postgres")
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(["*skipped, and why*", "*2 tests: needs datasets: VOUCH_DATASETS is not set"])


def test_what_is_missing_fails_where_it_is_required(run):
    result = run("spark, datasets")
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["*Failed: needs datasets: VOUCH_DATASETS is not set"])


def test_a_misspelt_requirement_is_refused(run):
    result = run("postgrs")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*VOUCH_REQUIRE names*postgrs*"])
