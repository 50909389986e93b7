"""Derived tables, which the next run makes again: rows in Parquet files, which go as whole folders."""

from __future__ import annotations

import functools
import json
import shutil
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from vouch.features.engines import as_staged
from vouch.features.ingest.erased import PEOPLE
from vouch.serving.lifecycle.spelling import is_number
from vouch.serving.lifecycle.subject import Held

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vouch.serving.lifecycle.subject import Subject

MADE_AGAIN = "deleted whole, the next run makes it anew"
_RAW, _KEY = "raw", "key"
"""Columns of our own that hold customers: a row as it was handed over, and whose rows a part counts."""


def read_tables(subject: Subject, name: str) -> Iterator[Held]:
    """Give the rows of all files of a folder that name customers; one file that stands in two places is read once."""
    seen: set[tuple[int, int]] = set()
    for path in sorted((subject.home / name).rglob("*.parquet")):
        status = path.stat()
        if not path.is_file() or (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for customer, row in rows(subject, path):
            yield Held(customer, name, {"file": subject.place(path), **row}, MADE_AGAIN)


def rows(subject: Subject, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the rows of a Parquet file that name customers, with whom each names; a file that is damaged has none."""
    wanted = pa.array(sorted(subject.customer_ids), pa.string())
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            texts = {name for name in schema.names if _is_text(schema.field(name).type)}
            people = [name for name in (*PEOPLE, _KEY) if name in texts]
            for group in range(file.num_row_groups):
                if _RAW in texts:
                    yield from _of_raw(subject, file.read_row_group(group))
                elif people and pa.compute.any(named := _named(file.read_row_group(group, people), wanted)).as_py():
                    for row in file.read_row_group(group).filter(named).to_pylist():
                        yield next(row[name] for name in people if row[name] in subject.customer_ids), row
    except (OSError, pa.ArrowException):
        return


def _named(table: pa.Table, wanted: pa.Array) -> pa.ChunkedArray:
    """Which rows name somebody who is wanted, in any column."""
    matches = [pa.compute.is_in(column.cast(pa.string()), value_set=wanted) for column in table.columns]
    return functools.reduce(pa.compute.or_, matches)


def _of_raw(subject: Subject, table: pa.Table) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in table.to_pylist():
        if (customer := _in_raw(subject, row[_RAW])) is not None:
            yield customer, row


def _in_raw(subject: Subject, raw: str | None) -> str | None:
    """Whom a row as it was handed over names."""
    if raw is None:
        return None
    for name, value in json.loads(raw).items():
        customer = as_staged(value) if isinstance(value, str) else str(value)
        if customer in subject.customer_ids and (name in PEOPLE or not is_number(customer)):
            return customer
    return None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


def erase_tables(subject: Subject, name: str) -> None:
    """Delete a folder: nothing of it is more than a copy."""
    shutil.rmtree(subject.home / name, ignore_errors=True)
