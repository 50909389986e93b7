"""The one builder of point-in-time vectors: a row per external customer known at an instant, a column per feature.

Training calls it with many instants, the weekly batch with one, a request with its own rows; so that training and
serving cannot drift apart. Everything stays lazy and in the engine until it is collected.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.asof import Frame, Tables, views
from vouch.features.contract.tables import TABLES
from vouch.features.expressions import as_text
from vouch.features.facts.customers import profiled_customers
from vouch.features.facts.rows import rows_that_count, rule
from vouch.features.sentiment.learned import SENTIMENT_VERSION
from vouch.features.vectors.customer_days import divided
from vouch.features.vectors.declare import COLUMNS, Feature, derivation_rounds, load_families
from vouch.features.vectors.group_by import FeatureGroup, aggregated, empty_value, finished, narrowed
from vouch.features.vectors.lines import use_own_features

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import pandas as pd
    import pyarrow as pa

KEYS = ("customer_id", "as_of_us")
ROWS_AT_ONCE = 120_000
"""Vectors of several instants that are computed together: about 0.5 GB of partial results."""


def feature_names() -> list[str]:
    """Names of all features, in the order of the vector."""
    return list(load_families())


def feature_definition_lines() -> list[str]:
    """One line of text per feature: what it computes. The reviewed form of all definitions."""
    features = load_families()
    rules = [f"{table} | {text}" for table in sorted(TABLES) if (text := rule(table))]
    columns = [column for table in sorted(COLUMNS) for column in COLUMNS[table].values()]
    lines = [*rules, *(f"{column.table}.{column.name} | {as_text(column.expression)}" for column in columns)]
    return [f"sentiment | {SENTIMENT_VERSION}", *lines, *(declared.definition for declared in features.values())]


def describe() -> list[dict[str, str | int | bool | None]]:
    """The dictionary of features: one row each, in the order of the vector.

    Columns `name`, `family`, `unit`, `table` (`vector` where derived from other features), `window_days` (null for the
    whole life), `description`, `definition`, `is_category`, `is_sensitive`.
    """
    return [
        {
            "name": declared.name,
            "family": declared.family,
            "unit": declared.unit,
            "table": declared.table or "vector",
            "window_days": declared.window_days,
            "description": declared.description,
            "definition": declared.definition,
            "is_category": declared.is_category,
            "is_sensitive": declared.is_sensitive,
        }
        for declared in load_families().values()
    ]


def vectors(tables: Tables, as_of_us: int) -> Frame:
    """Return the vectors of the external customers known at an instant, of none who objects to being profiled.

    Columns `customer_id` (string), `as_of_us` (int64), then one per feature in the order of the register: float64, or
    string for a category. A feature whose table or column the company does not have is null throughout.
    """
    return next(vectors_at(tables, [as_of_us]))


def vectors_at(tables: Tables, instants: Sequence[int]) -> Iterator[Frame]:
    """Give the vectors of several instants, in their order: the same as one at a time, in less time.

    Customer-days are rolled up once for all instants, and instants share one pass over the other tables as long as
    that takes no more than `ROWS_AT_ONCE` vectors. While the caller is busy with one instant, the engine is with the
    next: until the last has come, nobody else may ask anything of `tables`.
    """
    batches = _vectors_at(tables, instants)
    return batches if len(instants) == 1 else _one_ahead(batches)


def _vectors_at(tables: Tables, instants: Sequence[int]) -> Iterator[Frame]:
    features = _features_of(tables)
    rollups, groups = divided(tables, fed_groups(tables), instants)
    people = [_settled(profiled_customers(tables, instant).select(*KEYS)) for instant in instants]
    whole = [*(rollup.group for rollup in rollups), *groups]
    for start, stop in _chunks([_length(of) for of in people]):
        chunk = instants[start:stop]
        partials = [(group, _partial(tables, group, chunk)) for group in groups]
        for instant, frame in zip(chunk, people[start:stop], strict=True):
            for group, partial in partials:
                rows = partial.filter(nw.col("as_of_us") == instant) if len(chunk) > 1 else partial
                frame = frame.join(finished(rows, group), on=list(KEYS), how="left")
            for rollup in rollups:
                rows = finished(rollup.partial(instant), rollup.group)
                frame = frame.join(rows, on=list(KEYS), how="left")
            yield _completed(frame, whole, features)


def _one_ahead(frames: Iterator[Frame]) -> Iterator[Frame]:
    """The same frames, the next one being made by another thread while the caller is busy with one."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(next, frames, None)
        while (ready := coming.result()) is not None:
            coming = thread.submit(next, frames, None)
            yield ready


