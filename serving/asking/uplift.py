"""Uplift of asking, from randomised asks: accepted asks against what the same customers do unasked.

Only asks with `is_randomised` and an outcome, or time enough for one, are read: whoever was chosen because of a high
score would have spoken up more often anyway. Unasked is the model's calibrated probability, over its own horizon.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.metrics.estimators import FEW
from vouch.features.statistics.intervals import wilson

if TYPE_CHECKING:
    import pandas as pd

    from vouch.serving.asking.rules.policy import Policy

Numbers = np.ndarray[Any, np.dtype[np.float64]]


def uplift_by_kind(asks: pd.DataFrame, unasked: Numbers, policy: Policy, now_us: int) -> dict[str, dict[str, Any]]:
    """Return by kind of act what a randomised ask adds, with its interval; a kind with fewer than 30 is left out.

    `asks` has one row per ask (`kind`, `asked_us`, `outcome`, `is_randomised`), `unasked` the probability of each one's
    customer, NaN where there is none.
    """
    if not len(asks):
        return {}
    settled = asks["outcome"].notna() | (asks["asked_us"] <= now_us - policy.caps.open_days * DAY_US)
    counts = asks["is_randomised"].eq(True).fillna(False).astype(bool) & settled & ~np.isnan(unasked)
    groups: dict[str, list[int]] = defaultdict(list)
    for place in np.flatnonzero(counts.to_numpy(dtype=bool)):
        groups[str(asks["kind"].iloc[place])].append(int(place))
    return {kind: _uplift(asks, unasked, places) for kind, places in sorted(groups.items()) if len(places) >= FEW}


def _uplift(asks: pd.DataFrame, unasked: Numbers, places: list[int]) -> dict[str, Any]:
    accepted = int((asks["outcome"].iloc[places] == "accepted").sum())
    base = float(unasked[places].mean())
    around = wilson(accepted, len(places))
    return {
        "value": accepted / len(places) - base,
        "ci_low": float(around.low) - base,
        "ci_high": float(around.high) - base,
        "n": len(places),
        "unasked": base,
    }
