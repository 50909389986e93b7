"""The kinds of metric: how counts per unit become one value, its interval and its bounds.

A kind takes the parts of a metric for one segment as arrays, one number per unit, NaN where the unit has none; it knows
no table and no instant. Sums are over integers or exact decimals that were cast last, in the order of the units.
"""

from vouch.features.metrics.estimators.base import (
    ANY,
    FEW,
    NOT_BELOW_0,
    NOTHING,
    Estimate,
    Floats,
    Kind,
    Limits,
    Parts,
    finite,
)
from vouch.features.metrics.estimators.composed import Custom, Figure, Statistic
from vouch.features.metrics.estimators.counted import Mean, Median, Proportion, Quotient, Rate, Ratio, Total, Trinomial

__all__ = [
    "ANY", "FEW", "NOTHING", "NOT_BELOW_0", "Custom", "Estimate", "Figure", "Floats", "Kind", "Limits",
    "Mean", "Median", "Parts", "Proportion", "Quotient", "Rate", "Ratio", "Statistic", "Total", "Trinomial", "finite",
]  # fmt: skip
