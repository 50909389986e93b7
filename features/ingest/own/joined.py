"""Joined relations: the rows of a further table with the columns of the rows that they lead to, a step or two away.

A column of another source stands as `source.column`. Of several rows of one key the first in the order of their content
is taken, so that no row is counted twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vouch.features.contract.casts import family_of, quoted
from vouch.features.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.ingest.files import Relation


def joined_query(
    table: str, source: str, parents: Mapping[str, str], relations: Mapping[str, Relation]
) -> tuple[str, frozenset[str]]:
    """Return a query for the rows of `source` with the columns of its parents, and which columns are keys.

    `parents` maps a column of the source, or `parent.column` of one that stands before, to `parent.key`.
    Raises ConfigurationError for a source or column that is not there.
    """
    chosen = [f"child.{quoted(name)}" for name in relations[source].columns]
    joins, aliases = [], {source: "child"}
    keys: set[str] = set()
    for at, target in parents.items():
        parent, _, key = target.rpartition(".")
        where = f"[tables.{table}] parents"
        if parent not in relations:
            raise ConfigurationError(f"{where}: there is no source {parent!r}{did_you_mean(parent, relations)}")
        child, _, column = at.rpartition(".")
        if child and child not in aliases:
            raise ConfigurationError(f"{where}: {at!r} speaks of {child!r}, which no column before leads to")
        ours = _key(where, relations[child or source], column, aliases[child or source])
        alias = aliases[parent] = quoted(f"joined {parent}")
        theirs = _key(where, relations[parent], key, alias)
        inner = _key(where, relations[parent], key, "one")
        first = f"row_number() OVER (PARTITION BY {inner} ORDER BY hash(one)) = 1"
        joins.append(f"LEFT JOIN (SELECT * FROM {_view(parent)} one QUALIFY {first}) {alias} ON {ours} = {theirs}")
        columns = [name for name in relations[parent].columns if name != key]
        chosen += [f"{alias}.{quoted(name)} AS {quoted(f'{parent}.{name}')}" for name in columns]
        keys |= {at}
    return f"SELECT {', '.join(chosen)} FROM {_view(source)} child {' '.join(joins)}", frozenset(keys)


def _view(name: str) -> str:
    return ".".join(map(quoted, name.rsplit(".", 1)))


def _key(where: str, relation: Relation, column: str, alias: str) -> str:
    """SQL for the key of a relation as text."""
    source_column = relation.find(column)
    if source_column is None:
        raise ConfigurationError(
            f"{where}: {relation.place} has no column {column!r}{did_you_mean(column, relation.columns)}; there are: "
            f"{', '.join(relation.columns)}"
        )
    return text_key(f"{alias}.{quoted(source_column)}", relation.columns[source_column])


def text_key(expression: str, physical: str) -> str:
    """SQL for a key as text, so that `1`, `1.0` and 1 are one."""
    is_float = family_of(physical) in {"float", "decimal"}
    return f"CAST({f'TRY_CAST({expression} AS BIGINT)' if is_float else expression} AS VARCHAR)"
