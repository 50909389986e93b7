"""What ten times the events cost, and a week of a large company end to end under a limit of memory.

Files to vectors on fresh homes; then `vouch score` (without champions: statuses, vectors, tiers, metrics, snapshot).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench_engine import Took, took
from event_logs import end_us, write_logs
from measuring import FOLDER, VOUCH, Row, measured_well

IS_LONG = True
HERE = FOLDER / "scale"
SMALL, LARGE = 10_000_000, 100_000_000
EVENTS_PER_CUSTOMER = 100
MOST_MEBIBYTES = 8 * 1024
NOW_US = end_us()


def rows() -> Iterator[Row]:
    """The small company, the large one, and a week of the large one."""
    found = {events: _from_files_to_vectors(events) for events in (SMALL, LARGE)}
    (small, small_mebibytes), (large, large_mebibytes) = found[SMALL], found[LARGE]
    note = f"{SMALL:,} events {small:.1f} s, {LARGE:,} events {large:.1f} s, per event"
    yield Row("files to vectors, slope", f"{SMALL:,} events", large / small * SMALL / LARGE, at_most=1.1, note=note)
    note = f"{small_mebibytes:.0f} and {large_mebibytes:.0f} MiB"
    yield Row("peak memory", f"{SMALL:,} events", large_mebibytes / small_mebibytes, at_most=1.5, note=note)
    now = datetime.fromtimestamp(NOW_US / 1_000_000, UTC).isoformat()
    command = [VOUCH, "score", str(_logs(LARGE)), "--now", now, "--format", "json"]
    week = measured_well(command, HERE / "log", VOUCH_HOME=str(HERE / "week"))
    note = (
        f"{LARGE:,} events, {LARGE // EVENTS_PER_CUSTOMER:,} customers: {week.seconds:.0f} s, {week.mebibytes:.0f} MiB"
    )
    yield Row("vouch score, peak memory", "8 GiB", week.mebibytes / MOST_MEBIBYTES, at_most=1.0, note=note)


def _logs(events: int) -> Path:
    return write_logs(HERE / f"logs-{events}", events // EVENTS_PER_CUSTOMER, events)


def _from_files_to_vectors(events: int) -> tuple[float, float]:
    """Seconds and peak MiB of both pieces of work."""
    source, home = _logs(events), HERE / f"home-{events}"
    shutil.rmtree(home, ignore_errors=True)
    done: list[Took] = [
        took("stage", source, home, NOW_US, times=1),
        took("vectors", source, home, NOW_US, "duckdb", "fresh", HERE / "vectors.parquet", times=1),
    ]
    return sum(of.seconds for of in done), max(of.mebibytes for of in done)
