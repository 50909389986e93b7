"""Metrics of the company's own conduct: contacts, service, language, culture, maturity (M62 to M65, M72, M73)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np

from vouch.features.facts.voices import is_about_us
from vouch.features.instants import mondays
from vouch.features.metrics.catalogue import Absent, Example, Row, items, metric
from vouch.features.metrics.definitions.indices import in_two_best
from vouch.features.metrics.estimators import Custom, Estimate, Figure, Floats, Parts, Proportion, Ratio
from vouch.features.metrics.examples import answers
from vouch.features.metrics.populations.surveys import asked, latest_answers, surveys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext
    from vouch.features.statistics.intervals import Interval


@items("touches", counts="customers")
def touched(context: MetricContext, days: int | None) -> Frame:
    """External customers whom the company contacted in the window."""
    rows = context.rows("touches", days)
    known = (~nw.col("is_personalised").is_null()).cast(nw.Int64)
    people = rows.group_by("customer_id").agg(
        known.sum().alias("known"),
        nw.col("is_personalised").fill_null(False).cast(nw.Int64).sum().alias("personal"),
        (nw.col("kind") == "service").cast(nw.Int64).sum().alias("service"),
        (nw.col("kind") == "sales").cast(nw.Int64).sum().alias("sales"),
    )
    return people.with_columns(unit=nw.col("customer_id"))


_TOUCHES = {
    "touches": [
        {"customer_id": c, "occurred_at": -9, "kind": kind, "is_personalised": personal}
        for c, kind, personal in (("a", "service", True), ("b", "service", False), ("c", "sales", True),
                                  ("d", "service", False), ("e", "marketing", False), ("e", "sales", None))
    ]
}  # fmt: skip


@metric(
    "M62", "Personal contacts", items=touched, kind=Ratio(100.0, is_share=True, limits=(0, 100)), days=90,
    unit="percent", better="higher", needs=("touches.is_personalised",), source="Share of contacts, textbook",
    formula="100 personalised contacts / contacts of which it is known, by customer",
    counts="contacts of which it is known",
    example=Example("2 of 5 contacts are personal: 40", _TOUCHES, 40.0),
)  # fmt: skip
def personalisation(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the company's contacts that are made for the customer."""
    return {"top": customer.personal, "bottom": customer.known}


