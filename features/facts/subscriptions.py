"""Subscriptions: which run at an instant, which never ran, what they are worth a month, and when they renew.

A renewal falls on whole mean Gregorian years (365.2425 days) or months (a twelfth) after the start: at most a day or
two from the calendar's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.facts.spans import NEVER_US, runs

if TYPE_CHECKING:
    from vouch.features.asof import Frame

YEAR_US = 31_556_952_000_000
MONTH_US = YEAR_US // 12
ANNUAL = "year"


def has_run(started_us: nw.Expr, ended_us: nw.Expr) -> nw.Expr:
    """Whether a subscription was more than a failed start: one that ends as it starts never ran, and is none."""
    return ended_us.is_null() | (ended_us > started_us)


def running(rows: Frame, at_us: int) -> Frame:
    """The subscriptions (rows with `own_us` and `ended_us`) that run at an instant."""
    return rows.filter(runs(nw.col("own_us"), nw.col("ended_us"), at_us))


def until_renewal(started_us: nw.Expr, is_annual: nw.Expr, at_us: nw.Expr) -> nw.Expr:
    """Time from an instant to the next renewal of a subscription, in microseconds."""
    period = nw.when(is_annual).then(nw.lit(YEAR_US, nw.Int64)).otherwise(nw.lit(MONTH_US, nw.Int64))
    return (period - (at_us - started_us) % period) % period


def next_renewal(rows: Frame, at_us: int) -> Frame:
    """The next renewal of each customer's subscriptions that go on: `customer_id`, `renewal_us`.

    It is the agreed one where that is told and has not passed, else that of an annual subscription. One that is paid
    by the month and has none agreed can end at any time, and has none.
    """
    going_on = running(rows, at_us).filter(nw.col("ended_us").is_null())
    return _renewing(going_on, at_us).group_by("customer_id").agg(nw.col("renewal_us").min())


def _renewing(rows: Frame, at_us: int) -> Frame:
    """Running subscriptions with `renewal_us` as the next one, null for who can end at any time."""
    is_annual, at = nw.col("billing_period") == ANNUAL, nw.lit(at_us, nw.Int64)
    agreed = nw.when(nw.col("renewal_us") >= at_us).then(nw.col("renewal_us"))
    counted = nw.when(is_annual).then(at + until_renewal(nw.col("own_us"), is_annual, at))
    return rows.with_columns(nw.coalesce(agreed, counted).alias("renewal_us"))


def paid_in(rows: Frame, at_us: int) -> Frame:
    """The currency of what runs at an instant: `customer_id`, `currency`; nobody of whose subscriptions none names one.

    Of several it is that of the subscription that renews next, else of the one that pays most.
    """
    named = _renewing(running(rows, at_us), at_us).filter(~nw.col("currency").is_null())
    code = nw.col("currency").str.strip_chars().str.to_uppercase()
    until = nw.col("renewal_us").fill_null(NEVER_US)
    named = named.with_columns(renewal_us=until, mrr=nw.col("mrr").cast(nw.Float64), currency=code)
    for column, first in (("renewal_us", nw.col("renewal_us").min()), ("mrr", nw.col("mrr").max())):
        named = named.with_columns(first=first.over("customer_id")).filter(nw.col(column) == nw.col("first"))
    return named.group_by("customer_id").agg(nw.col("currency").min())


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
