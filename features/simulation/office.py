"""Simulated tables of the company itself: costs, licences, tool use, overrides, maturity, competitors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.instants import WEEK_US
from vouch.features.simulation.frames import NEVER, Key, Text, customer
from vouch.features.simulation.population import RUNNING, Population
from vouch.features.simulation.voice import COMPETITORS

if TYPE_CHECKING:
    from vouch.features.simulation.frames import Numbers
    from vouch.features.simulation.recorder import Recorder

MONTH_US = 30 * DAY_US
COSTS = ("sales", "marketing", "programme")
CAPEX = ("platform", "equipment")
PRODUCTS = ("advocate_hub", "survey_suite")
TOOLS = ("invite", "reward", "report", "campaign", "badge", "export")
OVERRIDE_REASONS = ("executive contact", "migration under way", "known dispute")
METRICS = (("nps", 34.0, 4.0), ("csat", 78.0, 3.0), ("share_of_voice", 22.0, 4.0))
CRITERIA = tuple(f"level_{level}_criterion_{number}" for level in (1, 2, 3, 4) for number in (1, 2, 3))


class Office:
    """Writes the tables of the company as a whole."""

    def __init__(self, people: Population, recorder: Recorder, random: np.random.Generator) -> None:
        self.people, self.recorder, self.random = people, recorder, random
        self._staff = 12 + people.size // 400

    def week(self, week: int, from_us: int) -> None:
        """Use of the advocacy software, and a few health scores set by hand."""
        random = self.random
        rows = random.poisson(self._staff * (2.0 + 0.02 * week))
        user = np.floor(self._staff * random.random(rows) ** 1.7).astype(np.int64)
        self.recorder.write("advocacy_software", {
            "user_id": Key("W", user, 4),
            "role": Text(np.where(user < 4, 0, 1), ("admin", "member")),
            "occurred_at": from_us + random.integers(0, 5 * 86_400, rows) * 1_000_000,
            "feature": Text(random.choice(6, rows, p=(0.3, 0.2, 0.2, 0.15, 0.1, 0.05)), TOOLS),
        })  # fmt: skip
        running = np.flatnonzero(self.people.status == RUNNING)
        rows = min(random.poisson(0.3 + self.people.size / 20_000), len(running))
        who = random.choice(running, rows, replace=False) if rows else running[:0]
        at = from_us + random.integers(8 * 3600, 5 * 86_400, rows) * 1_000_000
        self.recorder.write("health_overrides", {
            "customer_id": customer(who),
            "score": np.round(random.uniform(10, 95, rows)),
            "reason": Text(random.integers(0, 3, rows), OVERRIDE_REASONS),
            "set_by": Key("W", random.integers(0, 4, rows), 4),
            "set_at": at,
            "expires_at": at + random.integers(2, 9, rows) * WEEK_US,
        })  # fmt: skip

    def periods(self, start_us: int, end_us: int) -> None:
        """Costs each month, investments each quarter, licences each half year, over the time of the data."""
        months = np.arange(start_us, end_us, MONTH_US)
        scale = self.people.size * np.exp(self.random.normal(0, 0.1, (3, len(months))))
        for kind, per_customer in enumerate((0.9, 1.4, 0.25)):
            self.recorder.write("costs", {
                "started_at": months,
                "ended_at": months + MONTH_US,
                "kind": Text(np.full(len(months), kind), COSTS),
                "amount": np.round(per_customer * scale[kind], 2),
            }, is_plain=True)  # fmt: skip
        quarters = months[::3]
        for category, per_customer in enumerate((3.0, 0.8)):
            self.recorder.write("capex", {
                "started_at": quarters,
                "ended_at": quarters + 3 * MONTH_US,
                "category": Text(np.full(len(quarters), category), CAPEX),
                "amount": np.round(per_customer * self.people.size * np.exp(self.random.normal(0, 0.2, len(quarters)))),
            }, is_plain=True)  # fmt: skip
        halves = months[::6]
        for product in range(len(PRODUCTS)):
            running = np.arange(len(halves)) == len(halves) - 1
            self.recorder.write("licences", {
                "product": Text(np.full(len(halves), product), PRODUCTS),
                "started_at": halves,
                "ended_at": np.where(running, NEVER, halves + 6 * MONTH_US),
                "seats": np.full(len(halves), self._staff + 5) + 4 * np.arange(len(halves)),
                "features_available": np.full(len(halves), len(TOOLS)),
            }, is_plain=True)  # fmt: skip

    def answers(self, start_us: int, end_us: int) -> None:
        """Maturity, answered twice, and what competitors publish each quarter."""
        criteria = np.tile(np.arange(len(CRITERIA)), 2)
        level = criteria // 3 + 1
        again = np.repeat((0, 1), len(CRITERIA))
        met = np.where(again == 0, level <= 1, (level <= 2) | (criteria == 7))
        middle = start_us + (end_us - start_us) // 2
        self.recorder.write("maturity_answers", {
            "criterion": Text(criteria, CRITERIA),
            "level": level,
            "is_met": met,
            "evidence": Text(np.where(met, 0, -1), ("reviewed by the programme lead",)),
            "answered_at": np.where(again == 0, start_us + DAY_US, middle) + criteria * 60_000_000,
        }, is_plain=True)  # fmt: skip
        quarters = np.arange(start_us, end_us, 91 * DAY_US) + DAY_US // 2
        for measure, (_, middle_value, spread) in enumerate(METRICS):
            for competitor in range(len(COMPETITORS)):
                self._observed(measure, competitor, quarters, middle_value, spread)

    def _observed(self, measure: int, competitor: int, at: Numbers, middle: float, spread: float) -> None:
        rows = len(at)
        self.recorder.write("competitor_metrics", {
            "competitor": Text(np.full(rows, competitor), COMPETITORS),
            "metric": Text(np.full(rows, measure), tuple(name for name, _, _ in METRICS)),
            "value": np.round(middle + spread * self.random.standard_normal(rows), 1),
            "observed_at": at,
        }, is_plain=True)  # fmt: skip
