"""Companies whose ends are last days: between two terms nobody has left, until the gap is over."""

from __future__ import annotations

from dataclasses import fields

import pyarrow as pa
import pytest

from support.rows.facts_rows import GAP_US, T, company, kept, on_each_engine, span
from vouch.features.contract.tables import DAY_US
from vouch.features.facts.last_days import last_days
from vouch.features.metrics.evaluate import measure
from vouch.serving.batch.between_terms import customers_between_terms, with_terms
from vouch.serving.batch.profiles import profiles
from vouch.serving.scoring.score import Scored

SECOND_US, HOUR_US, TERM_US = 1_000_000, DAY_US // 24, 28 * DAY_US
FIGURES = ("retention_rate", "churn_rate", "net_revenue_retention", "gross_revenue_retention", "mrr_churn")
STEPS = pytest.mark.parametrize("step_us", [DAY_US, SECOND_US, 1000, 23 * HOUR_US, 25 * HOUR_US])
PEOPLE = [f"c{number:02}" for number in range(12)]


def terms(customer, begun_us, count, step_us, pause_us=0):
    """Terms of four weeks one after another, the last days of each as its end."""
    starts = [begun_us + number * (TERM_US + pause_us) for number in range(count)]
    return [
        span(at, at + TERM_US - step_us, customer, subscription_id=f"{customer}{number}", mrr=100)
        for number, at in enumerate(starts)
    ]


def company_of(over_us, step_us, engine="duckdb", pause_us=0, left=3):
    """Twelve customers with six terms each; the last term was over so long before T. Some had left two months before.

    `step_us` lies between the last end of a term and the next begin.
    """
    begun_us = T - over_us - 6 * TERM_US - 5 * pause_us
    rows = [row for customer in PEOPLE for row in terms(customer, begun_us, 6, step_us, pause_us)]
    gone = [row for number in range(left) for row in terms(f"g{number}", begun_us, 4, step_us, pause_us)]
    return company(engine, subscriptions=[*rows, *gone])


def figures(tables):
    return {found.metric_id: found.value for found in measure(tables, T, FIGURES)}


@on_each_engine
@STEPS
@pytest.mark.parametrize("over_us", [0, 1, 5 * DAY_US, GAP_US - 2 * DAY_US])
def test_between_two_terms_nobody_has_left(engine, step_us, over_us):
    tables = company_of(over_us, step_us, engine)
    assert figures(tables) == dict(zip(FIGURES, (100, 0, 100, 100, 0), strict=True))


def test_who_is_not_back_when_the_gap_is_over_has_left():
    for over_us, rate in ((GAP_US - DAY_US - 1, 100), (GAP_US - DAY_US, 0), (GAP_US, 0)):
        assert figures(company_of(over_us, DAY_US))["retention_rate"] == rate


def test_at_any_instant_such_a_company_reads_as_if_its_ends_were_the_first_instants_after():
    for over_us in (0, 1, HOUR_US, 12 * HOUR_US, DAY_US - 1, DAY_US, 10 * DAY_US, 20 * DAY_US):
        going_on = figures(company_of(over_us - TERM_US, DAY_US))
        assert going_on == figures(company_of(over_us - TERM_US, 0))


@pytest.mark.parametrize(("step_us", "pause_us"), [(0, 0), (2 * DAY_US, 0), (DAY_US, 3 * DAY_US), (HOUR_US, 0)])
def test_where_ends_are_no_last_days_an_end_is_an_end(step_us, pause_us):
    tables = company_of(DAY_US, step_us, pause_us=pause_us)
    assert figures(tables)["retention_rate"] == 0


def test_it_is_a_habit_of_most_ends_and_not_of_a_few():
    few = terms("c", T - 5 * TERM_US, 5, DAY_US)
    assert not last_days(company(subscriptions=few).frames["subscriptions"]).is_habit
    more = terms("c", T - 6 * TERM_US, 6, DAY_US)
    assert last_days(company(subscriptions=more).frames["subscriptions"]).is_habit
    others = [row for customer in "de" for row in terms(customer, T - 6 * TERM_US, 6, 0)]
    assert not last_days(company(subscriptions=[*more, *others]).frames["subscriptions"]).is_habit


def test_of_two_subscriptions_the_one_that_was_given_up_earlier_stays_given_up():
    rows = [row for customer in PEOPLE for row in terms(customer, T - DAY_US - 6 * TERM_US, 6, DAY_US)]
    second = [span(T - 6 * TERM_US, T - 9 * DAY_US, customer, subscription_id=f"x{customer}") for customer in PEOPLE]
    found = company(subscriptions=[*rows, *second])
    assert figures(found)["retention_rate"] == 100
    assert set(kept(profiles(found, T), "mrr")) == {(100.0,)}


def test_the_profile_of_who_is_between_two_terms_has_the_revenue_of_the_last():
    assert set(kept(profiles(company_of(DAY_US, DAY_US, left=0), T), "mrr")) == {(100.0,)}


@pytest.mark.parametrize(("over_us", "step_us", "named"), [
    (DAY_US, DAY_US, PEOPLE), (GAP_US, DAY_US, []), (DAY_US, 0, []), (-DAY_US, DAY_US, []),
])  # fmt: skip
def test_who_is_between_two_terms_is_not_told_to_have_left(over_us, step_us, named):
    between = customers_between_terms(company_of(over_us, step_us), T)
    assert sorted(between) == named
    ids = pa.chunked_array([[*PEOPLE, "g0"]])
    statuses = pa.array([*["churned"] * 11, "not_eligible", "churned"])
    nothing = pa.nulls(13)
    scored = Scored(statuses, **dict.fromkeys((field.name for field in fields(Scored)[1:]), nothing))
    found = with_terms({"churn": scored}, ids, between)["churn"].status.to_pylist()
    told = "between_terms" if named else "churned"
    assert found == [*[told] * 11, "not_eligible", "churned"]
