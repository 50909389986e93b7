"""Metrics of engagement: frequency, depth and number of channels (M12, M45 to M49)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np

from vouch.features.contract.tables import CHANNELS
from vouch.features.facts.sessions import engaged_us, is_visit
from vouch.features.facts.spans import is_on
from vouch.features.metrics.catalogue import Example, Row, items, metric
from vouch.features.metrics.estimators import NOT_BELOW_0, Figure, Floats, Mean, Rate, Ratio
from vouch.features.metrics.populations.advocacy import acts
from vouch.features.metrics.populations.customers import active, percentile, stays
from vouch.features.metrics.populations.orders import purchases
from vouch.features.metrics.populations.surveys import asked, latest_answers
from vouch.features.statistics.intervals import first_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

CONTACT_TABLES = ("usage_events", "tickets", "feedback")
"""Tables whose rows are interactions, beside answered surveys."""
YEAR_DAYS = 365


@items("surveys", "subscriptions|transactions", "advocacy_acts|referrals", counts="customers")
def benchmarked(context: MetricContext, days: int | None) -> Frame:
    """External customers who are active at the instant, ranked among one another."""
    assert days is not None
    since = context.before(days)
    rows = asked(context, days, "csat").filter(nw.col("high") > nw.col("low"))
    share = (nw.col("score") - nw.col("low")) / (nw.col("high") - nw.col("low"))
    satisfied = latest_answers(rows.with_columns(score=nw.when(~nw.col("answered_us").is_null()).then(share)))
    voiced = context.keep(acts).filter(nw.col("own_us") >= since).group_by("customer_id").agg(acts=nw.len())
    people = context.keep(active).join(satisfied.select("customer_id", "score"), on="customer_id", how="left")
    people = people.join(voiced, on="customer_id", how="left").join(_loyalty(context), on="customer_id", how="left")
    people = people.with_columns(acts=nw.col("acts").fill_null(0), loyal=nw.col("loyal").fill_null(0))
    ranked = people.with_columns(percentile(name).alias(f"{name}_rank") for name in ("score", "acts", "loyal"))
    known = (nw.col("acts_rank") + nw.col("loyal_rank")) / 3
    return ranked.with_columns(
        unit=nw.col("customer_id"),
        index=known + nw.col("score_rank") / 3,
        lowest=known + nw.col("score_rank").fill_null(0.0) / 3,
        highest=known + nw.col("score_rank").fill_null(100.0) / 3,
    )


def _loyalty(context: MetricContext) -> Frame:
    """Days of the running stay; without subscriptions, orders in a year."""
    if context.has("subscriptions"):
        running = context.keep(stays).filter(is_on(nw.col("end_us"), context.as_of_us))
        return running.group_by("customer_id").agg(loyal=context.as_of_us - nw.col("started_us").min())
    rows = purchases(context).filter(nw.col("own_us") >= context.before(YEAR_DAYS))
    return rows.group_by("customer_id").agg(loyal=nw.col("order").n_unique()).collect("polars").lazy()


def second_mean(means: Floats) -> Floats:
    """The second mean."""
    return means[:, 1]


def third_mean(means: Floats) -> Floats:
    """The third mean."""
    return means[:, 2]


def _ranked() -> dict[str, list[dict[str, object]]]:
    people = [*"abcde"]
    return {
        "usage_events": [{"customer_id": c, "occurred_at": -3, "event": "open"} for c in people],
        "transactions": [
            {"customer_id": c, "occurred_at": -40 + day, "amount": 9, "kind": "purchase"}
            for times, c in enumerate(people) for day in range(times)
        ],
        "advocacy_acts": [{"customer_id": "e", "occurred_at": -9, "kind": "review"}],
        "surveys": [
            {"customer_id": c, "instrument": "csat", "score": score, "scale_min": 1, "scale_max": 5,
             "status": "answered", "invited_at": -9}
            for score, c in enumerate(people, 1)
        ],
    }  # fmt: skip


@metric(
    "M12", "Engagement benchmark", items=benchmarked, days=YEAR_DAYS, unit="points", better="higher",
    kind=Figure(("index", "lowest", "highest"), first_mean, second_mean, third_mean, limits=(0, 100)), published=False,
    source="Our definition: satisfaction, loyalty and advocacy, ranked among customers and averaged",
    formula="mean over active customers of mean of percentile ranks (mid-ranks) of satisfaction, of loyalty (length "
    "of the stay, else orders in a year) and of acts in a year; near 50 for the company, it compares segments",
    example=Example("5 customers ranked on three counts have mean 50", _ranked(), 50.0),
)  # fmt: skip
def engagement_benchmark(customer: Row) -> Mapping[str, nw.Expr]:
    """Where customers stand among all in satisfaction, loyalty and advocacy."""
    has_it = (~customer.index.is_null()).cast(nw.Int64)
    return {"index": customer.index, "lowest": customer.lowest, "highest": customer.highest, "n": has_it}


@items("usage_events|transactions|subscriptions", "usage_events|tickets|feedback|surveys", counts="customers")
def interacting(context: MetricContext, days: int | None) -> Frame:
    """External customers who are active at the instant."""
    assert days is not None
    parts = []
    for table in CONTACT_TABLES:
        if context.has(table):
            rows = context.rows(table, days).filter(~nw.col("customer_id").is_null())
            counted = rows.group_by("customer_id").agg(nw.len().cast(nw.Int64).alias("contacts"))
            parts.append(counted.collect("polars").lazy())
    if context.has("surveys"):
        every = asked(context, days, *_INSTRUMENTS).filter(~nw.col("answered_us").is_null())
        parts.append(every.group_by("customer_id").agg(nw.len().cast(nw.Int64).alias("contacts")))
    total = nw.concat(parts).group_by("customer_id").agg(nw.col("contacts").sum())
    people = context.keep(active).join(total, on="customer_id", how="left")
    return people.with_columns(nw.col("contacts").fill_null(0), unit=nw.col("customer_id"), one=nw.lit(1, nw.Int64))


_INSTRUMENTS = (
    "nps", "csat", "ces", "ces1", "trust", "emotional_loyalty", "cxi", "expectation", "culture", "perception",
)  # fmt: skip


@metric(
    "M45", "Interaction frequency", items=interacting, kind=Rate(), days=28, unit="interactions per 28 days",
    better="higher", when_zero="empty_denominator", published=False,
    source="Our definition: rate per exposure of what customers do, write and answer",
    formula="(usage events + tickets + feedback + answered surveys in 28 days) / active customers",
    counts="interactions",
    example=Example("12 interactions of 5 active customers: 2.4",
                    {"usage_events": [{"customer_id": c, "occurred_at": -3, "event": "open"} for c in "abcdeabcde"],
                     "tickets": [{"customer_id": "a", "opened_at": -3}, {"customer_id": "b", "opened_at": -29}],
                     "feedback": [{"customer_id": "b", "occurred_at": -3, "source": "own_site"}]}, 2.4),
)  # fmt: skip
def interaction_frequency(customer: Row) -> Mapping[str, nw.Expr]:
    """Interactions of an active customer in four weeks."""
    return {"events": customer.contacts, "exposure": customer.one}


def visits(context: MetricContext) -> Frame:
    """Sessions of people (no bots) in the last 90 days: `visitor`, `engaged_s`, own time.

    A visitor is the `visitor_id`, else the customer, else the session by itself.
    """
    engaged = engaged_us(nw.col("own_us"), nw.col("ended_us"), nw.col("engaged_s"))
    rows = context.rows("sessions", 90).filter(is_visit(nw.col("is_bot")))
    return rows.select(
        "session_id", "customer_id", "own_us",
        visitor=nw.coalesce("visitor_id", "customer_id", "session_id"),
        engaged_s=engaged.cast(nw.Float64) / 1e6,
    )  # fmt: skip


@items("sessions")
def visitors(context: MetricContext, days: int | None) -> Frame:
    """Visitors with a session in the window, bots and internal customers left out; known where a session has ended."""
    assert days is not None
    rows = context.keep(visits).filter(nw.col("own_us") >= context.before(days))
    seconds = (nw.col("engaged_s") * 1e3).round().cast(nw.Int64)
    people = (
        rows.with_columns(milliseconds=seconds)
        .group_by("visitor")
        .agg(
            nw.col("customer_id").max(),
            nw.col("milliseconds").sum(),
            (~nw.col("milliseconds").is_null()).cast(nw.Int64).sum().alias("sessions"),
        )
    )
    known = nw.when(nw.col("sessions") > 0).then(nw.col("milliseconds").cast(nw.Float64) / 1e3)
    return people.with_columns(unit=nw.col("visitor"), engaged_s=known)


def _visited(*minutes: float) -> dict[str, list[dict[str, object]]]:
    return {
        "sessions": [
            *({"visitor_id": f"v{number}", "started_at": -3, "ended_at": -2.9, "engaged_s": 60 * lasted}
              for number, lasted in enumerate(minutes)),
            {"visitor_id": "v0", "started_at": -2, "ended_at": -1, "is_bot": False},
            {"visitor_id": "robot", "started_at": -2, "ended_at": -1, "engaged_s": 9999, "is_bot": True},
        ]
    }  # fmt: skip


@metric(
    "M46", "Session depth", items=visitors, kind=Ratio(limits=NOT_BELOW_0), days=90, unit="seconds", better="higher",
    source="GA4: engagement time per session", formula="engaged seconds / sessions, clustered by visitor",
    counts="sessions",
    example=Example("10, 10, 10, 20, 10 minutes, and a session of a day that counts 30: 6 sessions, 900 s",
                    _visited(10, 10, 10, 20, 10), 900.0),
)  # fmt: skip
def session_depth(visitor: Row) -> Mapping[str, nw.Expr]:
    """Engaged seconds of a session."""
    return {"top": visitor.engaged_s, "bottom": visitor.sessions, "items": visitor.sessions}


@items("usage_events", "usage_events.channel", counts="customers")
def channel_users(context: MetricContext, days: int | None) -> Frame:
    """External customers with usage on a known channel in the window."""
    rows = context.rows("usage_events", days).filter(~nw.col("channel").is_null())
    each = [(nw.col("channel") == channel).cast(nw.Int64).sum().alias(channel) for channel in CHANNELS]
    return rows.group_by("customer_id").agg(*each).with_columns(unit=nw.col("customer_id"))


def entropy(means: Floats) -> Floats:
    """Shannon's entropy of the shares over its largest value: 0 one channel, 1 all alike. Source: Shannon 1948."""
    share = means / means.sum(axis=1, keepdims=True)
    logs = np.log(np.where(share > 0, share, 1.0))
    result: Floats = -(share * logs).sum(axis=1) / np.log(means.shape[1])
    return result


@metric(
    "M47", "Channel mix", items=channel_users, kind=Figure(CHANNELS, entropy, limits=(0, 1)), days=90, unit="ratio",
    better="neither", source="Shannon 1948, Bell System Technical Journal 27: entropy, normalised",
    formula=f"-sum(p ln p) / ln {len(CHANNELS)} over the shares of usage events by channel",
    example=Example("Half by web, half by app: 0.3562",
                    {"usage_events": [{"customer_id": f"{c}{n}", "occurred_at": -3, "event": "open", "channel": c}
                                      for c in ("web", "app") for n in range(5)]}, 0.3562),
)  # fmt: skip
def channel_entropy(customer: Row) -> Mapping[str, nw.Expr]:
    """How evenly use is spread over channels: 0 all on one, 1 alike on all."""
    return {channel: getattr(customer, channel) for channel in CHANNELS}


@items(
    "usage_events|transactions|subscriptions", "usage_events", "usage_events.channel", "sessions", counts="customers"
)
def engaged(context: MetricContext, days: int | None) -> Frame:
    """External customers who are active at the instant, ranked among one another."""
    assert days is not None
    use = context.rows("usage_events", days).group_by("customer_id").agg(
        nw.len().alias("events"), (nw.col("channel").n_unique() - nw.col("channel").is_null().cast(nw.Int64).max())
        .alias("channels"),
    )  # fmt: skip
    rows = context.keep(visits).filter(nw.col("own_us") >= context.before(days), ~nw.col("customer_id").is_null())
    milliseconds = (nw.col("engaged_s") * 1e3).round().cast(nw.Int64)
    depth = rows.group_by("customer_id").agg(milliseconds.sum().alias("time"), nw.len().alias("sessions"))
    depth = depth.with_columns(depth=nw.col("time").cast(nw.Float64) / nw.col("sessions").cast(nw.Float64))
    people = context.keep(active).join(use.collect("polars").lazy(), on="customer_id", how="left")
    people = people.join(depth.select("customer_id", "depth"), on="customer_id", how="left")
    names = ("events", "depth", "channels")
    people = people.with_columns(nw.col(name).cast(nw.Float64).fill_null(0.0) for name in names)
    product: nw.Expr = nw.lit(1.0)
    for name in names:
        product = product * nw.when(nw.col(name) > 0).then(percentile(name) / 100.0).otherwise(0.0)
    return people.with_columns(index=product ** (1 / 3) * 100.0, unit=nw.col("customer_id"))


