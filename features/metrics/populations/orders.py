"""Orders: what customers bought and did not wholly give back; and who came back by use or by an order.

An order is the lines of a purchase with an amount above 0 that share an `order_id` (else the transaction is one). A
purchase below 0 is a credit note, as a refund is. An order all of which was given back is none; one that cost nothing
is told apart. Renewals, upgrades and refunds are revenue, and no orders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.facts.orders import is_of_order, order_key

if TYPE_CHECKING:
    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

KEYS = ["customer_id", "order"]


def _lines(context: MetricContext) -> Frame:
    """Purchases and what was given back, with `order` and `cents` (ten-thousandths)."""
    rows = context.rows("transactions").filter(is_of_order(nw.col("kind")) | (nw.col("kind") == "refund"))
    cents = (nw.col("amount").cast(nw.Float64) * 10_000).round().cast(nw.Int64)
    return rows.with_columns(order=order_key(nw.col("order_id"), nw.col("transaction_id")), cents=cents)


def given_back(context: MetricContext) -> Frame:
    """Orders of which as much came back as was paid: `customer_id`, `order`."""
    rows = _lines(context)
    back = rows.filter(nw.col("cents") < 0, ~nw.col("order_id").is_null()).select(*KEYS).unique()
    whole = rows.join(back, on=KEYS, how="inner").group_by(*KEYS).agg(nw.col("cents").sum())
    return whole.filter(nw.col("cents") <= 0).select(*KEYS)


def purchases(context: MetricContext) -> Frame:
    """Lines of orders, with `order` and `cents`."""
    rows = _lines(context).filter(is_of_order(nw.col("kind")), nw.col("cents") > 0)
    has_some = _has_rows(context.keep(given_back))
    return rows.join(given_back(context), on=KEYS, how="anti") if has_some else rows


def orders(context: MetricContext) -> Frame:
    """Orders: customer, time of the first line, amount in ten-thousandths."""
    placed = purchases(context).group_by(*KEYS).agg(nw.col("own_us").min(), nw.col("cents").sum().cast(nw.Int64))
    return placed.with_columns(unit=nw.concat_str(*KEYS, separator="\n"))


def outcomes(context: MetricContext, since_us: int) -> Frame:
    """What became of each order since an instant: `is_paid`, `is_free`, `is_back`, `is_part_back` (1 or 0 each)."""
    rows = _lines(context)
    bought = nw.when(is_of_order(nw.col("kind")))
    each = rows.group_by(*KEYS).agg(
        bought.then(nw.col("own_us")).min().alias("own_us"),
        nw.when(nw.col("cents") > 0).then(nw.col("cents")).otherwise(0).sum().alias("paid"),
        nw.when(nw.col("cents") < 0).then(nw.col("cents")).otherwise(0).sum().alias("back"),
    )
    each = each.filter(nw.col("own_us") >= since_us, (nw.col("paid") > 0) | (nw.col("back") == 0))
    paid, back = nw.col("paid"), nw.col("back")
    return each.with_columns(
        is_free=(paid == 0).cast(nw.Int64),
        is_back=((paid > 0) & (paid + back <= 0)).cast(nw.Int64),
        is_part_back=((back < 0) & (paid + back > 0)).cast(nw.Int64),
        is_paid=((paid > 0) & (back == 0)).cast(nw.Int64),
    )


def comebacks(context: MetricContext) -> Frame:
    """Use, and lines of orders: `customer_id`, `own_us`, `day`. Who merely pays on by himself has not come back."""
    columns = ("customer_id", "own_us", "day")
    parts = []
    if context.has("usage_events"):
        parts.append(context.rows("usage_events").select(*columns))
    if context.has("transactions"):
        parts.append(purchases(context).select(*columns))
    return nw.concat(parts)


def _has_rows(frame: Frame) -> bool:
    return bool(len(frame.head(1).collect("pyarrow")))
