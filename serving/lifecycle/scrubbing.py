"""Files without the rows, or without the names, of some customers: decoded, written anew beside, and put in place."""

from __future__ import annotations

import csv
import json
import os
import re
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from vouch.features.shown import plain_text

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

ERASED = "[erased]"
KEY = "customer_id"
_OPTIONS = {"compression": "zstd", "write_page_checksum": True, "version": "2.6"}


def scrub_parquet(path: Path, customer_ids: Collection[str], column: str = KEY) -> int:
    """Write a Parquet file anew without the rows of customers; return how many went. Nothing is touched without."""
    with pq.ParquetFile(path) as file:
        if column not in file.schema_arrow.names:
            return 0
        wanted = pa.array(sorted(customer_ids), pa.string())
        keys = file.read(columns=[column])[column]
        gone = int(pa.compute.sum(pa.compute.is_in(keys, value_set=wanted)).as_py() or 0)
        if not gone:
            return 0
        beside = path.with_name(f".{path.name}.next")
        with pq.ParquetWriter(beside, file.schema_arrow, **_OPTIONS) as writer:
            for batch in file.iter_batches():
                kept = batch.filter(pa.compute.invert(pa.compute.is_in(batch[column], value_set=wanted)))
                if kept.num_rows:
                    writer.write_batch(kept)
    _place(beside, path)
    return gone


def scrub_csv(path: Path, customer_ids: Collection[str]) -> int:
    """Write a CSV file of ours anew without the rows of customers; return how many went."""
    names = {*customer_ids, *map(plain_text, customer_ids), *(plain_text(name, "#N/A") for name in customer_ids)}
    beside, gone = path.with_name(f".{path.name}.next"), 0
    with path.open(encoding="utf-8", newline="") as file, beside.open("w", encoding="utf-8", newline="") as kept:
        writer = csv.writer(kept, lineterminator="\n")
        for row in csv.reader(file):
            if names.intersection(row):
                gone += 1
            else:
                writer.writerow(row)
    return _kept_if(gone, beside, path)


def scrub_text(path: Path, customer_ids: Collection[str]) -> int:
    """Strike the names of customers out of a text, a log or a JSON file; return how often they stood there.

    A name counts where it stands by itself, not as a part of a longer word.
    """
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    spelt = {name for customer in customer_ids for name in (customer, json.dumps(customer)[1:-1], plain_text(customer))}
    longest_first = sorted(filter(None, spelt), key=len, reverse=True)
    pattern = re.compile("|".join(rf"(?<![\w-]){re.escape(name)}(?![\w-])" for name in longest_first))
    scrubbed, times = pattern.subn(ERASED, text)
    beside = path.with_name(f".{path.name}.next")
    beside.write_text(scrubbed, encoding="utf-8", errors="surrogateescape")
    return _kept_if(times, beside, path)


def _kept_if(gone: int, beside: Path, path: Path) -> int:
    if gone:
        _place(beside, path)
    else:
        beside.unlink()
    return gone


def _place(beside: Path, path: Path) -> None:
    beside.chmod(path.stat().st_mode)
    descriptor = os.open(beside, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    beside.replace(path)
