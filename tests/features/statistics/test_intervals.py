"""Intervals hold what is published of them, contain their estimate, stay on their scale and narrow with more data."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vouch.features.errors import DefinitionError
from vouch.features.statistics import intervals

if TYPE_CHECKING:
    from vouch.features.statistics.intervals import Floats, Interval

GOLDEN = tomllib.loads((Path(__file__).parents[2] / "golden" / "intervals.toml").read_text())


def ends(interval: Interval) -> list[float]:
    return [float(interval.low), float(interval.high)]


def width(interval: Interval) -> float:
    return float(interval.high - interval.low)


@pytest.mark.parametrize("case", GOLDEN["wilson"], ids=str)
def test_wilson_gives_the_published_interval(case: dict[str, Any]) -> None:
    assert ends(intervals.wilson(case["successes"], case["n"])) == pytest.approx(case["expect"], abs=6e-5)


@pytest.mark.parametrize("case", GOLDEN["trinomial"], ids=str)
def test_adjusted_wald_gives_the_published_interval(case: dict[str, Any]) -> None:
    up, down, n = case["up"], case["down"], case["n"]
    assert 100 * (up - down) / n == pytest.approx(case["estimate"], abs=5e-4)
    assert ends(intervals.trinomial(up, down, n)) == pytest.approx(case["expect"], abs=6e-3)


@pytest.mark.parametrize("case", GOLDEN["student_mean"], ids=str)
def test_student_gives_the_published_interval(case: dict[str, Any]) -> None:
    values = np.array(case["values"])
    found = intervals.student_mean(values.sum(), (values**2).sum(), len(values))
    assert ends(found) == pytest.approx(case["expect"], abs=1e-6)


@pytest.mark.parametrize("case", GOLDEN["garwood"], ids=str)
def test_garwood_gives_the_published_interval(case: dict[str, Any]) -> None:
    found = intervals.garwood(case["events"], case["exposure"])
    assert ends(found) == pytest.approx(case["expect"], rel=2e-4, abs=6e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_scipy(counts: tuple[int, int]) -> None:
    expected = stats.binomtest(*counts).proportion_ci(method="wilson")
    assert ends(intervals.wilson(*counts)) == pytest.approx([expected.low, expected.high], abs=1e-12)


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=60))
def test_student_mean_equals_scipy(values: list[int]) -> None:
    x = np.array(values)
    found = intervals.student_mean(x.sum(), (x**2).sum(), len(x))
    if np.ptp(x) == 0:
        assert ends(found) == [x[0], x[0]]
    else:
        expected = stats.t.interval(0.95, len(x) - 1, x.mean(), stats.sem(x))
        assert ends(found) == pytest.approx(list(expected), abs=1e-9)


@given(st.integers(0, 5000), st.floats(0.01, 1e4))
def test_garwood_equals_its_chi_square_form(events: int, exposure: float) -> None:
    low = stats.chi2.ppf(0.025, 2 * events) / 2 if events else 0.0
    high = stats.chi2.ppf(0.975, 2 * events + 2) / 2
    assert ends(intervals.garwood(events, exposure)) == pytest.approx([low / exposure, high / exposure], rel=1e-9)


def ratio_interval(x: Floats, y: Floats) -> Interval:
    return intervals.ratio_of_sums(y.sum(), x.sum(), (y * y).sum(), (x * x).sum(), (x * y).sum(), len(x))


def test_ratio_of_sums_equals_the_residual_form_and_the_bootstrap() -> None:
    draw = np.random.default_rng(3)
    x = draw.poisson(4, 400) + 1.0
    y = draw.binomial(x.astype(int), 0.3).astype(float)
    ratio = y.sum() / x.sum()
    error = np.sqrt(((y - ratio * x) ** 2).sum() / (len(x) * (len(x) - 1))) / x.mean()
    half = stats.t.ppf(0.975, len(x) - 1) * error
    linear = ratio_interval(x, y)
    assert ends(linear) == pytest.approx([ratio - half, ratio + half], rel=1e-9)
    resampled = intervals.bootstrap(np.column_stack([y, x]), intervals.first_over_second)
    assert ends(resampled) == pytest.approx(ends(linear), abs=0.1 * width(linear))


def test_ratio_of_sums_over_ones_is_the_mean() -> None:
    y = np.arange(40.0)
    mean = intervals.student_mean(y.sum(), (y**2).sum(), len(y))
    assert ends(ratio_interval(np.ones(40), y)) == pytest.approx(ends(mean), rel=1e-12)


counts_of_three = st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300)).filter(lambda c: sum(c) > 1)


@given(counts_of_three)
def test_adjusted_wald_contains_the_score_and_stays_on_the_scale(counts: tuple[int, int, int]) -> None:
    up, between, down = counts
    n = up + between + down
    low, high = ends(intervals.trinomial(up, down, n))
    assert -100 <= low <= 100 * (up - down) / n <= high <= 100


@given(counts_of_three, st.integers(2, 9))
def test_adjusted_wald_narrows_with_n_and_mirrors(counts: tuple[int, int, int], times: int) -> None:
    up, between, down = counts
    n = up + between + down
    once = intervals.trinomial(up, down, n)
    assert width(intervals.trinomial(times * up, times * down, times * n)) <= width(once) + 1e-9
    low, high = ends(intervals.trinomial(down, up, n))
    assert ends(once) == pytest.approx([-high, -low], abs=1e-9)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.integers(2, 9))
def test_wilson_contains_the_share_stays_on_the_scale_and_narrows(counts: tuple[int, int], times: int) -> None:
    successes, n = counts
    once = intervals.wilson(successes, n)
    assert 0 <= once.low <= successes / n <= once.high <= 1
    assert width(intervals.wilson(times * successes, times * n)) < width(once)


@given(st.integers(0, 1000), st.floats(0.1, 100), st.integers(2, 9))
def test_garwood_contains_the_rate_and_narrows(events: int, exposure: float, times: int) -> None:
    once = intervals.garwood(events, exposure)
    assert 0 <= once.low <= events / exposure <= once.high
    assert width(intervals.garwood(times * events, times * exposure)) < width(once)


def test_segments_are_one_call() -> None:
    together = intervals.wilson([8, 0, 5, 0], [10, 5, 5, 0])
    assert together.low.shape == (4,)
    assert together.low[:3] == pytest.approx([float(intervals.wilson(s, n).low) for s, n in [(8, 10), (0, 5), (5, 5)]])
    assert np.isnan([together.low[3], together.high[3]]).all()


@pytest.mark.parametrize(
    "empty",
    [
        intervals.wilson(0, 0),
        intervals.trinomial(0, 0, 0),
        intervals.student_mean(0, 0, 0),
        intervals.student_mean(3, 9, 1),
        intervals.ratio_of_sums(0, 0, 0, 0, 0, 5),
        intervals.garwood(0, 0),
        intervals.bootstrap([]),
        intervals.bootstrap([1.0]),
        intervals.bootstrap(np.zeros((9, 2)), intervals.first_over_second),
    ],
    ids=lambda interval: interval.method,
)
def test_nothing_can_be_said_of_nothing(empty: Interval) -> None:
    assert np.isnan(ends(empty)).all()


@pytest.mark.parametrize("counts", [(3, 2), (-1, 5)])
def test_impossible_counts_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(DefinitionError):
        intervals.wilson(*counts)
    with pytest.raises(DefinitionError):
        intervals.trinomial(counts[0], counts[0], counts[1])
    with pytest.raises(DefinitionError):
        intervals.garwood(-counts[1], 1)


def test_a_census_has_no_doubt_and_a_small_sample_of_many_no_correction() -> None:
    assert ends(intervals.wilson(8, 10, population=10)) == pytest.approx([0.8, 0.8])
    assert ends(intervals.trinomial(18, 2, 31, population=31)) == pytest.approx([100 * 16 / 31] * 2)
    assert ends(intervals.student_mean(20, 60, 10, population=10)) == pytest.approx([2, 2])
    assert ends(intervals.bootstrap(np.arange(5.0), population=5)) == pytest.approx([2, 2])
    few = intervals.wilson(8, 10, population=200)
    assert ends(few) == ends(intervals.wilson(8, 10))
    assert few.method == "wilson"
    half = intervals.wilson(8, 10, population=20)
    assert half.method == "wilson_finite_population"
    assert width(half) < width(few)


def test_the_correction_is_the_one_of_the_variance() -> None:
    free, finite = (intervals.student_mean(200, 600, 100, population=size) for size in (None, 400))
    assert width(finite) / width(free) == pytest.approx(np.sqrt((400 - 100) / 399))


def test_bootstrap_is_the_same_every_time_and_in_every_order() -> None:
    values = np.random.default_rng(1).normal(size=(500, 2)).round(3)
    shuffled = np.random.default_rng(2).permutation(values)
    once, again, other = (intervals.bootstrap(v, B=300) for v in (values, values, shuffled))
    assert ends(once) == ends(again) == ends(other)
    assert ends(intervals.bootstrap(values, B=300, seed=1)) != ends(once)


@pytest.mark.parametrize("values", [np.arange(90.0) ** 2, np.repeat([1.0, 2.0, 5.0], 40)], ids=["apart", "alike"])
def test_resamples_are_the_same_to_the_bit_however_many_are_drawn_at_once(
    monkeypatch: pytest.MonkeyPatch, values: intervals.Floats
) -> None:
    drawn = []
    for cells in (1, 7 * len(values), intervals.CELLS_AT_ONCE, 10**9):
        monkeypatch.setattr(intervals, "CELLS_AT_ONCE", cells)
        drawn.append(intervals.resampled_means(values[:, None], 300).tobytes())
    assert len(set(drawn)) == 1


def test_bootstrap_by_distinct_rows_and_one_by_one_agree() -> None:
    scores = np.random.default_rng(4).integers(0, 11, 3000).astype(float)
    by_rows = intervals.bootstrap(scores)
    one_by_one = intervals.bootstrap(scores + np.linspace(0, 1e-9, len(scores)))
    assert ends(by_rows) == pytest.approx(ends(one_by_one), abs=0.1 * width(by_rows))
    student = intervals.student_mean(scores.sum(), (scores**2).sum(), len(scores))
    assert ends(by_rows) == pytest.approx(ends(student), abs=0.1 * width(student))


def test_bootstrap_of_a_composite_keeps_the_rows_of_a_customer_together() -> None:
    answers = np.random.default_rng(5).integers(0, 11, 400)
    once = np.column_stack([answers >= 9, answers <= 6, np.ones(400)]).astype(float)

    def score(means: Floats) -> Floats:
        return 100 * (means[:, 0] - means[:, 1]) / means[:, 2]

    alone = intervals.bootstrap(once, score)
    up, down = int((answers >= 9).sum()), int((answers <= 6).sum())
    assert ends(alone) == pytest.approx(ends(intervals.trinomial(up, down, 400)), abs=1.5)
    assert ends(intervals.bootstrap(5 * once, score)) == pytest.approx(ends(alone), abs=1e-9)


@pytest.mark.parametrize("n", [5, 20, 200])
@pytest.mark.parametrize("shares", [(0.6, 0.3, 0.1), (0.95, 0.04, 0.01), (0.2, 0.4, 0.4)], ids=str)
def test_adjusted_wald_covers_the_truth_about_as_often_as_it_says(n: int, shares: tuple[float, float, float]) -> None:
    drawn = np.random.default_rng(n).multinomial(n, shares, size=20_000)
    found = intervals.trinomial(drawn[:, 0], drawn[:, 2], n)
    truth = 100 * (shares[0] - shares[2])
    assert 0.90 <= np.mean((found.low <= truth) & (truth <= found.high)) <= 0.99


def test_units_and_scales_are_changed_on_both_ends() -> None:
    percent = intervals.wilson(8, 10).scaled(100)
    assert ends(percent) == pytest.approx([49.02, 94.33], abs=6e-3)
    assert ends(intervals.student_mean(34, 234, 5).within(1, 7))[1] == 7


def test_the_normal_limit_of_many_customers_is_the_bootstrap_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(8)
    x = draw.gamma(2, 3, 4_000)
    values = np.column_stack([x * draw.beta(2, 5, 4_000), x])
    by_limit = intervals.bootstrap(values, intervals.first_over_second)
    monkeypatch.setattr(intervals, "MANY", 10**9)
    by_draws = intervals.bootstrap(values, intervals.first_over_second)
    assert ends(by_limit) == pytest.approx(ends(by_draws), abs=0.06 * width(by_draws))


def test_means_that_are_too_skew_for_their_limit_are_resampled() -> None:
    values = np.arange(3_000.0) / 3_000
    values[-1] = 2_000.0
    assert width(intervals.bootstrap(values)) != width(intervals.bootstrap(values, seed=1))
    low, high = ends(intervals.bootstrap(values))
    assert high - values.mean() > 1.2 * (values.mean() - low)
