"""Frames that many metrics count over: who is active, who is subscribed, orders, valid referrals, survey answers.

Each takes a moment and is kept by it. The definitions are those that every metric and label share: active is a running
subscription, or usage or a transaction in 90 days; a stay is a chain of subscriptions whose gaps are closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from features.contract import ACTIVITY_TABLES, DAY_US
from features.language import NEGATIVE_FROM

if TYPE_CHECKING:
    from features.asof import Frame
    from features.moment import Moment

NEVER_US = 2**62
"""Stands for the end of what is still running."""
GAP_DAYS = 14
"""A pause of a subscription of at most so many days is no churn, once its end is known."""
ACTIVE_DAYS = 90
"""Usage or a transaction in so many days makes a customer active."""
CONVERSION_DAYS = 30
"""A referral has converted if the prospect became a customer within so many days of the invitation."""
PUBLIC_SOURCES = ("amazon", "google", "trustpilot", "tripadvisor", "app_store")
"""Sources of feedback that everybody reads."""
SURVEY_DAYS = 400
"""How far back answers are read; no metric looks further."""


def subscriptions(moment: Moment) -> Frame:
    """Subscriptions known at the instant, `end_us` NEVER_US where they run on."""
    columns = ["subscription_id", "customer_id", "own_us", "ended_us", "mrr", "plan", "cancel_reason", "is_voluntary"]
    rows = moment.rows("subscriptions").select(*columns)
    return rows.with_columns(end_us=nw.col("ended_us").fill_null(NEVER_US))


def stays(moment: Moment) -> Frame:
    """Chains of subscriptions of a customer, gaps of at most 14 days closed by a known resumption.

    `started_us`, `end_us` (NEVER_US while it runs on), and of the subscription that ended last `has_reason` and
    `is_involuntary` (1 or 0).
    """
    order = ["own_us", "end_us", "subscription_id"]
    rows = moment.keep(subscriptions)
    rows = rows.with_columns(reach_us=nw.col("end_us").cum_max().over("customer_id", order_by=order))
    rows = rows.with_columns(before_us=nw.col("reach_us").shift(1).over("customer_id", order_by=order))
    begins = nw.col("before_us").is_null() | (nw.col("own_us") - nw.col("before_us") > GAP_DAYS * DAY_US)
    rows = rows.with_columns(begins=begins.cast(nw.Int64))
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


def covers(start: str, end: str, instant_us: int) -> nw.Expr:
    """Whether a span runs at an instant: begun before it, and not ended before it."""
    return (nw.col(start) < instant_us) & (nw.col(end) >= instant_us)


def acts_of_use(moment: Moment, *columns: str) -> Frame:
    """Rows of usage and transactions, whichever are there: `customer_id`, `own_us`, `day`."""
    chosen = ("customer_id", "own_us", "day", *columns)
    return nw.concat([moment.rows(table).select(*chosen) for table in ACTIVITY_TABLES if moment.has(table)])


def activity(moment: Moment) -> Frame:
    """First and last use or transaction of each customer: `first_us`, `last_us`, `last_28_us` (28 days before).

    `active_days` are the UTC days with either in the last 28.
    """
    rows = acts_of_use(moment)
    lately = rows.filter(nw.col("own_us") >= moment.before(28))
    days = lately.group_by("customer_id").agg(nw.col("day").n_unique().alias("active_days"))
    earlier = nw.when(nw.col("own_us") < moment.before(28)).then(nw.col("own_us"))
    found = rows.group_by("customer_id").agg(
        nw.col("own_us").min().alias("first_us"),
        nw.col("own_us").max().alias("last_us"),
        earlier.max().alias("last_28_us"),
    )
    return found.join(days, on="customer_id", how="left").with_columns(nw.col("active_days").fill_null(0))


def active(moment: Moment) -> Frame:
    """Customers who are active at the instant: `customer_id`, `active_days`."""
    used = moment.keep(activity)
    recent = used.filter(nw.col("last_us") >= moment.before(ACTIVE_DAYS)).select("customer_id")
    parts = [recent]
    if moment.has("subscriptions"):
        running = moment.keep(stays).filter(covers("started_us", "end_us", moment.as_of_us))
        parts.append(running.select("customer_id"))
    everybody = nw.concat(parts).unique()
    days = used.select("customer_id", "active_days")
    return everybody.join(days, on="customer_id", how="left").with_columns(nw.col("active_days").fill_null(0))


def purchases(moment: Moment) -> Frame:
    """Rows of purchases with `order` (order_id, else transaction_id)."""
    rows = moment.rows("transactions").filter(nw.col("kind") == "purchase")
    return rows.with_columns(order=nw.coalesce("order_id", "transaction_id"))


def referrals(moment: Moment) -> Frame:
    """Valid referrals: not to oneself, not known as fraud, one row per advocate and prospect, the first.

    `invited_us`, `clicked_us`, `signed_up_us` are the earliest of the pair. `converted_us` is set on the invitation
    that has the prospect's conversion: the first one that lies at most 30 days before it, whoever sent it.
    """
    rows = moment.without_internal(moment.rows("referrals"), "prospect_id").filter(
        (nw.col("advocate_id") != nw.col("prospect_id")).fill_null(True), ~nw.col("is_fraud").fill_null(False)
    )
    sender = nw.coalesce(nw.col("advocate_id"), nw.concat_str(nw.lit("~"), nw.col("referral_id")))
    pairs = (
        rows.with_columns(sender=sender)
        .group_by("sender", "prospect_id")
        .agg(
            nw.col("own_us").min().alias("invited_us"),
            nw.col("advocate_id").max(),
            nw.col("referral_id").min(),
            *(nw.col(name).min() for name in ("clicked_us", "signed_up_us", "converted_us")),
            nw.col("reward_cost").sum(),
            nw.col("counterfactual_p").max(),
            nw.col("is_incentivised").fill_null(False).cast(nw.Int64).max(),
        )
    )
    pairs = pairs.with_columns(prospect_converted_us=nw.col("converted_us").min().over("prospect_id"))
    lag = nw.col("prospect_converted_us") - nw.col("invited_us")
    in_time = (lag >= 0) & (lag <= CONVERSION_DAYS * DAY_US)
    pairs = pairs.with_columns(in_time=in_time.fill_null(False).cast(nw.Int64))
    turn = nw.col("in_time").cum_sum().over("prospect_id", order_by=["invited_us", "referral_id"])
    pairs = pairs.with_columns(turn=turn)
    has_it = (nw.col("in_time") == 1) & (nw.col("turn") == 1)
    return pairs.with_columns(converted_us=nw.when(has_it).then(nw.col("prospect_converted_us")))


def acts(moment: Moment) -> Frame:
    """Acts of speaking up, and valid referrals that are not among them (same customer, same day).

    `sort` is `incentivised` where there was a reward, `prompted` where there was an ask, else `organic`.
    """
    columns = ("unit", "customer_id", "own_us", "day", "kind", "sort", "reach")
    parts = []
    if moment.has("advocacy_acts"):
        rows = moment.rows("advocacy_acts").select(
            "customer_id", "own_us", "day", "kind", "reach", "is_incentivised", "ask_id",
            unit=nw.concat_str(nw.lit("act "), nw.col("act_id")),
        )  # fmt: skip
        asked_for = nw.when(nw.col("ask_id").is_null()).then(nw.lit("organic")).otherwise(nw.lit("prompted"))
        rewarded = nw.col("is_incentivised").fill_null(False)
        sort = nw.when(rewarded).then(nw.lit("incentivised")).otherwise(asked_for)
        parts.append(rows.with_columns(sort=sort).select(*columns).collect("polars").lazy())
    if moment.has("referrals"):
        parts.append(_referrals_as_acts(moment, parts[0] if parts else None).select(*columns))
    return nw.concat(parts)


def _referrals_as_acts(moment: Moment, listed: Frame | None) -> Frame:
    rewarded = nw.col("is_incentivised") == 1
    rows = (
        moment.keep(referrals)
        .filter(~nw.col("advocate_id").is_null())
        .select(
            customer_id=nw.col("advocate_id"),
            own_us=nw.col("invited_us"),
            day=nw.col("invited_us") // DAY_US,
            kind=nw.lit("referral"),
            sort=nw.when(rewarded).then(nw.lit("incentivised")).otherwise(nw.lit("organic")),
            reach=nw.lit(None, nw.Int64),
            unit=nw.concat_str(nw.lit("referral "), nw.col("referral_id")),
        )
    )
    if listed is None:
        return rows
    same = listed.filter(nw.col("kind") == "referral").select("customer_id", "day").unique()
    return rows.join(same, on=["customer_id", "day"], how="anti")


def negative_voices(moment: Moment) -> Frame:
    """Negative public reviews and posts about the brand by known customers: `customer_id`, `own_us`."""
    bad = nw.col("polarity") <= NEGATIVE_FROM
    parts = []
    if moment.has("feedback"):
        parts.append(moment.rows("feedback").filter(bad, nw.col("source").is_in(PUBLIC_SOURCES)))
    if moment.has("social_posts"):
        parts.append(moment.rows("social_posts").filter(bad, nw.col("is_brand_mention").fill_null(False)))
    rows = nw.concat([part.select("customer_id", "own_us") for part in parts])
    return rows.filter(~nw.col("customer_id").is_null())


def surveys(moment: Moment) -> Frame:
    """Survey rows of the last 400 days, with `answered_us` (null unless answered in full) and `is_relational`."""
    since = moment.before(SURVEY_DAYS)
    when_us = nw.coalesce("responded_us", "own_us")
    rows = moment.rows("surveys").filter((nw.col("own_us") >= since) | (when_us >= since))
    is_answered = (nw.col("status") == "answered") & ~nw.col("score").is_null()
    touchpoint = nw.col("touchpoint")
    return rows.select(
        "response_id", "customer_id", "instrument", "status", "own_us", "invited_us", "polarity",
        item=nw.col("item").fill_null("").str.to_lowercase(),
        score=nw.col("score").cast(nw.Float64),
        low=nw.col("scale_min").cast(nw.Float64),
        high=nw.col("scale_max").cast(nw.Float64),
        answered_us=nw.when(is_answered).then(when_us),
        is_relational=touchpoint.is_null() | (touchpoint == "relational"),
        has_text=(nw.col("verbatim").str.len_chars() > 0).fill_null(False),
    )  # fmt: skip


def asked(moment: Moment, days: float, *instruments: str) -> Frame:
    """Survey rows of some instruments that were asked or answered in the window; `answered_us` only inside it."""
    since = moment.before(days)
    rows = moment.keep(surveys).filter(nw.col("instrument").is_in(instruments))
    rows = rows.with_columns(answered_us=nw.when(nw.col("answered_us") >= since).then(nw.col("answered_us")))
    return rows.filter((nw.col("own_us") >= since) | ~nw.col("answered_us").is_null())


def latest(rows: Frame, *alike: str) -> Frame:
    """One row per customer (and `alike`): the latest `score` that is not null, null where there is none.

    Of answers at one time the one with the greatest id counts. `unit` is the customer and what is alike.
    """
    keys = ("customer_id", *alike)
    given = rows.with_columns(given_us=nw.when(~nw.col("score").is_null()).then(nw.col("answered_us")))
    number = nw.col("given_us").cum_count(reverse=True).over(*keys, order_by=["given_us", "response_id"])
    given = given.with_columns(number=number.cast(nw.Int64))
    is_it = ~nw.col("given_us").is_null() & (nw.col("number") == 1)
    found = given.group_by(*keys).agg(
        nw.when(is_it).then(nw.col(name)).max().alias(name) for name in ("score", "low", "high")
    )
    return found.with_columns(unit=nw.concat_str(*keys, separator="\n"))


def on_main_scale(rows: Frame) -> Frame:
    """Scores of the scale that most answers have, of equally many the longer one; null on any other scale."""
    count = nw.col("answered_us").count().over("low", "high").cast(nw.Float64)
    ranked = rows.with_columns(scale=count * 1e6 + nw.col("high") * 1e3 + nw.col("low"))
    is_main = (nw.col("scale") == nw.col("scale").max()) & ~nw.col("answered_us").is_null()
    return ranked.with_columns(score=nw.when(is_main).then(nw.col("score")))
