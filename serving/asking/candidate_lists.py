"""Lists of who may be asked: that of all acts, and for chosen kinds of act those that somebody has searched for.

A kind that is ranked has everybody who may be asked for it, in the order of what that ask is worth. A public kind
(`review`) has everybody in an order that is drawn: it follows from a secret of the store, the week, the kind and the
customer, so that every page of every process has the same one, and nobody's health, score or answer moves it.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.serving.asking.exploration import with_draws
from vouch.serving.asking.ranked_list import RankedList
from vouch.serving.asking.ranking import rank_candidates
from vouch.serving.store.details import CONSENT_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    import pandas as pd

    from vouch.serving.asking.by_hand import ByHand
    from vouch.serving.asking.rules.policy import Policy
    from vouch.serving.store.mapped import Customers

MOST_LISTS = 12
"""Lists of chosen kinds that stay in memory; the least used go first."""
SPAN = float(2**64)
Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class KindList:
    """A list for chosen kinds: ranked, or drawn where `is_drawn`; `nps` is the latest answer at each place."""

    ranked: RankedList
    is_drawn: bool
    nps: Numbers


def draws(customer_ids: Iterable[str], secret: str, as_of_us: int, kind: str) -> Numbers:
    """Return a number from 0 to 1 for each customer, by which a week draws whom to ask for a kind."""
    seeds = (f"{secret} {as_of_us} {kind} {customer}" for customer in customer_ids)
    digests = b"".join(hashlib.blake2b(seed.encode(), digest_size=8).digest() for seed in seeds)
    return np.frombuffer(digests, dtype=">u8").astype(np.float64) / SPAN


def in_order(
    customers: pd.DataFrame, policy: Policy, secret: str, as_of_us: int, kinds: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return customers in the order in which they are asked, for any act or for one of the kinds."""
    frame = rank_candidates(customers, policy, as_of_us, kinds)
    if not kinds or not any(map(policy.is_drawn, kinds)):
        return with_draws(frame, policy.exploration.share, secret, as_of_us)
    frame = frame.assign(order=draws(frame["customer_id"], secret, as_of_us, kinds[0]), is_drawn=True)
    return frame.sort_values(["order", "customer_id"], ascending=[False, True], ignore_index=True)


class CandidateLists:
    """The lists of one week, kept to what people have recorded by hand. Safe for threads."""

    def __init__(
        self, rows: Callable[[int | None], pd.DataFrame], policy: Policy, secret: str, as_of_us: int, hand: ByHand
    ) -> None:
        self._rows, self._policy, self._secret, self._as_of_us = rows, policy, secret, as_of_us
        self.by_hand = hand
        self.frame = self._in_order(None)
        self.ranked = RankedList(self.frame)
        """All who are asked for any act."""
        self._held: OrderedDict[tuple[str, ...], KindList] = OrderedDict()
        self._lock = threading.Lock()

    def _in_order(self, kinds: Sequence[str] | None) -> pd.DataFrame:
        rows = self._rows(None)
        if kinds is None:
            self._given = {
                name: rows[name].eq(True).fillna(False).to_numpy(bool) for name in CONSENT_NAMES if name in rows
            }
        rows = self.by_hand.applied(rows)
        return in_order(rows, self._policy, self._secret, self._as_of_us, kinds)

    def of(self, kinds: tuple[str, ...]) -> KindList:
        """Return the list for these kinds, which whoever searches first waits for."""
        key = tuple(sorted(set(kinds)))
        with self._lock:
            if key not in self._held:
                self._held[key] = self._made(key)
                if len(self._held) > MOST_LISTS:
                    self._held.popitem(last=False)
            self._held.move_to_end(key)
            return self._held[key]

    def is_made(self, kinds: tuple[str, ...]) -> bool:
        """Whether the list for these kinds is there already."""
        return tuple(sorted(set(kinds))) in self._held

    def _made(self, kinds: tuple[str, ...]) -> KindList:
        frame = self._in_order(kinds)
        nps = frame["nps_last"].to_numpy(dtype=np.float64) if "nps_last" in frame else np.full(len(frame), np.nan)
        return KindList(RankedList(frame), any(map(self._policy.is_drawn, kinds)), nps)

    def why_not(self, row: int, kinds: Sequence[str] | None = None) -> str | None:
        """Return why whoever stands in a row of the week is not asked, whatever the asks are; None for who may be."""
        one = self.by_hand.applied(self._rows(row))
        exclusion = rank_candidates(one, self._policy, self._as_of_us, kinds)["exclusion"].iloc[0]
        return exclusion if isinstance(exclusion, str) else None

    def take(self, hand: ByHand, ids: Customers) -> set[int]:
        """Take what was recorded by hand since; return the rows of whom it is."""

        def is_given(customer_id: str, consents: Collection[str]) -> bool:
            row = ids.row_of(customer_id)
            return row is not None and any(self._given[name][row] for name in consents if name in self._given)

        with self._lock:
            moved = {row for name in hand.moved(self.by_hand, is_given) if (row := ids.row_of(name)) is not None}
            self.by_hand = hand
            for row in moved:
                self.ranked.exclude(row, self.why_not(row))
                for kinds, held in self._held.items():
                    held.ranked.exclude(row, self.why_not(row, kinds))
            return moved
