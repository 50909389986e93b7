"""Stays: chains of a customer's subscriptions.

The end of a stay is churn, the end of a subscription need not be. Subscriptions that overlap, touch (a change of plan)
or resume within the gap are one stay. An end is churn unless a start lies in [end, end + gap): a pause of exactly the
gap is churn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.contract.tables import DAY_US
from vouch.features.facts.spans import NEVER_US

if TYPE_CHECKING:
    from vouch.features.asof import Frame

GAP_DAYS = 14
"""A pause shorter than this is no churn, once the resumption is known."""


def stays(rows: Frame, gap_days: int = GAP_DAYS) -> Frame:
    """One row per stay, from all subscriptions of customers: `customer_id`, `stay` (1, 2, ... of the customer).

    `started_us`, `end_us` (NEVER_US while it runs on), and of the subscription that ended last `has_reason` and
    `is_involuntary` (1 or 0): whether a reason is recorded, and whether the company's side ended it; 0 where nobody
    said.
    """
    order = ["own_us", "end_us", "subscription_id"]
    columns = ("customer_id", "subscription_id", "own_us", "ended_us", "cancel_reason", "is_voluntary")
    rows = rows.select(*columns).with_columns(end_us=nw.col("ended_us").fill_null(NEVER_US))
    rows = rows.with_columns(reach_us=nw.col("end_us").cum_max().over("customer_id", order_by=order))
    rows = rows.with_columns(before_us=nw.col("reach_us").shift(1).over("customer_id", order_by=order))
    rows = rows.with_columns(begins=_begins_anew(gap_days).cast(nw.Int64))
    rows = rows.with_columns(stay=nw.col("begins").cum_sum().over("customer_id", order_by=order))
    rows = rows.with_columns(stay_end_us=nw.col("end_us").max().over("customer_id", "stay"))
    is_last = nw.col("end_us") == nw.col("stay_end_us")
    has_reason = is_last & ~nw.col("cancel_reason").is_null()
    is_involuntary = is_last & ~nw.col("is_voluntary").fill_null(True)
    return rows.group_by("customer_id", "stay").agg(
        nw.col("own_us").min().alias("started_us"),
        nw.col("stay_end_us").max().alias("end_us"),
        has_reason.cast(nw.Int64).max().alias("has_reason"),
        is_involuntary.cast(nw.Int64).max().alias("is_involuntary"),
    )


def _begins_anew(gap_days: int) -> nw.Expr:
    """Whether a subscription does not carry on what was there before; at the very instant of an end it does."""
    pause_us = max(gap_days * DAY_US, 1)
    return nw.col("before_us").is_null() | (nw.col("own_us") >= nw.col("before_us") + pause_us)


def ended(spans: Frame) -> Frame:
    """The stays that have an end."""
    return spans.filter(nw.col("end_us") < NEVER_US)
