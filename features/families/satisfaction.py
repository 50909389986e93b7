"""Satisfaction: what a customer answers in surveys and says in feedback, and whether surveys are answered at all.

Scores are compared as a share of their scale (0 to 1), kept as whole millionths so that sums are exact. NPS, trust
and emotional loyalty are relational (no touchpoint, or `relational`); an `nps` row counts on its scale of 0 to 10 only.
"""

from __future__ import annotations

import narwhals as nw

from vouch.features.facts import surveys as survey
from vouch.features.facts.voices import PUBLIC_SOURCES
from vouch.features.sentiment.polarity import NEGATIVE_FROM
from vouch.features.vectors.declare import (
    Aggregate,
    Rows,
    Vector,
    column,
    count,
    days_since,
    derived,
    feature,
    largest,
    latest,
    mean,
    share,
    ten_thousandths,
)


@column("surveys")
def is_answered(rows: Rows) -> nw.Expr:
    """Whether the survey was answered in full, with a score."""
    return survey.is_answered(rows.status, rows.score)


@column("surveys")
def is_relational(rows: Rows) -> nw.Expr:
    """Whether the survey is about the company as a whole, not about one contact."""
    return survey.is_relational(rows.optional("touchpoint"))


@column("surveys")
def answered_us(rows: Rows) -> nw.Expr:
    """When an answer was given that counts for its instrument; null for all else."""
    counts = (rows.instrument != "nps") | ((rows.scale_min == 0) & (rows.scale_max == 10) & rows.is_relational)
    when = nw.coalesce(rows.optional("responded_us"), rows.own_us)
    return nw.when(rows.is_answered & counts).then(when)


@column("surveys")
def answers_from_last(rows: Rows) -> nw.Expr:
    """1 for the latest answer of a customer to an instrument, 2 for the one before it."""
    return rows.number_from_last(rows.answered_us, "answered_us", "instrument")


