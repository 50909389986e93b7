"""Short windows: features that look back less far than from one delivery of their table to the next.

Of a table that comes by the month, the last seven days hold all of a delivery or nothing: such a feature says only how
long ago the delivery was, the same for everybody. No model is taught it, and no guard misses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vouch.features.vectors.declare import load_families

if TYPE_CHECKING:
    from collections.abc import Mapping


def short_windows(cadences: Mapping[str, int]) -> frozenset[str]:
    """Return the features whose window is shorter than the cadence (days) of their table, and what is made of them."""
    features = load_families()
    short = {
        name
        for name, feature in features.items()
        if feature.window_days is not None and feature.window_days < cadences.get(feature.table or "", 0)
    }
    while short and (derived := {name for name, of in features.items() if of.sources & short} - short):
        short |= derived
    return frozenset(short)
