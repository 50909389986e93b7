"""Aggregates: small trees over counts, sums, extremes, distinct values and latest values.

A feature is made of these. Aggregates are kept as trees rather than as finished expressions, because the builder then
shares equal parts between features, and may compute them from kept partial results instead of from the rows. Sums are
exact: the contract form holds integers and decimals, and only results become float64.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import narwhals as nw

from vouch.features.contract.tables import DAY_US
from vouch.features.errors import DefinitionError
from vouch.features.expressions import as_text, columns_of

if TYPE_CHECKING:
    from collections.abc import Iterator

Operation = Literal["count", "sum", "min", "max", "distinct", "latest"]
Window = tuple[int | None, int]
"""Days before the instant, (far, near): rows with `as_of - far <= own time < as_of - near`; far None is ever."""
Span = Window | Literal["feature", "previous"]
FEATURE_WINDOW: Literal["feature"] = "feature"
PREVIOUS: Literal["previous"] = "previous"
"""The window of the same length just before the feature's own."""
EVER: Window = (None, 0)
COUNTED = frozenset({"count", "sum", "distinct"})
"""Operations that give 0 where there are no rows; the others give null."""


@dataclass(frozen=True)
class Primitive:
    """One partial result per customer: an operation over the rows of a window that meet a condition."""

    operation: Operation
    value: nw.Expr | None = None
    where: nw.Expr | None = None
    order: nw.Expr | None = None
    window: Span = FEATURE_WINDOW

    def at(self, window: Window) -> Primitive:
        """The same with the window of the feature filled in."""
        if self.window == "feature":
            return replace(self, window=window)
        if self.window == "previous":
            far, near = window
            if far is None:
                raise DefinitionError("A lifetime has no previous window: give the feature its days=")
            return replace(self, window=(2 * far - near, far))
        return self

    @property
    def span(self) -> Window:
        """The window, once it is filled in."""
        if isinstance(self.window, str):
            raise DefinitionError(f"The window {self.window!r} of {self} is not filled in")
        return self.window

    @property
    def expressions(self) -> dict[str, nw.Expr]:
        """What it is made of, by role."""
        of = {"value": self.value, "where": self.where, "order": self.order}
        return {name: expression for name, expression in of.items() if expression is not None}

    @cached_property
    def reads(self) -> frozenset[str]:
        """Columns that it reads."""
        return frozenset().union(*map(columns_of, self.expressions.values()))

    @cached_property
    def _text(self) -> str:
        parts = [f"{name}={as_text(expression)}" for name, expression in self.expressions.items()]
        return f"{self.operation}({', '.join([*parts, f'window={self.window!r}'])})"

    def __str__(self) -> str:
        return self._text


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

    @property
    def reads(self) -> frozenset[str]:
        """Columns that the tree reads."""
        return frozenset().union(*(primitive.reads for primitive in self.primitives()))

    def __str__(self) -> str:
        if self.primitive:
            return str(self.primitive)
        if self.operation == "number":
            return repr(self.number)
        return f"{self.operation}({', '.join(map(str, self.parts))})"


def _tree(value: Aggregate | float) -> Aggregate:
    return value if isinstance(value, Aggregate) else Aggregate("number", number=float(value))


def _leaf(
    operation: Operation,
    window: Span,
    value: nw.Expr | None = None,
    where: nw.Expr | None = None,
    order: nw.Expr | None = None,
) -> Aggregate:
    return Aggregate("primitive", primitive=Primitive(operation, value, where, order, window))


def count(where: nw.Expr | None = None, window: Span = FEATURE_WINDOW) -> Aggregate:
    """Rows of the window that meet the condition; 0 where there are none."""
    return _leaf("count", window, where=where)


def total(value: nw.Expr, where: nw.Expr | None = None, window: Span = FEATURE_WINDOW) -> Aggregate:
    """Exact sum of a decimal or integer column; 0 where there are no rows."""
    return _leaf("sum", window, value, where)


def mean(value: nw.Expr, where: nw.Expr | None = None, window: Span = FEATURE_WINDOW) -> Aggregate:
    """Exact sum over the count of rows that have a value; null where there are none."""
    present = ~value.is_null() if where is None else where & ~value.is_null()
    return total(value, where, window) / count(present, window)


def spread(value: nw.Expr, where: nw.Expr | None = None, window: Span = FEATURE_WINDOW) -> Aggregate:
    """Standard deviation (population) of an integer column, from exact sums; null where there are no rows."""
    centre = mean(value, where, window)
    return (mean(value * value, where, window) - centre * centre).sqrt()


def share(of: nw.Expr, where: nw.Expr | None = None, window: Span = FEATURE_WINDOW) -> Aggregate:
    """Share (0 to 1) of the rows for which `of` is true, where it is known; null where it is known for none."""
    known = ~of.is_null() if where is None else where & ~of.is_null()
    return count(of if where is None else where & of, window) / count(known, window)


def smallest(value: nw.Expr, where: nw.Expr | None = None, window: Span = FEATURE_WINDOW) -> Aggregate:
    """Smallest value; null where there is none."""
    return _leaf("min", window, value, where)


def largest(value: nw.Expr, where: nw.Expr | None = None, window: Span = FEATURE_WINDOW) -> Aggregate:
    """Largest value; null where there is none."""
    return _leaf("max", window, value, where)


def distinct(value: nw.Expr, where: nw.Expr | None = None, window: Span = FEATURE_WINDOW) -> Aggregate:
    """Distinct values, nulls apart; 0 where there are none."""
    return _leaf("distinct", window, value, where)


def latest(
    value: nw.Expr, where: nw.Expr | None = None, window: Span = FEATURE_WINDOW, order: nw.Expr | None = None
) -> Aggregate:
    """Value of the row with the greatest own time (or `order`); of rows at the same time, the largest value."""
    return _leaf("latest", window, value, where, nw.col("own_us") if order is None else order)


def days_since(time_us: nw.Expr, where: nw.Expr | None = None, window: Span = FEATURE_WINDOW) -> Aggregate:
    """Days from the latest such time to the instant; null where there is none."""
    return (Aggregate("as_of") - largest(time_us, where, window)) / float(DAY_US)


def days_since_first(time_us: nw.Expr, where: nw.Expr | None = None, window: Span = FEATURE_WINDOW) -> Aggregate:
    """Days from the earliest such time to the instant; null where there is none."""
    return (Aggregate("as_of") - smallest(time_us, where, window)) / float(DAY_US)


def growth(current: Aggregate, before: Aggregate) -> Aggregate:
    """Natural log of (current + 1) over (before + 1): 0 is no change, symmetric, and defined from nothing.

    Null where either is null, not a number where either is below 0.
    """
    return Aggregate("growth", (current, before))


def ten_thousandths(value: nw.Expr) -> nw.Expr:
    """A decimal of the contract form as an integer, exactly: engines differ in products and quotients of decimals."""
    return (value * 10_000).cast(nw.Int64)
