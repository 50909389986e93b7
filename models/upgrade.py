"""The upgrade model: will a subscriber move to a dearer plan in the next 90 days?

What counts is money: an upgrade that was paid. A downgrade that is undone cannot be told apart, and counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.models.definition import Band, Model, Target
from vouch.models.eligibility import subscriber_status
from vouch.models.outcomes import labelled, standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from vouch.features.asof import Tables


def label_upgrade(tables: Tables, instants: Sequence[int], known_us: int, target: Target) -> pd.DataFrame:
    """At least one paid upgrade in the window; rows as for `vouch.models.outcomes.label_churn`."""
    paid = standing(tables, "transactions", known_us).filter(nw.col("kind") == "upgrade")
    moments = paid.select("customer_id", "own_us").collect("pyarrow").to_native().to_pandas()
    return labelled(tables, instants, known_us, target, moments["customer_id"], moments["own_us"].to_numpy())


MODEL = Model(
    name="upgrade",
    question="Will this customer pay for an upgrade within 90 days?",
    targets=(
        Target(
            name="paid",
            needs={"transactions": ("kind",), "subscriptions": ()},
            label=label_upgrade,
            status=subscriber_status,
            horizon_days=90,
            bands=(Band("low", 0.0), Band("likely", 0.1), Band("high", 0.25)),
            max_calibration_error=0.03,
        ),
    ),
    left_out=frozenset({"is_leaving"}),
    recency=("days_since_plan_change", "days_since_activity"),
    is_optional=True,
)