@metric(
    "M47", "Engagement index", items=engaged, kind=Mean(limits=(0, 100), bootstrap_always=True), days=90, unit="points",
    better="higher", published=False, source="Our definition: geometric mean of percentile ranks; nothing stays 0",
    formula="mean over active customers of the geometric mean of the percentile ranks of usage events, engaged "
    "seconds per session and channels used",
    example=Example("5 alike in all three rank at 50",
                    {"usage_events": [{"customer_id": c, "occurred_at": -3, "event": "open", "channel": "web"}
                                      for c in "abcde"],
                     "sessions": [{"customer_id": c, "started_at": -3, "ended_at": -2.9, "engaged_s": 60}
                                  for c in "abcde"]}, 50.0),
)  # fmt: skip
def engagement_index(customer: Row) -> Mapping[str, nw.Expr]:
    """How often, how deeply and on how many channels a customer engages, ranked among all."""
    return {"value": customer.index}


@items("usage_events|transactions", counts="customers")
def active_customers(context: MetricContext, days: int | None) -> Frame:
    """External customers who are active at the instant."""
    return context.keep(active).with_columns(unit=nw.col("customer_id"))


def _used(*days: int) -> dict[str, list[dict[str, object]]]:
    return {
        "usage_events": [
            {"customer_id": f"c{number}", "occurred_at": -1 - back, "event": "open"}
            for number, times in enumerate(days) for back in (range(times) if times else [40])
        ]
    }  # fmt: skip


