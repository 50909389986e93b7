"""LightGBM models from their text: scores, and exact reasons as Shapley values.

`model_text` judges the text before the library reads it. Reasons are the Shapley values of TreeSHAP for every customer
(`leaf_tables`): a feature is averaged over by the training rows where it is not known, and all of what several features
tell together is shared among them.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from vouch.features.errors import MissingExtra
from vouch.models.scoring import model_text
from vouch.models.scoring.leaf_tables import LeafTables, expected
from vouch.models.scoring.shapley_change import moved

Matrix = np.ndarray[Any, np.dtype[np.float32]]
Numbers = np.ndarray[Any, np.dtype[np.float64]]
CHUNK = 4096
"""Rows scored at a time: what a chunk needs stays in the processor's cache."""


def load_lightgbm() -> Any:
    """The module `lightgbm`; raises MissingExtra where the system lacks the library that its threads come from."""
    try:
        import lightgbm
    except OSError as error:
        mend = "install libgomp1 (Debian, Ubuntu), libgomp (Fedora, RHEL) or libomp (macOS)"
        raise MissingExtra(f"LightGBM does not load: {error}. It needs a library of the system: {mend}") from error
    return lightgbm


class Trees:
    """A LightGBM binary model, from its text; raises BundleError where that is not sound."""

    def __init__(self, text: str, columns: int) -> None:
        self._trees = model_text.read_trees(text, columns)
        self._booster = load_lightgbm().Booster(model_str=model_text.written(self._trees, columns))
        self._columns = columns
        self.base = expected(self._trees)

    @cached_property
    def _tables(self) -> LeafTables:
        """Made when reasons are first asked for."""
        return LeafTables(self._trees, self._columns)

    def raw(self, matrix: Matrix) -> Numbers:
        """Log-odds of each row."""
        return np.asarray(self._booster.predict(matrix, raw_score=True, num_threads=_threads(matrix)), np.float64)

    def contributions(self, matrix: Matrix) -> Numbers:
        """Log-odds by row and feature; with `base` they add up to `raw`."""
        return self.explained(matrix)[1]

    def explained(self, matrix: Matrix) -> tuple[Numbers, Numbers]:
        """Log-odds of each row, bit by bit those of `raw`, and what they are made of."""
        starts = range(0, max(len(matrix), 1), CHUNK)
        chunks = [self._tables.explained(matrix[start : start + CHUNK]) for start in starts]
        if len(chunks) == 1:
            return chunks[0]
        return np.concatenate([raw for raw, _ in chunks]), np.concatenate([parts for _, parts in chunks])

    def moved(self, before: Matrix, now: Matrix) -> Numbers:
        """Log-odds by row and feature: exact shares in `raw(now) - raw(before)`, as `shapley_change` has them."""
        starts = range(0, max(len(now), 1), CHUNK)
        chunks = [slice(start, start + CHUNK) for start in starts]
        return np.concatenate([moved(self._trees, before[chunk], now[chunk]) for chunk in chunks])


def _threads(matrix: Matrix) -> int:
    """One thread for a request; the library's own choice for a batch."""
    return 1 if len(matrix) < 1024 else 0
