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

ROOT = Path(__file__).parents[2]

FOLDERS = ("features", "models", "training", "serving")
MAY_IMPORT = {
    "features": set(),
    "models": {"features"},
    "training": {"features", "models"},
    "serving": {"features", "models"},
}
# Who finds the definitions in a folder by themselves.
FINDS = {("features/vectors/declare.py", "families"), ("features/metrics/catalogue.py", "definitions")}
# Where training and serving meet: the doors that train on demand, and the library.
INSIDE_FUNCTIONS = {
    (f"serving/{door}.py", "training") for door in ("commands/train", "commands/demo", "library/company")
}
BOTH = {"serving/python"}

# The floors of each folder, from the ground up: a room imports what stands below it, and nothing of its own floor.
FLOORS = {
    "features": (
        {"errors", "naming", "sentiment", "shown"},
        {"company_files", "contract", "documents", "durable", "expressions", "private", "settings", "statistics"},
        {"engines", "feature_settings", "home_format", "instants", "model_settings", "readers"},
        {"asof", "simulation", "table_settings"},
        {"facts", "project"},
        {"vectors"},
        {"charts", "families", "health", "ingest"},
        {"discovery", "metrics"},
    ),
    "features/metrics": (
        {"estimators", "examples", "missed", "splits"},
        {"context"},
        {"catalogue"},
        {"envelopes", "feeds", "populations", "units"},
        {"definitions", "evaluate"},
        {"comparisons"},
        {"lists"},
    ),
    "models": (
        {"eligibility"},
        {"fingerprint", "scoring", "targets"},
        {"outcomes"},
        {"own_outcomes"},
        {"definition"},
        {"advocacy", "churn", "upgrade", "value"},
        {"response"},
        {"quality"},
        {"predictor"},
        {"registry"},
    ),
    "serving": (
        {"output"},
        {"docs"},
        {"snapshots"},
        {"scoring"},
        {"monitoring"},
        {"metric_queries"},
        {"presentation"},
        {"batch"},
        {"asking/rules"},
        {"store"},
        {"asking", "weekly_run"},
        {"weekly"},
        {"reports"},
        {"exports"},
        {"reach"},
        {"lifecycle"},
        {"api"},
        {"web"},
        {"site"},
        {"service"},
        {"bento"},
        {"worker"},
        {"deployment", "agent"},
        {"commands"},
        {"cli", "library"},
    ),
}

