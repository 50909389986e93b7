"""Slices of the test rows: how a model does on parts of the customers.

For the gate, for fairness, and for the card. Sensitive attributes (gender, year of birth) are reported on, whether they
are trained on or not; the gate looks at those by which a company plans: segment, region, tenure, language.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.statistics.few import FEWEST
from vouch.features.statistics.intervals import wilson
from vouch.features.vectors.declare import load_families
from vouch.models.quality.figures import roc_auc

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from vouch.models.scoring.trees import Numbers

GATED = ("segment", "region", "tenure", "language")
REPORTED = (*GATED, "gender", "birth_year")
BANDS: dict[str, tuple[str, tuple[float, ...]]] = {
    "tenure": ("tenure_days", (90.0, 365.0, 730.0)),
    "birth_year": ("birth_year", (1960.0, 1980.0, 2000.0)),
}
"""Slices that are ranges of a number: the feature, and where each further range begins."""
SELECTED = 0.1
"""Share of the rows, best scores first, that are taken for selected."""
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Slice:
    """Rows of one value of one attribute (mask over the test rows)."""

    by: str
    value: str
    rows: np.ndarray[Any, np.dtype[np.bool_]]


def slices(frame: pd.DataFrame) -> Iterable[Slice]:
    """All slices of vectors by the attributes that are there; an attribute with a single value makes none."""
    for by in REPORTED:
        feature, starts = BANDS.get(by, (by, ()))
        if feature not in frame.columns:
            continue
        values = _banded(frame[feature].to_numpy(np.float64), starts) if starts else _named(frame[feature])
        distinct = np.unique(values)
        if len(distinct) > 1:
            yield from (Slice(by, str(value), values == value) for value in distinct)


def _named(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    return column.astype("object").where(column.notna(), UNKNOWN).to_numpy(dtype=str)


def _banded(values: Numbers, starts: tuple[float, ...]) -> np.ndarray[Any, Any]:
    names = [f"below {starts[0]:g}", *(f"from {start:g}" for start in starts)]
    band = np.array(names)[np.searchsorted(starts, np.nan_to_num(values), side="right")]
    return np.where(np.isnan(values), UNKNOWN, band)


def is_sensitive(by: str) -> bool:
    """Whether an attribute is one that models do not read by default."""
    declared = load_families().get(BANDS.get(by, (by, ()))[0])
    return bool(declared and declared.is_sensitive)


def slice_rows(frame: pd.DataFrame, label: Numbers, probability: Numbers, minimum: int) -> list[dict[str, Any]]:
    """One row per slice of at least `minimum` rows, and of customers enough to be named: how it came, and was said to.

    `selected` is the share among the tenth of all rows with the highest scores, `caught` the share of what came true
    that is among them. `is_off` says that the mean probability lies outside the interval of what came true.
    """
    threshold = np.quantile(probability, 1 - SELECTED) if len(probability) else 1.0
    selected = probability >= threshold
    judged = []
    for of in slices(frame):
        n = int(of.rows.sum())
        if n < minimum or _customers(frame, of.rows) < FEWEST:
            continue
        true, predicted = label[of.rows], probability[of.rows]
        interval = wilson(np.array([true.sum()]), np.array([float(n)]))
        low, high = float(interval.low[0]), float(interval.high[0])
        judged.append(
            {
                "by": of.by,
                "value": of.value,
                "n": n,
                "came_true": _rounded(true.mean()),
                "expected": _rounded(predicted.mean()),
                "low": _rounded(low),
                "high": _rounded(high),
                "is_off": bool(not low <= predicted.mean() <= high),
                "roc_auc": _rounded(roc_auc(true, predicted)),
                "selected": _rounded(selected[of.rows].mean()),
                "caught": _rounded(selected[of.rows][true == 1].mean()) if true.any() else None,
                "is_sensitive": is_sensitive(of.by),
            }
        )
    return judged


def _customers(frame: pd.DataFrame, rows: np.ndarray[Any, np.dtype[np.bool_]]) -> int:
    """How many customers some rows are of; each row is of one of its own where nobody says whose it is."""
    return int(frame["customer_id"][rows].nunique() if "customer_id" in frame.columns else rows.sum())


def _rounded(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
