"""Group-by aggregation of one table: its features as one group of aggregates, one row per customer.

Equal parts of different features are computed once. Conditions and windows become columns before they are used, and
frames are kept narrow, because the time of a small query goes into building it.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.contract.tables import DAY_US
from vouch.features.expressions import as_text
from vouch.features.vectors.aggregates import COUNTED, Aggregate, Primitive, Window
from vouch.features.vectors.declare import COLUMNS, Feature, RowColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from vouch.features.asof import Frame


@dataclass(frozen=True)
class FeatureGroup:
    """Features of one table whose customer stands in one column."""

    table: str
    by: str
    members: tuple[Feature, ...]

    @cached_property
    def parts(self) -> dict[str, Primitive]:
        """Partial results that the features need, by the name of the column that holds them."""
        trees = [member.aggregate for member in self.members if member.aggregate]
        return {part_name(part): part for tree in trees for part in tree.primitives()}

    @cached_property
    def columns(self) -> list[RowColumn]:
        """Computed columns that the features use, in the order of their declaration: one may read those before it."""
        declared = COLUMNS.get(self.table, {})
        return [declared[name] for name in declared if name in self._reads]

    @property
    def reads(self) -> list[str]:
        """Columns of the view that are read."""
        computed = {"day_gap", *COLUMNS.get(self.table, {})}
        wanted = self._reads | {self.by, "own_us"} | ({"day"} if self.has_day_gap else set())
        return sorted(wanted - computed)

    @property
    def hangs_on_instant(self) -> bool:
        """Whether a row gives something else at another instant."""
        return "as_of_us" in self._reads

    @property
    def has_day_gap(self) -> bool:
        """Whether a feature reads the days since the row before."""
        return "day_gap" in self._reads

    @property
    def farthest_days(self) -> int | None:
        """Days before the instant that hold all rows that count; None where that may be any row."""
        spans = [part.span[0] for part in self.parts.values()]
        is_any = self.has_day_gap or any(column.is_ordered for column in self.columns)
        return None if is_any or None in spans else max(span for span in spans if span is not None)

    @cached_property
    def _reads(self) -> frozenset[str]:
        reads = {name for member in self.members for name in member.reads}
        for column in reversed(COLUMNS.get(self.table, {}).values()):
            if column.name in reads:
                reads |= column.reads
        return frozenset(reads)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def part_name(part: Primitive) -> str:
    """Name of the column that holds a partial result."""
    return f"part_{_digest(str(part))}"


def narrowed(rows: Frame, group: FeatureGroup, *more: str) -> Frame:
    """The rows of a view that belong to a customer, with the columns that the group reads and computes, and `more`."""
    rows = rows.filter(~nw.col(group.by).is_null()).select(*dict.fromkeys([*group.reads, *more]))
    ready: dict[str, nw.Expr] = {}
    if group.has_day_gap:
        before = nw.col("day").shift(1).over(group.by, "as_of_us", order_by="own_us")
        rows = rows.with_columns(day_gap=nw.col("day") - before)
        ready["day_gap"] = nw.when(nw.col("day_gap") > 0).then(nw.col("day_gap"))
    for column in group.columns:
        if column.reads & ready.keys():
            rows = rows.with_columns(**ready)
            ready = {}
        ready[column.name] = column.expression
    return rows.with_columns(**ready) if ready else rows


def aggregated(rows: Frame, parts: Mapping[str, Primitive], *keys: str) -> Frame:
    """Partial results by `keys`, from rows with `own_us` and, where a part has a window, `as_of_us`."""
    flags = _flags(parts.values())
    latest = {name: part for name, part in parts.items() if part.operation == "latest"}
    if flags:
        rows = rows.with_columns(**flags)
    if latest:
        rows = rows.with_columns(**{f"key_{name}": _chosen(part, part.order) for name, part in latest.items()})
        rows = rows.with_columns(**{f"top_{name}": nw.col(f"key_{name}").max().over(*keys) for name in latest})
    return rows.group_by(*keys).agg(**{name: _operation(name, part) for name, part in parts.items()})


def _flags(parts: Iterable[Primitive]) -> dict[str, nw.Expr]:
    """Conditions and windows as columns, each once."""
    flags: dict[str, nw.Expr] = {}
    for part in parts:
        if part.where is not None:
            flags[_condition_name(part.where)] = part.where
        if inside := _inside(part.span):
            flags[_window_name(part.span)] = nw.all_horizontal(*inside, ignore_nulls=False)
    return flags


def _condition_name(condition: nw.Expr) -> str:
    return f"is_{_digest(as_text(condition))}"


def _window_name(window: Window) -> str:
    return f"in_{window[0]}_{window[1]}"


def _inside(window: Window) -> list[nw.Expr]:
    far, near = window
    edges = []
    if far is not None:
        edges.append(nw.col("own_us") >= nw.col("as_of_us") - far * DAY_US)
    if near:
        edges.append(nw.col("own_us") < nw.col("as_of_us") - near * DAY_US)
    return edges


def _chosen(part: Primitive, value: nw.Expr | None) -> nw.Expr:
    """The value in the rows that count for a part; null in others."""
    chosen = nw.lit(1, nw.Int64) if value is None else value
    conditions = [] if part.where is None else [nw.col(_condition_name(part.where))]
    if part.span != (None, 0):
        conditions.append(nw.col(_window_name(part.span)))
    return nw.when(*conditions).then(chosen) if conditions else chosen


def _operation(name: str, part: Primitive) -> nw.Expr:
    match part.operation:
        case "count":
            chosen = _chosen(part, None)
            return nw.len() if part.where is None and part.span == (None, 0) else chosen.sum()
        case "sum":
            return _chosen(part, part.value).sum()
        case "min":
            return _chosen(part, part.value).min()
        case "max":
            return _chosen(part, part.value).max()
        case "latest":
            return nw.when(nw.col(f"key_{name}") == nw.col(f"top_{name}")).then(part.value).max()
        case "distinct":
            value = _chosen(part, part.value)
            return value.n_unique() - value.is_null().cast(nw.Int64).max()


def finished(partial: Frame, group: FeatureGroup) -> Frame:
    """The features of a group from its partial results: `customer_id`, `as_of_us`, then one column per feature."""
    keys = (nw.col(group.by).alias("customer_id"), nw.col("as_of_us"))
    return partial.select(*keys, *(_feature(member) for member in group.members))


def _feature(declared: Feature) -> nw.Expr:
    if declared.aggregate is None:
        raise AssertionError(f"{declared} is not an aggregate")
    value = _value(declared.aggregate, is_text=declared.is_category)
    return (value.cast(nw.String) if declared.is_category else value).alias(declared.name)


def _value(tree: Aggregate, *, is_text: bool = False) -> nw.Expr:
    """The tree of a feature as an expression over its partial results."""
    if tree.primitive:
        part = nw.col(part_name(tree.primitive))
        if is_text:
            return part
        number = part.cast(nw.Float64)
        return number.fill_null(0.0) if tree.primitive.operation in COUNTED else number
    if tree.operation == "number":
        return nw.lit(tree.number, nw.Float64)
    if tree.operation == "as_of":
        return nw.col("as_of_us").cast(nw.Float64)
    first, second = tree.parts[0], tree.parts[-1]
    if tree.operation == "/" and second.operation == "number":
        return _over_constant(_value(first), second.number)
    return _arithmetic(tree.operation, _value(first), _value(second))


def _over_constant(value: nw.Expr, divisor: float | None) -> nw.Expr:
    """Divide by a constant that does not look like one: Polars would multiply by its rounded inverse."""
    return value / (value * 0.0 + divisor)


def _arithmetic(operation: str, first: nw.Expr, second: nw.Expr) -> nw.Expr:
    match operation:
        case "+":
            return first + second
        case "-":
            return first - second
        case "*":
            return first * second
        case "/":
            return nw.when(second != 0).then(first / second)
        case ">":
            return (first > second).cast(nw.Int64).cast(nw.Float64)
        case "sqrt":
            return nw.when(first > 0).then(first).otherwise(nw.when(first <= 0).then(nw.lit(0.0))).sqrt()
        case "growth":
            unknown = nw.lit(math.nan, nw.Float64)  # no null: that would be filled as where there are no rows
            ratio = ((first + 1.0) / (second + 1.0)).log()
            return nw.when((first < 0) | (second < 0)).then(unknown).otherwise(ratio)
    raise AssertionError(operation)


def empty_value(declared: Feature) -> float | None:
    """What the feature gives a customer without any row in a table that is there."""
    value = _empty(declared.aggregate) if declared.aggregate and not declared.is_category else None
    return declared.empty if value is None else value


def _empty(tree: Aggregate) -> float | None:
    if tree.primitive:
        return 0.0 if tree.primitive.operation in COUNTED else None
    if tree.operation in {"number", "as_of"}:
        return tree.number
    first, second = _empty(tree.parts[0]), _empty(tree.parts[-1])
    if first is None or second is None or (tree.operation == "/" and second == 0):
        return None
    return _EMPTY[tree.operation](first, second)


_EMPTY: Mapping[str, Callable[[float, float], float]] = {
    "+": lambda first, second: first + second,
    "-": lambda first, second: first - second,
    "*": lambda first, second: first * second,
    "/": lambda first, second: first / second,
    ">": lambda first, second: float(first > second),
    "sqrt": lambda first, _: math.sqrt(max(first, 0.0)),
    "growth": lambda first, second: math.log((first + 1) / (second + 1)),
}