# Everything else goes through narwhals.
ENGINES = {
    "features/ingest/databases.py",
    "features/engines.py",
    "features/ingest/inputs.py",
    "features/sentiment/polarity.py",
    "features/sentiment/learned.py",
    "features/ingest/texts/learned_tone.py",
    "features/ingest/request_rows.py",
    "features/ingest/stage.py",
    "features/ingest/stage_table.py",
    "features/ingest/staging_context.py",
}
HOMES = {
    "mlflow": {"models/registry/connection.py", "models/registry/versions.py"},
    "bentoml": {"serving/service.py"},
    "deltalake": {"features/ingest/lakes/tables.py", "serving/exports/lakes.py"},
    "pyiceberg": {"features/ingest/lakes/tables.py", "serving/exports/lakes.py"},
    "obstore": {"features/ingest/lakes/objects.py"},
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
CLOCK = {"serving/cli.py", "serving/api/state.py", "serving/library/company.py"}
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
    paths = (path for folder in FOLDERS for path in sorted((root / folder).rglob("*.py")))
    return {path.relative_to(root).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def module_name(file: str) -> str:
    return "vouch." + file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def imported(node: ast.AST, file: str) -> list[str]:
    """The modules that one statement or call names; `from a import b` may name `a.b`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        package = ["vouch", *file.split("/")[: -node.level]] if node.level else []
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
    folder, where = file.split("/")[0], f"{file}:{found.line}"
    top, _, rest = found.module.partition(".")
    other = rest.split(".")[0] if top == "vouch" else ""
    if top in FOLDERS:
        yield f"{where} imports {top}, a second copy of vouch.{top}"
    if other in FOLDERS and other not in {folder, *MAY_IMPORT[folder]} and file.rpartition("/")[0] not in BOTH:
        if (file, other) not in INSIDE_FUNCTIONS:
            yield f"{where} {folder} imports {other}"
        elif not found.is_inside_function:
            yield f"{where} imports {other} outside a function"
    if not found.is_for_types:
        yield from (f"{where} {told}" for told in breaks_of_floors(file, rest.replace(".", "/")))
    if file not in HOMES.get(top, {file}):
        yield f"{where} imports {top}, whose home is {' '.join(sorted(HOMES[top])) or 'nowhere'}"


def breaks_of_floors(file: str, imported: str) -> Iterator[str]:
    """Whether a file imports from its own floor, or from above it, in each folder that both lie in."""
    for folder, floors in FLOORS.items():
        ours, theirs = room(file.removesuffix(".py"), folder, floors), room(imported, folder, floors)
        if ours and theirs and ours != theirs and (file, theirs) not in FINDS:
            here, there = (next((i for i, f in enumerate(floors) if name in f), -1) for name in (ours, theirs))
            if 0 <= here <= there:
                yield f"{folder}/{ours} imports {theirs}, which does not stand below it"


def room(path: str, folder: str, floors: tuple[set[str], ...]) -> str:
    """The room of a folder that a path lies in, the longest that is named; "" where it lies in none."""
    if not path.startswith(f"{folder}/"):
        return ""
    parts = path.removeprefix(f"{folder}/").split("/")
    names = ["/".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((name for name in names if any(name in floor for floor in floors)), parts[0])


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
    """Modules that import each other, at whatever time, be it for types alone: each can be read after the other."""
    known = {module_name(file) for file in trees}
    graph = {
        module_name(file): {i.module for i in imports(tree, file) if i.module in known} for file, tree in trees.items()
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


def test_what_is_known_of_customers_stands_on_eight_floors_at_most():
    assert len(FLOORS["features"]) <= 8


def test_every_folder_keeps_to_its_layer_and_privileges():
    assert not breaks(ROOT), "\n".join(breaks(ROOT))


@pytest.fixture
def tree(tmp_path):
    """A function that plants files in a tree of the same four packages, and gives what it breaks."""

    def plant(sources: dict[str, str]) -> list[str]:
        for file, source in {**{f"{folder}/__init__.py": "" for folder in FOLDERS}, **sources}.items():
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, encoding="utf-8")
        return breaks(tmp_path)

    return plant


PLANTED = {
    "features/a.py": "from vouch.models import b",
    "features/families/a.py": "from ...models import b",
    "features/contract/a.py": "from vouch.features.vectors.build import vectors",
    "features/facts/a.py": "def f():\n    from vouch.features.families import usage",
    "features/metrics/populations/a.py": "from vouch.features.metrics.definitions.care import cared_for",
    "features/ingest/a.py": "import features.errors",
    "models/a.py": "def f():\n    import vouch.training.run",
    "models/scoring/a.py": "from vouch.models import quality",
    "training/a.py": "import vouch.serving.cli",
    "serving/a.py": "def f():\n    from vouch.training.run import train",
    "serving/commands/train.py": "from vouch.training.run import train",
    "serving/b.py": "from importlib import import_module\nimport_module('mlflow')",
    "serving/batch/a.py": "from vouch.serving.api.state import ServingState",
    "serving/reports/a.py": "def f():\n    from vouch.serving.web import routes",
    "serving/asking/rules/a.py": "from vouch.serving.store.asks import store_ask",
    "training/b.py": "import mlflow.lightgbm",
    "serving/c.py": "from bentoml import api",
    "features/vectors/build.py": "import duckdb",
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
    "features/ingest/stage.py": "QUERY = f'SELECT {1}, now() FROM t'",
    "features/contract/checks.py": "QUERY = 'SELECT Current_Timestamp'",
}


@pytest.mark.parametrize("file", PLANTED)
def test_a_planted_break_is_found(tree, file):
    found = tree({file: PLANTED[file]})
    assert len(found) == 1
    assert found[0].startswith(f"{file}:{PLANTED[file].count(chr(10)) + 1} ")


@pytest.mark.parametrize(
    "sources",
    [
        {"features/a.py": "from vouch.features import b", "features/b.py": "def f():\n    import vouch.features.a"},
        {"features/__init__.py": "from vouch.features.a import x", "features/a.py": "from vouch.features import y"},
        {"models/a.py": "from . import b", "models/b.py": "from vouch.models.a import x"},
        {
            "models/a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from vouch.models import b",
            "models/b.py": "import vouch.models.a",
        },
    ],
)
def test_a_planted_circle_is_found(tree, sources):
    assert [text.split(":")[0] for text in tree(sources)] == ["import each other"]


def test_what_is_allowed_is_not_found(tree):
    allowed = {
        "features/project.py": "import os\nHOME = os.environ.get('VOUCH_HOME')",
        "features/ingest/stage.py": "import duckdb, polars",
        "features/a.py": "'''Never reads now() nor current_date.'''\nimport time\nstart = time.perf_counter()",
        "features/families/usage.py": "from vouch.features import a\nfrom vouch.features.a import start",
        "models/churn.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from vouch.models import quality",
        "models/b.py": "import vouch.models.churn\nfrom vouch.features.a import start",
        "models/registry/versions.py": "import mlflow",
        "serving/cli.py": "from datetime import datetime, UTC\ndatetime.now(UTC)",
        "serving/commands/train.py": "def train():\n    from vouch.training.run import train",
        "serving/service.py": "import bentoml",
        "training/run.py": "from vouch.models.registry import versions",
    }
    assert tree(allowed) == []
