"""Composite indices of experience, trust and emotional loyalty, from several answers of a customer (M06 to M09).

Answers are relational: the latest of a customer to each item counts. A customer with fewer than two parts of an index
has none, and is counted as missing; the bounds take a missing part for 0 and for 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np

from vouch.features.facts.acts import ORGANIC
from vouch.features.metrics.catalogue import Example, Row, items, metric
from vouch.features.metrics.estimators import Figure, Floats, Proportion, Statistic, Trinomial
from vouch.features.metrics.examples import answers
from vouch.features.metrics.populations.advocacy import acts, negative_voices
from vouch.features.metrics.populations.customers import active
from vouch.features.metrics.populations.surveys import answers_nps, asked, latest_answers, on_main_scale, whole_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

FOUR = ("ease", "empathy", "understanding", "effectiveness")
FORRESTER = ("effectiveness", "ease", "emotion")
FACETS = ("affinity", "attachment", "trust")
TOP_TWO = {(1.0, 5.0): 4.0, (1.0, 7.0): 6.0, (1.0, 10.0): 9.0, (0.0, 10.0): 9.0}
"""Lowest of the two highest scores, by scale."""


def in_two_best(rows: Frame) -> Frame:
    """Add `is_top`: 1 or 0, null where there is no score on a scale that has two best."""
    least: nw.Expr = nw.lit(None, nw.Float64)
    for (low, high), start in TOP_TWO.items():
        least = nw.when((nw.col("low") == low) & (nw.col("high") == high)).then(nw.lit(start)).otherwise(least)
    rows = rows.with_columns(least=least)
    return rows.with_columns(is_top=(nw.col("score") >= nw.col("least")).cast(nw.Int64))


def _spread(rows: Frame, names: Sequence[str], columns: Mapping[str, nw.Expr]) -> Frame:
    """One row per customer, with `NAME_COLUMN` for each item; items are told by the column `item`."""
    made = rows.with_columns(**columns)
    parts = made.group_by("customer_id").agg(
        nw.when(nw.col("item") == name).then(nw.col(column)).max().alias(f"{name}_{column}")
        for name in names
        for column in columns
    )
    return parts.with_columns(unit=nw.col("customer_id"))


@items("surveys", is_sample=True)
def experience(context: MetricContext, days: int | None) -> Frame:
    """External customers who rated their experience on items of 1 to 5, latest answer to each; effort turned round."""
    assert days is not None
    rows = asked(context, days, "cxi").filter(nw.col("low") == 1, nw.col("high") == 5)
    is_effort = nw.col("item") == "effort"
    rows = rows.with_columns(
        score=nw.when(is_effort).then(6 - nw.col("score")).otherwise(nw.col("score")),
        item=nw.when(is_effort).then(nw.lit("ease")).otherwise(nw.col("item")),
    )
    rows = rows.with_columns(score=nw.when(~nw.col("answered_us").is_null()).then(nw.col("score")))
    answers = latest_answers(rows, "item")
    columns = {
        "up": (nw.col("score") >= 4).cast(nw.Int64),
        "down": (nw.col("score") <= 2).cast(nw.Int64),
        "n": (~nw.col("score").is_null()).cast(nw.Int64),
    }
    return _spread(answers, list(dict.fromkeys((*FOUR, *FORRESTER))), columns)


def _good_less_bad(count: int, missing: float | None = None) -> Statistic:
    """Mean over components of 100 (top two - bottom two) / answers; a component without answers counts as `missing`."""

    def index(means: Floats) -> Floats:
        up, down, n = (means[:, start::3][:, :count] for start in range(3))
        with np.errstate(divide="ignore", invalid="ignore"):
            each = 100 * (up - down) / n
        if missing is not None:
            each = np.where(n > 0, each, missing)
        result: Floats = each.mean(axis=1)
        return result

    return index


def _experience_kind(names: Sequence[str]) -> Figure:
    parts = tuple(f"{name}_{column}" for name in names for column in ("up", "down", "n"))
    count = len(names)
    return Figure(
        parts, _good_less_bad(count), _good_less_bad(count, -100.0), _good_less_bad(count, 100.0), limits=(-100, 100)
    )


def _experience_parts(customer: Row, names: Sequence[str]) -> dict[str, nw.Expr]:
    columns = [f"{name}_{column}" for name in names for column in ("up", "down", "n")]
    answered = nw.max_horizontal(*(nw.col(f"{name}_n").fill_null(0) for name in names))
    return {**{column: getattr(customer, column) for column in columns}, "n": answered}


def _rated(**scores: Sequence[float]) -> dict[str, list[dict[str, object]]]:
    rows = []
    for item, values in scores.items():
        for number, row in enumerate(answers("cxi", values, 1, 5, item=item)):
            rows.append({**row, "customer_id": f"c{number}"})
    return {"surveys": rows}


@metric(
    "M06", "Customer experience index, four components", items=experience, kind=_experience_kind(FOUR), days=90,
    unit="points", better="higher", published=False,
    source="Our definition, by the method of Forrester's CxPi 2007 to 2012: good less bad, averaged",
    formula="mean over ease, empathy, understanding, effectiveness of 100 (4 and 5 - 1 and 2) / answers on 1 to 5",
    example=Example("Components of 40, 20, 20 and 20 give 25",
                    _rated(ease=[5, 4, 4, 3, 2], empathy=[5, 5, 4, 2, 1], understanding=[3, 3, 4, 5, 1],
                           effectiveness=[3, 3, 4, 5, 1]), 25.0),
)  # fmt: skip
def cxi_four_component(customer: Row) -> Mapping[str, nw.Expr]:
    """How good the experience is: ease, empathy, understanding and effectiveness, each good less bad."""
    return _experience_parts(customer, FOUR)


@metric(
    "M06", "Customer experience index, Forrester's three", items=experience, kind=_experience_kind(FORRESTER),
    days=90, unit="points", better="higher",
    source="Forrester CxPi 2007 to 2012 (later versions weight by an algorithm that is not public)",
    formula="mean over effectiveness, ease, emotion of 100 (4 and 5 - 1 and 2) / answers on 1 to 5",
    example=Example("Components of 40, 20 and 20 give 26.667",
                    _rated(effectiveness=[5, 4, 4, 3, 2], ease=[5, 5, 4, 2, 1], emotion=[3, 3, 4, 5, 1]), 26.6667),
)  # fmt: skip
def cxi_forrester3(customer: Row) -> Mapping[str, nw.Expr]:
    """How good the experience is: effectiveness, ease and emotion, each good less bad."""
    return _experience_parts(customer, FORRESTER)


def _of_parts(rows: Frame, names: Sequence[str]) -> Frame:
    """Add `given`, `sum` and `index` (mean of the parts that are there, if two or more) to one row per customer."""
    is_known = [(~nw.col(name).is_null()).cast(nw.Int64) for name in names]
    rows = rows.with_columns(
        given=nw.sum_horizontal(*is_known), sum=nw.sum_horizontal(*(nw.col(name).fill_null(0.0) for name in names))
    )
    enough = nw.col("given") >= 2
    return rows.with_columns(
        index=nw.when(enough).then(nw.col("sum") / nw.col("given")),
        lowest=nw.when(enough).then(nw.col("sum") / len(names)),
        highest=nw.when(enough).then((nw.col("sum") + (len(names) - nw.col("given"))) / len(names)),
        unit=nw.col("customer_id"),
    )


def first_hundred(means: Floats) -> Floats:
    """A hundred times the first mean."""
    return 100 * means[:, 0]


def second_hundred(means: Floats) -> Floats:
    """A hundred times the second mean."""
    return 100 * means[:, 1]


def third_hundred(means: Floats) -> Floats:
    """A hundred times the third mean."""
    return 100 * means[:, 2]


INDEX = Figure(("index", "lowest", "highest"), first_hundred, second_hundred, third_hundred, limits=(0, 100))


def _index_parts(customer: Row) -> dict[str, nw.Expr]:
    has_it = (~customer.index.is_null()).cast(nw.Int64)
    return {"index": customer.index, "lowest": customer.lowest, "highest": customer.highest, "n": has_it}


@items("surveys", is_sample=True)
def advocacy_parts(context: MetricContext, days: int | None) -> Frame:
    """External customers asked about trust, satisfaction or recommending the company as a whole; latest answers."""
    assert days is not None
    rows = asked(context, days, "trust", "csat", "nps").filter(nw.col("is_relational"), nw.col("high") > nw.col("low"))
    fits = (nw.col("instrument") != "nps") | answers_nps()
    given = fits & ~nw.col("answered_us").is_null()
    share = (nw.col("score") - nw.col("low")) / (nw.col("high") - nw.col("low"))
    answers = latest_answers(rows.with_columns(score=nw.when(given).then(share)), "instrument")
    parts = ("trust", "csat", "nps")
    each = [nw.when(nw.col("instrument") == name).then(nw.col("score")).max().alias(name) for name in parts]
    return _of_parts(answers.group_by("customer_id").agg(*each), parts)


def _three(**scores: Sequence[float | None]) -> dict[str, list[dict[str, object]]]:
    scales = {"trust": (1, 5), "csat": (1, 5), "nps": (0, 10)}
    rows = [
        {**answers(name, [score], *scales[name])[0], "customer_id": f"c{number}"}
        for name, values in scores.items()
        for number, score in enumerate(values)
        if score is not None
    ]
    return {"surveys": rows}


@metric(
    "M07", "Customer advocacy index", items=advocacy_parts, kind=INDEX, days=180, unit="points", better="higher",
    published=False,
    source="Our definition; trust as in Forrester's customer advocacy (does what is best for customers)",
    formula="mean over customers of 100 mean(trust, satisfaction, recommendation), each as a share of its scale, "
    "of customers with two of the three",
    version="2",
    example=Example("Customers at 100, 50, 77.5 (without satisfaction), 50 and 0 give 55.5",
                    _three(trust=[5, 3, 4, 3, 1], csat=[5, 3, None, 3, 1], nps=[10, 5, 8, 5, 0]), 55.5),
)  # fmt: skip
def cai(customer: Row) -> Mapping[str, nw.Expr]:
    """Trust, satisfaction and willingness to recommend in one index."""
    return _index_parts(customer)


@items(
    "usage_events|transactions|subscriptions", "advocacy_acts|referrals", "feedback|social_posts", counts="customers"
)
def outspoken(context: MetricContext, days: int | None) -> Frame:
    """External customers who are active at the instant."""
    assert days is not None
    since = context.before(days)
    organic = context.keep(acts).filter(nw.col("own_us") >= since, nw.col("sort") == ORGANIC)
    negative = context.keep(negative_voices).filter(nw.col("own_us") >= since)
    people = context.keep(active).select("customer_id", unit=nw.col("customer_id"))
    for name, rows in (("speaks_for", organic), ("speaks_against", negative)):
        marked = rows.select("customer_id").unique().with_columns(nw.lit(1, nw.Int64).alias(name))
        people = people.join(marked, on="customer_id", how="left").with_columns(nw.col(name).fill_null(0))
    return people


def _voices() -> dict[str, list[dict[str, object]]]:
    names = [f"c{number}" for number in range(8)]
    return {
        "usage_events": [{"customer_id": name, "occurred_at": -3, "event": "open"} for name in names],
        "advocacy_acts": [
            *({"customer_id": name, "occurred_at": -40, "kind": "review"} for name in names[:3]),
            {"customer_id": names[3], "occurred_at": -40, "kind": "review", "is_incentivised": True},
        ],
        "feedback": [
            {"customer_id": names[7], "source": "google", "occurred_at": -9, "rating": 1, "rating_max": 5,
             "polarity": -100},
            {"customer_id": names[6], "source": "support", "occurred_at": -9, "rating": 1, "rating_max": 5,
             "polarity": -100},
        ],
    }  # fmt: skip


@metric(
    "M07", "Customer advocacy index, by behaviour", items=outspoken, kind=Trinomial(), days=365, unit="points",
    better="higher", published=False,
    source="Our definition, after the idea of counting real behaviour in 12 months",
    formula="100 (customers with an organic act - customers with a negative public voice) / active customers",
    example=Example("Of 8, 3 speak up unasked and 1 complains in public: 25", _voices(), 25.0),
)  # fmt: skip
def cai_behavioural(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of active customers who spoke up in a year less share of those who spoke against the company in public."""
    return {
        "up": customer.speaks_for * (1 - customer.speaks_against),
        "down": customer.speaks_against * (1 - customer.speaks_for),
    }


