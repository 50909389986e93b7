"""Matching of references: who fits, is willing and rested comes first, turns are kept, and it is fast for a million."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vouch.features.contract.tables import DAY_US
from vouch.serving.asking.rules.reference_match import (
    WEIGHTS,
    AskHistory,
    Load,
    Pool,
    Prospect,
    fit_of,
    load_of,
    match,
)

INDUSTRIES, USES = ("retail", "software", "health"), ("reporting", "automation", "compliance")
REGIONS, TAGS, PERSONAS = ("north", "south", "east"), ("en", "en-GB", "ko-KR", "ro"), ("it", "finance")
NAMES = ("industry", "use_case", "region", "language", "persona")
WORDS = dict(zip(NAMES, (INDUSTRIES, USES, REGIONS, TAGS, PERSONAS), strict=True))
WEEKS, WEEKLY, FAVOURITES = 52, 50, 25
NOBODY = AskHistory(*(np.empty(0, dtype=kind) for kind in (np.int64, np.int64, bool, bool)))


def pool_of(size: int, seed: int = 1, words=WORDS) -> Pool:
    random = np.random.default_rng(seed)
    codes = {name: random.integers(0, len(of), size).astype(np.int32) for name, of in words.items()}
    return Pool(codes, words, np.exp(random.normal(5, 1, size)).round(), random.integers(0, 4, size).astype(np.int32))


def rested(pool: Pool) -> Load:
    return load_of(pool, NOBODY, 0)


def gini(counts: np.ndarray) -> float:
    """How uneven counts are: 0 where all have the same (Gini 1912: half the mean difference over the mean)."""
    ordered = np.sort(np.asarray(counts, dtype=np.float64))
    total, size = ordered.sum(), len(ordered)
    return float(((2 * np.arange(1, size + 1) - size - 1) * ordered).sum() / (size * total)) if total else 0.0


class Programme:
    """A year of requests to a pool of advocates, with the truth of who accepts: 0.4, and 0.2 more where industry and
    use case fit, halved by each ask of the last 90 days."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.pool = pool_of(500, seed)
        self.affinity = self.random.random(500)
        self.asked: list[tuple[int, int, bool]] = []
        self.times: list[list[int]] = [[] for _ in range(500)]

    def requests(self):
        for week in range(WEEKS):
            for number in range(WEEKLY):
                at_us = (week * 7 * DAY_US) + number * DAY_US // 10
                names = ("industry", "use_case", "region")
                wanted = {name: str(self.random.choice(WORDS[name])) for name in names}
                yield f"{week}-{number}", at_us, Prospect(**wanted)

    def ask(self, row: int, prospect: Prospect, at_us: int) -> None:
        fits = all(
            WORDS[name][self.pool.codes[name][row]] == getattr(prospect, name) for name in ("industry", "use_case")
        )
        before = sum(when > at_us - 90 * DAY_US for when in self.times[row])
        self.times[row].append(at_us)
        chance = (0.4 + 0.2 * fits) * 0.5**before
        self.asked.append((row, at_us, bool(self.random.random() < chance)))

    @property
    def history(self) -> AskHistory:
        row, asked_us, accepted = (np.asarray(part) for part in zip(*self.asked, strict=True))
        return AskHistory(row.astype(np.int64), asked_us.astype(np.int64), accepted, np.ones(len(row), dtype=bool))

    def figures(self) -> tuple[float, float]:
        """The share of asks that were accepted, and the Gini coefficient of the load."""
        load = np.bincount([row for row, _, _ in self.asked], minlength=500)
        return sum(accepted for _, _, accepted in self.asked) / len(self.asked), gini(load)


def by_desk(seed: int) -> tuple[float, float]:
    told = Programme(seed)
    everybody = np.arange(500)
    for request, at_us, prospect in told.requests():
        load = load_of(told.pool, told.history if told.asked else NOBODY, at_us)
        told.ask(int(match(told.pool, prospect, everybody, load, request, 1).rows[0]), prospect, at_us)
    return told.figures()


def by_favourites(seed: int) -> tuple[float, float]:
    """Always one of the 25 of the highest affinity who fit."""
    told = Programme(seed)
    everybody = np.arange(500)
    for _, at_us, prospect in told.requests():
        fit, _ = fit_of(told.pool, replace(prospect, region=None), everybody)
        who = np.flatnonzero(fit >= 1.0)
        best = who[np.argsort(-told.affinity[who])][:FAVOURITES]
        told.ask(int(told.random.choice(best)), prospect, at_us)
    return told.figures()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_year_of_requests_is_accepted_twice_as_often_as_by_favourites_and_the_load_is_spread(seed):
    accepted, unevenness = by_desk(seed)
    accepted_by_favourites, unevenness_of_favourites = by_favourites(seed)
    assert accepted >= 2 * accepted_by_favourites
    assert unevenness <= unevenness_of_favourites / 2


