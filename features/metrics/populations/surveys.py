"""Populations of survey metrics: what was asked and answered, the latest answer, one scale at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.facts.surveys import is_answered, is_relational

if TYPE_CHECKING:
    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

SURVEY_DAYS = 400
"""How far back answers are read; no metric looks further."""


def surveys(context: MetricContext) -> Frame:
    """Survey rows of the last 400 days, with `answered_us` (null unless answered in full) and `is_relational`."""
    since = context.before(SURVEY_DAYS)
    when_us = nw.coalesce("responded_us", "own_us")
    rows = context.rows("surveys").filter((nw.col("own_us") >= since) | (when_us >= since))
    return rows.select(
        "response_id", "customer_id", "instrument", "status", "own_us", "invited_us", "language", "touchpoint",
        item=nw.col("item").fill_null("").str.to_lowercase(),
        score=nw.col("score").cast(nw.Float64),
        low=nw.col("scale_min").cast(nw.Float64),
        high=nw.col("scale_max").cast(nw.Float64),
        answered_us=nw.when(is_answered(nw.col("status"), nw.col("score"))).then(when_us),
        is_relational=is_relational(nw.col("touchpoint")),
        has_text=(nw.col("verbatim").str.len_chars() > 0).fill_null(False),
    )  # fmt: skip


def survey_invitations(context: MetricContext) -> Frame:
    """Invitations, one per customer, instrument and instant (`first_us`); a reminder is part of the first one.

    A reminder asks the same customer the same item again, with no answer between. `is_answered`: all items that were
    asked are answered; `is_dismissed`: none is, and one was waved away. `is_invited` is 0 where an answer came without.
    """
    keys = ("customer_id", "instrument", "touchpoint", "item")
    order = ["own_us", "response_id"]
    rows = context.keep(surveys).with_columns(nw.col("touchpoint").fill_null(""))
    rows = rows.with_columns(told_us=nw.col("answered_us").cum_max().over(*keys, order_by=order))
    rows = rows.with_columns(
        before_us=nw.col("own_us").shift(1).over(*keys, order_by=order),
        told_us=nw.col("told_us").shift(1).over(*keys, order_by=order),
    )
    is_between = (nw.col("told_us") >= nw.col("before_us")) & (nw.col("told_us") <= nw.col("own_us"))
    begins = nw.col("before_us").is_null() | is_between.fill_null(False)
    rows = rows.with_columns(begins=begins.cast(nw.Int64))
    rows = rows.with_columns(turn=nw.col("begins").cum_sum().over(*keys, order_by=order))
    rows = rows.with_columns(first_us=nw.col("own_us").min().over(*keys, "turn"))
    of_item = rows.group_by("customer_id", "instrument", "first_us", "touchpoint", "item").agg(
        nw.col("answered_us").max(),
        (~nw.col("answered_us").is_null()).cast(nw.Int64).max().alias("is_answered"),
        (nw.col("status") == "dismissed").cast(nw.Int64).max().alias("is_dismissed"),
        nw.col("has_text").cast(nw.Int64).max(),
        (~nw.col("invited_us").is_null()).cast(nw.Int64).max().alias("is_invited"),
    )
    whole = of_item.group_by("customer_id", "instrument", "first_us").agg(
        nw.col("answered_us", "is_dismissed", "has_text", "is_invited", "touchpoint").max(),
        nw.len().cast(nw.Int64).alias("asked"),
        nw.col("is_answered").sum().alias("answered"),
    )
    unit = (nw.col(key).cast(nw.String) for key in ("customer_id", "instrument", "first_us"))
    return whole.with_columns(
        unit=nw.concat_str(*unit, separator="\n"),
        is_answered=(nw.col("answered") == nw.col("asked")).cast(nw.Int64),
        is_dismissed=((nw.col("answered") == 0) & (nw.col("is_dismissed") == 1)).cast(nw.Int64),
    )


def answers_nps() -> nw.Expr:
    """Whether a score answers the NPS question: a whole number from 0 to 10 on a scale of 0 to 10."""
    score = nw.col("score")
    return (nw.col("low") == 0) & (nw.col("high") == 10) & ((score - score.round()).abs() < 1e-9)


def asked(context: MetricContext, days: float, *instruments: str) -> Frame:
    """Survey rows of some instruments that were asked or answered in the window; `answered_us` only inside it."""
    since = context.before(days)
    rows = context.keep(surveys).filter(nw.col("instrument").is_in(instruments))
    rows = rows.with_columns(answered_us=nw.when(nw.col("answered_us") >= since).then(nw.col("answered_us")))
    return rows.filter((nw.col("own_us") >= since) | ~nw.col("answered_us").is_null())


def latest_answers(rows: Frame, *alike: str) -> Frame:
    """One row per customer (and `alike`): the latest `score` that is not null, null where there is none.

    Of answers at one time the one with the greatest id counts. `unit` is the customer and what is alike.
    """
    keys = ("customer_id", *alike)
    given = rows.with_columns(given_us=nw.when(~nw.col("score").is_null()).then(nw.col("answered_us")))
    number = nw.col("given_us").cum_count(reverse=True).over(*keys, order_by=["given_us", "response_id"])
    given = given.with_columns(number=number.cast(nw.Int64))
    is_it = ~nw.col("given_us").is_null() & (nw.col("number") == 1)
    answers = given.group_by(*keys).agg(
        nw.when(is_it).then(nw.col(name)).max().alias(name) for name in ("score", "low", "high")
    )
    return answers.with_columns(unit=nw.concat_str(*keys, separator="\n"))


def on_main_scale(rows: Frame, *alike: str) -> Frame:
    """Scores of the scale that most answers have, of equally many the longer one; null on any other scale.

    The scale is one for all rows, or one for those that are equal in `alike`.
    """
    count = nw.col("answered_us").count().over(*alike, "low", "high").cast(nw.Float64)
    ranked = rows.with_columns(scale=count * 1e6 + nw.col("high") * 1e3 + nw.col("low"))
    most = nw.col("scale").max().over(*alike) if alike else nw.col("scale").max()
    is_main = (nw.col("scale") == most) & ~nw.col("answered_us").is_null()
    return ranked.with_columns(score=nw.when(is_main).then(nw.col("score")))


def whole_mean(value: nw.Expr, parts: float) -> nw.Expr:
    """Mean of a column of whole numbers, over `parts`: the same in any order of rows; null where there are none."""
    count = value.count().cast(nw.Float64)
    return nw.when(count > 0).then(value.sum().cast(nw.Float64) / (count * parts))
