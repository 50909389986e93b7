"""The rule by which features are made of own columns: fixed beforehand, by the kind of a column and nothing else.

A model leaves out what does not vary in its training rows. What is made here hangs on no value of the data, so that
a feature is there next week, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vouch.features.feature_settings import FeatureLine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vouch.features.contract.tables import Column

SHORT, LONG = 28, 90
WINDOWS = (SHORT, LONG)
MOST_COLUMNS = 40
"""Of a table of more columns than this, the first feed."""


def lines_of_rows(table: str) -> Iterator[FeatureLine]:
    """What is made of the rows of a further table, whatever they hold."""
    yield FeatureLine(f"{table}_rows", table, "count", days=WINDOWS)
    yield FeatureLine(f"{table}_rows", table, "count")
    yield FeatureLine(f"{table}_days", table, "active_days", days=WINDOWS)
    yield FeatureLine(f"{table}_rate", table, "rate")
    yield FeatureLine(f"{table}_growth", table, "growth", days=WINDOWS)
    yield FeatureLine(f"{table}_days_since", table, "days_since")
    yield FeatureLine(f"{table}_days_since_first", table, "days_since_first")


def lines_of_column(table: str, column: Column, words: str | None = None) -> Iterator[FeatureLine]:
    """What is made of one column of a table whose rows have a time."""
    name = f"{table}_{column.name}"

    def line(what: str, how: str, *days: int) -> FeatureLine:
        return FeatureLine(f"{name}_{what}", table, how, column.name, days, words=words)

    if column.kind == "time":
        yield line("hours", "mean", LONG)
        yield line("hours", "mean")
        yield line("given", "share", LONG)
        return
    yield line("last", "last")
    if column.kind == "text":
        yield line("distinct", "distinct", *WINDOWS)
        return
    if column.kind == "boolean":
        yield line("share", "share", *WINDOWS)
        yield line("share", "share")
        return
    yield line("mean", "mean", *WINDOWS)
    yield line("mean", "mean")
    yield line("sum", "sum", *WINDOWS)
    yield line("min", "min", LONG)
    yield line("max", "max", LONG)
    yield line("trend", "trend", *WINDOWS)


def lines_of_customers(table: str, column: Column, words: str | None = None) -> Iterator[FeatureLine]:
    """What is made of a further column of a table whose rows are one for each customer: what it says."""
    how = "age" if column.kind == "time" else "last"
    named = "customer" if table == "customers" else table
    yield FeatureLine(f"{named}_{column.name}", table, how, column.name, words=words)
