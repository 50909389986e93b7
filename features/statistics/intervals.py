"""Confidence intervals of 95 % from counts and sums.

The engine counts, this module says how sure we are. Every function takes arrays as well as single numbers, so that a
table of segments is one call; where there is too little to say anything (no observation, one for a variance) the ends
are NaN. A finite population (`population`, the number of customers who could have answered) narrows an interval where
more than a twentieth of it was observed, as Cochran 1977, *Sampling Techniques*, section 2.8, has it: the variance
times (N - n) / (N - 1), here as the effective number of observations n (N - 1) / (N - n), so that a full census ends in
the estimate itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincinv, ndtri, stdtrit

from vouch.features.errors import DefinitionError

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]

LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
Z = float(ndtri(1 - TAIL))
OBSERVED_SHARE = 0.05
CELLS_AT_ONCE = 60_000
"""Resamples are drawn by so many cells, which a processor keeps at hand; the draws are the same by any number."""
MANY = 2_000
"""From so many customers on, means of resamples are drawn from their normal limit, where their skewness allows it."""
LEAST_SKEWNESS = 0.05


@dataclass(frozen=True, eq=False)
class Interval:
    """Two ends of a 95 % interval, arrays of the shape of the counts (0-dimensional for single numbers).

    NaN where nothing can be said. `method` is the name that stands in the metric envelope as `ci_method`.
    """

    low: Floats
    high: Floats
    method: str

    def scaled(self, factor: float) -> Interval:
        """The interval in another unit, for example `scaled(100)` for percent; the factor is positive."""
        return Interval(np.asarray(self.low * factor), np.asarray(self.high * factor), self.method)

    def within(self, smallest: float, largest: float) -> Interval:
        """The interval cut to a scale, for example `within(1, 7)` for the mean of an item from 1 to 7."""
        ends = [np.asarray(np.clip(end, smallest, largest)) for end in (self.low, self.high)]
        return Interval(ends[0], ends[1], self.method)

    def holding(self, value: float) -> Interval:
        """The interval drawn out to a value that lies outside: that of a skewed figure may miss its value."""
        low, high = np.asarray(np.minimum(self.low, value)), np.asarray(np.maximum(self.high, value))
        return Interval(low, high, self.method)


def wilson(successes: ArrayLike, n: ArrayLike, population: ArrayLike | None = None) -> Interval:
    """Interval of a share (0 to 1). Source: Wilson 1927, JASA 22:209-212."""
    successes, n = _floats(successes), _floats(n)
    _require(successes >= 0, "successes are negative")
    _require(successes <= n, "successes are more than n")
    share, spread = _divide(successes, n), _divide(_correction(n, population), n)
    centre = (share + Z**2 * spread / 2) / (1 + Z**2 * spread)
    half = Z / (1 + Z**2 * spread) * np.sqrt(share * (1 - share) * spread + (Z * spread / 2) ** 2)
    low = np.where(successes == 0, share, np.maximum(centre - half, 0))
    high = np.where(successes == n, share, np.minimum(centre + half, 1))
    return Interval(low, high, _method("wilson", n, population))


def trinomial(up: ArrayLike, down: ArrayLike, n: ArrayLike, population: ArrayLike | None = None) -> Interval:
    """Interval of 100 (up - down) / n, in points from -100 to 100: NPS, net sentiment, net ease.

    Adjusted Wald: three observations added, 3/4 up, 3/4 down, the rest in between, and cut to the scale.
    Source: Rocks 2016, Journal of Modern Applied Statistical Methods 15(1); measuringu.com/nps-confidence-intervals.
    """
    up, down, n = _floats(up), _floats(down), _floats(n)
    _require((up >= 0) & (down >= 0), "counts are negative")
    _require(up + down <= n, "up and down together are more than n")
    spread = _divide(_correction(n, population), n)
    added = 1 + 3 * spread
    share_up, share_down = (_divide(count, n) + 0.75 * spread for count in (up, down))
    difference = (share_up - share_down) / added
    variance = ((share_up + share_down) / added - difference**2) * spread / added
    half = Z * np.sqrt(np.maximum(variance, 0))
    ends = [np.asarray(np.clip(100 * end, -100, 100)) for end in (difference - half, difference + half)]
    return Interval(ends[0], ends[1], _method("adjusted_wald", n, population))


def student_mean(
    total: ArrayLike, total_of_squares: ArrayLike, n: ArrayLike, population: ArrayLike | None = None
) -> Interval:
    """Interval of the mean total / n by Student's t, meant for n of 30 and more.

    Sums of values far from zero lose digits in the difference of squares: hand over exact (decimal, integer) sums.
    Source: Student 1908, Biometrika 6:1-25.
    """
    total, squares, n = _floats(total), _floats(total_of_squares), _floats(n)
    mean = _divide(total, n)
    variance = _divide(np.maximum(squares - total * mean, 0), n - 1)
    half = _student(n) * np.sqrt(variance * _divide(_correction(n, population), n))
    return Interval(np.asarray(mean - half), np.asarray(mean + half), _method("student_t", n, population))


def ratio_of_sums(
    sum_y: ArrayLike,
    sum_x: ArrayLike,
    sum_yy: ArrayLike,
    sum_xx: ArrayLike,
    sum_xy: ArrayLike,
    n: ArrayLike,
    population: ArrayLike | None = None,
) -> Interval:
    """Interval of sum(y) / sum(x) over n units by the linearised standard error, with Student's t.

    A unit is what is drawn independently: the customer, the advocate, the author; its rows are added up before.
    Standard error sqrt(sum((y - R x)^2) / (n (n - 1))) / mean(x). Source: Cochran 1977, section 6.5 (ratio estimate).
    """
    y, x, n = _floats(sum_y), _floats(sum_x), _floats(n)
    ratio = _divide(y, x)
    squares = _floats(sum_yy) - 2 * ratio * _floats(sum_xy) + ratio**2 * _floats(sum_xx)
    variance = _divide(np.maximum(squares, 0), n - 1) * _divide(_correction(n, population), n)
    half = _student(n) * _divide(np.sqrt(variance), np.abs(_divide(x, n)))
    return Interval(np.asarray(ratio - half), np.asarray(ratio + half), _method("linearised_ratio", n, population))


def garwood(events: ArrayLike, exposure: ArrayLike) -> Interval:
    """Exact interval of a rate: Poisson events per unit of exposure (days, customers). Conservative.

    Source: Garwood 1936, Biometrika 28:437-442, through the gamma quantiles of its chi-square form.
    """
    events, exposure = _floats(events), _floats(exposure)
    _require((events >= 0) & (exposure >= 0), "events or exposure are negative")
    low = np.where(events == 0, 0.0, gammaincinv(np.maximum(events, 1), TAIL))
    high = gammaincinv(events + 1, 1 - TAIL)
    return Interval(_divide(low, exposure), _divide(high, exposure), "garwood")


def first_mean(means: Floats) -> Floats:
    """The mean of the first column: the statistic of a plain mean."""
    return means[:, 0]


def first_over_second(means: Floats) -> Floats:
    """The first column over the second: the statistic of a ratio of sums."""
    return means[:, 0] / means[:, 1]


def bootstrap(
    values_by_customer: ArrayLike,
    statistic: Statistic = first_mean,
    B: int = 2000,
    seed: int = 0,
    population: float | None = None,
) -> Interval:
    """Percentile interval of any figure that is a function of per-customer means, resampling customers.

    `values_by_customer` has one row per customer, (n,) or (n, k): what the customer adds to each of k sums, so that
    rows of one customer stay together. `statistic` maps an array of means (B, k) to B figures: `first_mean`,
    `first_over_second`, or a composite of its own, such as `lambda m: 100 * (m[:, 0] - m[:, 1]) / m[:, 2]`.
    Resamples in which the figure does not exist (0 / 0) are left out. Equal rows are drawn together, in sorted order,
    so the interval does not depend on the order of the customers. From 2,000 customers on, the means of resamples are
    drawn from their normal limit as long as their skewness is below 0.05: the same to a hundredth of the width, at a
    hundredth of the time. Source: Efron & Tibshirani 1993, chapter 13; Bickel & Freedman 1981, Annals of Statistics 9.
    """
    values = _floats(values_by_customer)
    values = values[:, None] if values.ndim == 1 else values
    customers = len(values)
    nothing = np.asarray(np.nan)
    name = _method("bootstrap", _floats(customers), population)
    if customers < 2:
        return Interval(nothing, nothing, name)
    rows, counts = _distinct_rows(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        figures = np.asarray(statistic(_resampled_means(rows, counts, B, seed)), dtype=np.float64)
        estimate = float(statistic(_means(counts[None, :], rows))[0])
    shrink = float(np.sqrt(_correction(_floats(customers), population)))
    figures = figures[np.isfinite(figures)]
    if not np.isfinite(estimate) or not len(figures):
        return Interval(nothing, nothing, name)
    low, high = np.quantile(estimate + shrink * (figures - estimate), [TAIL, 1 - TAIL])
    return Interval(np.asarray(low), np.asarray(high), name)


def resampled_means(values: Floats, B: int, seed: int = 0) -> Floats:
    """Means (B, k) of resamples of the rows (n, k) with replacement, the same in any order of the rows."""
    rows, counts = _distinct_rows(values)
    return _resampled_means(rows, counts, B, seed)


def _distinct_rows(values: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Distinct rows in order, and how often each is there; `numpy.unique` takes several times as long."""
    ordered = values[np.lexsort(values.T[::-1])]
    is_first = np.ones(len(ordered), dtype=bool)
    is_first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    places = np.flatnonzero(is_first)
    return ordered[places], np.diff(np.append(places, len(ordered)))


