"""What ten times the events of the same customers cost, and a week of a large company end to end under a memory limit.

Files to vectors on fresh homes, from plain event logs. Then `vouch score` of a company with all tables and both
champions: each customer of a small simulated one many times over, and the champions that were trained on that.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import simulated_champions
from bench_engine import Took, took
from event_logs import end_us, write_logs
from large_company import write_large
from measuring import FOLDER, VOUCH, Row, measured_well

IS_LONG = True
HERE = FOLDER / "scale"
SMALL, LARGE, CUSTOMERS = 10_000_000, 100_000_000, 100_000
MANY_CUSTOMERS = 1_000_000
MOST_MEBIBYTES = 8 * 1024
NOW_US = end_us()


def rows() -> Iterator[Row]:
    """More events, then more customers."""
    yield from _events()
    yield from _company()


def _events() -> Iterator[Row]:
    """Files to vectors with ten times the events."""
    found = {events: _from_files_to_vectors(events) for events in (SMALL, LARGE)}
    for name, place in (("read and checked", 0), ("vectors", 1)):
        small, large = found[SMALL][place], found[LARGE][place]
        slope = large.seconds / small.seconds * SMALL / LARGE
        note = f"{CUSTOMERS:,} customers: {small} for {SMALL:,} events, {large} for {LARGE:,}"
        yield Row(f"{name}, slope in events", "a tenth of the events", slope, note=note)
    (small_s, small_mib), (large_s, large_mib) = (
        (sum(of.seconds for of in found[events]), max(of.mebibytes for of in found[events]))
        for events in (SMALL, LARGE)
    )
    note = f"{CUSTOMERS:,} customers: {small_s:.1f} s for {SMALL:,} events, {large_s:.1f} s for {LARGE:,}"
    slope = large_s / small_s * SMALL / LARGE
    yield Row("files to vectors, slope in events", "a tenth of the events", slope, at_most=1.1, note=note)
    note = f"{small_mib:.0f} MiB and {large_mib:.0f} MiB"
    yield Row("files to vectors, peak memory", "a tenth of the events", large_mib / small_mib, at_most=1.5, note=note)


def _from_files_to_vectors(events: int) -> tuple[Took, Took]:
    source, home = write_logs(HERE / f"logs-{events}", CUSTOMERS, events), HERE / f"home-{events}"
    shutil.rmtree(home, ignore_errors=True)
    staging = took("stage", source, home, NOW_US, times=1)
    return staging, took("vectors", source, home, NOW_US, "duckdb", "fresh", HERE / "vectors.parquet", times=1)


def _company() -> Iterator[Row]:
    """The peak of resident memory of `vouch score`, from files to a published week."""
    home, trained = HERE / "week", simulated_champions.champions()
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(trained / "champions", home / "champions", symlinks=True)
    source = write_large(simulated_champions.COMPANY, HERE / "company", MANY_CUSTOMERS, LARGE)
    as_of = datetime.fromtimestamp(_latest_us(trained) / 1_000_000, UTC).isoformat()
    command = [VOUCH, "score", str(source), "--now", as_of, "--format", "json"]
    week = measured_well(command, HERE / "log", VOUCH_HOME=str(home))
    (manifest,) = (home / "snapshots").glob("*/revision-1/manifest.json")
    facts = json.loads(manifest.read_text())
    note = (
        f"{facts['rows_in']['usage_events']:,} events, {facts['rows_out']['scores']:,} customers, all tables, both "
        f"champions: {week.seconds:.0f} s ({week.processor_seconds:.0f} s of processor), {week.mebibytes:.0f} MiB"
    )
    yield Row("vouch score, peak memory", "8 GiB", week.mebibytes / MOST_MEBIBYTES, at_most=1.0, note=note)


def _latest_us(home: Path) -> int:
    """The latest Monday that the small company's data reach."""
    from vouch.features.ingest.stage import stage
    from vouch.features.project import Project
    from vouch.features.simulation.parameters import LAST_INSTANT_US

    project = Project(home=home, location=str(simulated_champions.COMPANY))
    return stage(project, LAST_INSTANT_US).default_as_of_us(LAST_INSTANT_US)
