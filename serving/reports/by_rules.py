"""The list by rules: whom to look at where no model of churn has passed, by health and by silence.

Where there is too little to learn from, a company still wants to know where to begin. The order is that of two rules
that anybody could set up, and it is called so: nothing here is a probability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vouch.features.shown import visible_text
from vouch.serving.snapshots.schema import NO_MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from vouch.serving.snapshots.files import Snapshot

SILENCE, VECTORS = "days_since_activity", "vectors.parquet"


@dataclass(frozen=True)
class ByRule:
    """One customer in the list: the health score, where it is known, and days since the last activity."""

    rank: int
    customer_id: str
    health: float | None
    silent_days: float | None
    may_contact: bool


def by_rules(snapshot: Snapshot, people: pd.DataFrame, count: int) -> Sequence[ByRule]:
    """The first customers whom a model of churn would score, had one passed: least health first, longest silent first.

    Empty where a champion scores them.
    """
    waiting = people.loc[people["churn_status"] == NO_MODEL].copy()
    if not len(waiting) or people["churn_probability"].notna().any():
        return ()
    waiting["silent"] = float("nan")
    if VECTORS in snapshot.manifest["files"]:
        vectors = snapshot.table("vectors", ["customer_id", SILENCE]).to_pandas()
        waiting["silent"] = waiting["customer_id"].map(vectors.set_index("customer_id")[SILENCE])
    order = ["health_score", "silent", "customer_id"]
    first = waiting.sort_values(order, ascending=[True, False, True], na_position="last").head(count)
    return tuple(
        ByRule(
            rank,
            visible_text(str(row["customer_id"])),
            _number(row["health_score"]),
            _number(row["silent"]),
            bool(row["contact_consent"]),
        )
        for rank, row in enumerate(first.to_dict("records"), 1)
    )


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)  # NaN is no number
