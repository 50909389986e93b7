"""Simulated product usage: events and sessions, the images of engagement.

Satisfaction shows in them too: the content spend longer (`value` is minutes), the dissatisfied call and write rather
than click; affinity shows as time in the community.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vouch.features.contract.tables import CHANNELS
from vouch.features.instants import HOUR_US, WEEK_US
from vouch.features.simulation.frames import NEVER, Key, Numbers, Text, customer
from vouch.features.simulation.parameters import EVENTS, FEATURES, PLAN_USAGE
from vouch.features.simulation.population import BUYER, RUNNING, Population

if TYPE_CHECKING:
    from vouch.features.simulation.parameters import Habits
    from vouch.features.simulation.recorder import Recorder

WEB, APP, EMAIL, PHONE, STORE, COMMUNITY, API = range(7)
_DAYS = np.array([[1.0, 1.0, 1.0, 1.0, 1.05, 1.2, 1.15], [1.2, 1.25, 1.25, 1.2, 1.0, 0.2, 0.15]])
"""Weight of the days from Monday: people at home, people at work."""
_HOURS = np.array([
    [1, 1, 1, 1, 1, 2, 4, 7, 8, 8, 8, 9, 10, 9, 8, 8, 9, 11, 13, 15, 15, 12, 7, 3],
    [0, 0, 0, 0, 0, 1, 3, 8, 14, 16, 16, 14, 10, 14, 15, 15, 13, 9, 4, 2, 2, 1, 1, 0],
], dtype=float)  # fmt: skip


def _calendar() -> Numbers:
    """Cumulative shares of the 168 hours of a week, by kind of customer."""
    weight = _DAYS[:, :, None] * _HOURS[:, None, :]
    flat = weight.reshape(2, 168)
    return np.asarray(np.cumsum(flat / flat.sum(axis=1, keepdims=True), axis=1))


_CALENDAR = _calendar()
BUYER_VISITS = 0.06
PEOPLE_UNKNOWN = 10**8


class Usage:
    """Draws a week of use."""

    def __init__(self, people: Population, habits: Habits, recorder: Recorder, random: np.random.Generator) -> None:
        self.people, self.recorder, self.random = people, recorder, random
        self._phase = random.integers(0, 40, people.size)
        self._minutes = habits.minutes * random.standard_normal(people.size)
        self._writing = np.exp(habits.writing * random.standard_normal(people.size))
        self._community = np.exp(habits.community * random.standard_normal(people.size))
        self._breadth = habits.breadth * random.standard_normal(people.size)

    def _moments(self, who: Numbers, from_us: int) -> Numbers:
        """Times in the week by the habits of home and work, in milliseconds."""
        draw = self.random.random(len(who))
        at_work = self.people.segment[who] > 0
        hour = np.where(at_work, np.searchsorted(_CALENDAR[1], draw), np.searchsorted(_CALENDAR[0], draw))
        hour = np.minimum(hour, 167)
        within = self.random.integers(0, 3_600_000, len(who)) * 1_000
        return np.asarray(from_us + hour * HOUR_US + within)

    def _inside(self, who: Numbers, at: Numbers) -> Numbers:
        """Whether the customer has joined, and not left, by then."""
        people = self.people
        ends = people.ends_us[who]
        return np.asarray((at >= people.created_us[who]) & ((ends == NEVER) | (at < ends)))

    def events(self, week: int, from_us: int) -> None:
        """Usage events of the week."""
        people, random, state = self.people, self.random, self.people.state
        leaving = np.where(people.ends_us != NEVER, 0.5, 1.0)
        away = (week + self._phase) % 40 < 2
        rate = np.exp(np.array(PLAN_USAGE)[people.plan] + 0.9 * state.engagement) * leaving * np.where(away, 0.3, 1.0)
        rate = np.where(people.status == RUNNING, rate, 0.0)
        rate = np.where((people.kind == BUYER) & (people.created_us < from_us + WEEK_US), BUYER_VISITS, rate)
        who = np.repeat(np.arange(people.size), random.poisson(np.minimum(rate, 200.0)))
        at = self._moments(who, from_us)
        tied = (random.random(len(who)) < 0.02) & (np.roll(who, 1) == who)
        at = np.where(tied, np.roll(at, 1), at)
        keep = self._inside(who, at)
        self._write_events(who[keep], at[keep])

    def _write_events(self, who: Numbers, at: Numbers) -> None:
        people, random, state, rows = self.people, self.random, self.people.state, len(who)
        s, e, a = state.satisfaction, state.engagement, state.affinity
        breadth = np.clip(3.5 + 2.0 * e + 0.9 * s + 0.8 * people.plan + self._breadth, 1, len(FEATURES))
        minutes = np.exp(1.2 + 0.18 * s + self._minutes)
        number = self.recorder.numbers("usage_events", rows)
        self.recorder.write("usage_events", {
            "event_id": Key("E", np.where(random.random(rows) < 0.003, -1, number)),
            "customer_id": customer(who),
            "occurred_at": at,
            "event": Text((len(EVENTS) * random.random(rows) ** 1.6).astype(np.int8), EVENTS),
            "feature": Text((breadth[who] * random.random(rows) ** 1.5).astype(np.int8), FEATURES),
            "channel": Text(self._channel(who, s, a), CHANNELS),
            "value": np.round(minutes[who] * np.exp(random.normal(0, 0.8, rows)), 2),
            "user_id": Key("U", who * 64 + (people.seats[who] * random.random(rows)).astype(np.int64) % 64),
        })  # fmt: skip

    def _channel(self, who: Numbers, s: Numbers, a: Numbers) -> Numbers:
        people = self.people
        weight = np.zeros((people.size, 7))
        weight[:, WEB] = np.where(people.segment > 0, 1.0, 0.6)
        weight[:, APP] = np.where(people.segment > 0, 0.5, 1.0)
        weight[:, EMAIL] = 0.06 * np.exp(-0.5 * s) * self._writing
        weight[:, PHONE] = 0.04 * np.exp(-0.6 * s) * self._writing
        weight[:, STORE] = 0.02
        weight[:, COMMUNITY] = 0.06 * np.exp(0.8 * a) * self._community
        weight[:, API] = np.where(people.plan >= 2, 0.3, 0.0)
        bounds = np.cumsum(weight, axis=1)
        bounds /= bounds[:, -1:]
        draw = self.random.random(len(who))
        code = np.zeros(len(who), dtype=np.int8)
        for channel in range(6):
            code += draw >= bounds[who, channel]
        return code

    def sessions(self, from_us: int) -> None:
        """Visits to the site: of customers, of strangers, of machines."""
        people, random, state = self.people, self.random, self.people.state
        rate = np.where(people.status == RUNNING, 0.35 * np.exp(0.6 * state.engagement), 0.01)
        rate = np.where(people.created_us < from_us + WEEK_US, rate, 0.0)
        who = np.repeat(np.arange(people.size), random.poisson(np.minimum(rate, 30.0)))
        at = self._moments(who, from_us)
        keep = self._inside(who, at)
        who, at = who[keep], at[keep]
        strangers = random.poisson(0.03 * people.size)
        who = np.concatenate([who, np.full(strangers, -1)])
        at = np.concatenate([at, from_us + random.integers(0, 7 * 86_400, strangers) * 1_000_000])
        rows = len(who)
        is_known = who >= 0
        felt = np.where(is_known, state.satisfaction[who], -0.5)
        seconds = np.minimum(np.exp(random.normal(5.2 + 0.25 * felt, 0.9)), 3 * 3600.0)
        bot = ~is_known & (random.random(rows) < 0.2)
        visitor = np.where(is_known, who, PEOPLE_UNKNOWN + random.integers(0, 1 + 20 * people.size, rows))
        engaged = np.where(random.random(rows) < 0.06, np.nan, np.round(seconds * random.uniform(0.4, 0.95, rows)))
        self.recorder.write("sessions", {
            "customer_id": customer(who),
            "visitor_id": Key("N", visitor),
            "started_at": at,
            "ended_at": at + (seconds * 1e6).astype(np.int64),
            "engaged_s": engaged,
            "channel": Text(np.where(random.random(rows) < 0.6, WEB, APP), CHANNELS),
            "is_bot": np.where(is_known & (random.random(rows) < 0.3), -1, bot),
        })  # fmt: skip
