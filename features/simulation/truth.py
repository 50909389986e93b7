"""True probabilities at a Monday, given the latent state at that Monday.

    churn_28d     the last running subscription ends within 28 days and does not resume within the gap,
                  for customers who run at that instant and have announced no end; else null
    advocacy_90d  at least one organic act or valid unrewarded referral within 90 days

The week's hazard is known from the state. For the weeks ahead the latents are moved along a few forward paths (half of
them mirrored, so that their mean is exact), the hazard is taken along each, and the probabilities are averaged: only
the latents are drawn, never the outcomes. Along a path a customer is a split of one unit of mass into running and gone.
Stuck tickets are carried as a probability. Shocks of the calendar are known; win-backs, plan changes and pauses ahead
are left out, being rare. Nothing but evaluation may read this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vouch.features.instants import WEEK_US
from vouch.features.simulation import causes
from vouch.features.simulation.causes import Means, State
from vouch.features.simulation.contracts import BUSINESS_PLAN
from vouch.features.simulation.frames import NEVER, Numbers
from vouch.features.simulation.population import BUYER, FAR, RUNNING, SILENT, Population

if TYPE_CHECKING:
    from collections.abc import Callable

    from vouch.features.simulation.parameters import Parameters

CHUNK = 2_048
"""Customers at once: the paths of a chunk stay in the processor's cache."""


@dataclass(frozen=True)
class Truth:
    """Probabilities of the whole population; NaN where there is none."""

    churn: Numbers
    advocacy: Numbers


@dataclass(frozen=True)
class Fixed:
    """What does not move on the way: one entry per customer of a chunk, float32."""

    means: Means
    plan_hazard: Numbers
    is_basic: Numbers
    tenure: Numbers
    is_monthly: Numbers
    decision_week: Numbers
    must_tell: Numbers
    ends_in_weeks: Numbers
    is_running: Numbers
    at_work: Numbers
    advocacy_log: Numbers
    idle_share: Numbers
    """Factor on organic acts of a customer who does not run: buyer, former, or none at all."""
    stuck: Numbers
    since_act: Numbers
    at_us: int


def advocacy_log(people: Population, law: Parameters) -> Numbers:
    """Log factors of the organic rate that do not change."""
    consent = np.where(people.advocacy_consent, 0.0, np.log(law.advocacy.no_consent))
    return np.asarray(np.array(law.advocacy.segments)[people.segment] + consent)


def idle_share(people: Population, law: Parameters) -> Numbers:
    """Factor on the organic rate while no subscription runs."""
    idle = np.where(people.kind == BUYER, law.advocacy.buyer, law.advocacy.gone)
    return np.where(people.kind == SILENT, 0.0, idle)


