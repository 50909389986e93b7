"""The mean of a line and trees in log-odds, each worth its share; the parts of both add up to its reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vouch.models.scoring.formulas import Logistic
    from vouch.models.scoring.trees import Matrix, Numbers, Trees


class Mean:
    """Trees (themselves a mean, where they are several) and a line; `share` is what the trees are worth."""

    def __init__(self, trees: Trees, line: Logistic, share: float) -> None:
        self._trees, self._line, self._share = trees, line, share
        self.base = share * trees.base + (1 - share) * line.base

    def raw(self, matrix: Matrix) -> Numbers:
        """Log-odds of each row."""
        return self._joined(self._trees.raw(matrix), self._line.raw(matrix))

    def contributions(self, matrix: Matrix) -> Numbers:
        """Log-odds by row and feature; with `base` they add up to `raw`."""
        return self.explained(matrix)[1]

    def explained(self, matrix: Matrix) -> tuple[Numbers, Numbers]:
        """Log-odds of each row, bit by bit those of `raw`, and what they are made of."""
        of_trees, of_line = self._trees.explained(matrix), self._line.explained(matrix)
        return self._joined(of_trees[0], of_line[0]), self._joined(of_trees[1], of_line[1])

    def moved(self, before: Matrix, now: Matrix) -> Numbers:
        """Log-odds by row and feature: exact shares in `raw(now) - raw(before)`."""
        return self._joined(self._trees.moved(before, now), self._line.moved(before, now))

    def _joined(self, trees: Numbers, line: Numbers) -> Numbers:
        return np.asarray(self._share * trees + (1 - self._share) * line)
