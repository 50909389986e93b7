"""The choice of what to ask for: of the acts that a customer could do, the one with the highest expected value.

Which acts these are is chosen by whoever searches; where nobody has, all that are ranked. A kind that is published by
others (a review) is drawn and never proposed by rank: see `kind_lists`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from vouch.features.contract.tables import DAY_US

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.serving.asking.rules.policy import ActKind, Policy

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Places = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


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


@dataclass(frozen=True)
class Chosen:
    """What to ask each customer for, one entry per customer."""

    kind: pd.Series[Any]
    """Null where there is none."""
    worth: Numbers
    """What the act is worth times its share of the customer's acts."""
    is_unmet: Flags
    """Whether the customer meets the conditions of none of the kinds."""
    rests: Flags
    """Whether the customer meets those of one and has done it too lately."""


def what_to_ask(
    customers: pd.DataFrame, policy: Policy, as_of_us: int | None, kinds: Sequence[str] | None = None
) -> Chosen:
    """Return the kind of act to ask each customer for, of those named; by default of all that are ranked."""
    names = [name for name, kind in policy.kinds.items() if kind.value > 0]
    wanted = policy.ranked_kinds if kinds is None else kinds
    counts, latest_us = _acts(customers, names)
    expected = shares(counts, policy.value.own_acts)
    may = np.zeros(expected.shape, dtype=bool)
    meets = np.zeros(len(customers), dtype=bool)
    for place, name in enumerate(names):
        if name not in wanted:
            continue
        kind = policy.kinds[name]
        could = could_do(customers, kind)
        meets |= could
        may[:, place] = could & ~_rests(latest_us[:, place], kind, as_of_us)
        expected[:, place] *= kind.value
    expected = np.where(may, expected, -1.0)
    if not names or not len(customers):
        nothing = pd.Series([None] * len(customers), index=customers.index, dtype=object)
        return Chosen(nothing, np.zeros(len(customers)), ~meets, meets)
    best = expected.argmax(axis=1)
    worth = np.maximum(expected[np.arange(len(expected)), best], 0.0)
    chosen = np.where(may.any(axis=1), np.asarray(names, dtype=object)[best], None)
    return Chosen(pd.Series(chosen, index=customers.index, dtype=object), worth, ~meets, meets & ~may.any(axis=1))


def _rests(latest_us: Numbers, kind: ActKind, as_of_us: int | None) -> Flags:
    """Who has done an act of a kind so lately that it rests."""
    if as_of_us is None or not kind.rest_days:
        return np.zeros(len(latest_us), dtype=bool)
    rests: Flags = latest_us > as_of_us - kind.rest_days * DAY_US
    return rests


def shares(counts: Numbers, own_acts: float) -> Numbers:
    """Return each kind's share of each customer's acts, shrunk to the mix of all: equal where nobody has done any.

    A kind that nobody has done yet has the share that Laplace's rule of succession gives it, so that those to be asked
    for it still have an order.
    """
    done, total, kinds = counts.sum(axis=0), counts.sum(), max(counts.shape[1], 1)
    mix = np.where(done > 0, done / max(total, 1.0), 1.0 / (total + kinds))
    shrunk: Numbers = (counts + own_acts * mix) / (counts.sum(axis=1, keepdims=True) + own_acts)
    return shrunk


def could_do(customers: pd.DataFrame, kind: ActKind) -> Flags:
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
