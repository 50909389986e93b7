"""Bundles of any kind of model: which class reads one, and the columns that MLflow is told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vouch.models.predictor import Predictor, load_promoted
from vouch.models.scoring.bundle import read_files
from vouch.models.scoring.documents import VALUE_KIND
from vouch.models.value.predictor import NAME, ValuePredictor

if TYPE_CHECKING:
    from pathlib import Path

AnyPredictor = Predictor | ValuePredictor


def load_bundle(folder: Path) -> AnyPredictor:
    """Return a bundle, verified, by the class of its kind; raises BundleError."""
    is_value = read_files(folder)[0]["kind"] == VALUE_KIND
    return ValuePredictor.load(folder) if is_value else Predictor.load(folder)


def load_any_champion(home: Path, name: str) -> AnyPredictor | None:
    """Return the champion of a model of any kind, verified, or None where there is none yet."""
    return load_promoted(home, name, load_bundle)


def load_value_champion(home: Path) -> ValuePredictor | None:
    """Return the champion of the value model, verified, or None where there is none yet."""
    return load_promoted(home, NAME, ValuePredictor.load)


def columns_read(predictor: AnyPredictor) -> dict[str, bool]:
    """Columns of the table that it takes by name, and whether each is a number."""
    if isinstance(predictor, ValuePredictor):
        return {name: kind is float for name, kind in predictor.frame.items()}
    return {column.name: column.categories is None for column in predictor.columns}


def columns_made(predictor: AnyPredictor) -> tuple[str, ...]:
    """Columns that come out."""
    is_value = isinstance(predictor, ValuePredictor)
    return ("revenue", "margin", "low", "high") if is_value else ("raw", "probability")


def loader_of(predictor: AnyPredictor) -> str:
    """The module by whose name MLflow loads it."""
    return type(predictor).__module__
