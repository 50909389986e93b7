"""How often each interval holds the truth, by simulation over a stated grid; `pytest -m nightly -s` prints the figures.

Nominal is 95 %. Over each grid the mean coverage lies between 0.93 and 0.97, but for methods that are exact and hence
conservative (Garwood, order statistics): theirs is at least 0.95. The minimum is printed: there a method is weak.
"""

from __future__ import annotations

import numpy as np
import pytest

from vouch.features.metrics.definitions.lifetime import median_survival_ends
from vouch.features.metrics.definitions.prevention import expected_loss_ends, saves_ends
from vouch.features.metrics.estimators import ANY, Figure, Mean, Median
from vouch.features.statistics import intervals

pytestmark = pytest.mark.nightly

DRAWS = 40_000
SMALL = (5, 10, 20, 30, 50, 100, 200)
SHARES = (0.03, 0.1, 0.3, 0.5, 0.7, 0.9)
SHAPES = {"even": (0.4, 0.3), "fond": (0.7, 0.1), "torn": (0.5, 0.5), "devoted": (0.95, 0.02)}
"""Promoters and detractors."""
LARGE = (30, 50, 100, 200)


def held(low, high, truth):
    return float(np.mean((low <= truth + 1e-9) & (truth - 1e-9 <= high)))


def tell(name, found):
    worst = min(found, key=found.get)
    mean = float(np.mean(list(found.values())))
    print(f"{name:28} {len(found):3} cells: mean {mean:.3f}, minimum {found[worst]:.3f} at {worst}")
    return mean, found[worst]


def test_wilson():
    draw, found = np.random.default_rng(1), {}
    for n in SMALL:
        for p in SHARES:
            ends = intervals.wilson(np.arange(n + 1), n)
            hits = draw.binomial(n, p, DRAWS)
            found[n, p] = held(ends.low[hits], ends.high[hits], p)
    mean, worst = tell("Wilson", found)
    assert 0.93 <= mean <= 0.97
    assert worst > 0.85  # at n = 5 and a share of 0.03, as is known


def trinomial_coverage(interval):
    draw, found = np.random.default_rng(2), {}
    for n in SMALL:
        for name, (up, down) in SHAPES.items():
            counts = draw.multinomial(n, (up, down, max(1 - up - down, 0.0)), DRAWS)
            low, high = interval(counts[:, 0], counts[:, 1], n)
            found[n, name] = held(low, high, 100 * (up - down))
    return found


def test_adjusted_wald_and_how_plain_wald_fails():
    def ours(up, down, n):
        ends = intervals.trinomial(up, down, n)
        return ends.low, ends.high

    def plain(up, down, n):
        p, d = up / n, down / n
        half = 100 * intervals.Z * np.sqrt((p + d - (p - d) ** 2) / n)
        return 100 * (p - d) - half, 100 * (p - d) + half

    mean, worst = tell("adjusted Wald", trinomial_coverage(ours))
    assert 0.93 <= mean <= 0.97
    assert worst >= 0.88  # ten answers, half for and half against, nobody in between
    _, worst_plain = tell("plain Wald, not used", trinomial_coverage(plain))
    assert worst_plain < 0.35


def skewed(kind, draw, shape):
    """Draws of mean 1, with skewness 0, 0 and 1."""
    if kind == "normal":
        return 1 + draw.normal(size=shape)
    return draw.uniform(0, 2, shape) if kind == "uniform" else draw.gamma(4, 1 / 4, shape)