def truth(
    people: Population,
    week: int,
    at_us: int,
    law: Parameters,
    lift: Callable[[int], tuple[Numbers, Numbers]],
    random: np.random.Generator,
) -> Truth:
    """True probabilities at one Monday; `lift(week)` is the calendar's effect on satisfaction and engagement."""
    churn, advocacy = np.full(people.size, np.nan), np.full(people.size, np.nan)
    here = np.flatnonzero((people.created_us < at_us) & ~people.is_internal)
    weeks = -(-law.horizon_advocacy_days // 7)
    lifts = [lift(week + ahead) for ahead in range(weeks)]
    pool = random.standard_normal(3 * CHUNK * law.paths * 4, dtype=np.float32)
    for first in range(0, len(here), CHUNK):
        rows = here[first : first + CHUNK]
        part = [(s[rows].astype(np.float32), e[rows].astype(np.float32)) for s, e in lifts]
        leaves, acts = _forward(_state(people, rows), _fixed(people, week, at_us, law, rows), part, law, pool, random)
        can_leave = (people.status[rows] == RUNNING) & (people.ends_us[rows] == NEVER)
        churn[rows] = np.where(can_leave, leaves, np.nan)
        advocacy[rows] = acts
    return Truth(churn, advocacy)


def _state(people: Population, rows: Numbers) -> State:
    state = people.state
    return State(
        *(part[rows].astype(np.float32) for part in (state.satisfaction, state.engagement, state.affinity, state.level))
    )


def _fixed(people: Population, week: int, at_us: int, law: Parameters, rows: Numbers) -> Fixed:
    small = np.float32
    annual = people.is_annual[rows]
    must_tell = annual & (people.plan[rows] >= BUSINESS_PLAN)
    renewal = (people.bills_us[rows] - at_us) // WEEK_US
    announced = np.where(people.ends_us[rows] == NEVER, FAR, (people.ends_us[rows] - at_us) // WEEK_US)
    means = people.means
    return Fixed(
        means=Means(
            *(part[rows].astype(small) for part in (means.satisfaction, means.engagement, means.affinity)),
        ),
        plan_hazard=np.array(law.churn.plans, dtype=small)[people.plan[rows]],
        is_basic=(people.plan[rows] == 0).astype(small),
        tenure=people.tenure_weeks(at_us)[rows].astype(small),
        is_monthly=(~annual).astype(small),
        decision_week=np.where(annual, renewal - np.where(must_tell, law.churn.annual_notice_weeks, 0), -1),
        must_tell=must_tell,
        ends_in_weeks=announced,
        is_running=(people.status[rows] == RUNNING).astype(small),
        at_work=(people.segment[rows] > 0).astype(small),
        advocacy_log=advocacy_log(people, law)[rows].astype(small),
        idle_share=idle_share(people, law)[rows].astype(small),
        stuck=(people.stuck_until[rows] >= week).astype(small),
        since_act=(week - people.acted_week[rows]).astype(small),
        at_us=at_us,
    )


def _counted(ahead: int, fixed: Fixed, law: Parameters) -> Numbers:
    """Share of the decisions in the week `ahead` that are an end within the churn horizon, for good."""
    churn = law.churn
    if ahead >= law.horizon_churn_weeks:
        return np.zeros_like(fixed.is_monthly)
    in_time = 1.0 if 7 * (ahead + 1) + churn.notice_days <= 7 * law.horizon_churn_weeks else 0.0
    monthly = (1 - churn.notice) * (1 - churn.pause) + churn.notice * in_time
    is_in_time = 1.0 if ahead + churn.annual_notice_weeks < law.horizon_churn_weeks else 0.0
    annual = np.where(fixed.must_tell, is_in_time, 1.0)
    return np.where(fixed.is_monthly > 0, monthly, annual).astype(np.float32)


def _forward(
    state: State,
    fixed: Fixed,
    lifts: list[tuple[Numbers, Numbers]],
    law: Parameters,
    pool: Numbers,
    random: np.random.Generator,
) -> tuple[Numbers, Numbers]:
    """Churn and advocacy probabilities of a chunk: the mean over its paths."""
    churn: Numbers = np.zeros((1, len(fixed.tenure)), dtype=np.float32)
    runs: Numbers = fixed.is_running[None, :]
    quiet, quiet_gone = runs, 1.0 - runs
    stuck, tenure = fixed.stuck, fixed.tenure
    for ahead, lift in enumerate(lifts):
        days = min(7, law.horizon_advocacy_days - 7 * ahead)
        rate = _organic(state, fixed, tenure, law, ahead) * (days / 7)
        leaves = _leaves(state, fixed, stuck, tenure, law, ahead)
        fails = (1.0 - leaves) * fixed.is_monthly * law.churn.involuntary
        ends = leaves + fails
        if ahead < law.horizon_churn_weeks:
            lasting = leaves * _counted(ahead, fixed, law) + fails * (1.0 - law.churn.involuntary_resumes)
            churn = churn + runs * lasting
            runs = runs * (1.0 - ends)
        silent = quiet * np.exp(-rate * (1.0 - (1.0 - law.advocacy.stuck) * stuck))
        quiet_gone = quiet_gone * np.exp(-rate * fixed.idle_share) + silent * ends
        quiet = silent * (1.0 - ends)
        stuck, blow = _stuck_next(state, stuck, tenure, law)
        state = causes.drift(
            state, fixed.means, _noise(fixed, law, pool, random), (lift[0] - blow, lift[1]), law.latents
        )
        tenure = tenure + 1.0
    acts = 1.0 - quiet - quiet_gone
    return churn.mean(axis=0), acts.mean(axis=0)


def _noise(fixed: Fixed, law: Parameters, pool: Numbers, random: np.random.Generator) -> Numbers:
    """Standard normal (3, paths, rows), the second half of the paths mirroring the first."""
    half, rows = law.paths // 2, len(fixed.tenure)
    needed = 3 * half * rows
    start = int(random.integers(0, len(pool) - needed))
    drawn = pool[start : start + needed].reshape(3, half, rows)
    return np.asarray(np.concatenate([drawn, -drawn], axis=1))


def _organic(state: State, fixed: Fixed, tenure: Numbers, law: Parameters, ahead: int) -> Numbers:
    log = fixed.advocacy_log + causes.season(tenure, fixed.at_work, law.advocacy).astype(np.float32)
    log = log + np.float32(law.log_shift(fixed.at_us + ahead * WEEK_US))
    rest = causes.rest(fixed.since_act + ahead, law.advocacy).astype(np.float32)
    return causes.advocacy_rate(state, log, fixed.at_work, law.advocacy) * rest


def _leaves(state: State, fixed: Fixed, stuck: Numbers, tenure: Numbers, law: Parameters, ahead: int) -> Numbers:
    """Probability to decide in the week `ahead` to leave; an announced end comes for certain, and nothing before it."""
    churn = law.churn
    exposure = fixed.is_monthly + (fixed.decision_week == ahead) * np.float32(churn.annual_exposure)
    log = fixed.plan_hazard + causes.trial(tenure, churn) + np.float32(law.log_shift(fixed.at_us + ahead * WEEK_US))
    intensity = causes.churn_intensity(state, log, fixed.is_basic, churn)
    leaves = -np.expm1(-exposure * intensity * causes.stuck_factor(stuck, tenure, churn))
    announced = fixed.ends_in_weeks < FAR
    return np.asarray(np.where(announced, (fixed.ends_in_weeks == ahead).astype(np.float32), leaves))


def _stuck_next(state: State, stuck: Numbers, tenure: Numbers, law: Parameters) -> tuple[Numbers, Numbers]:
    """Probability of a stuck ticket a week on, and what new ones take from satisfaction on average."""
    fresh = -np.expm1(-causes.ticket_rate(state, tenure, law.support) * law.support.slow)
    return stuck * (1.0 - law.support.solved) + (1.0 - stuck) * fresh, fresh * law.support.blow
