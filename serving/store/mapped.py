"""Memory-mapped tables of a week, shared by all processes of a host: read once from the store, paid for once.

A file is named by what it holds, and mapped only where it has the digest that the store keeps of it: a byte that has
changed, or a file that a power cut has left half, is written anew from the store. Whoever reads can ask whether the
file is still as it was then (`MappedFile.is_intact`). Rows are found by customer with a binary search.
"""

from __future__ import annotations

import bisect
import hashlib
import mmap
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from filelock import FileLock

from vouch.features.durable import replacing
from vouch.features.errors import SnapshotError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

FOLDER = Path("serving") / "weeks"


@dataclass(frozen=True)
class Rows:
    """A table in batches, each as it lies in a mapped file."""

    schema: pa.Schema
    batches: Sequence[pa.RecordBatch]
    starts: np.ndarray[Any, np.dtype[np.intp]]
    """The first row of each batch, and the number of rows at the end."""
    file: MappedFile | None = None
    """Where they lie; None for rows in memory."""

    def __len__(self) -> int:
        """Number of rows."""
        return int(self.starts[-1])

    def at(self, row: int) -> dict[str, Any]:
        """One row as plain data."""
        place = bisect.bisect_right(self._firsts, row) - 1
        at = row - self._firsts[place]
        return {name: column[at].as_py() for name, column in self._columns[place]}

    def value(self, row: int, name: str) -> Any:
        """One cell as plain data; None for a column that is not there."""
        if name not in self.schema.names:
            return None
        place = bisect.bisect_right(self._firsts, row) - 1
        return self._columns[place][self.schema.get_field_index(name)][1][row - self._firsts[place]].as_py()

    @cached_property
    def _firsts(self) -> list[int]:
        return [int(start) for start in self.starts[:-1]] or [0]

    @cached_property
    def _columns(self) -> list[list[tuple[str, pa.Array]]]:
        """Columns of each batch: taking them one by one is twice as fast as a slice of the batch."""
        return [list(zip(self.schema.names, batch.columns, strict=True)) for batch in self.batches]

    def only(self, names: Sequence[str]) -> Rows:
        """The same rows with some of the columns, as far as they are there."""
        present = [name for name in names if name in self.schema.names]
        batches = [batch.select(present) for batch in self.batches]
        return Rows(pa.schema([self.schema.field(name) for name in present]), batches, self.starts, self.file)

    def column(self, name: str) -> pa.ChunkedArray:
        """One column as a whole."""
        return self.table([name])[name]

    def table(self, names: Sequence[str] | None = None) -> pa.Table:
        """Some columns as a table, not copied."""
        whole = pa.Table.from_batches(self.batches, self.schema)
        return whole if names is None else whole.select(list(names))


class Customers:
    """The ids of a table in order, to be searched."""

    def __init__(self, rows: Rows) -> None:
        self._columns = [batch.column("customer_id") for batch in rows.batches]
        self._starts = rows.starts
        self._firsts = [column[0].as_py() for column in self._columns if len(column)]

    def row_of(self, customer_id: str) -> int | None:
        """The row of a customer, or None."""
        place = bisect.bisect_right(self._firsts, customer_id) - 1
        if place < 0:
            return None
        column = self._columns[place]
        at = bisect.bisect_left(_Texts(column), customer_id)
        is_customer = at < len(column) and column[at].as_py() == customer_id
        return int(self._starts[place]) + at if is_customer else None


@dataclass(frozen=True)
class _Texts:
    """An Arrow column as `bisect` reads it."""

    column: pa.Array

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, place: int) -> str:
        text: str = self.column[place].as_py()
        return text


class MappedFile:
    """A file in memory, its bytes those of a digest when it was mapped."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._then = os.fstat(file.fileno())
            self.digest = hashlib.file_digest(file, "sha256").hexdigest()
            self.memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._descriptor = os.dup(file.fileno())

    def __del__(self) -> None:
        """Let go of the descriptor; the memory goes when nothing reads it any more."""
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    @property
    def is_intact(self) -> bool:
        """Whether nobody has written to the file since: a cheap look, for every request.

        A file without a name has another time of change, since it lost it, and nobody can write to it.
        """
        then, now = self._then, os.fstat(self._descriptor)
        is_same = (then.st_size, then.st_mtime_ns) == (now.st_size, now.st_mtime_ns)
        return is_same and (now.st_nlink == 0 or then.st_ctime_ns == now.st_ctime_ns)

    def rows(self) -> Rows:
        """The table in the file."""
        reader = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(self.memory)))
        batches = [reader.get_batch(place) for place in range(reader.num_record_batches)]
        lengths = [batch.num_rows for batch in batches]
        filled = [batch for batch in batches if batch.num_rows] or batches[:1]
        starts = np.cumsum([0, *(length for length in lengths if length)], dtype=np.intp)
        return Rows(reader.schema, filled, starts, self)


def file_name(digests: Iterable[str]) -> str:
    """The name of the file for batches with these digests, as this version of Arrow writes it."""
    return hashlib.sha256("\n".join([pa.__version__, *digests]).encode()).hexdigest()[:32] + ".arrow"


def mapped(home: Path, name: str, digest: str | None, batches: Iterable[pa.RecordBatch]) -> MappedFile:
    """Return a table by the name of its file, which is written from the batches where it is not there as it should be.

    Raises SnapshotError where there is no batch at all.
    """
    path = home / FOLDER / name
    file = _as_written(path, digest)
    if file is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.parent / "building.lock"):
            file = _as_written(path, digest)  # another process may have written it meanwhile
            if file is None:
                _write(path, batches)
                file = MappedFile(path)
    return file


def _as_written(path: Path, digest: str | None) -> MappedFile | None:
    """The file where it has its digest."""
    if digest is None:
        return None
    try:
        file = MappedFile(path)
    except (FileNotFoundError, ValueError):  # an empty file cannot be mapped
        return None
    return file if file.digest == digest else None


def in_memory(table: pa.Table) -> Rows:
    """A table that was read as rows, as those of a mapped file."""
    batches = table.to_batches() or [pa.RecordBatch.from_pylist([], table.schema)]
    return Rows(table.schema, batches, np.cumsum([0, *(batch.num_rows for batch in batches)], dtype=np.intp))


def _write(path: Path, batches: Iterable[pa.RecordBatch]) -> None:
    """Write a file beside its place and move it there: whoever maps it finds it whole."""
    given = iter(batches)
    first = next(given, None)
    if first is None:
        raise SnapshotError("The store holds no rows for a table of the week. Score the week again with --revision.")
    with (
        replacing(path, path.with_suffix(".building")) as draft,
        pa.OSFile(str(draft), "wb") as sink,
        pa.ipc.new_file(sink, first.schema) as writer,
    ):
        writer.write_batch(first)
        for batch in given:
            writer.write_batch(batch)


def keep_only(home: Path, names: Collection[str]) -> None:
    """Remove the files of other weeks; who has mapped one keeps it until it lets go."""
    for path in (home / FOLDER).glob("*.arrow"):
        if path.name not in names:
            path.unlink(missing_ok=True)
