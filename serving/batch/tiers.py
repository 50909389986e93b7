"""Advocate tiers at an instant, for the scores of a week: as `metrics.populations.advocacy` tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vouch.features.metrics.context import NO_SETTINGS, MetricContext, collected
from vouch.features.metrics.populations.advocacy import TIERS as BY_RANK
from vouch.features.metrics.populations.advocacy import tiers as ranked

if TYPE_CHECKING:
    from vouch.features.asof import Tables
    from vouch.features.metrics.context import Settings


def tiers(tables: Tables, as_of_us: int, settings: Settings = NO_SETTINGS) -> dict[str, str]:
    """Return the tier of every customer who has one other than `none`."""
    rows = collected(
        ranked(MetricContext(tables, as_of_us, settings=settings)).select("customer_id", "rank")
    ).to_pylist()
    return {row["customer_id"]: BY_RANK[row["rank"]] for row in rows}
