"""Simulated payments, orders, refunds and loyalty points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.instants import WEEK_US
from vouch.features.simulation import causes
from vouch.features.simulation.contracts import KINDS
from vouch.features.simulation.frames import NEVER, Key, Numbers, Text, customer
from vouch.features.simulation.parameters import CATEGORIES
from vouch.features.simulation.population import BUYER, PAUSED, RUNNING, SUBSCRIBER, Population

if TYPE_CHECKING:
    from vouch.features.simulation.frames import Frame
    from vouch.features.simulation.recorder import Recorder

CHANNELS = ("web", "app", "store", "phone")
TIERS = ("bronze", "silver", "gold")
LOT_DAYS = 365
"""Points of a lot expire after so many days."""


class Commerce:
    """Draws a week of money; a payment frame has `who`, `at`, `amount`, `kind`."""

    def __init__(self, people: Population, recorder: Recorder, random: np.random.Generator) -> None:
        self.people, self.recorder, self.random = people, recorder, random
        self.enrolled_us = np.full(people.size, NEVER)
        self._is_saver = random.random(people.size) < 0.15
        self._after: list[tuple[Numbers, Numbers, Numbers]] = []
        self._extra_orders = np.where(people.kind == BUYER, random.geometric(0.6, people.size) - 1, 0)

    def payments(self, frame: Frame) -> None:
        """Write payments of contracts."""
        who, at, amount, kind = (np.asarray(frame[name]) for name in ("who", "at", "amount", "kind"))
        rows = len(who)
        self._write(who, at, np.round(amount, 2), kind, category=np.full(rows, -1), discount=np.full(rows, np.nan),
                    order=np.full(rows, -1))  # fmt: skip
        self._earn(who, at, amount)

    def first_orders(self, who: Numbers, at: Numbers) -> None:
        """Orders of one-time buyers as they join; most buy once, some come back."""
        if len(who) == 0:
            return
        again = np.repeat(who, self._extra_orders[who])
        later = np.repeat(at, self._extra_orders[who])
        later = later + (self.random.exponential(50.0, len(again)) * DAY_US).astype(np.int64) + DAY_US
        self._orders(np.concatenate([who, again]), np.concatenate([at, later]))

    def orders(self, from_us: int) -> None:
        """Orders beside the subscription. Savers whose satisfaction is low order more often, and for less."""
        people, random, state = self.people, self.random, self.people.state
        rate = 0.05 * np.exp(0.4 * state.engagement + 0.2 * state.satisfaction)
        rate *= np.where(self._is_saver & (state.satisfaction < -0.2), 2.5, 1.0)
        rate = np.where((people.status == RUNNING) & (people.started_us < from_us), rate, 0.0)
        who = np.repeat(np.arange(people.size), random.poisson(rate))
        at = from_us + random.integers(0, 7 * 86_400, len(who)) * 1_000_000
        ends = people.ends_us[who]
        keep = (ends == NEVER) | (at < ends)
        self._orders(who[keep], at[keep])

    def _orders(self, who: Numbers, at: Numbers) -> None:
        """Orders of one to three lines at one instant."""
        random, state = self.random, self.people.state
        order = self.recorder.numbers("orders", len(who))
        lines = random.choice((1, 2, 3), len(who), p=(0.7, 0.2, 0.1))
        who, at, order = np.repeat(who, lines), np.repeat(at, lines), np.repeat(order, lines)
        rows = len(who)
        saves = self._is_saver[who] & (state.satisfaction[who] < -0.2)
        amount = np.exp(random.normal(3.3 + 0.25 * (self.people.segment[who] > 0), 0.6)) * np.where(saves, 0.55, 1.0)
        discount = np.where(random.random(rows) < np.where(saves, 0.6, 0.15), amount * 0.15, np.nan)
        category = random.integers(0, len(CATEGORIES), rows)
        self._write(
            who, at, np.round(amount, 2), np.zeros(rows, dtype=np.int64), category, np.round(discount, 2), order
        )
        self._earn(who, at, amount)
        self._refunds(who, at, amount, category, order)

    def _refunds(self, who: Numbers, at: Numbers, amount: Numbers, category: Numbers, order: Numbers) -> None:
        """Returned lines, more of the dissatisfied; a few are booked with the wrong sign."""
        random = self.random
        back = random.random(len(who)) < 0.05 * np.exp(-0.6 * self.people.state.satisfaction[who])
        rows = int(back.sum())
        sign = np.where(random.random(rows) < 0.02, 1.0, -1.0)
        later = at[back] + (random.uniform(1, 21, rows) * DAY_US).astype(np.int64)
        self._write(who[back], later, np.round(sign * amount[back], 2), np.full(rows, KINDS.index("refund")),
                    category[back], np.full(rows, np.nan), order[back])  # fmt: skip

    def _write(
        self,
        who: Numbers,
        at: Numbers,
        amount: Numbers,
        kind: Numbers,
        category: Numbers,
        discount: Numbers,
        order: Numbers,
    ) -> None:
        rows, random = len(who), self.random
        share = np.where(kind == 0, 0.42, 0.76) + random.normal(0, 0.03, rows)
        is_after = at >= self.recorder.end_us
        self._after.append((who[is_after], at[is_after], (amount * share)[is_after]))
        channel = np.where(kind == 1, 0, random.choice(4, rows, p=(0.6, 0.25, 0.1, 0.05)))
        product = np.where(
            category >= 0, category * 20 + random.integers(0, 20, rows), 900 + self.people.plan[who].astype(np.int64)
        )
        self.recorder.write("transactions", {
            "customer_id": customer(who),
            "occurred_at": at,
            "amount": amount,
            "gross_margin": np.where(random.random(rows) < 0.03, np.nan, np.round(amount * share, 2)),
            "kind": Text(kind, KINDS),
            "channel": Text(channel, CHANNELS),
            "product_id": Key("P", product, 4),
            "category": Text(category, CATEGORIES),
            "discount": discount,
            "order_id": Key("O", order),
        })  # fmt: skip

    def margin_between(self, from_us: int, until_us: int) -> Numbers:
        """Margin of everybody between two instants that are not before the last one; the truth alone may read it."""
        total = np.zeros(self.people.size)
        for who, at, margin in self._after:
            inside = (at >= from_us) & (at < until_us)
            np.add.at(total, who[inside], margin[inside])
        return total

    def enrol(self, from_us: int) -> None:
        """Members join the programme some days after they are customers."""
        people, random = self.people, self.random
        can = people.is_member & (people.created_us < from_us) & (self.enrolled_us == NEVER)
        who = np.flatnonzero(can & (random.random(people.size) < 0.5))
        self.enrolled_us[who] = from_us + random.integers(0, 7 * 86_400, len(who)) * 1_000_000

    def _earn(self, who: Numbers, at: Numbers, amount: Numbers) -> None:
        """Points for what is paid: a lot each, redeemed by some, in part or whole, else expired."""
        random = self.random
        member = (self.enrolled_us[who] != NEVER) & (self.enrolled_us[who] < at)
        who, at, points = who[member], at[member], np.maximum(np.round(amount[member]), 1.0)
        rows = len(who)
        lot = self.recorder.numbers("loyalty_ledger", rows)
        redeems = random.random(rows) < causes.gate(-0.6 + 0.9 * self.people.state.affinity[who])
        part = np.where(random.random(rows) < 0.6, 1.0, 0.5)
        used = np.where(redeems, np.maximum(np.round(points * part), 1.0), 0.0)
        rest = points - used
        when = at + (random.uniform(2, 330, rows) * DAY_US).astype(np.int64)
        expired = rest > 0
        kinds = (np.zeros(rows), np.ones(int(redeems.sum())), np.full(int(expired.sum()), 2))
        fresh = [lot, *(self.recorder.numbers("loyalty_ledger", len(kind)) for kind in kinds[1:])]
        self.recorder.write("loyalty_ledger", {
            "entry_id": Key("L", np.concatenate(fresh)),
            "customer_id": customer(np.concatenate([who, who[redeems], who[expired]])),
            "occurred_at": np.concatenate([at, when[redeems], at[expired] + LOT_DAYS * DAY_US]),
            "kind": Text(np.concatenate(kinds).astype(np.int8), ("earn", "redeem", "expire", "adjust")),
            "points": np.concatenate([points, used[redeems], rest[expired]]),
            "lot_id": Key("L", np.concatenate([lot, lot[redeems], lot[expired]])),
        })  # fmt: skip

    def adjust(self, from_us: int) -> None:
        """A few goodwill points."""
        people, random = self.people, self.random
        who = np.flatnonzero((self.enrolled_us != NEVER) & (random.random(people.size) < 0.0004))
        rows = len(who)
        self.recorder.write("loyalty_ledger", {
            "customer_id": customer(who),
            "occurred_at": from_us + random.integers(0, 7 * 86_400, rows) * 1_000_000,
            "kind": Text(np.full(rows, 3), ("earn", "redeem", "expire", "adjust")),
            "points": np.full(rows, 50.0),
            "lot_id": Key("L", np.full(rows, -1)),
        })  # fmt: skip

    def members(self, start_us: int) -> None:
        """The table of members; some who are no customers any more have left."""
        people, random = self.people, self.random
        who = np.flatnonzero(self.enrolled_us != NEVER)
        gone = (people.kind[who] == SUBSCRIBER) & ~np.isin(people.status[who], (RUNNING, PAUSED))
        gone &= random.random(len(who)) < 0.5
        left = people.left_week[who] * WEEK_US
        tier = np.minimum((people.plan[who] + random.integers(0, 2, len(who))) // 2, 2)
        self.recorder.write("loyalty_members", {
            "customer_id": customer(who),
            "enrolled_at": self.enrolled_us[who],
            "left_at": np.where(gone, np.maximum(start_us + left + WEEK_US, self.enrolled_us[who]), NEVER),
            "tier": Text(tier, TIERS),
        })  # fmt: skip
