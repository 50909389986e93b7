"""What a definition file needs: `feature`, `derived`, `column`, and the aggregates they are made of.

A feature is declared once, as an aggregate of rows that are already cut at the instant: a definition has no raw table
and no clock, so that it cannot leak. Aggregates are kept as small trees (count, sum, smallest, largest, distinct,
latest, and arithmetic between them) rather than as finished expressions, because the engine then shares equal parts
between features, and may compute them from kept partial results instead of from the rows.

Sums are exact: the contract form holds integers and decimals, and only results become float64.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import narwhals as nw

from features.contract import DAY_US, TABLES
from features.errors import DefinitionError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Operation = Literal["count", "sum", "min", "max", "distinct", "latest"]
Window = tuple[int | None, int]
"""Days before the instant, (far, near): rows with `as_of - far <= own time < as_of - near`; far None is ever."""

ENGINE_COLUMNS = frozenset({"own_us", "ingested_us", "as_of_us", "day", "polarity"})
SUFFIX_LIFETIME = "lifetime"


class Rows:
    """Stands for the rows of one table inside a definition: an attribute is a column, and its use is recorded."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._staged = {column.staged: column.name for column in TABLES[table].columns.values()}
        self.needs: set[str] = set()

    def __getattr__(self, name: str) -> nw.Expr:
        if name in ENGINE_COLUMNS:
            return nw.col(name)
        if name in COLUMNS.get(self._table, {}):
            self.needs |= COLUMNS[self._table][name].needs
            return nw.col(name)
        if name not in self._staged:
            known = [*self._staged, *ENGINE_COLUMNS, *COLUMNS.get(self._table, {})]
            raise DefinitionError(f"Table {self._table!r} has no column {name!r}{did_you_mean(name, known)}")
        self.needs.add(self._staged[name])
        return nw.col(name)

    def optional(self, name: str) -> nw.Expr:
        """A column without which the definition still makes sense: null throughout where it was not handed over."""
        if name not in self._staged:
            raise DefinitionError(f"Table {self._table!r} has no column {name!r}{did_you_mean(name, self._staged)}")
        return nw.col(name)


@dataclass(frozen=True)
class RowColumn:
    """A column computed for each row of a view before anything is aggregated (for example the gap to the row before)."""

    table: str
    name: str
    expression: nw.Expr
    needs: frozenset[str]


@dataclass(frozen=True)
class Primitive:
    """One partial result per customer: an operation over the rows of a window that meet a condition."""

    operation: Operation
    value: nw.Expr | None = None
    where: nw.Expr | None = None
    order: nw.Expr | None = None
    window: Window | Literal["feature", "previous"] = "feature"

    def at(self, window: Window) -> Primitive:
        """The same with the window of the feature filled in."""
        if self.window == "feature":
            return replace(self, window=window)
        if self.window == "previous":
            far, near = window
            if far is None:
                raise DefinitionError("A lifetime has no previous window")
            return replace(self, window=(2 * far - near, far))
        return self

    def __str__(self) -> str:
        parts = [f"{name}={getattr(self, name)!r}" for name in ("value", "where", "order", "window")]
        return f"{self.operation}({', '.join(part for part in parts if not part.endswith('=None'))})"


@dataclass(frozen=True)
class Aggregate:
    """A tree over primitives. Arithmetic between aggregates is null where a part is null, or a divisor is 0."""

    operation: str
    parts: tuple[Aggregate, ...] = ()
    primitive: Primitive | None = None
    number: float | None = None

    def __add__(self, other: Aggregate | float) -> Aggregate:
        return Aggregate("+", (self, _tree(other)))

    def __sub__(self, other: Aggregate | float) -> Aggregate:
        return Aggregate("-", (self, _tree(other)))

    def __rsub__(self, other: float) -> Aggregate:
        return Aggregate("-", (_tree(other), self))

    def __mul__(self, other: Aggregate | float) -> Aggregate:
        return Aggregate("*", (self, _tree(other)))

    def __truediv__(self, other: Aggregate | float) -> Aggregate:
        return Aggregate("/", (self, _tree(other)))

    def __gt__(self, other: float) -> Aggregate:
        return Aggregate(">", (self, _tree(other)))

    def sqrt(self) -> Aggregate:
        """Square root; rounding below zero counts as zero."""
        return Aggregate("sqrt", (self,))

    def at(self, window: Window) -> Aggregate:
        """The same with the window of the feature filled in."""
        primitive = self.primitive.at(window) if self.primitive else None
        return replace(self, parts=tuple(part.at(window) for part in self.parts), primitive=primitive)

    def primitives(self) -> Iterator[Primitive]:
        """All primitives of the tree, left to right."""
        if self.primitive:
            yield self.primitive
        for part in self.parts:
            yield from part.primitives()

    def __str__(self) -> str:
        if self.primitive:
            return str(self.primitive)
        if self.operation == "number":
            return repr(self.number)
        return f"{self.operation}({', '.join(map(str, self.parts))})"


