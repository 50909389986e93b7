"""Gamma-Gamma: how much a customer spends at a time, drawn towards the company's mean by how few orders tell of it.

Fader, Hardie & Lee 2005, Journal of Marketing Research 42(4):415-430; Fader & Hardie 2013. Each order of a customer is
gamma with shape `p` about a mean of his own, and those means are spread by `q` and `gamma`. It is fitted on those who
came back. A customer who bought once is estimated with that order, so that he is shrunk by it and not handed the
company's mean, which would rank him above who came back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln

from vouch.models.value.repeat_purchases import PULL, covariance_of

if TYPE_CHECKING:
    from vouch.models.value.repeat_purchases import Numbers

LEAST_SPENDERS = 10


@dataclass(frozen=True)
class Spend:
    """The fitted numbers, and how far the logarithms of them are known."""

    p: float
    q: float
    gamma: float
    covariance: tuple[tuple[float, ...], ...] = ()

    def expected(self, orders: Numbers, mean: Numbers) -> Numbers:
        """Expected amount of an order, from so many orders of such a mean; the company's mean without any."""
        q = max(self.q, 1.0 + 1e-6)
        return np.asarray(self.p * (self.gamma + orders * mean) / (self.p * orders + q - 1))

    def drawn(self, bought: Numbers, orders: Numbers, mean: Numbers, random: np.random.Generator) -> Numbers:
        """Draw what so many purchases come to, (customers, draws), of customers with a past of `orders` and `mean`."""
        shape = self.q + self.p * orders[:, None]
        rate = random.gamma(shape, 1 / (self.gamma + orders * mean)[:, None], bought.shape)
        return np.asarray(random.gamma(np.maximum(self.p * bought, 1e-12)) / np.maximum(rate, 1e-12) * (bought > 0))

    def varied(self, random: np.random.Generator) -> Spend:
        """Other numbers that the data allow as well."""
        if not self.covariance:
            return self
        logs = np.log([self.p, self.q, self.gamma])
        drawn = np.exp(random.multivariate_normal(logs, np.array(self.covariance), method="eigh"))
        p, q, gamma = map(float, drawn)
        return Spend(p, q, gamma, self.covariance)


def fit_spend(orders: Numbers, mean: Numbers) -> Spend | None:
    """Fit by maximum likelihood on customers with at least one such order and a mean above 0; None for too few."""
    known = (orders > 0) & (mean > 0)
    if known.sum() < LEAST_SPENDERS:
        return None
    x, z = orders[known].astype(np.float64), mean[known].astype(np.float64)
    middle = float(z.mean())
    start = np.log([5.0, 3.0, middle])

    def loss(logs: Numbers) -> float:
        p, q, gamma = np.exp(np.clip(logs, -12, 25))
        each = gammaln(p * x + q) - gammaln(p * x) - gammaln(q) + q * np.log(gamma) + (p * x - 1) * np.log(z)
        each += p * x * np.log(x) - (p * x + q) * np.log(gamma + x * z)
        return float(-each.sum() + PULL * ((logs - start) ** 2).sum())

    optimum = minimize(loss, start, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-5})
    p, q, gamma = (float(f"{value:.12g}") for value in np.exp(optimum.x))
    return Spend(p, q, gamma, covariance_of(loss, optimum.x))
