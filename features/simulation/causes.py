"""The causal model of the simulation: how a customer's latent state moves, and the hazards that follow from it.

All functions are pure and work on arrays of any shape, so that the simulation (one path) and the truth (many forward
paths) share them. With g(x) = 1 / (1 + exp(-x)), S satisfaction, E engagement, A affinity, L the usual level of E,
d = L - E the fall below it, tenure in weeks, and the constants of `Churn` and `AdvocacyRates`:

Drift, each week, z standard normal, m the customer's own mean:
    S' = m + 0.95 (S - m) + 0.24 z            plus shocks; a slow ticket takes `Support.blow`
    E' = m + 0.90 (E - m) + 0.03 S + 0.27 z   plus shocks
    A' = m + 0.97 (A - m) + 0.015 S + 0.13 z
    L' = L + 0.08 (E - L)

Churn, weekly intensity of the decision to leave:
    base exp(plan + 1.3 exp(-((tenure - 9) / 4)^2)         after the first impression
             + 1.1 g(-4 (S + 0.5))                          dissatisfaction, a threshold
             + 2.8 g(-4 (S - 0.1)) g(6 (d - 0.4))           falling use, only while not satisfied
             + 1.3 g(-4 (E + 1.1))                          idle
             + 1.7 g(4 (E - 1.0)) on plan basic)            outgrown
      (1 + 12 exp(-tenure / 26) where a ticket is stuck)     a stuck ticket, hardly for old customers
  Monthly customers meet it each week. Annual ones meet `annual_exposure` times it once a year, at the decision for the
  renewal, and nothing between. Payment failures end monthly subscriptions at a small constant rate, mostly for good.

Organic advocacy, weekly rate:
    base exp(a A + segment) (0.05 + 0.95 g(4 (S - 0.1))) (0.08 + 0.92 u(E)) t(tenure)
      (0.1 in the 7 weeks after an organic act) (0.25 where a ticket is stuck) (0.6 without consent)
      (1 running, 0.3 one-time buyer, 0.12 former customer)
  At home (consumers): a = 1.25, u = g(4 E), t = 3.2 in weeks 3 to 16, else 1.
  At work (all others): a = 0.7, u = g(4 (E + 0.7)) (1 - 0.9 g(5 (E - 0.4))), t = 0.3, 1, 2.2 before week 20, until
  week 50, and after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vouch.features.simulation.frames import Numbers
    from vouch.features.simulation.parameters import AdvocacyRates, Churn, Latents, Support


@dataclass
class State:
    """Latent state at a Monday: arrays of one shape."""

    satisfaction: Numbers
    engagement: Numbers
    affinity: Numbers
    level: Numbers


@dataclass(frozen=True)
class Means:
    """Where each customer's latents return to."""

    satisfaction: Numbers
    engagement: Numbers
    affinity: Numbers


