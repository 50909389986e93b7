"""Reliability of an index: whether its parts belong together, and whether it tells something of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vouch.features.statistics.intervals import Interval, Z

if TYPE_CHECKING:
    from vouch.features.statistics.intervals import Floats


def cronbach_alpha(parts: Floats) -> float | None:
    """Reliability of the sum of parts (n, k), of rows without a gap. Source: Cronbach 1951, Psychometrika 16:297-334.

    >>> cronbach_alpha(np.array([[2.0, 3.0], [4.0, 4.0], [3.0, 5.0], [5.0, 6.0]]))
    0.8888888888888888
    """
    whole = parts[~np.isnan(parts).any(axis=1)]
    count = parts.shape[1]
    if len(whole) < 2 or count < 2:
        return None
    total = whole.sum(axis=1).var(ddof=1)
    return None if total == 0 else float(count / (count - 1) * (1 - whole.var(axis=0, ddof=1).sum() / total))


def correlation(one: Floats, other: Floats) -> tuple[float | None, int, Interval]:
    """Pearson's r over rows that have both, their number, and Fisher's interval. Source: Fisher 1921, Metron 1:3-32."""
    both = ~np.isnan(one) & ~np.isnan(other)
    n = int(np.count_nonzero(both))
    nothing = Interval(np.asarray(np.nan), np.asarray(np.nan), "fisher_z")
    if n < 3 or one[both].std() == 0 or other[both].std() == 0:
        return None, n, nothing
    r = float(np.corrcoef(one[both], other[both])[0, 1])
    if n < 4 or abs(r) >= 1:
        return r, n, nothing
    half = Z / np.sqrt(n - 3)
    ends = [np.asarray(np.tanh(np.arctanh(r) + side * half)) for side in (-1, 1)]
    return r, n, Interval(ends[0], ends[1], "fisher_z")
