"""Notebooks run from their first cell to their last, and show what they say that they show."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[3] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LONG = ("own_files_to_ranked_list", "tune_compare_promote")
"""Notebooks that train by the commands."""
NIGHTLY = (*LONG, "model_card")
OF_ONE_COMPANY = ("add_a_feature", "backtest_of_asking", "errors_and_slices", "explore_features_and_target")
MARKED = [
    pytest.param(name, marks=pytest.mark.nightly if name in NIGHTLY else pytest.mark.slow)
    for name in (path.stem for path in NOTEBOOKS)
]


def text_of(notebook) -> str:
    """Everything that the cells printed or showed as text."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            found += [output.get("text", ""), *(str(value) for value in output.get("data", {}).values())]
    return "\n".join(found)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A function that executes a notebook in a kernel of its own and gives what came out.

    Each has a home of its own, but for those that look at the same company, which is made once.
    """
    done, shared = {}, tmp_path_factory.mktemp("company")

    def executed(name: str):
        if name not in done:
            with pytest.MonkeyPatch.context() as patch:
                home = shared if name in OF_ONE_COMPANY else tmp_path_factory.mktemp(name)
                patch.setenv("VOUCH_HOME", str(home))
                patch.setenv("IPYTHONDIR", str(home / "ipython"))
                patch.delenv("VOUCH_DATA", raising=False)
                notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
                NotebookClient(notebook, timeout=600, kernel_name="python3").execute(cwd=str(FOLDER.parent))
            done[name] = notebook
        return done[name]

    return executed


def test_there_are_the_notebooks_that_are_spoken_of():
    assert {path.stem for path in NOTEBOOKS} == {"first_look", "model_card", *LONG, *OF_ONE_COMPANY}
    said = (FOLDER.parent / "serving" / "docs" / "library.md").read_text(encoding="utf-8")
    assert not [path.stem for path in NOTEBOOKS if f"{path.stem}.ipynb" not in said]


@pytest.mark.parametrize("name", MARKED)
def test_every_cell_runs_and_complains_of_nothing(name, run):
    notebook = run(name)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text


@pytest.mark.slow
def test_the_first_look_finds_the_rows_that_were_broken_on_purpose(run):
    shown = text_of(run("first_look"))
    (entries,) = re.findall(r"^6 entries: (.*)$", shown, re.MULTILINE)
    assert sorted(entries.split(", ")) == ["outside_scale 4", "time_runs_backwards 2"]


@pytest.mark.nightly
def test_the_model_card_is_read_from_what_training_logged(run):
    shown = text_of(run("model_card"))
    assert "advocacy, version 1" in shown
    assert "lightgbm" in shown
    assert "rules held" in shown


@pytest.mark.slow
def test_the_gain_of_a_feature_is_told_with_its_interval_on_rows_that_came_later(run):
    shown = text_of(run("add_a_feature"))
    without, with_it, gain, low, high = map(
        float,
        re.search(
            r"log loss ([\d.]+) without, ([\d.]+) with, .*\ngain ([-+.\d]+), 95 % interval ([-+.\d]+) to ([-+.\d]+)",
            shown,
        ).groups(),
    )
    assert gain == pytest.approx(without - with_it, abs=2e-5)
    assert low < gain < high
    verdict = "surely better" if low > 0 else "surely worse" if high < 0 else "not told apart"
    assert f"With the feature the model is {verdict}" in shown


@pytest.mark.slow
def test_the_backtest_asks_as_many_by_each_policy_and_the_model_finds_more_than_chance(run):
    shown = text_of(run("backtest_of_asking"))
    outcome = {
        name: (int(spoke), int(asked))
        for name, spoke, asked in re.findall(r"^(\w+): (\d+) of (\d+) spoke up", shown, re.MULTILINE)
    }
    assert {"model", "promoters", "active", "chance"} == outcome.keys()
    assert {asked for _, asked in outcome.values()} == {100}
    assert outcome["model"][0] > outcome["chance"][0]


@pytest.mark.slow
def test_what_is_expected_and_what_came_are_told_of_the_same_rows(run):
    shown = text_of(run("errors_and_slices"))
    judged, came, expected = map(
        int,
        re.search(r"([\d,]+) rows judged, (\d+) came true, (\d+) were expected", shown.replace(",", "", 1)).groups(),
    )
    assert 0 < came < judged
    assert expected == pytest.approx(came, rel=0.5)
    assert re.search(r"\d+ slices count", shown)
    assert "came true" in text_of(run("explore_features_and_target"))


@pytest.mark.nightly
def test_files_of_a_stranger_end_in_a_ranked_list_of_few_typed_lines(run):
    shown = text_of(run("own_files_to_ranked_list"))
    assert len(re.findall(r"^\$ vouch ", shown, re.MULTILINE)) <= 6
    assert "100% with the reason" in shown
    assert "courses, its own" in shown
    assert re.search(r"[\d,]+ customers are scored; the highest has \d+%", shown)


@pytest.mark.nightly
def test_two_runs_are_laid_side_by_side_with_what_the_gate_said_of_them(run):
    shown = text_of(run("tune_compare_promote"))
    assert "lightgbm_tuned" in shown
    assert re.search(r"\d of \d rules held for version 2", shown)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_what_it_showed_once(path):
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
