"""Every benchmark, or those that are named: a table of ratios, and the same as JSON in `.bench/latest.json`.

`make bench` runs the ones that fit into minutes; `make bench ONLY="scale serving"` the ones that are named. A file
`bench_NAME.py` here, or in `learning/`, with a function `rows()` is a benchmark; `IS_LONG = True` in it keeps it out of
the default. Nothing is asserted here: a row says what its target is, and whether it is met.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # what tests make by hand
sys.path.insert(0, str(Path(__file__).parent / "learning"))
sys.path.insert(0, str(Path(__file__).parent))

from measuring import FOLDER, Row

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


def main() -> int:
    """Run benchmarks one after another, each row printed as it comes and kept even where a later one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(benchmarks())}")
    chosen = parser.parse_args().names
    if unknown := set(chosen) - set(benchmarks()):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    FOLDER.mkdir(exist_ok=True)
    found: list[dict[str, Any]] = []
    failed = 0
    facts = machine()
    print(json.dumps(facts), flush=True)
    for name in chosen or benchmarks():
        module = importlib.import_module(f"bench_{name}")
        if not chosen and getattr(module, "IS_LONG", False):
            print(f"{name}: left out, it takes long; name it to run it", flush=True)
            continue
        try:
            for row in module.rows():
                print(line(row), flush=True)
                found.append({"benchmark": name, **as_json(row)})
                (FOLDER / "latest.json").write_text(json.dumps({"machine": facts, "rows": found}, indent=1) + "\n")
        except Exception as error:  # one benchmark that breaks must not cost the others their figures
            failed += 1
            print(f"{name}: FAILED, {error!r}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
