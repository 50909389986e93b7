"""Features in one line: a company's own columns as features, made of the same aggregates as all others.

A line says what is made of which column of a table (see `vouch.features.feature_settings`); people write them in
`vouch.toml`, and staging writes them for columns and tables that the contract does not know. The features of the
company that was opened last stand in the register after those of the contract's tables.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import narwhals as nw

from vouch.features.contract.tables import TABLES
from vouch.features.errors import ConfigurationError, did_you_mean
from vouch.features.vectors.aggregates import (
    EVER,
    PREVIOUS,
    Aggregate,
    count,
    days_since,
    days_since_first,
    distinct,
    growth,
    largest,
    latest,
    mean,
    share,
    smallest,
    spread,
    ten_thousandths,
    total,
)
from vouch.features.vectors.declare import (
    CUSTOMER,
    FEATURES,
    LIFETIME_TEXT,
    OWN,
    WINDOW_TEXT,
    Feature,
    load_families,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vouch.features.asof import Tables
    from vouch.features.contract.tables import Column, Table
    from vouch.features.feature_settings import FeatureLine

OWN_FAMILY = "own"
"""Family of what is made of a table of the contract."""
MONTH_DAYS = 28
HOUR_US = 3_600_000_000.0
PARTS = 1_000_000
"""A probability is summed up in millionths."""
NUMBERS = frozenset({"money", "number", "integer", "probability"})
_KINDS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("mean", "trend"), NUMBERS | {"boolean", "time"}),
    **dict.fromkeys(("sum", "spread"), NUMBERS | {"boolean"}),
    **dict.fromkeys(("min", "max", "growth"), NUMBERS),
    "share": frozenset({"boolean", "time"}),
    "age": frozenset({"time"}),
    "distinct": frozenset({"text", "integer", "boolean"}),
    "last": NUMBERS | {"text", "boolean"},
}
"""Kinds of columns that each `how` makes sense of; others take any. A time counts as hours after that of its row."""


_USED: list[Any] = []
"""The lines and tables that the register's own features were made of."""


def registered_tables() -> Mapping[str, Table]:
    """The company's own tables, and those of the contract to which it adds columns, as the register stands."""
    tables: Mapping[str, Table] = _USED[1] if _USED else {}
    return tables


def use_own_features(tables: Tables) -> None:
    """Let the register end with the features of this company's own columns; rows of a request leave it as it is."""
    if tables.lines is not None:
        use_lines(tables.lines, tables.own)


def use_lines(lines: Sequence[FeatureLine], own: Mapping[str, Table]) -> None:
    """Let the register end with the features of some lines, and no others of a company's own."""
    if [lines, own] == _USED or not (lines or OWN):
        return
    made = own_features(lines, own)
    OWN.clear()
    OWN.update(made)
    _USED[:] = [lines, own]


def own_features(lines: Sequence[FeatureLine], own: Mapping[str, Table]) -> dict[str, Feature]:
    """Return the features of some lines, by name; `own` are tables beside those of the contract.

    Raises ConfigurationError for a line that cannot be meant.
    """
    load_families()
    made: dict[str, Feature] = {}
    for line in lines:
        table = own.get(line.table) or TABLES.get(line.table)
        if table is None or table.customer is None:
            known = [*own, *(name for name, of in TABLES.items() if of.customer)]
            raise ConfigurationError(
                f"[features.{line.name}] table = {line.table!r} is no table with a customer"
                f"{did_you_mean(line.table, known)}. There are: {', '.join(dict.fromkeys(known))}"
            )
        for days in line.days or (None,):
            feature = _feature(line, table, days)
            if feature.name in FEATURES or feature.name in made:
                raise ConfigurationError(f"[features.{line.name}]: there is a feature {feature.name!r} already")
            made[feature.name] = feature
    return made


