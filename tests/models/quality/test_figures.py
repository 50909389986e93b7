"""Figures of probabilities equal scikit-learn's, do not depend on row order, and are honest about ties and chance."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

from vouch.features.errors import DefinitionError
from vouch.models.quality import figures
from vouch.models.quality.weighted_figures import FIGURES


@pytest.fixture(scope="module")
def rows():
    """A weak, well calibrated model on 4,000 rows of 1,000 customers, and one that knows less."""
    draw = np.random.default_rng(5)
    customers = np.repeat(np.char.add("C", np.arange(1000).astype(str)), 4)
    feeling = np.repeat(draw.normal(size=1000), 4) + draw.normal(size=4000)
    p = expit(feeling - 2)
    y = (draw.random(4000) < p).astype(int)
    return customers, y, p, expit(0.5 * feeling + draw.normal(size=4000) - 2)


outcomes = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20)), min_size=2, max_size=60).map(
    lambda rows: (np.array([y for y, _ in rows]), np.array([p for _, p in rows]) / 20)
)
weighted_outcomes = outcomes.flatmap(
    lambda yp: st.tuples(
        st.just(yp), st.lists(st.integers(0, 4), min_size=len(yp[0]), max_size=len(yp[0])).map(np.array)
    )
)


@given(outcomes)
def test_ranking_figures_equal_scikit_learn(yp):
    y, p = yp
    assume(0 < y.sum() < len(y))
    assert figures.roc_auc(y, p) == pytest.approx(metrics.roc_auc_score(y, p), abs=1e-12)
    assert figures.pr_auc(y, p) == pytest.approx(metrics.average_precision_score(y, p), abs=1e-12)


@given(outcomes)
def test_losses_equal_scikit_learn(yp):
    y, p = yp
    assert figures.log_loss(y, p) == pytest.approx(metrics.log_loss(y, p, labels=[0, 1]), rel=1e-9, abs=1e-12)
    assert figures.brier(y, p) == pytest.approx(metrics.brier_score_loss(y, p), abs=1e-12)


@given(weighted_outcomes)
def test_weights_are_repeated_rows(case):
    (y, p), weight = case
    repeated = np.repeat(y, weight), np.repeat(p, weight)
    for name, prepare in FIGURES.items():
        by_weight = prepare(y.astype(float), p)(weight.astype(float))
        by_rows = prepare(*(a.astype(float) for a in repeated))(np.ones(weight.sum()))
        assert by_weight == pytest.approx(by_rows, nan_ok=True, abs=1e-12), name


@given(outcomes, st.randoms(use_true_random=False))
def test_no_figure_depends_on_the_order_of_rows(yp, random):
    y, p = yp
    order = np.array(random.sample(range(len(y)), len(y)))
    assert figures.figures(y[order], p[order]) == pytest.approx(figures.figures(y, p), nan_ok=True, rel=1e-6, abs=1e-9)


@given(outcomes)
def test_figures_stay_in_their_bounds(yp):
    y, p = yp
    found = figures.figures(y, p)
    for name in ("roc_auc", "pr_auc", "brier", "calibration_error", "precision_at_1", "precision_at_10"):
        assert np.isnan(found[name]) or 0 <= found[name] <= 1 + 1e-12
    assert found["log_loss"] >= 0
    assert np.isnan(found["brier_skill"]) or found["brier_skill"] <= 1


@given(outcomes)
def test_brier_is_exactly_the_sum_of_its_parts(yp):
    y, p = yp
    parts = figures.brier_parts(y, p)
    assert parts.reliability - parts.resolution + parts.uncertainty == pytest.approx(figures.brier(y, p), abs=1e-12)
    assert min(parts.reliability, parts.resolution) >= -1e-12
    assert parts.uncertainty == pytest.approx(y.mean() * (1 - y.mean()))


def test_the_base_rate_has_no_resolution_no_skill_and_no_reliability_term():
    y = np.array([0, 0, 0, 1])
    assert vars(figures.brier_parts(y, np.full(4, 0.25))) == pytest.approx(
        {"reliability": 0, "resolution": 0, "uncertainty": 0.1875}
    )
    assert figures.brier_skill(y, np.full(4, 0.25)) == pytest.approx(0)


def test_a_random_score_of_twelve_values_has_a_lift_of_one():
    # A decile cut that breaks ties by the order of rows calls the same score 1.68 (the lift listing of fight-churn).
    draw = np.random.default_rng(0)
    y = np.sort(draw.random(5000) < 0.1)[::-1].astype(int)
    lifts = [figures.lift_at(y, draw.integers(0, 12, 5000), 0.10) for _ in range(300)]
    assert np.mean(lifts) == pytest.approx(1.00, abs=0.02)


def test_tied_rows_share_what_they_get():
    y = np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    assert figures.precision_at(y, np.zeros(10), 0.1) == pytest.approx(0.2)
    assert figures.lift_at(y, np.zeros(10), 0.1) == pytest.approx(1)
    assert figures.precision_at(y, -np.arange(10), 0.2) == 1
    assert figures.lift_at(y, -np.arange(10), 0.2) == pytest.approx(5)
    tied_in_part = np.array([3, 2, 2, 2, 2, 1, 1, 1, 1, 1])
    assert figures.precision_at(y, tied_in_part, 0.3) == pytest.approx((1 + 2 * 0.25) / 3)


@given(outcomes)
def test_precision_of_all_rows_is_the_base_rate(yp):
    y, p = yp
    assert figures.precision_at(y, p, 1.0) == pytest.approx(y.mean())


def test_expected_precision_is_the_mean_over_the_orders_of_ties():
    draw = np.random.default_rng(2)
    y, score = draw.integers(0, 2, 40), draw.integers(0, 4, 40)
    broken = [figures.precision_at(y, score + draw.random(40) / 2, 0.25) for _ in range(4000)]
    assert figures.precision_at(y, score, 0.25) == pytest.approx(np.mean(broken), abs=0.005)


def test_calibration_error_is_small_for_true_probabilities_and_large_for_shifted_ones(rows):
    _, y, p, _ = rows
    assert figures.calibration_error(y, p) < 0.025
    assert figures.calibration_error(y, np.clip(p + 0.2, 0, 1)) == pytest.approx(0.2, abs=0.025)
    assert figures.calibration_error(y, np.full(len(y), y.mean())) == pytest.approx(0)


def test_equal_probabilities_stay_in_one_bin():
    y, p = np.tile([0, 1], 50), np.repeat([0.2, 0.8], 50)
    table = figures.calibration_table(y, p, bins=20)
    assert table.n.tolist() == [50, 50]
    assert table.predicted == pytest.approx([0.2, 0.8])
    assert table.observed == pytest.approx([0.5, 0.5])
    assert (table.low < 0.5).all()
    assert (table.high > 0.5).all()
    assert figures.calibration_error(y, p) == pytest.approx(0.3)


def test_bins_have_equal_mass_where_nothing_is_tied(rows):
    _, y, p, _ = rows
    table = figures.calibration_table(y, p)
    assert table.n.tolist() == [200] * 20
    assert (np.diff(table.predicted) > 0).all()
    assert (table.n * table.observed).sum() == pytest.approx(y.sum())


def test_slope_and_intercept_equal_an_unpenalised_logistic_regression(rows):
    _, y, p, other = rows
    for probabilities in (p, other, expit(1.5 * np.log(p / (1 - p)) + 1)):
        design = np.log(probabilities / (1 - probabilities))[:, None]
        fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(design, y)
        slope, intercept = figures.calibration_slope_intercept(y, probabilities)
        assert slope == pytest.approx(fitted.coef_[0, 0], rel=1e-4)
        assert intercept == pytest.approx(fitted.intercept_[0], rel=1e-4, abs=1e-4)


def test_slope_is_one_for_true_probabilities_and_below_for_too_extreme_ones(rows):
    _, y, p, _ = rows
    assert figures.calibration_slope_intercept(y, p) == pytest.approx((1, 0), abs=0.15)
    assert figures.calibration_slope_intercept(y, expit(2 * np.log(p / (1 - p))))[0] == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize(
    ("y", "p"),
    [([0, 0, 0], [0.1, 0.2, 0.3]), ([0, 1, 1], [0.5, 0.5, 0.5]), ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]), ([], [])],
    ids=["one class", "constant", "separated", "empty"],
)
def test_no_slope_where_no_finite_fit_exists(y, p):
    assert np.isnan(figures.calibration_slope_intercept(y, p)).all()


@pytest.mark.parametrize("y", [[0, 0, 0], [1, 1, 1], []], ids=["no positive", "no negative", "no row"])
def test_figures_of_one_class_are_nan_and_never_an_error(y):
    found = figures.figures(y, np.linspace(0.1, 0.9, len(y)))
    assert np.isnan(found["roc_auc"])
    assert np.isnan(found["brier_skill"])
    assert set(found) == set(figures.figures([0, 1], [0.2, 0.7]))


def test_gain_table_runs_from_nothing_to_all(rows):
    _, y, p, _ = rows
    table = figures.gain_table(y, p)
    assert (table.captured[0], table.captured[-1]) == (0, 1)
    assert (np.diff(table.captured) >= 0).all()
    assert table.lift[10] == pytest.approx(figures.lift_at(y, p, 0.10))
    assert table.precision[10] == pytest.approx(figures.precision_at(y, p, 0.10))
    assert figures.gain_table(y, np.zeros(len(y))).captured == pytest.approx(table.share)


def test_profit_is_made_where_the_probability_pays(rows):
    _, y, p, _ = rows
    assert figures.expected_profit([1, 0, 1], [0.9, 0.6, 0.1], value=10, cost=5) == pytest.approx((5 - 5 + 0) / 3)
    assert figures.expected_profit([1, 0], [0.9, 0.9], value=[100, 1], cost=5) == pytest.approx(95 / 2)
    true = figures.expected_profit(y, p, 10, 2)
    assert true > figures.expected_profit(y, np.ones(len(y)), 10, 2)
    assert true > figures.expected_profit(y, np.zeros(len(y)), 10, 2) == 0


@pytest.mark.parametrize("figure", ["log_loss", "pr_auc", "roc_auc", "brier", "lift_at_10"])
def test_a_better_score_is_told_from_a_worse_one(rows, figure):
    customers, y, p, worse = rows
    found = figures.paired_bootstrap(customers, y, p, worse, figure, B=200)
    assert found.difference == pytest.approx(found.a - found.b)
    assert found.low <= found.difference <= found.high
    assert found.a_is_better
    assert not figures.paired_bootstrap(customers, y, worse, p, figure, B=200).a_is_better


def test_a_score_does_not_differ_from_itself(rows):
    customers, y, p, _ = rows
    found = figures.paired_bootstrap(customers, y, p, p, "pr_auc", B=20)
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert not found.a_is_better


def test_a_resample_is_the_same_every_time_and_in_every_order_of_rows(rows):
    customers, y, p, worse = rows
    once = figures.paired_bootstrap(customers, y, p, worse, "pr_auc", B=50)
    assert figures.paired_bootstrap(customers, y, p, worse, "pr_auc", B=50) == once
    order = np.random.default_rng(9).permutation(len(y))
    shuffled = figures.paired_bootstrap(customers[order], y[order], p[order], worse[order], "pr_auc", B=50)
    assert [shuffled.low, shuffled.high] == pytest.approx([once.low, once.high], abs=1e-12)
    assert figures.paired_bootstrap(customers, y, p, worse, "pr_auc", B=50, seed=1) != once


def test_repeated_rows_of_customers_do_not_narrow_the_interval(rows):
    customers, y, p, _ = rows
    once = np.diff(figures.figure_interval(customers, y, p, "brier", B=200))
    tenfold = np.diff(figures.figure_interval(*(np.repeat(a, 10) for a in (customers, y, p)), "brier", B=200))
    assert tenfold == pytest.approx(once, rel=1e-9)


def test_interval_of_a_mean_is_about_the_one_of_students_t():
    draw = np.random.default_rng(3)
    y, p = draw.integers(0, 2, 900), draw.random(900)
    loss = (p - y) ** 2
    low, high = figures.figure_interval(np.arange(900), y, p, "brier", B=1000)
    half = 1.96 * loss.std() / 30
    assert [low, high] == pytest.approx([loss.mean() - half, loss.mean() + half], abs=0.15 * half)


def test_one_customer_gives_no_interval():
    found = figures.paired_bootstrap(["C1"] * 4, [0, 1, 0, 1], [0.1, 0.9, 0.2, 0.8], [0.5] * 4, "brier")
    assert np.isnan([found.low, found.high]).all()
    assert not found.a_is_better


@pytest.mark.parametrize(
    "call",
    [
        lambda: figures.roc_auc([0, 1], [0.1]),
        lambda: figures.roc_auc([0, 2], [0.1, 0.2]),
        lambda: figures.brier([0, 1], [0.1, np.nan]),
        lambda: figures.figures([0, 1], [0.1, 1.2]),
        lambda: figures.lift_at([0, 1], [0.1, 0.2], 5),
        lambda: figures.figure_interval(["a", "b"], [0, 1], [0.1, 0.2], "gini"),
        lambda: figures.figure_interval(["a"], [0, 1], [0.1, 0.2], "brier"),
    ],
)
def test_what_cannot_be_judged_is_refused(call):
    with pytest.raises(DefinitionError):
        call()


@pytest.mark.slow
def test_five_hundred_resamples_of_forty_thousand_rows_take_seconds():
    draw = np.random.default_rng(1)
    customers, p = draw.integers(0, 8000, 40_000), draw.random(40_000) ** 3
    y = (draw.random(40_000) < p).astype(int)
    started = time.perf_counter()
    figures.paired_bootstrap(customers, y, p, p**1.5, "pr_auc", B=500)
    assert time.perf_counter() - started < 20  # about 2 s on an idle core