def _tree(value: Aggregate | float) -> Aggregate:
    return value if isinstance(value, Aggregate) else Aggregate("number", number=float(value))


def _leaf(operation: Operation, window: Window | str, **parts: nw.Expr | None) -> Aggregate:
    return Aggregate("primitive", primitive=Primitive(operation, window=window, **parts))  # type: ignore[arg-type]  # window is checked in Primitive.at


FEATURE_WINDOW = "feature"
PREVIOUS = "previous"
"""The window of the same length just before the feature's own."""
EVER: Window = (None, 0)


def count(where: nw.Expr | None = None, window: Window | str = FEATURE_WINDOW) -> Aggregate:
    """Rows of the window that meet the condition; 0 where there are none."""
    return _leaf("count", window, where=where)


def total(value: nw.Expr, where: nw.Expr | None = None, window: Window | str = FEATURE_WINDOW) -> Aggregate:
    """Exact sum of a decimal or integer column; 0 where there are no rows."""
    return _leaf("sum", window, value=value, where=where)


def mean(value: nw.Expr, where: nw.Expr | None = None, window: Window | str = FEATURE_WINDOW) -> Aggregate:
    """Exact sum over the count of rows that have a value; null where there are none."""
    present = ~value.is_null() if where is None else where & ~value.is_null()
    return total(value, where, window) / count(present, window)


def spread(value: nw.Expr, where: nw.Expr | None = None, window: Window | str = FEATURE_WINDOW) -> Aggregate:
    """Standard deviation (population) of an integer column, from exact sums; null where there are no rows."""
    centre = mean(value, where, window)
    return (mean(value * value, where, window) - centre * centre).sqrt()


def share(of: nw.Expr, where: nw.Expr | None = None, window: Window | str = FEATURE_WINDOW) -> Aggregate:
    """Share (0 to 1) of the rows for which `of` is true, among those for which it is known; null where there are none."""
    known = ~of.is_null() if where is None else where & ~of.is_null()
    return count(of if where is None else where & of, window) / count(known, window)


def smallest(value: nw.Expr, where: nw.Expr | None = None, window: Window | str = FEATURE_WINDOW) -> Aggregate:
    """Smallest value; null where there is none."""
    return _leaf("min", window, value=value, where=where)


def largest(value: nw.Expr, where: nw.Expr | None = None, window: Window | str = FEATURE_WINDOW) -> Aggregate:
    """Largest value; null where there is none."""
    return _leaf("max", window, value=value, where=where)


def distinct(value: nw.Expr, where: nw.Expr | None = None, window: Window | str = FEATURE_WINDOW) -> Aggregate:
    """Distinct values, nulls apart; 0 where there are none."""
    return _leaf("distinct", window, value=value, where=where)


def latest(
    value: nw.Expr,
    where: nw.Expr | None = None,
    window: Window | str = FEATURE_WINDOW,
    order: nw.Expr | None = None,
) -> Aggregate:
    """Value of the row with the greatest own time (or `order`); of rows at the same time, the largest value."""
    return _leaf("latest", window, value=value, where=where, order=nw.col("own_us") if order is None else order)


def days_since(moment: nw.Expr, where: nw.Expr | None = None, window: Window | str = FEATURE_WINDOW) -> Aggregate:
    """Days from the latest such moment to the instant; null where there is none."""
    return (Aggregate("as_of") - largest(moment, where, window)) / float(DAY_US)


def days_since_first(moment: nw.Expr, where: nw.Expr | None = None, window: Window | str = FEATURE_WINDOW) -> Aggregate:
    """Days from the earliest such moment to the instant; null where there is none."""
    return (Aggregate("as_of") - smallest(moment, where, window)) / float(DAY_US)


def growth(current: Aggregate, before: Aggregate) -> Aggregate:
    """Natural log of (current + 1) over (before + 1): 0 is no change, symmetric, and defined from nothing."""
    return Aggregate("growth", (current, before))