def test_student_mean_from_thirty_on():
    draw, found = np.random.default_rng(3), {}
    for n in LARGE:
        for kind in ("normal", "uniform", "gamma of skewness 1"):
            x = skewed(kind, draw, (DRAWS // 2, n))
            ends = intervals.student_mean(x.sum(axis=1), (x**2).sum(axis=1), n)
            found[n, kind] = held(ends.low, ends.high, 1)
    mean, worst = tell("Student's t", found)
    assert 0.93 <= mean <= 0.97
    assert worst > 0.92


def test_ratio_of_sums_over_clusters():
    draw, found = np.random.default_rng(4), {}
    for n in LARGE:
        for share in (0.1, 0.3, 0.5):
            x = 1 + draw.poisson(3, (DRAWS // 4, n))
            own = draw.beta(8 * share, 8 * (1 - share), x.shape)  # customers differ
            y = draw.binomial(x, own)
            sums = [part.sum(axis=1) for part in (y, x, y * y, x * x, x * y)]
            ends = intervals.ratio_of_sums(*sums, n)
            found[n, share] = held(ends.low, ends.high, share)
    mean, worst = tell("linearised ratio", found)
    assert 0.93 <= mean <= 0.97
    assert worst > 0.87


def test_garwood_is_conservative():
    draw, found = np.random.default_rng(5), {}
    for expected in (0.5, 1, 2, 5, 10, 50, 200):
        events = draw.poisson(expected, DRAWS)
        ends = intervals.garwood(events, 1.0)
        found[expected] = held(ends.low, ends.high, expected)
    _, worst = tell("Garwood", found)
    assert worst >= 0.949  # 0.95 but for the noise of 40,000 draws


def test_bootstrap_of_a_composite():
    """A composite of three shares, and means of few: what `low_n` warns of."""
    draw, found = np.random.default_rng(6), {}
    index = Figure(("a", "b", "n"), lambda m: 100 * (m[:, 0] + m[:, 1]) / (2 * m[:, 2]), limits=ANY)
    for n in (30, 60, 120):
        for share in (0.2, 0.5):
            inside = 0
            for _ in range(500):
                parts = {name: draw.binomial(1, share, n).astype(float) for name in "ab"} | {"n": np.ones(n)}
                ends = index.ends(parts)
                inside += bool(ends.low - 1e-9 <= 100 * share <= ends.high + 1e-9)
            found[n, share] = inside / 500
    mean, _ = tell("bootstrap of a composite", found)
    assert 0.93 <= mean <= 0.97
    few = {}
    for n in (5, 10, 20):
        ends = [Mean(limits=ANY).ends({"value": skewed("normal", draw, n)}) for _ in range(500)]
        few[n] = held(np.array([e.low for e in ends]), np.array([e.high for e in ends]), 1)
    tell("bootstrap means, low_n", few)
    assert few[5] < few[20]


def test_median_by_order_statistics():
    draw, found = np.random.default_rng(7), {}
    for n in (10, 20, 50, 100):
        ends = [Median(limits=ANY).ends({"value": draw.exponential(1, n)}) for _ in range(4_000)]
        found[n] = held(np.array([e.low for e in ends]), np.array([e.high for e in ends]), np.log(2))
    _, worst = tell("order statistics", found)
    assert worst >= 0.945


def test_median_survival():
    draw, found = np.random.default_rng(8), {}
    for n in (50, 100, 200):
        for longest in (2.0, 4.0):
            inside = 0
            for _ in range(1_500):
                lasts, seen = draw.exponential(1, n), draw.uniform(0.5, longest, n)
                parts = {"lasted": np.minimum(lasts, seen), "is_over": (lasts <= seen).astype(float)}
                ends = median_survival_ends(parts)
                inside += bool(np.nan_to_num(ends.low) <= np.log(2) <= np.nan_to_num(ends.high, nan=np.inf))
            found[n, longest] = inside / 1_500
    mean, worst = tell("Kaplan-Meier median", found)
    assert 0.93 <= mean <= 0.97
    assert worst > 0.92


def test_difference_of_shares():
    draw, found = np.random.default_rng(9), {}
    for n in (20, 50, 200):
        for here, there in ((0.05, 0.1), (0.2, 0.3), (0.5, 0.5)):
            inside = 0
            for _ in range(3_000):
                lost = draw.binomial(n, (here, there))
                churned = np.concatenate([np.arange(n) < lost[0], np.arange(n) < lost[1]]).astype(float)
                ends = saves_ends({"treated": np.repeat([1.0, 0.0], n), "churned": churned})
                inside += bool(ends.low - 1e-9 <= n * (there - here) <= ends.high + 1e-9)
            found[n, here, there] = inside / 3_000
    mean, worst = tell("Newcombe", found)
    assert 0.93 <= mean <= 0.97
    assert worst > 0.92


def test_sum_of_losses():
    draw, found = np.random.default_rng(10), {}
    for n in (30, 100, 400):
        risk, value = draw.beta(1, 9, n), draw.gamma(2, 50, n)
        losses = ((draw.random((DRAWS // 4, n)) < risk) * value).sum(axis=1)
        ends = expected_loss_ends({"risk": risk, "value": value})
        found[n] = float(((losses >= ends.low) & (losses <= ends.high)).mean())
    mean, worst = tell("Poisson-binomial", found)
    assert 0.93 <= mean <= 0.97
    assert worst > 0.92
