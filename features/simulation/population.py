"""The simulated population: customers with their attributes, and the latent state that the weeks change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.instants import WEEK_US
from vouch.features.simulation.causes import Means, State
from vouch.features.simulation.frames import NEVER, Frame, Key, Numbers, Text, customer
from vouch.features.simulation.parameters import (
    COUNTRIES,
    COUNTRY_SHARES,
    INDUSTRIES,
    LANGUAGE_OF_COUNTRY,
    PLAN_SHARES,
    REGIONS,
    SEGMENT_SHARES,
    SEGMENTS,
    SOURCE_SHARES,
    SOURCES,
    TAGS,
    Latents,
    Parameters,
)

SUBSCRIBER, BUYER, SILENT = 0, 1, 2
WAITING, RUNNING, GONE, PAUSED = 0, 1, 2, 3
FAR = 10**6
"""A week that does not come."""


@dataclass
class Population:
    """Arrays with one entry per customer. Weeks count from the first Monday; times are microseconds.

    The first block never changes; the second is the state at the Monday that stands.
    """

    size: int
    kind: Numbers
    is_internal: Numbers
    is_fraudster: Numbers
    created_us: Numbers
    segment: Numbers
    country: Numbers
    region: Numbers
    language: Numbers
    tag: Numbers
    is_annual: Numbers
    seats: Numbers
    is_member: Numbers
    contact_consent: Numbers
    advocacy_consent: Numbers
    means: Means

    state: State
    plan: Numbers
    source: Numbers
    referred_by: Numbers
    status: Numbers
    started_us: Numbers
    ends_us: Numbers
    bills_us: Numbers
    stuck_until: Numbers
    returns_us: Numbers
    left_week: Numbers
    asked_week: Numbers
    acted_week: Numbers

    def tenure_weeks(self, at_us: int) -> Numbers:
        """Weeks since the customer joined, 0 for those to come."""
        return np.asarray(np.maximum(at_us - self.created_us, 0) / WEEK_US)


def _drawn(random: np.random.Generator, shares: tuple[float, ...], rows: int) -> Numbers:
    return np.searchsorted(np.cumsum(shares)[:-1], random.random(rows), side="right").astype(np.int8)


def populate(size: int, weeks: int, start_us: int, law: Parameters, random: np.random.Generator) -> Population:
    """Draw everybody who is a customer before the last instant."""
    mixture = law.mixture
    kind = _drawn(random, (1 - mixture.buyers - mixture.silent, mixture.buyers, mixture.silent), size)
    segment = _drawn(random, SEGMENT_SHARES, size)
    country = _drawn(random, COUNTRY_SHARES, size)
    u = random.random(size)
    plan = (u[:, None] >= np.cumsum(np.array(PLAN_SHARES)[segment], axis=1)[:, :-1]).sum(axis=1).astype(np.int8)
    is_old = (random.random(size) < mixture.before_start) & (kind != BUYER)
    age = np.minimum(random.exponential(mixture.tenure_weeks, size), 200.0)
    joins = np.where(is_old, -age - 1.0, random.random(size) * weeks)
    created_us = start_us + _office_time(joins, random)
    means, state = _latents(size, law.latents, random)
    seats = 1 + np.where(segment > 0, random.poisson(np.array([0.0, 1.0, 4.0, 9.0])[segment]), 0)
    nobody = np.full(size, NEVER)
    return Population(
        size=size,
        kind=kind,
        is_internal=random.random(size) < mixture.internal,
        is_fraudster=(random.random(size) < mixture.fraudsters) & (kind == SUBSCRIBER),
        created_us=created_us,
        segment=segment,
        country=country,
        region=random.integers(0, 3, size, dtype=np.int8),
        language=np.array(LANGUAGE_OF_COUNTRY)[country],
        tag=random.integers(0, 3, size, dtype=np.int8),
        is_annual=random.random(size) < mixture.annual * np.array([0.7, 1.1, 1.5, 1.9])[segment],
        seats=seats,
        is_member=(random.random(size) < mixture.member) & (kind != SILENT),
        contact_consent=random.random(size) < mixture.contact_consent,
        advocacy_consent=random.random(size) < mixture.advocacy_consent,
        means=means,
        state=state,
        plan=plan,
        source=_drawn(random, SOURCE_SHARES, size),
        referred_by=np.full(size, -1),
        status=np.full(size, WAITING, dtype=np.int8),
        started_us=nobody.copy(),
        ends_us=nobody.copy(),
        bills_us=nobody.copy(),
        stuck_until=np.full(size, -1),
        returns_us=nobody.copy(),
        left_week=np.full(size, FAR),
        asked_week=np.full(size, -FAR),
        acted_week=np.full(size, -FAR),
    )


def _latents(size: int, law: Latents, random: np.random.Generator) -> tuple[Means, State]:
    """Where the latents return to, and where they begin."""
    means = Means(
        law.satisfaction_mean + law.satisfaction_spread * random.standard_normal(size),
        law.engagement_mean + law.engagement_spread * random.standard_normal(size),
        law.affinity_mean + law.affinity_spread * random.standard_normal(size),
    )
    engagement = means.engagement + 0.6 * random.standard_normal(size)
    state = State(
        satisfaction=means.satisfaction + 0.6 * random.standard_normal(size) + 0.1,
        engagement=engagement,
        affinity=means.affinity + 0.4 * random.standard_normal(size),
        level=engagement + 0.3 * random.standard_normal(size),
    )
    return means, state


def _office_time(weeks: Numbers, random: np.random.Generator) -> Numbers:
    """Times in microseconds from weeks, moved to waking hours, whole seconds."""
    days = np.floor(weeks * 7)
    seconds = np.floor((7.0 + 15.0 * random.random(len(weeks))) * 3600)
    return np.asarray(days * DAY_US + seconds * 1_000_000, dtype=np.int64)


def customers_table(people: Population, random: np.random.Generator, first_plan: Numbers) -> Frame:
    """The `customers` table in the state of the day on which each joined."""
    rows = people.size
    everybody = np.arange(rows)
    business = people.segment > 0
    industry = random.integers(0, len(INDUSTRIES), rows)
    account = np.where(business, everybody // 2, -1)
    born = np.where(~business & (random.random(rows) < 0.7), random.integers(1945, 2005, rows), -1)
    gender = np.where(~business & (random.random(rows) < 0.6), random.integers(0, 2, rows), -1)
    regions = tuple(region for country in REGIONS for region in country)
    tags = tuple(tag for language in TAGS for tag in language)
    known = random.random(rows)
    return {
        "customer_id": customer(everybody),
        "created_at": people.created_us,
        "account_id": Key("A", account, 7),
        "region": Text(people.country * 3 + people.region, regions),
        "country": Text(people.country, COUNTRIES),
        "language": Text(np.where(known < 0.05, -1, people.language * 3 + people.tag), tags),
        "segment": Text(people.segment, SEGMENTS),
        "plan": Text(np.where(people.kind == SUBSCRIBER, first_plan, -1), ("basic", "plus", "pro", "enterprise")),
        "industry": Text(np.where(business, industry, -1), INDUSTRIES),
        "birth_year": born,
        "gender": Text(gender, ("female", "male")),
        "acquisition_source": Text(np.where(known > 0.97, -1, people.source), SOURCES),
        "referred_by": customer(people.referred_by),
        "contact_consent": np.where(known > 0.95, -1, people.contact_consent),
        "advocacy_consent": np.where(known > 0.95, -1, people.advocacy_consent),
        "is_internal": np.where(people.is_internal, 1, 0),
    }


def is_new(people: Population, start_us: int, end_us: int) -> Numbers:
    """Positions of those who join in [start, end)."""
    return np.flatnonzero((people.created_us >= start_us) & (people.created_us < end_us))