@dataclass(frozen=True)
class Feature:
    """One feature of the vector: what it is made of, and what it means.

    `table` is None for a derived feature. `empty` fills a null where the table is there.
    """

    name: str
    family: str
    unit: str
    description: str
    table: str | None = None
    by: str = "customer_id"
    aggregate: Aggregate | None = None
    expression: nw.Expr | None = None
    needs: frozenset[str] = frozenset()
    empty: float | None = None
    is_sensitive: bool = False
    window_days: int | None = None
    sources: frozenset[str] = field(default_factory=frozenset)

    @property
    def is_category(self) -> bool:
        """Whether the value is a string of few values instead of a number."""
        return self.unit == "category"

    @property
    def definition(self) -> str:
        """What the feature computes, as text: the base of its fingerprint. Wording is left out of it."""
        body = str(self.aggregate) if self.aggregate else repr(self.expression)
        return f"{self.name} | {self.table or 'vector'} by {self.by} | {body} | {self.unit} | empty={self.empty}"

    def __str__(self) -> str:
        return self.name


FEATURES: dict[str, Feature] = {}
COLUMNS: dict[str, dict[str, RowColumn]] = {}


def _family(function: Callable[..., Any]) -> str:
    return function.__module__.rsplit(".", 1)[-1]


def _description(function: Callable[..., Any], days: int | None) -> str:
    text = inspect.getdoc(function)
    if not text:
        raise DefinitionError(f"Definition {function.__name__!r} has no docstring: say what it means")
    return text.replace("the {days} days before", "life" if days is None else f"the {days} days before")


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
        expression = function(rows)
        COLUMNS.setdefault(table, {})[function.__name__] = RowColumn(
            table, function.__name__, expression, frozenset(rows.needs)
        )
        return function

    return declare


def feature(
    table: str,
    *,
    unit: str,
    days: Sequence[int | None] | None = None,
    by: str = "customer_id",
    empty: float | None = None,
    sensitive: bool = False,
) -> Callable[[Callable[[Rows], Aggregate]], Callable[[Rows], Aggregate]]:
    """Declare one feature per window over the rows of a table.

    `days` lists the windows (None is the whole life); without it there is one feature over the whole life, named like
    the function. `by` is the column that holds the customer. Raises DefinitionError where the definition is not sound.
    """

    def declare(function: Callable[[Rows], Aggregate]) -> Callable[[Rows], Aggregate]:
        rows = Rows(table)
        tree = function(rows)
        for window in [None] if days is None else days:
            suffix = "" if days is None else f"_{SUFFIX_LIFETIME}" if window is None else f"_{window}d"
            _register(
                Feature(
                    name=f"{function.__name__}{suffix}",
                    family=_family(function),
                    unit=unit,
                    description=_description(function, window),
                    table=table,
                    by=by,
                    aggregate=tree.at((window, 0)),
                    needs=frozenset(rows.needs),
                    empty=empty,
                    is_sensitive=sensitive,
                    window_days=window,
                )
            )
        return function

    return declare


class Vector:
    """Stands for one vector inside a derived definition: an attribute is a feature, and its use is recorded."""

    def __init__(self) -> None:
        self.used: set[str] = set()

    def __getattr__(self, name: str) -> nw.Expr:
        self.used.add(name)
        return nw.col(name)


def derived(*, unit: str, empty: float | None = None) -> Callable[[Callable[[Vector], nw.Expr]], Callable[[Vector], nw.Expr]]:
    """Declare a feature that is computed from other features of the same vector."""

    def declare(function: Callable[[Vector], nw.Expr]) -> Callable[[Vector], nw.Expr]:
        vector = Vector()
        expression = function(vector)
        _register(
            Feature(
                name=function.__name__,
                family=_family(function),
                unit=unit,
                description=_description(function, None),
                expression=expression,
                empty=empty,
                sources=frozenset(vector.used),
            )
        )
        return function

    return declare


def ratio(numerator: nw.Expr, denominator: nw.Expr) -> nw.Expr:
    """Quotient of two features; null where the denominator is 0 or null."""
    return nw.when(denominator != 0).then(numerator / denominator)


def load_families() -> dict[str, Feature]:
    """Import every file under `features/families` and return the register. Safe to call again."""
    package = importlib.import_module("features.families")
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda found: found.name):
        importlib.import_module(f"features.families.{module.name}")
    for name, declared in FEATURES.items():
        for source in declared.sources - FEATURES.keys():
            raise DefinitionError(f"Feature {name!r} uses {source!r}, which is not defined{did_you_mean(source, FEATURES)}")
    return FEATURES
