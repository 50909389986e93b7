"""Customers: those that count. Internal customers are in nothing, neither as advocates nor as prospects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.asof import view, views

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vouch.features.asof import Frame, Tables


def is_external(is_internal: nw.Expr) -> nw.Expr:
    """Whether a customer is not one of the company's own; where nobody said, it is none."""
    return ~is_internal.fill_null(False)


def external_customers(tables: Tables, as_of_us: int) -> Frame:
    """Return the customers known at an instant, one row each, internal ones left out."""
    return view(tables, "customers", as_of_us).filter(is_external(nw.col("is_internal")))


def without_internal(tables: Tables, instants: Sequence[int], rows: Frame, *columns: str) -> Frame:
    """The rows of a view in whose columns no internal customer stands, as known at the instant of the row.

    Rows that belong to nobody, or to somebody whom the company does not list, stay.
    """
    if not columns or not tables.has("customers", "is_internal"):
        return rows
    internal = views(tables, "customers", instants).filter(~is_external(nw.col("is_internal")))
    at = [] if len(instants) == 1 else ["as_of_us"]
    for column in columns:
        rows = rows.join(internal.select(*at, nw.col("customer_id").alias(column)), on=[column, *at], how="anti")
    return rows
