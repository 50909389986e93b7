"""Set-up: what is lacking is said with its mend before anything is made, and what was interrupted is gone on with."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from vouch.features.errors import MissingExtra
from vouch.models.scoring.trees import load_lightgbm

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """The script, at work in an empty folder with the Python that runs this, compiling nothing."""
    spec = importlib.util.spec_from_file_location("environment", ROOT / "environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    changed = {
        "ROOT": tmp_path, "VENV": tmp_path / ".venv", "NOTES": tmp_path / ".venv" / "steps.json",
        "PYTHON": (sys.executable,), "COMPILE": (sys.executable, "-c", "pass"),
    }  # fmt: skip
    for name, value in changed.items():
        monkeypatch.setattr(module, name, value)
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8"), encoding="utf-8")
    return module


@pytest.mark.parametrize(
    ("command", "locks"), [("demo", ["requirements.lock"]), ("lint", ["requirements.lock", "requirements-dev.lock"])]
)
def test_a_command_sets_up_the_locks_that_it_needs_and_no_more(command, locks):
    told = ["make", "--dry-run", "--no-print-directory", command, "PYTHON=python3"]
    env = {"PATH": os.environ["PATH"]}  # without what an outer make hands on
    done = subprocess.run(told, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].split() == ["python3", "environment.py", *locks]


def test_a_machine_that_has_everything_lacks_nothing(environment):
    assert environment.lacking() == []


@pytest.mark.parametrize(
    ("absent", "mend"),
    [
        ("venv", f"apt-get install python3.{sys.version_info[1]}-venv"),
        ("ensurepip", f"apt-get install python3.{sys.version_info[1]}-venv"),
        ("sqlite3", "built without sqlite3: name another one"),
        ("ssl", "built without ssl: name another one"),
    ],
)
def test_a_module_that_python_lacks_is_named_with_the_mend(environment, monkeypatch, absent, mend):
    monkeypatch.setattr(environment, "has_module", lambda module: module != absent)
    (lack,) = environment.lacking()
    assert mend in lack


def test_the_library_that_lightgbm_needs_is_named_with_the_mend(environment, monkeypatch):
    monkeypatch.setattr(environment, "OPENMP", "libgomp.so.none")
    (lack,) = environment.lacking()
    assert "apt-get install libgomp1" in lack


@pytest.mark.parametrize("version", [(3, 8), (3, 10), (3, 99)])
def test_a_python_without_wheels_is_refused_and_the_right_ones_are_named(environment, monkeypatch, version):
    other = SimpleNamespace(version_info=version, executable="python3", platform=sys.platform)
    monkeypatch.setattr(environment, "sys", other)
    (lack,) = environment.lacking()
    assert "Python 3.11 to 3." in lack
    assert "make demo PYTHON=" in lack


def writes(text: str) -> tuple[str, ...]:
    """A command that adds to the file `taken`, as a step that installs something, unless `offline` is there."""
    code = (
        "import pathlib, sys; pathlib.Path('offline').exists() and sys.exit(1); open('taken', 'a').write(sys.argv[1])"
    )
    return (sys.executable, "-c", code, text)


@pytest.fixture
def steps(environment, monkeypatch):
    """The steps of a run, which a test may change: name to state."""
    (environment.ROOT / ".venv").mkdir()
    found = {"environment": f"{environment.ROOT} {sys.version_info[:2]}", "one.lock": "1", "two.lock": "1"}
    monkeypatch.setattr(
        environment, "commands", lambda *_: [(name, state, writes(name[0])) for name, state in found.items()]
    )
    return found


def taken(environment) -> str:
    return (environment.ROOT / "taken").read_text(encoding="utf-8")


def test_a_step_is_taken_once_and_again_where_its_lock_changed(environment, steps, capsys):
    environment.make([])
    environment.make([])
    assert taken(environment) == "eot"
    said = capsys.readouterr().out
    assert said.count("ready after") == 1
    assert all(f"  {name} ... " in said for name in steps)
    steps["two.lock"] = "2"
    environment.make([])
    assert taken(environment) == "eott"


def test_a_run_that_stopped_is_gone_on_with_where_it_stopped(environment, steps):
    last = steps.pop("two.lock")
    environment.make([])
    steps["two.lock"] = last
    (environment.ROOT / "offline").touch()
    with pytest.raises(SystemExit, match="the same command goes on from here"):
        environment.make([])
    (environment.ROOT / "offline").unlink()
    environment.make([])
    assert taken(environment) == "eot"


def test_an_environment_of_another_place_or_python_is_made_anew(environment, steps):
    environment.make([])
    environment.NOTES.write_text(environment.NOTES.read_text().replace(str(environment.ROOT), "/elsewhere"))
    environment.make([])
    assert taken(environment) == "eoteot"


def test_what_pip_left_half_installed_counts_as_not_there(environment):
    packages = environment.VENV / "lib" / "python3.11" / "site-packages"
    for name, file in {"whole-1.dist-info": "INSTALLER", "half-1.dist-info": "METADATA"}.items():
        (packages / name).mkdir(parents=True)
        (packages / name / file).touch()
    environment.forget_half_installed()
    assert [path.name for path in packages.iterdir()] == ["whole-1.dist-info"]


def test_where_lightgbm_does_not_load_the_mend_is_told(tmp_path, monkeypatch):
    (tmp_path / "lightgbm.py").write_text("raise OSError('libgomp.so.1: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lightgbm", raising=False)
    with pytest.raises(MissingExtra, match="libgomp1"):
        load_lightgbm()
