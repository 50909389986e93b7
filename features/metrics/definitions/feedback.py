"""Metrics of feedback: volume, topics, tone, and what the company does with it (M55 to M60)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np
from scipy.special import ndtr

from vouch.features.contract.tables import DAY_US
from vouch.features.facts.voices import PUBLIC_SOURCES
from vouch.features.metrics.catalogue import Absent, Example, Row, items, metric
from vouch.features.metrics.estimators import (
    NOT_BELOW_0,
    Custom,
    Estimate,
    Floats,
    Mean,
    Median,
    Parts,
    Proportion,
    Quotient,
)
from vouch.features.metrics.estimators.foreseen import foreseen
from vouch.features.metrics.populations.weekly import NPS_DAYS, TONE_DAYS, tones, weekly_nps, weekly_tones
from vouch.features.statistics.false_discovery import discoveries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext
    from vouch.features.statistics.intervals import Interval

    _Given = Callable[[Row], Mapping[str, nw.Expr]]

HALF_LIFE_DAYS = 60
PRIOR_TEXTS = 3.0
"""A customer's tone is drawn to the company's as if so many texts of that tone had been there."""
PROMISED_DAYS = 7
"""Feedback is to be acted on within so many days."""
PRIOR_REVIEWS = 10.0
STARS = 5.0
FALSE_SHARE = 0.05
SOON_WEEKS, LATER_WEEKS = 4, 12
"""How far a forecast looks ahead."""


@items("surveys|feedback|social_posts", counts="customers")
def writers(context: MetricContext, days: int | None) -> Frame:
    """External customers who wrote in the window: survey answers, feedback, posts."""
    assert days is not None
    age = (context.as_of_us - nw.col("own_us")).cast(nw.Float64) / DAY_US
    weight = ((age * (-float(np.log(2)) / HALF_LIFE_DAYS)).exp() * 1e6).round().cast(nw.Int64)
    rows = tones(context, days).with_columns(weight=weight)
    people = rows.with_columns(moved=nw.col("weight") * nw.col("polarity")).group_by("customer_id")
    sums = people.agg(nw.col("weight").sum(), nw.col("moved").sum(), nw.len().alias("texts"))
    centre = nw.col("moved").sum().cast(nw.Float64) / nw.col("weight").sum().cast(nw.Float64) / 100
    weights = nw.col("weight").cast(nw.Float64) / 1e6
    summed = nw.col("moved").cast(nw.Float64) / 1e8
    tone = (summed + PRIOR_TEXTS * centre) / (weights + PRIOR_TEXTS)
    return sums.with_columns(tone=tone, unit=nw.col("customer_id"))


def _wrote(*polarity: int) -> dict[str, list[dict[str, object]]]:
    return {
        "feedback": [
            {"customer_id": f"c{number}", "source": "own_site", "occurred_at": 0 - 1e-6, "polarity": tone}
            for number, tone in enumerate(polarity)
        ]
    }


@metric(
    "M55", "Customer sentiment", items=writers, kind=Mean(limits=(-1, 1)), days=365, unit="polarity", better="higher",
    published=False, source="Our definition: exponentially weighted tone, shrunk towards the company's",
    formula="mean over customers of (sum s w + 3 m) / (sum w + 3); s is the tone of a text in -1 to 1, w halves "
    "every 60 days, m is the weighted mean of all texts",
    counts="texts",
    version="2",
    example=Example("Tones 1, 1, 0, -1 and 0.5, a text each: mean 0.3", _wrote(100, 100, 0, -100, 50), 0.3),
)  # fmt: skip
def customer_sentiment(customer: Row) -> Mapping[str, nw.Expr]:
    """The tone of what a customer writes, recent texts first."""
    return {"value": customer.tone, "items": customer.texts}


@items("feedback", "feedback.topic")
def topics(context: MetricContext, days: int | None) -> Frame:
    """Feedback on a known topic of the last two weeks, by external customers and by others."""
    assert days is not None
    rows = context.rows("feedback", days).filter(~nw.col("topic").is_null())
    texts = rows.select("customer_id", "own_us", "topic", unit=nw.col("feedback_id")).collect("polars").lazy()
    is_new = (nw.col("own_us") >= context.before(days / 2)).cast(nw.Int64)
    return texts.with_columns(code=nw.col("topic").rank("dense").cast(nw.Int64), is_new=is_new)


def topic_changes(codes: Floats, is_new: Floats) -> tuple[Floats, Floats]:
    """Change of each topic in log-odds, and its two-sided p, this week against the week before.

    The prior of a topic is its share in both weeks, with the weight of ten texts. Source: Monroe, Colaresi & Quinn
    2008, Political Analysis 16(4):372-403, equations 16 and 20 to 22.
    """
    count = int(codes.max()) if len(codes) else 0
    new, old = (np.bincount(codes[is_new == flag].astype(int) - 1, minlength=count).astype(float) for flag in (1, 0))
    prior = 10.0 * (new + old) / max((new + old).sum(), 1)
    sides = [(week + prior, week.sum() + prior.sum() - week - prior) for week in (new, old)]
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.log(sides[0][0] / sides[0][1]) - np.log(sides[1][0] / sides[1][1])
        spread = np.sqrt(1 / sides[0][0] + 1 / sides[1][0])
        p = 2 * ndtr(-np.abs(np.nan_to_num(change / spread)))
    return np.asarray(change), np.asarray(p)


def changed_topics(parts: Parts) -> Estimate:
    """How many topics are talked of more, or less, than the week before."""
    present = np.asarray(np.unique(parts["topic"], return_inverse=True)[1] + 1, dtype=np.float64)
    _, p = topic_changes(present, parts["is_new"])
    return Estimate(float(discoveries(p, FALSE_SHARE)), len(present))


def _no_ends(parts: Parts) -> Interval | None:
    return None


def _talk(**weeks: tuple[int, int]) -> dict[str, list[dict[str, object]]]:
    return {
        "feedback": [
            {"source": "own_site", "occurred_at": at, "topic": topic}
            for topic, (before, now) in weeks.items() for at, times in ((-10, before), (-3, now)) for _ in range(times)
        ]
    }  # fmt: skip


@metric(
    "M56", "Topics on the move", items=topics, days=14, unit="topics", better="neither",
    kind=Custom(("topic", "is_new"), changed_topics, _no_ends, limits=NOT_BELOW_0),
    source="Monroe, Colaresi & Quinn 2008, Political Analysis 16(4); Benjamini & Hochberg 1995, JRSS B 57:289-300",
    formula="topics whose log-odds (Dirichlet prior) changed from the week before, at a false discovery rate of 5 %",
    example=Example("Price from 5 to 40 of about 60 a week, support from 50 to 12, speed as before: 2",
                    _talk(price=(5, 40), support=(50, 12), speed=(9, 9)), 2.0),
)  # fmt: skip
def discussion_trends(text: Row) -> Mapping[str, nw.Expr]:
    """Topics that are talked of more, or less, than a week ago."""
    return {"topic": text.code, "is_new": text.is_new}


def _tones_of_weeks() -> dict[str, list[dict[str, object]]]:
    return {
        "feedback": [
            {"customer_id": f"c{week}", "source": "own_site", "occurred_at": -7 * week - 1, "polarity": 25}
            for week in range(60)
        ]
    }


def _answers_of_weeks() -> dict[str, list[dict[str, object]]]:
    answer = {"instrument": "nps", "scale_min": 0, "scale_max": 10, "status": "answered"}
    return {
        "surveys": [
            {**answer, "customer_id": f"c{week}-{score}", "score": score, "invited_at": -7 * week - 2,
             "responded_at": -7 * week - 1}
            for week in range(50) for score in (10, 9, 8, 3)
        ]
    }  # fmt: skip


def _tone(weeks: int) -> Callable[[_Given], _Given]:
    return metric(
        "M57", "Sentiment forecast" if weeks == SOON_WEEKS else f"Sentiment forecast, {weeks} weeks",
        items=weekly_tones, days=TONE_DAYS, reaches=0, unit="polarity", better="higher",
        kind=foreseen("tone", weeks, (-1, 1)), published=False,
        source="Our definition: mean reversion, served only where it beats persistence out of time",
        formula=f"expected mean tone of the texts of four weeks, {7 * weeks} days on; the level of the last four weeks "
        "drawn to the mean of two years by its own past, or that level where this beats it not; an interval of 80 %",
        counts="texts",
        absent=("`insufficient_history`: too few weeks with answers to judge it by",),
        version="3" if weeks == SOON_WEEKS else "1",
        example=Example("60 weeks of the same tone: the same", _tones_of_weeks(), 0.25),
    )  # fmt: skip


def _nps(weeks: int) -> Callable[[_Given], _Given]:
    return metric(
        "M57", f"NPS forecast, {weeks} weeks", items=weekly_nps, days=NPS_DAYS, reaches=0, unit="points",
        better="higher", kind=foreseen("nps", weeks, (-100, 100)), published=False,
        source="Our definition: mean reversion, served only where it beats persistence out of time",
        formula=f"expected mean of four weeks' net promoter scores, {7 * weeks} days on; the level of the last four "
        "weeks drawn to the mean of 57 weeks by its own past, or that level where this beats it not; an interval of "
        "80 %",
        counts="answers",
        absent=("`insufficient_history`: too few weeks with answers to judge it by",),
        example=Example("50 weeks with 10, 9, 8 and 3: 25", _answers_of_weeks(), 25.0),
    )  # fmt: skip


@_tone(SOON_WEEKS)
def sentiment_forecast(week: Row) -> Mapping[str, nw.Expr]:
    """Where the tone of customers is heading."""
    return {"week": week.week, "tone": week.tone, "items": week.texts}


@_tone(LATER_WEEKS)
def sentiment_forecast_84(week: Row) -> Mapping[str, nw.Expr]:
    """Where the tone of customers is heading, 12 weeks on."""
    return {"week": week.week, "tone": week.tone, "items": week.texts}


@_nps(SOON_WEEKS)
def nps_forecast_28(week: Row) -> Mapping[str, nw.Expr]:
    """Where the willingness to recommend is heading."""
    return {"week": week.week, "nps": week.nps, "items": week.texts}


@_nps(LATER_WEEKS)
def nps_forecast_84(week: Row) -> Mapping[str, nw.Expr]:
    """Where the willingness to recommend is heading, 12 weeks on."""
    return {"week": week.week, "nps": week.nps, "items": week.texts}


@items(
    "feedback", absent=(
        "`not_applicable` (`no_input`): the project file registers no [feedback] sources",
    ),
)  # fmt: skip
def registered_sources(context: MetricContext, days: int | None) -> Frame | Absent:
    """Sources of feedback that the project file registers."""
    registered = context.settings.feedback_sources
    if not registered:
        return Absent("not_applicable", "no_input: the project file registers no [feedback] sources")
    lag = nw.col("ingested_us") - nw.col("own_us")
    rows = context.rows("feedback", days).filter(lag <= PROMISED_DAYS * DAY_US)
    seen = rows.select("source").unique().with_columns(arrived=nw.lit(1, nw.Int64)).collect("polars").lazy()
    made = {"source": sorted(set(registered))}
    every = nw.from_dict(made, schema={"source": nw.String()}, backend="polars").lazy()
    sources = every.join(seen, on="source", how="left").with_columns(nw.col("arrived").fill_null(0))
    return sources.with_columns(unit=nw.col("source"), one=nw.lit(1, nw.Int64))


@metric(
    "M58", "Feedback sources covered", items=registered_sources, kind=Quotient(100.0, limits=(0, 100)), days=30,
    unit="percent",
    better="higher", published=False, source="Our definition: registered sources that arrive in time",
    formula="100 sources with feedback of the last 30 days that was known within 7 days / sources registered in the "
    "project file under [feedback]",
    example=Example("No value where no sources are registered",
                    {"feedback": [{"source": "google", "occurred_at": -9}]}, None, "not_applicable"),
)  # fmt: skip
def source_coverage(source: Row) -> Mapping[str, nw.Expr]:
    """Share of the registered sources of feedback that arrive in time."""
    return {"top": source.arrived, "bottom": source.one, "n": source.one}


@items("feedback", "feedback.acted_on_at")
def due_feedback(context: MetricContext, days: int | None) -> Frame:
    """Feedback older than 7 days, by external customers and by others."""
    assert days is not None
    rows = context.rows("feedback", days + PROMISED_DAYS).filter(nw.col("own_us") < context.before(PROMISED_DAYS))
    lag = (nw.col("acted_on_us") - nw.col("own_us")).cast(nw.Float64) / DAY_US
    due = rows.select("customer_id", unit=nw.col("feedback_id"), lag=lag)
    return due.with_columns(in_time=(nw.col("lag") <= PROMISED_DAYS).fill_null(False).cast(nw.Int64))


def _acted(*after: float | None) -> dict[str, list[dict[str, object]]]:
    return {
        "feedback": [
            {"source": "own_site", "occurred_at": -50, "acted_on_at": None if lag is None else -50 + lag}
            for lag in after
        ]
    }


@metric(
    "M59", "Closed loop rate", items=due_feedback, kind=Proportion(), days=90, reaches=90 + PROMISED_DAYS,
    unit="percent", better="higher",
    source="Closed loop, Bain: feedback acted on within the time promised",
    formula="100 acted on within 7 days / feedback from 97 to 7 days ago",
    example=Example("Acted on after 1, 7, 8 days, twice not at all: 40", _acted(1, 7, 8, None, None), 40.0),
)  # fmt: skip
def closed_loop_rate(text: Row) -> Mapping[str, nw.Expr]:
    """Share of the feedback that was acted on in time."""
    return {"hit": text.in_time}


@metric(
    "M59", "Days to act", items=due_feedback, kind=Median(limits=NOT_BELOW_0), days=90, reaches=90 + PROMISED_DAYS,
    unit="days", better="lower",
    source="Median of the time to act, of what was acted on",
    formula="median of days from feedback to action, of feedback from 97 to 7 days ago that was acted on",
    example=Example("1, 3, 4, 8 and 20 days, once not at all: 4", _acted(1, 3, 4, 8, 20, None), 4.0),
)  # fmt: skip
def days_to_act(text: Row) -> Mapping[str, nw.Expr]:
    """How long it takes to act on feedback."""
    return {"value": text.lag}


@items("feedback", "feedback.rating", "feedback.rating_max")
def reviews(context: MetricContext, days: int | None) -> Frame:
    """Reviews with a rating on public sources, by external customers and by others."""
    rows = context.rows("feedback", days).filter(
        nw.col("source").is_in(PUBLIC_SOURCES), ~nw.col("rating").is_null(), nw.col("rating_max") > 1
    )
    most = nw.col("rating_max").cast(nw.Float64)
    stars = 1 + (STARS - 1) * (nw.col("rating").cast(nw.Float64) - 1) / (most - 1)
    starred = rows.select("customer_id", "source", unit=nw.col("feedback_id"), stars=stars)
    return starred.collect("polars").lazy().with_columns(code=nw.col("source").rank("dense").cast(nw.Int64))


def bayesian_rating(parts: Parts) -> Estimate:
    """Mean over sources, by reviews, of (10 m + sum r) / (10 + n); m is the mean of all reviews."""
    stars = parts["stars"]
    centre, weighed = float(stars.mean()), 0.0
    for code in np.unique(parts["source"]):
        of_source = stars[parts["source"] == code]
        n = len(of_source)
        weighed += n * (PRIOR_REVIEWS * centre + float(of_source.sum())) / (PRIOR_REVIEWS + n)
    return Estimate(weighed / len(stars), len(stars), variance=float(stars.var()))


def _rating_ends(parts: Parts) -> Interval:
    return Mean(limits=(1, STARS)).interval_of({"value": parts["stars"]}, None)


@metric(
    "M60", "Review rating", items=reviews, days=365, unit="stars", better="higher",
    kind=Custom(("stars", "source"), bayesian_rating, _rating_ends, "student_t", limits=(1, STARS)),
    source="Bayesian average, as IMDb and review sites use it; the weight of the prior is ours",
    formula="mean over public sources, by reviews, of (10 m + sum of stars) / (10 + n); m is the mean of all; ratings "
    "on 1 to 5 stars",
    example=Example("Ten of 5 stars at one source, ten of 3 at another: 4",
                    {"feedback": [{"source": s, "occurred_at": -9, "rating": r, "rating_max": 5}
                                  for s, r in (("google", 5), ("trustpilot", 3)) for _ in range(10)]}, 4.0),
)  # fmt: skip
def review_rating(review: Row) -> Mapping[str, nw.Expr]:
    """Stars in public reviews, a source with few of them drawn to the mean."""
    return {"stars": review.stars, "source": review.code}