@column("surveys")
def scaled_score(rows: Rows) -> nw.Expr:
    """Millionths of the scale; an instrument in which a high score is bad is turned round."""
    low, high = ten_thousandths(rows.scale_min), ten_thousandths(rows.scale_max)
    score = ten_thousandths(rows.score)
    above = nw.when(rows.instrument == "ces1").then(high - score).otherwise(score - low)
    return nw.when(~rows.answered_us.is_null()).then(above * 1_000_000 // (high - low))


def _nps(rows: Rows, from_last: int) -> Aggregate:
    is_it = (rows.instrument == "nps") & ~rows.answered_us.is_null() & (rows.answers_from_last == from_last)
    return largest(rows.score, is_it)


def _scaled(rows: Rows, *instruments: str) -> Aggregate:
    return mean(rows.scaled_score, rows.instrument.is_in(instruments)) / 1_000_000.0


@feature("surveys", unit="score")
def nps_last(rows: Rows) -> Aggregate:
    """Latest answer (0 to 10) to how likely the customer is to recommend."""
    return _nps(rows, 1)


@feature("surveys", unit="points")
def nps_change(rows: Rows) -> Aggregate:
    """Latest answer to how likely the customer is to recommend, less the answer before."""
    return _nps(rows, 1) - _nps(rows, 2)


@derived(unit="flag")
def is_promoter(vector: Vector) -> nw.Expr:
    """Would recommend: the latest answer is 9 or 10."""
    return (vector.nps_last >= survey.PROMOTER).cast(nw.Int64)


@derived(unit="flag")
def is_detractor(vector: Vector) -> nw.Expr:
    """Would not recommend: the latest answer is 6 or less."""
    return (vector.nps_last <= survey.DETRACTOR).cast(nw.Int64)


@feature("surveys", unit="days")
def days_since_nps(rows: Rows) -> Aggregate:
    """Days since the latest answer to how likely the customer is to recommend."""
    return days_since(rows.answered_us, rows.instrument == "nps")


@feature("surveys", unit="share of scale")
def csat_last(rows: Rows) -> Aggregate:
    """Latest answer to how satisfied the customer is, from 0 to 1."""
    is_it = (rows.instrument == "csat") & ~rows.answered_us.is_null() & (rows.answers_from_last == 1)
    return largest(rows.scaled_score, is_it) / 1_000_000.0


@feature("surveys", days=(365,), unit="share of scale")
def csat_mean(rows: Rows) -> Aggregate:
    """Mean answer (0 to 1) to how satisfied the customer is, to surveys in the {days} days before."""
    return _scaled(rows, "csat")


@feature("surveys", days=(365,), unit="share of scale")
def ces_mean(rows: Rows) -> Aggregate:
    """Mean answer (0 to 1) to how easy it was, to surveys in the {days} days before."""
    return _scaled(rows, "ces", "ces1")


@feature("surveys", days=(365,), unit="share of scale")
def trust_mean(rows: Rows) -> Aggregate:
    """Mean answer (0 to 1) to how far the customer trusts the company, to surveys in the {days} days before."""
    return _scaled(rows, "trust")


@feature("surveys", days=(365,), unit="share of scale")
def emotional_loyalty_mean(rows: Rows) -> Aggregate:
    """Mean answer (0 to 1) to how attached the customer feels, to surveys in the {days} days before."""
    return _scaled(rows, "emotional_loyalty")


@feature("surveys", days=(365,), unit="share of scale")
def expectation_gap(rows: Rows) -> Aggregate:
    """What the customer perceives less what was expected (-1 to 1), in surveys in the {days} days before."""
    return _scaled(rows, "perception") - _scaled(rows, "expectation")


@feature("surveys", days=(90, 365), unit="surveys")
def survey_invitations(rows: Rows) -> Aggregate:
    """Survey invitations in the {days} days before."""
    return count()


@feature("surveys", days=(365,), unit="surveys")
def survey_answers(rows: Rows) -> Aggregate:
    """Surveys answered of those in the {days} days before."""
    return count(rows.is_answered)


@feature("surveys", days=(365,), unit="share")
def survey_answered_share(rows: Rows) -> Aggregate:
    """Share of surveys answered of those in the {days} days before."""
    return share(rows.is_answered)


@feature("surveys", days=(365,), unit="share")
def survey_dismissed_share(rows: Rows) -> Aggregate:
    """Share of surveys dismissed of those in the {days} days before."""
    return share(rows.status == "dismissed")


@feature("surveys", unit="days")
def days_since_survey_invitation(rows: Rows) -> Aggregate:
    """Days since the latest survey invitation."""
    return days_since(rows.own_us)


@feature("surveys", unit="days")
def days_since_survey_answer(rows: Rows) -> Aggregate:
    """Days since the latest survey answer."""
    return days_since(rows.answered_us)


@feature("surveys", days=(365,), unit="polarity")
def survey_polarity_mean(rows: Rows) -> Aggregate:
    """Mean tone (-1 to 1) of written answers to surveys in the {days} days before."""
    return mean(rows.polarity) / 100.0


@feature("surveys", unit="polarity")
def survey_polarity_last(rows: Rows) -> Aggregate:
    """Tone (-1 to 1) of the latest written answer to a survey."""
    return latest(rows.polarity, ~rows.polarity.is_null()) / 100.0


@column("feedback")
def scaled_rating(rows: Rows) -> nw.Expr:
    """Millionths of the way from 1 to the largest rating."""
    span = ten_thousandths(rows.rating_max) - 10_000
    return nw.when(span > 0).then((ten_thousandths(rows.rating) - 10_000) * 1_000_000 // span)


@feature("feedback", days=(365,), unit="remarks")
def feedback_remarks(rows: Rows) -> Aggregate:
    """Reviews and remarks in the {days} days before."""
    return count()


@feature("feedback", days=(365,), unit="reviews")
def public_reviews(rows: Rows) -> Aggregate:
    """Reviews on public sites in the {days} days before."""
    return count(rows.source.is_in(PUBLIC_SOURCES))


@feature("feedback", days=(365,), unit="share of scale")
def rating_mean(rows: Rows) -> Aggregate:
    """Mean rating (0 to 1) in the {days} days before."""
    return mean(rows.scaled_rating) / 1_000_000.0


@feature("feedback", unit="share of scale")
def rating_last(rows: Rows) -> Aggregate:
    """Latest rating, from 0 to 1."""
    return latest(rows.scaled_rating, ~rows.scaled_rating.is_null()) / 1_000_000.0


@feature("feedback", days=(365,), unit="polarity")
def feedback_polarity_mean(rows: Rows) -> Aggregate:
    """Mean tone (-1 to 1) of reviews and remarks in the {days} days before."""
    return mean(rows.polarity) / 100.0


@feature("feedback", unit="polarity")
def feedback_polarity_last(rows: Rows) -> Aggregate:
    """Tone (-1 to 1) of the latest review or remark."""
    return latest(rows.polarity, ~rows.polarity.is_null()) / 100.0


@feature("feedback", days=(365,), unit="share")
def feedback_negative_share(rows: Rows) -> Aggregate:
    """Share of negative reviews and remarks in the {days} days before."""
    return share(rows.polarity <= NEGATIVE_FROM)


@feature("feedback", days=(90,), unit="remarks")
def feedback_unanswered(rows: Rows) -> Aggregate:
    """Reviews and remarks in the {days} days before on which nobody has acted."""
    return count(rows.acted_on_us.is_null() & rows.optional("closed_us").is_null())


@feature("feedback", unit="days")
def days_since_feedback(rows: Rows) -> Aggregate:
    """Days since the latest review or remark."""
    return days_since(rows.own_us)
