"""Lifetime values: historic, and expected within the horizon, of every customer, by contract or by purchases.

`ValueNumbers` are all that is fitted, of what was known at one instant; `valued` applies them to histories of any
instant. A subscriber is valued by contract (`renewal_process`), who has none by purchases: one way for each, said in
`way`. Where nobody can tell when a customer leaves, all are valued by purchases.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vouch.features.metrics.context import DISCOUNT
from vouch.models.value.contracts import flows, life_table
from vouch.models.value.histories import NEVER, YEAR_DAYS
from vouch.models.value.renewal_process import brought, paid, ranks, terms_of
from vouch.models.value.repeat_purchases import fit_repeat_purchases
from vouch.models.value.spend import fit_spend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from vouch.models.value.contracts import Flow, LifeTable
    from vouch.models.value.histories import CustomerHistories
    from vouch.models.value.repeat_purchases import Numbers, RepeatPurchases
    from vouch.models.value.spend import Spend

HORIZON_DAYS = 1_095
LEVEL = 0.8
"""How many of the intervals are to hold what a customer then brings."""
CONTRACT, PURCHASES = "contract", "purchases"
STEPS = 12
"""Parts of the horizon in which purchases are discounted each as of their middle."""
VARIED, DRAWN = 8, 40
"""Draws of the parameters, and of the customers' doings for each."""


@dataclass(frozen=True)
class ValueNumbers:
    """All that is fitted. `net` is revenue over what was paid (refunds taken off), `margin` margin over revenue."""

    net: float
    margin: float | None
    flows_revenue: tuple[Flow, Flow] | None = None
    flows_margin: tuple[Flow, Flow] | None = None
    table: LifeTable | None = None
    purchases: RepeatPurchases | None = None
    spend: Spend | None = None

    @property
    def way(self) -> str:
        """How the company's customers are valued: by contract where it has subscriptions that can end."""
        return CONTRACT if self.table else PURCHASES


@dataclass(frozen=True)
class Values:
    """One entry per customer of the histories; NaN where something cannot be said.

    `revenue` and `margin` are expected within the horizon, discounted; `low` and `high` are ends of the 80 % interval
    of `margin` (of `revenue` where no margin is known). `is_cold` marks who bought once: his numbers are mostly the
    company's.
    """

    customers: NDArray[np.object_]
    revenue: Numbers
    margin: Numbers
    low: Numbers
    high: Numbers
    way: NDArray[np.object_]
    is_cold: NDArray[np.bool_]


def fit_values(of: CustomerHistories, has_contracts: bool, is_modified: bool = True) -> ValueNumbers:
    """Fit on histories of one instant; `has_contracts` where subscriptions can end."""
    known = np.isfinite(of.margin)
    revenue, paid_in = float(of.revenue.sum()), float(of.paid.sum())
    margin = float(of.margin[known].sum() / of.revenue[known].sum()) if of.revenue[known].sum() > 0 else None
    numbers = ValueNumbers(max(revenue / paid_in, 0.0) if paid_in > 0 else 1.0, margin)
    if has_contracts and of.stays is not None and len(of.stays.start):
        has_money = bool((of.payments > 0).any())
        in_revenue = flows(of, of.recent_revenue if has_money else np.full(len(of.mrr), np.nan))
        in_margin = flows(of, of.recent_margin) if margin is not None else None
        table = life_table(of.stays, of.is_annual, max(of.recent_days, 1.0))
        numbers = replace(numbers, flows_revenue=in_revenue, flows_margin=in_margin, table=table)
    rows = _buyers(of, numbers)
    orders = of.orders.take(rows)
    repeats = orders.repeats > 0
    return replace(
        numbers,
        purchases=fit_repeat_purchases(orders, is_modified),
        spend=fit_spend(of.payments[rows][repeats], of.mean_payment[rows][repeats]),
    )


def _buyers(of: CustomerHistories, numbers: ValueNumbers) -> NDArray[np.int64]:
    """Who is valued by purchases: has paid, and, where there are contracts, never had one."""
    chosen = of.payments > 0
    if numbers.way == CONTRACT:
        chosen = chosen & (of.state == NEVER)
    return np.flatnonzero(chosen)


