"""The feature definition language: `feature`, `derived`, `column`, and the aggregates they are made of.

A feature is declared once, as an aggregate of rows that are already cut at the instant: a definition has no raw table
and no clock, so that it cannot leak.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import narwhals as nw

from vouch.features.contract.tables import TABLES
from vouch.features.errors import DefinitionError, did_you_mean
from vouch.features.expressions import as_text, columns_of
from vouch.features.vectors.aggregates import (
    EVER,
    FEATURE_WINDOW,
    PREVIOUS,
    Aggregate,
    Primitive,
    Window,
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

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "COLUMNS",
    "EVER",
    "FEATURES",
    "FEATURE_WINDOW",
    "PREVIOUS",
    "Aggregate",
    "Feature",
    "Primitive",
    "RowColumn",
    "Rows",
    "Vector",
    "Window",
    "column",
    "count",
    "days_since",
    "days_since_first",
    "derivation_rounds",
    "derived",
    "distinct",
    "feature",
    "growth",
    "largest",
    "latest",
    "load_families",
    "mean",
    "ratio",
    "share",
    "smallest",
    "spread",
    "ten_thousandths",
    "total",
]

ENGINE_COLUMNS = frozenset({"own_us", "ingested_us", "as_of_us", "day", "day_gap", "polarity"})
"""What every view has beside the contract's columns.

`day` counts UTC days since 1970. `day_gap` is the number of days since the customer's active day before, by own time:
it stands in the first row of a day, and is null in others and on the first day. `polarity` is there where the table
holds texts or ratings.
"""
POLARITY_NEEDS = {"surveys": frozenset({"verbatim"}), "social_posts": frozenset({"text"}), "feedback": frozenset[str]()}
CUSTOMER, AS_OF = "customer_id", "as_of_us"
WINDOW_TEXT = " in the {days} days before"
LIFETIME_TEXT = " so far"
SUFFIX_LIFETIME = "lifetime"


class Rows:
    """Stands for the rows of one table inside a definition: an attribute is a column, and its use is recorded.

    `needs` are the contract's columns without which the definition makes no sense.
    """

    def __init__(self, table: str) -> None:
        if table not in TABLES:
            raise DefinitionError(f"There is no table {table!r}{did_you_mean(table, TABLES)}")
        self._table = table
        self._customer = TABLES[table].customer or CUSTOMER
        self._staged = {column.staged: column.name for column in TABLES[table].columns.values()}
        self.needs: set[str] = set()
        self.is_ordered = False

    def __getattr__(self, name: str) -> nw.Expr:
        if name in COLUMNS.get(self._table, {}):
            self.needs |= COLUMNS[self._table][name].needs
        elif name == "polarity" and self._table in POLARITY_NEEDS:
            self.needs |= POLARITY_NEEDS[self._table]
        elif name in self._staged:
            self.needs.add(self._staged[name])
        elif name not in ENGINE_COLUMNS or name == "polarity":
            known = [*self._staged, *ENGINE_COLUMNS, *COLUMNS.get(self._table, {})]
            raise DefinitionError(f"Table {self._table!r} has no column {name!r}{did_you_mean(name, known)}")
        return nw.col(name)

    def optional(self, name: str) -> nw.Expr:
        """A column without which the definition still makes sense: null throughout where it was not handed over."""
        if name not in self._staged:
            raise DefinitionError(f"Table {self._table!r} has no column {name!r}{did_you_mean(name, self._staged)}")
        return nw.col(name)

    def previous(self, value: nw.Expr, *alike: str) -> nw.Expr:
        """The value in the customer's row before (by own time, then key) among rows that are equal in `alike`."""
        return value.shift(1).over(self._customer, AS_OF, *alike, order_by=self._in_order("own_us"))

    def number_from_last(self, time_us: nw.Expr, name: str, *alike: str) -> nw.Expr:
        """1 in the customer's row of the latest time (column `name`), 2 in the one before it, and so on.

        It counts the rows that have the time, among those that are equal in `alike`; ties are ordered by key.
        """
        number = time_us.cum_count(reverse=True)
        return number.over(self._customer, AS_OF, *alike, order_by=self._in_order(name)).cast(nw.Int64)

    def number(self, where: nw.Expr, *alike: str) -> nw.Expr:
        """How many of the customer's rows meet a condition up to here (by own time, then key), this row included.

        It counts among those that are equal in `alike`: 1 in the first of them.
        """
        order = self._in_order("own_us")
        return where.cast(nw.Int64).cum_sum().over(self._customer, AS_OF, *alike, order_by=order)

    def _in_order(self, time: str) -> list[str]:
        self.is_ordered = True
        key = TABLES[self._table].key
        return [time, *([key] if key else [])]


