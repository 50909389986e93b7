"""Time of the metrics of 20,000 customers by 78 weeks: the whole catalogue, its history, and what changed.

Each is a process of its own, with all that it imports; `cold` reads and checks the raw tables first, the others find
them staged. The reference is one plain DuckDB query over the raw usage events (distinct days by customer), which a
company would write by hand for a single metric. Targets in seconds on two quiet cores stand in the notes.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator

from measuring import FOLDER, VOUCH, Row, measured_well

HERE = FOLDER / "metrics"
COMPANY = str(HERE / "company")
ALL = ["metrics", COMPANY, "--format", "json"]
QUERY = f"""
import duckdb
rows = duckdb.sql("select customer_id, count(distinct cast(occurred_at as date)), max(occurred_at) "
                  "from '{COMPANY}/usage_events.parquet' group by 1").fetchall()
assert rows
"""
NAME = "a plain query by hand"
COMMANDS = {
    "all, cold, without bootstraps": ([*ALL, "--no-bootstraps"], "target 20 s"),
    "all, without bootstraps": ([*ALL, "--no-bootstraps"], "target 20 s"),
    "all, with bootstraps": (ALL, "target 60 s"),
    "all by plan, with bootstraps": ([*ALL, "--by", "plan"], ""),
    "three metrics, 78 weeks back": (
        ["metrics", COMPANY, "nps", "retention_rate", "advocacy_participation", "--since", "start", "--format", "json"],
        "",
    ),
    "all, what changed in 13 weeks": ([*ALL, "--against", "2026-08-17"], ""),
    "which segments stand out": ([*ALL, "--scan"], ""),
    "both readings": ([*ALL, "--sensitivity"], ""),
}


def rows() -> Iterator[Row]:
    """Simulate a company, and run every command on it."""
    shutil.rmtree(HERE, ignore_errors=True)
    log = HERE / "log"
    made = ["simulate", "--out", COMPANY, "--customers", "20000", "--weeks", "78", "--seed", "7"]
    measured_well([VOUCH, *made], log)
    reference = measured_well([sys.executable, "-c", QUERY], log)
    for name, (arguments, target) in COMMANDS.items():
        found = measured_well([VOUCH, *arguments], log, VOUCH_HOME=str(HERE / "home"))
        took = f"{found.seconds:.1f} s, {found.processor_seconds:.1f} s of processors, {found.mebibytes:.0f} MiB"
        note = f"{took}; {target}".removesuffix("; ")
        yield Row(f"metrics: {name}", NAME, found.seconds / reference.seconds, note=note)