def _resampled_means(rows: Floats, counts: NDArray[np.int64], B: int, seed: int) -> Floats:
    """Means of B resamples with replacement; `counts` says how many customers have each row."""
    generator = np.random.default_rng(seed)
    if counts.sum() >= MANY and len(counts) > counts.sum() / 8:
        centre, spread, skewness = _moments(rows, counts)
        if skewness <= LEAST_SKEWNESS:
            normal: Floats = centre + np.einsum("bk,jk->bj", generator.standard_normal((B, len(centre))), spread)
            return normal
    draw = _drawer(counts, generator)
    at_once = max(1, CELLS_AT_ONCE // max(len(rows), int(counts.sum())))
    parts = [_means(draw(min(at_once, B - start)), rows) for start in range(0, B, at_once)]
    return np.concatenate(parts)


def _moments(rows: Floats, counts: NDArray[np.int64]) -> tuple[Floats, Floats, float]:
    """Mean, a root of the covariance of the mean, and the largest skewness that the mean of a column has."""
    n = float(counts.sum())
    weights = counts / n
    centre = _means(counts[None, :], rows)[0]
    apart = rows - centre
    covariance = np.einsum("m,mj,mk->jk", weights, apart, apart)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0) / n)
    variance = np.diagonal(covariance)
    third = np.einsum("m,mk->k", weights, apart**3)
    skew = np.divide(np.abs(third), variance**1.5, out=np.zeros(len(third)), where=variance > 0)
    return centre, root, float(skew.max(initial=0.0) / np.sqrt(n))


