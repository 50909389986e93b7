"""A trained model: fitted and judged, before it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vouch.training.dataset import made_up_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from vouch.training.dataset import Dataset
    from vouch.training.evaluate import Evaluation

GOLDEN_ROWS = 32


@dataclass(frozen=True)
class Trained:
    """One model fitted and judged, before it is stored."""

    data: Dataset
    evaluation: Evaluation
    as_of_us: int
    seed: int
    facts: Mapping[str, Any]
    trials: tuple[Mapping[str, Any], ...] = ()
    """The search for parameters, trial by trial."""

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.data.model.name

    @cached_property
    def golden(self) -> pd.DataFrame:
        """Made-up rows by which a bundle is known to score as it did."""
        return made_up_rows(self.data, GOLDEN_ROWS, self.seed)
