"""`ServedWeek`: one published week as the service answers from it, rows mapped into memory, lists ready to search."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vouch.features.contract.tables import DAY_US
from vouch.features.errors import SnapshotError, StoreError
from vouch.serving.api.problems import Problem
from vouch.serving.asking.by_hand import SCORES_OF_OBJECTORS
from vouch.serving.asking.by_rules import MODEL, RULES, is_by_rules, is_endangered
from vouch.serving.asking.candidates import OF_CUSTOMERS, askable, recorded_by_hand, searchable_rows
from vouch.serving.asking.offers import NO_HOLDOUT, Holdout, OfferFacts, offer_facts, offer_worths
from vouch.serving.asking.ranked_list import DerivedCache, RankedList, RowCache
from vouch.serving.asking.ranking import LISTS, rank_at_risk
from vouch.serving.asking.reference_pool import reference_pool
from vouch.serving.asking.rules.policy import load_policy
from vouch.serving.asking.uplift import exploration_plan, uplift_by_kind
from vouch.serving.snapshots.read import health_rules_of, instant_before
from vouch.serving.snapshots.schema import NAMED, OPTED_OUT, THANK
from vouch.serving.store import weeks
from vouch.serving.store.digests import digests_of_files, keep_digests
from vouch.serving.store.mapped import Customers, Rows, file_name, keep_only, mapped
from vouch.serving.store.secrets import secret
from vouch.serving.weekly.accounts import week_accounts
from vouch.serving.weekly.people import people_index
from vouch.serving.weekly.populations import COLUMNS, populations
from vouch.serving.weekly.standing import week_standing, without

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from vouch.features.health import HealthRules
    from vouch.serving.asking.by_hand import ByHand
    from vouch.serving.asking.candidate_lists import CandidateLists
    from vouch.serving.asking.reference_pool import ReferencePool
    from vouch.serving.asking.rules.policy import Policy
    from vouch.serving.asking.waiting import Asking
    from vouch.serving.store.connection import Database
    from vouch.serving.store.weeks import StoredWeek
    from vouch.serving.weekly.accounts import Accounts
    from vouch.serving.weekly.people import PeopleIndex
    from vouch.serving.weekly.standing import Standing

STALE_DAYS = 8
"""A weekly snapshot is stale when its instant lies further back than a week and a day."""
_log = logging.getLogger("vouch.serving")
OF_WEEK = ("scores", "customers", "changes")
NOT_LISTS = tuple(name for name in OF_CUSTOMERS if name not in LISTS)


@dataclass(frozen=True)
class ServedWeek:
    """One week: rows by customer, and both ranked lists."""

    week: StoredWeek
    scores: Rows
    customers: Rows
    ids: Customers
    metrics: pa.Table
    candidates: pd.DataFrame
    lists: CandidateLists
    """The candidates, to be searched."""
    at_risk: RankedList
    asking: Asking
    """Who must wait with the next ask."""
    before: WeekBefore | None
    changes: Rows | None = None
    """What moved each score since the week before; None where the week was published without."""
    holdout: Holdout = NO_HOLDOUT
    """Who gets no retention offer by chance."""
    uplift: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    exploration: Mapping[str, Any] | None = None
    """How many asks at random are missing, and the share of places that would bring them."""
    named_lists: Rows | None = None
    """The lists behind the figures; None where the week was published without."""
    rows: RowCache = field(default_factory=RowCache)
    _derived: DerivedCache = field(default_factory=DerivedCache)
    """Those at risk in other orders, the standing, accounts: made when they are first asked for, anew when people have
    recorded something."""

    @property
    def ranked(self) -> RankedList:
        """The candidates for any act."""
        return self.lists.ranked

    def row_of(self, customer_id: str) -> int:
        """Row of a customer; raises Problem for one whom the week does not hold."""
        row = self.ids.row_of(customer_id)
        if row is None:
            raise Problem("unknown_customer", "The snapshot holds no such customer", "customer_id")
        return row

    def scores_at(self, row: int) -> dict[str, Any]:
        """The scores in a row as anybody may be told them: of who objects to being profiled none, with the reason."""
        scores = self.scores.at(row)
        if not self.ranked.is_opted_out(int(self.ranked.place_of[row])):
            return scores
        return {**dict.fromkeys(scores), **SCORES_OF_OBJECTORS, "customer_id": scores["customer_id"]}

    @cached_property
    def health_rules(self) -> HealthRules:
        """The rules of health that the week was made by."""
        return health_rules_of(self.week.manifest)

    @cached_property
    def without_model(self) -> frozenset[str]:
        """Models whose lists are ranked by rules, for the week was scored without a champion."""
        statuses = {name: pc.unique(self.scores.column(f"{name}_status")).to_pylist() for name in NAMED}
        models = self.week.manifest.get("models") or {}
        has_model = {name: models.get(name, True) is not None for name in NAMED}
        return frozenset(name for name, status in statuses.items() if is_by_rules(status, has_model=has_model[name]))

    def ranked_by(self, model: str, ranked: RankedList | None = None) -> str:
        """What the list of a model is ranked by: one of candidates by the most that is known of what asking brings."""
        if model in self.without_model:
            return RULES
        return MODEL if ranked is None else ranked.ranked_by

    def take_by_hand(self, hand: ByHand) -> None:
        """Take what people have recorded, so that it holds in all that is served from now on."""
        moved = self.lists.take(hand, self.ids)
        for row in moved:
            customer_id = self.scores.at(row)["customer_id"]
            status, band = (self.scores.value(row, name) for name in ("churn_status", "health_band"))
            is_known = "silent_days" in self.customers.schema.names
            is_listed = is_endangered(status, band, self.customers.value(row, "silent_days") if is_known else None)
            has = OPTED_OUT if customer_id in hand.objections else None if is_listed else status
            self.at_risk.exclude(row, has)
        if moved:
            self.rows.clear()
            self._derived.clear()

    @property
    def are_changes_stale(self) -> bool:
        """Whether what moved was told against another week than the one before, which was published later."""
        if self.before is None or "changes_since" not in self.week.manifest:
            return False
        since = self.week.manifest["changes_since"]
        return since is None or since["as_of"] != self.before.week.manifest["as_of"]

    def due_first(self, row: int) -> str | None:
        """What is due to the customer of a row before an ask; None where nothing is, or somebody has done it."""
        due: str | None = self.customers.value(row, "care_first")
        if due is None or not self.lists.by_hand.care:
            return due
        return None if due in self.lists.by_hand.care.get(self.scores.at(row)["customer_id"], ()) else due

    def profile(self, ranked: RankedList, place: int) -> dict[str, Any]:
        """The profile of who stands at a place of a list."""
        return self.profile_at(int(ranked.rows[place]))

    def profile_at(self, row: int) -> dict[str, Any]:
        """The profile in a row, without the consents that were taken back since the week was made."""
        profile = self.customers.at(row)
        if not self.lists.by_hand.withdrawn:
            return profile
        return self.lists.by_hand.profile_of(self.scores.value(row, "customer_id"), profile)

    @property
    def standing(self) -> Standing:
        """Where everybody stands beside the week before, worked out when it is first asked for."""
        standing: Standing = self._derived.of("standing", self._standing)
        return standing

    def _standing(self) -> Standing:
        before, place_of = self.before.scores if self.before else None, self.at_risk.place_of
        figures = (self.at_risk.values[place_of], self.at_risk.order[place_of])
        standing = week_standing(self.scores, self.customers, before, *figures)
        hand = self.lists.by_hand
        thanked = [name for name, done in hand.care.items() if THANK in done]
        return without(standing, self._rows_of(hand.objections), self._rows_of(thanked))

    def _rows_of(self, customer_ids: Iterable[str]) -> list[int]:
        return [row for name in customer_ids if (row := self.ids.row_of(name)) is not None]

    def at_risk_by(self, sort: str) -> RankedList:
        """Those at risk in an order: by revenue at risk (`value`), or by another figure, falling."""
        if sort == "value":
            return self.at_risk
        ranked: RankedList = self._derived.of(("sorted", sort), lambda: self._reordered(sort))
        return ranked

    def _reordered(self, sort: str) -> RankedList:
        standing = self.standing
        keys = {
            "probability": standing.probability,
            "change": standing.probability - standing.before,
            "renewal": np.where(standing.renewal_us >= 0, -standing.renewal_us.astype(np.float64), np.nan),
            "mrr": standing.mrr,
            "offer": offer_worths(self.scores.table(), self.offer_facts) if sort == "offer" else standing.mrr,
        }[sort]
        return self.at_risk.reordered(keys)

    @cached_property
    def offer_facts(self) -> OfferFacts:
        """What is known of retention offers as such."""
        return offer_facts(self.week.manifest, self.holdout)

    def is_sorted_by(self, sort: str) -> bool:
        """Whether those at risk stand in an order already."""
        return sort == "value" or ("sorted", sort) in self._derived

    @cached_property
    def references(self) -> ReferencePool:
        """The customers that requests for a reference are matched with, when one is first asked for."""
        return reference_pool(self.scores, self.customers, self.asking)

    @cached_property
    def people(self) -> PeopleIndex:
        """What customers are found by, folded when it is first asked for."""
        return people_index(self.scores, self.customers)

    @property
    def populations(self) -> dict[str, int]:
        """How many customers each named population has, counted when it is first asked for."""
        counts: dict[str, int] = self._derived.of("populations", self._populations)
        return counts

    def _populations(self) -> dict[str, int]:
        return populations(self.scores.table(list(COLUMNS)), self.lists.by_hand.objections)

    @property
    def accounts(self) -> Accounts:
        """Customers that belong together, summed up when they are first asked for."""
        accounts: Accounts = self._derived.of(
            "accounts", lambda: week_accounts(self.scores, self.customers, self.standing)
        )
        return accounts

    @cached_property
    def currencies(self) -> tuple[str, ...]:
        """The currencies that the week's money is in: the contract has one, and no sum goes over several."""
        if "currency" not in self.customers.schema.names:
            return ()
        named = self.customers.column("currency").cast(pa.string()).drop_null()
        return tuple(sorted(set(pc.utf8_upper(pc.utf8_trim_whitespace(named)).to_pylist())))

    @property
    def currency(self) -> str | None:
        """The one currency of all sums of the week; None where none is named, or several are."""
        return self.currencies[0] if len(self.currencies) == 1 else None

    def total(self, money: np.ndarray[Any, np.dtype[np.float64]]) -> float | None:
        """The sum of monthly revenues; None where no customer's is known, and where it would mix currencies."""
        if np.isnan(self.standing.mrr).all() or len(self.currencies) > 1:
            return None
        return round(float(np.nansum(money)), 2)

    @property
    def is_intact(self) -> bool:
        """Whether all that is read from files is as it was verified."""
        tables = [
            self.scores,
            self.customers,
            self.changes,
            self.named_lists,
            self.before.scores if self.before else None,
        ]
        return all(rows is None or rows.file is None or rows.file.is_intact for rows in tables)

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
            "data_through": _instant(manifest.get("data_through")),
            "is_stale": now_us - self.week.as_of_us > STALE_DAYS * DAY_US,
        }


