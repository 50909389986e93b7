"""Metrics of surveys: NPS, response, satisfaction (CSAT) and effort (CES) (M01 to M04)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.facts.surveys import DETRACTOR, PROMOTER
from vouch.features.metrics.catalogue import Absent, Example, Row, items, metric
from vouch.features.metrics.context import collected
from vouch.features.metrics.estimators import ANY, Mean, Proportion, Trinomial
from vouch.features.metrics.examples import answers
from vouch.features.metrics.populations.surveys import (
    answers_nps,
    asked,
    latest_answers,
    on_main_scale,
    survey_invitations,
)
from vouch.features.metrics.splits import RELATIONAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

MATURE_DAYS = 7
"""An invitation counts in the response rate once it is older than this."""
TOP = {(1, 3): 3, (1, 4): 4, (1, 5): 4, (1, 6): 5, (1, 7): 6, (0, 10): 8, (1, 10): 8}
"""Lowest score that counts as satisfied, by scale; no other scale is read."""


@items("surveys", is_sample=True)
def relational_nps(context: MetricContext, days: int | None) -> Frame:
    """External customers asked the NPS question (0 to 10) about the company as a whole; latest answer of each."""
    assert days is not None
    rows = asked(context, days, "nps").filter(nw.col("is_relational"))
    fits = answers_nps() & ~nw.col("answered_us").is_null()
    return latest_answers(rows.with_columns(score=nw.when(fits).then(nw.col("score"))))


@metric(
    "M01", "Net promoter score", items=relational_nps, kind=Trinomial(), days=90, unit="points", better="higher",
    source="Reichheld 2003, Harvard Business Review 81(12); interval: Rocks 2016, J. Mod. Appl. Stat. Methods 15(1)",
    formula="100 (promoters - detractors) / answers; promoters 9 and 10, detractors 0 to 6, whole "
    "numbers on a scale of 0 to 10",
    version="2",
    example=Example("18 promoters, 11 passives, 2 detractors give 51.613",
                    {"surveys": answers("nps", [10] * 18 + [7] * 11 + [3] * 2, 0, 10)}, 51.6129),
)  # fmt: skip
def nps(answer: Row) -> Mapping[str, nw.Expr]:
    """Share of customers who would recommend the company less share of those who would not, in points."""
    return {"up": answer.score >= PROMOTER, "down": answer.score <= DETRACTOR}


@items("surveys.invited_at")
def mature_invitations(context: MetricContext, days: int | None) -> Frame:
    """Survey invitations to external customers that are older than 7 days, reminders taken for part of the first."""
    assert days is not None
    since, until = context.before(days + MATURE_DAYS), context.before(MATURE_DAYS)
    invited = context.keep(survey_invitations).filter(nw.col("is_invited") == 1)
    return invited.filter(nw.col("first_us") >= since, nw.col("first_us") < until)


@metric(
    "M02", "Response rate", items=mature_invitations, kind=Proportion(), days=90, reaches=90 + MATURE_DAYS,
    unit="percent", better="higher", source="AAPOR Standard Definitions: answered over delivered",
    formula="100 answered in full / delivered, of invitations from 97 to 7 days before; in full is each item that "
    "was asked",
    version="2",
    example=Example("3 of 6 invitations answered (one dismissed, one partial, one ignored) give 50",
                    {"surveys": [*answers("nps", [9, 8, 2], 0, 10),
                                 *({"instrument": "nps", "scale_min": 0, "scale_max": 10, "status": status,
                                    "invited_at": -10} for status in ("dismissed", "partial", "delivered"))]}, 50.0),
)  # fmt: skip
def response_rate(invitation: Row) -> Mapping[str, nw.Expr]:
    """Share of survey invitations that were answered in full."""
    return {"hit": invitation.is_answered}


@metric(
    "M02", "Dismissed rate", items=mature_invitations, kind=Proportion(), days=90, reaches=90 + MATURE_DAYS,
    unit="percent", better="lower", source="AAPOR Standard Definitions: refusals over delivered",
    formula="100 dismissed / delivered, of invitations from 97 to 7 days before; dismissed is none answered, and one "
    "item waved away",
    version="2",
    example=Example("1 of 5 invitations dismissed gives 20",
                    {"surveys": [*answers("nps", [9, 8, 2, 7], 0, 10),
                                 {"instrument": "nps", "scale_min": 0, "scale_max": 10, "status": "dismissed",
                                  "invited_at": -10}]}, 20.0),
)  # fmt: skip
def dismissed_rate(invitation: Row) -> Mapping[str, nw.Expr]:
    """Share of survey invitations that were waved away; they are in no score's denominator."""
    return {"hit": invitation.is_dismissed}


