"""A name means one thing in a folder, and a module opens with what it is."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("features", "models", "training", "serving")

# Rooms that may each say a name once: for a business concept, its feature, its frame for metrics, and its metric; for a
# door and the room behind it; and for what Alembic calls.
ALIKE = (
    ("features/facts", "features/families", "features/metrics/populations", "features/metrics/definitions"),
    ("serving/commands", "serving"),
    ("serving/store/migrations/versions", "serving/store/migrations/versions"),
)
# Entry points, and items whose names stand in the fingerprints of their metrics.
ALLOWED = {"main", "buyers", "invitations"}
# Words that say nothing of what they name: "what was found", "what is told".
EMPTY = {"found", "told", "kept", "spoken", "moment", "said", "there"}
# The plain word: language that is spoken, a field of a stored document, and parties of an agreement.
PLAIN = {
    "features/ingest/own/chosen.py: told",
    "features/metrics/definitions/company.py: spoken",
    "serving/lifecycle/receipts.py: moment",
}
ROOMS_BY_THEIR_PARENT = {"versions"}  # what Alembic wants beside its environment
QUESTIONS = re.compile(r"(From|How|May|What|Where|Whether|Who|Whom|Whose|Why)\b")
SENTENCE = re.compile(r"[.?!](\s|$)")


def modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def public_names(code: str) -> list[str]:
    """Classes and functions of a module, private ones apart."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [node.name for node in ast.parse(code).body if isinstance(node, kinds) and not node.name.startswith("_")]


def declared_names(code: str) -> Iterator[str]:
    """Names of classes and functions with their parameters, of fields and of constants."""
    module = ast.parse(code)
    bodies = [module.body, *(node.body for node in ast.walk(module) if isinstance(node, ast.ClassDef))]
    for node in (node for body in bodies for node in body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        yield from (target.id for target in targets if isinstance(target, ast.Name))
    for node in ast.walk(module):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg


def is_empty(name: str) -> bool:
    """Whether a name holds a word that says nothing of what it names."""
    return not EMPTY.isdisjoint(name.lower().split("_"))


def repeated(found: dict[str, list[str]]) -> list[str]:
    """Names that stand in two modules for different things, from the modules of each name."""
    told = []
    for name, paths in sorted(found.items()):
        pairs = [(one, other) for place, one in enumerate(paths) for other in paths[place + 1 :]]
        if name not in ALLOWED and not all(is_alike(*pair) for pair in pairs):
            told.append(f"{name}: {', '.join(paths)}")
    return told


def is_alike(one: str, other: str) -> bool:
    return any(
        one.startswith(f"{here}/") and other.startswith(f"{there}/")
        for rooms in ALIKE
        for here, there in permutations(rooms, 2)
    )


def opening(code: str) -> str | None:
    """Say what is wrong with how a module opens, None where nothing is."""
    text = ast.get_docstring(ast.parse(code)) or ""
    if not SENTENCE.search(" ".join(text.splitlines()[:2])):
        return "its first sentence does not end within two lines"
    if QUESTIONS.match(text):
        return "it opens with a question: name the thing, then say why"
    return None


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_name_stands_in_two_modules_of_a_folder_for_different_things(folder):
    found = defaultdict(list)
    for path in modules(folder):
        for name in public_names(path.read_text(encoding="utf-8")):
            found[name].append(path.relative_to(ROOT).as_posix())
    assert repeated(found) == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_name_says_what_it_names_and_not_that_it_was_found_or_told(folder):
    empty = set()
    for path in modules(folder):
        place = path.relative_to(ROOT).as_posix()
        names = {path.stem, *declared_names(path.read_text(encoding="utf-8"))}
        empty |= {f"{place}: {name}" for name in names if is_empty(name)}
    assert empty - PLAIN == set(), "name what was found or is told"


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_room_names_the_rooms_in_it(folder):
    unnamed = []
    for room in sorted((ROOT / folder).rglob("__init__.py")):
        text = ast.get_docstring(ast.parse(room.read_text(encoding="utf-8"))) or ""
        inside = {path.parent.name for path in room.parent.glob("*/__init__.py")} - ROOMS_BY_THEIR_PARENT
        unnamed += [
            f"{room.relative_to(ROOT)}: {name}" for name in sorted(inside) if not re.search(rf"\b{name}\b", text)
        ]
    assert unnamed == [], "a newcomer reads the room's docstring to find his way"


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_a_room_names_is_there(folder):
    gone = []
    for room in sorted((ROOT / folder).rglob("__init__.py")):
        text = ast.get_docstring(ast.parse(room.read_text(encoding="utf-8"))) or ""
        places = re.findall(r"`([a-z][a-z_/]*)`", text)
        here = [path for parent in (room.parent, ROOT) for path in (parent / place for place in places)]
        known = {path for path in here if path.exists() or path.with_suffix(".py").exists()}
        gone += [f"{room.relative_to(ROOT)}: {of}" for of in places if not {room.parent / of, ROOT / of} & known]
    assert gone == []


def test_what_the_map_for_contributors_names_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"`([a-z]+/[\w/.]*)`", text)
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_each_module_opens_with_what_it_is():
    told = {path: opening(path.read_text(encoding="utf-8")) for path in modules(*FOLDERS, "tests/support")}
    assert {path.relative_to(ROOT).as_posix(): why for path, why in told.items() if why} == {}


def test_a_planted_name_that_says_nothing_is_seen():
    code = "KEPT = 2\n\n\nclass Told:\n    said: str\n\n    def of(self, there, customer_id):\n        self.kept = 1\n"
    assert {name for name in declared_names(code) if is_empty(name)} == {"KEPT", "Told", "said", "there"}
    assert not any(is_empty(name) for name in ("foundation", "keep", "therefore", "FoundFile"))


def test_a_planted_repetition_is_told():
    far = {"Week": ["serving/store/weeks.py", "serving/web/weeks.py"]}
    assert repeated(far) == ["Week: serving/store/weeks.py, serving/web/weeks.py"]
    assert repeated({"erase": ["serving/commands/keeping.py", "serving/lifecycle/erasure.py"]}) == []
    assert repeated({"buying": ["features/families/a.py", "features/families/b.py"]}) != []
    assert repeated({"erase": ["serving/commands/a.py", "serving/exports/a.py", "serving/web/a.py"]}) != []


@pytest.mark.parametrize(
    ("code", "is_well"),
    [
        ('"""Weekly trends from the store."""', True),
        ('"""Weekly trends from the store: how many customers\nstand where."""', True),
        ('"""What became of those who were flagged."""', False),
        ('"""Weekly trends\nfrom the store\nand no end."""', False),
        ('"""Weekly trends from the store"""', False),
        ("x = 1", False),
    ],
)
def test_a_planted_opening_is_told(code, is_well):
    assert (opening(code) is None) == is_well
