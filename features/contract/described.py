"""The contract described: one row per column of each table, with its limits and what it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.features.contract.tables import ITEMS, PAIRED, TABLES

if TYPE_CHECKING:
    from vouch.features.contract.tables import Column, Table


def contract_rows() -> list[dict[str, Any]]:
    """The contract, one row per column of each table, as `vouch check --describe` prints it."""
    return [
        {
            "table": table.name,
            "column": column.name,
            "kind": _limits(column),
            "required": column.is_required,
            "role": _role(table, column),
            "meaning": table.meaning if position == 0 else None,
        }
        for table in TABLES.values()
        for position, column in enumerate(table.columns.values())
    ]


def _limits(column: Column) -> str:
    if column.values:
        return " | ".join(column.values)
    if column.minimum is None and column.maximum is None:
        return column.kind
    low, high = (f"{limit:g}" if limit is not None else "" for limit in (column.minimum, column.maximum))
    return f"{column.kind} {low}..{high}"


def _role(table: Table, column: Column) -> str | None:
    """What a column is for, beside its own value: the key, the clock, a later date, a reference."""
    roles = []
    if column.name == table.key:
        roles.append("key")
    if column.name in table.clock:
        roles.append("own time")
    if facts := table.later.get(column.name):
        roles.append(f"unknown before it: {', '.join(facts)}")
    if (table.name, column.name) == ("surveys", "item"):
        roles += [_items(instrument) for instrument in ITEMS]
    if reference := table.references.get(column.name):
        roles.append(f"points to {'.'.join(reference)}")
    return "; ".join(roles) or None


def _items(instrument: str) -> str:
    """The items of an instrument, and what each feeds.

    >>> _items("perception")
    'perception: repurchase_intent (repurchase_intent), better_value (better_value), any pair (expectation_gap)'
    """
    names = [f"{item.name}{'...' * item.is_prefix} ({', '.join(item.feeds)})" for item in ITEMS[instrument]]
    names += ["any pair (expectation_gap)"] if instrument in PAIRED else []
    return f"{instrument}: {', '.join(names)}"