@items("surveys.verbatim")
def answered_surveys(context: MetricContext, days: int | None) -> Frame:
    """Surveys answered in full by external customers, one per customer, instrument and time."""
    assert days is not None
    answered = context.keep(survey_invitations).filter(nw.col("is_answered") == 1)
    return answered.filter(nw.col("answered_us") >= context.before(days))


@metric(
    "M02", "Verbatim rate", items=answered_surveys, kind=Proportion(), days=90, unit="percent", better="higher",
    published=False, source="Our definition: no public one exists",
    formula="100 answers with a written text / answers",
    version="2",
    example=Example("2 of 5 answers with a text give 40",
                    {"surveys": [*answers("nps", [9, 3], 0, 10, verbatim="because"),
                                 *answers("nps", [9, 8, 7], 0, 10)]}, 40.0),
)  # fmt: skip
def verbatim_rate(answer: Row) -> Mapping[str, nw.Expr]:
    """Share of answered surveys that say something in words."""
    return {"hit": answer.has_text}


@items("surveys.touchpoint", absent=("`not_applicable` (`unsupported_scale`): no answer is on a scale with a top",))
def contact_csat(context: MetricContext, days: int | None) -> Frame | Absent:
    """Satisfaction surveys of external customers about one contact, on the scale that most answers have."""
    assert days is not None
    rows = asked(context, days, "csat").filter(~nw.col("is_relational"))
    top: nw.Expr = nw.lit(None, nw.Float64)
    for (low, high), least in TOP.items():
        top = nw.when((nw.col("low") == low) & (nw.col("high") == high)).then(nw.lit(float(least))).otherwise(top)
    rows = rows.with_columns(top=top)
    given = rows.filter(~nw.col("answered_us").is_null()).group_by("low", "high", "top").agg(nw.len().alias("answers"))
    scales = collected(given).sort_by([("low", "ascending"), ("high", "ascending")]).to_pylist()
    if scales and all(scale["top"] is None for scale in scales):
        listed = ", ".join(f"{scale['answers']} on {scale['low']:g} to {scale['high']:g}" for scale in scales)
        return Absent("not_applicable", f"unsupported_scale: {listed}")
    rows = rows.with_columns(answered_us=nw.when(~nw.col("top").is_null()).then(nw.col("answered_us")))
    return on_main_scale(rows).with_columns(unit=nw.col("response_id"))


@metric(
    "M03", "Customer satisfaction", items=contact_csat, kind=Proportion(), days=30, unit="percent", better="higher",
    source="Top-two-box share; thresholds of scales other than 1 to 5 are ours",
    formula="100 satisfied / answers; satisfied is 3 of 3, 4 of 4, 4 and 5 of 5, 5 and 6 of 6, 6 and 7 of 7, 8 to 10 "
    "of 0 to 10 and of 1 to 10",
    version="2",
    example=Example("Scores 5, 4, 4, 3, 1 give 60",
                    {"surveys": answers("csat", [5, 4, 4, 3, 1], 1, 5, "support")}, 60.0),
)  # fmt: skip
def csat(answer: Row) -> Mapping[str, nw.Expr]:
    """Share of answers after a contact that are satisfied."""
    return {"hit": answer.score >= answer.top}


