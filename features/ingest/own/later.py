"""Later dates of own tables: which date of a row comes after its own time, and which columns come with it.

Nobody has said so; the rows do. A column that is never filled without a date came with that date, or after it, as
far as anybody can tell: it is unknown before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vouch.features.contract.casts import raw, value
from vouch.features.contract.tables import Column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.features.contract.checks import Input
    from vouch.features.engines import Connection
    from vouch.features.ingest.files import Relation


def cell_of(given: Input, name: str) -> str:
    """SQL for a cell as it was handed over, null where nothing is there."""
    return raw(given.expression, given.family, is_csv=given.is_csv, name=name)


def instant_of(given: Input, name: str) -> str:
    """SQL for a time in microseconds."""
    return value(Column(name, "time", False), cell_of(given, name), given.family, given.epoch)


def later_dates(
    connection: Connection, relation: Relation, clock: str, dates: Mapping[str, Input], columns: Mapping[str, Input]
) -> dict[str, tuple[str, ...]]:
    """Return the dates that lie after the time `clock` (SQL) in some row, each with the columns that come with it.

    A column that comes with several dates is given to that which is filled least.
    """
    if not dates:
        return {}
    moments = {name: instant_of(given, name) for name, given in dates.items()}
    asked = [f"count({instant}), count(*) FILTER ({instant} > {clock})" for instant in moments.values()]
    counted = connection.execute(f"SELECT {', '.join(asked)} FROM {relation.sql}").fetchall()[0]
    filled = {name: counted[2 * at] for at, name in enumerate(dates) if counted[2 * at + 1]}
    pairs = [(name, column) for name in filled for column in columns if column != name]
    without = _without(connection, relation, [(cell_of(columns[of], of), moments[name]) for name, of in pairs])
    with_it: dict[str, list[str]] = {name: [] for name in filled}
    alone = {pair for pair, times in zip(pairs, without, strict=True) if not times}
    for column in columns:
        coming = [name for name in filled if (name, column) in alone]
        if coming and column not in dates:
            with_it[min(coming, key=lambda name: (filled[name], -list(filled).index(name)))].append(column)
    return {name: tuple(of) for name, of in with_it.items()}


def _without(connection: Connection, relation: Relation, pairs: Sequence[tuple[str, str]]) -> list[int]:
    """For each pair of a cell and a date, in how many rows the cell is filled and the date is not."""
    if not pairs:
        return []
    asked = ", ".join(f"count(*) FILTER ({of} IS NOT NULL AND {date} IS NULL)" for of, date in pairs)
    return list(connection.execute(f"SELECT {asked} FROM {relation.sql}").fetchall()[0])
