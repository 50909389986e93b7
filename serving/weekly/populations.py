"""Named populations of a week and how many customers each has: the one place that counts them.

Page, report, e-mail, API and Prometheus tell these figures by these names, so that a name never means two numbers. Who
has left is in `everybody` and `left` alone; who objects to being profiled has no band, no health and no tier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from vouch.serving.asking.by_hand import without_scores
from vouch.serving.snapshots.schema import OPTED_OUT, TIERS

if TYPE_CHECKING:
    from collections.abc import Collection

CHURNED = "churned"
COLUMNS = ("customer_id", "churn_status", "churn_band", "health_band", "advocate_tier")
"""Columns of the scores that populations are counted from."""
BANDS = {"high_risk": ("high",), "watched": ("watch",), "at_risk": ("high", "watch")}
UNHEALTHY = "at_risk"
"""How the rules of health call the lowest band."""
MEANINGS = {
    "everybody": "all customers that the week knows, those who have left among them",
    "left": "customers who have left",
    "customers": "customers who have not left",
    "opted_out": "customers who object to being profiled",
    "high_risk": "customers whose churn band is high",
    "watched": "customers whose churn band is watch",
    "at_risk": "customers whose churn band is high or watch",
    "unhealthy": "customers whose health band is the lowest",
    **{f"{tier}_advocates": f"customers whose tier of advocacy is {tier}" for tier in TIERS[1:]},
}
"""What each population is; a name that stands here stands for nothing else."""


def populations(scores: pa.Table, objecting: Collection[str]) -> dict[str, int]:
    """Return how many customers each population has, from scores of a week and who objects by now."""
    table = without_scores(scores.select(list(COLUMNS)), objecting)
    has_left = _is_any(table["churn_status"], (CHURNED,))
    here = table.filter(pc.invert(has_left))
    return {
        "everybody": len(table),
        "left": len(table) - len(here),
        "customers": len(here),
        "opted_out": _count(here["churn_status"], (OPTED_OUT,)),
        **{name: _count(here["churn_band"], bands) for name, bands in BANDS.items()},
        "unhealthy": _count(here["health_band"], (UNHEALTHY,)),
        **{f"{tier}_advocates": _count(here["advocate_tier"], (tier,)) for tier in TIERS[1:]},
    }


def _is_any(column: pa.ChunkedArray, values: tuple[str, ...]) -> Any:
    return pc.is_in(column, value_set=pa.array(values, pa.string()))


def _count(column: pa.ChunkedArray, values: tuple[str, ...]) -> int:
    return int(pc.sum(_is_any(column, values)).as_py() or 0)
