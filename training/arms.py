"""The arms of trials: rows of the treated and of the untreated, as matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from vouch.models.scoring.trees import Matrix, Numbers
    from vouch.training.cutoffs import OriginPlan


@dataclass(frozen=True)
class ArmRows:
    """Rows of one arm: encoded features, customer and instant of each, and its cells by name."""

    matrix: Matrix
    customers: np.ndarray[tuple[int], np.dtype[np.object_]]
    as_of_us: np.ndarray[tuple[int], np.dtype[np.int64]]
    cells: pd.DataFrame

    def __len__(self) -> int:
        return len(self.customers)

    def at(self, instants: Sequence[int]) -> ArmRows:
        """Rows of some instants."""
        rows = np.isin(self.as_of_us, np.array(instants, np.int64))
        cells = self.cells.loc[rows].reset_index(drop=True)
        return ArmRows(self.matrix[rows], self.customers[rows], self.as_of_us[rows], cells)

    def numbers(self, name: str) -> Numbers:
        """A cell of every row as numbers."""
        return self.cells[name].to_numpy(dtype=np.float64)


@dataclass(frozen=True)
class TrialArms:
    """Both arms, and the kinds of treatment."""

    treated: ArmRows
    untreated: ArmRows
    kinds: tuple[str, ...]
    beside: ArmRows | None = None
    beside_days: int = 0
    is_of_all: bool = False
    is_unwanted: bool = False
    """As `vouch.models.outcomes.Trials` has them."""
    origins: tuple[OriginPlan, ...] = ()
    """Moments at which the effect is judged, the oldest first."""
