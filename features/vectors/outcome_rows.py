"""Outcome rows: which rows of a table say that what a model predicts came true, as the project file tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.contract.tables import TABLES
from vouch.features.errors import ConfigurationError, did_you_mean
from vouch.features.vectors.lines import equal_to

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.contract.tables import Table
    from vouch.features.model_settings import ModelSettings, OutcomeRows


def check_outcomes(settings: Mapping[str, ModelSettings], own: Mapping[str, Table]) -> None:
    """Raise ConfigurationError for an outcome of a table, column or value that is not there."""
    known = {**{name: of for name, of in TABLES.items() if of.customer and of.clock}, **own}
    known.pop("customers", None)
    for name, rows in ((name, of.outcome) for name, of in settings.items()):
        if rows is None:
            continue
        section = f"[{name}.outcome]"
        if rows.table not in known:
            raise ConfigurationError(
                f"{section} table = {rows.table!r} is no table with a customer and a time"
                f"{did_you_mean(rows.table, known)}. There are: {', '.join(known)}"
            )
        outcome_of(rows, known[rows.table], section)


def outcome_of(rows: OutcomeRows, table: Table, section: str) -> nw.Expr | None:
    """Which rows of a table say that an outcome came true, None where all do.

    Raises ConfigurationError for a column or a value that it cannot be.
    """
    column = None if rows.column is None else table.columns.get(rows.column)
    if rows.column is not None and (column is None or column.name == table.customer):
        raise ConfigurationError(
            f"{section} column = {rows.column!r} is no column of {table.name!r}"
            f"{did_you_mean(rows.column, table.columns)}. There are: {', '.join(table.columns)}"
        )
    if column is None:
        return None
    value = nw.col(column.staged)
    if rows.equals is None:
        return value.fill_null(False) if column.kind == "boolean" else ~value.is_null()
    return equal_to(value, column, rows.equals, section, f"{rows.table}.{rows.column}")
