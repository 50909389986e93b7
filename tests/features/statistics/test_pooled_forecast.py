"""Pooled forecasts: what they learn where there is something to learn, and persistence, told as such, where not."""

from __future__ import annotations

import numpy as np
import pytest

from vouch.features.statistics.pooled_forecast import Origin, pooled_classes, pooled_forecast

PLACES, CUSTOMERS = 16, 300


def walked(pull, shared=0.0, seed=0, steps=1):
    """Origins of levels that are drawn to 0 at each step, and rise or fall together."""
    random = np.random.default_rng(seed)
    levels = [random.normal(size=CUSTOMERS)]
    for _ in range(PLACES):
        moved = random.normal(0, 0.3, CUSTOMERS) + random.normal(0, shared) if shared else 0.0
        levels.append((1 - pull) * levels[-1] + random.normal(0, 0.3, CUSTOMERS) + moved)
    levels.reverse()
    nothing = np.full(CUSTOMERS, np.nan)
    known = random.integers(1, 9, CUSTOMERS).astype(float)
    later = levels[0]
    told = levels[1:]
    return [
        Origin(-of[:, None], of, known, told[place - steps] if place >= steps else nothing)
        for place, of in enumerate(told)
    ], later


def test_what_is_drawn_back_is_told_better_than_by_persistence_and_the_interval_holds_80_percent():
    origins, later = walked(pull=0.4)
    found = pooled_forecast(origins, 1)
    assert not found.is_persistence
    assert found.skill > 0.1
    assert np.abs(found.expected - later).mean() < np.abs(origins[0].last - later).mean()
    assert 0.75 <= ((found.low <= later) & (later <= found.high)).mean() <= 0.9


def test_what_nothing_draws_back_is_told_by_persistence():
    origins, _ = walked(pull=0.0)
    found = pooled_forecast(origins, 1)
    assert found.is_persistence is (found.skill <= 0)
    if found.is_persistence:
        assert (found.expected == origins[0].last).all()
    assert found.expected == pytest.approx(origins[0].last, abs=0.1)


def test_who_rise_and_fall_together_have_intervals_that_hold_over_many_companies():
    held = []
    for seed in range(60):
        origins, later = walked(pull=0.3, shared=0.6, seed=seed)
        found = pooled_forecast(origins, 1)
        held.append(((found.low <= later) & (later <= found.high)).mean())
    assert 0.75 <= np.mean(held) <= 0.9


def test_what_came_after_the_newest_origin_has_no_part_in_it():
    """The outcome of an origin within the time ahead is not known yet: whatever stands there is not read."""
    origins, _ = walked(pull=0.4, steps=3)
    other = [Origin(of.inputs, of.last, of.known, np.full(CUSTOMERS, 9.0)) if place < 3 else of
             for place, of in enumerate(origins)]  # fmt: skip
    pair = [pooled_forecast(of, 3) for of in (origins, other)]
    assert (pair[0].expected == pair[1].expected).all()
    assert pair[0].skill == pair[1].skill


def test_too_few_pairs_are_persistence_without_an_interval():
    few = [Origin(of.inputs[:3], of.last[:3], of.known[:3], of.truth[:3]) for of in walked(pull=0.4)[0]]
    found = pooled_forecast(few, 1)
    assert found.is_persistence
    assert found.skill is None
    assert np.isnan(found.low).all()
    assert (found.expected == few[0].last).all()


def classes(moves, seed=0):
    """Origins of customers who come from each class to the others as the table of `moves` says."""
    random = np.random.default_rng(seed)
    at = random.integers(0, 3, CUSTOMERS)
    levels = [at]
    for _ in range(PLACES):
        at = (random.random(CUSTOMERS)[:, None] > np.cumsum(np.asarray(moves)[at], axis=1)).sum(axis=1)
        levels.append(at)
    told = [level - 1.0 for level in reversed(levels)]
    nothing, empty = np.full(CUSTOMERS, np.nan), np.empty((CUSTOMERS, 0))
    return [Origin(empty, of, np.ones(CUSTOMERS), told[place - 1] if place else nothing)
            for place, of in enumerate(told)]  # fmt: skip


def test_a_class_that_most_leave_is_told_by_where_they_go():
    found = pooled_classes(classes([[0.9, 0.1, 0], [0.8, 0.15, 0.05], [0, 0.1, 0.9]]), 1, (-1.0, 0.0, 1.0))
    last = classes([[0.9, 0.1, 0], [0.8, 0.15, 0.05], [0, 0.1, 0.9]])[0].last
    assert not found.is_persistence
    assert (found.expected[last == 0] == -1).all()
    assert (found.expected[last == 1] == 1).all()


def test_a_class_that_most_keep_is_told_by_persistence_within_its_interval():
    found = pooled_classes(classes([[0.7, 0.3, 0], [0.2, 0.6, 0.2], [0, 0.3, 0.7]]), 1, (-1.0, 0.0, 1.0))
    assert found.is_persistence
    assert ((found.low <= found.expected) & (found.expected <= found.high)).all()
    assert (found.high - found.low).max() >= 1
