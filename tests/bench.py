"""Time and memory of the main commands on a simulated company, each in a process of its own; `make bench` runs it.

Nothing is asserted: the figures stand beside a reference from the same run, a sort of 20 million numbers by NumPy, so
that runs on different machines can be compared. What is written stays under `.bench/`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".bench"
COMPANY, VECTORS = str(FOLDER / "company"), str(FOLDER / "vectors.parquet")
VOUCH = str(Path(sys.executable).with_name("vouch"))
REFERENCE = "import numpy; numpy.sort(numpy.random.default_rng(0).random(20_000_000))"
MIB_OF_MAXRSS = 2**20 if sys.platform == "darwin" else 2**10


def steps(customers: int, weeks: int) -> dict[str, list[str]]:
    """The commands by name, in the order in which they need each other."""
    size = ["--customers", str(customers), "--weeks", str(weeks)]
    return {
        "reference": [sys.executable, "-c", REFERENCE],
        "simulate": [VOUCH, "simulate", "--out", COMPANY, *size, "--seed", "7"],
        "check": [VOUCH, "check", COMPANY],
        "features on DuckDB": [VOUCH, "features", COMPANY, "--out", VECTORS, "--engine", "duckdb"],
        "features on Polars": [VOUCH, "features", COMPANY, "--out", VECTORS, "--engine", "polars"],
        "train": [VOUCH, "train", "all", COMPANY],
        "score": [VOUCH, "score", COMPANY],
    }


def measure(command: list[str], log: Path) -> tuple[int, float, float]:
    """Exit code, seconds, and the peak of resident memory in MiB."""
    start = time.perf_counter()
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, "VOUCH_HOME": str(FOLDER / "home")}
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, time.perf_counter() - start, usage.ru_maxrss / MIB_OF_MAXRSS


def main() -> int:
    """Run every step on fresh files, print a line for each, and fail where a command failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--weeks", type=int, default=78)
    chosen = parser.parse_args()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    failed = 0
    for name, command in steps(chosen.customers, chosen.weeks).items():
        code, seconds, mebibytes = measure(command, FOLDER / "log")
        failed += code != 0
        print(
            f"{name:20} {seconds:7.1f} s {mebibytes:7.0f} MiB{f'  exit {code}, see .bench/log' if code else ''}",
            flush=True,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
