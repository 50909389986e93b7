"""Subscriptions: which run at an instant, which never ran, and what they are worth a month."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.facts.spans import runs

if TYPE_CHECKING:
    from vouch.features.asof import Frame


def has_run(started_us: nw.Expr, ended_us: nw.Expr) -> nw.Expr:
    """Whether a subscription was more than a failed start: one that ends as it starts never ran, and is none."""
    return ended_us.is_null() | (ended_us > started_us)


def running(rows: Frame, at_us: int) -> Frame:
    """The subscriptions (rows with `own_us` and `ended_us`) that run at an instant."""
    return rows.filter(runs(nw.col("own_us"), nw.col("ended_us"), at_us))


def revenue_then(rows: Frame, at_us: int) -> Frame:
    """Recurring revenue per month of the subscriptions that ran at an instant that is past: `customer_id`, `mrr`.

    Where one takes over from another at the instant, that is the later one.
    """
    ran = (nw.col("own_us") <= at_us) & (nw.col("ended_us").is_null() | (nw.col("ended_us") > at_us))
    return _by_customer(rows.filter(ran))


def revenue(rows: Frame, at_us: int) -> Frame:
    """Recurring revenue per month of the subscriptions that run at an instant: `customer_id`, `mrr`."""
    return _by_customer(running(rows, at_us))


def _by_customer(rows: Frame) -> Frame:
    return rows.group_by("customer_id").agg(nw.col("mrr").sum().cast(nw.Float64).alias("mrr"))
