"""The only builder of vectors: one row per external customer known at an instant, one column per feature.

Training calls it with many instants, the weekly batch with one, a request with its own rows; so that training and
serving cannot drift apart. Everything stays lazy and in the engine until it is collected.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import narwhals as nw

from features.aggregates import COUNTED, Aggregate, Primitive
from features.asof import Frame, Tables, external_customers, view
from features.contract import DAY_US
from features.define import COLUMNS, Feature, load_families
from features.language import LEXICON_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

KEYS = ("customer_id", "as_of_us")


def feature_names() -> list[str]:
    """Names of all features, in the order of the vector."""
    return list(load_families())


def definition_lines() -> list[str]:
    """One line of text per feature: what it computes. The reviewed form of all definitions."""
    columns = [f"{c.table}.{c.name} | {c.expression!r}" for of in COLUMNS.values() for c in of.values()]
    return [f"lexicon | {LEXICON_VERSION}", *columns, *(declared.definition for declared in load_families().values())]


def definition_fingerprint() -> str:
    """SHA-256 of all definitions; moves with a window or a formula, not with wording."""
    features = load_families()
    lines = [*definition_lines(), f"order {list(features)}"]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def vectors(tables: Tables, as_of_us: int) -> Frame:
    """Return the vectors of all external customers known at an instant.

    Columns `customer_id` (string), `as_of_us` (int64), then one per feature in the order of the register: float64, or
    string for a category. A feature whose table or column the company does not have is null throughout.
    """
    features = load_families()
    groups: dict[tuple[str, str], list[Feature]] = {}
    for declared in features.values():
        if declared.table and _is_fed(tables, declared):
            groups.setdefault((declared.table, declared.by), []).append(declared)
    frame = external_customers(tables, as_of_us).select("customer_id", "as_of_us")
    for (table, by), members in groups.items():
        partial = _aggregated(view(tables, table, as_of_us), table, by, members, as_of_us)
        frame = frame.join(partial, on="customer_id", how="left")
    fed = [declared for members in groups.values() for declared in members]
    absent = [f for f in features.values() if f.table and not _is_fed(tables, f)]
    frame = frame.with_columns(*(_finished(f, as_of_us) for f in fed), *(_null(f) for f in absent))
    for level in _levels(features.values()):
        frame = frame.with_columns(*(_derived(declared) for declared in level))
    return frame.select(*KEYS, *features)


def _is_fed(tables: Tables, declared: Feature) -> bool:
    return declared.table is not None and tables.has(declared.table, *declared.needs)


def _null(declared: Feature) -> nw.Expr:
    return nw.lit(None, nw.String if declared.is_category else nw.Float64).alias(declared.name)


def _part(table: str, by: str, primitive: Primitive) -> str:
    """Name of the column that holds a partial result; equal parts of different features share it."""
    return "part_" + hashlib.sha256(f"{table} {by} {primitive}".encode()).hexdigest()[:16]


def _inside(primitive: Primitive, as_of_us: int) -> list[nw.Expr]:
    far, near = primitive.span
    conditions = [] if primitive.where is None else [primitive.where]
    if far is not None:
        conditions.append(nw.col("own_us") >= as_of_us - far * DAY_US)
    if near:
        conditions.append(nw.col("own_us") < as_of_us - near * DAY_US)
    return conditions


def _aggregated(rows: Frame, table: str, by: str, members: Sequence[Feature], as_of_us: int) -> Frame:
    """One row per customer with the partial results that the features of one table need."""
    parts = {_part(table, by, p): p for f in members if f.aggregate for p in f.aggregate.primitives()}
    rows = _with_columns(rows.filter(~nw.col(by).is_null()), table, by, {name for f in members for name in f.computed})
    latest = {name: p for name, p in parts.items() if p.operation == "latest"}
    keys = {name: _when(_inside(p, as_of_us), p.order).alias(f"key_{name}") for name, p in latest.items()}
    if keys:
        rows = rows.with_columns(*keys.values())
        rows = rows.with_columns(*(nw.col(f"key_{name}").max().over(by).alias(f"top_{name}") for name in keys))
    aggregates = [_operation(name, p, as_of_us).alias(name) for name, p in parts.items()]
    grouped = rows.group_by(by).agg(*aggregates)
    return grouped if by == "customer_id" else grouped.rename({by: "customer_id"})


def _with_columns(rows: Frame, table: str, by: str, wanted: set[str]) -> Frame:
    """Add the computed columns that are used, in the order of their declaration: one may use those before it."""
    if "day_gap" in wanted:
        before = nw.col("day").shift(1).over(by, order_by="own_us")
        rows = rows.with_columns((nw.col("day") - before).alias("day_gap"))
    for declared in COLUMNS.get(table, {}).values():
        if declared.name in wanted:
            rows = rows.with_columns(declared.expression.alias(declared.name))
    return rows


def _when(conditions: Iterable[nw.Expr], value: nw.Expr | None) -> nw.Expr:
    chosen = nw.lit(1, nw.Int64) if value is None else value
    listed = list(conditions)
    return nw.when(*listed).then(chosen) if listed else chosen


def _operation(name: str, primitive: Primitive, as_of_us: int) -> nw.Expr:
    inside = _inside(primitive, as_of_us)
    match primitive.operation:
        case "count":
            return _when(inside, None).sum() if inside else nw.len()
        case "sum":
            return _when(inside, primitive.value).sum()
        case "min":
            return _when(inside, primitive.value).min()
        case "max":
            return _when(inside, primitive.value).max()
        case "latest":
            return nw.when(nw.col(f"key_{name}") == nw.col(f"top_{name}")).then(primitive.value).max()
        case "distinct":
            value = _when(inside, primitive.value)
            return value.n_unique() - value.is_null().cast(nw.Int64).max()


def _finished(declared: Feature, as_of_us: int) -> nw.Expr:
    assert declared.aggregate is not None and declared.table is not None
    value = _value(declared.aggregate, declared, as_of_us)
    if declared.is_category:
        return value.cast(nw.String).alias(declared.name)
    if declared.empty is not None:
        value = value.fill_null(declared.empty)
    return value.alias(declared.name)


def _value(tree: Aggregate, declared: Feature, as_of_us: int) -> nw.Expr:
    """The tree of a feature as an expression over its partial results."""
    if tree.primitive:
        assert declared.table is not None
        part = nw.col(_part(declared.table, declared.by, tree.primitive))
        if declared.is_category:
            return part
        number = part.cast(nw.Float64)
        return number.fill_null(0.0) if tree.primitive.operation in COUNTED else number
    if tree.operation == "number":
        return nw.lit(tree.number, nw.Float64)
    if tree.operation == "as_of":
        return nw.lit(float(as_of_us), nw.Float64)
    return _arithmetic(tree.operation, [_value(part, declared, as_of_us) for part in tree.parts])


def _arithmetic(operation: str, parts: list[nw.Expr]) -> nw.Expr:
    first, second = parts[0], parts[-1]
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
            return ((first + 1.0) / (second + 1.0)).log()
    raise AssertionError(operation)


def _levels(features: Iterable[Feature]) -> list[list[Feature]]:
    """Derived features in rounds, so that each finds its sources."""
    waiting = [declared for declared in features if declared.expression is not None]
    done: set[str] = set()
    rounds = []
    while waiting:
        names = {declared.name for declared in waiting}
        ready = [declared for declared in waiting if not (declared.sources & names)]
        if not ready:
            raise AssertionError(f"derived features in a circle: {sorted(names)}")
        rounds.append(ready)
        done |= {declared.name for declared in ready}
        waiting = [declared for declared in waiting if declared.name not in done]
    return rounds


def _derived(declared: Feature) -> nw.Expr:
    assert declared.expression is not None
    value = declared.expression.cast(nw.Float64)
    return (value if declared.empty is None else value.fill_null(declared.empty)).alias(declared.name)


def panel(tables: Tables, instants: Sequence[int]) -> pd.DataFrame:
    """Vectors for several instants under one another, as pandas; one instant is computed at a time."""
    import pandas as pd

    return pd.concat([collect(vectors(tables, instant)) for instant in instants], ignore_index=True)


def collect(frame: Frame) -> pd.DataFrame:
    """Run a lazy frame and return it as pandas, ordered by customer."""
    import pyarrow as pa

    table: pa.Table = frame.collect("pyarrow").to_native()  # type: ignore[assignment]  # narwhals types the native frame as its own protocol
    return table.sort_by("customer_id").to_pandas()
