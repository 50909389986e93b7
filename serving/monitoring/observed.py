"""Observations for the guards: a company's tables as they are at an instant, and missingness in its vectors."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import narwhals as nw

from vouch.features.asof import view
from vouch.features.facts.cadence import cadence_days, latest_delivery, rows_by_day
from vouch.features.instants import WEEK_US
from vouch.features.vectors.declare import load_families
from vouch.serving.snapshots.arrow_streams import stored_batches

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    import pyarrow as pa

    from vouch.features.asof import Tables


def tables_at(tables: Tables, as_of_us: int) -> dict[str, dict[str, Any]]:
    """Return for each table how many facts it holds at an instant, how many of the last seven days, and the newest.

    Where a table comes by deliveries, days apart, those of the latest stand in place of those of the week.
    """
    return {name: _table_at(tables, name, as_of_us) for name in sorted(tables.frames)}


def _table_at(tables: Tables, name: str, as_of_us: int) -> dict[str, Any]:
    own_us = nw.col("own_us")
    facts = view(tables, name, as_of_us)
    figures = facts.select(
        nw.len().alias("rows"),
        (own_us >= as_of_us - WEEK_US).cast(nw.Int64).sum().alias("week"),
        own_us.max().alias("newest_us"),
    )
    (row,) = figures.collect("pyarrow").to_native().to_pylist()
    by_day = rows_by_day(facts)
    cadence = cadence_days(by_day)
    week = int(row["week"] or 0) if cadence is None else latest_delivery(by_day, cadence)
    return {"rows": int(row["rows"]), "week": week, "newest_us": row["newest_us"], "cadence_days": cadence}


def missing_shares(vectors: Path, left_out: Collection[str] = frozenset()) -> dict[str, float]:
    """Return by family of features which share of its values is null in stored vectors, some features left out."""
    family_of = {name: feature.family for name, feature in load_families().items() if name not in left_out}
    nulls: Counter[str] = Counter()
    cells: Counter[str] = Counter()
    for batch in stored_batches(vectors):
        for name in batch.column_names:
            if family := family_of.get(name):
                nulls[family] += batch[name].null_count
                cells[family] += len(batch)
    return {family: nulls[family] / of for family, of in sorted(cells.items()) if of}


def counts(column: pa.ChunkedArray) -> dict[str, int]:
    """Return how often each value of a column occurs."""
    return dict(sorted(Counter(column.to_pylist()).items()))