def _feature(line: FeatureLine, table: Table, days: int | None) -> Feature:
    column = _column(line, table)
    tree = _AGGREGATES[line.how](None if column is None else nw.col(column.staged), column, line)
    is_text = line.how == "last" and column is not None and column.kind == "text"
    return Feature(
        name=f"{line.name}_{days}d" if days else line.name,
        family=line.table if line.table not in TABLES else OWN_FAMILY,
        unit="category" if is_text else _unit(line),
        description=_description(line, days),
        table=line.table,
        by=table.customer or CUSTOMER,
        aggregate=tree.at((days, 0)),
        needs=frozenset({table.customer or CUSTOMER, *([column.name] if column else [])}),
        is_sensitive=line.is_sensitive,
        window_days=days,
    )


def _column(line: FeatureLine, table: Table) -> Column | None:
    if line.value is None:
        return None
    column = table.columns.get(line.value)
    if column is None or column.name == table.customer:
        usable = [name for name in table.columns if name not in {table.customer, "is_deleted"}]
        raise ConfigurationError(
            f"[features.{line.name}] value = {line.value!r} is no column of {line.table!r}"
            f"{did_you_mean(line.value, usable)}. There are: {', '.join(usable)}"
        )
    wanted = _KINDS.get(line.how)
    if wanted and column.kind not in wanted and line.equals is None:
        raise ConfigurationError(
            f'[features.{line.name}]: how = "{line.how}" goes with {" or ".join(sorted(wanted))}, and '
            f"{line.table}.{line.value} is {column.kind}"
        )
    return column


def _meets(value: nw.Expr | None, column: Column | None, line: FeatureLine) -> nw.Expr | None:
    """Which rows a line counts, None where it counts all."""
    if value is None or column is None:
        return None
    if line.equals is None:
        return ~value.is_null()
    return equal_to(value, column, line.equals, f"[features.{line.name}]", f"{line.table}.{line.value}")


def equal_to(value: nw.Expr, column: Column, equals: str, section: str, named: str) -> nw.Expr:
    """Whether a column holds a value that is written as a text."""
    place = f"{section} equals = {equals!r}: {named}"
    if column.kind == "text":
        return value == equals
    if column.kind == "boolean":
        if equals.lower() not in {"true", "false"}:
            raise ConfigurationError(f"{place} is true or false")
        return value == (equals.lower() == "true")
    if column.kind not in {"integer", "number", "money"}:
        raise ConfigurationError(f"{place} is a {column.kind}, of which no value is counted")
    try:
        meant = Decimal(equals) * (1 if column.kind == "integer" else 10_000)
        whole = int(meant)
    except (InvalidOperation, OverflowError, ValueError) as error:  # no number, or an infinite one
        raise ConfigurationError(f"{place} holds numbers") from error
    if meant != whole:
        held = "whole numbers" if column.kind == "integer" else "four digits after the point"
        raise ConfigurationError(f"{place} holds {held}")
    return (value if column.kind == "integer" else ten_thousandths(value)) == whole


def _of(value: nw.Expr | None, column: Column | None) -> tuple[nw.Expr, Column]:
    """What a line of a value has; settings without one were refused."""
    assert value is not None
    assert column is not None
    return value, column


def _number(value: nw.Expr | None, column: Column | None) -> nw.Expr:
    """A value whose sums are exact: a number, 1 for true, or microseconds from the own time to another."""
    value, column = _of(value, column)
    if column.kind == "time":
        return value - nw.col("own_us")
    if column.kind == "probability":
        return (value * PARTS).round().cast(nw.Int64)
    return value.cast(nw.Int64) if column.kind == "boolean" else value


def _mean(value: nw.Expr | None, column: Column | None, *, is_before: bool = False) -> Aggregate:
    number = _number(value, column)
    tree = mean(number, window=PREVIOUS) if is_before else mean(number)
    divisor = {"probability": float(PARTS), "time": HOUR_US}.get(column.kind if column else "")
    return tree / divisor if divisor else tree


def _spread(value: nw.Expr | None, column: Column | None) -> Aggregate:
    number = _number(value, column)
    if column is not None and column.kind in {"money", "number"}:
        return spread(ten_thousandths(number)) / 10_000.0
    return spread(number)