@metric(
    "M48", "Activity", items=active_customers, kind=Mean(1 / 28, limits=(0, 1)), days=28, unit="ratio", better="higher",
    source="Share of active days, textbook; some call it retention, which it is not",
    formula="mean over active customers of the UTC days with usage or a transaction in 28 / 28",
    example=Example("14, 7, 7, 28 and no active days of 28: 0.4", _used(14, 7, 7, 28, 0), 0.4),
)  # fmt: skip
def activity_share(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the days on which an active customer is there."""
    return {"value": customer.active_days}


@metric(
    "M48", "Stickiness (DAU/MAU)", items=active_customers, kind=Ratio(limits=(0, 1)), days=28, unit="ratio",
    better="higher",
    source="DAU over MAU, textbook", when_zero="empty_denominator",
    formula="mean over 28 days of the customers active on the day / customers active in the 28 days",
    example=Example("14, 7, 7, 21 and 7 active days of 28: 0.4", _used(14, 7, 7, 21, 7, 0), 0.4),
)  # fmt: skip
def dau_mau(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the month's customers who are there on a day."""
    was_active = (customer.active_days > 0).cast(nw.Int64)
    return {"top": customer.active_days.cast(nw.Float64) / 28.0, "bottom": was_active}


@metric(
    "M49", "Time on site", items=visitors, kind=Mean(1 / 60, limits=NOT_BELOW_0, bootstrap_always=True), days=30,
    unit="minutes per visitor", better="higher", source="GA4: engaged time per user, bots left out",
    formula="engaged minutes in 30 days / visitors with a session; without engaged_s the duration, at most 30 minutes",
    counts="sessions",
    version="2",
    example=Example("10, 10, 10, 20, 10 minutes, and 30 more of the first: 18 a visitor",
                    _visited(10, 10, 10, 20, 10), 18.0),
)  # fmt: skip
def time_on_site(visitor: Row) -> Mapping[str, nw.Expr]:
    """Minutes that a visitor spends on the site in a month."""
    return {"value": visitor.engaged_s, "items": visitor.sessions}


@metric(
    "M49", "Time per session", items=visitors, kind=Ratio(1 / 60, limits=NOT_BELOW_0), days=30,
    unit="minutes per session", better="higher", source="GA4: engagement time per session",
    formula="engaged minutes / sessions in 30 days, clustered by visitor",
    counts="sessions",
    example=Example("90 minutes in 6 sessions: 15", _visited(10, 10, 10, 20, 10), 15.0),
)  # fmt: skip
def time_per_session(visitor: Row) -> Mapping[str, nw.Expr]:
    """Minutes of a session."""
    return {"top": visitor.engaged_s, "bottom": visitor.sessions, "items": visitor.sessions}
