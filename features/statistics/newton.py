"""Newton's method with a bound on its steps: where a smooth likelihood of few numbers is greatest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

Numbers = np.ndarray[Any, np.dtype[np.float64]]
STEPS = 50
_TINY = 1e-12


@dataclass(frozen=True)
class Maximum:
    """Where Newton's method ended (n,), the curvature there (n, n), and whether it stands still."""

    at: Numbers
    curvature: Numbers
    has_converged: bool


def maximum(
    look: Callable[[Numbers], tuple[Numbers, Numbers] | None],
    start: Numbers,
    *,
    farthest: float = 2.0,
    near: float = 1e-10,
) -> Maximum:
    """Climb from `start` until no number moves by `near`; `look` gives slope and curvature, None where there is no end.

    No number moves by more than `farthest` at once, so that a step from far away does not lose its way.

    >>> maximum(lambda at: (2.0 - at, np.eye(1)), np.array([9.0])).at.tolist()
    [2.0]
    """
    fit, curvature = start, np.full((len(start), len(start)), np.nan)
    for _ in range(STEPS):
        seen = look(fit)
        if seen is None:
            break
        slope, curvature = seen
        step = np.linalg.solve(curvature, slope)
        fit = fit + step * min(1.0, farthest / float(np.abs(step).max() + _TINY))
        if np.abs(step).max() < near:
            return Maximum(fit, curvature, True)
    return Maximum(fit, curvature, False)
