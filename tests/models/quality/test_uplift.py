"""Uplift by trials at random: averages, slopes and Qini curves against companies whose effects are known."""

from __future__ import annotations

import numpy as np
import pytest

from vouch.models.quality.uplift import Arm, Trial, trial_effects

ROWS = 6_000


def trial(effect, said=None, base=0.1, chance=0.5, seed=0, wrong=0.0):
    """A trial on customers whose true effect is `effect` of a number from 0 to 1, where `said` was predicted."""
    rng = np.random.default_rng(seed)
    x = rng.random(ROWS)
    true = effect(x)
    predicted = true if said is None else said(x)
    is_treated = rng.random(ROWS) < chance
    came = (rng.random(ROWS) < base + true * is_treated).astype(float)
    without = base + wrong
    beyond = came - without - predicted * is_treated
    customers = np.arange(ROWS)
    arms = [
        Arm(predicted[of], beyond[of], np.full(of.sum(), 1 / share), customers[of], np.full(of.sum(), without))
        for of, share in ((is_treated, chance), (~is_treated, 1 - chance))
    ]
    return Trial(*arms, chance)


@pytest.mark.parametrize("wrong", [0.0, 0.2])
@pytest.mark.parametrize("chance", [0.5, 0.1])
def test_the_average_is_found_even_where_the_predictions_are_off(wrong, chance):
    found = trial_effects([trial(lambda x: 0.3 * x, lambda x: 0.6 * x, wrong=wrong, chance=chance)])
    (of,) = found.kinds
    assert of.low < 0.15 < of.high
    assert of.high - of.low < 0.12
    assert of.untreated == pytest.approx(0.1, abs=0.03)


def test_predicted_differences_count_as_far_as_trials_bear_them_out():
    slopes = {
        times: trial_effects([trial(lambda x: 0.3 * x, lambda x, t=times: 0.3 * t * x)]).slope for times in (1, 3)
    }
    assert slopes[1] == pytest.approx(1.0, abs=0.25)
    assert slopes[3] == pytest.approx(1 / 3, abs=0.15)


def test_where_nothing_is_added_no_interval_lies_above_nothing_and_no_order_gains():
    for seed in range(3):
        found = trial_effects([trial(lambda x: 0.0 * x, lambda x: 0.3 * x, seed=seed)], seed)
        (of,) = found.kinds
        assert of.low < 0 < of.high
        assert found.qini.low < 0 < found.qini.high
        assert found.slope < 0.4


def test_the_qini_curve_of_true_effects_is_what_they_promise():
    found = trial_effects([trial(lambda x: 0.4 * x)])
    assert found.qini.area == pytest.approx(0.4 / 12, abs=0.006)  # the integral of (x - x^2 / 2 - x / 2) times 0.4
    assert found.qini.promised == pytest.approx(found.qini.area, abs=0.008)
    assert 0 < found.qini.low < found.qini.area < found.qini.high
    shares, added, _ = zip(*found.qini.points, strict=True)
    assert (shares[0], shares[-1], added[0]) == (0.0, 1.0, 0.0)
    assert added[-1] == pytest.approx(found.kinds[0].average)


def test_an_order_upside_down_loses_against_chance():
    found = trial_effects([trial(lambda x: 0.4 * x, lambda x: 0.4 * (1 - x))])
    assert found.qini.high < 0
    assert found.slope == 0


def test_kinds_are_told_apart():
    found = trial_effects([trial(lambda x: 0.0 * x), trial(lambda x: 0.2 + 0.0 * x, seed=1)])
    assert found.kinds[0].low < 0 < found.kinds[0].high
    assert found.kinds[1].low > 0.15