def _instant(text: str | None) -> str | None:
    """An instant as text, whether its time is midnight or not."""
    return text if text is None or "T" in text else f"{text}T00:00:00Z"


@dataclass(frozen=True)
class WeekBefore:
    """The scores of the week before."""

    week: StoredWeek
    scores: Rows
    ids: Customers

    def of(self, customer_id: str) -> dict[str, Any] | None:
        """Scores of one customer, or None for one who was not known then."""
        row = self.ids.row_of(customer_id)
        return None if row is None else self.scores.at(row)


def load_week(database: Database, policy: Policy | None, now_us: int, as_of_us: int | None = None) -> ServedWeek | None:
    """Read a week of the store, by default the newest, None where there is none.

    Raises SnapshotError where it is not sound.
    """
    with database.reading() as connection:
        known = weeks.stored_weeks(connection, with_customers=True)
        if as_of_us is not None:
            known = [listed for listed in known if listed.as_of_us <= as_of_us]
        if not known or as_of_us not in (None, known[-1].as_of_us):
            return None
        week, before_us = known[-1], instant_before([listed.as_of_us for listed in known], known[-1].as_of_us)
        earlier = [listed for listed in known if listed.as_of_us == before_us]
        wanted = [*((week, name) for name in (*OF_WEEK, weeks.LISTS)), *((of, "scores") for of in earlier)]
        digests = {(of.snapshot_id, name): weeks.digests(connection, of.snapshot_id, name) for of, name in wanted}
        names = {key: file_name(listed) for key, listed in digests.items() if listed}
        digests_known = digests_of_files(connection)
        files = {
            key: mapped(database.home, name, digests_known.get(name), weeks.read_batches(connection, *key))
            for key, name in names.items()
        }
        metrics = pa.Table.from_batches(weeks.read_batches(connection, week.snapshot_id, weeks.METRICS))
        hand = recorded_by_hand(connection, week.as_of_us, now_us)
    if as_of_us is None:
        keep_only(database.home, frozenset(names.values()))
    _keep_digests(database, {names[key]: file.digest for key, file in files.items()})
    rows = {key: file.rows() for key, file in files.items()}
    scores, customers, changes = (rows.get((week.snapshot_id, name)) for name in OF_WEEK)
    if scores is None or customers is None:
        raise SnapshotError("The store holds no customers of the week. Score the week again with --revision.")
    before = _before(earlier[-1], rows) if earlier else None
    chosen = policy or load_policy()
    lists = rows.get((week.snapshot_id, weeks.LISTS))
    draws = secret(database, "exploration")
    return ready_week(week, scores, customers, chosen, draws, now_us, metrics, before, changes, hand, lists)


