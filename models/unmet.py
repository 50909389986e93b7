"""Unmet categories: values of a week that a model has never met, or no longer meets.

The population stability index hides them. A model reads a category that training did not know as missing, and a column
that lost its values as if nobody had any: it answers all the same. Each is told by the share of the rows that it
concerns, with the values by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from vouch.models.quality.drift import SCORE, counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vouch.features.asof import Frame
    from vouch.models.quality.drift import Histogram

SHOWN_VALUES = 5
ALIKE = 0.01
"""Probabilities this near to the middle one, as a share of it, are told apart by nobody."""


def unmet(histograms: Sequence[Histogram], frame: Frame) -> list[dict[str, Any]]:
    """Columns with categories that the model has never met: the share of the rows, and the commonest values.

    What the newest rows of training had that the model read as missing, too, is taken off: it is used to that.
    """
    missing = []
    for of in histograms:
        if of.categories is None or not of.rows:
            continue
        values = frame.group_by(of.name).agg(nw.len().alias("rows")).collect("pyarrow").to_native().to_pylist()
        rows = sum(row["rows"] for row in values)
        nothing = sum(row["rows"] for row in values if row[of.name] is None)
        strange = {row[of.name]: row["rows"] for row in values if row[of.name] not in {None, *of.categories}}
        count = sum(strange.values())
        share = min((count + nothing) / rows - of.counts[-1] / of.rows, count / rows) if rows else 0.0
        if share > 0:
            commonest = sorted(strange, key=lambda value: (-strange[value], value))[:SHOWN_VALUES]
            missing.append({"name": of.name, "share": round(share, 6), "values": commonest})
    return sorted(missing, key=lambda one: (-one["share"], one["name"]))


def gone(histograms: Sequence[Histogram], frame: Frame) -> list[dict[str, Any]]:
    """Columns that are the same for everybody now, or known of nobody, and were not: the share of rows that changed."""
    features = [of for of in histograms if of.name != SCORE]
    ends = [end for of in features for end in _ends(of.name)]
    (row,) = frame.select(nw.len().alias("rows"), *ends).collect("pyarrow").to_native().to_pylist()
    now, lost = counted(frame, features), []
    for of in features:
        least, most = row[f"least {of.name}"], row[f"most {of.name}"]
        before, here = (np.array(counts, np.float64) for counts in (of.counts, now[of.name]))
        if not before.sum() or not here.sum() or least != most or (least is not None and here[-1]):
            continue
        share = 1 - before[np.argmax(here)] / before.sum()
        if share > 0:
            lost.append({"name": of.name, "share": round(float(share), 6), "value": least})
    return sorted(lost, key=lambda one: (-one["share"], one["name"]))


def _ends(name: str) -> list[nw.Expr]:
    return [nw.col(name).min().alias(f"least {name}"), nw.col(name).max().alias(f"most {name}")]


def alike(frame: Frame) -> float:
    """Share of the rows whose probability is that of the middle one, or nearly so.

    0 where there are no rows.
    """
    values = frame.select(SCORE).collect("pyarrow").to_native()[SCORE].to_numpy()
    if not len(values):
        return 0.0
    middle = np.quantile(values, 0.5, method="lower")
    return float(np.mean(np.abs(values - middle) <= ALIKE * middle))
