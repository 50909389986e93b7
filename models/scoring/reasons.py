"""Reasons of a score: exact parts of the log-odds by family, each with its leading feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.vectors.words import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from vouch.models.scoring.feature_matrix import Column
    from vouch.models.scoring.trees import Numbers


@dataclass(frozen=True)
class Reasons:
    """Parts of the raw log-odds: `base` plus each row of `contributions` (rows by families) is the raw score.

    `features` holds for each row and family the place (in `names`) of the feature that moves the family most in the
    family's own direction.
    """

    base: float
    families: tuple[str, ...]
    contributions: np.ndarray[Any, np.dtype[np.float64]]
    features: np.ndarray[Any, np.dtype[np.int32]]
    names: tuple[str, ...]

    def as_arrow(self, frame: Any) -> pa.Array:
        """Return the reasons of the rows of a frame as the snapshot keeps them.

        A list of (`family`, `feature`, `value` as text, `contribution`) per row, all families, the largest in size
        first. `frame` holds the vectors (pandas or Arrow) that the reasons were computed from, row by row.
        """
        import pyarrow as pa

        rows, families = self.contributions.shape
        order = np.argsort(-np.abs(self.contributions), axis=1, kind="stable")
        place = (np.arange(rows)[:, None], order)
        features = self.features[place].reshape(-1)
        values = self._values(frame)[place].reshape(-1)
        entries = pa.StructArray.from_arrays(
            [
                pa.DictionaryArray.from_arrays(order.reshape(-1).astype(np.int32), list(self.families)).cast("string"),
                pa.DictionaryArray.from_arrays(features, list(self.names)).cast("string"),
                pa.array(values, pa.string()),
                pa.array(self.contributions[place].reshape(-1)),
            ],
            names=["family", "feature", "value", "contribution"],
        )
        return pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32) * families, entries)

    def _values(self, frame: Any) -> np.ndarray[Any, np.dtype[np.object_]]:
        values = np.empty(self.features.shape, dtype=object)
        for family in range(len(self.families)):
            leading = self.features[:, family]
            for feature in np.unique(leading):
                rows = np.flatnonzero(leading == feature)
                values[rows, family] = as_text(take(frame, self.names[feature])[rows])
        return values


def take(frame: Any, name: str) -> np.ndarray[Any, Any]:
    """One column of a pandas or Arrow table as numpy; null numbers are NaN."""
    column = frame[name] if hasattr(frame, "iloc") else frame.column(name)
    if hasattr(column, "combine_chunks"):
        column = column.combine_chunks()
        return np.asarray(column.to_numpy(zero_copy_only=False))
    return np.asarray(column.to_numpy())


def as_text(values: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.object_]]:
    """Values as people read them: up to six significant digits, no trailing zeros."""
    if values.dtype.kind not in "fiub":
        return np.array([value if isinstance(value, str) else UNKNOWN for value in values], dtype=object)
    distinct, where = np.unique(values, return_inverse=True)
    texts = np.array([UNKNOWN if np.isnan(value) else f"{value:.6g}" for value in distinct], dtype=object)
    return texts[where]


def grouped(columns: Sequence[Column], contributions: Numbers) -> tuple[tuple[str, ...], Numbers, Any]:
    """Sum contributions (rows by features) by family; return families, sums, leading features.

    Features are added one after another, so that a row has the same sums alone and in a batch.
    """
    families = tuple(dict.fromkeys(column.family for column in columns))
    member = np.array([families.index(column.family) for column in columns])
    moves = contributions.T
    says = np.any(moves != 0, axis=1).reshape(-1)
    sums = np.zeros((len(families), moves.shape[1]))
    leading = np.empty(sums.shape, dtype=np.int32)
    for family in range(len(families)):
        places = np.flatnonzero(member == family)
        of_sign = places[says[places]]
        for place in of_sign:
            sums[family] += moves[place]
        candidates = of_sign if len(of_sign) else places[:1]
        signed = moves[candidates] * np.where(sums[family] < 0, -1.0, 1.0)
        leading[family] = candidates[np.argmax(signed, axis=0)]
    return families, sums.T, leading.T
