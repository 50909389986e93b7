"""Outcome monitoring: the calibration of published scores, once their outcome is final."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.instants import parse_instant
from vouch.features.statistics.intervals import wilson
from vouch.models.quality.figures import calibration_error, calibration_fit, error_by_chance, figure_interval, figures

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from vouch.features.asof import Tables
    from vouch.models.targets import Target

LOOK_BACK_WEEKS = (6, 13)
RESAMPLES = 200
MINIMUM = 5
"""Outcomes of each kind from which a figure of ranking or slope is given."""


def look_backs(target: Target) -> tuple[int, ...]:
    """Weeks after which what a target foretold is looked at: of the usual ones those at which it is final.

    Where it is final at none of them, the first week at which it is.
    """
    first = -(-target.matured_days // 7)
    return tuple(weeks for weeks in LOOK_BACK_WEEKS if weeks >= first) or (first,)


def has_learned_later(facts: Mapping[str, Any], as_of_us: int) -> bool:
    """Whether the model that scored an instant was fitted on what became known after it; what it says was known.

    A week of an older version does not say when its model was fitted.
    """
    fitted = facts.get("as_of")
    return fitted is not None and parse_instant(fitted) > as_of_us


LEARNED_LATER = "learned_later"
"""Why a week that was scored afterwards, by a model that knew what came, is not judged."""


@dataclass(frozen=True)
class CameTrue:
    """One published week, seen from later: figures of its probabilities, or why there are none yet."""

    as_of_us: int
    known_us: int
    final_us: int
    """When the outcome of that week is final."""
    n: int = 0
    reason: str | None = None
    figures: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """For a manifest or a report; figures that do not exist are null."""
        empty = dict.fromkeys(FIGURES)
        return {
            "as_of_us": self.as_of_us,
            "known_us": self.known_us,
            "final_us": self.final_us,
            "n": self.n,
            "reason": self.reason,
            **(self.figures or empty),
        }


FIGURES = (
    "expected", "observed", "observed_low", "observed_high", "calibration_error", "calibration_by_chance",
    "calibration_slope", "slope_low", "slope_high", "brier_skill", "log_loss", "roc_auc", "roc_auc_low", "roc_auc_high",
)  # fmt: skip


def came_true(
    tables: Tables, target: Target, as_of_us: int, known_us: int, predicted: pd.DataFrame, seed: int = 0
) -> CameTrue:
    """Compare the probabilities of one instant (`customer_id`, `probability`) with the outcomes known at `known_us`.

    One week by itself decides nothing: whether probabilities hold is said by a watch over all of them
    (`vouch.models.quality.watch`).
    """
    final_us = as_of_us + target.matured_days * DAY_US
    if final_us > known_us:
        return CameTrue(as_of_us, known_us, final_us, reason="not_final")
    labels = target.label(tables, [as_of_us], known_us, target)
    rows = predicted.dropna(subset="probability").merge(labels, on="customer_id", how="inner", validate="one_to_one")
    rows = rows.loc[rows["label"].notna()]
    if rows.empty:
        return CameTrue(as_of_us, known_us, final_us, reason="nobody_scored")
    y, p = rows["label"].to_numpy(np.float64), rows["probability"].to_numpy(np.float64)
    compared = _compared(y, p, rows["customer_id"].to_numpy(), seed)
    return CameTrue(as_of_us, known_us, final_us, len(rows), None, compared)


def _compared(y: Any, p: Any, customers: Any, seed: int) -> dict[str, Any]:
    whole, error, chance = figures(y, p), calibration_error(y, p), error_by_chance(p, seed)
    observed = wilson(np.array([y.sum()]), np.array([float(len(y))]))
    low, high = float(observed.low[0]), float(observed.high[0])
    has_both = min(y.sum(), len(y) - y.sum()) >= MINIMUM
    fit = calibration_fit(y, p, customers) if has_both else None
    auc = figure_interval(customers, y, p, "roc_auc", RESAMPLES, seed) if has_both else (np.nan, np.nan)
    values = {
        "expected": float(p.mean()),
        "observed": float(y.mean()),
        "observed_low": low,
        "observed_high": high,
        "calibration_error": error,
        "calibration_by_chance": chance,
        "calibration_slope": fit.slope if fit else np.nan,
        "slope_low": fit.low if fit else np.nan,
        "slope_high": fit.high if fit else np.nan,
        "brier_skill": whole["brier_skill"],
        "log_loss": whole["log_loss"],
        "roc_auc": whole["roc_auc"] if has_both else np.nan,
        "roc_auc_low": auc[0],
        "roc_auc_high": auc[1],
    }
    return {name: round(value, 6) if np.isfinite(value) else None for name, value in values.items()}