@metric(
    "M63", "Balance of service and sales", items=touched, kind=Ratio(100.0, is_share=True, limits=(0, 100)), days=90,
    unit="percent", better="neither", published=False, source="Our definition: no public one exists",
    formula="100 contacts for service / (contacts for service + for sales), by customer",
    counts="contacts for service or sales",
    example=Example("3 for service, 2 for sales: 60", _TOUCHES, 60.0),
)  # fmt: skip
def service_sales_balance(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the contacts for service or sales that are for service."""
    return {"top": customer.service, "bottom": customer.service + customer.sales}


@items(absent=("`not_applicable` (`no_input`): no earlier week is published in the home",))
def scheduled_weeks(context: MetricContext, days: int | None) -> Frame | Absent:
    """Mondays of the window since the first run in the home."""
    assert days is not None
    if context.record is None:
        return Absent("not_applicable", "no_input: no earlier week is published in the home")
    since_us = max(context.before(days), context.record.since_us)
    weeks = mondays(since_us, context.as_of_us - 1)
    columns = {
        "unit": [str(week) for week in weeks],
        "made": [int(week in context.record.published_us) for week in weeks],
    }
    return nw.from_dict(columns, schema={"unit": nw.String(), "made": nw.Int64()}, backend="polars").lazy()


@metric(
    "M64", "Consistency of measurement", items=scheduled_weeks, kind=Proportion(), days=91, reaches=0, unit="percent",
    better="higher", published=False, source="Our definition: whether the company measures week by week",
    formula="100 Mondays with a published week / Mondays of the 13 weeks before, since the first run in the home",
    example=Example("No value without published weeks", {}, None, "not_applicable"),
)  # fmt: skip
def measurement_consistency(week: Row) -> Mapping[str, nw.Expr]:
    """Share of the scheduled measurements that were made."""
    return {"hit": week.made}


def primary_language(tag: str) -> nw.Expr:
    """Language of a BCP 47 tag, without region and script: its first subtag (`fil` is not `fi`)."""
    return nw.col(tag).str.to_lowercase().str.replace_all(r"[-_].*$", "")


@items("social_posts", "social_posts.language", "customers.language", counts="customers")
def spoken(context: MetricContext, days: int | None) -> Frame:
    """External customers who posted about the brand in a known language."""
    rows = context.rows("social_posts", days).filter(
        is_about_us(nw.col("is_brand_mention")), ~nw.col("customer_id").is_null(), ~nw.col("language").is_null()
    )
    answered = rows.select("customer_id", tongue=primary_language("language")).collect("polars").lazy()
    people = context.customers().filter(~nw.col("language").is_null())
    both = answered.join(people.select("customer_id", own=primary_language("language")), on="customer_id", how="inner")
    matched = both.with_columns(same=(nw.col("tongue") == nw.col("own")).cast(nw.Int64)).group_by("customer_id")
    return matched.agg(nw.col("same").sum(), nw.len().alias("posts")).with_columns(unit=nw.col("customer_id"))


@metric(
    "M65", "Reach in the own language", items=spoken, kind=Ratio(100.0, is_share=True, limits=(0, 100)), days=90,
    unit="percent", better="higher", published=False, source="Our definition: no public one exists",
    formula="100 posts about the brand in their author's preferred language / posts by customers, by customer",
    counts="posts",
    version="2",
    example=Example("4 of 5 posts are in the customer's language: 80",
                    {"customers": [{"customer_id": c, "created_at": -99, "language": "ko-KR"} for c in "abcde"],
                     "social_posts": [{"author": c, "customer_id": c, "platform": "x", "occurred_at": -9,
                                       "is_brand_mention": True, "language": "en" if c == "e" else "ko"}
                                      for c in "abcde"]}, 80.0),
)  # fmt: skip
def language_reach(customer: Row) -> Mapping[str, nw.Expr]:
    """Share of the talk about the brand that is in its audience's preferred language."""
    return {"top": customer.same, "bottom": customer.posts}


@items("surveys", "surveys.language", "surveys.invited_at", "customers.language")
def cultures(context: MetricContext, days: int | None) -> Frame:
    """External customers who were asked anything in the window; `n` marks those who answered on culture."""
    assert days is not None
    fits = in_two_best(latest_answers(asked(context, days, "culture"), "item")).filter(~nw.col("is_top").is_null())
    fits = fits.group_by("customer_id").agg(nw.col("is_top").sum().alias("fit"), nw.len().alias("fit_n"))
    rows = context.keep(surveys).filter(nw.col("invited_us") >= context.before(days))
    people = context.customers().select("customer_id", own=primary_language("language"))
    rows = rows.join(people, on="customer_id", how="left").with_columns(
        in_own=(primary_language("language") == nw.col("own")).cast(nw.Int64),
        is_answered=(~nw.col("answered_us").is_null()).cast(nw.Int64),
    )
    answered = rows.group_by("customer_id").agg(
        nw.col("in_own").sum(),
        nw.col("in_own").count().alias("in_known"),
        nw.col("is_answered").sum().alias("answered"),
        nw.len().alias("invited"),
    )
    answered = answered.join(fits, on="customer_id", how="left").with_columns(nw.col("fit", "fit_n").fill_null(0))
    overall = nw.col("answered").sum().cast(nw.Float64) / nw.col("invited").sum().cast(nw.Float64)
    return answered.with_columns(
        overall=overall, unit=nw.col("customer_id"), n=(nw.col("fit_n") > 0).cast(nw.Int64), one=nw.lit(1, nw.Int64)
    )


CULTURE = ("fit", "fit_n", "in_own", "in_known", "answered", "invited", "overall", "one")


RELEVANCE = ("fits", "own_language", "response")
"""What cultural relevance is the mean of."""


def relevance_parts(means: Floats) -> Floats:
    """Fit, contacts in the own language, and response against the company's: 0 to 1, a row per row of means."""
    fit, fit_n, own, known, answered, invited, overall, one = means.T
    return np.column_stack([fit / fit_n, own / known, np.minimum(1.0, answered / invited / (overall / one))])


def relevance(means: Floats) -> Floats:
    """A hundred times the mean of the parts."""
    result: Floats = 100 * relevance_parts(means).sum(axis=1) / len(RELEVANCE)
    return result


def _home(count: int) -> dict[str, list[dict[str, object]]]:
    people = [{"customer_id": f"c{n}", "created_at": -99, "language": "ro"} for n in range(count)]
    scores = [5 if n % 2 else 2 for n in range(count)]
    rows = answers("culture", scores, 1, 5, item="fits_my_values")
    tongues = ["ro-RO" if n % 4 else "en" for n in range(count)]
    return {
        "customers": people,
        "surveys": [
            {**row, "customer_id": f"c{n}", "language": tongue}
            for n, (row, tongue) in enumerate(zip(rows, tongues, strict=True))
        ],
    }  # fmt: skip


@metric(
    "M72", "Cultural relevance", items=cultures, kind=Figure(CULTURE, relevance, limits=(0, 100)), days=90,
    unit="points", better="higher", published=False, hidden_below=30,
    source="Our definition; the published cultural insights index is a panel's, its formula is not public",
    formula="100 mean(share of the two best answers to the culture items, share of surveys in the customer's "
    "language, response rate against the company's, at most 1); below 30 answers nothing is shown",
    version="2",
    example=Example("Half fits, three quarters in the own language, all answer: 75", _home(40), 75.0),
)  # fmt: skip
def cultural_relevance(customer: Row) -> Mapping[str, nw.Expr]:
    """How well the company fits the culture of its customers."""
    return {**{name: getattr(customer, name) for name in CULTURE}, "tell": customer.n}


@items("maturity_answers")
def criteria(context: MetricContext, days: int | None) -> Frame:
    """Criteria of the maturity questionnaire, by their latest answer."""
    rows = context.rows("maturity_answers")
    newest = nw.col("own_us") == nw.col("own_us").max().over("criterion")
    met = nw.col("is_met").cast(nw.Int64)
    levels = rows.filter(newest).group_by("criterion").agg(nw.col("level").max(), met.min().alias("is_met"))
    return levels.with_columns(unit=nw.col("criterion"))


def maturity(parts: Parts) -> Estimate:
    """Highest level of 1 to 4 of which all criteria are met, and all of the levels below; Guttman's scale."""
    met = [bool((parts["is_met"][parts["level"] == level] > 0).all() and (parts["level"] == level).any())
           for level in (1, 2, 3, 4)]  # fmt: skip
    level = met.index(False) if False in met else 4
    reason = "a higher level is met above one that is not" if any(met[level:]) else None
    return Estimate(float(level), len(parts["level"]), reason=reason)


def _no_ends(parts: Parts) -> Interval | None:
    return None


@metric(
    "M73", "Advocacy maturity", items=criteria, unit="level", better="higher", published=False,
    kind=Custom(("level", "is_met"), maturity, _no_ends, limits=(0, 4), is_amount=True),
    source="Our reading of four levels of customer advocacy as a Guttman scale",
    formula="highest level k of 1 to 4 with all criteria of the levels 1 to k met; 0 where level 1 is not; level 1 "
    "individuals help, 2 a team sees needs, 3 an own team coordinates, 4 all strategy follows",
    example=Example("Levels 1 and 2 are met, one criterion of 3 is not: 2",
                    {"maturity_answers": [{"criterion": c, "level": level, "is_met": met, "answered_at": at}
                                          for c, level, met, at in (("a", 1, False, -90), ("a", 1, True, -9),
                                                                    ("b", 2, True, -9), ("c", 3, True, -9),
                                                                    ("d", 3, False, -9))]}, 2.0),
)  # fmt: skip
def advocacy_maturity(criterion: Row) -> Mapping[str, nw.Expr]:
    """How far the company has made its customers' cause its own, 0 to 4."""
    return {"level": criterion.level, "is_met": criterion.is_met}
