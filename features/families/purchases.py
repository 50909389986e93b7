"""Purchases: how often, how much, how regularly and how widely a customer buys, and whether that changes.

An order is a purchase, counted by `order_id`, else by `transaction_id`; renewals and upgrades are spend, not orders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.facts import orders as order
from vouch.features.vectors.declare import FEATURE_WINDOW as CURRENT

if TYPE_CHECKING:
    from vouch.features.vectors.aggregates import Span
from vouch.features.vectors.declare import (
    PREVIOUS,
    Aggregate,
    Rows,
    Vector,
    column,
    count,
    days_since,
    days_since_first,
    derived,
    distinct,
    feature,
    growth,
    mean,
    ratio,
    spread,
    total,
)


@column("transactions")
def is_order(rows: Rows) -> nw.Expr:
    """Whether the transaction belongs to an order."""
    return order.is_of_order(rows.kind)


@column("transactions")
def order_key(rows: Rows) -> nw.Expr:
    """What the lines of one order share."""
    return order.order_key(rows.optional("order_id"), rows.transaction_id)


@column("transactions")
def order_gap(rows: Rows) -> nw.Expr:
    """Days since the purchase before; 0 for a further purchase of one day."""
    return nw.when(rows.is_order).then(rows.day - rows.previous(rows.day, "kind"))


def _order_value(rows: Rows, window: Span = CURRENT) -> Aggregate:
    return total(rows.amount, rows.is_order, window) / distinct(rows.order_key, rows.is_order, window)


@feature("transactions", unit="flag")
def has_ever_bought(rows: Rows) -> Aggregate:
    """Has bought at any time."""
    return count(rows.is_order) > 0


@feature("transactions", days=(28, 90, 365, None), unit="orders")
def orders(rows: Rows) -> Aggregate:
    """Orders in the {days} days before."""
    return distinct(rows.order_key, rows.is_order)


@feature("transactions", days=(28, 90, 365, None), unit="money")
def spend(rows: Rows) -> Aggregate:
    """Money spent in the {days} days before, refunds taken off."""
    return total(rows.amount)


@feature("transactions", days=(365, None), unit="money per order")
def average_order_value(rows: Rows) -> Aggregate:
    """Money spent per order in the {days} days before."""
    return _order_value(rows)


@feature("transactions", unit="days")
def days_since_transaction(rows: Rows) -> Aggregate:
    """Days since the latest transaction of any kind."""
    return days_since(rows.own_us)


@feature("transactions", unit="days")
def days_since_order(rows: Rows) -> Aggregate:
    """Days since the latest order."""
    return days_since(rows.own_us, rows.is_order)


@feature("transactions", unit="days")
def days_since_first_order(rows: Rows) -> Aggregate:
    """Days since the first order."""
    return days_since_first(rows.own_us, rows.is_order)


@feature("transactions", days=(None,), unit="days")
def order_gap_mean(rows: Rows) -> Aggregate:
    """Mean days between days with an order in the {days} days before."""
    return mean(rows.order_gap, rows.order_gap > 0)


@feature("transactions", days=(None,), unit="days")
def order_gap_spread(rows: Rows) -> Aggregate:
    """Standard deviation of the days between days with an order in the {days} days before."""
    return spread(rows.order_gap, rows.order_gap > 0)


@derived(unit="ratio")
def order_overdue_ratio(vector: Vector) -> nw.Expr:
    """Days since the latest order against the customer's mean days between orders."""
    return ratio(vector.days_since_order, vector.order_gap_mean_lifetime)


@feature("transactions", days=(90,), unit="log ratio")
def orders_growth(rows: Rows) -> Aggregate:
    """Change of orders in the {days} days before against the same span before them."""
    return growth(distinct(rows.order_key, rows.is_order), distinct(rows.order_key, rows.is_order, PREVIOUS))


@feature("transactions", days=(90,), unit="log ratio")
def spend_growth(rows: Rows) -> Aggregate:
    """Change of money spent (refunds apart) in the {days} days before against the same span before them."""
    return growth(total(rows.amount, rows.amount > 0), total(rows.amount, rows.amount > 0, PREVIOUS))


@feature("transactions", days=(90,), unit="ratio")
def order_value_ratio(rows: Rows) -> Aggregate:
    """Money per order in the {days} days before over that of the same span before them."""
    return _order_value(rows) / _order_value(rows, PREVIOUS)


@feature("transactions", days=(90,), unit="orders")
def orders_previous(rows: Rows) -> Aggregate:
    """Orders in the span as long as and just before the one in the {days} days before."""
    return distinct(rows.order_key, rows.is_order, PREVIOUS)


@derived(unit="flag")
def is_trading_down(vector: Vector) -> nw.Expr:
    """Orders a fifth more often, but for a tenth less each, in the last 90 days than in the 90 before them."""
    now, before = vector.orders_90d, vector.orders_previous_90d
    is_so = (now >= 3) & (before >= 3) & (now * 5 >= before * 6) & (vector.order_value_ratio_90d <= 0.9)
    return nw.when(~now.is_null()).then(is_so.fill_null(False).cast(nw.Int64))


@derived(unit="flag")
def is_one_time_buyer(vector: Vector) -> nw.Expr:
    """Has ordered exactly once."""
    return (vector.orders_lifetime == 1).cast(nw.Int64)


@feature("transactions", days=(365,), unit="refunds")
def refunds(rows: Rows) -> Aggregate:
    """Refunds in the {days} days before."""
    return count(rows.kind == "refund")


@feature("transactions", days=(365,), unit="share")
def refund_share(rows: Rows) -> Aggregate:
    """Share of the money spent that was refunded in the {days} days before."""
    return 0.0 - total(rows.amount, rows.kind == "refund") / total(rows.amount, rows.kind != "refund")


@feature("transactions", days=(365,), unit="money")
def gross_margin(rows: Rows) -> Aggregate:
    """Gross margin in the {days} days before."""
    return total(rows.gross_margin)


@feature("transactions", days=(365,), unit="share")
def discount_share(rows: Rows) -> Aggregate:
    """Discount as a share of the price before it, over the orders in the {days} days before."""
    given = total(rows.discount, rows.is_order)
    return given / (given + total(rows.amount, rows.is_order & ~rows.discount.is_null()))


@feature("transactions", days=(365,), unit="categories")
def categories_bought(rows: Rows) -> Aggregate:
    """Categories bought in the {days} days before."""
    return distinct(rows.category, rows.is_order)


@feature("transactions", days=(365,), unit="products")
def products_bought(rows: Rows) -> Aggregate:
    """Products bought in the {days} days before."""
    return distinct(rows.product_id, rows.is_order)


@feature("transactions", days=(365,), unit="renewals")
def renewals(rows: Rows) -> Aggregate:
    """Renewals paid in the {days} days before."""
    return count(rows.kind == "renewal")


@feature("transactions", days=(365,), unit="upgrades")
def upgrades(rows: Rows) -> Aggregate:
    """Upgrades paid in the {days} days before."""
    return count(rows.kind == "upgrade")


@feature("transactions", days=(365,), unit="downgrades")
def downgrades(rows: Rows) -> Aggregate:
    """Downgrades booked in the {days} days before."""
    return count(rows.kind == "downgrade")


@feature("transactions", unit="days")
def days_since_renewal(rows: Rows) -> Aggregate:
    """Days since the latest renewal was paid."""
    return days_since(rows.own_us, rows.kind == "renewal")