@dataclass(frozen=True)
class RowColumn:
    """A column computed for each row of a view before anything is aggregated (a gap to the row before, for example)."""

    table: str
    name: str
    expression: nw.Expr
    needs: frozenset[str]
    is_ordered: bool = False
    """Whether it reads other rows of the customer, so that it needs all of them."""

    @cached_property
    def reads(self) -> frozenset[str]:
        """Columns of the frame that it reads."""
        return columns_of(self.expression)


@dataclass(frozen=True)
class Feature:
    """One feature of the vector: what it is made of, and what it means.

    `table` is None for a derived feature, which is computed from other features. `empty` fills a null where the table
    is there.
    """

    name: str
    family: str
    unit: str
    description: str
    table: str | None = None
    by: str = CUSTOMER
    aggregate: Aggregate | None = None
    expression: nw.Expr | None = None
    needs: frozenset[str] = frozenset()
    empty: float | None = None
    is_sensitive: bool = False
    window_days: int | None = None

    @property
    def reads(self) -> frozenset[str]:
        """Columns of its table that it reads."""
        return self.aggregate.reads if self.aggregate else frozenset()

    @cached_property
    def sources(self) -> frozenset[str]:
        """Other features that it is computed from."""
        return frozenset() if self.expression is None else columns_of(self.expression)

    @property
    def is_category(self) -> bool:
        """Whether the value is a string of few values instead of a number."""
        return self.unit == "category"

    @property
    def definition(self) -> str:
        """What the feature computes, as text: the base of its fingerprint. Wording is left out of it."""
        body = str(self.aggregate) if self.expression is None else as_text(self.expression)
        return f"{self.name} | {self.table or 'vector'} by {self.by} | {body} | {self.unit} | empty={self.empty}"

    def __str__(self) -> str:
        return self.name


FEATURES: dict[str, Feature] = {}
OWN: dict[str, Feature] = {}
"""Features of the company's own columns: those of the company that was opened last (see `lines`)."""
COLUMNS: dict[str, dict[str, RowColumn]] = {}


def _family(function: Callable[..., Any]) -> str:
    return function.__module__.rsplit(".", 1)[-1]


def docstring_of(function: Callable[..., Any]) -> str:
    """What a definition says that it means; raises DefinitionError where it says nothing."""
    text = inspect.getdoc(function)
    if not text:
        raise DefinitionError(f"Definition {function.__name__!r} has no docstring: say what it means")
    return text


def _register(feature: Feature) -> None:
    if feature.name in FEATURES:
        raise DefinitionError(
            f"Feature {feature.name!r} is defined twice, in {FEATURES[feature.name].family} and {feature.family}"
        )
    FEATURES[feature.name] = feature


def column(table: str) -> Callable[[Callable[[Rows], nw.Expr]], Callable[[Rows], nw.Expr]]:
    """Declare a column that is computed row by row (window expressions included) before the aggregates of a table."""

    def declare(function: Callable[[Rows], nw.Expr]) -> Callable[[Rows], nw.Expr]:
        rows = Rows(table)
        name = function.__name__
        expression = function(rows)
        declared = COLUMNS.setdefault(table, {})
        if name in declared or name in rows._staged or name in ENGINE_COLUMNS:
            raise DefinitionError(f"Table {table!r} has a column {name!r} already")
        declared[name] = RowColumn(table, name, expression, frozenset(rows.needs), rows.is_ordered)
        return function

    return declare


