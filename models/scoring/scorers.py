"""Scorers: what the kinds of model have in common, made of the files of a bundle once their form was judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from vouch.features.errors import BundleError
from vouch.models.scoring import documents
from vouch.models.scoring.bundle import as_bytes
from vouch.models.scoring.documents import KINDS
from vouch.models.scoring.formulas import Linear, Logistic, PointsRules
from vouch.models.scoring.mean import Mean
from vouch.models.scoring.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.models.scoring.feature_matrix import Column
    from vouch.models.scoring.trees import Matrix, Numbers

TEXT, NUMBERS = "model.txt", "model.json"
_FORMS: dict[
    str, type[documents.LogisticNumbers | documents.LinearNumbers | documents.RuleNumbers | documents.MeanNumbers]
] = {
    "logistic": documents.LogisticNumbers, "linear": documents.LinearNumbers, "rules": documents.RuleNumbers,
    "mean": documents.MeanNumbers,
}  # fmt: skip
_FORMULAS: dict[str, type[Linear | Logistic | PointsRules]] = {
    "logistic": Logistic, "linear": Linear, "rules": PointsRules,
}  # fmt: skip


class Scorer(Protocol):
    """What the kinds of model have in common."""

    base: float

    def raw(self, matrix: Matrix) -> Numbers:
        """Log-odds of each row."""

    def contributions(self, matrix: Matrix) -> Numbers:
        """Log-odds by row and feature; with `base` they add up to `raw`."""

    def explained(self, matrix: Matrix) -> tuple[Numbers, Numbers]:
        """Both, bit by bit, for less than what each costs by itself."""

    def moved(self, before: Matrix, now: Matrix) -> Numbers:
        """Log-odds by row and feature: exact shares in `raw(now) - raw(before)`."""


def scorer_from_files(kind: str, files: Mapping[str, bytes], columns: tuple[Column, ...]) -> Scorer:
    """Return what scores, from the files of a bundle that were not judged yet; raises BundleError."""
    parts = KINDS[kind]
    content: dict[str, Any] = {}
    if TEXT in parts:
        try:
            content["trees"] = files[TEXT].decode("utf-8")
        except UnicodeDecodeError as error:
            raise BundleError("The text of the model is not sound: it is no text") from error
    if NUMBERS in parts:
        numbers, plain = documents.read_bundle_document(_FORMS[kind], NUMBERS, files[NUMBERS])
        if not numbers.fits(columns):
            raise BundleError(f"{NUMBERS} does not fit the features that the bundle lists")
        content |= plain
    return make_scorer(kind, content["trees"] if kind == "lightgbm" else content, len(columns))


def make_scorer(kind: str, content: str | Mapping[str, Any], columns: int) -> Scorer:
    """Return what scores the rows of a model: LightGBM's text, the numbers of a formula, or both for a mean."""
    if kind == "lightgbm":
        return Trees(str(content), columns)
    assert not isinstance(content, str), "a formula is numbers"
    if kind == "mean":
        return Mean(Trees(content["trees"], columns), Logistic(content["line"], columns), float(content["share"]))
    return _FORMULAS[kind](content, columns)


def model_files(kind: str, content: str | Mapping[str, Any]) -> dict[str, bytes]:
    """The files that hold a model."""
    if isinstance(content, str):
        return {TEXT: content.encode()}
    numbers = {name: value for name, value in content.items() if name != "trees"}
    return {NUMBERS: as_bytes(numbers), **({TEXT: content["trees"].encode()} if kind == "mean" else {})}