def valued(
    of: CustomerHistories,
    numbers: ValueNumbers,
    within: Sequence[tuple[int, Numbers]] = (),
    days: float = HORIZON_DAYS,
    discount: float = DISCOUNT,
) -> Values:
    """Value every customer of the histories.

    `within` is what the churn model says of each: the probability to have left within so many weeks, NaN where nothing.
    """
    size = len(of.customers)
    nothing = np.full(size, np.nan)
    values = Values(
        of.customers, nothing, nothing.copy(), nothing.copy(), nothing.copy(), np.full(size, None, dtype=object),
        np.zeros(size, dtype=bool),
    )  # fmt: skip
    if numbers.table is not None:
        _by_contract(values, of, numbers, within, days, discount)
    rows = _buyers(of, numbers)
    if len(rows) and numbers.purchases and numbers.spend:
        _by_purchases(values, of, numbers, rows, days, discount)
    return values


def _by_contract(
    values: Values, of: CustomerHistories, numbers: ValueNumbers, within: Sequence[tuple[int, Numbers]], days: float,
    discount: float,
) -> None:  # fmt: skip
    assert numbers.table is not None
    rows = np.flatnonzero(of.state != NEVER)
    terms = terms_of(of, rows)
    years = paid(terms, days, discount, numbers.table, [(week, probability[rows]) for week, probability in within])
    values.way[rows] = CONTRACT
    draws = None
    for name, part in (("revenue", numbers.flows_revenue), ("margin", numbers.flows_margin)):
        if part is not None:
            draws = brought(terms, years, part, ranks())
            getattr(values, name)[rows] = draws.mean(axis=1)
    assert draws is not None, "revenue is always told"
    values.low[rows], values.high[rows] = np.quantile(draws, _ends(), axis=1)


def with_revenue(values: Values, rows: NDArray[np.int64], revenue: Numbers) -> Values:
    """The same where other revenue is expected of some customers: margin and interval go with it."""
    factor = np.ones(len(values.customers))
    factor[rows] = revenue / np.maximum(values.revenue[rows], 1e-9)
    return replace(
        values,
        revenue=values.revenue * factor,
        margin=values.margin * factor,
        low=values.low * factor,
        high=values.high * factor,
    )


def _ends() -> tuple[float, float]:
    return (1 - LEVEL) / 2, (1 + LEVEL) / 2


def _by_purchases(
    values: Values, of: CustomerHistories, numbers: ValueNumbers, rows: NDArray[np.int64], days: float, discount: float
) -> None:
    assert numbers.purchases is not None
    assert numbers.spend is not None
    orders, payments, mean = of.orders.take(rows), of.payments[rows], of.mean_payment[rows]
    bought, before = np.zeros(len(rows)), np.zeros(len(rows))
    for step in range(1, STEPS + 1):
        until = numbers.purchases.expected(orders, days * step / STEPS)
        bought += (until - before) * (1 + discount) ** -(days * (step - 0.5) / STEPS / YEAR_DAYS)
        before = until
    values.revenue[rows] = bought * numbers.spend.expected(payments, mean) * numbers.net
    share = numbers.margin if numbers.margin is not None else 1.0
    if numbers.margin is not None:
        values.margin[rows] = values.revenue[rows] * share
    random, draws = np.random.default_rng(len(rows)), []
    for _ in range(VARIED):
        model, spend = numbers.purchases.varied(random), numbers.spend.varied(random)
        count, stay_days = model.drawn(orders, days, random, DRAWN)
        draws.append(spend.drawn(count, payments, mean, random) * _worth(stay_days, discount) * numbers.net * share)
    values.low[rows], values.high[rows] = np.quantile(np.concatenate(draws, axis=1), _ends(), axis=1)
    values.way[rows], values.is_cold[rows] = PURCHASES, payments <= 1


def _worth(stay_days: Numbers, discount: float) -> Numbers:
    """Mean discount factor of what comes evenly in the days that a customer is there for."""
    force = np.log1p(discount) / YEAR_DAYS * np.maximum(stay_days, 1e-9)
    return np.asarray(-np.expm1(-force) / force) if discount > 0 else np.ones_like(stay_days)
