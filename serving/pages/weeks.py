"""Week after week: how many customers stand where, and how one customer's scores went, from the published snapshots."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from features.errors import SnapshotError
from serving.columns import NAMED
from serving.instants import spoken
from serving.report import NOT_SCORED, SCALES
from serving.snapshot import current_folder, published

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SHOWN = 13
"""Weeks that a trend looks back: a quarter."""
COUNTED = ("health_band", "churn_band", "advocate_tier")
SCORES = ("health_score", "health_band", "churn_band", "advocate_tier", *(f"{model}_probability" for model in NAMED))
_log = logging.getLogger("vouch.pages")


@dataclass(frozen=True)
class Week:
    """How many customers stand at each value of what is counted; those who have left are counted by themselves."""

    as_of: str
    customers: int
    left: int
    counts: Mapping[str, Mapping[str, int]]

    def of(self, column: str) -> list[tuple[str, int]]:
        """Counts in the order in which people read them."""
        known = [*SCALES[column][1], NOT_SCORED]
        return [(value, self.counts[column].get(value, 0)) for value in known]


def weeks(home: Path, newest_us: int, limit: int = SHOWN) -> list[Week]:
    """Return the published weeks up to an instant, the newest last; one that is not sound is left out."""
    found = []
    for as_of_us in [instant for instant in published(home) if instant <= newest_us][-limit:]:
        try:
            folder = current_folder(home, as_of_us)
            if folder is not None:
                found.append(_week(folder, as_of_us))
        except (SnapshotError, OSError, pa.ArrowException) as error:
            _log.warning("a week is left out of a trend: %s", type(error).__name__)
    return found


@lru_cache(maxsize=4 * SHOWN)
def _week(folder: Path, as_of_us: int) -> Week:
    """Count one week; the folder of a revision never changes once it is there. Page checksums are verified."""
    states = pq.read_table(
        folder / "scores.parquet", columns=["churn_status", *COUNTED], page_checksum_verification=True
    )
    has_left = pa.compute.equal(states["churn_status"], "churned")
    there = states.filter(pa.compute.invert(has_left))
    return Week(
        spoken(as_of_us), len(there), len(states) - len(there), {name: _counts(there[name]) for name in COUNTED}
    )


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value stands in a column; null reads as not scored."""
    found = pa.compute.value_counts(column).to_pylist()
    return {row["values"] or NOT_SCORED: row["counts"] for row in found}


def history(home: Path, customer_id: str, newest_us: int, limit: int = SHOWN) -> list[dict[str, Any]]:
    """Return the scores of one customer week by week, the newest last; only weeks that know the customer.

    Reads the few row groups that may hold the customer: rows are sorted by customer. Page checksums are verified.
    """
    rows = []
    for as_of_us in [instant for instant in published(home) if instant <= newest_us][-limit:]:
        folder = current_folder(home, as_of_us)
        if folder is None:
            continue
        try:
            found = _one(folder, customer_id, SCORES)
        except (OSError, pa.ArrowException) as error:
            _log.warning("a week is left out of a history: %s", type(error).__name__)
            continue
        rows += [{"as_of": spoken(as_of_us), **row} for row in found]
    return rows


def _one(folder: Path, customer_id: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    table = pq.read_table(
        folder / "scores.parquet",
        columns=list(columns),
        filters=[("customer_id", "==", customer_id)],
        page_checksum_verification=True,
    )
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows
