"""Scrubbing of files: written anew without the rows, or the names, of some customers, and put in place."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from vouch.features.durable import flush_file
from vouch.features.shown import csv_line, plain_text
from vouch.serving.exports.targets import FIELDS, RULES, Target
from vouch.serving.lifecycle.spelling import ERASED, Spelling

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

__all__ = ["ERASED", "KEY", "is_searchable", "mentions", "scrub_csv", "scrub_parquet", "scrub_text"]
KEY = "customer_id"
KEYS_OF_FILES = frozenset(FIELDS[0].name(target) for target in Target) | {"External_Id__c", "external_id"}
"""What the column of ids is called in files for others."""
_OPTIONS = {"compression": "zstd", "write_page_checksum": True, "version": "2.6"}
_PACKED: dict[bytes, Callable[..., IO[bytes]]] = {
    b"\x1f\x8b": cast("Callable[..., IO[bytes]]", gzip.open),
    b"BZh": cast("Callable[..., IO[bytes]]", bz2.open),
    b"\xfd7zXZ\0": cast("Callable[..., IO[bytes]]", lzma.open),
}
_LOOKED_AT = 4096
_BROKEN = (OSError, EOFError, lzma.LZMAError)


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
                others = batch.filter(pa.compute.invert(pa.compute.is_in(batch[column], value_set=wanted)))
                if others.num_rows:
                    writer.write_batch(others)
    _place(beside, path)
    return gone


def as_exported(customer_ids: Collection[str]) -> dict[str, str]:
    """The customers by how their ids stand in a CSV file of ours."""
    nulls = {rules.null for rules in RULES.values()}
    return {spelt: one for one in customer_ids for spelt in (one, *(plain_text(one, null) for null in nulls))}


def rows_of_csv(path: Path, customer_ids: Collection[str]) -> Iterator[tuple[str | None, list[str]]]:
    """Give the rows of a CSV file of ours, the titles first, each with the customer it is of, where it is of one."""
    known = as_exported(customer_ids)
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        titles = next(rows, [])
        yield None, titles
        places = [place for place, title in enumerate(titles) if title in KEYS_OF_FILES]
        for row in rows:
            yield next((known[row[place]] for place in places if row[place] in known), None), row


def scrub_csv(path: Path, customer_ids: Collection[str]) -> int:
    """Write a CSV file of ours anew without the rows of customers; return how many went."""
    beside, gone = path.with_name(f".{path.name}.next"), 0
    with beside.open("w", encoding="utf-8", newline="") as out:
        for customer, row in rows_of_csv(path, customer_ids):
            gone += customer is not None
            if customer is None:
                out.write(csv_line(row))
    return _replaced_if(gone, beside, path)


def scrub_text(path: Path, customer_ids: Collection[str], is_json: bool = False) -> int:
    """Strike the names of customers out of a text, packed or not; return how often they stood there.

    What was JSON is JSON afterwards.
    """
    spelling, beside, times = Spelling(customer_ids), path.with_name(f".{path.name}.next"), 0
    with _opened(path) as file, _opened(beside, like=path) as out:
        for line, is_part in _lines(file, is_json or ".json" in path.suffixes):
            struck, names = spelling.struck(line, is_part)
            out.write(struck.encode("utf-8", "surrogateescape"))
            times += len(names)
    return _replaced_if(times, beside, path)


def mentions(path: Path, spelling: Spelling, is_json: bool = False) -> Iterator[tuple[str, str]]:
    """Give each customer whom a line of a text names, with the line."""
    with _opened(path) as file:
        for line, is_part in _lines(file, is_json or ".json" in path.suffixes):
            for name in spelling.struck(line, is_part)[1]:
                yield name, line.strip()


def is_searchable(path: Path) -> bool:
    """Whether a file is a text that can be read, packed or not: no archive, no picture, nothing cut off."""
    try:
        with _opened(path) as file:
            start = file.read(_LOOKED_AT)
            while file.read(1 << 20):
                pass
    except _BROKEN:
        return False
    return b"\0" not in start


@contextmanager
def _opened(path: Path, like: Path | None = None) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked; to be written where it is to be like another one."""
    with (like or path).open("rb") as raw:
        start = raw.read(8)
    opener = next((opener for magic, opener in _PACKED.items() if start.startswith(magic)), io.open)
    with opener(path, "rb" if like is None else "wb") as file:
        yield file


def _lines(file: IO[bytes], is_json: bool) -> Iterator[tuple[str, bool]]:
    """The lines of a text, and whether each is JSON or a part of it."""
    for raw in file:
        line = raw.decode("utf-8", "surrogateescape")
        yield line, is_json or _is_json(line)


def _is_json(line: str) -> bool:
    if not line.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _replaced_if(gone: int, beside: Path, path: Path) -> int:
    if gone:
        _place(beside, path)
    else:
        beside.unlink()
    return gone


def _place(beside: Path, path: Path) -> None:
    """Put a file in the place of another one, as old as that is: how long it stays hangs on that."""
    before = path.stat()
    beside.chmod(before.st_mode)
    os.utime(beside, ns=(before.st_atime_ns, before.st_mtime_ns))
    flush_file(beside)
    beside.replace(path)
