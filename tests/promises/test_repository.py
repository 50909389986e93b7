"""What holds for the files of the repository: their size, their first words, what they never name, the lock."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGES = ("features", "models", "training", "serving")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-spark.lock")

LONGEST_MODULE = 400
LONGEST_FUNCTION = 50  # without its docstring

# An index of packages, or a folder of somebody's machine: neither says anything on another machine.
FOREIGN = re.compile(
    r"https?://[^\s)\"'>]*(?:/simple\b|/packages/|registry)|pythonhosted\.org|/home/[\w]|/Users/[\w]|/[r]oot\b"
)
PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9.-]*)(?:\[[a-z,]+\])?==(?P<version>[^\s;]+)(?: ; (?P<marker>.+))?$")
HASH = re.compile(r"^--hash=sha256:[0-9a-f]{64}$")


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Name and lines of every function, its docstring left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node) is not None
            docstring = node.body[0].end_lineno - node.body[0].lineno + 1 if documented else 0
            yield node.name, node.end_lineno - node.lineno + 1 - docstring


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def pins(lock: str) -> Iterator[tuple[str, list[str]]]:
    """The requirement on each line of a lock, continuation lines joined, and its options."""
    for line in (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        requirement, *options = re.split(r"\s+(?=--)", line.strip())
        yield requirement, options


def test_modules_and_functions_stay_short():
    long = {}
    for path in MODULES:
        source = path.read_text(encoding="utf-8")
        lines = {"the module": len(source.splitlines())}
        found = {name: many for name, many in functions(ast.parse(source)) if many > LONGEST_FUNCTION}
        if lines["the module"] > LONGEST_MODULE or found:
            long[label(path)] = lines | found
    assert long == {}


@pytest.mark.git
def test_no_file_names_a_package_index_or_a_home_folder():
    lines = (
        (path, number, line)
        for path in tracked()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
    )
    assert [f"{label(path)}:{number}" for path, number, line in lines if FOREIGN.search(line)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_versions_and_hashes_and_nothing_else(lock):
    for requirement, options in pins(lock):
        assert PIN.match(requirement), requirement
        assert options, requirement
        assert all(HASH.match(option) for option in options), requirement


def pinned(*locks: str) -> dict[str, list[str]]:
    """The versions of each package in some locks: several where markers tell them apart."""
    found = [PIN.match(requirement) for lock in locks for requirement, _ in pins(lock)]
    return {pin["name"]: [other["version"] for other in found if other["name"] == pin["name"]] for pin in found}


def assert_fulfilled(asked: list[str], versions: dict[str, list[str]]) -> None:
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        assert name in versions, requirement
        assert all(version in requirement.specifier for version in versions[name]), requirement


def test_the_locks_fulfil_what_the_project_asks_for_and_the_first_what_it_runs_on():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [*declared["project"]["dependencies"], *declared["dependency-groups"]["build"]]
    assert_fulfilled(asked, pinned(LOCKS[0]))
    assert set(declared["build-system"]["requires"]) == set(declared["dependency-groups"]["build"])
    extras = declared["project"]["optional-dependencies"].values()
    assert_fulfilled([requirement for extra in extras for requirement in extra], pinned(*LOCKS))


def test_a_package_stands_in_one_lock():
    names = [name for lock in LOCKS for name in pinned(lock)]
    assert len(names) == len(set(names))