def test_matching_among_a_million_customers_takes_less_than_100_ms():
    pool = pool_of(1_000_000)
    random = np.random.default_rng(3)
    rows = np.flatnonzero(random.random(len(pool)) < 0.6)
    asked = random.integers(0, len(pool), 200_000)
    when = random.integers(0, 400, 200_000) * DAY_US
    load = load_of(
        pool, AskHistory(asked, when, random.random(200_000) < 0.4, random.random(200_000) < 0.8), 400 * DAY_US
    )
    prospect = Prospect("retail", 200, "north", "en", "automation", "it")
    took = []
    for number in range(5):
        began = time.perf_counter()
        found = match(pool, prospect, rows, load, f"r{number}", 10)
        took.append(time.perf_counter() - began)
    assert len(found.rows) == 10
    assert found.fit.min() > 0.8
    assert min(took) < 0.1, took


@given(st.data())
def test_each_thing_that_is_met_adds_its_weight_and_a_language_that_is_not_spoken_takes_all(data):
    pool = pool_of(20, data.draw(st.integers(0, 99)))
    wanted = {name: data.draw(st.sampled_from([None, *WORDS[name]])) for name in NAMES}
    size = data.draw(st.none() | st.integers(1, 10_000))
    found, unused = fit_of(pool, Prospect(company_size=size, **wanted), np.arange(20))
    assert unused == ()
    for row in range(20):
        met, weight = 0.0, 0.0
        for name, counts in WEIGHTS.items():
            value = size if name == "company_size" else wanted[name]
            if value is None:
                continue
            weight += counts
            if name == "company_size":
                apart = abs(np.log10(pool.company_size[row]) - np.log10(value))
                met += counts * max(1 - apart, 0)
            else:
                met += counts * (WORDS[name][pool.codes[name][row]] == value)
        spoken = TAGS[pool.codes["language"][row]].split("-")[0]
        speaks = wanted["language"] is None or spoken == wanted["language"].split("-")[0]
        assert found[row] == pytest.approx((met / weight if weight else 1.0) * speaks)


def test_what_nobody_has_told_is_not_fitted_but_named_and_an_unknown_value_never_fits():
    pool, unknown = pool_of(10), np.full(10, -1, np.int32)
    codes = {**pool.codes, "persona": unknown, "use_case": unknown}
    pool = replace(pool, words={**WORDS, "persona": ()}, codes=codes)
    fit, unused = fit_of(pool, Prospect(use_case="reporting", persona="it"), np.arange(10))
    assert unused == ("persona",)
    assert not fit.any()


def test_nobody_who_may_not_be_asked_is_matched_and_each_stands_once():
    pool = pool_of(300)
    rows = np.arange(0, 300, 7)
    found = match(pool, Prospect(industry="retail"), rows, rested(pool), "r", 1_000)
    assert set(found.rows.tolist()) <= set(rows.tolist())
    assert len(set(found.rows.tolist())) == len(found.rows) == found.eligible
    assert not len(match(pool, Prospect(), rows[:0], rested(pool), "r", 5).rows)


def test_equals_take_turns_who_was_asked_least_comes_first_and_the_order_is_no_alphabet():
    words = {name: of[:1] for name, of in WORDS.items()}
    pool = replace(pool_of(50, words=words), tier=np.zeros(50, dtype=np.int32))
    old = np.arange(10) * DAY_US  # a year's load, none of it of the last 90 days
    history = AskHistory(np.arange(10), old, np.zeros(10, dtype=bool), np.zeros(10, dtype=bool))
    load = load_of(pool, history, 200 * DAY_US)
    found = match(pool, Prospect(), np.arange(50), load, "r", 50)
    assert set(found.rows[:40].tolist()) == set(range(10, 50))
    assert found.rows[40:].tolist() == list(range(10))  # who was asked longest ago first
    assert found.rows[:40].tolist() != sorted(found.rows[:40].tolist())
    assert match(pool, Prospect(), np.arange(50), load, "r", 50).rows.tolist() == found.rows.tolist()


def test_an_ask_of_the_last_90_days_halves_and_answers_move_the_chance_to_accept():
    pool = replace(pool_of(4), tier=np.zeros(4, dtype=np.int32))
    history = AskHistory(
        np.array([0, 0, 1, 2]), np.array([10, 100, 100, 100]) * DAY_US,
        np.array([True, True, False, False]), np.array([True, True, True, False]),
    )  # fmt: skip
    load = load_of(pool, history, 110 * DAY_US)
    found = match(pool, Prospect(), np.arange(4), load, "r", 4)
    rest = dict(zip(found.rows.tolist(), found.rest.tolist(), strict=True))
    assert rest == {0: 0.5, 1: 0.5, 2: 0.5, 3: 1.0}  # the ask 100 days ago counts no more
    assert load.acceptance[0] > load.acceptance[2] == load.acceptance[3] > load.acceptance[1]
    assert load.last_us.tolist() == [100 * DAY_US, 100 * DAY_US, 100 * DAY_US, -1]


@given(st.lists(st.integers(0, 50), max_size=40))
def test_the_gini_coefficient_is_half_the_mean_difference_over_the_mean(counts):
    pairs = [abs(a - b) for a in counts for b in counts]
    mean = sum(counts) / len(counts) if counts else 0
    expected = sum(pairs) / len(pairs) / mean / 2 if mean else 0.0
    assert gini(np.asarray(counts)) == pytest.approx(expected)
