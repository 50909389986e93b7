"""Tables in contract form for tests, from frames of the contract's own columns: no file, no check, no quarantine.

Times stand as microseconds in columns named as in the contract (`occurred_at`); columns that a frame lacks were not
handed over.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from vouch.features.asof import Tables
from vouch.features.contract.tables import DAY_US, TABLES
from vouch.features.sentiment.polarity import polarity, polarity_from_rating

TYPES = {
    "text": pl.String,
    "boolean": pl.Boolean,
    "integer": pl.Int64,
    "money": pl.Decimal(18, 4),
    "number": pl.Decimal(18, 4),
    "probability": pl.Float64,
    "time": pl.Int64,
}
TEXTS = {"surveys": "verbatim", "feedback": "text", "social_posts": "text"}
Raw = dict[str, pl.DataFrame]


def raw_frame(name: str, rows: list[dict[str, Any]], columns: set[str] | None = None) -> pl.DataFrame:
    """Rows as a frame with all columns of the contract, or with those named."""
    kinds = {column.name: TYPES[column.kind] for column in TABLES[name].columns.values()}
    there = {column: kind for column, kind in kinds.items() if columns is None or column in columns}
    loose = {column: pl.Float64 if isinstance(kind, pl.Decimal) else kind for column, kind in there.items()}
    return pl.DataFrame([{c: row.get(c) for c in there} for row in rows], schema=loose).cast(there)


def read_company(folder: Path) -> Raw:
    """The tables of a simulated company as they were written, times as microseconds."""
    frames = {path.stem: pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}
    return {
        name: frame.with_columns(
            pl.col(c.name).dt.epoch("us") if c.kind == "time" else pl.col(c.name).cast(TYPES[c.kind])
            for c in TABLES[name].columns.values()
            if c.name in frame.columns
        ).select(c for c in TABLES[name].columns if c in frame.columns)
        for name, frame in frames.items()
    }


def in_contract_form(name: str, raw: pl.DataFrame) -> pl.DataFrame:
    """One table with the columns that staging adds; versions of a key in the order in which they became known."""
    table = TABLES[name]
    frame = raw.unique(maintain_order=True) if table.key in raw.columns and raw[table.key].null_count() == 0 else raw
    frame = frame.select(
        (pl.col(c.name) if c.name in raw.columns else pl.lit(None)).cast(TYPES[c.kind]).alias(c.staged)
        for c in table.columns.values()
    )
    frame = frame.with_columns(
        own_us=pl.coalesce(table.columns[clock].staged for clock in table.clock),
        is_stated=pl.col("ingested_us").is_not_null(),
        is_deleted=pl.col("is_deleted").fill_null(False),
    ).filter(pl.col("own_us").is_not_null())
    frame = frame.with_columns(day=pl.col("own_us") // DAY_US, ingested_us=pl.coalesce("ingested_us", "own_us"))
    return _with_polarity(name, _with_superseded(name, frame))


def _with_superseded(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """When the next version of a key became known; a tie is not decided by what a row says of a later date."""
    table = TABLES[name]
    key, dates = table.key, [table.columns[date].staged for date in table.later]
    if key is None:
        return frame.with_columns(superseded_us=pl.lit(None, pl.Int64))
    last = [*dates, *(fact for facts in table.later.values() for fact in facts)]
    first = [column for column in frame.columns if column not in {key, "ingested_us", *last}]
    ordered = frame.sort(key, "ingested_us", *first, *last, nulls_last=True)
    following = pl.when(pl.col(key).is_not_null()).then(pl.col("ingested_us").shift(-1).over(key))
    return ordered.with_columns(superseded_us=following)


def _with_polarity(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    if name not in TEXTS:
        return frame
    found = polarity(frame[TEXTS[name]]).cast(pl.Int64)
    if name == "feedback":
        rated = polarity_from_rating(frame["rating"], frame["rating_max"]).cast(pl.Int64)
        found = pl.select(pl.coalesce(rated, found)).to_series()
    return frame.with_columns(found.alias("polarity"))


def make_tables(raw: Raw, engine: str = "polars", spark: Any = None) -> Tables:
    """Tables on one engine."""
    frames = {name: in_contract_form(name, frame) for name, frame in raw.items()}
    columns = {name: frozenset(frame.columns) for name, frame in raw.items()}
    return Tables(on_engine(frames, engine, spark), columns, "test", engine)


def on_engine(frames: Raw, engine: str, spark: Any = None) -> dict[str, nw.LazyFrame]:
    """Frames of Polars as lazy frames of an engine."""
    if engine == "polars":
        return {name: nw.from_native(frame.lazy()) for name, frame in frames.items()}
    if engine == "spark":
        return {name: nw.from_native(spark.createDataFrame(frame.to_arrow())) for name, frame in frames.items()}
    import duckdb

    connection = duckdb.connect()
    return {name: nw.from_native(connection.from_arrow(frame.to_arrow())) for name, frame in frames.items()}
