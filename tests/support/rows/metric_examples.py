"""Companies for worked examples of metrics: rows with times in days from one instant, what is left out filled in."""

from __future__ import annotations

from decimal import Decimal

from support.rows.contract_rows import make_tables
from vouch.features.contract.tables import DAY_US, TABLES
from vouch.features.metrics.evaluate import measure

INSTANT = 20_000
INSTANT_US = INSTANT * DAY_US
JOINED = -1_000


HOUSE = {"customer_id": "house", "created_at": JOINED, "is_internal": True}
BEGUN = {
    "usage_events": {"customer_id": "house", "occurred_at": JOINED, "event": "open"},
    "transactions": {"customer_id": "house", "occurred_at": JOINED, "amount": 1, "kind": "purchase"},
}


def company(rows_by_table, engine="polars", customers=True, begun=True):
    """Tables of a company from rows; customers that rows name and `customers` does not are added, long known.

    Where there is use or a sale, the house itself has had one long ago, so that no window is longer than the data.
    """
    rows_by_table = {name: list(rows) for name, rows in rows_by_table.items()}
    recorded = next((table for table in BEGUN if table in rows_by_table), None)
    if begun and recorded:
        rows_by_table[recorded].append(BEGUN[recorded])
        rows_by_table["customers"] = [*rows_by_table.get("customers", []), HOUSE]
    filled = {
        name: [_row(name, number, row) for number, row in enumerate(rows)] for name, rows in rows_by_table.items()
    }
    if customers:
        listed = filled.setdefault("customers", [])
        known = {row["customer_id"] for row in listed}
        named = {row.get(TABLES[t].customer) for t, rows in filled.items() if TABLES[t].customer for row in rows}
        listed += [
            _row("customers", 0, {"customer_id": c, "created_at": JOINED}) for c in sorted(named - known - {None})
        ]
    return make_tables(engine, **filled)


def _row(name, number, row):
    table = TABLES[name]
    times = {column.name for column in table.columns.values() if column.kind == "time"}
    exact = {column.name for column in table.columns.values() if column.kind in {"money", "number"}}
    made = {key: INSTANT + value if key in times and value is not None else value for key, value in row.items()}
    made |= {key: Decimal(str(value)) for key, value in made.items() if key in exact and isinstance(value, float)}
    if table.key and table.key not in made:
        made[table.key] = f"{table.key}{number:05}"
    if table.customer and table.customer not in made and table.columns[table.customer].is_required:
        made[table.customer] = f"{name}{number:05}"
    return made


def measured(rows_by_table, *ids, by=None, engine="polars", customers=True, begun=True, **more):
    """Envelopes of the metrics for a company of these rows."""
    return measure(company(rows_by_table, engine, customers, begun), INSTANT_US, ids or None, by, **more)


def one(rows_by_table, metric_id, **more):
    """The only envelope of one metric."""
    (envelope,) = measured(rows_by_table, metric_id, **more)
    return envelope