def gate(x: Numbers) -> Numbers:
    """The logistic function, 1 / (1 + exp(-x)), by tanh: no overflow, one transcendental."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def drift(state: State, means: Means, noise: Numbers, lift: tuple[Numbers, Numbers], law: Latents) -> State:
    """The state a week later.

    Args:
        state: arrays of shape (..., n).
        means: arrays of shape (n,).
        noise: standard normal, shape (3, ..., n).
        lift: what is added to satisfaction and engagement, shape (n,) each: shocks and their like.
        law: the constants.
    """
    s, e, a = state.satisfaction, state.engagement, state.affinity
    return State(
        satisfaction=means.satisfaction
        + law.satisfaction_keep * (s - means.satisfaction)
        + law.satisfaction_noise * noise[0]
        + lift[0],
        engagement=means.engagement
        + law.engagement_keep * (e - means.engagement)
        + law.engagement_pull * s
        + law.engagement_noise * noise[1]
        + lift[1],
        affinity=means.affinity
        + law.affinity_keep * (a - means.affinity)
        + law.affinity_pull * s
        + law.affinity_noise * noise[2],
        level=state.level + law.level_speed * (e - state.level),
    )


def stuck_factor(stuck: Numbers, tenure_weeks: Numbers, law: Churn) -> Numbers:
    """Factor on the churn intensity; `stuck` is 0 or 1, or the probability of it."""
    return 1.0 + law.stuck * np.exp(-tenure_weeks / law.stuck_weeks) * stuck


def churn_intensity(state: State, fixed: Numbers, is_basic: Numbers, law: Churn) -> Numbers:
    """Weekly intensity of the decision to leave, before stuck tickets and exposure.

    Args:
        state: arrays of shape (..., n).
        fixed: log factors that hold for the whole week (plan, trial), shape (n,).
        is_basic: 1.0 on the smallest plan, else 0.0, shape (n,).
        law: the constants.
    """
    s, e = state.satisfaction, state.engagement
    fall = state.level - e
    steep = 4.0
    log = (
        fixed
        + law.dissatisfied * gate(-steep * (s - law.dissatisfied_at))
        + law.falling * gate(-steep * (s - law.falling_satisfaction)) * gate(6.0 * (fall - law.falling_at))
        + law.idle * gate(-steep * (e - law.idle_at))
        + (law.outgrown * is_basic) * gate(steep * (e - law.outgrown_at))
    )
    return law.base * np.exp(log)


def trial(tenure_weeks: Numbers, law: Churn) -> Numbers:
    """Log factor of the weeks in which the first impression has passed."""
    return law.trial * np.exp(-(((tenure_weeks - law.trial_week) / law.trial_width) ** 2))


def advocacy_rate(state: State, fixed: Numbers, at_work: Numbers, law: AdvocacyRates) -> Numbers:
    """Weekly rate of organic acts of a running customer, before stuck tickets and status.

    Args:
        state: arrays of shape (..., n).
        fixed: log factors of segment, consent and tenure, shape (n,).
        at_work: 1.0 for business customers, else 0.0, shape (n,).
        law: the constants.
    """
    slope = _by_kind(law.affinity, at_work)
    content = law.floor + (1.0 - law.floor) * gate(4.0 * (state.satisfaction - law.satisfaction_at))
    engaged = gate(4.0 * (state.engagement - _by_kind(law.engaged_at, at_work)))
    engaged = engaged * (1.0 - _by_kind(law.busy, at_work) * gate(5.0 * (state.engagement - law.busy_at)))
    engaged = law.engaged_floor + (1.0 - law.engaged_floor) * engaged
    return np.asarray(law.base * np.exp(fixed + slope * state.affinity) * content * engaged)


def _by_kind(pair: tuple[float, float], at_work: Numbers) -> Numbers:
    """The first of the pair at home, the second at work, in the type of `at_work`."""
    return np.asarray(pair[0] + (pair[1] - pair[0]) * at_work)


def season(tenure_weeks: Numbers, at_work: Numbers, law: AdvocacyRates) -> Numbers:
    """Log factor of tenure on the organic rate."""
    first, last = law.honeymoon_weeks
    at_home = np.where((tenure_weeks >= first) & (tenure_weeks < last), law.honeymoon, 1.0)
    phase = (tenure_weeks >= law.seasoned_weeks[0]).astype(np.int8) + (tenure_weeks >= law.seasoned_weeks[1])
    return np.asarray(np.log(np.where(at_work > 0, np.array(law.seasoned)[phase], at_home)))


def rest(weeks_since: Numbers, law: AdvocacyRates) -> Numbers:
    """Factor on the organic rate so many weeks after the week of the last organic act."""
    return np.where(weeks_since <= law.rest_weeks, law.rest, 1.0)


def ticket_rate(state: State, tenure_weeks: Numbers, law: Support) -> Numbers:
    """Tickets per week of a running customer."""
    new = np.exp(-tenure_weeks / 10.0)
    return law.rate * np.exp(0.3 * state.engagement - 0.5 * state.satisfaction + 0.7 * new)
