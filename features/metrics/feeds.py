"""The feed report: what each table of a company feeds, and what to be wary of."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from vouch.features.contract.tables import TABLES
from vouch.features.metrics.catalogue import load_metrics
from vouch.features.vectors.declare import load_families

if TYPE_CHECKING:
    from vouch.features.ingest.stage import Staged


def feeds() -> dict[str, list[str]]:
    """What each table of the contract feeds, as words: families of features with their number, and metrics."""
    families = Counter((feature.table, feature.family) for feature in load_families().values())
    fed: dict[str, list[str]] = {name: [] for name in TABLES}
    for (table, family), count in sorted(families.items(), key=str):
        if table:
            fed.setdefault(table, []).append(f"{family}: {count} feature{'s' if count > 1 else ''}")
    for name, metrics in _metrics().items():
        fed[name].append(f"metrics: {', '.join(metrics)}")
    return fed


def _metrics() -> dict[str, list[str]]:
    """Metrics by the tables that they cannot do without, or that are one of several ways to them."""
    metrics_of: dict[str, list[str]] = {}
    for metric in load_metrics().values():
        for table in dict.fromkeys(way.split(".")[0] for need in metric.inputs for way in need.split("|")):
            metrics_of.setdefault(table, []).append(metric.id)
    return metrics_of


def contract_report(staged: Staged) -> dict[str, Any]:
    """Return the report of `vouch check`: the figures of staging, with what is fed, and what is absent would feed."""
    fed = feeds()
    tables = {
        name: {**figures, "from": staged.places.get(name), "feeds": fed.get(name, [])}
        for name, figures in staged.counted["tables"].items()
    }
    absent = {name: fed[name] for name in TABLES if name not in tables}
    own = [verdict.as_dict() for verdict in staged.own.verdicts]
    return {"tables": tables, "absent": absent, "own": own, "warnings": [*staged.unread, *staged.counted["warnings"]]}
