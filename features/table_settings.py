"""Table settings of a project file: how a table of the contract, or a further table of the company's own, is made.

`[tables.visits]` names a source, which of its columns is the customer and which the time, and, where rows lead to other
files, by which columns. What is no table of the contract feeds features by itself.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vouch.features.contract.tables import TABLES
from vouch.features.errors import ConfigurationError, did_you_mean
from vouch.features.readers import parse_values
from vouch.features.settings import Part

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EPOCH_UNITS = ("s", "ms", "us")
_EPOCH = f"a time column and one of {', '.join(EPOCH_UNITS)} are needed"
_PARTS = ("columns", "constants", "epoch")
_KEYS: Mapping[str, type] = {
    "from": str, "query": str, "columns": dict, "constants": dict, "epoch": dict, "values": dict, "leave_out": list,
    "words": dict,
}  # fmt: skip
_FURTHER_KEYS: Mapping[str, type] = {
    **{key: kind for key, kind in _KEYS.items() if key != "values"},
    "key": str,
    "parents": dict,
}
_NAME = re.compile(r"[a-z][a-z0-9_]*$")
ALIKE = 0.85
"""A name that is so like one of the contract's is taken for that one, misspelt."""
NEEDED = ("customer_id", "occurred_at")
"""What a further table cannot do without: whose a row is, and when it happened."""


@dataclass(frozen=True)
class TableMapping:
    """How one table is made: a source relation with renames and constants, or a query over the sources.

    `values` says by column what a company's own words for values stand for: `{ monthly = "month" }`. Of a further table
    `key` names a row, and `parents` says by which column a row leads to which column of another source. `leave_out` are
    columns that feed nothing, `words` say what a column is called where people read of it.
    """

    source: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    query: str | None = None
    epoch: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    key: str | None = None
    parents: Mapping[str, str] = field(default_factory=dict)
    leave_out: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)


def parse_table(path: Path, table: str, raw: Any) -> TableMapping:
    """Read the section of one table. Raises ConfigurationError."""
    where = f"[tables.{table}]"
    if table not in TABLES:
        return _further(path, table, where, raw)
    part = Part(path, where, raw).only(_KEYS)
    if ("from" in part.raw) == ("query" in part.raw):
        raise ConfigurationError(f"{path}: {where} needs `from` or `query`, and not both")
    columns, constants, epoch = (Part(path, f"{where} {key}", part.raw.get(key, {})) for key in _PARTS)
    known = TABLES[table].columns
    for named in (columns, constants, epoch):
        for column in named.raw:
            if column not in known:
                raise ConfigurationError(f"{named.where}: the contract has no {column!r}{did_you_mean(column, known)}")
    if any(known[column].kind != "time" for column in epoch.raw):
        raise ConfigurationError(f"{epoch.where}: {_EPOCH}")
    return _mapping(where, part, columns, constants, epoch, parse_values(path, table, part.raw.get("values", {})))


def _further(path: Path, table: str, where: str, raw: Any) -> TableMapping:
    """A table that is none of the contract's."""
    if near := difflib.get_close_matches(table, TABLES, n=1, cutoff=ALIKE):
        raise ConfigurationError(
            f"{path}: {where} is no table of the contract (did you mean {near[0]!r}?). Give a further one another name"
        )
    if not _NAME.match(table):
        raise ConfigurationError(f"{path}: {where}: a table is called by lower-case letters, digits and underscores")
    part = Part(path, where, raw).only(_FURTHER_KEYS)
    if "from" in part.raw and "query" in part.raw:
        raise ConfigurationError(f"{path}: {where} needs `from` or `query`, and not both")
    columns, constants, epoch = (Part(path, f"{where} {key}", part.raw.get(key, {})) for key in _PARTS)
    mapping = _mapping(where, part, columns, constants, epoch, {})
    for column in NEEDED:
        if column not in mapping.columns and mapping.query is None:
            raise ConfigurationError(
                f"{path}: {where} is no table of the contract{did_you_mean(table, TABLES)}. A further table says whose "
                f'a row is and when it happened: columns = {{ customer_id = "...", occurred_at = "..." }}'
            )
    return mapping


def _mapping(
    where: str, part: Part, columns: Part, constants: Part, epoch: Part, values: Mapping[str, Mapping[str, str]]
) -> TableMapping:
    for column, constant in constants.raw.items():
        if isinstance(constant, dict | list):
            raise ConfigurationError(f"{constants.where}: {column!r} must be a text, a number, a date, true or false")
        if column in columns.raw:
            raise ConfigurationError(f"{constants.where}: {column!r} stands in columns, too")
    if set(epoch.texts().values()) - {*EPOCH_UNITS}:
        raise ConfigurationError(f"{epoch.where}: {_EPOCH}")
    return TableMapping(
        source=part.raw.get("from"),
        columns=columns.texts(),
        constants=constants.raw,
        query=part.raw.get("query"),
        epoch=epoch.texts(),
        values=values,
        key=part.raw.get("key"),
        parents=Part(part.path, f"{where} parents", part.raw.get("parents", {})).texts(),
        leave_out=part.names("leave_out"),
        words=Part(part.path, f"{where} words", part.raw.get("words", {})).texts(),
    )
