"""Formula models with exact reasons: logistic regression, and rules made of points.

Everything is added feature by feature in the order of the bundle, never by a matrix product, so that a row scores the
same to the last bit alone and in a batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.models.scoring.trees import Matrix, Numbers


def bend(values: Numbers) -> Numbers:
    """Sign-keeping logarithm: counts and money have long tails, shares stay nearly as they are."""
    result: Numbers = np.sign(values) * np.log1p(np.abs(values))
    return result


class Formula(ABC):
    """A model whose log-odds are a base and what each feature adds to it."""

    base: float

    @abstractmethod
    def contributions(self, matrix: Matrix) -> Numbers:
        """Log-odds by row and feature."""

    def raw(self, matrix: Matrix) -> Numbers:
        """Log-odds of each row."""
        return self.explained(matrix)[0]

    def explained(self, matrix: Matrix) -> tuple[Numbers, Numbers]:
        """Log-odds of each row, and what they are made of."""
        contributions = self.contributions(matrix)
        return _added(self.base, contributions), contributions

    def moved(self, before: Matrix, now: Matrix) -> Numbers:
        """Log-odds by row and feature: exact shares in `raw(now) - raw(before)`."""
        return self.contributions(now) - self.contributions(before)


class SumOfTerms(Formula):
    """A sum of one term per feature, against the training mean."""

    def __init__(self, content: Mapping[str, Any], columns: int) -> None:
        self.base = float(content["base"])
        self._terms: list[dict[str, Any]] = content["terms"]
        if len(self._terms) != columns:
            raise BundleError(f"The model has {len(self._terms)} terms, its bundle lists {columns} features")

    def contributions(self, matrix: Matrix) -> Numbers:
        """Log-odds by row and feature."""
        result = np.zeros(matrix.shape)
        for position, term in enumerate(self._terms):
            result[:, position] = self._part(term, matrix[:, position].astype(np.float64))
        return result

    @abstractmethod
    def _part(self, term: Mapping[str, Any], values: Numbers) -> Numbers:
        """What one feature adds."""


class Logistic(SumOfTerms):
    """Logistic regression as plain numbers.

    A number is filled where it is missing, bent, centred, scaled, kept within `LIMIT` deviations and weighed; that it
    was missing has a weight of its own. A category has a weight per value.
    """

    LIMIT = 8.0

    def _part(self, term: Mapping[str, Any], values: Numbers) -> Numbers:
        return _category(term, values) if "weights" in term else _number(term, values)


class Linear(SumOfTerms):
    """A linear model of numbers as they are: filled where missing, centred, scaled and weighed."""

    def _part(self, term: Mapping[str, Any], values: Numbers) -> Numbers:
        whole = np.where(np.isnan(values), term["fill"], values)
        result: Numbers = term["weight"] * ((whole - term["centre"]) / term["scale"]) - term["mean"]
        return result


def _category(term: Mapping[str, Any], codes: Numbers) -> Numbers:
    """Weight of each code; the last weight is for what is missing or was not seen in training."""
    weights = np.array(term["weights"], np.float64)
    known = np.where(np.isnan(codes), len(weights) - 1, codes).astype(np.int64)
    result: Numbers = weights[known] - term["mean"]
    return result


def standardised(values: Numbers, fill: float, centre: float, scale: float) -> Numbers:
    """A column of numbers as the logistic model reads it."""
    whole = bend(np.where(np.isnan(values), fill, values))
    return np.clip((whole - centre) / scale, -Logistic.LIMIT, Logistic.LIMIT)


def _number(term: Mapping[str, Any], values: Numbers) -> Numbers:
    score = standardised(values, term["fill"], term["centre"], term["scale"])
    missing = np.isnan(values) * term["missing_weight"]
    result: Numbers = term["weight"] * score + missing - term["mean"]
    return result


def _added(base: float, contributions: Numbers) -> Numbers:
    total = np.full(len(contributions), base)
    for position in range(contributions.shape[1]):
        total += contributions[:, position]
    return total


@dataclass(frozen=True)
class PointsMeasure:
    """One measure of a rule: what its feature earns, 0 to 100 points, and its weight; null has no say.

    As many `points` as places `at`: linear between them, flat beyond. One more: steps, the first below the first place,
    each of the others from its place on.
    """

    feature: str
    weight: float
    at: tuple[float, ...]
    points: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        """The numbers that a bundle keeps."""
        return {"weight": self.weight, "at": list(self.at), "points": list(self.points)}


def _earned(part: Mapping[str, Any], values: Numbers) -> Numbers:
    at, earned = np.array(part["at"], np.float64), np.array(part["points"], np.float64)
    if len(earned) == len(at):
        return np.interp(values, at, earned)
    steps: Numbers = earned[np.searchsorted(at, values, side="right")]
    return steps


NEUTRAL = 50.0


def points(parts: Sequence[Mapping[str, Any] | None], matrix: Matrix) -> Numbers:
    """Weighted deviation from `NEUTRAL` by row and feature: they add up to the score of the rule less `NEUTRAL`.

    The score is the mean of the parts that are known, weighted; where nothing is known it is `NEUTRAL`.
    """
    result = np.zeros(matrix.shape)
    weight = np.zeros(len(matrix))
    for position, part in enumerate(parts):
        if part is not None:
            values = matrix[:, position].astype(np.float64)
            known = ~np.isnan(values)
            earned = _earned(part, np.where(known, values, 0.0))
            result[:, position] = np.where(known, part["weight"] * (earned - NEUTRAL), 0.0)
            weight += np.where(known, part["weight"], 0.0)
    return result / np.where(weight > 0, weight, 1.0)[:, None]


class PointsRules(Formula):
    """A points rule, mapped to log-odds by a line that was fitted in training."""

    def __init__(self, content: Mapping[str, Any], columns: int) -> None:
        self.base = float(content["base"])
        self._slope = float(content["slope"])
        self._parts: list[Mapping[str, Any] | None] = content["parts"]
        if len(self._parts) != columns:
            raise BundleError(f"The rule has {len(self._parts)} parts, its bundle lists {columns} features")

    def contributions(self, matrix: Matrix) -> Numbers:
        """Log-odds by row and feature, against a neutral score."""
        return self._slope * points(self._parts, matrix)
