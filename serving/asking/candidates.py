"""The candidates who may be asked now, in order: one list of one week for the service, the report and the demo.

The ranked candidates of the week, places given at random, and who must wait: by the asks that the week's data know of
and those that the service has recorded since, within the caps and quotas of the company's policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from vouch.serving.asking.by_hand import ByHand
from vouch.serving.asking.candidate_lists import CandidateLists
from vouch.serving.asking.gains import EFFECTS
from vouch.serving.asking.ranking import LISTS, Filters
from vouch.serving.asking.rules.policy import load_policy
from vouch.serving.asking.waiting import Asking
from vouch.serving.snapshots.schema import NAMED
from vouch.serving.store.actions import care_since, objectors
from vouch.serving.store.asks import changed_since
from vouch.serving.store.connection import Database
from vouch.serving.store.details import withdrawn_consents
from vouch.serving.store.mapped import Customers, in_memory
from vouch.serving.store.overrides import standing
from vouch.serving.store.secrets import secret

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from sqlalchemy import Connection

    from vouch.serving.asking.ranked_list import FoundPlaces, RankedList
    from vouch.serving.asking.rules.policy import Policy
    from vouch.serving.snapshots.files import Snapshot
    from vouch.serving.store.mapped import Rows

OF_SCORES = (
    "customer_id", *(f"{model}_{part}" for part in ("status", "probability") for model in NAMED),
    "advocate_tier", "churn_band", "health_score", "health_band",
)  # fmt: skip
OF_CUSTOMERS = (
    "segment", "region", "language", "owner", "advocacy_consent", "contact_consent", "mrr", "tenure_days", "nps_last",
    "open_tickets", "silent_days", "care_first", "acts",
)  # fmt: skip
NOTHING = ByHand()


def searchable_rows(scores: pa.Table, customers: pa.Table) -> pd.DataFrame:
    """What filters and ranks read, one row per customer, with its place in the tables.

    Columns of lists stay as Arrow has them; a column that a week of an earlier version lacks is left out.
    """
    present = [name for name in OF_CUSTOMERS if name in customers.schema.names]
    frame: pd.DataFrame = scores.select(list(OF_SCORES)).to_pandas()
    if EFFECTS in scores.schema.names:
        frame = frame.assign(**{EFFECTS: pd.arrays.ArrowExtensionArray(scores[EFFECTS])})
    frame = frame.join(customers.select([name for name in present if name not in LISTS]).to_pandas())
    lists = {name: pd.arrays.ArrowExtensionArray(customers[name]) for name in LISTS if name in present}
    return frame.assign(**lists, row=range(len(frame)))


@dataclass(frozen=True)
class Askable:
    """The candidates of one week in their order, ready to be searched, and who of them must wait."""

    lists: CandidateLists
    asking: Asking

    @property
    def candidates(self) -> pd.DataFrame:
        """The customers in the order of the list for any act."""
        return self.lists.frame

    @property
    def ranked(self) -> RankedList:
        """The list for any act."""
        return self.lists.ranked

    def first(self, limit: int) -> FoundPlaces:
        """The places of the first who may be asked now, and how many may be."""
        return self.ranked.page(Filters(), limit, resting=(self.asking.state, self.asking.left))


def askable(
    scores: Rows, customers: Rows, policy: Policy, draws: str, as_of_us: int, now_us: int, hand: ByHand = NOTHING
) -> Askable:
    """Rank the customers of a week, and note who must wait by the asks that its data know of.

    `draws` is the secret that places given at random follow from; `hand` is what people have recorded.
    """

    def rows(row: int | None) -> pd.DataFrame:
        tables = (scores.table(), customers.table())
        return searchable_rows(*(tables if row is None else (table.slice(row, 1) for table in tables)))

    lists = CandidateLists(rows, policy, draws, as_of_us, hand)
    return Askable(lists, Asking(lists.ranked, customers, Customers(customers), policy, now_us))


def askable_now(home: Path, store: str | None, snapshot: Snapshot, now_us: int) -> Askable:
    """Who of a published week may be asked at an instant, as the service would list them: asks made later are unknown.

    `store` is where a team's store is, None for the one in the home. Raises StoreError where it does not answer,
    SnapshotError where the week is damaged.
    """
    scores, customers = (
        in_memory(snapshot.table(name, columns))
        for name, columns in (("scores", [*OF_SCORES, EFFECTS]), ("customers", None))
    )
    database = Database(home, store)
    try:
        with database.reading() as connection:
            hand = recorded_by_hand(connection, snapshot.as_of_us, now_us)
        draws = secret(database, "exploration")
        now = askable(scores, customers, load_policy(home), draws, snapshot.as_of_us, now_us, hand)
        with database.reading() as connection:
            known = [ask.as_of(now_us) for ask in changed_since(connection, 0) if ask.asked_us <= now_us]
        now.asking.take(known, now_us)
    finally:
        database.close()
    return now


def recorded_by_hand(connection: Connection, as_of_us: int, now_us: int) -> ByHand:
    """Return what people have recorded that counts beside a week."""
    scores = {name: override.score for name, override in standing(connection, now_us).items()}
    withdrawn = withdrawn_consents(connection, as_of_us)
    return ByHand(scores, care_since(connection, as_of_us), objectors(connection), withdrawn)
