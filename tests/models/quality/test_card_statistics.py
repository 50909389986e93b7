"""Statistics of a card: what is calibrated lies on the promise, and acting pays where it should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vouch.models.quality.card_statistics import card_statistics, decision_curve, net_benefit, smooth_calibration
from vouch.models.scoring.calibration import log_odds, sigmoid


def drawn(rows, seed=0):
    rng = np.random.default_rng(seed)
    truth = sigmoid(rng.normal(-2, 1.2, rows))
    return truth, (rng.random(rows) < truth).astype(float), np.arange(rows)


def test_true_probabilities_lie_on_the_promise_and_within_the_band():
    inside = []
    for seed in range(10):
        truth, y, customers = drawn(4000, seed)
        for point in smooth_calibration(y, truth, customers):
            assert point["low"] <= point["observed"] <= point["high"]
            inside.append(point["low"] <= point["predicted"] <= point["high"])
    assert np.mean(inside) > 0.85


def test_a_distortion_is_seen_where_it_is():
    truth, y, customers = drawn(40_000)
    off = sigmoid(log_odds(truth) + 0.7)
    for point in smooth_calibration(y, off, customers)[2:]:
        assert point["high"] < point["predicted"]
        assert point["observed"] == pytest.approx(sigmoid(log_odds(np.array([point["predicted"]])) - 0.7)[0], rel=0.15)


def test_rows_of_a_customer_are_not_taken_for_independent():
    truth, y, customers = drawn(1500)
    once = smooth_calibration(y, truth, customers)
    thrice = smooth_calibration(np.tile(y, 3), np.tile(truth, 3), np.tile(customers, 3))
    for one, more in zip(once, thrice, strict=True):
        assert more["high"] - more["low"] == pytest.approx(one["high"] - one["low"], rel=0.05)


def test_net_benefit_by_hand():
    y, p = np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.9, 0.8, 0.1, 0.2])
    assert net_benefit(y, p, 0.5) == pytest.approx(0.25 - 0.25)
    assert net_benefit(y, p, 0.2) == pytest.approx(0.5 - 0.25 * 0.25)
    assert net_benefit(y, np.ones(4), 0.2) == pytest.approx(0.5 - 0.5 * 0.25)


@given(st.integers(0, 50), st.floats(0.01, 0.6))
def test_true_probabilities_are_worth_no_less_than_acting_on_everybody_or_nobody(seed, threshold):
    truth, _, _ = drawn(20_000, seed)
    weight = (truth >= threshold) * (truth - (1 - truth) * threshold / (1 - threshold))
    everybody = truth - (1 - truth) * threshold / (1 - threshold)
    assert weight.mean() >= max(0.0, everybody.mean()) - 1e-12


def test_what_cannot_be_told_is_left_out():
    assert smooth_calibration(np.zeros(50), np.linspace(0.1, 0.9, 50), np.arange(50)) == []
    assert [row["threshold"] for row in decision_curve(np.ones(3), np.ones(3), (0.0, 0.2, 0.1, 0.2, 1.0))] == [0.1, 0.2]


def test_the_summary_adds_up():
    truth, y, customers = drawn(3000)
    matrix = np.full((3000, 4), np.nan, np.float32)
    matrix[:, :2] = 1.0
    told = card_statistics(y, truth, customers, (0.1,), matrix, y)["summary"]
    brier = float(np.mean((truth - y) ** 2))
    parts = [told[name] for name in told if name.startswith("Brier")]
    assert parts[0] - parts[1] + parts[2] == pytest.approx(brier, abs=1e-12)
    assert told["observed over expected"] == pytest.approx(y.mean() / truth.mean())
    assert (told["cells without a value"], told["features mostly without a value"]) == (0.5, 2.0)
    assert told["outcomes of the rarer kind per feature"] == y.sum() / 4
