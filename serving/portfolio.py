"""One published week as the service answers from it: rows mapped into memory, lists ready to be searched."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from features.contract import DAY_US
from features.errors import SnapshotError
from serving.advocates import LISTS, at_risk, candidates
from serving.asking import Asking
from serving.columns import NAMED
from serving.database import weeks
from serving.database.settings import secret
from serving.exploration import with_draws
from serving.listing import Ranked, RowsKept
from serving.mapped import Customers, Rows, keep_only, mapped, named
from serving.policy import load_policy
from serving.uplift import uplift_by_kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.database.connection import Database
    from serving.database.weeks import Week
    from serving.policy import Policy

STALE_DAYS = 8
"""A weekly snapshot is stale when its instant lies further back than a week and a day."""
PROBABILITIES = tuple(f"{model}_probability" for model in NAMED)
OF_WEEK = ("scores", "customers", "changes")


@dataclass(frozen=True)
class Portfolio:
    """One week: rows by customer, and both ranked lists."""

    week: Week
    scores: Rows
    customers: Rows
    ids: Customers
    metrics: pa.Table
    candidates: pd.DataFrame
    ranked: Ranked
    """The candidates, to be searched."""
    at_risk: Ranked
    asking: Asking
    """Who must wait with the next ask."""
    before: Earlier | None
    changes: Rows | None = None
    """What moved each score since the week before; None where the week was published without."""
    uplift: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rows: RowsKept = field(default_factory=RowsKept)

    def profile(self, ranked: Ranked, place: int) -> dict[str, Any]:
        """The profile of who stands at a place of a list."""
        return self.customers.at(int(ranked.rows[place]))

    @property
    def metric_ids(self) -> frozenset[str]:
        """Ids of all metrics of the week."""
        return frozenset(self.metrics["metric_id"].to_pylist())

    def freshness(self, now_us: int) -> dict[str, Any]:
        """How new the week is, as all answers say it."""
        manifest = self.week.manifest
        return {
            "as_of": manifest["as_of"],
            "revision": self.week.revision,
            "scored_at": manifest["now"],
            "data_through": manifest["data_through"],
            "is_stale": now_us - self.week.as_of_us > STALE_DAYS * DAY_US,
        }


@dataclass(frozen=True)
class Earlier:
    """The scores of the week before."""

    week: Week
    scores: Rows
    ids: Customers

    def of(self, customer_id: str) -> dict[str, Any] | None:
        """Scores of one customer, or None for one who was not known then."""
        row = self.ids.row_of(customer_id)
        return None if row is None else self.scores.at(row)


def load(database: Database, policy: Policy | None, now_us: int) -> Portfolio | None:
    """Read the newest week of the store, None where there is none; raises SnapshotError where it is not sound."""
    with database.reading() as connection:
        known = weeks.weeks(connection, with_customers=True)
        if not known:
            return None
        *earlier, week = known
        wanted = [*((week, name) for name in OF_WEEK), *((of, "scores") for of in earlier[-1:])]
        digests = {(of.snapshot_id, name): weeks.digests(connection, of.snapshot_id, name) for of, name in wanted}
        files = {key: named(found) for key, found in digests.items() if found}
        rows = {key: mapped(database.home, file, weeks.read(connection, *key)) for key, file in files.items()}
        metrics = pa.Table.from_batches(weeks.read(connection, week.snapshot_id, weeks.METRICS))
    keep_only(database.home, frozenset(files.values()))
    scores, customers, changes = (rows.get((week.snapshot_id, name)) for name in OF_WEEK)
    if scores is None or customers is None:
        raise SnapshotError("The store holds no customers of the week. Score the week again with --revision.")
    before = _before(earlier[-1], rows) if earlier else None
    chosen = policy or load_policy()
    return _ready(week, scores, customers, chosen, secret(database, "exploration"), now_us, metrics, before, changes)


def _ready(
    week: Week,
    scores: Rows,
    customers: Rows,
    policy: Policy,
    draws: str,
    now_us: int,
    metrics: pa.Table,
    before: Earlier | None,
    changes: Rows | None,
) -> Portfolio:
    frame = searchable(scores.table(), customers.table())
    ranked = candidates(frame, policy, week.as_of_us)
    ranked = with_draws(ranked, policy.exploration.share, draws, week.as_of_us)
    ids, searched = Customers(scores), Ranked(ranked)
    asking = Asking(searched, customers, ids, policy, now_us)
    places, asks = asking.of_data
    unasked = ranked["advocacy_probability"].to_numpy(dtype=np.float64)[places]
    return Portfolio(
        week=week,
        scores=scores,
        customers=customers,
        ids=ids,
        metrics=metrics,
        candidates=ranked,
        ranked=searched,
        at_risk=Ranked(at_risk(frame.drop(columns=[name for name in LISTS if name in frame]))),
        asking=asking,
        before=before,
        changes=changes,
        uplift=uplift_by_kind(asks, unasked, policy, now_us),
    )


def _before(week: Week, rows: Mapping[tuple[int, str], Rows]) -> Earlier:
    scores = rows[week.snapshot_id, "scores"]
    return Earlier(week, scores, Customers(scores))


OF_SCORES = (
    "customer_id", *(f"{m}_status" for m in NAMED), *PROBABILITIES, "advocate_tier", "churn_band", "health_score",
)  # fmt: skip
OF_CUSTOMERS = (
    "segment", "region", "language", "advocacy_consent", "contact_consent", "mrr", "tenure_days", "nps_last",
    "open_tickets", "care_first", "acts",
)  # fmt: skip


def searchable(scores: pa.Table, customers: pa.Table) -> pd.DataFrame:
    """What filters and ranks read, one row per customer, with its place in the tables.

    Columns of lists stay as Arrow has them; a column that a week of an earlier version lacks is left out.
    """
    there = [name for name in OF_CUSTOMERS if name in customers.schema.names]
    frame: pd.DataFrame = scores.select(list(OF_SCORES)).to_pandas()
    frame = frame.join(customers.select([name for name in there if name not in LISTS]).to_pandas())
    lists = {name: pd.arrays.ArrowExtensionArray(customers[name]) for name in LISTS if name in there}
    return frame.assign(**lists, row=range(len(frame)))
