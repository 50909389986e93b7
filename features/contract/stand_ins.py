"""Stand-ins for values that could not be read: what stands in their place, and which rows and cells can have one.

Staging keeps such rows apart with them, metrics compare: what is another with a stand-in hangs on what was not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vouch.features.contract.tables import Column, Table

STAND_IN = 1_000_000_007
"""Stands for a number that could not be read: no metric may be what it is with another one."""
EMPTIED = "emptied"
"""Column of such rows: of an accepted one the columns whose cells were emptied, each between commas; else null."""


def identity_columns(table: Table) -> list[str]:
    """Columns in contract form that tell a version of a row from all others."""
    names = [table.key] if table.key else [column.staged for column in table.required()]
    return [*names, "ingested_us"]


def can_stand_in(column: Column) -> bool:
    """Whether something can stand in the place of a cell of an optional column that could not be read."""
    return not column.is_required and (column.kind != "text" or bool(column.values))
