"""Simulated advocacy: organic, asked and rewarded acts, referrals with fraud, asks, thanks, contacts, campaigns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vouch.features.contract.tables import ACT_KINDS, DAY_US
from vouch.features.instants import WEEK_US
from vouch.features.simulation import causes
from vouch.features.simulation.frames import NEVER, Frame, Key, Numbers, Text, customer, stack, take
from vouch.features.simulation.parameters import PARAMETERS, Campaign, Parameters
from vouch.features.simulation.population import RUNNING, Population
from vouch.features.simulation.truth import advocacy_log, idle_share

if TYPE_CHECKING:
    from vouch.features.simulation.parameters import AdvocacyRates
    from vouch.features.simulation.recorder import Recorder
    from vouch.features.simulation.voice import Voice

REFERRAL, REVIEW = 0, 1
_ORGANIC = (0.0, 0.3, 0.07, 0.03, 0.1, 0.2, 0.03, 0.07, 0.2)
"""Shares of organic acts that are no referrals, by kind in the contract's order."""
_ASKED = (0.0, 0.5, 0.15, 0.1, 0.15, 0.1, 0.0, 0.0, 0.0)
_REACH = np.array([1.0, 200.0, 5.0, 400.0, 150.0, 300.0, 80.0, 5.0, 60.0])
OUTCOMES = ("accepted", "declined", "ignored")
ASK_GAP_WEEKS = 12
ASK_SHARE = 0.008
DONE_SHARE = 0.85
"""Share of the accepted asks that become an act."""
TOUCHES = ("service", "sales", "marketing")
TOUCH_CHANNELS = ("email", "phone", "app", "post")
CAMPAIGNS = tuple(campaign.name for campaign in PARAMETERS.campaigns)
RECOGNITIONS = ("thanks", "public", "tier", "gift")
CONVERTS = 0.22
SELF_INVITED = 0.0006


def asked_kinds(law: AdvocacyRates) -> tuple[tuple[str, ...], Numbers, Numbers]:
    """All kinds of acts, the codes of those that are asked for, and the share of the organic rate that each has."""
    codes = np.flatnonzero(np.array(_ASKED) > 0)
    return ACT_KINDS, codes, (1 - law.referral_share) * np.array(_ORGANIC)[codes] / sum(_ORGANIC)