@items("surveys")
def trust_answers(context: MetricContext, days: int | None) -> Frame:
    """External customers asked whether they trust the company; latest answer of each to each item, on one scale."""
    assert days is not None
    rows = asked(context, days, "trust").filter(nw.col("is_relational"))
    return in_two_best(latest_answers(on_main_scale(rows), "item"))


@metric(
    "M08", "Trust", items=trust_answers, kind=Proportion(), days=90, unit="percent", better="higher",
    source="Top-two-box share of Forrester's item: does what is best for its customers, not just for its profit",
    formula="100 answers among the two best / answers",
    example=Example("Scores 5, 4, 4, 3, 1 give 60", {"surveys": answers("trust", [5, 4, 4, 3, 1], 1, 5)}, 60.0),
)  # fmt: skip
def trust(answer: Row) -> Mapping[str, nw.Expr]:
    """Share of answers that trust the company."""
    return {"hit": answer.is_top}


@items("surveys", "surveys.item", is_sample=True)
def emotional_facets(context: MetricContext, days: int | None) -> Frame:
    """External customers asked how attached they feel (items of 1 to 7), latest answer to each item."""
    assert days is not None
    rows = asked(context, days, "emotional_loyalty").filter(nw.col("low") == 1, nw.col("high") == 7)
    rows = rows.with_columns(score=nw.when(~nw.col("answered_us").is_null()).then(nw.col("score") - 1))
    answers = latest_answers(rows, "item").with_columns(score=(nw.col("score") * 1e6).round().cast(nw.Int64))
    answers = answers.with_columns(
        nw.when(nw.col("item").str.starts_with(name)).then(nw.col("score")).alias(name) for name in FACETS
    )
    each = [whole_mean(nw.col(name), 6e6).alias(name) for name in FACETS]
    return _of_parts(answers.group_by("customer_id").agg(*each), FACETS)


def _felt(**scores: Sequence[float]) -> dict[str, list[dict[str, object]]]:
    rows = []
    for item, values in scores.items():
        for number, row in enumerate(answers("emotional_loyalty", values, 1, 7, item=item)):
            rows.append({**row, "customer_id": f"c{number}"})
    return {"surveys": rows}


@metric(
    "M09", "Emotional loyalty index", items=emotional_facets, kind=INDEX, days=180, unit="points", better="higher",
    published=False,
    source="Our definition; facets after Thomson, MacInnis & Park 2005, J. Consumer Psychology 15(1):77-91",
    formula="mean over customers of 100 mean over affinity, attachment, trust of (mean of items - 1) / 6, "
    "of customers with two facets; an item belongs to the facet that its name begins with",
    example=Example("Customers at 100, 0, 50, 50 and 50 give 50",
                    _felt(affinity=[7, 1, 4, 7, 1], attachment_1=[7, 1, 4, 1, 7], attachment_2=[7, 1, 4, 1, 7]),
                    50.0),
)  # fmt: skip
def emotional_loyalty(customer: Row) -> Mapping[str, nw.Expr]:
    """How attached customers feel: affinity, attachment and trust in one index."""
    return _index_parts(customer)
