"""BG/NBD and MBG/NBD: how often customers who bought before will buy again, where nobody says when they leave.

While a customer is alive, purchases come at a rate of his own (gamma: `r`, `alpha`); after each purchase he is gone
with a probability of his own (beta: `a`, `b`). BG/NBD (Fader, Hardie & Lee 2005, Marketing Science 24(2):275-284) takes
who bought once for alive with certainty; MBG/NBD (Batislam, Denizel & Filiztekin 2007, IJRM 24(3):201-209) lets him be
gone after the first purchase too. Time is in days (any unit will do: `alpha` has it), and never in months.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln, expit, gammaln, hyp2f1

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

LEAST_CUSTOMERS = 50
"""Below so many customers, and a tenth of that who came back, the four numbers cannot be told."""
PULL = 1e-3
"""Pull of the logarithms to their start: it keeps a flat likelihood from running away, and moves a sound one by less
than a thousandth."""


@dataclass(frozen=True)
class Orders:
    """What is known of each customer: repeat purchases, time of the last and time of today since the first."""

    repeats: Numbers
    last: Numbers
    age: Numbers

    def take(self, rows: NDArray[Any]) -> Orders:
        """Customers by place."""
        return Orders(self.repeats[rows], self.last[rows], self.age[rows])


@dataclass(frozen=True)
class RepeatPurchases:
    """The fitted numbers, and how far the logarithms of them are known (`covariance`, 4 by 4)."""

    r: float
    alpha: float
    a: float
    b: float
    is_modified: bool
    covariance: tuple[tuple[float, ...], ...] = ()

    def log_likelihood(self, orders: Orders) -> Numbers:
        """Log likelihood of each customer."""
        x, r, a, b = orders.repeats, self.r, self.a, self.b
        head = gammaln(r + x) - gammaln(r) + r * np.log(self.alpha)
        alive = -(r + x) * np.log(self.alpha + orders.age)
        gone = -(r + x) * np.log(self.alpha + orders.last)
        if self.is_modified:
            lasting = betaln(a, b + x + 1) - betaln(a, b)
            return np.asarray(head + lasting + np.logaddexp(alive, gone + np.log(a / (b + x))))
        lasting = betaln(a, b + x) - betaln(a, b)
        dropped = gone + np.log(a) - np.log(b + np.maximum(x, 1) - 1)
        return np.asarray(head + lasting + np.where(x > 0, np.logaddexp(alive, dropped), alive))

    def alive(self, orders: Orders) -> Numbers:
        """Probability that a customer is still one."""
        x = orders.repeats
        log = (self.r + x) * np.log((self.alpha + orders.age) / (self.alpha + orders.last))
        if self.is_modified:
            return np.asarray(expit(-(log + np.log(self.a / (self.b + x)))))
        probability = expit(-(log + np.log(self.a / (self.b + np.maximum(x, 1) - 1))))
        return np.asarray(np.where(x > 0, probability, 1.0))

    def expected(self, orders: Orders, time: float) -> Numbers:
        """Purchases expected within a time from now."""
        x = orders.repeats
        c = self.b + x + self.is_modified
        a = self.a if abs(self.a - 1) > 1e-6 else 1 + 1e-6
        shape, scale = self.r + x, self.alpha + orders.age
        series = hyp2f1(shape, c, a + c - 1, time / (scale + time))
        if_alive = (a + c - 1) / (a - 1) * (1 - np.exp(shape * np.log(scale / (scale + time))) * series)
        return np.asarray(self.alive(orders) * np.maximum(if_alive, 0.0))

    def drawn(self, orders: Orders, time: float, random: np.random.Generator, draws: int) -> tuple[Numbers, Numbers]:
        """Draw purchases within a time, and the time that the customer is there for: (customers, draws) each."""
        x = orders.repeats[:, None]
        size = (len(orders.repeats), draws)
        rate = random.gamma(self.r + x, 1 / (self.alpha + orders.age[:, None]), size)
        drop = np.maximum(random.beta(self.a, self.b + x + self.is_modified, size), 1e-9)
        gone_at = random.exponential(1.0, size) / np.maximum(rate * drop, 1e-12)
        is_alive = random.random(size) < self.alive(orders)[:, None]
        stay_days = np.where(is_alive, np.minimum(gone_at, time), 0.0)
        bought = random.poisson(rate * (1 - drop) * stay_days) + (is_alive & (gone_at < time))
        return bought.astype(np.float64), stay_days

    def varied(self, random: np.random.Generator) -> RepeatPurchases:
        """Other numbers that the data allow as well: one draw from how far they are known."""
        if not self.covariance:
            return self
        logs = np.log([self.r, self.alpha, self.a, self.b])
        drawn = np.exp(random.multivariate_normal(logs, np.array(self.covariance), method="eigh"))
        r, alpha, a, b = map(float, drawn)
        return RepeatPurchases(r, alpha, a, b, self.is_modified, self.covariance)


def fit_repeat_purchases(orders: Orders, is_modified: bool = True) -> RepeatPurchases | None:
    """Fit by maximum likelihood; None for customers too few, or too few who came back, to tell four numbers."""
    came_back = orders.repeats > 0
    if len(orders.repeats) < LEAST_CUSTOMERS or came_back.sum() < LEAST_CUSTOMERS / 10:
        return None
    table = np.column_stack([orders.repeats, orders.last, orders.age])
    distinct, count = np.unique(table, axis=0, return_counts=True)
    of = Orders(*distinct.T)
    gap = float(np.mean(orders.last[came_back] / orders.repeats[came_back]))
    start = np.log([1.0, max(gap, 1e-6), 1.0, 2.0])

    def loss(logs: Numbers) -> float:
        r, alpha, a, b = map(float, np.exp(np.clip(logs, -12, 12)))
        model = RepeatPurchases(r, alpha, a, b, is_modified)
        return float(-(count @ model.log_likelihood(of)) + PULL * ((logs - start) ** 2).sum())

    optimum = minimize(loss, start, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-5})
    r, alpha, a, b = (float(f"{value:.12g}") for value in np.exp(optimum.x))
    return RepeatPurchases(r, alpha, a, b, is_modified, covariance_of(loss, optimum.x))


def covariance_of(loss: Any, logs: Numbers) -> tuple[tuple[float, ...], ...]:
    """How far the minimum of a loss is known: the inverse of its second differences; empty where it has no bottom."""
    size, step = len(logs), 1e-3
    second = np.zeros((size, size))
    steps = np.eye(size) * step
    for i in range(size):
        for j in range(i, size):
            corners = [loss(logs + s * steps[i] + t * steps[j]) * s * t for s in (1, -1) for t in (1, -1)]
            second[i, j] = second[j, i] = sum(corners) / (4 * step**2)
    try:
        covariance = np.linalg.inv(second)
        np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return ()
    return tuple(tuple(float(f"{value:.12g}") for value in row) for row in covariance)
