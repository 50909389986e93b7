"""BG/NBD, MBG/NBD and Gamma-Gamma: the published numbers of CDNOW, and what must hold whatever the numbers are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from vouch.models.value.repeat_purchases import Orders, RepeatPurchases, fit_repeat_purchases
from vouch.models.value.spend import Spend, fit_spend


@pytest.fixture
def cdnow(datasets):
    rows = pd.read_csv(datasets / "cdnow" / "cdnow_customers_summary.csv")
    return Orders(*(rows[name].to_numpy(float) for name in ("frequency", "recency", "T")))


def test_bg_nbd_has_the_published_numbers_of_cdnow(cdnow):
    """Fader, Hardie & Lee 2005, table 2."""
    found = fit_repeat_purchases(cdnow, is_modified=False)
    assert (found.r, found.alpha, found.a, found.b) == pytest.approx((0.243, 4.414, 0.793, 2.426), rel=0.01)
    assert found.log_likelihood(cdnow).sum() == pytest.approx(-9582.4, abs=0.1)
    spread = np.sqrt(np.diag(found.covariance))
    assert (spread > 0).all()
    assert (spread < 0.5).all()


def test_gamma_gamma_has_the_published_numbers_of_cdnow(datasets):
    """Fader & Hardie 2013: 946 customers who came back."""
    rows = pd.read_csv(datasets / "cdnow" / "cdnow_customers_summary_with_transactions.csv")
    found = fit_spend(rows["x"].to_numpy(float), rows["zbar"].to_numpy(float))
    assert (found.p, found.q, found.gamma) == pytest.approx((6.25, 3.74, 15.45), rel=0.01)


@pytest.mark.parametrize("is_modified", [False, True])
def test_draws_have_the_mean_that_the_formula_says(cdnow, is_modified):
    model = fit_repeat_purchases(cdnow, is_modified)
    some = cdnow.take(np.arange(0, 2_357, 20))
    bought, there = model.drawn(some, 39.0, np.random.default_rng(0), 400)
    assert bought.sum(axis=0).mean() == pytest.approx(model.expected(some, 39.0).sum(), rel=0.03)
    assert there.max() <= 39
    assert (bought[there == 0] == 0).all()


@pytest.mark.parametrize("spend", [Spend(6.0, 4.0, 60.0), Spend(1.2, 9.0, 200.0), Spend(300.0, 6.0, 0.4)])
def test_draws_of_what_is_spent_have_the_mean_and_the_spread_that_the_model_says(spend):
    orders, mean = np.array([1.0, 2.0, 5.0, 40.0]), np.array([10.0, 80.0, 30.0, 55.0])
    bought = np.repeat([[1.0], [3.0], [0.0], [8.0]], 200_000, axis=1)
    drawn = spend.drawn(bought, orders, mean, np.random.default_rng(0))
    expected = bought[:, 0] * spend.expected(orders, mean)
    assert drawn.mean(axis=1) == pytest.approx(expected, rel=0.02)
    # Beta-prime: p z / nu with nu of q + p x and gamma + x z.
    shape, left = spend.p * bought[:, 0], spend.q + spend.p * orders
    variance = np.where(shape > 0, expected**2 * (shape + left - 1) / (np.maximum(shape, 1e-9) * (left - 2)), 0.0)
    assert drawn.std(axis=1) == pytest.approx(np.sqrt(variance), rel=0.05)


@pytest.mark.parametrize("is_modified", [False, True])
def test_more_time_means_no_fewer_purchases_and_a_longer_silence_no_more_life(is_modified):
    model = RepeatPurchases(0.5, 40.0, 0.9, 1.6, is_modified)
    orders = Orders(np.full(5, 3.0), np.full(5, 100.0), np.array([100.0, 150.0, 250.0, 400.0, 800.0]))
    assert (np.diff(model.alive(orders)) < 0).all()
    said = np.array([model.expected(orders, days) for days in (0.5, 7.0, 90.0, 365.0, 1095.0)])
    assert (np.diff(said, axis=0) > 0).all()
    assert (said >= 0).all()


def test_who_bought_once_may_be_gone_and_ranks_below_who_came_back():
    """Of equal orders, the one-time buyer is drawn harder to the mean: he is not handed the mean of those who return"""
    once = Orders(np.zeros(1), np.zeros(1), np.array([300.0]))
    assert RepeatPurchases(0.5, 40.0, 0.9, 1.6, is_modified=False).alive(once)[0] == 1
    assert RepeatPurchases(0.5, 40.0, 0.9, 1.6, is_modified=True).alive(once)[0] < 0.6
    spend = Spend(6.0, 4.0, 60.0)
    mean = spend.p * spend.gamma / (spend.q - 1)
    low, often, high = spend.expected(np.array([1.0, 10.0, 1.0]), np.array([10.0, 10.0, 500.0]))
    assert 10 < often < low < mean < high < 500


def test_too_few_customers_have_no_numbers():
    few = Orders(np.ones(20), np.full(20, 5.0), np.full(20, 20.0))
    assert fit_repeat_purchases(few) is None
    nobody_returned = Orders(np.zeros(500), np.zeros(500), np.full(500, 20.0))
    assert fit_repeat_purchases(nobody_returned) is None
    assert fit_spend(np.ones(3), np.full(3, 10.0)) is None
