"""Empirical-Bayes shrinkage: a small segment's value is drawn towards the company's, a large one's stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def shrunk(values: ArrayLike, n: ArrayLike, variances: ArrayLike) -> NDArray[np.float64]:
    """Shrink the means of segments towards their common mean.

    A segment's mean v over n observations becomes (n v + k m) / (n + k): m is the common mean, k the variance within
    segments over the variance between them, which is estimated by moments and may be 0: then all become m. NaN where a
    segment has no value. Source: one-way random effects by moments, as in Efron & Morris 1975, JASA 70:311-319, for
    unequal n; the between variance of Cochran 1954, Biometrics 10:101-129.

    Args:
        values: mean of each segment.
        n: observations of each segment.
        variances: variance of one observation in each segment.

    >>> shrunk([80.0, 20.0, 50.0], [4, 400, 4000], [1600.0, 1600.0, 2500.0]).round(1).tolist()
    [61.2, 20.4, 50.0]
    """
    value, size, variance = (np.asarray(given, dtype=np.float64) for given in (values, n, variances))
    known = np.isfinite(value) & (size > 0)
    result = np.full(value.shape, np.nan)
    if not known.any():
        return result
    value, size, variance = value[known], size[known], variance[known]
    whole = size.sum()
    centre = (size * value).sum() / whole
    within = (size * variance).sum() / whole
    room = whole - (size**2).sum() / whole
    spread = (size * (value - centre) ** 2).sum() - (len(size) - 1) * within
    between = max(spread / room, 0.0) if room > 0 else 0.0
    if between == 0:
        result[known] = centre if within > 0 else value
    else:
        result[known] = (size * value + within / between * centre) / (size + within / between)
    return result
