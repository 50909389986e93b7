"""Waiting times between asks: those that the week's data know of, and those recorded here, as one.

The state of everybody is kept in memory: what follows from the data is worked out at once and again every minute,
because rests end; what is recorded moves the state of that customer alone.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vouch.features.contract.tables import DAY_US
from vouch.features.instants import MINUTE_US
from vouch.serving.asking.gains import flattened
from vouch.serving.asking.rules.caps import (
    ASKED,
    CODES,
    OPEN,
    QUOTA,
    REFUSED,
    Ask,
    resting,
    rests_until,
    standing_asks,
    united,
)
from vouch.serving.asking.rules.quotas import Groups

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from vouch.serving.asking.ranked_list import Places, RankedList
    from vouch.serving.asking.rules.policy import Policy
    from vouch.serving.store.mapped import Customers, Rows

Codes = np.ndarray[Any, np.dtype[np.int8]]
OF_AN_ASK = ("ask_id", "kind", "asked_us", "outcome", "outcome_us")


@dataclass
class Asking:
    """The state of asks over one week; `version` moves whenever somebody's state may have moved."""

    ranked: RankedList
    customers: Rows
    ids: Customers
    policy: Policy
    now_us: int
    version: int = 0
    seen: int = 0
    """The mark of the store up to which asks were taken."""
    recorded: dict[str, dict[str, Ask]] = field(default_factory=lambda: defaultdict(dict))
    """Asks recorded here, by customer and id."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._index: pd.Index | None = None
        self._places, self._asks = self._of_data()
        self._last = np.full(len(self.ranked), -1, dtype=np.int64)
        np.maximum.at(self._last, self.ranked.rows[self._places], self._asks["asked_us"].to_numpy(dtype=np.int64))
        self._here: dict[str, tuple[int, int]] = {}
        """Asks recorded here that stand: the place of who was asked, and when."""
        self._is_told_here = np.zeros(len(self._asks), dtype=bool)
        """Asks of the data that were recorded here too, and count as they stand here."""
        self.sizes = {
            column: self._by_group(column, np.arange(len(self.ranked), dtype=np.int32)) for column in self._columns
        }
        self.codes: Codes = np.full(len(self.ranked), -1, dtype=np.int8)
        self.groups = Groups({}, {}, 0)
        self._work_out()

    @property
    def _columns(self) -> Sequence[str]:
        return self.policy.quotas.columns

    def _by_group(self, column: str, places: Places) -> dict[str, int]:
        """How many of the places belong to which group."""
        codes = self.ranked.codes(column)[places]
        counts = np.bincount(codes[codes >= 0], minlength=len(self.ranked.categories[column]))
        return dict(zip(self.ranked.categories[column], counts.tolist(), strict=True))

    def _of_data(self) -> tuple[Places, pd.DataFrame]:
        """The asks of the data, and the place of who was asked."""
        names = (*OF_AN_ASK, "is_randomised")
        if "asks" not in self.customers.schema.names:
            return np.empty(0, dtype=np.int32), pd.DataFrame({name: [] for name in names})
        lists = pd.Series(pd.arrays.ArrowExtensionArray(self.customers.column("asks")))
        rows, asks = flattened(lists)
        return self.ranked.place_of[rows], pd.DataFrame({name: asks.field(name).to_pandas() for name in names})

    def asked_for(self, kind: str) -> list[int]:
        """Rows of the week of those who were asked for a kind, as far back as asks are told."""
        stands = (self._asks["kind"] == kind).to_numpy(bool) & ~self._is_told_here
        asked = {int(self.ranked.rows[place]) for place in self._places[stands]}
        with self._lock:
            recorded = {who: list(asks.values()) for who, asks in self.recorded.items()}
        here = [who for who, asks in recorded.items() if any(ask.kind == kind for ask in standing_asks(asks))]
        return sorted(asked | {row for who in here if (row := self.ids.row_of(who)) is not None})

    @property
    def of_data(self) -> tuple[Places, pd.DataFrame]:
        """The asks of the week's data, and the places of who was asked."""
        return self._places, self._asks

    def take(self, asks: Iterable[Ask], now_us: int) -> None:
        """Take asks that were recorded, or whose outcome was."""
        with self._lock:
            touched = {}
            for ask in asks:
                self.recorded[ask.customer_id][ask.ask_id] = ask
                row = self.ids.row_of(ask.customer_id)
                if row is not None:
                    touched[ask.customer_id] = row
                    self._note(ask, row)
            if touched:
                for customer_id, row in touched.items():
                    self._set(self.codes, customer_id, row, now_us)
                self.groups = self._counted()
                self.version += 1

    def _note(self, ask: Ask, row: int) -> None:
        held = self.customers.value(row, "asks") or ()
        if ask.ask_id in {known["ask_id"] for known in held}:
            self._is_told_here[self._number_of(ask.ask_id)] = True
        self._here.pop(ask.ask_id, None)
        if ask.withdrawn_us is None:
            self._here[ask.ask_id] = (int(self.ranked.place_of[row]), ask.asked_us)

    def _number_of(self, ask_id: str) -> Any:
        """Which of the asks of the data has an id."""
        if self._index is None:
            self._index = pd.Index(self._asks["ask_id"])
        return self._index.get_indexer(pd.Index([ask_id]))

    def tick(self, now_us: int) -> None:
        """Work the state out again where a minute has passed."""
        if now_us - self.now_us < MINUTE_US:
            return
        with self._lock:
            self.now_us = now_us
            self._work_out()
            self.version += 1

    def _work_out(self) -> None:
        codes = np.full(len(self.ranked), -1, dtype=np.int8)
        caps, asks = self.policy.caps, self._asks
        asked_us = asks["asked_us"].to_numpy(dtype=np.int64)
        is_open = asks["outcome"].isna().to_numpy() & (asked_us > self.now_us - caps.open_days * DAY_US)
        refused_us = asks["outcome_us"].fillna(asks["asked_us"]).to_numpy(dtype=np.int64)
        is_refusal = (asks["outcome"] == "declined").to_numpy(dtype=bool)
        rests = is_refusal & (refused_us > self.now_us - caps.rest_days_after_refusal * DAY_US)
        for days, most in caps.windows:
            self._mark(codes, asked_us > self.now_us - days * DAY_US, most, ASKED)
        self._mark(codes, rests, 1, REFUSED)
        self._mark(codes, is_open, caps.open_asks, OPEN)
        for customer_id in self.recorded:
            row = self.ids.row_of(customer_id)
            if row is not None:
                self._set(codes, customer_id, row, self.now_us)
        self.codes, self.groups = codes, self._counted()

    def _mark(self, codes: Codes, counts: np.ndarray[Any, np.dtype[np.bool_]], most: int, code: str) -> None:
        """Write a code to who has as many of the asks that count as there may be."""
        places, times = np.unique(self._places[counts], return_counts=True)
        codes[places[times >= most] if most else slice(None)] = CODES.index(code)

    def _set(self, codes: Codes, customer_id: str, row: int, now_us: int) -> None:
        code = resting(self.of(customer_id, row), self.policy.caps, now_us)
        codes[self.ranked.place_of[row]] = -1 if code is None else CODES.index(code)

    def rows_with_asks(self) -> list[int]:
        """Rows of the week of those who were asked, whoever knows of it."""
        known = set(np.unique(self.ranked.rows[self._places]).tolist())
        return sorted(known | {row for who in list(self.recorded) if (row := self.ids.row_of(who)) is not None})

    def customer_at(self, row: int) -> str:
        """Who stands in a row of the week."""
        return self.ranked.customer_id(int(self.ranked.place_of[row]))

    def of(self, customer_id: str, row: int, profile: Mapping[str, Any] | None = None) -> list[Ask]:
        """All asks of one customer that stand, those of the data and those recorded here, the latest last."""
        held = (self.customers.value(row, "asks") if profile is None else profile.get("asks")) or ()
        known = (Ask(customer_id=customer_id, **{name: ask[name] for name in OF_AN_ASK}) for ask in held)
        return standing_asks(united(known, self.recorded.get(customer_id, {}).values()).values())

    def _counted(self) -> Groups:
        """Asks by group in the days of the quota."""
        since_us = self.now_us - self.policy.quotas.days * DAY_US
        is_recent = (self._asks["asked_us"].to_numpy(dtype=np.int64) > since_us) & ~self._is_told_here
        recent = self._places[is_recent]
        here = [place for place, asked_us in self._here.values() if asked_us > since_us]
        places = np.concatenate([recent, np.asarray(here, dtype=np.int32)])
        return Groups(self.sizes, {column: self._by_group(column, places) for column in self._columns}, len(places))

    def last_us(self, place: int) -> int | None:
        """When who stands at a place was asked last, whoever knows of it."""
        row = int(self.ranked.rows[place])
        customer_id = self.ranked.customer_id(place)
        if self.recorded.get(customer_id):
            asks = self.of(customer_id, row)
            return asks[-1].asked_us if asks else None
        known = int(self._last[row])
        return known if known >= 0 else None

    def until_us(self, place: int) -> int | None:
        """Until when who stands at a place rests from asks; None for who need not, or for good."""
        if int(self.codes[place]) < 0:
            return None
        customer_id, row = self.ranked.customer_id(place), int(self.ranked.rows[place])
        return rests_until(self.of(customer_id, row), self.policy.caps, self.now_us)

    @property
    def state(self) -> Hashable:
        """What names the state of everybody."""
        return self.version

    def left(self, places: Places, listed: RankedList | None = None) -> Places:
        """Return the places of those who need not wait: in the list for any act, or in another one of the week."""
        of = listed or self.ranked
        standing = places if listed is None else self.ranked.place_of[listed.rows[places]]
        keep = self.codes[standing] < 0
        for column in self._columns:
            names = [*of.categories[column], None]
            over = np.asarray([self.groups.is_over(column, name, self.policy) for name in names], dtype=bool)
            if over.any():
                keep &= ~over[of.codes(column)[places]]
        return places[keep]

    def why(self, place: int) -> str | None:
        """Return why who stands at a place must wait, or None."""
        code = int(self.codes[place])
        if code >= 0:
            return CODES[code]
        groups = ((column, self.ranked.category(column, place)) for column in self._columns)
        return QUOTA if any(self.groups.is_over(*group, self.policy) for group in groups) else None