def _keep_digests(database: Database, digests: Mapping[str, str]) -> None:
    """Have the store know the files, so that the next start needs not write them."""
    try:
        keep_digests(database, digests)
    except StoreError as error:  # nothing can be written now: the files are what was just read all the same
        _log.warning("%s", error)


def ready_week(
    week: StoredWeek,
    scores: Rows,
    customers: Rows,
    policy: Policy,
    draws: str,
    now_us: int,
    metrics: pa.Table,
    before: WeekBefore | None,
    changes: Rows | None,
    hand: ByHand,
    named_lists: Rows | None = None,
) -> ServedWeek:
    """Make a week ready to be searched; `draws` is the secret that whatever is given at random follows from."""
    asking = askable(scores, customers, policy, draws, week.as_of_us, now_us, hand)
    return ServedWeek(
        week=week,
        scores=scores,
        customers=customers,
        ids=Customers(scores),
        metrics=metrics,
        candidates=asking.candidates,
        lists=asking.lists,
        at_risk=RankedList(rank_at_risk(_plain(scores, customers, hand))),
        asking=asking.asking,
        before=before,
        changes=changes,
        holdout=Holdout(policy.offers.holdout, draws, week.as_of_us),
        uplift=uplift_by_kind(week.manifest),
        exploration=exploration_plan(week.manifest, asking.asking.of_data[1], policy, now_us),
        named_lists=named_lists,
    )


def _plain(scores: Rows, customers: Rows, hand: ByHand) -> pd.DataFrame:
    """Rows as those at risk are ranked by."""
    return hand.applied(searchable_rows(scores.table(), customers.only(NOT_LISTS).table()))


def _before(week: StoredWeek, rows: Mapping[tuple[int, str], Rows]) -> WeekBefore:
    scores = rows[week.snapshot_id, "scores"]
    return WeekBefore(week, scores, Customers(scores))
