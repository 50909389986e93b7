"""Row filters of facts: of the rows of a table, those of external customers that are what the table is about.

What metrics, labels and serving read of a table at an instant. The builder of vectors gives each external customer its
own rows, and so needs the rest of the rule alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.asof import view
from vouch.features.expressions import as_text
from vouch.features.facts.customers import not_naming_internal, without_internal
from vouch.features.facts.subscriptions import has_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.features.asof import Frame, Tables

WHERE: Mapping[str, nw.Expr] = {"subscriptions": has_run(nw.col("own_us"), nw.col("ended_us"))}
"""What holds for each row that counts, by table."""
OTHERS: Mapping[str, tuple[str, ...]] = {"referrals": ("prospect_id",)}
"""Columns beside that of the customer in which no internal customer stands where a row counts, by table."""
NAMES: Mapping[str, tuple[str, ...]] = {"customers": ("referred_by",)}
"""Columns that read as null where they name an internal customer, by table."""


def counted(tables: Tables, table: str, as_of_us: int) -> Frame:
    """The rows of a table that count at an instant."""
    rows = rows_that_count(tables, table, [as_of_us], view(tables, table, as_of_us))
    customer = tables.table(table).customer
    return rows if customer is None else without_internal(tables, [as_of_us], rows, customer)


def rows_that_count(tables: Tables, table: str, instants: Sequence[int], rows: Frame) -> Frame:
    """Of the rows of a view those that count, whoever they belong to."""
    if table in WHERE:
        rows = rows.filter(WHERE[table])
    rows = without_internal(tables, instants, rows, *OTHERS.get(table, ()))
    return not_naming_internal(tables, instants, rows, *NAMES.get(table, ()))


def rule(table: str) -> str | None:
    """Which rows of a table count, as text; None where all do."""
    parts = [as_text(WHERE[table])] if table in WHERE else []
    parts += [f"{column} not internal" for column in OTHERS.get(table, ())]
    parts += [f"{column} null where internal" for column in NAMES.get(table, ())]
    return "; ".join(parts) or None
