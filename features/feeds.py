"""The feed report: what each table of a company feeds, what to be wary of, and the contract as a document."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from vouch.features.contract.tables import ITEMS, PAIRED, TABLES
from vouch.features.metrics.catalogue import load_metrics
from vouch.features.vectors.declare import load_families

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from vouch.features.contract.tables import Column, Table


def feeds() -> dict[str, list[str]]:
    """What each table of the contract feeds, as words: families of features with their number, and metrics."""
    families = Counter((feature.table, feature.family) for feature in load_families().values())
    fed: dict[str, list[str]] = {name: [] for name in TABLES}
    for (table, family), count in sorted(families.items(), key=str):
        if table:
            fed.setdefault(table, []).append(f"{family}: {count} feature{'s' if count > 1 else ''}")
    for name, metrics in _metrics().items():
        fed[name].append(f"metrics: {', '.join(metrics)}")
    return fed


def _metrics() -> dict[str, list[str]]:
    """Metrics by the tables that they cannot do without, or that are one of several ways to them."""
    metrics_of: dict[str, list[str]] = {}
    for metric in load_metrics().values():
        for table in dict.fromkeys(way.split(".")[0] for need in metric.inputs for way in need.split("|")):
            metrics_of.setdefault(table, []).append(metric.id)
    return metrics_of


def full_report(
    counted: Mapping[str, Any],
    places: Mapping[str, str] | None = None,
    unread: Sequence[str] = (),
    own: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the report of `vouch check`: the figures of staging, with what is fed, and what is absent would feed.

    `places` says where each table was read from, `unread` what lies beside the tables and is not read, `own` what
    became of columns and tables that the contract does not know.
    """
    fed = feeds()
    tables = {
        name: {**figures, "from": (places or {}).get(name), "feeds": fed.get(name, [])}
        for name, figures in counted["tables"].items()
    }
    absent = {name: fed[name] for name in TABLES if name not in tables}
    return {"tables": tables, "absent": absent, "own": [*own], "warnings": [*unread, *counted["warnings"]]}


def warnings(table: Table, columns: Collection[str], figures: Mapping[str, Any]) -> list[str]:
    """What people should know of one table that was read: `columns` were handed over, `figures` are its counts."""
    texts = []
    if figures["rows"] == 0:
        texts.append(f"{table.name}: the table is there, and holds no rows")
    elif figures["rows"] == figures["quarantined"]:
        texts.append(f"{table.name}: every row is in quarantine")
    undated = [column for column in table.undated if column in columns]
    if undated and "ingested_at" not in columns:
        texts.append(
            f"{table.name}: without ingested_at these are today's values, at earlier instants too: {', '.join(undated)}"
        )
    texts += [count["told"] for count in figures["counts"]]
    return texts


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
