"""One piece of work of the engine or of a peer, in a process of its own; prints what it took as JSON.

Libraries are imported before the clock starts. `python engine_work.py WORK ARGUMENT ...`; every work is a function.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

DAY_US = 86_400_000_000
Work = Callable[[], Any]


def stage(source: str, home: str, now_us: str) -> Work:
    """Read and check a company's files."""
    from vouch.features.ingest.stage import stage
    from vouch.features.project import Project

    return lambda: print(stage(Project(home=Path(home), location=source), int(now_us)).folder)


def vectors(source: str, home: str, now_us: str, engine: str, mode: str, out: str, instants: str = "1") -> Work:
    """Vectors at one instant, or panels of several a month apart, from tables that are staged.

    Modes: `rows` uses no customer-days, `fresh` makes them, `kept` finds them standing.
    """
    from vouch.features.ingest.stage import open_tables
    from vouch.features.ingest.stage import stage as staged_tables
    from vouch.features.project import Project
    from vouch.features.vectors.build import vectors_at

    staged = staged_tables(Project(home=Path(home), location=source), int(now_us))
    if mode == "fresh":
        shutil.rmtree(Path(home) / "rollups", ignore_errors=True)
    wanted = [int(now_us) - number * 28 * DAY_US for number in range(int(instants))]

    def work() -> None:
        tables = open_tables(staged, engine)
        if mode == "rows":
            tables = dataclasses.replace(tables, partitions={})
        for number, frame in enumerate(vectors_at(tables, wanted)):
            frame.sort("customer_id").sink_parquet(f"{out}.{number}")

    return work


def hand(peer: str, folder: str, as_of_us: str, out: str) -> Work:
    """The same features, written by hand."""
    from peers import by_hand

    __import__(peer)
    return lambda: getattr(by_hand, f"with_{peer}")(Path(folder), int(as_of_us), Path(out))


def files(source: str, as_of_us: str, out: str) -> Work:
    """The same features, written by hand over the files as they were handed over."""
    __import__("duckdb")  # its import is not what is timed
    from peers.by_hand import from_files_with_duckdb

    return lambda: from_files_with_duckdb(Path(source), int(as_of_us), Path(out))


def main() -> None:
    """Do one piece of work."""
    work = globals()[sys.argv[1]](*sys.argv[2:])
    start, processor = time.perf_counter(), time.process_time()
    work()
    found = {"seconds": time.perf_counter() - start, "processor_seconds": time.process_time() - processor}
    unit = 2**20 if sys.platform == "darwin" else 2**10
    print(json.dumps(found | {"mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit}))


if __name__ == "__main__":
    main()
