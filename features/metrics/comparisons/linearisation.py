"""Linearisation of metrics: how much each unit moves a figure.

Changes and segments are tested from this linear form. A figure t of n units is linearised: t is about its true value
plus the sum of the influences of its units, which sum to 0 and whose squares sum to the variance. Influences of one
customer are added up before they are squared, and where a customer is in both of two periods, the two are set off
against each other: the test of the difference is paired as far as the same customers are there. For shares and net
scores without a common customer this is the textbook z = (t2 - t1) / sqrt(v1 + v2). Source: Deville 1999, Survey
Methodology 25(2):193-203 (linearisation by influence).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vouch.features.metrics.estimators import (
    Custom,
    Figure,
    Mean,
    Median,
    Proportion,
    Quotient,
    Rate,
    Ratio,
    Total,
    Trinomial,
)

if TYPE_CHECKING:
    from vouch.features.metrics.estimators import Floats, Kind, Parts


@dataclass(frozen=True)
class Linear:
    """One figure in its linear form: a value, each unit's influence on it, and what adds up over segments.

    Where the figure is a sum of `top` over a sum of `bottom`, times `scale`, both are there per unit; where it is a
    plain sum, `bottom` is None; where it is neither, `top` is None.
    """

    value: float
    influence: Floats
    top: Floats | None = None
    bottom: Floats | None = None
    scale: float = 1.0


def linear(kind: Kind, parts: Parts) -> Linear | None:
    """The linear form of a figure; None without a value, or where the kind has none (medians, known figures)."""
    if isinstance(kind, Total):
        amount = np.nan_to_num(parts["amount"])
        return Linear(float(amount.sum()), amount, amount)
    if isinstance(kind, Figure):
        return _of_means(kind, parts)
    quotient = _quotient(kind, parts)
    if quotient is None:
        return None
    top, bottom, scale = quotient
    below = float(bottom.sum())
    if below == 0:
        return None
    share = float(top.sum()) / below
    influence = (top - share * bottom) / below
    if isinstance(kind, Proportion) and kind.through is not None:
        value, slope = 100 * kind.through(share), _slope(kind, share)
        return Linear(value, influence * 100 * slope)
    return Linear(scale * share, scale * influence, top, bottom, scale)


def _quotient(kind: Kind, parts: Parts) -> tuple[Floats, Floats, float] | None:
    """Numerator and denominator of each unit, 0 where a unit has none, and the scale."""
    if isinstance(kind, Proportion | Trinomial):
        names = kind.required
        base = parts.get("base", np.ones(len(parts[names[0]])))
        known = (base > 0) & ~np.isnan(np.column_stack([parts[name] for name in names])).any(axis=1)
        top = parts["hit"] if isinstance(kind, Proportion) else parts["up"] - parts["down"]
        return np.where(known, top, 0.0), np.where(known, base, 0.0), 100.0
    if isinstance(kind, Mean):
        known = ~np.isnan(parts["value"])
        return np.where(known, parts["value"], 0.0), known.astype(np.float64), kind.scale
    if isinstance(kind, Ratio):
        known = ~np.isnan(parts["top"]) & ~np.isnan(parts["bottom"])
        return np.where(known, parts["top"], 0.0), np.where(known, parts["bottom"], 0.0), kind.scale
    if isinstance(kind, Rate):
        return np.nan_to_num(parts["events"]), np.nan_to_num(parts["exposure"]), kind.per
    assert isinstance(kind, Median | Quotient | Custom), kind
    return None


def _slope(kind: Proportion, share: float, step: float = 1e-6) -> float:
    """Derivative of the map of a scaled share."""
    assert kind.through is not None
    low, high = max(share - step, 0.0), min(share + step, 1.0)
    return (kind.through(high) - kind.through(low)) / (high - low)


def _of_means(kind: Figure, parts: Parts) -> Linear | None:
    """A figure of means by the gradient of its statistic, taken numerically on both sides."""
    values = np.column_stack([np.nan_to_num(parts[name]) for name in kind.of])
    counted = parts["n"] > 0 if "n" in parts else (values != 0).any(axis=1)
    n = int(np.count_nonzero(counted))
    if n == 0:
        return None
    means = values[counted].mean(axis=0)
    steps = np.maximum(np.abs(means), 1e-3) * 1e-5
    shifted = np.vstack([means, means + np.diag(steps), means - np.diag(steps)])
    with np.errstate(divide="ignore", invalid="ignore"):
        figures = np.asarray(kind.statistic(shifted), dtype=np.float64)
    width = len(means)
    gradient = (figures[1 : 1 + width] - figures[1 + width :]) / (2 * steps)
    if not np.isfinite(figures[0]) or not np.isfinite(gradient).all():
        return None
    influence = np.where(counted, (values - means) @ gradient / n, 0.0)
    return Linear(float(figures[0]), influence)
