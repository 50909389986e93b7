"""Subscription: what runs now, for how much, until when, and what ended, paused or changed before.

A subscription runs at the instant where it started before it and no end before it is known.
"""

from __future__ import annotations

import narwhals as nw

from vouch.features.contract.tables import DAY_US
from vouch.features.facts.spans import has_ended, is_on, is_yet_to_end, runs
from vouch.features.facts.subscriptions import ANNUAL, until_renewal
from vouch.features.vectors.declare import (
    Aggregate,
    Rows,
    column,
    count,
    days_since,
    days_since_first,
    feature,
    latest,
    smallest,
    total,
)


@column("subscriptions")
def is_running(rows: Rows) -> nw.Expr:
    """Whether the subscription has not ended before the instant."""
    return is_on(rows.optional("ended_us"), rows.as_of_us)


@column("subscriptions")
def is_announced(rows: Rows) -> nw.Expr:
    """Whether its end is known and yet to come."""
    return is_yet_to_end(rows.ended_us, rows.as_of_us)


@column("subscriptions")
def end_before_us(rows: Rows) -> nw.Expr:
    """End of the customer's subscription that started before this one."""
    return rows.previous(rows.ended_us)


@column("subscriptions")
def mrr_step(rows: Rows) -> nw.Expr:
    """Change of price where one subscription takes over from another at the same instant; such an end is no end."""
    before = rows.previous(rows.mrr)
    return nw.when(rows.end_before_us == rows.own_us).then(rows.mrr - before)


@column("subscriptions")
def until_renewal_us(rows: Rows) -> nw.Expr:
    """Time to the next renewal of a subscription without a known end."""
    left = until_renewal(rows.own_us, rows.billing_period == ANNUAL, rows.as_of_us)
    return nw.when(rows.ended_us.is_null() & ~rows.billing_period.is_null()).then(left)


def _ran_before(rows: Rows, days: int) -> nw.Expr:
    then = rows.as_of_us - days * DAY_US
    return runs(rows.own_us, rows.ended_us, then)


@feature("subscriptions", unit="flag")
def is_subscribed(rows: Rows) -> Aggregate:
    """Has a running subscription."""
    return count(rows.is_running) > 0


@feature("subscriptions", unit="flag")
def has_ever_subscribed(rows: Rows) -> Aggregate:
    """Has subscribed at any time."""
    return count() > 0


@feature("subscriptions", unit="flag")
def is_leaving(rows: Rows) -> Aggregate:
    """Has announced the end of every running subscription."""
    return (count(rows.is_running) > 0) - (count(rows.ended_us.is_null()) > 0)


@feature("subscriptions", unit="days")
def announced_end_days(rows: Rows) -> Aggregate:
    """Days until the next announced end of a subscription."""
    return smallest(rows.ended_us - rows.as_of_us, rows.is_announced) / float(DAY_US)


@feature("subscriptions", unit="subscriptions")
def running_subscriptions(rows: Rows) -> Aggregate:
    """Running subscriptions."""
    return count(rows.is_running)


@feature("subscriptions", unit="money per month")
def mrr(rows: Rows) -> Aggregate:
    """Recurring revenue per month."""
    return total(rows.mrr, rows.is_running)


@feature("subscriptions", unit="money per month")
def mrr_change_90d(rows: Rows) -> Aggregate:
    """Change of recurring revenue per month against 90 days before."""
    return total(rows.mrr, rows.is_running) - total(rows.mrr, _ran_before(rows, 90))


@feature("subscriptions", unit="category")
def subscription_plan(rows: Rows) -> Aggregate:
    """Plan of the running subscription."""
    return latest(rows.plan, rows.is_running)


@feature("subscriptions", unit="category")
def billing_period(rows: Rows) -> Aggregate:
    """Billing period of the running subscription."""
    return latest(rows.billing_period, rows.is_running)


@feature("subscriptions", unit="days")
def days_to_renewal(rows: Rows) -> Aggregate:
    """Days until the next renewal of a subscription without an announced end."""
    return smallest(rows.until_renewal_us) / float(DAY_US)


@feature("subscriptions", unit="days")
def days_to_annual_renewal(rows: Rows) -> Aggregate:
    """Days until the next annual renewal of a subscription without an announced end."""
    return smallest(rows.until_renewal_us, rows.billing_period == ANNUAL) / float(DAY_US)


@feature("subscriptions", unit="days")
def contract_days(rows: Rows) -> Aggregate:
    """Days since the oldest running subscription started."""
    return days_since_first(rows.own_us, rows.is_running)


@feature("subscriptions", unit="days")
def subscribed_days(rows: Rows) -> Aggregate:
    """Days of all subscriptions so far, added up."""
    until = nw.when(rows.is_running).then(rows.as_of_us).otherwise(rows.ended_us)
    return total(until - rows.own_us) / float(DAY_US)


@feature("subscriptions", unit="days")
def days_since_subscription_start(rows: Rows) -> Aggregate:
    """Days since the latest subscription started."""
    return days_since(rows.own_us)


@feature("subscriptions", unit="subscriptions")
def subscriptions_ended(rows: Rows) -> Aggregate:
    """Subscriptions that have ended."""
    return count(has_ended(rows.ended_us, rows.as_of_us))


@feature("subscriptions", unit="subscriptions")
def subscriptions_ended_involuntarily(rows: Rows) -> Aggregate:
    """Subscriptions that ended against the customer's will (a failed payment, for example)."""
    return count(has_ended(rows.ended_us, rows.as_of_us) & ~rows.is_voluntary)


@feature("subscriptions", unit="days")
def days_since_subscription_end(rows: Rows) -> Aggregate:
    """Days since the latest end of a subscription."""
    return days_since(rows.ended_us, has_ended(rows.ended_us, rows.as_of_us))


@feature("subscriptions", unit="category")
def cancel_reason(rows: Rows) -> Aggregate:
    """Reason given for the latest end of a subscription."""
    return latest(rows.cancel_reason, ~rows.cancel_reason.is_null(), order=rows.ended_us)


@feature("subscriptions", unit="resumptions")
def resumptions(rows: Rows) -> Aggregate:
    """Times that the customer subscribed again after an end."""
    return count(rows.end_before_us < rows.own_us)


@feature("subscriptions", unit="changes")
def plan_upgrades(rows: Rows) -> Aggregate:
    """Changes to a dearer subscription."""
    return count(rows.mrr_step > 0)


@feature("subscriptions", unit="changes")
def plan_downgrades(rows: Rows) -> Aggregate:
    """Changes to a cheaper subscription."""
    return count(rows.mrr_step < 0)


@feature("subscriptions", unit="days")
def days_since_plan_change(rows: Rows) -> Aggregate:
    """Days since the latest change to a dearer or cheaper subscription."""
    return days_since(rows.own_us, (rows.mrr_step > 0) | (rows.mrr_step < 0))
