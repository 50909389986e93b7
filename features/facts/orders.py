"""Orders: purchases, counted by `order_id`, else by `transaction_id`. Renewals and upgrades are revenue, not orders."""

from __future__ import annotations

import narwhals as nw

PURCHASE = "purchase"


def is_of_order(kind: nw.Expr) -> nw.Expr:
    """Whether a transaction is a line of an order."""
    return kind == PURCHASE


def order_key(order_id: nw.Expr, transaction_id: nw.Expr) -> nw.Expr:
    """What the lines of one order share."""
    return nw.coalesce(order_id, transaction_id)
