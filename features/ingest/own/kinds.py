"""Kinds of own columns: what each holds, told from its type, and of texts from all of their values.

A kind must not change from week to week, else models would read something else: it is told by what every value is,
and nothing is drawn or estimated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vouch.features.contract.casts import family_of, quoted, raw, value
from vouch.features.contract.tables import Column
from vouch.features.naming.words import tokens
from vouch.features.vectors.declare import ENGINE_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.contract.casts import Family
    from vouch.features.contract.tables import Kind
    from vouch.features.engines import Connection
    from vouch.features.ingest.files import Relation

FEW, NEARLY = 20, 0.9
"""Of fewer rows nobody can tell that a column names them; and the share of rows with a value of their own that can."""
KEY_WORDS = frozenset({"id", "key", "code", "ref", "uuid", "guid", "no", "nr", "sku", "token"})
"""The last word of the name of what is no quantity, whatever its digits."""
_BY_FAMILY: Mapping[Family, Kind] = {
    "integer": "integer", "decimal": "number", "float": "number", "boolean": "boolean",
    "date": "time", "timestamp": "time", "zoned": "time",
}  # fmt: skip
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
TAKEN = ENGINE_COLUMNS | {
    "customer_id", "occurred_at", "occurred_us", "ingested_at", "is_deleted", "is_stated", "is_repaired", "is_refused",
    "row", "raw", "problems", "notes", "superseded_us", "seen_from", "seen_until",
}  # fmt: skip
"""Names of columns that mean something of their own in every table."""
_YES_NO = ("true", "false", "t", "f", "yes", "no")
_TRIED: tuple[Kind, ...] = ("integer", "number", "time")


@dataclass(frozen=True)
class Held:
    """What one column of a relation holds.

    `distinct` counts its values up to 2 exactly, and says 3 for more; `length` is the mean length of a text, `at` the
    share of values with an @ inside.
    """

    name: str
    kind: Kind
    rows: int
    filled: int
    distinct: int
    is_unique: bool = False
    names_row: bool = False
    """Whether nearly every row has a value of its own, but for corrections and double deliveries."""
    length: float = 0.0
    at: float = 0.0


def name_of(column: str, taken: frozenset[str] | set[str]) -> str:
    """The name of an own column in contract form: lower-case words, and none that is taken.

    >>> name_of("races.circuitId", set()), name_of("day", TAKEN), name_of("Order TS", set())
    ('races_circuit_id', 'day_value', 'order_ts')
    """
    words = re.sub(r"\W+", "_", _HUMP.sub("_", column)).strip("_").lower() or "column"
    name = words if not words[0].isdigit() else f"n{words}"
    name = f"{name}_value" if name in taken else name
    while name in taken:
        name += "_2"
    return name


def is_key_name(name: str) -> bool:
    """Whether a name says that its numbers name something.

    >>> is_key_name("raceId"), is_key_name("grid")
    (True, False)
    """
    words = tokens(name)
    return bool(words) and words[-1] in KEY_WORDS


def held_columns(connection: Connection, relation: Relation, names: Mapping[str, str | None]) -> dict[str, Held]:
    """Return what some columns of a relation hold, by name; `names` gives the unit of epoch numbers of a time."""
    cells = {
        name: raw(quoted(name), family_of(relation.columns[name]), is_csv=relation.is_csv, name=name) for name in names
    }
    asked = [
        f"count({cell}), count(DISTINCT {cell}), coalesce(avg(length(CAST({cell} AS VARCHAR))), 0), "
        f"coalesce(avg(contains(CAST({cell} AS VARCHAR), '@')::INT), 0)"
        for cell in cells.values()
    ]
    if not asked:
        return {}
    counted = connection.execute(f"SELECT count(*), {', '.join(asked)} FROM {relation.sql}").fetchall()[0]
    rows, held = counted[0], {}
    for at, (name, cell) in enumerate(cells.items()):
        filled, distinct, length, with_at = counted[1 + 4 * at : 5 + 4 * at]
        kind = _kind(connection, relation, name, cell, names[name], filled)
        names_row = filled > FEW and distinct >= NEARLY * filled
        is_unique = names_row and distinct == filled
        texts = (float(length), float(with_at))
        held[name] = Held(name, kind, rows, filled, min(distinct, 3), is_unique, names_row, *texts)
    return held


def _kind(connection: Connection, relation: Relation, name: str, cell: str, epoch: str | None, filled: int) -> Kind:
    family = family_of(relation.columns[name])
    if epoch is not None:
        return "time"
    if family in _BY_FAMILY:
        kind = _BY_FAMILY[family]
        return "text" if kind in {"integer", "number"} and is_key_name(name) else kind
    if family not in {"text", "bytes"} or not filled or is_key_name(name):
        return "text"
    tried = [f"count({value(Column('', kind, False), 'cell', family, None)})" for kind in _TRIED]
    words = ", ".join(f"'{word}'" for word in _YES_NO)
    padded = "count(*) FILTER (regexp_matches(cell, '^0[0-9]'))"
    counted = connection.execute(
        f"SELECT count(*) FILTER (lower(cell) IN ({words})), {padded}, {', '.join(tried)} "
        f"FROM (SELECT {cell} AS cell FROM {relation.sql}) WHERE cell IS NOT NULL"
    ).fetchall()[0]
    if counted[0] == filled:
        return "boolean"
    for kind, readable in zip(_TRIED, counted[2:], strict=True):
        if readable == filled and (kind == "time" or not counted[1]):
            return kind
    return "text"
