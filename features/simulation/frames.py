"""Columnar buffers of simulated rows as plain numbers, and their way into Parquet in the contract's form.

Text stands as codes into a vocabulary and keys as numbers behind a prefix, so that a week of events is a handful of
numpy arrays until it is written. Files are written in row groups as the weeks go by: memory does not grow with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vouch.features.contract.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

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


@lru_cache(maxsize=256)
def _vocabulary(words: tuple[str, ...]) -> pa.Array:
    return pa.array(words, pa.string())


def _text(values: Values) -> pa.Array:
    if isinstance(values, Text):
        return pc.take(_vocabulary(values.words), pa.array(values.codes, mask=values.codes < 0))
    assert isinstance(values, Key), "a text column is simulated as Text or Key"
    digits = pc.utf8_lpad(pc.cast(pa.array(values.numbers, mask=values.numbers < 0), pa.string()), values.width, "0")
    return pc.binary_join_element_wise(pa.scalar(values.prefix), digits, "")


def _array(kind: pa.DataType, values: Values | None, rows: int) -> pa.Array:
    if values is None:
        return pa.nulls(rows, kind)
    if pa.types.is_string(kind):
        return _text(values)
    assert isinstance(values, np.ndarray), f"a column of {kind} is simulated as numbers"
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64(), mask=values == NEVER).cast(kind)
    if pa.types.is_boolean(kind):
        return pa.array(values == 1, kind, mask=values.astype(np.int8) < 0)
    if pa.types.is_integer(kind):
        return pa.array(values.astype(np.int64), kind, mask=values < 0)
    return pa.array(values.astype(kind.to_pandas_dtype()), kind, mask=np.isnan(values))


def arrow(schema: pa.Schema, frame: Frame) -> pa.Table:
    """A frame in the columns and types of a schema; columns that it lacks are null."""
    rows = length(frame)
    arrays = [_array(column.type, frame.get(column.name), rows) for column in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def contract_schemas() -> dict[str, pa.Schema]:
    """Arrow schemas of all tables of the contract, in their original column names."""
    return {
        table: pa.schema([(name, _ARROW[column.kind]) for name, column in definition.columns.items()])
        for table, definition in TABLES.items()
    }


class Files:
    """Parquet files that grow by row groups; use as a context: they take their names when all is written, or vanish.

    There is a file for each schema, with no rows where nothing was added. Frames of one name have equal columns.
    """

    def __init__(self, folder: Path, schemas: Mapping[str, pa.Schema]) -> None:
        self._folder, self._schemas = folder, schemas
        self._writers = {name: pq.ParquetWriter(self._part(name), schemas[name]) for name in schemas}
        self._waiting: dict[str, list[Frame]] = {name: [] for name in schemas}
        self._rows = dict.fromkeys(schemas, 0)

    def _part(self, name: str) -> Path:
        return self._folder / f"{name}.part"

    def __enter__(self) -> Files:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for name, writer in self._writers.items():
            if kind is None:
                self._flush(name)
            writer.close()
            if kind is None:
                self._part(name).replace(self._folder / f"{name}.parquet")
            else:
                self._part(name).unlink()

    def add(self, name: str, frame: Frame) -> None:
        """Append rows to the file of this name."""
        self._waiting[name].append(frame)
        self._rows[name] += length(frame)
        if self._rows[name] >= ROWS_PER_GROUP:
            self._flush(name)

    def _flush(self, name: str) -> None:
        if self._rows[name]:
            self._writers[name].write_table(arrow(self._schemas[name], stack(self._waiting[name])))
        self._waiting[name], self._rows[name] = [], 0
