"""The challenger of value by purchases: boosted trees with a zero-inflated loss, chosen only where it judged better.

Tweedie's compound Poisson-gamma deviance has a mass at zero (who buys no more) and a long tail (who buys a lot), by a
log link. It learns what customers spent within a number of days; beyond them, what purchases are expected grows as the
model of repeat purchases says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.models.scoring.trees import Trees, load_lightgbm

if TYPE_CHECKING:
    from vouch.models.value.histories import CustomerHistories
    from vouch.models.value.repeat_purchases import Numbers

COLUMNS = (
    "payments", "first_days", "last_days", "silent_share", "mean_payment", "revenue", "recent_revenue", "gap_days",
)  # fmt: skip
POWER = 1.5
PARAMETERS = {
    "objective": "tweedie", "tweedie_variance_power": POWER, "learning_rate": 0.05, "num_leaves": 15,
    "min_data_in_leaf": 30, "lambda_l2": 5.0, "bagging_fraction": 0.8, "bagging_freq": 1, "verbose": -1,
    "deterministic": True, "num_threads": 1,
}  # fmt: skip
ROUNDS = 120
LEAST_CUSTOMERS = 300


def matrix(of: CustomerHistories, rows: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What the trees read of customers by place, as `COLUMNS`."""
    orders = of.orders.take(rows)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = (
            of.payments[rows], of.first_days[rows], of.last_days[rows],
            of.last_days[rows] / np.maximum(of.first_days[rows], 1.0), of.mean_payment[rows], of.revenue[rows],
            of.recent_revenue[rows], np.where(orders.repeats > 0, orders.last / np.maximum(orders.repeats, 1), np.nan),
        )  # fmt: skip
    return np.column_stack(parts).astype(np.float32)


def fit_boosted(features: np.ndarray[Any, np.dtype[np.float32]], spent: Numbers, seed: int) -> str | None:
    """Return the trees as text; None for customers too few. What was spent counts from 0 up."""
    if len(spent) < LEAST_CUSTOMERS or not (spent > 0).any():
        return None
    lightgbm = load_lightgbm()
    data = lightgbm.Dataset(features, np.maximum(spent, 0.0), feature_name=list(COLUMNS), free_raw_data=False)
    text = str(lightgbm.train({**PARAMETERS, "seed": seed}, data, ROUNDS).model_to_string())
    # Only sums of leaves are read: the head is that of the trees which `model_text` knows, the link is ours.
    lines = ["objective=binary sigmoid:1" if of.startswith("objective=") else of for of in text.split("\n")]
    return "\n".join(lines)


def spending(trees: Trees, features: np.ndarray[Any, np.dtype[np.float32]]) -> Numbers:
    """Expected spending of each row."""
    return np.asarray(np.exp(np.clip(trees.raw(features), -20, 20)))
