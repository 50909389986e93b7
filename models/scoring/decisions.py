"""Decisions of a tree's splits, as LightGBM takes them, for many rows at once.

Rows are float32 and thresholds are float64: a threshold is brought to the largest float32 that is not above it, which
decides every row alike and costs one comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Columns = np.ndarray[Any, np.dtype[np.float32]]
    Flags = np.ndarray[Any, np.dtype[np.bool_]]

IS_CATEGORY, DEFAULT_LEFT = 1, 2
"""Bits of LightGBM's `decision_type`; the two bits above them say what is missing: nothing, zero, or NaN."""
ZERO_IS_MISSING, NAN_IS_MISSING = 1, 2
NEARLY_ZERO = 1e-35
"""LightGBM's `kZeroThreshold`."""


@dataclass(frozen=True)
class Split:
    """One split: which values of its feature go left."""

    feature: int
    threshold: np.float32
    is_missing_left: bool
    """Whether NaN goes left."""
    is_zero_missing: bool = False
    members: Flags | None = None
    """Categories that go left, where it is a split by category."""

    def goes_left(self, columns: Columns) -> Flags:
        """Which rows go left; `columns` holds the features by rows."""
        values = columns[self.feature]
        if self.members is not None:
            return _in_set(self.members, values)
        is_left: Flags = ~(values > self.threshold) if self.is_missing_left else values <= self.threshold
        if self.is_zero_missing:
            is_left = np.where(np.abs(values) <= NEARLY_ZERO, self.is_missing_left, is_left)
        return is_left


def _in_set(members: Flags, values: Columns) -> Flags:
    """Whether a category is a member; what is missing, or beyond, is in no set."""
    whole = np.trunc(values)
    is_known = (whole >= 0) & (whole < len(members))
    is_member: Flags = is_known & members[np.where(is_known, whole, 0).astype(np.intp)]
    return is_member


def decisions(tree: Mapping[str, Sequence[Any]]) -> list[Split]:
    """The decisions of all splits of a tree, by node."""
    return [_decision(tree, node) for node in range(len(tree["split_feature"]))]


def _decision(tree: Mapping[str, Sequence[Any]], node: int) -> Split:
    feature, kind, threshold = tree["split_feature"][node], int(tree["decision_type"][node]), tree["threshold"][node]
    if kind & IS_CATEGORY:
        start, end = tree["cat_boundaries"][int(threshold) : int(threshold) + 2]
        words = np.array(tree["cat_threshold"][start:end], dtype=np.int64)
        members = (words[:, None] >> np.arange(32) & 1).astype(bool).ravel()
        return Split(feature, np.float32(0), is_missing_left=False, members=members)
    missing_as, is_default_left = kind >> 2 & 3, bool(kind & DEFAULT_LEFT)
    is_left = is_default_left if missing_as else threshold >= 0  # where nothing is missing, NaN is taken for zero
    return Split(feature, _at_most(threshold), is_left, missing_as == ZERO_IS_MISSING)


def _at_most(threshold: float) -> np.float32:
    """The largest float32 that is not above a number."""
    with np.errstate(over="ignore"):
        near = np.float32(threshold)
    return near if float(near) <= threshold else np.nextafter(near, np.float32(-np.inf))
