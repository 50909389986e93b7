"""Simulated subscriptions: starts, cancellations, plan changes, pauses, returns, and when each is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.instants import HOUR_US, WEEK_US
from vouch.features.simulation import causes
from vouch.features.simulation.frames import NEVER, Frame, Key, Numbers, Text, customer, stack, take
from vouch.features.simulation.parameters import PLAN_PRICES, PLANS, Parameters
from vouch.features.simulation.population import GONE, PAUSED, RUNNING, SUBSCRIBER, Population

if TYPE_CHECKING:
    from vouch.features.simulation.recorder import Recorder

MONTH_US, YEAR_US = 30 * DAY_US, 365 * DAY_US
REASONS = ("too_expensive", "missing_features", "bad_support", "competitor", "not_used", "payment_failed", "other")
KINDS = ("purchase", "renewal", "upgrade", "downgrade", "refund")
CURRENCY = "EUR"
BUSINESS_PLAN = 2
"""Annual customers on this plan or a larger one must announce that they will not renew."""


class Book:
    """All subscription rows, in growing arrays; a row is a span of contract."""

    def __init__(self, rows: int) -> None:
        self.rows = 0
        self.customer = np.zeros(rows, dtype=np.int64)
        self.started = np.zeros(rows, dtype=np.int64)
        self.ended = np.full(rows, NEVER)
        self.known = np.full(rows, NEVER)
        self.mrr = np.zeros(rows)
        self.plan = np.zeros(rows, dtype=np.int8)
        self.is_annual = np.zeros(rows, dtype=bool)
        self.reason = np.full(rows, -1, dtype=np.int8)
        self.is_voluntary = np.full(rows, -1, dtype=np.int8)

    def open(self, who: Numbers, at: Numbers, mrr: Numbers, plan: Numbers, is_annual: Numbers) -> Numbers:
        """Start one row for each; returns their positions."""
        needed = self.rows + len(who)
        if needed > len(self.customer):
            self._grow(max(needed, 2 * len(self.customer)))
        new = np.arange(self.rows, needed)
        self.rows = needed
        self.customer[new], self.started[new], self.mrr[new] = who, at, np.round(mrr, 2)
        self.plan[new], self.is_annual[new] = plan, is_annual
        return new

    def close(self, row: Numbers, at: Numbers, known: Numbers, reason: Numbers, is_voluntary: Numbers) -> None:
        """End rows; `known` is when an announced end was said, NEVER for ends that are known as they come."""
        self.ended[row], self.known[row] = at, known
        self.reason[row], self.is_voluntary[row] = reason, is_voluntary

    def _renewal(self, end_us: int) -> Numbers:
        """The next day from the last instant on on which an annual contract renews, if it goes on."""
        here = slice(0, self.rows)
        years = -(-(end_us - self.started[here]) // YEAR_US)
        return np.where(self.is_annual[here], self.started[here] + years * YEAR_US, NEVER)

    def _grow(self, rows: int) -> None:
        more = rows - len(self.customer)
        for name, nothing in (("customer", 0), ("started", 0), ("ended", NEVER), ("known", NEVER), ("mrr", 0)):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.full(more, nothing, dtype=old.dtype)]))
        for name, nothing in (("plan", 0), ("is_annual", 0), ("reason", -1), ("is_voluntary", -1)):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.full(more, nothing, dtype=old.dtype)]))

    def write(self, recorder: Recorder, end_us: int, random: np.random.Generator) -> None:
        """Rows as they stand at the end; an announced end is a second version, known before it comes."""
        here = slice(0, self.rows)
        is_announced = self.known[here] != NEVER
        is_known = ~is_announced | (self.known[here] < end_us)
        renewal, goes_on = self._renewal(end_us), ~is_known | (self.ended[here] == NEVER)
        frame: Frame = {
            "subscription_id": Key("S", recorder.numbers("subscriptions", self.rows)),
            "customer_id": customer(self.customer[here]),
            "started_at": self.started[here],
            "ended_at": np.where(is_known, self.ended[here], NEVER),
            "mrr": self.mrr[here],
            "plan": Text(self.plan[here], (*PLANS, "add_on")),
            "billing_period": Text(self.is_annual[here].astype(np.int8), ("month", "year")),
            "cancel_reason": Text(self.reason[here], REASONS),
            "is_voluntary": self.is_voluntary[here],
            "renewal_at": np.where(goes_on, renewal, NEVER),
            "currency": Text(np.zeros(self.rows, dtype=np.int8), (CURRENCY,)),
            "ingested_at": np.full(self.rows, NEVER),
        }
        before = {**frame, "ended_at": np.full(self.rows, NEVER), "renewal_at": renewal}
        before["cancel_reason"] = Text(np.full(self.rows, -1, dtype=np.int8), REASONS)
        before["is_voluntary"] = np.full(self.rows, -1, dtype=np.int8)
        announced = is_announced & is_known
        after = {**frame, "ingested_at": self.known[here]}
        mended = (random.random(self.rows) < 0.002) & ~announced & (self.ended[here] == NEVER)
        mended &= self.started[here] + 20 * DAY_US < end_us
        price = {**frame, "mrr": np.round(self.mrr[here] * 0.9, 2), "ingested_at": self.started[here] + 9 * DAY_US}
        versions = [take(frame, ~announced), take(before, announced), take(after, announced), take(price, mended)]
        recorder.write("subscriptions", stack(versions), is_plain=True)


@dataclass
class Contracts:
    """The contracts of a population as the weeks go by: `current` and `extra` are rows of the book."""

    people: Population
    law: Parameters
    random: np.random.Generator

    def __post_init__(self) -> None:
        size = self.people.size
        self.book = Book(2 * size + 64)
        self.current = np.full(size, -1)
        self.extra = np.full(size, -1)

    def start(self, who: Numbers, at: Numbers) -> Frame:
        """Begin contracts; returns the first payments. Some take an add-on that starts and ends with it."""
        people = self.people
        price = np.array(PLAN_PRICES)[people.plan[who]] * (1 + 0.6 * (people.seats[who] - 1))
        annual = people.is_annual[who]
        self.current[who] = self.book.open(who, at, price, people.plan[who], annual)
        added = self.random.random(len(who)) < self.law.mixture.add_on
        extra = self.book.open(who[added], at[added], 0.25 * price[added], np.full(added.sum(), 4), annual[added])
        self.extra[who] = -1
        self.extra[who[added]] = extra
        people.status[who] = RUNNING
        people.started_us[who] = at
        people.ends_us[who] = NEVER
        people.returns_us[who] = NEVER
        people.bills_us[who] = at + np.where(annual, YEAR_US, MONTH_US)
        return self._payment(who, at, "purchase")

    def _payment(self, who: Numbers, at: Numbers, kind: str) -> Frame:
        months = np.where(self.people.is_annual[who], 10.0, 1.0)
        return {
            "who": who,
            "at": at,
            "amount": self.book.mrr[self.current[who]] * months,
            "kind": np.full(len(who), KINDS.index(kind)),
        }

    def bill(self, from_us: int, until_us: int) -> Frame:
        """Renewals that fall due in [from, until) for those who have not left by then."""
        people = self.people
        due = (people.status == RUNNING) & (people.bills_us >= from_us) & (people.bills_us < until_us)
        due &= (people.ends_us == NEVER) | (people.bills_us < people.ends_us)
        who = np.flatnonzero(due)
        at = people.bills_us[who].copy()
        people.bills_us[who] += np.where(people.is_annual[who], YEAR_US, MONTH_US)
        return self._payment(who, at, "renewal")

    def intensity(self, week: int, at_us: int) -> Numbers:
        """Churn intensity of everybody at a Monday, stuck tickets included, exposure not."""
        people, law = self.people, self.law.churn
        tenure = people.tenure_weeks(at_us)
        fixed = np.array(law.plans)[people.plan] + causes.trial(tenure, law) + self.law.log_shift(at_us)
        stuck = people.stuck_until >= week
        return causes.churn_intensity(people.state, fixed, people.plan == 0, law) * causes.stuck_factor(
            stuck, tenure, law
        )

    def decide(self, from_us: int, intensity: Numbers) -> None:
        """Who decides in this week to leave, how, and from when; those who have an end already do not."""
        people, law = self.people, self.law.churn
        free = (people.status == RUNNING) & (people.ends_us == NEVER) & (people.started_us < from_us)
        weeks_left = (people.bills_us - from_us) // WEEK_US
        must_tell = people.is_annual & (people.plan >= BUSINESS_PLAN)
        decides = weeks_left == np.where(must_tell, law.annual_notice_weeks, 0)
        exposure = np.where(people.is_annual, np.where(decides, law.annual_exposure, 0.0), 1.0)
        leaves = free & (self.random.random(people.size) < -np.expm1(-exposure * intensity))
        fails = free & ~leaves & ~people.is_annual & (self.random.random(people.size) < law.involuntary)
        when = from_us + (self.random.random(people.size) * WEEK_US).astype(np.int64)
        tells = np.where(people.is_annual, must_tell, self.random.random(people.size) < law.notice)
        own = np.where(tells, when + law.notice_days * DAY_US, when)
        ends = np.where(people.is_annual, people.bills_us, own)
        share = np.where(fails, law.involuntary_resumes, np.where(people.is_annual | tells, 0.0, law.pause))
        pauses = self.random.random(people.size) < share
        back = ends + ((3 + 8 * self.random.random(people.size)) * DAY_US).astype(np.int64)
        who = np.flatnonzero(leaves | fails)
        people.ends_us[who] = np.where(fails, when, ends)[who]
        people.returns_us[who] = np.where(pauses, np.where(fails, back - ends + when, back), NEVER)[who]
        known = np.where(tells & leaves, when, NEVER)[who]
        self._close(who, people.ends_us[who], known, self._reason(who, fails[who]), ~fails[who])

    def _close(self, who: Numbers, at: Numbers, known: Numbers, reason: Numbers, is_voluntary: Numbers) -> None:
        self.book.close(self.current[who], at, known, reason, is_voluntary)
        more = self.extra[who] >= 0
        self.book.close(self.extra[who][more], at[more], known[more], reason[more], is_voluntary[more])

    def _reason(self, who: Numbers, fails: Numbers) -> Numbers:
        """Reasons as given: they follow the state, two in five give none."""
        state, people = self.people.state, self.people
        idle = state.engagement[who] < -0.8
        reason = np.where(people.stuck_until[who] >= 0, 2, np.where(idle, 4, self.random.integers(0, 4, len(who))))
        reason = np.where(self.random.random(len(who)) < 0.4, -1, reason)
        return np.where(fails, 5, reason).astype(np.int8)

    def change_plans(self, from_us: int) -> Frame:
        """Upgrades and downgrades: one row ends and the next starts at the same instant, the period anew."""
        people, state = self.people, self.people.state
        free = (people.status == RUNNING) & (people.ends_us == NEVER) & (people.started_us < from_us - 4 * WEEK_US)
        free &= (people.bills_us - from_us > 4 * WEEK_US) | ~people.is_annual
        draw = self.random.random(people.size)
        up = free & (people.plan < 3) & (draw < 0.0012 * np.exp(0.5 * state.engagement))
        down = free & ~up & (people.plan > 0) & (draw > 1 - 0.0009 * np.exp(-0.6 * state.satisfaction))
        who = np.flatnonzero(up | down)
        at = from_us + 2 * HOUR_US + (self.random.random(len(who)) * (WEEK_US - 2 * HOUR_US)).astype(np.int64)
        people.plan[who] += np.where(up[who], 1, -1).astype(np.int8)
        price = np.array(PLAN_PRICES)[people.plan[who]] * (1 + 0.6 * (people.seats[who] - 1))
        self._replace(who, at, price)
        people.bills_us[who] = at + np.where(people.is_annual[who], YEAR_US, MONTH_US)
        frame = self._payment(who, at, "upgrade")
        frame["kind"] = np.where(up[who], 2, 3)
        return frame

    def _replace(self, who: Numbers, at: Numbers, price: Numbers) -> None:
        row = self.current[who]
        nothing = np.full(len(who), -1)
        self.book.close(row, at, np.full(len(who), NEVER), nothing, nothing)
        self.current[who] = self.book.open(who, at, price, self.people.plan[who], self.people.is_annual[who])

    def raise_prices(self, from_us: int, plans: tuple[str, ...]) -> None:
        """A higher price for monthly customers of some plans, all at one instant."""
        people = self.people
        raised = (people.status == RUNNING) & (people.ends_us == NEVER) & ~people.is_annual
        raised &= np.isin(people.plan, [PLANS.index(plan) for plan in plans]) & (people.started_us < from_us)
        who = np.flatnonzero(raised)
        self._replace(who, np.full(len(who), from_us + HOUR_US), 1.12 * self.book.mrr[self.current[who]])

    def close_week(self, week: int, until_us: int) -> Frame:
        """Ends that have come, then returns that have come; gives the payments of those who return."""
        people = self.people
        ended = np.flatnonzero((people.ends_us != NEVER) & (people.ends_us < until_us))
        people.status[ended] = np.where(people.returns_us[ended] == NEVER, GONE, PAUSED)
        people.left_week[ended] = week
        people.ends_us[ended] = NEVER
        lost = (people.status == GONE) & (people.kind == SUBSCRIBER) & (people.left_week <= week - 5)
        won = np.flatnonzero(lost & (self.random.random(people.size) < self.law.churn.win_back))
        people.returns_us[won] = until_us - (self.random.random(len(won)) * 2 * DAY_US).astype(np.int64) - 1
        people.status[won] = PAUSED
        back = (people.status == PAUSED) & (people.returns_us != NEVER) & (people.returns_us < until_us)
        who = np.flatnonzero(back)
        return self.start(who, people.returns_us[who].copy())
