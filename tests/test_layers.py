"""The folders hold what they say: who imports whom, and who alone may touch an engine, the clock, the environment.

Read from the source with `ast`, so that an import inside a function counts too.
"""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "features": set(),
    "models": {"features"},
    "training": {"features", "models"},
    "serving": {"features", "models"},
}
# The one exception: the command line trains on demand, and imports what that needs inside the command.
INSIDE_FUNCTIONS = {("serving/cli.py", "training")}

DOORS = {"api", "pages", "commands"}
# What the rooms of serving know nothing of, but for types: they serve whoever opens a door.
STRANGERS = {
    "batch": DOORS | {"candidates", "exports", "keeping", "reports"},
    "candidates": DOORS | {"exports", "keeping", "reports"},
    "database": DOORS | {"exports", "keeping", "reports"},
    "exports": DOORS | {"keeping", "reports"},
    "reports": DOORS | {"exports"},
    "keeping": DOORS,
    "api": {"commands", "exports", "keeping"},
}

# Everything else goes through narwhals.
ENGINES = {
    "features/databases.py",
    "features/engine.py",
    "features/intake.py",
    "features/language.py",
    "features/rows.py",
    "features/sources.py",
    "features/staging.py",
}
HOMES = {
    "mlflow": {"models/registry.py"},
    "bentoml": {"serving/service.py"},
    "duckdb": ENGINES,
    "polars": ENGINES,
    "pyspark": ENGINES,
    "adbc_driver_manager": ENGINES,
    "adbc_driver_postgresql": ENGINES,
    # They run code when they read a file.
    "pickle": set(),
    "cloudpickle": set(),
    "dill": set(),
    "joblib": set(),
    "marshal": set(),
    "shelve": set(),
}
CLOCK = {"serving/cli.py", "serving/api/store.py"}
ENVIRONMENT = {"features/project.py"}

CLOCK_NAMES = {"now", "utcnow", "today"}  # of datetime, date, pandas.Timestamp and the like
CLOCK_OF_TIME = {"time", "time_ns", "gmtime", "localtime", "ctime", "strftime"}
CLOCK_IN_SQL = re.compile(
    r"\b(?:now|today|get_current_time)\s*\(\s*\)|\bcurrent_(?:date|time|timestamp)\b", re.IGNORECASE
)
ENVIRONMENT_OF_OS = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
RUNS_CODE = {"eval", "exec", "compile", "__import__"}
READS_PICKLE = {"read_pickle", "to_pickle"}


@dataclass(frozen=True)
class Import:
    module: str
    line: int
    is_inside_function: bool
    is_for_types: bool


