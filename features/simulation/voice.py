"""Simulated tickets, surveys, feedback and posts, each a noisy image of the latent state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.instants import HOUR_US, MINUTE_US, WEEK_US
from vouch.features.simulation import causes
from vouch.features.simulation.frames import NEVER, Key, Numbers, Text, customer
from vouch.features.simulation.parameters import TAGS, Parameters
from vouch.features.simulation.population import FAR, GONE, RUNNING, SILENT, Population
from vouch.features.simulation.texts import verbatims

if TYPE_CHECKING:
    from vouch.features.simulation.recorder import Recorder

CHANNELS = ("email", "phone", "web", "store", "chat")
PRIORITIES = ("low", "normal", "high")
STATUSES = ("answered", "partial", "dismissed", "delivered")
TAG_WORDS = tuple(tag for language in TAGS for tag in language)
TOPICS = ("speed", "price", "support", "reports", "usability", "billing")
CXI_ITEMS = ("ease", "empathy", "understanding", "effectiveness", "emotion")
VIEWS = ("repurchase_intent", "better_value")
SOURCES = ("google", "trustpilot", "app_store", "own_site", "support", "amazon", "tripadvisor", "social", "other")
SOURCE_SHARES = (0.22, 0.2, 0.18, 0.15, 0.15, 0.04, 0.02, 0.03, 0.01)
PLATFORMS = ("x", "facebook", "instagram", "linkedin", "naver", "reddit")
COMPETITORS = ("Northwind", "Kaskade", "Hanbit")


class Voice:
    """Draws a week of what is said; positions are those of the population."""

    def __init__(self, people: Population, law: Parameters, recorder: Recorder, random: np.random.Generator) -> None:
        self.people, self.law, self.recorder, self.random = people, law, recorder, random
        self._relational = random.integers(0, 13, people.size)
        self._yearly = random.integers(0, 26, people.size)
        korean = law.habits.korean_scores * (people.language == 1)
        self._style = law.habits.scores * random.standard_normal(people.size) + korean

    def _when(self, rows: int, from_us: int) -> Numbers:
        """Times in the week, in waking hours, whole seconds."""
        day = self.random.integers(0, 7, rows) * DAY_US
        return from_us + day + self.random.integers(7 * 3600, 22 * 3600, rows) * 1_000_000

    def _later(self, at: Numbers, hours: float, spread: float = 1.0) -> Numbers:
        lag = np.exp(self.random.normal(np.log(hours), spread, len(at)))
        return at + np.maximum((lag * HOUR_US).astype(np.int64), MINUTE_US)

    def tickets(self, week: int, from_us: int) -> Numbers:
        """Tickets of the week; returns what the slow ones take from satisfaction, for everybody."""
        people, law, random = self.people, self.law.support, self.random
        rate = causes.ticket_rate(people.state, people.tenure_weeks(from_us), law)
        rate = np.where((people.status == RUNNING) & (people.started_us < from_us), rate, 0.0)
        fresh = random.random(people.size) < -np.expm1(-rate * law.slow)
        weeks = random.geometric(law.solved, people.size)
        newly = fresh & (people.stuck_until < week)
        slow, quick = np.flatnonzero(fresh), np.repeat(np.arange(people.size), random.poisson(rate * (1 - law.slow)))
        opened = self._when(len(slow), from_us)
        last = from_us + weeks[slow] * WEEK_US + (random.random(len(slow)) * WEEK_US).astype(np.int64)
        people.stuck_until = np.where(newly, week + weeks, people.stuck_until)
        opened_quick = self._when(len(quick), from_us)
        solved = np.where(newly[slow], last, self._later(opened, 30.0))
        self._write_tickets(slow, opened, solved, is_slow=newly[slow])
        self._write_tickets(quick, opened_quick, self._later(opened_quick, 9.0), is_slow=np.zeros(len(quick), bool))
        return np.where(fresh, law.blow, 0.0)

    def _write_tickets(self, who: Numbers, opened: Numbers, solved: Numbers, is_slow: Numbers) -> None:
        rows, random = len(who), self.random
        wait = np.exp(random.normal(np.where(is_slow, 8.6, 7.0), 1.1))
        solved = np.maximum(solved, opened + 2 * MINUTE_US)
        first = np.minimum(opened + (wait * 1e6).astype(np.int64), solved)
        felt = self.people.state.satisfaction[who]
        score = np.clip(np.round(3.7 + 0.9 * felt - 1.1 * is_slow + random.normal(0, 0.7, rows)), 1, 5)
        channel = np.minimum(random.geometric(0.45, rows) - 1, 4)
        moves = random.random(rows) < np.where(is_slow, 0.45, 0.15)
        self.recorder.write("tickets", {
            "customer_id": customer(who),
            "opened_at": opened,
            "first_response_at": first,
            "resolved_at": solved,
            "wait_s": np.round((first - opened) / 1e6),
            "first_channel": Text(channel, CHANNELS),
            "final_channel": Text(np.where(moves, (channel + 1) % 5, channel), CHANNELS),
            "contacts": 1 + random.poisson(np.where(is_slow, 2.5, 0.4)),
            "is_reopened": random.random(rows) < np.where(is_slow, 0.25, 0.05),
            "csat": np.where(random.random(rows) < 0.5, score, np.nan),
            "priority": Text(random.choice(3, rows, p=(0.25, 0.55, 0.2)), PRIORITIES),
        })  # fmt: skip
        asked = np.flatnonzero(random.random(rows) < 0.5)
        self._survey(
            "csat", who[asked], self._later(solved[asked], 6.0), touchpoint="support", shift=-0.6 * is_slow[asked]
        )
        asked = np.flatnonzero(random.random(rows) < 0.35)
        self._survey(
            "ces", who[asked], self._later(solved[asked], 6.0), touchpoint="support", shift=-0.8 * is_slow[asked]
        )

    def surveys(self, week: int, from_us: int) -> None:
        """Invitations of the week: NPS each quarter, a product CSAT now and then, yearly batteries for some."""
        people, random = self.people, self.random
        runs = (people.status == RUNNING) & (people.started_us < from_us - WEEK_US) & people.contact_consent
        due = np.flatnonzero(runs & ((week + self._relational) % 13 == 0))
        self._survey("nps", due, self._when(len(due), from_us), touchpoint="relational")
        some = np.flatnonzero(runs & (random.random(people.size) < 0.05))
        self._survey("csat", some, self._when(len(some), from_us), touchpoint="product")
        yearly = np.flatnonzero(runs & ((week + self._yearly) % 26 == 0))
        at = self._when(len(yearly), from_us)
        thirds = (yearly + week // 26) % 3
        for item in ("affinity", "attachment", "trust"):
            self._survey("emotional_loyalty", yearly[thirds == 0], at[thirds == 0], "relational", item)
        self._survey("trust", yearly[thirds == 0], at[thirds == 0], "relational", "best_for_customers")
        for item in CXI_ITEMS:
            self._survey("cxi", yearly[thirds == 1], at[thirds == 1], "relational", item)
        for item in ("expected", "perceived"):
            instrument = "expectation" if item == "expected" else "perception"
            self._survey(instrument, yearly[thirds == 2], at[thirds == 2], "relational", "service")
        few = np.flatnonzero(runs & (random.random(people.size) < 0.002))
        self._survey("culture", few, self._when(len(few), from_us), "relational", "fits_my_values")
        few = np.flatnonzero(runs & (random.random(people.size) < 0.003))
        self._survey("ces1", few, self._when(len(few), from_us), "onboarding")

    def batteries(self, week: int, from_us: int) -> None:
        """Twice a year, a quarter after the other batteries: how the company is seen, and whether it fits the customer.

        Drawn by a voice of its own, so that nothing else that happens hangs on it.
        """
        people = self.people
        runs = (people.status == RUNNING) & (people.started_us < from_us - WEEK_US) & people.contact_consent
        due = np.flatnonzero(runs & ((week + self._yearly) % 26 == 13))
        at = self._when(len(due), from_us)
        for item in VIEWS:
            self._survey("perception", due, at, "relational", item)
        self._survey("culture", due, at, "relational", "fits_my_values")

    def farewells(self, week: int, from_us: int) -> None:
        """Those who left a week ago are asked why; drawn by a voice of its own, as batteries are."""
        people = self.people
        left = (people.status == GONE) & (people.left_week == week - 1) & people.contact_consent
        who = np.flatnonzero(left)
        self._survey("exit", who, self._when(len(who), from_us), "relational", shift=-0.8)

    def _survey(
        self,
        instrument: str,
        who: Numbers,
        at: Numbers,
        touchpoint: str | None = None,
        item: str | None = None,
        shift: Numbers | float = 0.0,
    ) -> None:
        """One question to some; whether they answer depends on how they feel, so silence tells something."""
        rows, random, state = len(who), self.random, self.people.state
        s, e, a = state.satisfaction[who], state.engagement[who], state.affinity[who]
        answer = causes.gate(-0.75 + 0.45 * e + 0.35 * a + 0.3 * np.abs(s) + 0.15 * s)
        draw = random.random(rows)
        partial, dismissed = 0.04, 0.12
        status = np.where(
            draw < answer, 0, np.where(draw < answer + partial, 1, np.where(draw < answer + partial + dismissed, 2, 3))
        )
        low, high, middle, slope = SCALES[instrument]
        warm = 0.5 * a if instrument in {"nps", "emotional_loyalty", "trust"} else 0.0
        raw = middle + slope * (s + warm + shift + self._style[who] + random.normal(0, 0.5, rows))
        score = np.where(status == 0, np.clip(np.round(raw), low, high), np.nan)
        replied = np.where(status < 3, self._later(at, 14.0), NEVER)
        text = verbatims(random, self.people.language[who], s + shift, COMMENTS.get(instrument, 0.0))
        self.recorder.write("surveys", {
            "customer_id": customer(who),
            "instrument": _word(instrument, INSTRUMENTS, rows),
            "item": _word(item, ITEMS, rows),
            "scale_min": np.full(rows, low),
            "scale_max": np.full(rows, high),
            "score": score,
            "status": Text(status, STATUSES),
            "channel": Text(random.choice(3, rows, p=(0.6, 0.3, 0.1)), ("email", "app", "web")),
            "language": Text(self.people.language[who] * 3, TAG_WORDS),
            "invited_at": at,
            "responded_at": replied,
            "verbatim": Text(np.where(status == 0, text.codes, -1), text.words),
            "touchpoint": _word(touchpoint, TOUCHPOINTS, rows),
        })  # fmt: skip

    def feedback(self, from_us: int) -> None:
        """Reviews and remarks, mostly of the moved: very satisfied, very dissatisfied."""
        people, random = self.people, self.random
        s = people.state.satisfaction
        rate = np.where(people.status == RUNNING, 0.006 + 0.006 * np.abs(s) ** 1.5, 0.001)
        rate = np.where((people.kind == SILENT) | (people.created_us >= from_us), 0.0, rate)
        self.remark(np.flatnonzero(random.random(people.size) < rate), from_us)
        strangers = np.full(random.poisson(people.size / 2000), -1)
        self.remark(strangers, from_us)

    def remark(self, who: Numbers, from_us: int, at: Numbers | None = None) -> None:
        """Write feedback by some; position -1 is somebody unknown."""
        people, random, rows = self.people, self.random, len(who)
        felt = np.where(who >= 0, people.state.satisfaction[who], random.normal(0, 1, rows))
        source = random.choice(len(SOURCES), rows, p=SOURCE_SHARES)
        most = np.where(np.isin(source, (0, 1, 2, 3, 5, 6)), 5.0, np.where(source == 7, 10.0, np.nan))
        rating = np.clip(np.round(most * (0.68 + 0.22 * felt + random.normal(0, 0.1, rows))), 1, most)
        times = self._when(rows, from_us) if at is None else at
        acted = np.where(random.random(rows) < 0.45, self._later(times, 70.0), NEVER)
        closed = np.where((acted != NEVER) & (random.random(rows) < 0.7), self._later(acted, 40.0), NEVER)
        self.recorder.write("feedback", {
            "customer_id": customer(who),
            "source": Text(source, SOURCES),
            "occurred_at": times,
            "text": verbatims(random, np.where(who >= 0, people.language[who], 0), felt, 0.85),
            "rating": rating,
            "rating_max": most,
            "language": Text(np.where(who >= 0, people.language[who] * 3, -1), TAG_WORDS),
            "topic": Text(np.where(random.random(rows) < 0.6, random.integers(0, 6, rows), -1), TOPICS),
            "acted_on_at": acted,
            "closed_at": closed,
        })  # fmt: skip

    def posts(self, from_us: int) -> None:
        """Posts of customers, of strangers about the brand, and of anybody about competitors."""
        people, random = self.people, self.random
        rate = np.where(people.status == RUNNING, 0.006, 0.0008) * np.exp(0.9 * people.state.affinity)
        rate = np.where((people.kind == SILENT) | (people.created_us >= from_us), 0.0, rate)
        who = np.concatenate([np.repeat(np.arange(people.size), random.poisson(rate)),
                              np.full(random.poisson(people.size / 400), -1)])  # fmt: skip
        rows = len(who)
        brand = (who >= 0) | (random.random(rows) < 0.5)
        felt = np.where(
            who >= 0, people.state.satisfaction[who] + 0.3 * people.state.affinity[who], random.normal(0, 0.8, rows)
        )
        followers = np.exp(random.normal(5.5, 1.3, rows)).astype(np.int64)
        seen = (followers * random.random(rows)).astype(np.int64)
        at = self._when(rows, from_us)
        author = np.where(who >= 0, who, FAR + random.integers(0, 5000, rows))
        self.recorder.write("social_posts", {
            "author": Key("u", author, 8),
            "customer_id": customer(np.where(random.random(rows) < 0.9, who, -1)),
            "platform": Text(random.integers(0, 6, rows), PLATFORMS),
            "occurred_at": at,
            "likes": random.poisson(0.03 * seen + 0.5),
            "shares": random.poisson(0.004 * seen),
            "comments": random.poisson(0.006 * seen),
            "impressions": np.where(random.random(rows) < 0.1, -1, np.maximum(seen * 2, 1)),
            "reach": seen,
            "followers": followers,
            "is_brand_mention": brand,
            "competitor": Text(np.where(brand, -1, random.integers(0, 3, rows)), COMPETITORS),
            "text": verbatims(random, np.where(who >= 0, people.language[who], 0), felt, 0.95),
            "language": Text(np.where(who >= 0, people.language[who] * 3, 0), TAG_WORDS),
            "brand_reacted_at": np.where(brand & (random.random(rows) < 0.3), self._later(at, 10.0), NEVER),
        })  # fmt: skip


SCALES = {
    "nps": (0.0, 10.0, 7.2, 1.7), "csat": (1.0, 5.0, 3.6, 0.8), "ces": (1.0, 7.0, 4.7, 1.1),
    "ces1": (1.0, 5.0, 2.5, -0.7), "trust": (1.0, 5.0, 3.6, 0.7), "emotional_loyalty": (1.0, 7.0, 4.4, 1.1),
    "cxi": (1.0, 5.0, 3.5, 0.8), "expectation": (1.0, 7.0, 5.2, 0.1), "perception": (1.0, 7.0, 4.8, 1.0),
    "culture": (1.0, 5.0, 3.5, 0.5), "exit": (1.0, 5.0, 3.2, 0.7),
}  # fmt: skip
"""Lowest and highest score, the score at satisfaction 0, and points per unit of it."""
INSTRUMENTS = tuple(SCALES)
COMMENTS = {"nps": 0.4, "csat": 0.4, "exit": 0.6}
"""Share of answers with words of one's own."""
TOUCHPOINTS = ("relational", "support", "product", "onboarding")
ITEMS = (*CXI_ITEMS, *VIEWS, "affinity", "attachment", "trust", "best_for_customers", "service", "fits_my_values")


def _word(word: str | None, words: tuple[str, ...], rows: int) -> Text:
    """One word of a vocabulary for all rows, or none."""
    return Text(np.full(rows, words.index(word) if word else -1), words)
