"""Histories of customers at an instant, as arrays: what each brought, when he bought, and what runs of subscriptions.

All rows come through the point-in-time view of `MetricContext`; what is known later has no way in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.features.facts.spans import NEVER_US
from vouch.features.facts.subscriptions import ANNUAL, YEAR_US, next_renewal
from vouch.features.metrics.catalogue import Absent
from vouch.features.metrics.context import MetricContext, collected
from vouch.features.metrics.populations.customers import margins, stays
from vouch.features.vectors.aggregates import ten_thousandths
from vouch.models.value.repeat_purchases import Orders

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vouch.features.asof import Frame
    from vouch.models.value.repeat_purchases import Numbers

YEAR_DAYS = 365
RUNNING, GONE, NEVER = "running", "gone", "never"
"""Of a subscription: one runs, one ran, none ever did."""


@dataclass(frozen=True)
class Stays:
    """Stays of customers who are listed, in days before (negative) or after the instant; `end` infinite while it runs.

    `customer` is the place among the customers.
    """

    customer: NDArray[np.int64]
    start: Numbers
    end: Numbers


@dataclass(frozen=True)
class CustomerHistories:
    """One entry per customer who ever paid or subscribed, ordered by id; NaN where something is not known.

    `revenue` and `margin` are so far, `recent_revenue` and `recent_margin` of the last `recent_days`; `paid` is what
    came in on days with a payment, `payments` how many such days there were.
    """

    customers: NDArray[np.object_]
    revenue: Numbers
    margin: Numbers
    recent_revenue: Numbers
    recent_margin: Numbers
    recent_days: float
    payments: Numbers
    paid: Numbers
    first_days: Numbers
    """Days since the first payment; NaN without any."""
    last_days: Numbers
    """Days since the last."""
    state: NDArray[np.object_]
    mrr: Numbers
    is_annual: NDArray[np.bool_]
    renewal_days: Numbers
    """Days until what runs renews, or can end."""
    recent_mrr: Numbers
    """Monthly price in the last `recent_days`, on average, 0 while nothing ran: what `recent_revenue` was paid for."""
    stays: Stays | None

    def take(self, rows: NDArray[np.int64]) -> CustomerHistories:
        """Customers by place, each once."""
        parts: dict[str, Any] = {name: of[rows] for name, of in vars(self).items() if isinstance(of, np.ndarray)}
        if self.stays is None:
            return replace(self, **parts)
        place = np.full(len(self.customers), -1)
        place[rows] = np.arange(len(rows))
        who = place[self.stays.customer]
        of_them = who >= 0
        return replace(self, **parts, stays=Stays(who[of_them], self.stays.start[of_them], self.stays.end[of_them]))

    @property
    def orders(self) -> Orders:
        """What buy-till-you-die models read; of customers who paid."""
        return Orders(self.payments - 1, self.first_days - self.last_days, self.first_days)

    @property
    def mean_payment(self) -> Numbers:
        """What a day with a payment brought on average."""
        return np.asarray(self.paid / np.maximum(self.payments, 1))


def histories(context: MetricContext) -> CustomerHistories:
    """Read the histories of external customers at the instant of a context."""
    as_of_us = context.as_of_us
    begins_us = context.begins_us or as_of_us
    recent_days = min(YEAR_DAYS, max((as_of_us - begins_us) / DAY_US, 1.0))
    money = _money(context, recent_days) if context.has("transactions") else {}
    contract = _contracts(context, recent_days) if context.has("subscriptions") else {}
    listed = set(context.people["customer_id"].to_pylist())
    customers = np.array(sorted((money.keys() | contract.keys()) & listed), dtype=object)
    nothing = (np.nan,) * 8
    of_money = np.array([money.get(one, nothing) for one in customers], dtype=np.float64).reshape(len(customers), 8)
    revenue, margin, recent_revenue, recent_margin, payments, paid, first_us, last_us = of_money.T
    terms = [contract.get(one, (NEVER, 0.0, False, np.nan, 0.0)) for one in customers]
    return CustomerHistories(
        customers, np.nan_to_num(revenue), margin, np.nan_to_num(recent_revenue), recent_margin, recent_days,
        np.nan_to_num(payments), np.nan_to_num(paid), (as_of_us - first_us) / DAY_US, (as_of_us - last_us) / DAY_US,
        np.array([term[0] for term in terms], dtype=object),
        np.array([term[1] for term in terms], dtype=np.float64),
        np.array([term[2] for term in terms], dtype=bool),
        np.array([term[3] for term in terms], dtype=np.float64),
        np.array([term[4] for term in terms], dtype=np.float64),
        _stays(context, customers) if contract else None,
    )  # fmt: skip


def _money(context: MetricContext, recent_days: float) -> dict[str, tuple[float, ...]]:
    """Of each customer: revenue and margin, both lately, days with a payment, what they brought, first and last."""
    rows, has_margin = margins(context), True
    if isinstance(rows, Absent):
        rows, has_margin = context.rows("transactions").with_columns(margin=nw.lit(0, nw.Int64)), False
    cents, is_recent = ten_thousandths(nw.col("amount")), nw.col("own_us") >= context.before(recent_days)
    rows = rows.with_columns(cents=cents)
    is_paid = (nw.col("kind") != "refund") & (nw.col("cents") > 0)
    money = rows.group_by("customer_id").agg(
        nw.col("cents").sum().alias("revenue"),
        nw.col("margin").sum().alias("margin"),
        nw.when(is_recent).then(nw.col("cents")).otherwise(0).sum().alias("recent_revenue"),
        nw.when(is_recent).then(nw.col("margin")).otherwise(0).sum().alias("recent_margin"),
        nw.when(is_paid).then(nw.col("day")).n_unique().alias("payments"),
        nw.when(~is_paid).then(1).otherwise(0).max().alias("has_other"),
        nw.when(is_paid).then(nw.col("cents")).otherwise(0).sum().alias("paid"),
        nw.when(is_paid).then(nw.col("own_us")).min().alias("first_us"),
        nw.when(is_paid).then(nw.col("own_us")).max().alias("last_us"),
    )
    table: dict[str, tuple[float, ...]] = {}
    for row in collected(money).to_pylist():
        if row["customer_id"] is None or row["first_us"] is None:
            continue
        known = [row[name] / 10_000 if has_margin else np.nan for name in ("margin", "recent_margin")]
        table[row["customer_id"]] = (
            row["revenue"] / 10_000, known[0], row["recent_revenue"] / 10_000, known[1],
            float(row["payments"] - row["has_other"]), row["paid"] / 10_000, float(row["first_us"]),
            float(row["last_us"]),
        )  # fmt: skip
    return table


Term = tuple[str, float, bool, float, float]


def _contracts(context: MetricContext, recent_days: float) -> dict[str, Term]:
    """Of each subscriber: state, monthly price now or last, whether paid by the year, days to renewal, price lately."""
    at_us, since_us = context.as_of_us, context.before(recent_days)
    rows = context.rows("subscriptions")
    renewal = dict(zip(*_columns(next_renewal(rows, at_us), "customer_id", "renewal_us"), strict=True))
    names = ("customer_id", "own_us", "ended_us", "mrr", "billing_period")
    contracts: dict[str, Term] = {}
    lines = [line for line in zip(*_columns(rows, *names), strict=True) if line[0] is not None]
    for customer, start_us, ended_us, mrr, period in sorted(lines, key=lambda line: (line[0], line[1], line[3])):
        runs = ended_us is None or ended_us >= at_us
        before = contracts.get(customer, (NEVER, 0.0, False, np.nan, 0.0))
        ran_us = max(min(ended_us or at_us, at_us) - max(start_us, since_us), 0)
        lately = before[4] + float(mrr) * ran_us / (at_us - since_us)
        if before[0] == RUNNING and not runs:
            contracts[customer] = (*before[:4], lately)
            continue
        price = float(mrr) + (before[1] if runs and before[0] == RUNNING else 0.0)
        days = _renewal_days(renewal.get(customer), at_us, period == ANNUAL)
        contracts[customer] = (RUNNING if runs else GONE, price, period == ANNUAL, days, lately)
    return contracts


def _renewal_days(renewal_us: int | None, at_us: int, is_annual: bool) -> float:
    """Days to a renewal; a year's subscription renews every year, whatever later date is agreed by now."""
    if renewal_us is None:
        return np.nan
    return (renewal_us - at_us) % YEAR_US / DAY_US if is_annual else (renewal_us - at_us) / DAY_US


def _stays(context: MetricContext, customers: NDArray[np.object_]) -> Stays:
    place = {customer: number for number, customer in enumerate(customers)}
    columns = _columns(context.keep(stays), "customer_id", "started_us", "end_us")
    lines = [(place[one], start, end) for one, start, end in zip(*columns, strict=True) if one in place]
    lines.sort()
    who, start_us, end_us = np.array(lines, dtype=np.int64).reshape(len(lines), 3).T
    end = np.where(end_us >= NEVER_US, np.inf, (end_us - context.as_of_us) / DAY_US)
    return Stays(who, (start_us - context.as_of_us) / DAY_US, end)


def _columns(frame: Frame, *names: str) -> list[list[Any]]:
    table = collected(frame.select(*names))
    return [table[name].to_pylist() for name in names]
