"""Drift by the population stability index: features and scores of now against those of the test rows.

A bundle keeps how often each bin of each feature, and of the probability, was met in its newest rows (`Histogram`). The
rows of a week are counted into the same bins by the engine, and each shift is the population stability index of both
(sum of (p - q) log(p / q), half a row added to each bin; Siddiqi 2006). On few rows the index is large by chance: where
nothing changed it is near (1/n + 1/m) times chi-squared of the bins less one (Yurdakul 2018), so that a shift counts
only where it is above what chance shows in one run of a hundred over all features together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from vouch.features.statistics.few import OTHER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vouch.features.asof import Frame
    from vouch.models.scoring.feature_matrix import Column
    from vouch.models.scoring.trees import Matrix, Numbers

BINS = 10
MODERATE, MAJOR = 0.1, 0.25
"""Stability indices from which a shift is called moderate and major, as the trade has it."""
BY_CHANCE = 0.01
"""Share of runs without any change in which some shift would be reported."""
SCORE = "probability"
"""Name of the histogram of the scores."""
HALF_A_ROW = 0.5


@dataclass(frozen=True)
class Histogram:
    """How often each bin of one column was met, the last for missing values.

    Numbers: bin i holds what lies above edge i - 1 and up to edge i. Categories: one bin each.
    """

    name: str
    family: str
    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] | None = None

    @property
    def rows(self) -> int:
        """Rows that were counted."""
        return sum(self.counts)

    def as_json(self) -> dict[str, Any]:
        """The numbers that a bundle keeps."""
        return {
            "name": self.name,
            "family": self.family,
            "counts": list(self.counts),
            "edges": list(self.edges),
            "categories": None if self.categories is None else list(self.categories),
        }


def histogram_from_json(content: Mapping[str, Any]) -> Histogram:
    """Read what `Histogram.as_json` wrote."""
    categories = content["categories"]
    return Histogram(
        content["name"],
        content["family"],
        tuple(int(count) for count in content["counts"]),
        tuple(float(edge) for edge in content["edges"]),
        None if categories is None else tuple(categories),
    )


def reference(columns: Sequence[Column], matrix: Matrix, probability: Numbers) -> list[Histogram]:
    """Histograms of encoded rows and of their probabilities, bins of about equal mass."""
    histograms = [
        _of_numbers(column.name, column.family, matrix[:, place])
        if column.categories is None
        else _of_codes(column, matrix[:, place])
        for place, column in enumerate(columns)
    ]
    return [*histograms, _of_numbers(SCORE, SCORE, probability)]


def _of_numbers(name: str, family: str, values: Any) -> Histogram:
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    inner = np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="lower") if len(known) else np.empty(0)
    edges = np.unique(inner)
    edges = edges[edges < known.max()] if len(known) else edges
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    missing = len(np.asarray(values)) - len(known)
    return Histogram(name, family, (*counts.tolist(), missing), tuple(edges.tolist()))


def _of_codes(column: Column, codes: Any) -> Histogram:
    assert column.categories is not None
    known = codes[~np.isnan(codes)].astype(np.int64)
    counts = np.bincount(known, minlength=len(column.categories)).tolist()
    return Histogram(column.name, column.family, (*counts, len(codes) - len(known)), (), column.categories)


def counted(frame: Frame, histograms: Iterable[Histogram]) -> dict[str, tuple[int, ...]]:
    """Count the rows of a lazy frame into the bins of each histogram, in one query; columns are found by name.

    Features are read as models read them: as float32, and a category that training did not name as OTHER or missing.
    """
    wanted = list(histograms)
    asked = [nw.len().alias("rows")]
    for place, of in enumerate(wanted):
        column = nw.col(of.name)
        if of.categories is None:
            value = column.cast(nw.Float64) if of.name == SCORE else column.cast(nw.Float32).cast(nw.Float64)
            asked.append((~(value.is_null() | value.is_nan())).cast(nw.Int64).sum().alias(f"{place} known"))
            below = [(value <= edge) & ~value.is_nan() for edge in of.edges]
        else:
            below = [
                ~column.is_in([*of.categories]) | (column == name) if name == OTHER else column == name
                for name in of.categories
            ]
        asked += [hit.cast(nw.Int64).sum().alias(f"{place} {bin}") for bin, hit in enumerate(below)]
    (row,) = frame.select(*asked).collect("pyarrow").to_native().to_pylist()
    counts = {name: int(value or 0) for name, value in row.items()}
    return {of.name: _bins(of, place, counts) for place, of in enumerate(wanted)}


def _bins(of: Histogram, place: int, counts: Mapping[str, int]) -> tuple[int, ...]:
    if of.categories is not None:
        each = [counts[f"{place} {bin}"] for bin in range(len(of.categories))]
        return (*each, counts["rows"] - sum(each))
    known = counts[f"{place} known"]
    up_to = [counts[f"{place} {bin}"] for bin in range(len(of.edges))]
    return (*np.diff([0, *up_to, known]).tolist(), counts["rows"] - known)


@dataclass(frozen=True)
class Shift:
    """How far one column has moved: its index, what chance shows on so many rows, and what that makes of it."""

    name: str
    family: str
    index: float
    by_chance: float
    missing_before: float
    missing: float

    @property
    def level(self) -> str:
        """`none`, `moderate` or `major`."""
        if self.index <= max(self.by_chance, MODERATE):
            return "none"
        return "major" if self.index > MAJOR else "moderate"


def shifts(histograms: Sequence[Histogram], now: Mapping[str, Sequence[int]]) -> list[Shift]:
    """Compare histograms with the counts of now, the largest shift first; nothing where one side has no rows."""
    shifted = [_shift(of, np.array(now[of.name], np.float64), len(histograms)) for of in histograms]
    return sorted((shift for shift in shifted if shift), key=lambda shift: (-shift.index, shift.name))


def _shift(of: Histogram, now: Numbers, together: int) -> Shift | None:
    from scipy.stats import chi2

    before = np.array(of.counts, np.float64)
    if not before.sum() or not now.sum():
        return None
    is_met = before + now > 0
    smooth = [counts[is_met] + HALF_A_ROW for counts in (before, now)]
    p, q = (counts / counts.sum() for counts in smooth)
    index = float(np.sum((q - p) * np.log(q / p)))
    scale = 1 / before.sum() + 1 / now.sum()
    chance = float(chi2.ppf(1 - BY_CHANCE / together, is_met.sum() - 1)) * scale if is_met.sum() > 1 else 0.0
    return Shift(of.name, of.family, index, chance, float(before[-1] / before.sum()), float(now[-1] / now.sum()))


SHOWN = 10


def drift(histograms: Sequence[Histogram], frame: Frame) -> dict[str, Any]:
    """What a manifest and a report keep of one model's week: the shift of the scores, and which features moved.

    `frame` holds the rows that were scored: the features as models read them, and `probability`.
    """
    now = counted(frame, histograms)
    shifted = shifts(histograms, now)
    of_score = next((shift for shift in shifted if shift.name == SCORE), None)
    of_features = [shift for shift in shifted if shift.name != SCORE]
    return {
        "rows": sum(now[histograms[0].name]) if histograms else 0,
        "reference_rows": histograms[0].rows if histograms else 0,
        "score": _as_entry(of_score) if of_score else None,
        "features": len(of_features),
        "moderate": sum(shift.level == "moderate" for shift in of_features),
        "major": sum(shift.level == "major" for shift in of_features),
        "largest": [_as_entry(shift) for shift in of_features[:SHOWN]],
    }


def _as_entry(shift: Shift) -> dict[str, Any]:
    return {
        "name": shift.name,
        "family": shift.family,
        "index": round(shift.index, 6),
        "by_chance": round(shift.by_chance, 6),
        "level": shift.level,
        "missing_before": round(shift.missing_before, 6),
        "missing": round(shift.missing, 6),
    }
