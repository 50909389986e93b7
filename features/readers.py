"""Reader options of a source: how a file of another form than the contract's own is read.

A company's export has its own encoding, separator, header, decimal sign and order of dates. They stand in `vouch.toml`
beside the file, so that no query is needed for them, and the same file reads alike every week.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vouch.features.contract.tables import TABLES
from vouch.features.errors import ConfigurationError, did_you_mean
from vouch.features.settings import Part

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_KEYS: Mapping[str, type] = {
    "file": str,
    "encoding": str,
    "separator": str,
    "header": bool,
    "names": list,
    "sheet": str,
    "decimal": str,
    "numbers": list,
    "dates": dict,
}
DECIMALS = (",", ".")


@dataclass(frozen=True)
class Reader:
    """How one file is read.

    Attributes:
        encoding: name of the encoding of a text; None is UTF-8.
        separator: sign between the fields of a text; None is found in the header.
        has_header: whether the first line names the columns; else `names` do, or `column1`, `column2`, ...
        names: names of the columns, in order, where there is no header.
        sheet: name of the sheet of a workbook; None is the first.
        decimal: decimal sign of the columns `numbers`; the other sign then parts thousands.
        numbers: columns whose numbers are written with `decimal`.
        dates: for a column, its date format as in `strptime` (`%d.%m.%Y`), or several, the first that fits.
    """

    encoding: str | None = None
    separator: str | None = None
    has_header: bool = True
    names: tuple[str, ...] = ()
    sheet: str | None = None
    decimal: str = "."
    numbers: tuple[str, ...] = ()
    dates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


PLAIN = Reader()


def parse_source(path: Path, name: str, raw: Any) -> tuple[str, Reader]:
    """Read one entry of `[source]`: the file, and how it is read. Raises ConfigurationError."""
    if isinstance(raw, str):
        return raw, PLAIN
    if not isinstance(raw, dict):
        raise ConfigurationError(f"{path}: [source] {name!r} must be a text, or a table with `file` and how it is read")
    part = Part(path, f"[source.{name}]", raw).only(_KEYS)
    given = part.raw
    if "file" not in given:
        raise ConfigurationError(f'{part.where} needs `file = "..."`')
    encoding = given.get("encoding")
    try:
        is_plain = encoding is None or codecs.lookup(encoding).name in {"utf-8", "utf-8-sig", "ascii"}
    except LookupError as error:
        raise ConfigurationError(f"{part.where}: there is no encoding {encoding!r}") from error
    if len(given.get("separator", ",")) != 1:
        raise ConfigurationError(f"{part.where}: 'separator' must be one sign")
    if given.get("decimal", ".") not in DECIMALS:
        raise ConfigurationError(f"{part.where}: 'decimal' must be one of {' '.join(DECIMALS)}")
    if part.names("names") and given.get("header", True):
        raise ConfigurationError(f"{part.where}: 'names' are for a file without a header: add `header = false`")
    return given["file"], Reader(
        encoding=None if is_plain else encoding,
        separator=given.get("separator"),
        has_header=given.get("header", True),
        names=part.names("names"),
        sheet=given.get("sheet"),
        decimal=given.get("decimal", "."),
        numbers=part.names("numbers"),
        dates=_dates(path, f"[source.{name}] dates", given.get("dates", {})),
    )


def _dates(path: Path, where: str, raw: Any) -> dict[str, tuple[str, ...]]:
    part = Part(path, where, raw)
    formats = {}
    for column, form in part.raw.items():
        forms = part.names(column) if isinstance(form, list) else (form,)
        if not forms or not all(isinstance(one, str) and "%" in one for one in forms):
            raise ConfigurationError(f'{part.where}: {column!r} must be a date format such as "%d/%m/%Y"')
        formats[column] = forms
    return formats


def parse_values(path: Path, table: str, raw: Any) -> dict[str, dict[str, str]]:
    """Words for values, by column; what they stand for is a value of the contract where it lists them."""
    readings = {}
    for column, words in Part(path, f"[tables.{table}] values", raw).raw.items():
        part = Part(path, f"[tables.{table}.values] {column}", words)
        declared = TABLES[table].columns.get(column)
        if declared is None:
            raise ConfigurationError(
                f"{part.where}: the contract has no {column!r}{did_you_mean(column, TABLES[table].columns)}"
            )
        readings[column] = part.texts()
        for meant in readings[column].values():
            if declared.values and meant not in declared.values:
                raise ConfigurationError(f"{part.where}: {meant!r} is none of {', '.join(declared.values)}")
    return readings
