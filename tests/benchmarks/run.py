"""Every benchmark, or those that are named: a table of ratios, kept with its history and shown in the documentation.

`make bench` runs the ones that fit into minutes; `make bench ONLY="scale serving"` the ones that are named. A file
`bench_NAME.py` here, or in `learning/`, with a function `rows()` is a benchmark; `IS_LONG = True` in it keeps it out of
the default, `NEEDS` says what it cannot do without. Nothing is asserted here: a row says what its target is, and
whether it is met. What a run has measured is also `.bench/latest.json`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # what tests make by hand
sys.path.insert(0, str(Path(__file__).parent / "learning"))
sys.path.insert(0, str(Path(__file__).parent))

import history
from measuring import FOLDER, ROOT, Row
from needs import lacking

from vouch.models.registry.revision import git_revision

LIBRARIES = (
    "bentoml", "duckdb", "lightgbm", "mlflow", "narwhals", "numpy", "pandas", "polars", "pyarrow", "scikit-learn",
)  # fmt: skip


def benchmarks() -> list[str]:
    """Names of all benchmarks."""
    return sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.rglob("bench_*.py"))


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def as_json(row: Row) -> dict[str, Any]:
    """One row as `latest.json` holds it."""
    return {**asdict(row), "ratio": round(row.ratio, 4), "target": row.target, "met": row.met}


def line(row: Row) -> str:
    """One row as the table shows it."""
    mark = {True: "met", False: "MISSED", None: ""}[row.met]
    return f"{row.name:58} {row.ratio:9.3f}  {row.target:14} {mark:7} {row.reference}{'; ' * bool(row.note)}{row.note}"


def chosen_modules(names: Sequence[str]) -> Iterator[tuple[str, ModuleType]]:
    """Those that are named, or all that do not take long."""
    for name in names or benchmarks():
        module = importlib.import_module(f"bench_{name}")
        if names or not getattr(module, "IS_LONG", False):
            yield name, module
        else:
            print(f"{name}: left out, it takes long; name it to run it", flush=True)


def is_ready(name: str, module: ModuleType) -> bool:
    """Whether the machine has what a benchmark needs; says what it lacks, and how to get it."""
    missing = lacking(getattr(module, "NEEDS", ()))
    for what in missing:
        print(f"{name}: cannot run, {what}", flush=True)
    for what in lacking(getattr(module, "ROWS_NEED", ())):
        print(f"{name}: without rows of a peer, {what}", flush=True)
    return not missing


def main() -> int:
    """Say what is lacking, then run one after another, each row kept as it comes even where a later one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(benchmarks())}")
    names = parser.parse_args().names
    if unknown := set(names) - set(benchmarks()):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    FOLDER.mkdir(exist_ok=True)
    chosen = list(chosen_modules(names))
    ready = [(name, module) for name, module in chosen if is_ready(name, module)]
    failed = len(chosen) - len(ready)
    facts = machine()
    commit = git_revision(ROOT).get("mlflow.source.git.commit", "unknown")
    run = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit, "machine": facts}
    print(json.dumps(facts), flush=True)
    measured: list[dict[str, Any]] = []
    for name, module in ready:
        try:
            for row in module.rows():
                print(line(row), flush=True)
                measured.append({"benchmark": name, **as_json(row)})
                (FOLDER / "latest.json").write_text(json.dumps({"machine": facts, "rows": measured}, indent=1) + "\n")
        except Exception as error:  # one benchmark that breaks must not cost the others their figures
            failed += 1
            print(f"{name}: FAILED, {error!r}", flush=True)
    if measured:
        history.record(measured, run)
        history.write_page()
        print(f"kept in {history.HISTORY.relative_to(ROOT)}, shown in {history.PAGE.relative_to(ROOT)}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
