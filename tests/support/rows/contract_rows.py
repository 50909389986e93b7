"""Tables in contract form from a few rows written by hand, on DuckDB or Polars, without any file."""

from __future__ import annotations

import duckdb
import narwhals as nw
import polars
import pyarrow as pa

from vouch.features.asof import Tables
from vouch.features.contract.tables import DAY_US, TABLES

TYPES = {
    "text": pa.string(),
    "time": pa.int64(),
    "money": pa.decimal128(18, 4),
    "number": pa.decimal128(18, 4),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "probability": pa.float64(),
}


def day(number):
    """A day as microseconds since 1970."""
    return int(number * DAY_US)


def arrow(name, rows):
    """Rows (dicts; times in days) of one table in contract form; `ingested` in days, `superseded` likewise."""
    table = TABLES[name]
    times = {column.name for column in table.columns.values() if column.kind == "time"}
    clocks = [clock for clock in table.clock if any(clock in row for row in rows)] or list(table.clock)
    content = {}
    for column in table.columns.values():
        values = [row.get(column.name) for row in rows]
        if column.name in times:
            values = [None if value is None else day(value) for value in values]
        content[column.staged] = pa.array(values, TYPES[column.kind])
    own = [next(day(row[clock]) for clock in clocks if row.get(clock) is not None) for row in rows]
    known = [
        day(row["ingested_at"]) if row.get("ingested_at") is not None else at for row, at in zip(rows, own, strict=True)
    ]
    content["own_us"] = pa.array(own, pa.int64())
    content["ingested_us"] = pa.array(known, pa.int64())
    content["is_stated"] = pa.array([row.get("ingested_at") is not None for row in rows], pa.bool_())
    content["is_deleted"] = pa.array([bool(row.get("is_deleted")) for row in rows], pa.bool_())
    content["day"] = pa.array([at // DAY_US for at in own], pa.int64())
    content["superseded_us"] = pa.array(superseded(table.key, rows, known), pa.int64())
    if name in {"surveys", "feedback", "social_posts"}:
        content["polarity"] = pa.array([row.get("polarity") for row in rows], pa.int64())
    return pa.table(content)


def superseded(key, rows, known):
    """When the next version of each row's key became known."""
    later = []
    for row, at in zip(rows, known, strict=True):
        after = [other for twin, other in zip(rows, known, strict=True) if key and twin[key] == row[key] and other > at]
        later.append(min(after, default=None))
    return later


def make_tables(engine="polars", **rows_by_table):
    """A company of the tables given; every column that some row names counts as handed over."""
    frames = {}
    connection = duckdb.connect()
    for name, rows in rows_by_table.items():
        table = arrow(name, rows)
        if engine == "duckdb":
            frames[name] = nw.from_native(connection.from_arrow(table)).lazy()
        else:
            frames[name] = nw.from_native(polars.from_arrow(table).lazy())
    columns = {name: frozenset(key for row in rows for key in row) for name, rows in rows_by_table.items()}
    return Tables(frames=frames, columns=columns, fingerprint="by hand", engine=engine)
