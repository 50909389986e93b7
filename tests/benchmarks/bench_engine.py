"""The feature engine against the same features written by hand on plain event logs; what a week, a panel, a scale cost.

All peers read the same Parquet in contract form, cut it at the same instant, and write one row per customer; that the
values are equal is checked first. Figures are ratios of wall-clock seconds: ours and those of DuckDB and Polars are the
best of two processes, those of pandas and Featuretools of one.

Featuretools gets the same features in the same windows, from Parquet that holds its sample alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl
from event_logs import end_us, write_logs
from measuring import FOLDER, Row
from needs import FEATURETOOLS

IS_LONG = True
ROWS_NEED = (FEATURETOOLS,)
HERE = FOLDER / "engine"
EVENTS, CUSTOMERS, WEEKS = 10_000_000, 100_000, 78
TIMES, INSTANTS = 2, 12
NOW_US = end_us(WEEKS)
TOLERANCE = 1e-9
FROM_ROWS, STANDING = "one cutoff from nothing, from rows", "one cutoff, state standing"
STATE_BUILT, PANEL = "one cutoff from nothing, state built", "twelve cutoffs from nothing, state built"
"""At midnight the engine builds the state, so that the next week costs a week; from rows it is where it keeps none."""
SAMPLE = 2_000
"""Customers whose events Featuretools gets."""


class Took(NamedTuple):
    """What a piece of work took, and the last line that it said before."""

    seconds: float
    processor_seconds: float
    mebibytes: float
    said: str

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s ({self.processor_seconds:.1f} s of processor, {self.mebibytes:.0f} MiB)"


def took(*arguments: object, times: int = TIMES) -> Took:
    """Run a piece of work in fresh processes and return the fastest. Raises RuntimeError where one fails."""
    script, found = Path(__file__).with_name("engine_work.py"), []
    for _ in range(times):
        command = [sys.executable, str(script), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{arguments}: {done.stderr[-2_000:]}")
        *said, last = done.stdout.strip().splitlines()
        found.append(Took(**json.loads(last), said=said[-1] if said else ""))
    return min(found)


def rows() -> Iterator[Row]:
    """Stage once, then compare."""
    shutil.rmtree(HERE / "home", ignore_errors=True)
    source, home, out = write_logs(HERE / "logs", CUSTOMERS, EVENTS, WEEKS), HERE / "home", HERE / "out"
    out.mkdir(exist_ok=True)
    staging = took("stage", source, home, NOW_US, times=1)
    folder = Path(staging.said)
    size = f"{EVENTS:,} events, {CUSTOMERS:,} customers"
    hand = {
        peer: took("hand", peer, folder, NOW_US, out / peer, times=1 if peer == "pandas" else TIMES) for peer in PEERS
    }
    ours: dict[str, Took] = {}
    for mode in ("rows", "fresh", "kept"):
        ours[mode] = took("vectors", source, home, NOW_US, "duckdb", mode, out / f"{mode}")
        _equal(pl.read_parquet(out / f"{mode}.0"), {peer: pl.read_parquet(out / peer) for peer in PEERS})
    for name, mine, targets in (
        (FROM_ROWS, ours["rows"], {"duckdb": 1.0, "polars": 1.5, "pandas": 1.0}),
        (STATE_BUILT, ours["fresh"], {"duckdb": 1.0, "polars": 1.5, "pandas": 1.0}),
        (STANDING, ours["kept"], {"duckdb": 0.5, "polars": 0.5, "pandas": None}),
    ):
        for peer, at_most in targets.items():
            note = f"{size}: {mine} against {hand[peer]}"
            yield Row(name, PEERS[peer], mine.seconds / hand[peer].seconds, at_most=at_most, note=note)
    many = took("vectors", source, home, NOW_US, "duckdb", "fresh", out / "panel", INSTANTS)
    for reference, one in ((STATE_BUILT, ours["fresh"]), (FROM_ROWS, ours["rows"])):
        note = f"{size}: {many} against {one}"
        yield Row(PANEL, reference, many.seconds / one.seconds, at_most=3.0, note=note)
    yield from _featuretools(folder, {FROM_ROWS: ours["rows"], STANDING: ours["kept"]}, many)
    from_files = took("files", source, NOW_US, out / "files")
    _equal(pl.read_parquet(out / "fresh.0"), {"files": pl.read_parquet(out / "files")})
    ratio = (staging.seconds + ours["fresh"].seconds) / from_files.seconds
    note = f"{size}: {staging} and {ours['fresh']} against {from_files}"
    yield Row("files to vectors, from nothing", BY_HAND, ratio, at_most=1.5, note=note)
    yield from _week(source, staging, ours["fresh"])


BY_HAND = "one DuckDB query over the files by hand"
PEERS = {"duckdb": "one DuckDB query by hand", "polars": "Polars by hand, streaming", "pandas": "pandas by hand"}


def _equal(ours: pl.DataFrame, by_hand: dict[str, pl.DataFrame]) -> None:
    """Raise RuntimeError where a value differs from one that was computed by hand."""
    for peer, theirs in by_hand.items():
        mine, theirs = ours.sort("customer_id").select(theirs.columns), theirs.sort("customer_id")
        for name in theirs.columns[1:]:
            pair = pl.DataFrame({"mine": mine[name], "theirs": theirs[name]})
            if mine.schema[name] == pl.Float64:
                pair = pair.with_columns(pl.col("theirs").cast(pl.Float64).fill_nan(None))
                far = (pl.col("mine") - pl.col("theirs")).abs() > TOLERANCE * (1 + pl.col("mine").abs())
            else:
                far = pl.col("mine") != pl.col("theirs")
            # by hand a customer without events has null counts, the engine 0
            off = pair.filter(far | (pl.col("mine").is_null() & pl.col("theirs").is_not_null()))
            if len(mine) != len(theirs) or len(off):
                raise RuntimeError(f"{peer}, {name}: {len(off)} of {len(mine)} values differ, {off.head(3)}")


def _featuretools(folder: Path, one: dict[str, Took], many: Took) -> Iterator[Row]:
    """Events per second against Featuretools with the same features of fewer customers, where its environment was made.

    It needs an older pandas, so it has an environment of its own.
    """
    if not FEATURETOOLS.is_there():
        return
    python = FOLDER / "featuretools-env" / "bin" / "python"
    for instants, of in ((1, one), (INSTANTS, {PANEL: many})):
        command = [python, Path(__file__).with_name("peers") / "by_featuretools.py", folder, NOW_US, SAMPLE, instants]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.strip().splitlines()[-1])
        rate = found["events"] / found["seconds"]
        note = (
            f"events a second; {found['features']} features of {found['events']:,} events in {found['seconds']:.1f} s"
        )
        for name, ours in of.items():
            at_least = 50 if instants == 1 else None
            ratio = EVENTS / ours.seconds / rate
            yield Row(f"{name}: times as fast", "Featuretools", ratio, at_least=at_least, note=note)


def _week(source: Path, staging: Took, vectors: Took) -> Iterator[Row]:
    """What one more week costs, from files to vectors: read, checked, summed up, and windowed."""
    growing, home = HERE / "growing", HERE / "growing home"
    for folder in (growing, home):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, growing, copy_function=os.link)
    last = max((growing / "usage_events").glob("week-*"))
    kept_back = last.rename(HERE / last.name)
    before_us = end_us(WEEKS - 1)
    took("stage", growing, home, before_us, times=1)
    took("vectors", growing, home, before_us, "duckdb", "fresh", HERE / "out" / "before", times=1)
    kept_back.rename(last)
    reading = took("stage", growing, home, NOW_US, times=1)
    summing = took("vectors", growing, home, NOW_US, "duckdb", "kept", HERE / "out" / "week", times=1)
    windows = took("vectors", growing, home, NOW_US, "duckdb", "kept", HERE / "out" / "week")
    week, full = (
        reading.seconds + summing.seconds - windows.seconds,
        staging.seconds + vectors.seconds - windows.seconds,
    )
    note = f"state extended: {week:.1f} s against {full:.1f} s, {WEEKS - 1} weeks held"
    yield Row("weekly increment of the state", "a full build", week / full, at_most=0.10, note=note)
    whole = (reading.seconds + summing.seconds) / (staging.seconds + vectors.seconds)
    note = f"reading {reading}, vectors {summing}, against {staging} and {vectors}"
    yield Row("a week from files to vectors", "all of it from files to vectors", whole, at_most=0.05, note=note)