def files(root: Path) -> dict[str, ast.Module]:
    paths = (path for package in MAY_IMPORT for path in sorted((root / package).rglob("*.py")))
    return {path.relative_to(root).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def module_name(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def imported(node: ast.AST, file: str) -> list[str]:
    """The modules that one statement or call names; `from a import b` may name `a.b`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        package = file.split("/")[: -node.level] if node.level else []
        base = ".".join([*package, *([node.module] if node.module else [])])
        return [base, *(f"{base}.{alias.name}" for alias in node.names)]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
        named = node.args[0]
        return [named.value] if isinstance(named, ast.Constant) and isinstance(named.value, str) else []
    return []


def imports(node: ast.AST, file: str, inside: bool = False, for_types: bool = False) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        yield from (Import(name, child.lineno, inside, for_types) for name in imported(child, file))
        deeper = inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from imports(child, file, deeper, for_types or is_type_checking(child))


def breaks_of_import(file: str, found: Import) -> Iterator[str]:
    package, (top, *_) = file.split("/")[0], found.module.split(".")
    where = f"{file}:{found.line}"
    if top in MAY_IMPORT and top != package and top not in MAY_IMPORT[package]:
        if (file, top) not in INSIDE_FUNCTIONS:
            yield f"{where} {package} imports {top}"
        elif not found.is_inside_function:
            yield f"{where} imports {top} outside a function"
    if not found.is_for_types and room(found.module) in STRANGERS.get(room(module_name(file)), set()):
        yield f"{where} serving.{room(module_name(file))} imports serving.{room(found.module)}"
    if file not in HOMES.get(top, {file}):
        yield f"{where} imports {top}, whose home is {' '.join(sorted(HOMES[top])) or 'nowhere'}"


def room(module: str) -> str:
    """The room of a module of serving; of others nothing."""
    top, _, rest = module.partition(".")
    return rest.split(".")[0] if top == "serving" else ""


def docstrings(tree: ast.Module) -> set[ast.AST]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {n.body[0].value for n in ast.walk(tree) if isinstance(n, documented) and ast.get_docstring(n) is not None}


def reads_clock(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in CLOCK_NAMES or (node.attr in CLOCK_OF_TIME and ast.unparse(node.value) == "time")
    if isinstance(node, ast.ImportFrom) and node.module == "time":
        return any(alias.name in CLOCK_OF_TIME for alias in node.names)
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(CLOCK_IN_SQL.search(node.value))


def reads_environment(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr == "expandvars" or (node.attr in ENVIRONMENT_OF_OS and ast.unparse(node.value) == "os")
    return (
        isinstance(node, ast.ImportFrom)
        and node.module == "os"
        and any(alias.name in ENVIRONMENT_OF_OS for alias in node.names)
    )


def runs_code(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in RUNS_CODE
    if isinstance(node, ast.keyword):
        return node.arg == "allow_pickle" and ast.unparse(node.value) != "False"
    return isinstance(node, ast.Attribute) and node.attr in READS_PICKLE


def breaks_of_privilege(file: str, tree: ast.Module) -> Iterator[str]:
    prose = docstrings(tree)
    for node in ast.walk(tree):
        where = f"{file}:{getattr(node, 'lineno', 0)}"
        if file not in CLOCK and node not in prose and reads_clock(node):
            yield f"{where} reads the clock: take the instant as an argument"
        if file not in ENVIRONMENT and reads_environment(node):
            yield f"{where} reads the environment: take the setting from Project"
        if runs_code(node):
            yield f"{where} runs code from data"


def circles(trees: dict[str, ast.Module]) -> Iterator[str]:
    """Modules that import each other, at whatever time; imports for types alone do not run."""
    known = {module_name(file) for file in trees}
    graph = {
        module_name(file): {i.module for i in imports(tree, file) if not i.is_for_types and i.module in known}
        for file, tree in trees.items()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        yield "import each other: " + " ".join(error.args[1])


def breaks(root: Path) -> list[str]:
    trees = files(root)
    found = [text for file, tree in trees.items() for i in imports(tree, file) for text in breaks_of_import(file, i)]
    found += [text for file, tree in trees.items() for text in breaks_of_privilege(file, tree)]
    return sorted({*found, *circles(trees)})


def test_every_folder_keeps_to_its_layer_and_privileges():
    assert not breaks(ROOT), "\n".join(breaks(ROOT))


@pytest.fixture
def tree(tmp_path):
    """A function that plants files in a tree of the same four packages, and gives what it breaks."""

    def plant(sources: dict[str, str]) -> list[str]:
        for file, source in {**{f"{package}/__init__.py": "" for package in MAY_IMPORT}, **sources}.items():
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, encoding="utf-8")
        return breaks(tmp_path)

    return plant


PLANTED = {
    "features/a.py": "from models import b",
    "features/families/a.py": "from ...models import b",
    "models/a.py": "def f():\n    import training.run",
    "training/a.py": "import serving.cli",
    "serving/a.py": "def f():\n    from training.run import train",
    "serving/cli.py": "from training.run import train",
    "serving/b.py": "from importlib import import_module\nimport_module('mlflow')",
    "serving/batch/a.py": "from serving.api.store import Store",
    "serving/reports/a.py": "def f():\n    from serving.pages import routes",
    "training/b.py": "import mlflow.lightgbm",
    "serving/c.py": "from bentoml import api",
    "features/vectors.py": "import duckdb",
    "features/asof.py": "if True:\n    from polars import col",
    "models/b.py": "import joblib",
    "models/c.py": "import numpy as np\nnp.load('a', allow_pickle=True)",
    "models/d.py": "eval('1')",
    "training/c.py": "import pandas as pd\npd.read_pickle('a')",
    "features/b.py": "import os\nos.environ['A']",
    "features/c.py": "from os import getenv",
    "features/d.py": "from datetime import datetime, UTC\ndatetime.now(UTC)",
    "models/e.py": "import time\ntime.time()",
    "models/f.py": "from time import time",
    "features/e.py": "import pandas as pd\npd.Timestamp.today()",
    "features/sources.py": "QUERY = f'SELECT {1}, now() FROM t'",
    "features/quarantine.py": "QUERY = 'SELECT Current_Timestamp'",
}


@pytest.mark.parametrize("file", PLANTED)
def test_a_planted_break_is_found(tree, file):
    found = tree({file: PLANTED[file]})
    assert len(found) == 1
    assert found[0].startswith(f"{file}:{PLANTED[file].count(chr(10)) + 1} ")


@pytest.mark.parametrize(
    "sources",
    [
        {"features/a.py": "from features import b", "features/b.py": "def f():\n    import features.a"},
        {"features/__init__.py": "from features.a import x", "features/a.py": "from features import y"},
        {"models/a.py": "from . import b", "models/b.py": "from models.a import x"},
    ],
)
def test_a_planted_circle_is_found(tree, sources):
    assert [text.split(":")[0] for text in tree(sources)] == ["import each other"]


def test_what_is_allowed_is_not_found(tree):
    allowed = {
        "features/project.py": "import os\nHOME = os.environ.get('VOUCH_HOME')",
        "features/sources.py": "import duckdb, polars",
        "features/a.py": "'''Never reads now() nor current_date.'''\nimport time\nstart = time.perf_counter()",
        "features/families/usage.py": "from features import a\nfrom features.a import start",
        "models/a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from models import b",
        "models/b.py": "import models.a\nfrom features.a import start",
        "models/registry.py": "import mlflow",
        "serving/cli.py": "from datetime import datetime, UTC\n"
        "def train():\n    from training.run import train\n    datetime.now(UTC)",
        "serving/service.py": "import bentoml",
        "training/run.py": "from models import registry",
    }
    assert tree(allowed) == []