class AdvocacyWeeks:
    """Draws a week of speaking up. Referrals wait in memory until their prospects have come or not."""

    def __init__(
        self, people: Population, law: Parameters, recorder: Recorder, voice: Voice, random: np.random.Generator
    ) -> None:
        self.people, self.law, self.recorder, self.voice, self.random = people, law, recorder, voice, random
        self._log = advocacy_log(people, law)
        self._idle = idle_share(people, law)
        self._referrals: list[Frame] = []
        self._open: Frame = {name: np.zeros(0, dtype=np.int64) for name in ("advocate", "invited", "due", "number")}
        self._converted: list[Frame] = []
        self._prospects = people.size
        self.ask_truth: list[Frame] = []

    def rate(self, week: int, from_us: int) -> Numbers:
        """Weekly organic rate of everybody known at the Monday."""
        people, law = self.people, self.law.advocacy
        at_work = (people.segment > 0).astype(float)
        log = self._log + causes.season(people.tenure_weeks(from_us), at_work, law) + self.law.log_shift(from_us)
        rate = causes.advocacy_rate(people.state, log, at_work, law)
        stuck = np.where(people.stuck_until >= week, law.stuck, 1.0)
        status = np.where(people.status == RUNNING, stuck, self._idle)
        rest = causes.rest(week - people.acted_week, law)
        return np.where(people.created_us < from_us, rate * status * rest, 0.0)

    def _when(self, rows: int, from_us: int) -> Numbers:
        return from_us + self.random.integers(0, 7 * 86_400, rows) * 1_000_000

    def acts(self, week: int, from_us: int, rate: Numbers) -> None:
        """Organic acts and referrals, and the rewarded ones beside them."""
        random, law = self.random, self.law.advocacy
        who = np.repeat(np.arange(self.people.size), random.poisson(rate))
        self.people.acted_week[who] = week
        at = self._when(len(who), from_us)
        refers = random.random(len(who)) < law.referral_share
        self._refer(who[refers], at[refers], is_rewarded=False)
        is_reported = refers & (random.random(len(who)) < 0.5)
        kind = np.where(refers, REFERRAL, random.choice(len(ACT_KINDS), len(who), p=_ORGANIC))
        shown = ~refers | is_reported
        self._act(who[shown], at[shown], kind[shown], np.where(random.random(int(shown.sum())) < 0.15, -1, 0))
        reviews = kind == REVIEW
        self.voice.remark(who[reviews], from_us, at[reviews])
        self._thank(who, at)
        paid = np.repeat(np.arange(self.people.size), random.poisson(rate * law.incentivised))
        at = self._when(len(paid), from_us)
        refers = random.random(len(paid)) < 0.6
        self._refer(paid[refers], at[refers], is_rewarded=True)
        rest = int((~refers).sum())
        self._act(paid[~refers], at[~refers], np.full(rest, REVIEW), np.ones(rest, dtype=np.int64))

    def _act(self, who: Numbers, at: Numbers, kind: Numbers, paid: Numbers, ask: Numbers | None = None) -> None:
        rows, random = len(who), self.random
        reach = np.floor(_REACH[kind] * np.exp(random.normal(0, 1, rows)))
        self.recorder.write("advocacy_acts", {
            "customer_id": customer(who),
            "occurred_at": at,
            "kind": Text(kind, ACT_KINDS),
            "is_incentivised": paid,
            "reach": np.where(random.random(rows) < 0.2, -1, reach),
            "ask_id": Key("K", np.full(rows, -1) if ask is None else ask),
        })  # fmt: skip

    def _thank(self, who: Numbers, at: Numbers) -> None:
        thanked = self.random.random(len(who)) < 0.35
        who, at = who[thanked], at[thanked]
        kind = self.random.choice(4, len(who), p=(0.6, 0.2, 0.1, 0.1))
        later = at + (self.random.uniform(0.1, 14, len(who)) * DAY_US).astype(np.int64)
        self.recorder.write("recognitions", {
            "customer_id": customer(who), "occurred_at": later, "kind": Text(kind, RECOGNITIONS),
        })  # fmt: skip

    def _refer(self, who: Numbers, at: Numbers, *, is_rewarded: bool) -> None:
        """Invite new prospects; some are due to sign up later, a few are invited twice."""
        rows, random = len(who), self.random
        prospect = self._prospects + np.arange(rows)
        self._prospects += rows
        clicked = np.where(random.random(rows) < 0.5, at + self._hours(rows, 20.0), NEVER)
        number = self.recorder.numbers("referrals", rows)
        frame = self._rows(number, who, prospect, at, clicked, is_rewarded)
        self._referrals.append(frame)
        due = at + WEEK_US + (random.uniform(0, 21, rows) * DAY_US).astype(np.int64)
        chosen = random.random(rows) < CONVERTS
        fresh: Frame = {"advocate": who[chosen], "invited": at[chosen], "due": due[chosen], "number": number[chosen]}
        self._open = stack([self._open, fresh])
        twice = random.random(rows) < 0.04
        again = self.recorder.numbers("referrals", int(twice.sum()))
        later = at[twice] + (random.uniform(1, 10, len(again)) * DAY_US).astype(np.int64)
        never = np.full(len(again), NEVER)
        self._referrals.append(self._rows(again, who[twice], prospect[twice], later, never, is_rewarded))

    def _hours(self, rows: int, hours: float) -> Numbers:
        return (self.random.exponential(hours, rows) * 3_600_000_000).astype(np.int64) + 60_000_000

    def _rows(
        self, number: Numbers, who: Numbers, prospect: Numbers, at: Numbers, clicked: Numbers, is_rewarded: bool
    ) -> Frame:
        rows, random = len(number), self.random
        reward = np.round(random.uniform(5, 25, rows), 2) if is_rewarded else np.full(rows, np.nan)
        paid = np.ones(rows) if is_rewarded else np.where(random.random(rows) < 0.15, -1, 0)
        return {
            "number": number, "advocate": who, "prospect": prospect, "invited": at, "clicked": clicked,
            "signed": np.full(rows, NEVER), "converted": np.full(rows, NEVER), "value": np.full(rows, np.nan),
            "reward": reward, "paid": paid, "fraud": np.full(rows, -1, dtype=np.int64),
            "otherwise": np.full(rows, np.nan),
        }  # fmt: skip

    def arrive(self, joiners: Numbers, first_at: Numbers, first_value: Numbers) -> None:
        """Match those who join in this week with invitations that are due: they are the prospects."""
        people = self.people
        outside = ~people.is_internal[joiners] & (people.kind[joiners] != 2)
        joiners, first_at, first_value = joiners[outside], first_at[outside], first_value[outside]
        due, invited = np.asarray(self._open["due"]), np.asarray(self._open["invited"])
        if len(joiners) == 0 or len(due) == 0:
            return
        ready = np.flatnonzero(due < people.created_us[joiners].min() + WEEK_US)
        ready = ready[invited[ready] < people.created_us[joiners].min()][: len(joiners)]
        who = joiners[: len(ready)]
        advocate = np.asarray(self._open["advocate"])[ready]
        people.referred_by[who] = advocate
        people.source[who] = 5
        rows = len(ready)
        self._converted.append({
            "number": np.asarray(self._open["number"])[ready], "prospect": who, "signed": people.created_us[who],
            "converted": first_at[:rows], "value": first_value[:rows],
            "otherwise": np.round(self.random.uniform(0.05, 0.5, rows), 3),
        })  # fmt: skip
        left = np.ones(len(due), dtype=bool)
        left[ready] = False
        self._open = take(self._open, left)

    def cheat(self, from_us: int) -> None:
        """Rewarded invitations of made-up prospects, and invitations of oneself."""
        people, random = self.people, self.random
        runs = (people.status == RUNNING) & (people.created_us < from_us)
        who = np.repeat(np.arange(people.size), random.poisson(np.where(runs & people.is_fraudster, 0.2, 0.0)))
        rows = len(who)
        at = self._when(rows, from_us)
        prospect = self._prospects + np.arange(rows)
        self._prospects += rows
        false = self._rows(self.recorder.numbers("referrals", rows), who, prospect, at, at + 120_000_000, True)
        false["signed"], false["converted"] = at + 300_000_000, at + 420_000_000
        false["value"] = np.full(rows, 19.0)
        false["fraud"] = np.where(random.random(rows) < 0.7, 1, -1)
        self._referrals.append(false)
        who = np.flatnonzero(runs & (random.random(people.size) < SELF_INVITED))
        at = self._when(len(who), from_us)
        own = self._rows(self.recorder.numbers("referrals", len(who)), who, who, at, at + 60_000_000, True)
        self._referrals.append(own)

    def write_referrals(self) -> None:
        """All referrals with what came of them; fraud is found out weeks later, as a correction."""
        rows = stack(self._referrals)
        number = np.asarray(rows["number"])
        if self._converted:
            converted = stack(self._converted)
            order = np.argsort(number, kind="stable")
            place = order[np.searchsorted(number[order], np.asarray(converted["number"]))]
            renamed = np.arange(self._prospects)
            renamed[np.asarray(rows["prospect"])[place]] = np.asarray(converted["prospect"])
            rows["prospect"] = renamed[np.asarray(rows["prospect"])]
            for name in ("signed", "converted", "value", "otherwise"):
                np.asarray(rows[name])[place] = np.asarray(converted[name])
            clicked, signed = np.asarray(rows["clicked"]), np.asarray(converted["signed"])
            clicked[place] = np.minimum(
                np.where(clicked[place] == NEVER, signed - 3_600_000_000, clicked[place]), signed
            )
            clicked[place] = np.maximum(clicked[place], np.asarray(rows["invited"])[place])
        fraud = np.asarray(rows["fraud"]) == 1
        frame = self._table(rows)
        first = {**frame, "is_fraud": np.full(len(number), -1), "ingested_at": np.full(len(number), NEVER)}
        caught = np.asarray(rows["invited"]) + 30 * DAY_US
        later = {**frame, "is_fraud": np.where(fraud, 1, -1), "ingested_at": caught}
        self.recorder.write("referrals", stack([first, take(later, fraud)]))

    def _table(self, rows: Frame) -> Frame:
        values = {name: np.asarray(part) for name, part in rows.items()}
        return {
            "referral_id": Key("R", values["number"]),
            "advocate_id": customer(values["advocate"]),
            "prospect_id": customer(values["prospect"]),
            "invited_at": values["invited"],
            "clicked_at": values["clicked"],
            "signed_up_at": values["signed"],
            "converted_at": values["converted"],
            "first_value": values["value"],
            "reward_cost": values["reward"],
            "is_incentivised": values["paid"],
            "counterfactual_p": values["otherwise"],
        }

    def asks(self, week: int, from_us: int, rate: Numbers) -> None:
        """Requests of the week: some at random with a known propensity, some to those who seem happy."""
        people, random, state = self.people, self.random, self.people.state
        can = (people.status == RUNNING) & people.contact_consent & people.advocacy_consent
        can &= (people.created_us < from_us) & (week - people.asked_week >= ASK_GAP_WEEKS)
        by_chance = can & (random.random(people.size) < ASK_SHARE)
        happy = state.satisfaction + 0.5 * state.affinity + random.normal(0, 0.7, people.size) > 1.6
        chosen = can & ~by_chance & happy & (random.random(people.size) < 0.03)
        who = np.flatnonzero(by_chance | chosen)
        rows = len(who)
        people.asked_week[who] = week
        accepts = self.accepts(who) / DONE_SHARE
        draw = random.random(rows)
        outcome = np.where(draw < accepts, 0, np.where(draw < accepts + 0.2, 1, 2))
        at = self._when(rows, from_us)
        answered = np.where(outcome == 2, NEVER, at + self._hours(rows, 40.0))
        number = self.recorder.numbers("asks", rows)
        kind = random.choice(len(ACT_KINDS), rows, p=_ASKED)
        self.recorder.write("asks", {
            "ask_id": Key("K", number),
            "customer_id": customer(who),
            "asked_at": at,
            "kind": Text(kind, ACT_KINDS),
            "outcome": Text(np.where((outcome == 2) & (random.random(rows) < 0.5), -1, outcome), OUTCOMES),
            "outcome_at": answered,
            "propensity": np.where(by_chance[who], ASK_SHARE, np.nan),
            "is_randomised": by_chance[who],
        })  # fmt: skip
        done = (outcome == 0) & (random.random(rows) < DONE_SHARE)
        later = answered[done] + self._hours(int(done.sum()), 70.0)
        paid = (random.random(int(done.sum())) < 0.25).astype(np.int64)
        self._act(who[done], later, kind[done], paid, ask=number[done])
        self.ask_truth.append({
            "ask": number, "who": who, "if_asked": accepts * DONE_SHARE, "if_not_asked": -np.expm1(-4 * rate[who]),
        })  # fmt: skip

    def accepts(self, who: Numbers) -> Numbers:
        """Probability that an ask of any kind becomes an act, at this state."""
        state = self.people.state
        return np.asarray(DONE_SHARE * causes.gate(-1.5 + 1.0 * state.affinity[who] + 0.7 * state.satisfaction[who]))

    def touches(self, from_us: int) -> None:
        """Contacts from the company; the content and engaged take more offers up."""
        people, random, state = self.people, self.random, self.people.state
        rate = np.where(people.status == RUNNING, np.array([0.06, 0.08, 0.14, 0.25])[people.segment], 0.02)
        rate = np.where((people.created_us < from_us) & people.contact_consent, rate, 0.0)
        who = np.repeat(np.arange(people.size), random.poisson(rate))
        rows = len(who)
        accepts = causes.gate(-1.2 + 0.5 * state.satisfaction[who] + 0.4 * state.engagement[who])
        kind = random.choice(3, rows, p=(0.35, 0.2, 0.45))
        self.recorder.write("touches", {
            "customer_id": customer(who),
            "occurred_at": self._when(rows, from_us),
            "kind": Text(kind, TOUCHES),
            "channel": Text(random.choice(4, rows, p=(0.6, 0.2, 0.15, 0.05)), TOUCH_CHANNELS),
            "is_personalised": random.random(rows) < 0.4,
            "is_accepted": np.where(kind == 0, -1, random.random(rows) < accepts),
        })  # fmt: skip

    def campaign(self, campaign: Campaign, from_us: int) -> Numbers:
        """Run a randomised retention campaign; returns what it adds to satisfaction, for everybody."""
        people, random = self.people, self.random
        runs = (people.status == RUNNING) & (people.created_us < from_us)
        who = np.flatnonzero(runs & (random.random(people.size) < campaign.share))
        rows = len(who)
        treated = random.random(rows) < campaign.treated
        self.recorder.write("treatments", {
            "customer_id": customer(who),
            "occurred_at": self._when(rows, from_us),
            "campaign": Text(np.full(rows, CAMPAIGNS.index(campaign.name)), CAMPAIGNS),
            "arm": Text(np.where(treated, 0, 1), ("treated", "control")),
            "cost": np.where(treated, campaign.cost, 0.0),
            "propensity": np.full(rows, campaign.treated),
        })  # fmt: skip
        lift = np.zeros(people.size)
        lift[who[treated]] = campaign.lift
        return lift
