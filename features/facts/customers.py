"""Customers that count: all but internal ones.

Internal customers are in nothing, neither as advocates nor as prospects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.asof import view, views

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vouch.features.asof import Frame, Tables


def is_external(is_internal: nw.Expr) -> nw.Expr:
    """Whether a customer is not one of the company's own; where nobody said, it is none."""
    return ~is_internal.fill_null(False)


def external_customers(tables: Tables, as_of_us: int) -> Frame:
    """Return the customers known at an instant, one row each, internal ones left out."""
    return view(tables, "customers", as_of_us).filter(is_external(nw.col("is_internal")))


def objects(is_opted_out: nw.Expr) -> nw.Expr:
    """Whether a customer objects to being profiled; where nobody said, not."""
    return is_opted_out.fill_null(False)


def objecting_customers(tables: Tables, as_of_us: int) -> Frame:
    """Return the external customers who object to being profiled, as it was known at an instant."""
    return external_customers(tables, as_of_us).filter(objects(nw.col("is_opted_out")))


def profiled_customers(tables: Tables, as_of_us: int) -> Frame:
    """Return the external customers of whom a vector may be made: those who do not object to being profiled."""
    return external_customers(tables, as_of_us).filter(~objects(nw.col("is_opted_out")))


def without_internal(tables: Tables, instants: Sequence[int], rows: Frame, *columns: str) -> Frame:
    """The rows of a view in whose columns no internal customer stands, as known at the instant of the row.

    Rows that belong to nobody, or to somebody whom the company does not list, stay.
    """
    for column, internal in _internal(tables, instants, columns):
        rows = rows.join(internal, on=[column, *_at(instants)], how="anti")
    return rows


def not_naming_internal(tables: Tables, instants: Sequence[int], rows: Frame, *columns: str) -> Frame:
    """The rows of a view, null in a column instead of an internal customer."""
    for column, internal in _internal(tables, instants, columns):
        marked = internal.with_columns(names_internal=nw.lit(1, nw.Int64))
        rows = rows.join(marked, on=[column, *_at(instants)], how="left")
        named = nw.when(nw.col("names_internal").is_null()).then(nw.col(column))
        rows = rows.with_columns(named.alias(column)).drop("names_internal")
    return rows


def _internal(tables: Tables, instants: Sequence[int], columns: Sequence[str]) -> Iterator[tuple[str, Frame]]:
    """Internal customers under the name of each column, with the instant where there are several."""
    if columns and tables.has("customers", "is_internal"):
        rows = views(tables, "customers", instants).filter(~is_external(nw.col("is_internal")))
        for column in columns:
            yield column, rows.select(nw.col("customer_id").alias(column), *_at(instants))


def _at(instants: Sequence[int]) -> list[str]:
    return [] if len(instants) == 1 else ["as_of_us"]
