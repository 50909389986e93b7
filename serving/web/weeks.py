"""Weekly trends from the store: how many customers stand where, and how one customer's scores went.

Without the store there are no trends; what is served is told all the same.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute

from vouch.features.errors import SnapshotError, StoreError
from vouch.features.instants import instant_text
from vouch.serving.asking.by_hand import without_scores
from vouch.serving.reports.report import NOT_SCORED, SCALES
from vouch.serving.store import weeks as of_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from vouch.serving.api.state import ServingState
    from vouch.serving.api.week import ServedWeek

SHOWN = of_store.WEEKS_WITH_STATES
"""Weeks that a trend looks back: a quarter."""
COUNTED = ("health_band", "churn_band", "advocate_tier")
_log = logging.getLogger("vouch.pages")


@dataclass(frozen=True)
class WeekCounts:
    """How many customers stand at each value of what is counted; those who have left are counted by themselves."""

    as_of: str
    customers: int
    left: int
    counts: Mapping[str, Mapping[str, int]]

    def of(self, column: str) -> list[tuple[str, int]]:
        """Counts in the order in which people read them."""
        known = [*SCALES[column][1], NOT_SCORED]
        return [(value, self.counts[column].get(value, 0)) for value in known]


def week_counts(store: ServingState, limit: int = SHOWN, last: ServedWeek | None = None) -> list[WeekCounts]:
    """Return the weeks up to one, by default the one that is served, that last, as far as the store tells of them."""
    try:
        with store.database.reading() as connection:
            return [
                counts
                for week in _weeks_up_to(last or store.portfolio, connection, limit)
                if (counts := _counted(store, connection, week))
            ]
    except (StoreError, SnapshotError) as error:
        _log.warning("there are no trends: %s", type(error).__name__)
        return []


def history(
    store: ServingState, customer_id: str, limit: int = SHOWN, last: ServedWeek | None = None
) -> list[dict[str, Any]]:
    """Return the scores of one customer in the weeks up to one, that last; only weeks that know the customer."""
    try:
        with store.database.reading() as connection:
            shown = _weeks_up_to(last or store.portfolio, connection, limit)
            return of_store.states_of(connection, shown, customer_id)
    except (StoreError, SnapshotError) as error:
        _log.warning("there is no history: %s", type(error).__name__)
        return []


def _weeks_up_to(last: ServedWeek, connection: Connection, limit: int) -> list[of_store.StoredWeek]:
    return [week for week in of_store.stored_weeks(connection) if week.as_of_us <= last.week.as_of_us][-limit:]


def _counted(store: ServingState, connection: Connection, week: of_store.StoredWeek) -> WeekCounts | None:
    """One week, counted once; None for one of which the store does not tell where customers stood."""
    served = store.portfolio
    is_served = (week.as_of_us, week.revision) == (served.week.as_of_us, served.week.revision)
    objecting = served.lists.by_hand.objections if is_served else frozenset()
    key = (week.snapshot_id, week.version, objecting)
    if key not in store.counted:
        states = of_store.states(connection, week)
        store.counted[key] = (
            None if states is None else _count(instant_text(week.as_of_us), without_scores(states, objecting))
        )
    counts: WeekCounts | None = store.counted[key]
    return counts


def _count(as_of: str, states: pa.Table) -> WeekCounts:
    has_left = pa.compute.equal(states["churn_status"], "churned")
    present = states.filter(pa.compute.invert(has_left))
    counts = {name: _values(present[name]) for name in COUNTED}
    return WeekCounts(as_of, len(present), len(states) - len(present), counts)


def _values(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value stands in a column; null reads as not scored."""
    counts = pa.compute.value_counts(column).to_pylist()
    return {row["values"] or NOT_SCORED: row["counts"] for row in counts}
