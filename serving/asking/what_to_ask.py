"""The choice of what to ask for: of the acts that a customer could do, the one with the highest expected value.

Which acts these are is chosen by whoever searches; where nobody has, all that are ranked. A kind that is published by
others (a review) is drawn and never proposed by rank: see `kind_lists`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vouch.features.contract.tables import DAY_US
from vouch.serving.asking.gains import BASES, flattened, gains

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.serving.asking.rules.policy import ActKind, Policy

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Places = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Chosen:
    """What to ask each customer for, one entry per customer."""

    kind: pd.Series[Any]
    """Null where there is none."""
    worth: Numbers
    """What the act is worth times its share of the customer's acts."""
    gain: Numbers
    """What asking is expected to bring: acts times what one is worth; NaN where that is not known."""
    basis: pd.Series[Any]
    """By what the gain is known, one of `BASES`."""
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
    unasked = customers["advocacy_probability"].to_numpy(dtype=np.float64)
    acts, basis = gains(customers, names, expected * unasked[:, None])
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
        acts[:, place] *= kind.value
    if not names or not len(customers):
        nothing = pd.Series([None] * len(customers), index=customers.index, dtype=object)
        nought = np.zeros(len(customers))
        return Chosen(nothing, nought, nought, nothing.fillna(BASES[0]), ~meets, meets)
    best = _best(np.where(basis > 0, acts, expected), basis, may)
    each, is_any = np.arange(len(expected)), np.asarray(may.any(axis=1), dtype=bool)
    worth = np.where(is_any, expected[each, best], 0.0)
    gain = np.where(is_any, acts[each, best], unasked * 0.0)
    ranked_by = pd.Series(np.asarray(BASES, dtype=object)[basis[each, best]], index=customers.index, dtype=object)
    chosen = np.asarray(names, dtype=object)[best]
    chosen[~is_any] = None
    kind_of = pd.Series(chosen, index=customers.index, dtype=object)
    return Chosen(kind_of, worth, gain, ranked_by, ~meets, meets & ~is_any)


def _best(expected: Numbers, basis: np.ndarray[Any, np.dtype[np.int8]], may: Flags) -> Places:
    """Of the kinds that may be asked for the best of those that most is known of: gains of two bases do not compare."""
    known = np.where(may, basis, -1)
    is_first = may & (known == known.max(axis=1, keepdims=True))
    return np.asarray(np.where(is_first, expected, -np.inf).argmax(axis=1), dtype=np.int64)


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
