"""Parts of a health score: what each measure of the rules gives a customer, what is missing, and why the band is so.

Worked out from the vector that the week keeps on the disk of this host; where there is none nothing is told.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from vouch.features.durable import file_digest
from vouch.features.health import HealthRules, band_reason, health_rules, points_and_health
from vouch.serving.snapshots import files
from vouch.serving.snapshots.schema import OPTED_OUT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vouch.serving.api.week import ServedWeek


def health_of(values: Mapping[str, Any], rules: HealthRules | None = None) -> dict[str, Any]:
    """Return the parts of the score of a vector, its bounds, and why the band is not that of the score."""
    chosen = (rules or health_rules()).of(values.get("segment"))
    points, health = points_and_health(values, chosen)
    parts: list[dict[str, Any]] = [
        {
            "feature": measure.feature,
            "group": measure.group,
            "value": values.get(measure.feature),
            "points": reached,
            "weight": measure.weight / chosen.whole,
        }
        for measure, reached in zip(chosen.measures, points, strict=True)
        if measure.weight > 0  # what the rules leave out for a segment is no part of its score
    ]
    summary = {
        "parts": parts,
        "coverage": health["health_coverage"],
        "lowest": health["health_low"],
        "highest": health["health_high"],
    }
    why = band_reason(health, chosen)
    return {**summary, "explanation": None if why is None else str(why)}


def band_reason_answer(scores: Mapping[str, Any], rules: HealthRules) -> dict[str, Any] | None:
    """Why the band of a customer is another one than the score alone would give; None where it is not.

    `rules` are those of the customer's segment.
    """
    why = band_reason(scores, rules)
    if why is None:
        return None
    return {**{name: value for name, value in vars(why).items() if name != "band"}, "words": str(why)}


def health_answer(home: Path, week: ServedWeek, customer_id: str, status: str | None) -> dict[str, Any] | None:
    """How the health of a customer of a week comes about; None where this host has not its vectors as published."""
    folder = files.revisions(files.pointer(home, week.week.as_of_us).parent).get(week.week.revision)
    path = None if folder is None else folder / "vectors.parquet"
    if path is None or not path.exists() or status in {OPTED_OUT, "churned"}:
        return None
    try:
        stat = path.stat()
        if not _is_as_published(path, week.week.manifest["files"][path.name], stat.st_mtime_ns, stat.st_ctime_ns):
            return None
        columns = set(pq.read_schema(path).names)
        wanted = [name for name in week.health_rules.reads if name in columns]
        rows = pq.read_table(path, columns=wanted, filters=[("customer_id", "==", customer_id)]).to_pylist()
    except (KeyError, OSError, pa.ArrowException):  # it changes under our hands
        return None
    return health_of(rows[0], week.health_rules) if rows else None


@lru_cache(maxsize=8)
def _is_as_published(path: Path, digest: str, *_: int) -> bool:
    """Whether the bytes of a file are those that its week was published with; looked at again once it was touched."""
    return file_digest(path) == digest
