"""Both notebooks run from their first cell to their last, and show what they say that they show."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[3] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def text_of(notebook) -> str:
    """Everything that the cells printed or showed as text."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            found += [output.get("text", ""), *(str(value) for value in output.get("data", {}).values())]
    return "\n".join(found)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A function that executes a notebook in a kernel of its own, with a home of its own, and gives what came out."""
    done = {}

    def executed(name: str):
        if name not in done:
            with pytest.MonkeyPatch.context() as patch:
                home = tmp_path_factory.mktemp(name)
                patch.setenv("VOUCH_HOME", str(home))
                patch.setenv("IPYTHONDIR", str(home / "ipython"))
                patch.delenv("VOUCH_DATA", raising=False)
                notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
                NotebookClient(notebook, timeout=600, kernel_name="python3").execute(cwd=str(FOLDER.parent))
            done[name] = notebook
        return done[name]

    return executed


def test_there_are_the_two_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["first_look", "model_card"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [path.stem for path in NOTEBOOKS])
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


@pytest.mark.slow
def test_the_model_card_is_read_from_what_training_logged(run):
    shown = text_of(run("model_card"))
    assert "advocacy, version 1" in shown
    assert "lightgbm" in shown
    assert "rules held" in shown


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_what_it_showed_once(path):
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
