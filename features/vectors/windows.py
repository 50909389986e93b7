"""Lookback windows over rows in order of customer and time: each column is added up once, between all edges.

All windows at one instant share their edges. Rows of one customer between two edges follow one another, so that one
pass per column gives what lies between edges, and a window is a few of these together. Whole numbers only, for these
add up exactly in any order; what is no whole number is left to the general path.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.vectors.aggregates import EVER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.features.vectors.aggregates import Primitive, Window

Whole = np.ndarray[Any, np.dtype[np.int64]]
_JOINS = {"sum": np.add, "count": np.add, "min": np.minimum, "max": np.maximum}
_NOTHING = {"sum": 0, "count": 0, "min": np.iinfo(np.int64).max, "max": np.iinfo(np.int64).min}
"""What an operation gives for no rows; of an extreme it is null then."""


@dataclass(frozen=True)
class _Cells:
    """Rows before an instant: how long before, and the place of their customer among all."""

    places: Whole
    own_us: Whole
    as_of_us: int
    customers: int

    def runs(self, windows: frozenset[Window]) -> _Runs:
        """The rows that some of the windows may hold, parted at the edges of these."""
        fars = [far for far, _ in windows]
        lowest = None if None in fars else max(far for far in fars if far is not None)
        inner = sorted({-end for window in windows for end in window if end not in {None, 0, lowest}})
        edges = self.as_of_us + np.array(inner, dtype=np.int64) * DAY_US
        rows = None if lowest is None else np.flatnonzero(self.own_us >= self.as_of_us - lowest * DAY_US)
        places = self.places if rows is None else self.places[rows]
        between = np.searchsorted(edges, self.own_us if rows is None else self.own_us[rows], side="right")
        is_start = np.ones(len(places), dtype=bool)
        is_start[1:] = (places[1:] != places[:-1]) | (between[1:] != between[:-1])
        starts = np.flatnonzero(is_start)
        return _Runs(rows, starts, places[starts], between[starts], self.customers, lowest, inner)


@dataclass(frozen=True)
class _Runs:
    """Rows of one customer between two edges, one run after another: where each begins, whose it is, between which."""

    rows: Whole | None
    starts: Whole
    places: Whole
    between: Whole
    customers: int
    lowest: int | None
    inner: Sequence[int]

    def joined(self, operation: str, values: Whole) -> Whole:
        """What an operation gives between all edges, by customer."""
        runs = np.full((len(self.inner) + 1, self.customers), _NOTHING[operation])
        if len(self.starts):
            chosen = values if self.rows is None else values[self.rows]
            runs[self.between, self.places] = _JOINS[operation].reduceat(chosen, self.starts)
        return runs

    def windowed(self, operation: str, joined: Whole, window: Window) -> Whole:
        """What an operation gives in one window, by customer."""
        far, near = window
        first = 0 if far == self.lowest or far is None else self.inner.index(-far) + 1
        last = self.inner.index(-near) + 1 if near else len(self.inner) + 1
        values: Whole = _JOINS[operation].reduce(joined[first:last], axis=0)
        return values


def in_windows(
    cells: nw.DataFrame[Any], by: str, parts: Mapping[str, Primitive], as_of_us: int
) -> tuple[nw.DataFrame[Any], dict[str, Primitive]]:
    """Return the parts that are whole numbers, one row per value of `by`, and the parts that are left.

    `cells` lie before the instant, in the order of `by` (an integer) and of `own_us`.
    """
    alike: dict[str, dict[str, Primitive]] = {}
    for name, part in parts.items():
        if part.operation in _JOINS:
            alike.setdefault(str(replace(part, window=EVER)), {})[name] = part
    frame = cells.select(by, "own_us", **{base: _value(next(iter(of.values()))) for base, of in alike.items()})
    numbers = frame[by].to_numpy()
    is_new = np.ones(len(numbers), dtype=bool)
    is_new[1:] = numbers[1:] != numbers[:-1]
    ordered = _Cells(np.cumsum(is_new) - 1, frame["own_us"].to_numpy(), as_of_us, int(is_new.sum()))
    columns: dict[str, Whole] = {by: numbers[is_new]}
    runs: dict[frozenset[Window], _Runs] = {}
    for base, of in alike.items():
        if frame.schema[base].is_integer():
            windows, operation = frozenset(part.span for part in of.values()), next(iter(of.values())).operation
            runs[windows] = run = runs.get(windows) or ordered.runs(windows)
            filled = frame[base].fill_null(_NOTHING[operation]).cast(nw.Int64).to_numpy()
            joined = run.joined(operation, filled)
            columns |= {name: run.windowed(operation, joined, part.span) for name, part in of.items()}
    given = nw.from_dict(columns, backend="polars").with_columns(
        nw.when(nw.col(name) != _NOTHING[parts[name].operation]).then(nw.col(name)).alias(name)
        for name in columns
        if name != by and parts[name].operation in {"min", "max"}
    )
    return given, {name: part for name, part in parts.items() if name not in columns}


def _value(part: Primitive) -> nw.Expr:
    value = nw.lit(1, nw.Int64) if part.value is None else part.value
    return value if part.where is None else nw.when(part.where).then(value)
