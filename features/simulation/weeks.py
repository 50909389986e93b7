"""The weeks of a simulated company: its population, those who record it, and what happens week by week."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vouch.features.instants import MINUTE_US, WEEK_US
from vouch.features.simulation import causes
from vouch.features.simulation.advocacy import AdvocacyWeeks
from vouch.features.simulation.commerce import Commerce
from vouch.features.simulation.contracts import MONTH_US, YEAR_US, Contracts
from vouch.features.simulation.firms import firm_columns
from vouch.features.simulation.frames import (
    NEVER,
    Files,
    Frame,
    Key,
    Numbers,
    Text,
    customer,
    stack,
    take,
)
from vouch.features.simulation.names import account_numbers, personal_columns
from vouch.features.simulation.office import Office
from vouch.features.simulation.parameters import COUNTRIES, LAST_INSTANT_US, PLANS
from vouch.features.simulation.population import BUYER, RUNNING, SUBSCRIBER, customers_table, is_new, populate
from vouch.features.simulation.recorder import Recorder
from vouch.features.simulation.truth import truth
from vouch.features.simulation.usage import Usage
from vouch.features.simulation.voice import Voice

if TYPE_CHECKING:
    from vouch.features.simulation.parameters import Parameters


class Company:
    """One run: the population, those who record it, and the weeks."""

    def __init__(self, files: Files, truths: Files, customers: int, weeks: int, seed: int, law: Parameters) -> None:
        streams = [np.random.default_rng(part) for part in np.random.SeedSequence([seed, customers, weeks]).spawn(16)]
        self.start_us, self.end_us = LAST_INSTANT_US - weeks * WEEK_US, LAST_INSTANT_US
        self.weeks, self.law, self.truths, self.files = weeks, law, truths, files
        self.people = populate(customers, weeks, self.start_us, self.law, streams[0])
        self.recorder = Recorder(files, self.law.blemishes, self.end_us, streams[1])
        self.contracts = Contracts(self.people, self.law, streams[2])
        self.voice = Voice(self.people, self.law, self.recorder, streams[3])
        apart = Recorder(files, self.law.blemishes, self.end_us, streams[10], first=500_000_001)
        self.views = Voice(self.people, self.law, apart, streams[11])
        apart = Recorder(files, self.law.blemishes, self.end_us, streams[15], first=600_000_001)
        self.farewell = Voice(self.people, self.law, apart, streams[14])
        self.usage = Usage(self.people, self.law.habits, self.recorder, streams[4])
        self.commerce = Commerce(self.people, self.recorder, streams[5])
        self.advocacy = AdvocacyWeeks(self.people, self.law, self.recorder, self.voice, streams[6])
        self.office = Office(self.people, self.recorder, streams[7])
        self.drift, self.forward, self.naming, self.firms = streams[8], streams[9], streams[12], streams[13]
        self.first_plan = self.people.plan.copy()
        self.plan_changes: list[Frame] = []

    def run(self) -> None:
        """All weeks, then the tables that are known only at the end."""
        self._begin()
        for week in range(self.weeks):
            self._week(week, self.start_us + week * WEEK_US)
        self._write_truth(self.weeks, self.end_us)
        self._customers()
        self.contracts.book.write(self.recorder, self.end_us, self.drift)
        self.advocacy.write_referrals()
        self._write_ask_truth()
        self.commerce.members(self.start_us)
        self.office.periods(self.start_us, self.end_us)
        self.office.answers(self.start_us, self.end_us)

    def _begin(self) -> None:
        """Contracts that run already when the data begin; their earlier payments lie before the data."""
        people = self.people
        who = np.flatnonzero((people.kind == SUBSCRIBER) & (people.created_us < self.start_us))
        self.contracts.start(who, people.created_us[who] + 20 * MINUTE_US)
        period = np.where(people.is_annual[who], YEAR_US, MONTH_US)
        since = self.start_us - people.started_us[who]
        people.bills_us[who] = people.started_us[who] + -(-since // period) * period

    def _week(self, week: int, at_us: int) -> None:
        next_us = at_us + WEEK_US
        self._write_truth(week, at_us)
        people = self.people
        intensity, rate = self.contracts.intensity(week, at_us), self.advocacy.rate(week, at_us)
        plan = people.plan.copy()
        self._join(at_us, next_us)
        self.contracts.decide(at_us, intensity)
        blow = self.voice.tickets(week, at_us)
        self.usage.events(week, at_us)
        self.usage.sessions(at_us)
        self.commerce.enrol(at_us)
        self.commerce.payments(self.contracts.bill(at_us, next_us))
        self.commerce.orders(at_us)
        self.commerce.adjust(at_us)
        self.voice.surveys(week, at_us)
        self.views.batteries(week, at_us)
        self.farewell.farewells(week, at_us)
        self.voice.feedback(at_us)
        self.voice.posts(at_us)
        self.advocacy.acts(week, at_us, rate)
        self.advocacy.asks(week, at_us, rate)
        self.advocacy.cheat(at_us)
        self.advocacy.touches(at_us)
        self.office.week(week, at_us)
        lift = self._happenings(week, at_us)
        noise = self.drift.standard_normal((3, people.size))
        people.state = causes.drift(people.state, people.means, noise, (lift[0] - blow, lift[1]), self.law.latents)
        self.commerce.payments(self.contracts.change_plans(at_us))
        self.commerce.payments(self.contracts.close_week(week, next_us))
        self._note_plans(np.flatnonzero(people.plan != plan), next_us)

    def _join(self, from_us: int, until_us: int) -> None:
        """Those who join in the week: subscribers start, buyers order, the silent do nothing."""
        people = self.people
        new = is_new(people, from_us, until_us)
        first_at = people.created_us[new] + self.drift.integers(1, 100, len(new)) * MINUTE_US
        subscribes, buys = people.kind[new] == SUBSCRIBER, people.kind[new] == BUYER
        payments = self.contracts.start(new[subscribes], first_at[subscribes])
        self.commerce.payments(payments)
        value = np.full(len(new), 30.0)
        value[subscribes] = np.asarray(payments["amount"])
        self.commerce.first_orders(new[buys], first_at[buys])
        self.advocacy.arrive(new, first_at, value)

    def calendar(self, week: int) -> tuple[Numbers, Numbers]:
        """What shocks add to satisfaction and engagement in a week, with the mean effect of campaigns."""
        satisfaction, engagement = self._shocked(week)
        for campaign in self.law.campaigns:
            if week == self.weeks - campaign.weeks_ago:
                satisfaction += campaign.share * campaign.treated * campaign.lift * (self.people.status == RUNNING)
        return satisfaction, engagement

    def _shocked(self, week: int) -> tuple[Numbers, Numbers]:
        """What shocks alone add in a week."""
        satisfaction, engagement = np.zeros(self.people.size), np.zeros(self.people.size)
        for shock in self.law.shocks:
            if week == self.weeks - shock.weeks_ago:
                hit = self._hit(shock.countries, shock.plans)
                satisfaction += shock.satisfaction * hit
                engagement += shock.engagement * hit
        return satisfaction, engagement

    def _hit(self, countries: tuple[str, ...], plans: tuple[str, ...]) -> Numbers:
        people = self.people
        hit = np.ones(people.size, dtype=bool)
        if countries:
            hit &= np.isin(people.country, [COUNTRIES.index(country) for country in countries])
        if plans:
            hit &= np.isin(people.plan, [PLANS.index(plan) for plan in plans])
        return hit

    def _happenings(self, week: int, at_us: int) -> tuple[Numbers, Numbers]:
        """Shocks and campaigns of the week as they happen."""
        satisfaction, engagement = self._shocked(week)
        for shock in self.law.shocks:
            if week == self.weeks - shock.weeks_ago and shock.kind == "price_rise":
                self.contracts.raise_prices(at_us, shock.plans)
        for campaign in self.law.campaigns:
            if week == self.weeks - campaign.weeks_ago:
                satisfaction += self.advocacy.campaign(campaign, at_us)
        return satisfaction, engagement

    def _note_plans(self, who: Numbers, at_us: int) -> None:
        self.plan_changes.append({"who": who, "plan": self.people.plan[who], "at": np.full(len(who), at_us)})

    def _customers(self) -> None:
        """The customers as they joined, and a later version for each change of plan."""
        first = customers_table(self.people, self.drift, self.first_plan)
        first |= personal_columns(self.people, account_numbers(first), self.naming)
        first |= firm_columns(self.people.segment, account_numbers(first), self.firms)
        first["ingested_at"] = np.full(self.people.size, NEVER)
        changes = stack(self.plan_changes)
        later = take(first, np.asarray(changes["who"]))
        later["plan"] = Text(np.asarray(changes["plan"]), PLANS)
        later["ingested_at"] = np.asarray(changes["at"])
        self.recorder.write("customers", stack([first, later]))

    def _write_truth(self, week: int, at_us: int) -> None:
        people, state = self.people, self.people.state
        true = truth(people, week, at_us, self.law, lambda ahead: self.calendar(ahead), self.forward)
        who = np.flatnonzero(~np.isnan(true.advocacy))
        self.truths.add("weekly", {
            "customer_id": customer(who),
            "as_of_us": np.full(len(who), at_us),
            "is_running": people.status[who] == RUNNING,
            "churn_28d": true.churn[who],
            "advocacy_90d": true.advocacy[who],
            "satisfaction": state.satisfaction[who],
            "engagement": state.engagement[who],
            "affinity": state.affinity[who],
        })  # fmt: skip

    def _write_ask_truth(self) -> None:
        true = stack(self.advocacy.ask_truth)
        self.truths.add("asks", {
            "ask_id": Key("K", np.asarray(true["ask"])),
            "customer_id": customer(np.asarray(true["who"])),
            "act_if_asked": true["if_asked"],
            "act_if_not_asked": true["if_not_asked"],
        })  # fmt: skip
