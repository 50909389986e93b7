"""The staging engine (DuckDB): opened within limits, closed to the outside, its errors in words.

It reads and checks a company's tables. One DuckDB connection does it all. Once the sources stand as views it reads the
source files, writes into the folder of the run, and reaches nothing else, whatever a query of the project file says.
"""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import duckdb
import narwhals as nw
import polars as pl
import polars.exceptions

from vouch.features.contract.casts import literal, place, quoted, raw, value
from vouch.features.contract.tables import TABLES
from vouch.features.errors import SourceUnreadable, UsageError
from vouch.features.shown import without_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

Connection = duckdb.DuckDBPyConnection
FAILURES: tuple[type[Exception], ...] = (duckdb.Error, polars.exceptions.PolarsError)
"""What engines raise while a lazy frame is computed: a full disk, too little memory, a file that went away."""
OWN = "vouch_staging"
"""Schema of what staging makes for itself; the company's relations stand in the default one."""
OWN_APART = "temp.vouch"
"""Begin of the names of what each cursor makes for itself alone, so that several files are read side by side."""
_OF_VALUES: tuple[type[Exception], ...] = (
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.OutOfRangeException,
    duckdb.ConstraintException,
    polars.exceptions.PolarsError,
)
"""Errors of engines that quote a value of the data; the others quote names."""


def id_form(name: str) -> str:
    """SQL for a text as ids stand in contract form: what staging makes of a `customer_id`."""
    return value(
        TABLES["customers"].columns["customer_id"],
        f"({raw(name, 'text', is_csv=False, name='customer_id')})",
        "text",
        None,
    )


_AS_STAGED = f"SELECT coalesce({id_form('CAST(? AS VARCHAR)')}, '')"


@cache
def _speller() -> Connection:
    return duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "64MB"})


def as_staged(text: str) -> str:
    """A text as it stands in contract form, by the SQL that staging uses; empty where nothing stands there then.

    Whoever is named in a command or a request is looked up by this. Raises UsageError for what is no text.

    >>> as_staged(" Jose\u0301\u00a0"), as_staged("c1 ")
    ('José', 'c1')
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError("What was given is not Unicode text") from error
    if text == text.strip() and unicodedata.is_normalized("NFC", text):  # nothing to do, and most are so
        return text
    staged: str = _speller().cursor().execute(_AS_STAGED, [text]).fetchall()[0][0]
    return staged


_INNER = re.compile(r'"exception_message":"((?:[^"\\]|\\.)*)"')


class EngineLimits(Protocol):
    """How much memory and how many threads the engine may take."""

    @property
    def memory_limit(self) -> str:
        """As DuckDB writes it, such as `4GB`."""

    @property
    def threads(self) -> int | None:
        """None for as many as there are cores."""


def connect(limits: EngineLimits, folder: Path) -> Connection:
    """Open the engine within the limits of a project, spilling into `folder`."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "memory_limit": limits.memory_limit,
            "temp_directory": str(folder / "spill"),
            **({"threads": limits.threads} if limits.threads else {}),
        },
    )
    connection.execute("SET GLOBAL TimeZone = 'UTC'")  # of its cursors, too
    connection.execute(f"CREATE SCHEMA {OWN}")
    return connection


def close_off(connection: Connection, files: Iterable[Path], folders: Iterable[Path]) -> None:
    """Take from the connection everything but these files and folders, for good."""
    connection.execute(f"SET allowed_paths = [{_both_forms(files)}]")
    connection.execute(f"SET allowed_directories = [{_both_forms(folders)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _both_forms(paths: Iterable[Path]) -> str:
    """Paths as they are, and as they are read: the engine holds both against what is allowed."""
    return ", ".join(form for path in paths for form in dict.fromkeys((literal(str(path)), place(path))))


def unreadable(where: str, error: duckdb.Error) -> SourceUnreadable:
    """What an error of the engine says of a source: the place, the line of a text file, and the mend."""
    message = str(error)
    line = re.search(r"CSV Error on Line: (\d+)", message)
    if line:
        counts = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
        why = f"{counts[2]} fields instead of {counts[1]}" if counts else "a quote that is not closed, or stands alone"
        return SourceUnreadable(f"{where}: line {line[1]}: {why}. Mend the line, or write the file again.")
    if "RFC 4180" in message:
        return SourceUnreadable(f"{where}: line ends of two sorts, or a quote that is not closed. Write it again.")
    return SourceUnreadable(f"{where}: cannot be read: {first_line(error)}. Write it again.")


def first_line(error: Exception) -> str:
    """The first line of what the engine says, without its own name for the sort of error, printable, without values.

    >>> first_line(OSError('Async write failed: {"exception_type":"IO","exception_message":"No space left"}'))
    'No space left'
    """
    line = str(error).strip().split("\n")[0]
    if inner := _INNER.search(line):  # an error of a thread, told as JSON
        line = json.loads(f'"{inner[1]}"')
    message = line.partition("Error: ")[2] or line
    if isinstance(error, duckdb.InvalidInputException) and not set("'\"") & set(message):
        message = "a function of the query refuses a value"  # in words that the query may have made of it
    if isinstance(error, _OF_VALUES):
        message = without_values(message)
    return "".join(character for character in message if character.isprintable()).strip(" :.")


def joined_bits(rows: nw.LazyFrame[Any], keys: Sequence[str], bits: Sequence[str]) -> nw.LazyFrame[Any]:
    """One row per key, with the bits that any of its rows has: what the common subset of the engines lacks."""
    native = rows.to_native()
    if isinstance(native, pl.LazyFrame):
        return nw.from_native(native.group_by(*keys).agg(pl.col(name).bitwise_or() for name in bits))
    return _grouped(native, keys, {name: f"bit_or({quoted(name)})" for name in bits})


def counted_bits(rows: nw.LazyFrame[Any], key: str, counts: Mapping[str, tuple[str, int]]) -> nw.LazyFrame[Any]:
    """One row per key: for each name, how many rows have one bit (its place, from 0) of one column."""
    native = rows.to_native()
    if isinstance(native, pl.LazyFrame):
        ones = {name: (pl.col(bits) & 2**place != 0).sum().cast(pl.Int64) for name, (bits, place) in counts.items()}
        return nw.from_native(native.group_by(key).agg(**ones))
    ones = {name: f"count(nullif({quoted(bits)} & {2**place}, 0))" for name, (bits, place) in counts.items()}
    return _grouped(native, [key], ones)


def _grouped(
    relation: duckdb.DuckDBPyRelation, keys: Sequence[str], aggregates: Mapping[str, str]
) -> nw.LazyFrame[Any]:
    by = ", ".join(map(quoted, keys))
    grouped = relation.aggregate(", ".join([by, *(f"{how} AS {quoted(name)}" for name, how in aggregates.items())]), by)
    return nw.from_native(grouped)