def _drawer(counts: NDArray[np.int64], generator: np.random.Generator) -> Callable[[int], NDArray[np.int64]]:
    """A function that draws how often each distinct row occurs in each of so many resamples.

    The same distribution in two ways: by distinct rows where they are few, one by one where most rows differ.
    """
    customers, distinct = int(counts.sum()), len(counts)
    if distinct <= customers / 8:
        return lambda times: generator.multinomial(customers, counts / customers, size=times)
    row_of = np.repeat(np.arange(distinct), counts)

    def draw(times: int) -> NDArray[np.int64]:
        chosen = np.take(row_of, generator.integers(0, customers, (times, customers)))
        chosen += np.arange(times)[:, None] * distinct
        return np.bincount(chosen.ravel(), minlength=times * distinct).reshape(times, distinct)

    return draw


def _means(counts: NDArray[np.int64], rows: Floats) -> Floats:
    """Weighted means (b, k) of the rows (m, k) by counts (b, m).

    By einsum and not by BLAS, whose sums may depend on the number of threads.
    """
    weights = counts.astype(np.float64)
    means: Floats = np.einsum("bm,km->bk", weights, np.ascontiguousarray(rows.T)) / weights.sum(axis=1, keepdims=True)
    return means


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _divide(a: ArrayLike, b: ArrayLike) -> Floats:
    """Quotient, NaN where the divisor is 0."""
    a, b = np.broadcast_arrays(_floats(a), _floats(b))
    quotient: Floats = np.divide(a, b, out=np.full(a.shape, np.nan), where=b != 0)
    return quotient


def _student(n: Floats) -> Floats:
    """Quantile of Student's t with n - 1 degrees of freedom; NaN below two observations."""
    return np.where(n > 1, stdtrit(np.maximum(n - 1, 1), 1 - TAIL), np.nan)


def _counts_as_finite(n: Floats, population: ArrayLike) -> NDArray[np.bool_]:
    return np.asarray(n > OBSERVED_SHARE * _floats(population))


def _correction(n: Floats, population: ArrayLike | None) -> Floats:
    """The factor (N - n) / (N - 1) of the variance, 1 where at most a twentieth of N was observed."""
    if population is None:
        return np.ones_like(n)
    size = np.maximum(_floats(population), n)
    factor = np.where(size > 1, (size - n) / np.maximum(size - 1, 1), 0.0)
    return np.where(_counts_as_finite(n, population), factor, 1.0)


def _method(name: str, n: Floats, population: ArrayLike | None) -> str:
    finite = population is not None and bool(np.any(_counts_as_finite(n, population)))
    return f"{name}_finite_population" if finite else name


def _require(holds: NDArray[np.bool_], otherwise: str) -> None:
    if not np.all(holds):
        raise DefinitionError(f"No interval from these counts: {otherwise}. Mend the counts of the metric.")