def feature(
    table: str,
    *,
    unit: str,
    days: Sequence[int | None] | None = None,
    each: Sequence[str] | None = None,
    by: str = CUSTOMER,
    empty: float | None = None,
    sensitive: bool = False,
) -> Callable[[Callable[..., Aggregate]], Callable[..., Aggregate]]:
    """Declare one feature per window over the rows of a table, and per value of `each` where it is given.

    The definition takes the rows, then the value of `each`. `days` lists the windows (None is the whole life); without
    it there is one feature over the whole life. The name is function, value and window (`touches_sales_28d`). `by` is
    the column that holds the customer. Raises DefinitionError where the definition is not sound.
    """

    def declare(function: Callable[..., Aggregate]) -> Callable[..., Aggregate]:
        text = docstring_of(function)
        if days is not None and WINDOW_TEXT not in text:
            raise DefinitionError(f"The docstring of {function.__name__!r} does not say {WINDOW_TEXT.strip()!r}")
        if any(window is not None and window <= 0 for window in days or ()):
            raise DefinitionError(f"A window of {function.__name__!r} is not above 0 days")
        for value in [None] if each is None else each:
            rows = Rows(table)
            tree = function(rows) if value is None else function(rows, value)
            for window in [None] if days is None else days:
                _register(
                    Feature(
                        name=_name(function.__name__, value, window, is_windowed=days is not None),
                        family=_family(function),
                        unit=unit,
                        description=_worded(text, value, window),
                        table=table,
                        by=by,
                        aggregate=tree.at((window, 0)),
                        needs=frozenset(rows.needs | {by}),
                        empty=empty,
                        is_sensitive=sensitive,
                        window_days=window,
                    )
                )
        return function

    return declare


def _name(base: str, value: str | None, window: int | None, *, is_windowed: bool) -> str:
    suffix = [] if not is_windowed else [SUFFIX_LIFETIME] if window is None else [f"{window}d"]
    return "_".join([base, *([value] if value else []), *suffix])


def _worded(text: str, value: str | None, window: int | None) -> str:
    text = text.replace(WINDOW_TEXT, LIFETIME_TEXT if window is None else WINDOW_TEXT.format(days=window))
    return text if value is None else text.replace("{each}", value.replace("_", " "))


class Vector:
    """Stands for one vector inside a derived definition: an attribute is a feature."""

    def __getattr__(self, name: str) -> nw.Expr:
        return nw.col(name)


def derived(
    *, unit: str, empty: float | None = None
) -> Callable[[Callable[[Vector], nw.Expr]], Callable[[Vector], nw.Expr]]:
    """Declare a feature that is computed from other features of the same vector."""

    def declare(function: Callable[[Vector], nw.Expr]) -> Callable[[Vector], nw.Expr]:
        _register(
            Feature(
                name=function.__name__,
                family=_family(function),
                unit=unit,
                description=docstring_of(function),
                expression=function(Vector()),
                empty=empty,
            )
        )
        return function

    return declare


def ratio(numerator: nw.Expr, denominator: nw.Expr) -> nw.Expr:
    """Quotient of two features; null where the denominator is 0 or null."""
    return nw.when(denominator != 0).then(numerator / denominator)


def load_families() -> dict[str, Feature]:
    """Import every file under `features/families` and return the register, ordered by family and place in its file.

    Features of the company's own columns come last. Safe to call again. Raises DefinitionError where derived features
    use what is not there.
    """
    package = importlib.import_module("vouch.features.families")
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda module_info: module_info.name):
        importlib.import_module(f"vouch.features.families.{module.name}")
    families = [declared.family for declared in FEATURES.values()]
    if families != sorted(families):  # somebody imported a family by itself
        ordered = sorted(FEATURES.items(), key=lambda item: item[1].family)
        FEATURES.clear()
        FEATURES.update(ordered)
    for name, declared in FEATURES.items():
        for source in declared.sources - FEATURES.keys():
            raise DefinitionError(
                f"Feature {name!r} uses {source!r}, which is not defined{did_you_mean(source, FEATURES)}"
            )
    derivation_rounds()
    return {**FEATURES, **OWN} if OWN else FEATURES


def derivation_rounds() -> list[list[Feature]]:
    """Derived features in rounds, so that each finds its sources. Raises DefinitionError where they go in a circle."""
    waiting = {name: declared for name, declared in FEATURES.items() if declared.expression is not None}
    rounds = []
    while waiting:
        ready = [declared for declared in waiting.values() if not declared.sources & waiting.keys()]
        if not ready:
            raise DefinitionError(f"Derived features use one another in a circle: {', '.join(sorted(waiting))}")
        rounds.append(ready)
        waiting = {name: declared for name, declared in waiting.items() if declared not in ready}
    return rounds
