"""The time after the last instant, for evaluation only: effects of asks and offers, and the margin that follows.

The company goes on for three years by the same hazards, with nobody new, no shocks and no campaigns. None of it is in
the tables; it stands in `out/truth`, where no reader of a company's data looks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vouch.features.contract.tables import DAY_US
from vouch.features.instants import WEEK_US
from vouch.features.simulation import causes
from vouch.features.simulation.advocacy import asked_kinds
from vouch.features.simulation.frames import Text, customer
from vouch.features.simulation.population import RUNNING
from vouch.features.simulation.truth import truth

if TYPE_CHECKING:
    from vouch.features.simulation.frames import Frame
    from vouch.features.simulation.weeks import Company

HORIZONS = (91, 182, 365, 1_095)
"""Days for which the margin is told."""
WEEKS = 157
OFFER_LIFT = 0.3
"""What an offer adds to satisfaction, as the campaigns of the past did."""
LATER = {
    "ask_effects": pa.schema({
        "customer_id": pa.string(), "as_of_us": pa.int64(), "kind": pa.string(), "act_if_asked": pa.float64(),
        "act_if_not_asked": pa.float64(),
    }),
    "offers": pa.schema({
        "customer_id": pa.string(), "as_of_us": pa.int64(), "churn_if_offered": pa.float64(),
        "churn_if_not_offered": pa.float64(),
    }),
    "margins": pa.schema({
        "customer_id": pa.string(), "as_of_us": pa.int64(),
        **{f"margin_{days}d": pa.float64() for days in HORIZONS},
    }),
}  # fmt: skip
"""What stands in `out/truth` of the time after the last instant; probabilities, and money in the reporting currency."""


def write_later(company: Company, seed: int) -> None:
    """Write the truth of what comes after the last instant; the company is used up by it."""
    _ask_effects(company)
    _offers(company, seed)
    _margins(company)


def _ask_effects(company: Company) -> None:
    """Of each running customer and kind of ask: an act of the kind within four weeks, if asked now and if not."""
    people, at_us = company.people, company.end_us
    who = np.flatnonzero((people.status == RUNNING) & ~people.is_internal)
    rate = company.advocacy.rate(company.weeks, at_us)[who]
    accepted = company.advocacy.accepts(who)
    kinds, codes, shares = asked_kinds(company.law.advocacy)
    for code, share in zip(codes, shares, strict=True):
        company.truths.add("ask_effects", {
            "customer_id": customer(who),
            "as_of_us": np.full(len(who), at_us),
            "kind": Text(np.full(len(who), code), kinds),
            "act_if_asked": accepted,
            "act_if_not_asked": -np.expm1(-4 * share * rate),
        })  # fmt: skip


def _offers(company: Company, seed: int) -> None:
    """Of each running customer: churn within 28 days with an offer and without, on the same forward paths."""
    people, state = company.people, company.people.state
    offers = []
    for lift in (OFFER_LIFT, 0.0):
        people.state = replace(state, satisfaction=state.satisfaction + lift)
        random = np.random.default_rng([seed, people.size])
        offers.append(truth(people, company.weeks, company.end_us, company.law, company.calendar, random).churn)
    people.state = state
    who = np.flatnonzero(~np.isnan(offers[1]))
    company.truths.add("offers", {
        "customer_id": customer(who),
        "as_of_us": np.full(len(who), company.end_us),
        "churn_if_offered": offers[0][who],
        "churn_if_not_offered": offers[1][who],
    })  # fmt: skip


def _margins(company: Company) -> None:
    """Let the weeks go on, and add up what each customer brings; of whom nothing comes it is 0."""
    people, law = company.people, company.law
    for week in range(company.weeks, company.weeks + WEEKS):
        at_us = company.start_us + week * WEEK_US
        company.contracts.decide(at_us, company.contracts.intensity(week, at_us))
        blow = company.voice.tickets(week, at_us)
        company.commerce.payments(company.contracts.bill(at_us, at_us + WEEK_US))
        company.commerce.orders(at_us)
        noise = company.drift.standard_normal((3, people.size))
        nothing = np.zeros(people.size)
        people.state = causes.drift(people.state, people.means, noise, (nothing - blow, nothing), law.latents)
        company.commerce.payments(company.contracts.change_plans(at_us))
        company.commerce.payments(company.contracts.close_week(week, at_us + WEEK_US))
    who = np.flatnonzero((people.created_us < company.end_us) & ~people.is_internal)
    frame: Frame = {"customer_id": customer(who), "as_of_us": np.full(len(who), company.end_us)}
    for days in HORIZONS:
        brought = company.commerce.margin_between(company.end_us, company.end_us + days * DAY_US)
        frame[f"margin_{days}d"] = np.round(brought[who], 2)
    company.truths.add("margins", frame)
