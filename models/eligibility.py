"""What the definitions share in saying who is scored: statuses from columns of the vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

COLD_DAYS = 28
"""Customers younger than this are scored on little history."""
ACTIVE_DAYS = 90
"""Usage or a transaction within so many days makes an active customer."""


def first_that_holds(
    vectors: pd.DataFrame, rules: Sequence[tuple[str, pd.Series[bool]]], otherwise: str
) -> pd.Series[str]:
    """Return the status of the first rule that holds in each row."""
    picked = np.select([holds.to_numpy() for _, holds in rules], [status for status, _ in rules], otherwise)
    return pd.Series(picked, index=vectors.index, dtype="str")


def is_set(vectors: pd.DataFrame, name: str) -> pd.Series[bool]:
    """Whether a 0/1 feature is 1; unknown is no."""
    return vectors[name].fillna(0.0) > 0


def is_new(vectors: pd.DataFrame) -> pd.Series[bool]:
    """Whether there is little history to score on."""
    return vectors["tenure_days"] < COLD_DAYS


def is_active(vectors: pd.DataFrame) -> pd.Series[bool]:
    """Whether there was usage or a transaction in the last 90 days."""
    return vectors["days_since_activity"] <= ACTIVE_DAYS


def subscriber_status(vectors: pd.DataFrame) -> pd.Series[str]:
    """Eligible: a running subscription and no announced end."""
    running = is_set(vectors, "is_subscribed")
    return first_that_holds(
        vectors,
        [
            ("leaving", running & is_set(vectors, "is_leaving")),
            ("cold_start", running & is_new(vectors)),
            ("ok", running),
            ("churned", is_set(vectors, "has_ever_subscribed")),
        ],
        "not_eligible",
    )
