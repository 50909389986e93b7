"""Metrics of perception: the company against its competitors, and against what was expected (M10 and M11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np

from vouch.features.facts.surveys import DETRACTOR, PROMOTER
from vouch.features.metrics.catalogue import Absent, Example, Row, items, metric
from vouch.features.metrics.definitions.indices import in_two_best
from vouch.features.metrics.definitions.satisfaction import relational_nps
from vouch.features.metrics.estimators import Custom, Estimate, Mean, Parts, Proportion, Trinomial
from vouch.features.metrics.examples import answers
from vouch.features.metrics.populations.surveys import asked, latest_answers, on_main_scale, whole_mean
from vouch.features.statistics.intervals import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext


@items("surveys", "surveys.item", is_sample=True)
def perceptions(context: MetricContext, days: int | None) -> Frame:
    """External customers asked how they see the company, latest answer of each to each item, on one scale."""
    assert days is not None
    return in_two_best(latest_answers(on_main_scale(asked(context, days, "perception"), "item"), "item"))


def _perception(item: str, answer: Row) -> dict[str, nw.Expr]:
    is_it = answer.item == item
    return {"hit": nw.when(is_it).then(answer.is_top), "base": is_it.cast(nw.Int64)}


@metric(
    "M10", "Repurchase intent", items=perceptions, kind=Proportion(), days=90, unit="percent", better="higher",
    source="Top-two-box share, textbook",
    formula="100 answers among the two best / answers to the item repurchase_intent of the instrument perception",
    example=Example("Scores 5, 5, 4, 3, 1 give 60",
                    {"surveys": answers("perception", [5, 5, 4, 3, 1], 1, 5, item="repurchase_intent")}, 60.0),
)  # fmt: skip
def repurchase_intent(answer: Row) -> Mapping[str, nw.Expr]:
    """Share of customers who mean to buy again."""
    return _perception("repurchase_intent", answer)


@metric(
    "M10", "Better value than competitors", items=perceptions, kind=Proportion(), days=90, unit="percent",
    better="higher", source="Top-two-box share, textbook",
    formula="100 answers among the two best / answers to the item better_value of the instrument perception",
    example=Example("Scores 5, 4, 2, 3, 1 give 40",
                    {"surveys": answers("perception", [5, 4, 2, 3, 1], 1, 5, item="better_value")}, 40.0),
)  # fmt: skip
def better_value(answer: Row) -> Mapping[str, nw.Expr]:
    """Share of customers who get better value here than from competitors."""
    return _perception("better_value", answer)


@items(
    *relational_nps.needs, "competitor_metrics", absent=(
        "`empty`: fewer than 3 competitors have a published NPS",
    ),
)  # fmt: skip
def nps_and_rivals(context: MetricContext, days: int | None) -> Frame | Absent:
    """External customers asked the NPS question, beside the latest published NPS of each competitor."""
    rivals = context.rows("competitor_metrics").filter(nw.col("metric").str.to_lowercase() == "nps")
    newest = nw.col("own_us") == nw.col("own_us").max().over("competitor")
    values = rivals.filter(newest).group_by("competitor").agg(nw.col("value").max().cast(nw.Float64))
    known = sorted(values.collect("pyarrow").to_native()["value"].to_pylist())
    if len(known) < 3:
        return Absent("empty", "fewer than 3 competitors have a published NPS")
    answers_given = relational_nps.prepare(context, days)
    assert not isinstance(answers_given, Absent)
    return answers_given.with_columns(rival=nw.lit(float(np.median(known))))


def _relative(parts: Parts) -> Estimate:
    own = Trinomial().estimate(parts)
    value = None if own.value is None else own.value - float(parts["rival"][0])
    return Estimate(value, own.n, own.n_missing, own.variance)


def _relative_ends(parts: Parts) -> Interval:
    own, rival = Trinomial().interval_of(parts, None).within(-100, 100), parts["rival"][0]
    return Interval(np.asarray(own.low - rival), np.asarray(own.high - rival), own.method)


@metric(
    "M10", "Relative NPS", items=nps_and_rivals, days=90, unit="points", better="higher",
    kind=Custom(("up", "down", "rival"), _relative, _relative_ends, "adjusted_wald", limits=(-200, 200)),
    source="Reichheld 2021, Winning on Purpose: NPS against competitors",
    formula="NPS - median of the latest NPS of the competitors, of which at least 3 must be known",
    version="2",
    example=Example("NPS 60 against competitors at 10, 30 and 50 gives 30",
                    {"surveys": answers("nps", [10, 10, 9, 9, 1], 0, 10),
                     "competitor_metrics": [{"competitor": c, "metric": "nps", "value": v, "observed_at": -30}
                                            for c, v in (("a", 10), ("b", 30), ("c", 50))]}, 30.0),
)  # fmt: skip
def relative_nps(answer: Row) -> Mapping[str, nw.Expr]:
    """How far the company's NPS lies above its competitors'."""
    return {"up": answer.score >= PROMOTER, "down": answer.score <= DETRACTOR, "rival": answer.rival}


@items("surveys", is_sample=True)
def expectation_pairs(context: MetricContext, days: int | None) -> Frame:
    """External customers who rated what they expected and what they got on the same item (1 to 7), latest answers."""
    assert days is not None
    rows = asked(context, days, "expectation", "perception").filter(nw.col("low") == 1, nw.col("high") == 7)
    rows = rows.with_columns(score=nw.when(~nw.col("answered_us").is_null()).then(nw.col("score")))
    answers = latest_answers(rows, "instrument", "item").with_columns(
        score=(nw.col("score") * 1e6).round().cast(nw.Int64)
    )
    signed = nw.when(nw.col("instrument") == "perception").then(nw.col("score")).otherwise(0 - nw.col("score"))
    pairs = answers.with_columns(signed=signed).filter(~nw.col("score").is_null())
    pairs = pairs.group_by("customer_id", "item").agg(nw.col("signed").sum().alias("gap"), nw.len().alias("sides"))
    each = pairs.filter(nw.col("sides") == 2).group_by("customer_id").agg(whole_mean(nw.col("gap"), 1e6).alias("gap"))
    return each.with_columns(unit=nw.col("customer_id"))


@metric(
    "M11", "Expectation gap", items=expectation_pairs, kind=Mean(limits=(-6, 6)), days=90, unit="score",
    better="higher",
    source="SERVQUAL, Parasuraman, Zeithaml & Berry 1988, J. Retailing 64(1): perceived less expected",
    formula="mean over customers of perceived - expected on the same item, scales of 1 to 7",
    example=Example(
        "Gaps 1, 1, 0, -1 and 2 give 0.6",
        {"surveys": [{**row, "customer_id": f"c{number % 5}"} for number, row in enumerate(
            [*answers("expectation", [4, 5, 6, 5, 4], 1, 7, item="service"),
             *answers("perception", [5, 6, 6, 4, 6], 1, 7, item="service")])]}, 0.6),
)  # fmt: skip
def expectation_gap(customer: Row) -> Mapping[str, nw.Expr]:
    """What customers got less what they expected."""
    return {"value": customer.gap}
