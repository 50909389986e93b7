"""The feature matrix of a request's vectors: a table of columns costs more to make than to score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    import numpy as np


@dataclass(frozen=True)
class Column:
    """One column that a model reads: a feature of the vector, with its categories where it is one (code = place)."""

    name: str
    family: str
    categories: tuple[str, ...] | None = None


@dataclass(frozen=True)
class FeatureMatrix:
    """Numbers by row and place, NaN where there is none, and columns of texts beside them."""

    places: Mapping[str, int]
    numbers: np.ndarray[Any, np.dtype[np.float64]]
    texts: Mapping[str, np.ndarray[Any, np.dtype[np.object_]]]

    def __len__(self) -> int:
        """Number of vectors."""
        return len(self.numbers)

    @property
    def column_names(self) -> Set[str]:
        """Names of all columns."""
        return self.places.keys() | self.texts.keys()

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        """The values of one column; raises KeyError where there is none of that name."""
        return self.texts[name] if name in self.texts else self.numbers[:, self.places[name]]

    def take(self, names: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Some of the numbers, in the order of the names."""
        taken: np.ndarray[Any, np.dtype[np.float64]] = self.numbers[:, [self.places[name] for name in names]]
        return taken

    def filter(self, keep: np.ndarray[Any, np.dtype[np.bool_]]) -> FeatureMatrix:
        """Some of the rows."""
        return FeatureMatrix(
            self.places, self.numbers[keep], {name: values[keep] for name, values in self.texts.items()}
        )
