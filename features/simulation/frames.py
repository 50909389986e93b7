"""Columns of simulated rows as plain numbers, and their way into Parquet in the contract's form.

Text stands as codes into a vocabulary and keys as numbers behind a prefix, so that a week of events is a handful of
numpy arrays until it is written. Files are written in row groups as the weeks go by: memory does not grow with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.contract import TABLES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from features.contract import Column

Numbers = np.ndarray[Any, np.dtype[Any]]
"""A numpy array of any shape and type."""
NEVER = np.iinfo(np.int64).min
"""A time that is not there."""
ROWS_PER_GROUP = 250_000
_ARROW: dict[str, pa.DataType] = {
    "text": pa.string(),
    "time": pa.timestamp("us", tz="UTC"),
    "money": pa.float64(),
    "number": pa.float64(),
    "probability": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
}


@dataclass(frozen=True)
class Text:
    """Codes into `words`; a negative code is null."""

    codes: Numbers
    words: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: Numbers) -> Text:
        """Rows by position or mask."""
        return Text(self.codes[rows], self.words)


@dataclass(frozen=True)
class Key:
    """Numbers behind a prefix, padded with zeros to `width`; a negative number is null."""

    prefix: str
    numbers: Numbers
    width: int = 9

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, rows: Numbers) -> Key:
        """Rows by position or mask."""
        return Key(self.prefix, self.numbers[rows], self.width)


Values = np.ndarray | Text | Key
Frame = dict[str, Values]


def customer(numbers: Numbers) -> Key:
    """Customer ids by position in the population."""
    return Key("C", numbers, 7)


def same(word: str, rows: int) -> Text:
    """One word for all rows."""
    return Text(np.zeros(rows, dtype=np.int8), (word,))


def length(frame: Frame) -> int:
    """Rows of a frame."""
    return len(next(iter(frame.values())))


def take(frame: Frame, rows: Numbers) -> Frame:
    """Rows of all columns by position or mask."""
    return {
        name: values[rows] if isinstance(values, np.ndarray) else values.take(rows) for name, values in frame.items()
    }


def _joined(parts: Sequence[Values]) -> Values:
    first = parts[0]
    if isinstance(first, Text):
        return Text(np.concatenate([part.codes for part in parts if isinstance(part, Text)]), first.words)
    if isinstance(first, Key):
        numbers = np.concatenate([part.numbers for part in parts if isinstance(part, Key)])
        return Key(first.prefix, numbers, first.width)
    return np.concatenate([part for part in parts if isinstance(part, np.ndarray)])


def stack(frames: Sequence[Frame]) -> Frame:
    """Frames of equal columns and vocabularies, one below the other."""
    return {name: _joined([frame[name] for frame in frames]) for name in frames[0]}


def _text(values: Values) -> pa.Array:
    if isinstance(values, Text):
        return pc.take(pa.array(values.words, pa.string()), pa.array(values.codes, mask=values.codes < 0))
    if not isinstance(values, Key):
        raise TypeError("A text column is simulated as Text or Key")
    digits = pc.utf8_lpad(pc.cast(pa.array(values.numbers, mask=values.numbers < 0), pa.string()), values.width, "0")
    return pc.binary_join_element_wise(pa.scalar(values.prefix), digits, "")


def _array(column: Column, values: Values | None, rows: int) -> pa.Array:
    kind = _ARROW[column.kind]
    if values is None:
        return pa.nulls(rows, kind)
    if column.kind == "text":
        return _text(values)
    if not isinstance(values, np.ndarray):
        raise TypeError(f"Column {column.name!r} is simulated as numbers")
    if column.kind == "time":
        return pa.array(values, pa.int64(), mask=values == NEVER).cast(kind)
    if column.kind == "boolean":
        return pa.array(values == 1, kind, mask=values.astype(np.int8) < 0)
    if column.kind == "integer":
        return pa.array(values.astype(np.int64), kind, mask=values < 0)
    return pa.array(values.astype(np.float64), kind, mask=np.isnan(values))


def arrow(table: str, frame: Frame) -> pa.Table:
    """A frame in the columns and types of one table of the contract; columns that it lacks are null."""
    rows = length(frame)
    columns = TABLES[table].columns
    arrays = [_array(column, frame.get(name), rows) for name, column in columns.items()]
    return pa.Table.from_arrays(arrays, schema=schema(table))


def schema(table: str) -> pa.Schema:
    """Arrow schema of one table of the contract, in its original column names."""
    return pa.schema([(name, _ARROW[column.kind]) for name, column in TABLES[table].columns.items()])


class Files:
    """Parquet files that grow by row groups; use as a context, so that they are closed whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._waiting: dict[str, list[pa.Table]] = {}

    def __enter__(self) -> Files:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for name in list(self._waiting):
            self._flush(name)
        for writer in self._writers.values():
            writer.close()

    def add(self, name: str, rows: pa.Table) -> None:
        """Append rows to the file of this name; all calls for one name must have the same schema."""
        waiting = self._waiting.setdefault(name, [])
        waiting.append(rows)
        if sum(part.num_rows for part in waiting) >= ROWS_PER_GROUP:
            self._flush(name)

    def _flush(self, name: str) -> None:
        waiting = self._waiting[name]
        if name not in self._writers:
            path = self._folder / f"{name}.parquet"
            self._writers[name] = pq.ParquetWriter(path, waiting[0].schema if waiting else schema(name))
        if waiting:
            self._writers[name].write_table(pa.concat_tables(waiting))
            self._waiting[name] = []