@metric(
    "M03", "Mean satisfaction", items=contact_csat, kind=Mean(100.0, limits=(0, 100)), days=30, unit="percent",
    better="higher", source="Mean of the score as a share of its scale",
    formula="100 mean((score - lowest) / (highest - lowest))",
    version="2",
    example=Example("Scores 5, 4, 4, 3, 1 of 5 give 60",
                    {"surveys": answers("csat", [5, 4, 4, 3, 1], 1, 5, "support")}, 60.0),
)  # fmt: skip
def csat_mean(answer: Row) -> Mapping[str, nw.Expr]:
    """Mean satisfaction after a contact, in percent of the scale."""
    return {"value": (answer.score - answer.low) / (answer.high - answer.low)}


@items("surveys")
def effort(context: MetricContext, days: int | None) -> Frame:
    """Answers of external customers to how easy it was, on the scale that most have; 1 to 5 effort is turned round."""
    assert days is not None
    rows = asked(context, days, "ces", "ces1")
    is_turned = nw.col("instrument") == "ces1"
    turned = nw.when(is_turned).then(nw.col("low") + nw.col("high") - nw.col("score")).otherwise(nw.col("score"))
    rows = on_main_scale(rows.with_columns(score=turned))
    columns = ("unit", "customer_id", "touchpoint", "score", "low", "high")
    each = rows.filter(~nw.col("is_relational")).with_columns(unit=nw.col("response_id")).select(*columns)
    whole = latest_answers(rows.filter(nw.col("is_relational"))).with_columns(touchpoint=nw.lit(RELATIONAL))
    return nw.concat([each, whole.select(*columns)])


SEVEN = [1] * 80 + [2] * 210 + [3] * 140 + [4] * 110 + [5] * 160 + [6] * 180 + [7] * 120


def _from_top(answer: Row, steps: int) -> nw.Expr:
    """Whether the score is among so many of the highest of seven, or as far up another scale."""
    return (answer.score - answer.low) * 6 >= (7 - steps) * (answer.high - answer.low)


@metric(
    "M04", "Customer effort: easy", items=effort, kind=Proportion(), days=90, unit="percent", better="higher",
    source="Customer Effort Score 2.0, CEB 2013: share that agrees that it was made easy",
    formula="100 (5, 6, 7) / answers on 1 to 7; on 1 to 5 the scores 4 and 5, with effort turned round",
    example=Example("1000 answers, 460 of them 5, 6 or 7, give 46",
                    {"surveys": answers("ces", SEVEN, 1, 7, "support")}, 46.0),
)  # fmt: skip
def ces_easy(answer: Row) -> Mapping[str, nw.Expr]:
    """Share of answers that say that it was easy."""
    return {"hit": _from_top(answer, 3)}


@metric(
    "M04", "Customer effort: mean", items=effort, kind=Mean(limits=ANY), days=90, unit="score", better="higher",
    source="Customer Effort Score 2.0, CEB 2013: mean of the agreement",
    formula="mean score on the scale that most answers have, usually 1 to 7; effort turned round",
    example=Example("1000 answers on 1 to 7 give 4.08",
                    {"surveys": answers("ces", SEVEN, 1, 7, "support")}, 4.08),
)  # fmt: skip
def ces_mean(answer: Row) -> Mapping[str, nw.Expr]:
    """Mean agreement that it was easy."""
    return {"value": answer.score, "low": answer.low, "high": answer.high}


@metric(
    "M04", "Customer effort: net easy", items=effort, kind=Trinomial(), days=90, unit="points", better="higher",
    source="Net easy score, as British Telecom introduced it: share of 6 and 7 less share of 1 to 3",
    formula="100 ((6, 7) - (1, 2, 3)) / answers on 1 to 7",
    example=Example("1000 answers, 300 of 6 or 7 and 430 of 1 to 3, give -13",
                    {"surveys": answers("ces", SEVEN, 1, 7, "support")}, -13.0),
)  # fmt: skip
def ces_net_easy(answer: Row) -> Mapping[str, nw.Expr]:
    """Share of answers that say very easy less share of those that say hard."""
    is_hard = (answer.score - answer.low) * 6 <= 2 * (answer.high - answer.low)
    return {"up": _from_top(answer, 2), "down": is_hard}