def _share(value: nw.Expr | None, column: Column | None, line: FeatureLine) -> Aggregate:
    is_met = line.equals is not None or (column is not None and column.kind == "time")
    of = _meets(value, column, line) if is_met else value
    assert of is not None
    return share(of)


def _growth(value: nw.Expr | None, column: Column | None) -> Aggregate:
    if column is None:
        return growth(count(), count(window=PREVIOUS))
    number = _number(value, column)
    return growth(total(number), total(number, window=PREVIOUS))


def _last(value: nw.Expr | None, column: Column | None) -> Aggregate:
    value, column = _of(value, column)
    return latest(value.cast(nw.Int64) if column.kind == "boolean" else value, ~value.is_null())


def _rate() -> Aggregate:
    return count(window=EVER) / (days_since_first(nw.col("own_us"), window=EVER) / float(MONTH_DAYS))


_AGGREGATES: Mapping[str, Callable[[nw.Expr | None, Column | None, FeatureLine], Aggregate]] = {
    "count": lambda value, column, line: count(_meets(value, column, line)),
    "active_days": lambda *_: distinct(nw.col("day")),
    "sum": lambda value, column, _: total(_number(value, column)),
    "mean": lambda value, column, _: _mean(value, column),
    "min": lambda value, column, _: smallest(_number(value, column)),
    "max": lambda value, column, _: largest(_number(value, column)),
    "spread": lambda value, column, _: _spread(value, column),
    "share": _share,
    "distinct": lambda value, *_: distinct(value if value is not None else nw.col("day")),
    "last": lambda value, column, _: _last(value, column),
    "growth": lambda value, column, _: _growth(value, column),
    "trend": lambda value, column, _: _mean(value, column) - _mean(value, column, is_before=True),
    "days_since": lambda value, column, line: days_since(nw.col("own_us"), _meets(value, column, line)),
    "days_since_first": lambda value, column, line: days_since_first(nw.col("own_us"), _meets(value, column, line)),
    "age": lambda value, column, _: days_since(_of(value, column)[0]),
    "rate": lambda *_: _rate(),
}
_UNITS: Mapping[str, str] = {
    "count": "rows", "active_days": "days", "share": "share", "distinct": "values", "growth": "log ratio",
    "days_since": "days", "days_since_first": "days", "age": "days",
}  # fmt: skip


def _unit(line: FeatureLine) -> str:
    return _UNITS.get(line.how, "value")


def _readable(name: str) -> str:
    return re.sub(r"_+", " ", name).strip()


def _description(line: FeatureLine, days: int | None) -> str:
    """What a feature means, from the words of its line or else from its names."""
    rows, what = f"rows of {_readable(line.table)}", line.words or _readable(line.value or "")
    of = f"{what} in {_readable(line.table)}" if line.words is None else what
    those = rows if line.equals is None else f"{rows} with {what} {line.equals}"
    parts = {
        "count": f"{those[0].upper()}{those[1:]}" if line.value is None or line.equals else f"Rows with {of}",
        "active_days": f"Days with {rows}",
        "sum": f"Sum of {of}",
        "mean": f"Mean {of}",
        "min": f"Smallest {of}",
        "max": f"Largest {of}",
        "spread": f"Standard deviation of {of}",
        "share": f"Share of {those}" if line.equals else f"Share of {rows} with {what}",
        "distinct": f"Different values of {of}",
        "last": f"Latest {of}",
        "growth": f"Change of {f'the sum of {of}' if line.value else rows}",
        "trend": f"Mean {of}",
        "days_since": f"Days since the latest of the {those}",
        "days_since_first": f"Days since the first of the {those}",
        "age": f"Days since {of}",
        "rate": f"Mean {rows} in {MONTH_DAYS} days",
    }[line.how]
    span = (
        "" if line.how in {"last", "days_since", "days_since_first", "age", "rate"} and days is None else LIFETIME_TEXT
    )
    after = {"growth": " against the same span before them", "trend": " less that of the same span before them"}
    return f"{parts}{WINDOW_TEXT.format(days=days) if days else span}{after.get(line.how, '')}."
