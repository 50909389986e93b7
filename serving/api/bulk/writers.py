"""Writers of bulk files: Parquet, one JSON object per line, or CSV; batch by batch."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from pydantic_core import to_json

from vouch.features.shown import plain_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

AT_ONCE = 1_000
"""Rows that are written as text at once, so that others are answered meanwhile."""


def _write_parquet(parts: Iterable[pa.Table], file: IO[bytes]) -> int:
    rows, writer = 0, None
    for part in parts:
        if writer is None:
            writer = pq.ParquetWriter(file, part.schema, compression="zstd", version="2.6", write_page_checksum=True)
        if len(part) or not rows:
            writer.write_table(part)
        rows += len(part)
    if writer is not None:
        writer.close()
    return rows


def _write_lines(parts: Iterable[pa.Table], file: IO[bytes]) -> int:
    rows = 0
    for part in parts:
        for start in range(0, len(part), AT_ONCE):
            for row in part.slice(start, AT_ONCE).to_pylist():
                file.write(to_json(row, inf_nan_mode="null") + b"\n")
                rows += 1
    return rows


def _write_csv(parts: Iterable[pa.Table], file: IO[bytes]) -> int:
    """Lists stand as JSON in their cells; what a spreadsheet would compute is held still, as in every export."""
    rows, writer = 0, None
    for part in parts:
        for start in range(0, max(len(part), 1), AT_ONCE):
            flat = _flat(part.slice(start, AT_ONCE))
            if writer is None:
                writer = pa.csv.CSVWriter(file, flat.schema)
            writer.write_table(flat)
        rows += len(part)
    if writer is not None:
        writer.close()
    return rows


def _flat(table: pa.Table) -> pa.Table:
    columns = {}
    for field in table.schema:
        values = table[field.name]
        if pa.types.is_nested(field.type):
            texts = [
                None if one is None else plain_text(to_json(one, inf_nan_mode="null").decode())
                for one in values.to_pylist()
            ]
            columns[field.name] = pa.array(texts, pa.string())
        elif pa.types.is_timestamp(field.type):
            texts = [None if one is None else one.isoformat() for one in values.to_pylist()]
            columns[field.name] = pa.array(texts, pa.string())
        elif pa.types.is_string(field.type):
            texts = [None if one is None else plain_text(one) for one in values.to_pylist()]
            columns[field.name] = pa.array(texts, pa.string())
        else:
            columns[field.name] = values
    return pa.table(columns)


WRITERS: Mapping[str, Callable[[Iterable[pa.Table], IO[bytes]], int]] = {
    "parquet": _write_parquet,
    "ndjson": _write_lines,
    "csv": _write_csv,
}
"""Each writes tables, at least one, into a file and returns how many rows those were."""
