"""A large company out of a small simulated one: every customer many times over, each time under ids of its own.

All tables are there, with the shape that the simulator gives them, at the cost of writing them. Usage events are
thinned to the number that is wanted, and come as one part file per week in which they became known.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import duckdb
from event_logs import WEEK_US

sys.path.insert(0, str(Path(__file__).parents[2]))

from vouch.features.contract.tables import TABLES

OTHER_IDS = {"account_id", "author", "order_id", "prospect_id", "user_id", "visitor_id"}
"""Columns that name somebody or something of one customer, beside keys, customers and references."""
USAGE = "usage_events"


def write_large(small: Path, folder: Path, customers: int, events: int) -> Path:
    """Copy the tables of `small` until there are so many customers and usage events; what stands from before is kept.

    Returns the folder.
    """
    facts = json.dumps([str(small), customers, events])
    if (folder / "_made.json").exists() and (folder / "_made.json").read_text() == facts:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with duckdb.connect(config={"memory_limit": "3GB", "preserve_insertion_order": False}) as connection:
        copies = -(-customers // _count(connection, small, "customers"))
        for path in sorted(small.glob("*.parquet")):
            if path.stem == USAGE:
                _write_weeks(connection, path, folder / USAGE, copies, events)
            else:
                _write(connection, f"FROM '{path}'", path.stem, folder / path.name, copies)
    (folder / "_made.json").write_text(facts)
    return folder


def _count(connection: duckdb.DuckDBPyConnection, small: Path, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM '{small / table}.parquet'").fetchall()[0][0])


def _write(connection: duckdb.DuckDBPyConnection, rows: str, table: str, path: Path, copies: int) -> None:
    """Write rows of one table once for each copy of their customers, or once where they are the company's own."""
    there = {name for name, *_ in connection.execute(f"DESCRIBE {rows}").fetchall()}
    declared = TABLES[table]
    ids = {declared.key, declared.customer, *declared.references, *OTHER_IDS} & there
    if not ids:
        connection.execute(f"COPY ({rows}) TO '{path}' (FORMAT parquet)")
        return
    named = ", ".join(f"{name} || '-' || copy_number AS {name}" for name in sorted(ids))
    copied = f"SELECT * EXCLUDE (copy_number) REPLACE ({named}) FROM ({rows}), range({copies}) AS copies(copy_number)"
    connection.execute(f"COPY ({copied}) TO '{path}' (FORMAT parquet)")


def _write_weeks(connection: duckdb.DuckDBPyConnection, path: Path, folder: Path, copies: int, events: int) -> None:
    """Write usage events by the week in which they became known, so many of each thousand as are wanted."""
    folder.mkdir()
    thousandths = max(1, 1_000 * events // (copies * _count(connection, path.parent, USAGE)))
    known = f"epoch_us(greatest(occurred_at, coalesce(ingested_at, occurred_at))) // {WEEK_US}"
    kept = f"FROM '{path}' WHERE hash(event_id) % 1000 < {thousandths}"
    weeks = connection.execute(f"SELECT DISTINCT {known} AS week {kept} ORDER BY week").fetchall()
    for number, (week,) in enumerate(weeks):
        _write(connection, f"{kept} AND {known} = {week}", USAGE, folder / f"week-{number:03}.parquet", copies)
