"""Values by purchases: where customers are as the model takes them, a tenth brings more than the interval says."""

from __future__ import annotations

import numpy as np
import pytest

from vouch.models.value.histories import NEVER, CustomerHistories
from vouch.models.value.valuation import fit_values, valued

KNOWN, AHEAD, CUSTOMERS = 500, 365, 2_000


def company(seed: int) -> tuple[CustomerHistories, np.ndarray]:
    """Buyers of a shop with rates, lifetimes and sizes of order of their own, and what each brought afterwards."""
    random, rows = np.random.default_rng(seed), []
    for _ in range(CUSTOMERS):
        at, rate, leaves = random.uniform(0, KNOWN - 5), random.gamma(1.0, 1 / 60), random.beta(1.0, 4.0)
        mean, orders = 30 * random.gamma(4, 0.25), []
        while at < KNOWN + AHEAD:
            orders.append((at, mean * random.gamma(6, 1 / 6)))
            if random.random() < leaves:
                break
            at += random.exponential(1 / rate)
        past = [order for order in orders if order[0] < KNOWN]
        came = sum(amount for day, amount in orders if day >= KNOWN)
        rows.append((len(past), sum(amount for _, amount in past), KNOWN - past[0][0], KNOWN - past[-1][0], came))
    payments, paid, first, last, came = np.array(rows).T
    unknown, none = np.full(CUSTOMERS, np.nan), np.zeros(CUSTOMERS)
    return CustomerHistories(
        np.arange(CUSTOMERS).astype(str).astype(object), paid, unknown, paid, unknown, 365.0, payments, paid, first,
        last, np.full(CUSTOMERS, NEVER, dtype=object), none, none > 0, unknown, none, None,
    ), came  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_a_tenth_of_customers_brings_more_than_the_interval_says_and_all_together_what_was_said(seed):
    of, came = company(seed)
    said = valued(of, fit_values(of, has_contracts=False), days=AHEAD, discount=0.0)
    assert (came > said.high + 0.01).mean() == pytest.approx(0.1, abs=0.03)
    assert (came < said.low - 0.01).mean() <= 0.1
    assert said.revenue.sum() == pytest.approx(came.sum(), rel=0.12)
