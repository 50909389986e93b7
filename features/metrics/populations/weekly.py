"""Weekly series that are forecast: the tone of what is written, and the net promoter score, week by week."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.contract.tables import DAY_US
from vouch.features.facts.surveys import DETRACTOR, PROMOTER
from vouch.features.metrics.catalogue import items
from vouch.features.metrics.populations.surveys import SURVEY_DAYS, answers_nps, surveys

if TYPE_CHECKING:
    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

TONE_DAYS = 728
"""How far a forecast of tone looks back."""
NPS_DAYS = SURVEY_DAYS // 7 * 7
"""How far a forecast of the net promoter score looks back."""


def tones(context: MetricContext, days: int) -> Frame:
    """Texts of customers with a tone in the window: `customer_id`, `polarity` (hundredths), when it was said."""
    parts = []
    for table in ("surveys", "feedback", "social_posts"):
        if context.has(table):
            rows = context.rows(table).filter(~nw.col("polarity").is_null(), ~nw.col("customer_id").is_null())
            expressed_us = nw.coalesce("responded_us", "own_us") if table == "surveys" else nw.col("own_us")
            rows = rows.select("customer_id", nw.col("polarity").cast(nw.Int64), own_us=expressed_us)
            parts.append(rows.filter(nw.col("own_us") >= context.before(days)))
    return nw.concat([part.collect("polars").lazy() for part in parts])


def _by_week(rows: Frame, days: int) -> Frame:
    """Every week of a window (0 is the newest) with the sum of `amount` of its rows, and how many there are."""
    weeks = rows.group_by("week").agg(nw.col("amount").sum(), nw.len().alias("texts"))
    every = nw.from_dict({"week": list(range(days // 7))}, schema={"week": nw.Int64()}, backend="polars").lazy()
    whole = every.join(weeks, on="week", how="left").with_columns(nw.col("texts").fill_null(0))
    return whole.with_columns(unit=nw.col("week").cast(nw.String))


def _mean(scale: float) -> nw.Expr:
    return nw.when(nw.col("texts") > 0).then(nw.col("amount").cast(nw.Float64) / (nw.col("texts") * scale))


def _week(context: MetricContext, when_us: nw.Expr) -> nw.Expr:
    return (context.as_of_us - 1 - when_us) // (7 * DAY_US)


@items("surveys|feedback|social_posts")
def weekly_tones(context: MetricContext, days: int | None) -> Frame:
    """Weeks before the instant, by the tone of what external customers wrote in each."""
    assert days is not None
    rows = tones(context, days).with_columns(week=_week(context, nw.col("own_us")), amount=nw.col("polarity"))
    return _by_week(rows, days).with_columns(tone=_mean(100.0))


@items("surveys")
def weekly_nps(context: MetricContext, days: int | None) -> Frame:
    """Weeks before the instant, by the net promoter score of the answers about the company as a whole in each."""
    assert days is not None
    is_counted = (nw.col("instrument") == "nps") & nw.col("is_relational") & answers_nps()
    rows = context.keep(surveys).filter(is_counted, nw.col("answered_us") >= context.before(days))
    detracts = nw.when(nw.col("score") <= DETRACTOR).then(nw.lit(-1, nw.Int64)).otherwise(nw.lit(0, nw.Int64))
    vote = nw.when(nw.col("score") >= PROMOTER).then(nw.lit(1, nw.Int64)).otherwise(detracts)
    rows = rows.select(week=_week(context, nw.col("answered_us")), amount=vote)
    return _by_week(rows, days).with_columns(nps=_mean(0.01))
