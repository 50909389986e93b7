"""What customers write, what about, and what the company does with it (M55 to M60)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np
from scipy.special import ndtr

from features.advocates import PUBLIC_SOURCES
from features.catalogue import Example, Row, items, metric
from features.contract import DAY_US
from features.discoveries import discoveries
from features.kinds import Custom, Estimate, Floats, Mean, Median, Parts, Proportion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from features.asof import Frame
    from features.intervals import Interval
    from features.moment import Moment

HALF_LIFE_DAYS = 60
PRIOR_TEXTS = 3.0
"""A customer's tone is drawn to the company's as if so many texts of that tone had been there."""
PROMISED_DAYS = 7
"""Feedback is to be acted on within so many days."""
PRIOR_REVIEWS = 10.0
STARS = 5.0
FALSE_SHARE = 0.05


def tones(moment: Moment, days: int) -> Frame:
    """Texts of customers with a tone in the window: `customer_id`, `polarity` (hundredths), own time."""
    parts = []
    for table in ("surveys", "feedback", "social_posts"):
        if moment.has(table):
            rows = moment.rows(table, days).filter(~nw.col("polarity").is_null(), ~nw.col("customer_id").is_null())
            parts.append(rows.select("customer_id", "own_us", nw.col("polarity").cast(nw.Int64)))
    return nw.concat([part.collect("polars").lazy() for part in parts])


@items("surveys|feedback|social_posts")
def writers(moment: Moment, days: int | None) -> Frame:
    """External customers who wrote in the window: survey answers, feedback, posts."""
    assert days is not None
    age = (moment.as_of_us - nw.col("own_us")).cast(nw.Float64) / DAY_US
    weight = ((age * (-float(np.log(2)) / HALF_LIFE_DAYS)).exp() * 1e6).round().cast(nw.Int64)
    rows = tones(moment, days).with_columns(weight=weight)
    found = rows.with_columns(moved=nw.col("weight") * nw.col("polarity")).group_by("customer_id")
    sums = found.agg(nw.col("weight").sum(), nw.col("moved").sum())
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
    "M55", "Customer sentiment", items=writers, kind=Mean(1.0, (-1, 1)), days=365, unit="polarity", better="higher",
    published=False, source="Our definition: exponentially weighted tone, shrunk towards the company's",
    formula="mean over customers of (sum s w + 3 m) / (sum w + 3); s is the tone of a text in -1 to 1, w halves "
    "every 60 days, m is the weighted mean of all texts",
    example=Example("Tones 1, 1, 0, -1 and 0.5, a text each: mean 0.3", _wrote(100, 100, 0, -100, 50), 0.3),
)  # fmt: skip
def customer_sentiment(customer: Row) -> Mapping[str, nw.Expr]:
    """The tone of what a customer writes, recent texts first."""
    return {"value": customer.tone}


@items("feedback", "feedback.topic")
def topics(moment: Moment, days: int | None) -> Frame:
    """Feedback on a known topic of the last two weeks, by external customers and by others."""
    assert days is not None
    rows = moment.rows("feedback", days).filter(~nw.col("topic").is_null())
    kept = rows.select("customer_id", "own_us", "topic", unit=nw.col("feedback_id")).collect("polars").lazy()
    is_new = (nw.col("own_us") >= moment.before(days / 2)).cast(nw.Int64)
    return kept.with_columns(code=nw.col("topic").rank("dense").cast(nw.Int64), is_new=is_new)


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
    if not len(parts["topic"]):
        return Estimate(None, 0)
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
    kind=Custom(("topic", "is_new"), changed_topics, _no_ends),
    source="Monroe, Colaresi & Quinn 2008, Political Analysis 16(4); Benjamini & Hochberg 1995, JRSS B 57:289-300",
    formula="topics whose log-odds (Dirichlet prior) changed from the week before, at a false discovery rate of 5 %",
    example=Example("Price from 5 to 40 of about 60 a week, support from 50 to 12, speed as before: 2",
                    _talk(price=(5, 40), support=(50, 12), speed=(9, 9)), 2.0),
)  # fmt: skip
def discussion_trends(text: Row) -> Mapping[str, nw.Expr]:
    """Topics that are talked of more, or less, than a week ago."""
    return {"topic": text.code, "is_new": text.is_new}


@metric(
    "M57", "Sentiment forecast", unit="polarity", better="higher", unavailable="no_model",
    needs=("feedback|social_posts",), source="A forecast is served only where it beats persistence",
    formula="expected customer sentiment 28 days on, with an 80 % interval",
    example=Example("No value until a model that beats persistence is there", {}, None, "not_applicable"),
)  # fmt: skip
def sentiment_forecast(customer: Row) -> Mapping[str, nw.Expr]:
    """Where the tone of customers is heading."""
    return {}


@metric(
    "M58", "Feedback sources covered", unit="percent", better="higher", unavailable="no_input",
    source="Our definition: registered sources that arrive in time; the tables do not hold the register",
    published=False, formula="100 registered sources with feedback in time / registered sources",
    example=Example("No value: the register of sources is in the project file, not in the tables", {}, None,
                    "not_applicable"),
)  # fmt: skip
def source_coverage(company: Row) -> Mapping[str, nw.Expr]:
    """Share of the registered sources of feedback that arrive in time."""
    return {}


@items("feedback", "feedback.acted_on_at")
def due_feedback(moment: Moment, days: int | None) -> Frame:
    """Feedback older than 7 days, by external customers and by others."""
    assert days is not None
    rows = moment.rows("feedback", days + PROMISED_DAYS).filter(nw.col("own_us") < moment.before(PROMISED_DAYS))
    lag = (nw.col("acted_on_us") - nw.col("own_us")).cast(nw.Float64) / DAY_US
    found = rows.select("customer_id", unit=nw.col("feedback_id"), lag=lag)
    return found.with_columns(in_time=(nw.col("lag") <= PROMISED_DAYS).fill_null(False).cast(nw.Int64))


def _acted(*after: float | None) -> dict[str, list[dict[str, object]]]:
    return {
        "feedback": [
            {"source": "own_site", "occurred_at": -50, "acted_on_at": None if lag is None else -50 + lag}
            for lag in after
        ]
    }


@metric(
    "M59", "Closed loop rate", items=due_feedback, kind=Proportion(), days=90, unit="percent", better="higher",
    source="Closed loop, Bain: feedback acted on within the time promised",
    formula="100 acted on within 7 days / feedback from 97 to 7 days ago",
    example=Example("Acted on after 1, 7, 8 days, twice not at all: 40", _acted(1, 7, 8, None, None), 40.0),
)  # fmt: skip
def closed_loop_rate(text: Row) -> Mapping[str, nw.Expr]:
    """Share of the feedback that was acted on in time."""
    return {"hit": text.in_time}


@metric(
    "M59", "Days to act", items=due_feedback, kind=Median(), days=90, unit="days", better="lower",
    source="Median of the time to act, of what was acted on",
    formula="median of days from feedback to action, of feedback from 97 to 7 days ago that was acted on",
    example=Example("1, 3, 4, 8 and 20 days, once not at all: 4", _acted(1, 3, 4, 8, 20, None), 4.0),
)  # fmt: skip
def days_to_act(text: Row) -> Mapping[str, nw.Expr]:
    """How long it takes to act on feedback."""
    return {"value": text.lag}


@items("feedback", "feedback.rating", "feedback.rating_max")
def reviews(moment: Moment, days: int | None) -> Frame:
    """Reviews with a rating on public sources, by external customers and by others."""
    rows = moment.rows("feedback", days).filter(
        nw.col("source").is_in(PUBLIC_SOURCES), ~nw.col("rating").is_null(), nw.col("rating_max") > 1
    )
    most = nw.col("rating_max").cast(nw.Float64)
    stars = 1 + (STARS - 1) * (nw.col("rating").cast(nw.Float64) - 1) / (most - 1)
    found = rows.select("customer_id", "source", unit=nw.col("feedback_id"), stars=stars)
    return found.collect("polars").lazy().with_columns(code=nw.col("source").rank("dense").cast(nw.Int64))


def bayesian_rating(parts: Parts) -> Estimate:
    """Mean over sources, by reviews, of (10 m + sum r) / (10 + n); m is the mean of all reviews."""
    stars = parts["stars"]
    if not len(stars):
        return Estimate(None, 0)
    centre, weighed = float(stars.mean()), 0.0
    for code in np.unique(parts["source"]):
        of_source = stars[parts["source"] == code]
        n = len(of_source)
        weighed += n * (PRIOR_REVIEWS * centre + float(of_source.sum())) / (PRIOR_REVIEWS + n)
    return Estimate(weighed / len(stars), len(stars), variance=float(stars.var()))


def _rating_ends(parts: Parts) -> Interval:
    return Mean(1.0, (1, STARS)).ends({"value": parts["stars"]})


@metric(
    "M60", "Review rating", items=reviews, days=365, unit="stars", better="higher",
    kind=Custom(("stars", "source"), bayesian_rating, _rating_ends, "student_t"),
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
