"""Arrow streams of lazy frames in the order of customers: memory stays bounded, bytes stay the same on any engine.

The engine sorts and writes to disk; what comes back is cut into batches of a fixed size, whatever row groups or part
files the engine chose.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from vouch.features.engines import FAILURES, first_line
from vouch.features.errors import SnapshotError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from vouch.features.asof import Frame

BATCH_ROWS = 20_000


@contextmanager
def writing(home: Path) -> Iterator[None]:
    """Turn what a disk or an engine says of files under a home into one message; raises SnapshotError."""
    mend = f"Free disk space or memory, and mind the rights of {home}; then run again."
    try:
        yield
    except OSError as error:
        raise SnapshotError(f"{error.filename or home}: {error.strerror or first_line(error)}. {mend}") from error
    except FAILURES as error:
        raise SnapshotError(f"{home}: {first_line(error)}. {mend}") from error


@contextmanager
def scratch_folder(home: Path, name: str) -> Iterator[Path]:
    """Give an empty folder of one's own, gone afterwards."""
    parent = home / "scratch"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=parent) as folder:
        yield parent / folder


def sweep(home: Path, name: str) -> None:
    """Remove what killed runs left; call it under the lock of that kind of run."""
    for left in (home / "scratch").glob(f"{name}-*"):
        shutil.rmtree(left)


def ordered_batches(frame: Frame, scratch: Path, size: int = BATCH_ROWS) -> Iterator[pa.Table]:
    """Compute a frame into `scratch` (a new file or folder) and give its rows by `customer_id`, `size` at a time.

    At least one table is given, so that its columns are known. The scratch file is gone once all was given.
    """
    sink_ordered(frame, scratch)
    yield from stored_batches(scratch, size)
    for part in _parts(scratch):
        part.unlink()


def sink_ordered(frame: Frame, path: Path) -> None:
    """Compute a frame into a new file or folder, its rows by `customer_id`."""
    frame.sort("customer_id").sink_parquet(str(path))


def stored_batches(path: Path, size: int = BATCH_ROWS) -> Iterator[pa.Table]:
    """Give the rows that `sink_ordered` stored, `size` at a time; at least one table."""
    files = [pq.ParquetFile(part) for part in _parts(path)]
    schema = pa.schema([(field.name, _plain(field.type)) for field in files[0].schema_arrow])
    batches = (batch.cast(schema) for file in files for batch in file.iter_batches(size))
    yield from rebatched(batches, schema, size)
    for file in files:
        file.close()


def _parts(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.glob("*.parquet"))


def rebatched(batches: Iterable[pa.RecordBatch], schema: pa.Schema, size: int) -> Iterator[pa.Table]:
    """Give the same rows in tables of exactly `size` rows, the last one excepted; an empty one where there are none."""
    waiting: list[pa.RecordBatch] = []
    rows = given = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        while rows >= size:
            table = pa.Table.from_batches(waiting, schema)
            yield table.slice(0, size).combine_chunks()
            given += 1
            waiting = table.slice(size).to_batches()
            rows -= size
    if rows or not given:
        yield pa.Table.from_batches(waiting, schema).combine_chunks()


def _plain(kind: pa.DataType) -> pa.DataType:
    """One type for texts, whatever the engine calls them."""
    return pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind
