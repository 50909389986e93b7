"""Calibration maps: from raw log-odds to probabilities, as plain numbers.

Fitted in training, applied wherever a model scores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vouch.features.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Sequence

Numbers = np.ndarray[Any, np.dtype[np.float64]]
FLOOR = 1e-6
"""No probability is nearer to 0 or 1: isotonic steps can reach both, and a log loss cannot bear them."""


def sigmoid(log_odds: Numbers) -> Numbers:
    """Probability of log-odds, without overflow."""
    positive = log_odds >= 0
    small = np.exp(np.where(positive, -log_odds, log_odds))
    result: Numbers = np.where(positive, 1.0, small) / (1.0 + small)
    return result


def log_odds(probability: Numbers) -> Numbers:
    """Inverse of `sigmoid`, for probabilities kept away from 0 and 1 by `FLOOR`."""
    clipped = np.clip(probability, FLOOR, 1 - FLOOR)
    result: Numbers = np.log(clipped) - np.log1p(-clipped)
    return result


def softplus(values: Numbers) -> Numbers:
    """log(1 + exp(x)), without overflow: minus the log of the probability of log-odds -x."""
    result: Numbers = np.logaddexp(0.0, values)
    return result


Method = Literal["none", "sigmoid", "isotonic", "beta", "venn_abers"]


@dataclass(frozen=True)
class IntervalBand:
    """Ends of the 95 % interval of the probability at some raw log-odds, rising; linear between, flat beyond.

    It says how far the calibration map is uncertain (customers of the calibration rows drawn anew), not the model.
    """

    raw: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Calibrator:
    """A monotone map from raw log-odds to probability.

    `none`: sigmoid(raw). `sigmoid`: sigmoid(slope raw + intercept) (Platt 1999). `beta`: log-odds rise by `left` for
    every unit of log p and by `slope` for every unit of -log(1 - p) (Kull, Silva Filho & Flach 2017). `isotonic`:
    linear between the knots (`raw`, `probability`), flat beyond them (Zadrozny & Elkan 2002). `venn_abers`: the same
    with the knots of an inductive Venn-Abers predictor, merged for log loss (Vovk, Petej & Fedorova 2015).
    """

    method: Method = "none"
    slope: float = 1.0
    intercept: float = 0.0
    raw: tuple[float, ...] = ()
    probability: tuple[float, ...] = ()
    left: float = 1.0
    band: IntervalBand | None = None
    shift: float = 0.0
    """What is added to the log-odds of the probability: an offset in force, which no bundle keeps."""

    def apply(self, raw: Numbers) -> Numbers:
        """Probabilities of raw log-odds, shape kept."""
        return self._shifted(self._mapped(raw))

    def _shifted(self, probability: Numbers) -> Numbers:
        return sigmoid(log_odds(probability) + self.shift) if self.shift else probability

    def _mapped(self, raw: Numbers) -> Numbers:
        if self.method in {"isotonic", "venn_abers"}:
            steps: Numbers = np.interp(raw, self.raw, self.probability)
            return np.clip(steps, FLOOR, 1 - FLOOR)
        if self.method == "sigmoid":
            return sigmoid(self.slope * raw + self.intercept)
        if self.method == "beta":
            return sigmoid(self.slope * softplus(raw) - self.left * softplus(-raw) + self.intercept)
        return sigmoid(raw)

    def interval(self, raw: Numbers) -> tuple[Numbers, Numbers]:
        """Ends of the 95 % interval of each probability, which lies within; NaN where there is no band."""
        if self.band is None:
            return np.full(np.shape(raw), np.nan), np.full(np.shape(raw), np.nan)
        probability = self.apply(raw)
        low, high = (self._shifted(np.interp(raw, self.band.raw, ends)) for ends in (self.band.low, self.band.high))
        return np.minimum(low, probability), np.maximum(high, probability)

    def as_json(self) -> dict[str, Any]:
        """The numbers that a bundle keeps."""
        numbers: dict[str, Any] = {"method": self.method}
        if self.method in {"isotonic", "venn_abers"}:
            numbers |= {"raw": list(self.raw), "probability": list(self.probability)}
        if self.method in {"sigmoid", "beta"}:
            numbers |= {"slope": self.slope, "intercept": self.intercept}
        if self.method == "beta":
            numbers["left"] = self.left
        if self.band:
            numbers["band"] = {name: list(ends) for name, ends in vars(self.band).items()}
        return numbers


def calibrator_from_json(content: dict[str, Any]) -> Calibrator:
    """Read what `Calibrator.as_json` wrote; raises BundleError where it is no monotone map."""
    method, calibrator = content.get("method"), None
    if method == "none":
        calibrator = Calibrator()
    if method in {"sigmoid", "beta"}:
        slope, intercept, left = (float(content.get(name, 1.0)) for name in ("slope", "intercept", "left"))
        rises = slope > 0 if method == "sigmoid" else min(slope, left) >= 0 and max(slope, left) > 0
        if rises and np.isfinite([slope, intercept, left]).all():
            calibrator = Calibrator(method, slope, intercept, left=left)
    raw, probability = (tuple(content.get(name, ())) for name in ("raw", "probability"))
    if method in {"isotonic", "venn_abers"} and _rises(raw, probability):
        calibrator = Calibrator(method, raw=raw, probability=probability)
    if calibrator is None:
        raise BundleError(
            f"The calibrator {method!r} of the bundle is no rising map to probabilities. Train the model again."
        )
    return replace(calibrator, band=_band_from_json(content["band"])) if content.get("band") else calibrator


def _band_from_json(content: dict[str, Any]) -> IntervalBand:
    if not _rises(content["raw"], content["low"]) or not _rises(content["raw"], content["high"]):
        raise BundleError("The intervals of the bundle's calibrator do not rise. Train the model again.")
    return IntervalBand(tuple(content["raw"]), tuple(content["low"]), tuple(content["high"]))


def _rises(raw: Sequence[float], probability: Sequence[float]) -> bool:
    at, steps = np.array(raw, float), np.array(probability, float)
    is_sound = len(at) == len(steps) > 0 and np.isfinite(at).all() and bool((np.diff(at) > 0).all())
    return bool(is_sound and (np.diff(steps) >= 0).all() and ((steps >= 0) & (steps <= 1)).all())
