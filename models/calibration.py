"""From raw log-odds to probabilities, as plain numbers; fitted in training, applied wherever a model scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from features.errors import BundleError

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


@dataclass(frozen=True)
class Calibrator:
    """A monotone map from raw log-odds to probability.

    `none`: sigmoid(raw). `sigmoid`: sigmoid(slope raw + intercept) (Platt 1999). `isotonic`: linear between the knots
    (`raw`, `probability`), flat beyond them (Zadrozny & Elkan 2002).
    """

    method: Literal["none", "sigmoid", "isotonic"] = "none"
    slope: float = 1.0
    intercept: float = 0.0
    raw: tuple[float, ...] = ()
    probability: tuple[float, ...] = ()

    def apply(self, raw: Numbers) -> Numbers:
        """Probabilities of raw log-odds, shape kept."""
        if self.method == "isotonic":
            steps: Numbers = np.interp(raw, self.raw, self.probability)
            return np.clip(steps, FLOOR, 1 - FLOOR)
        if self.method == "sigmoid":
            return sigmoid(self.slope * raw + self.intercept)
        return sigmoid(raw)

    def as_json(self) -> dict[str, Any]:
        """The numbers that a bundle keeps."""
        if self.method == "isotonic":
            return {"method": self.method, "raw": list(self.raw), "probability": list(self.probability)}
        if self.method == "sigmoid":
            return {"method": self.method, "slope": self.slope, "intercept": self.intercept}
        return {"method": "none"}


def calibrator_from_json(content: dict[str, Any]) -> Calibrator:
    """Read what `Calibrator.as_json` wrote; raises BundleError where it is no monotone map."""
    method = content.get("method")
    if method == "none":
        return Calibrator()
    if method == "sigmoid":
        slope, intercept = float(content["slope"]), float(content["intercept"])
        if slope > 0 and np.isfinite([slope, intercept]).all():
            return Calibrator("sigmoid", slope, intercept)
    if method == "isotonic":
        raw, probability = np.array(content["raw"], float), np.array(content["probability"], float)
        is_sound = len(raw) == len(probability) > 0 and np.isfinite(raw).all() and (np.diff(raw) > 0).all()
        if is_sound and (np.diff(probability) >= 0).all() and ((probability >= 0) & (probability <= 1)).all():
            return Calibrator("isotonic", raw=tuple(raw.tolist()), probability=tuple(probability.tolist()))
    raise BundleError(
        f"The calibrator {method!r} of the bundle is no rising map to probabilities. Train the model again."
    )
