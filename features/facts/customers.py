"""Customers: those that count. Internal customers are in nothing; rows that belong to nobody stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.asof import view

if TYPE_CHECKING:
    from vouch.features.asof import Frame, Tables


def is_external(is_internal: nw.Expr) -> nw.Expr:
    """Whether a customer is not one of the company's own; where nobody said, it is none."""
    return ~is_internal.fill_null(False)


def external_customers(tables: Tables, as_of_us: int) -> Frame:
    """Return the customers known at an instant, one row each, internal ones left out."""
    return view(tables, "customers", as_of_us).filter(is_external(nw.col("is_internal")))


def without_internal(tables: Tables, as_of_us: int, rows: Frame, *columns: str) -> Frame:
    """Rows in whose columns no internal customer stands, as known at an instant."""
    if not tables.has("customers", "is_internal"):
        return rows
    internal = view(tables, "customers", as_of_us).filter(~is_external(nw.col("is_internal")))
    for column in columns:
        rows = rows.join(internal.select(nw.col("customer_id").alias(column)), on=column, how="anti")
    return rows
