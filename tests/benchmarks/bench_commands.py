"""Time and memory of the main commands on a simulated company, each in a process of its own.

The reference is a sort of 20 million numbers by NumPy. No targets: the figures show where time goes.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator

from measuring import FOLDER, VOUCH, Row, measured_well

HERE = FOLDER / "commands"
COMPANY, VECTORS = str(HERE / "company"), str(HERE / "vectors.parquet")
REFERENCE = "import numpy; numpy.sort(numpy.random.default_rng(0).random(20_000_000))"
COMMANDS = {
    "simulate": ["simulate", "--out", COMPANY, "--customers", "20000", "--weeks", "78", "--seed", "7"],
    "check": ["check", COMPANY],
    "features on DuckDB": ["features", COMPANY, "--out", VECTORS, "--engine", "duckdb"],
    "features on Polars": ["features", COMPANY, "--out", VECTORS, "--engine", "polars"],
    "train": ["train", "all", COMPANY],
    "score": ["score", COMPANY],
    "metrics": ["metrics", COMPANY, "--format", "json"],
}


def rows() -> Iterator[Row]:
    """Run every command on fresh files."""
    shutil.rmtree(HERE, ignore_errors=True)
    log = HERE / "log"
    reference = measured_well([sys.executable, "-c", REFERENCE], log)
    for name, arguments in COMMANDS.items():
        found = measured_well([VOUCH, *arguments], log, VOUCH_HOME=str(HERE / "home"))
        note = f"20,000 customers by 78 weeks: {found.seconds:.1f} s, {found.mebibytes:.0f} MiB"
        yield Row(name, "a sort of 20 million numbers", found.seconds / reference.seconds, note=note)
