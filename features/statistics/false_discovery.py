"""False discovery rate of many tests at once: Benjamini & Hochberg, JRSS B 57 (1995) 289-300."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import false_discovery_control

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def adjusted(p: ArrayLike) -> NDArray[np.float64]:
    """The least false discovery rate at which each test stands (its q); NaN where there is no p, which counts for none.

    >>> adjusted([0.01, 0.04, 0.03, 0.5]).round(4).tolist()
    [0.04, 0.0533, 0.0533, 0.5]
    """
    given = np.asarray(p, dtype=np.float64)
    q_values = np.full(given.shape, np.nan)
    is_known = ~np.isnan(given)
    q_values[is_known] = false_discovery_control(given[is_known])
    return q_values


def discoveries(p: ArrayLike, share: float) -> int:
    """How many stand at a false discovery rate.

    >>> discoveries([0.001, 0.02, 0.04, 0.5], 0.05)
    2
    """
    return int(np.count_nonzero(adjusted(p) <= share))