def narrow_vectors(tables: Tables, as_of_us: int, names: Collection[str]) -> Frame:
    """Return some features of all profiled customers at an instant: what they rest on is computed, and nothing else."""
    features, wanted = _features_of(tables), set(names)
    while more := {source for name in wanted for source in features[name].sources} - wanted:
        wanted |= more
    groups = [
        FeatureGroup(group.table, group.by, members)
        for group in fed_groups(tables)
        if (members := tuple(member for member in group.members if member.name in wanted))
    ]
    frame = _settled(profiled_customers(tables, as_of_us).select(*KEYS))
    for group in groups:
        frame = frame.join(finished(_partial(tables, group, [as_of_us]), group), on=list(KEYS), how="left")
    return _completed(frame, groups, features).select(*KEYS, *names)


def _partial(tables: Tables, group: FeatureGroup, instants: Sequence[int]) -> Frame:
    rows = views(tables, group.table, instants, group.farthest_days)
    rows = narrowed(rows_that_count(tables, group.table, instants, rows), group, "as_of_us")
    return _settled(aggregated(rows, group.parts, group.by, "as_of_us"))


def _chunks(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Runs of instants whose vectors are not more than `ROWS_AT_ONCE`, or single instants."""
    start = 0
    for stop in range(1, len(lengths) + 1):
        if stop == len(lengths) or sum(lengths[start : stop + 1]) > ROWS_AT_ONCE:
            yield start, stop
            start = stop


def _length(frame: Frame) -> int:
    return int(frame.select(nw.len()).collect().item())


def _settled(frame: Frame) -> Frame:
    """Run what DuckDB or Spark has to do with one table, and go on with Polars.

    One row per customer is left by then, of integers, decimals and texts. To plan one query over all tables costs
    seconds on DuckDB and a minute on Spark, and floats come out the same bit by bit when one library computes them.
    """
    return frame if frame.implementation.is_polars() else frame.collect("polars").lazy()


def fed_groups(tables: Tables) -> list[FeatureGroup]:
    """The features that the company's tables feed, by table and column of the customer."""
    members: dict[tuple[str, str], list[Feature]] = {}
    for declared in _features_of(tables).values():
        if declared.table and tables.has(declared.table, *declared.needs):
            members.setdefault((declared.table, declared.by), []).append(declared)
    return [FeatureGroup(table, by, tuple(of)) for (table, by), of in members.items()]


def _features_of(tables: Tables) -> Mapping[str, Feature]:
    """The register with the features of this company's own columns: another one may be opened before the last vector.

    Rows of a request leave the register as it is.
    """
    use_own_features(tables)
    return load_families()


def _completed(frame: Frame, groups: Sequence[FeatureGroup], features: Mapping[str, Feature]) -> Frame:
    """Fill in what customers without rows get, what is absent, and the derived features."""
    fed = {member.name for group in groups for member in group.members}
    frame = frame.select(*KEYS, *(_filled(declared, fed) for declared in features.values() if declared.table))
    for level in derivation_rounds():
        frame = frame.with_columns(*(_derived(declared) for declared in level))
    return frame.select(*KEYS, *features)


def _filled(declared: Feature, fed: set[str]) -> nw.Expr:
    if declared.name not in fed:
        return nw.lit(None, nw.String if declared.is_category else nw.Float64).alias(declared.name)
    empty = empty_value(declared)
    column = nw.col(declared.name)
    return column if empty is None else column.fill_null(empty)


def _derived(declared: Feature) -> nw.Expr:
    assert declared.expression is not None
    value = declared.expression.cast(nw.Float64)
    return (value if declared.empty is None else value.fill_null(declared.empty)).alias(declared.name)


def panel(tables: Tables, instants: Sequence[int]) -> pd.DataFrame:
    """Vectors for several instants under one another, as pandas."""
    import pandas as pd

    return pd.concat([collect(frame) for frame in vectors_at(tables, instants)], ignore_index=True)


def collect(frame: Frame) -> pd.DataFrame:
    """Run a lazy frame and return it as pandas, ordered by customer."""
    table: pa.Table = frame.collect("pyarrow").to_native()
    ordered: pd.DataFrame = table.sort_by("customer_id").to_pandas()
    return ordered
