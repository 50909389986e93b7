"""The choice of what to ask for: of the acts that a customer could do, the one with the highest expected value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from vouch.features.contract.tables import DAY_US

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.serving.asking.rules.policy import ActKind, Policy

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Places = np.ndarray[Any, np.dtype[np.int64]]


def flattened(lists: pd.Series[Any]) -> tuple[Places, pa.Array]:
    """Return the entries of a column of lists, and the row of each.

    >>> rows, values = flattened(pd.Series([["a"], None, ["b", "c"]]))
    >>> rows.tolist(), values.to_pylist()
    ([0, 2, 2], ['a', 'b', 'c'])
    """
    is_arrow = isinstance(lists.dtype, pd.ArrowDtype)
    held = pa.array(lists.array) if is_arrow else pa.array(lists.tolist(), from_pandas=True)
    whole = held.combine_chunks() if isinstance(held, pa.ChunkedArray) else held
    if pa.types.is_null(whole.type):
        return np.empty(0, dtype=np.int64), pa.array([], pa.null())
    return pa.compute.list_parent_indices(whole).to_numpy(), pa.compute.list_flatten(whole)


def what_to_ask(customers: pd.DataFrame, policy: Policy, as_of_us: int | None) -> tuple[pd.Series[Any], Numbers]:
    """Return the kind of act to ask each customer for, null where there is none, and its worth times its share."""
    names = [name for name, kind in policy.kinds.items() if kind.value > 0]
    counts, latest_us = _acts(customers, names)
    expected = shares(counts, policy.value.own_acts)
    for place, name in enumerate(names):
        kind = policy.kinds[name]
        could = could_do(customers, kind)
        if as_of_us is not None and kind.rest_days:
            could &= ~(latest_us[:, place] > as_of_us - kind.rest_days * DAY_US)
        expected[:, place] *= np.where(could, kind.value, 0.0)
    if not names or not len(customers):
        return pd.Series([None] * len(customers), index=customers.index, dtype=object), np.zeros(len(customers))
    best = expected.argmax(axis=1)
    worth = expected[np.arange(len(expected)), best]
    kinds = np.where(worth > 0, np.asarray(names, dtype=object)[best], None)
    return pd.Series(kinds, index=customers.index, dtype=object), worth


def shares(counts: Numbers, own_acts: float) -> Numbers:
    """Return each kind's share of each customer's acts, shrunk to the mix of all: equal where nobody has done any."""
    total = counts.sum()
    mix = counts.sum(axis=0) / total if total else np.full(counts.shape[1], 1 / max(counts.shape[1], 1))
    shrunk: Numbers = (counts + own_acts * mix) / (counts.sum(axis=1, keepdims=True) + own_acts)
    return shrunk


def could_do(customers: pd.DataFrame, kind: ActKind) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether each customer could do an act of a kind; what is asked for and not known counts as not met."""
    could = np.ones(len(customers), dtype=bool)
    for name, least in (("tenure_days", kind.minimum_tenure_days), ("nps_last", kind.minimum_nps)):
        if least and name in customers:
            could &= (customers[name].astype("float64") >= least).to_numpy()
    if kind.tiers is not None:
        could &= customers["advocate_tier"].isin(list(kind.tiers)).to_numpy()
    return could


def _acts(customers: pd.DataFrame, names: list[str]) -> tuple[Numbers, Numbers]:
    """How many organic acts of each kind, and when the latest was, by customer."""
    counts = np.zeros((len(customers), len(names)))
    latest = np.full((len(customers), len(names)), -np.inf)
    if "acts" not in customers:
        return counts, latest
    rows, acts = flattened(customers["acts"])
    if not len(rows):
        return counts, latest
    of_name: Mapping[str, int] = {name: place for place, name in enumerate(names)}
    kind, number, last_us = (acts.field(name) for name in ("kind", "n", "last_us"))
    places = np.asarray([of_name.get(name, -1) for name in kind.to_pylist()], dtype=np.int64)
    known = places >= 0
    counts[rows[known], places[known]] = number.to_numpy()[known]
    latest[rows[known], places[known]] = last_us.to_numpy()[known]
    return counts, latest
