"""What holds for every metric of any company: values within what is possible, and nothing that depends on strangers.

A value lies within its interval, and that within its limits. What is missing is told. Rows that cannot matter (of
internal customers, of later) change nothing. A company that is there twice has the same rates and twice the counts.
"""

from __future__ import annotations

import pytest
from hypothesis import Phase, given, settings

from support.made_up_companies import companies, of_later, of_staff, twice, with_nobody
from support.rows.metric_examples import INSTANT_US, company
from support.whole_company import assert_sound, scores_of
from vouch.features.metrics.catalogue import METRICS, load_metrics
from vouch.features.metrics.context import Settings
from vouch.features.metrics.estimators import Total
from vouch.features.metrics.evaluate import measure

load_metrics()
FORECASTS = {"sentiment_forecast", "sentiment_forecast_84", "nps_forecast_28", "nps_forecast_84"}
"""They learn from weeks, which are not there twice."""
TWICE_OTHERWISE = {
    "advocates_potential", "advocates_active", "advocates_influential",  # a tenth, rounded up
    "trading_down", "discussion_trends", "segments", "earned_growth_ratio",  # tests, which see more in more
    "review_rating",  # drawn to the mean as if by ten reviews
    "software_feature_use",  # features, which are not there twice
}  # fmt: skip
ALL = Settings(hidden_below=1)
"""Nothing is hidden for being few."""
DOUBLES = {metric.id for metric in METRICS.values() if isinstance(metric.kind, Total)} | {
    "incremental_saves", "revenue_at_risk",
}  # fmt: skip


def assert_what_is_missing_is_told(envelopes):
    for envelope in envelopes:
        assert envelope.n_items >= 0, envelope
        if envelope.value is not None and envelope.n:
            assert envelope.coverage is not None, envelope
        if envelope.coverage is not None:
            assert 0 <= envelope.coverage <= 1, envelope
            assert envelope.coverage < 1 or not envelope.n_missing or METRICS[envelope.metric_id].kind.is_amount or (
                "coverage" in METRICS[envelope.metric_id].parts), envelope  # fmt: skip
        if envelope.bound_low is not None and envelope.bound_high is not None:
            assert envelope.bound_low <= envelope.bound_high + 1e-9, envelope


def added(rows_by_table, more):
    return {name: [*rows_by_table.get(name, []), *more.get(name, [])] for name in {*rows_by_table, *more}}


def scores(rows_by_table):
    """Scores of all customers but the staff."""
    names = sorted(row["customer_id"] for row in rows_by_table["customers"])
    return scores_of([name for name in names if not name.startswith(("staff", "later"))])


def values(rows_by_table):
    """Values as they are published, to ten digits, and counts; without the intervals that are bootstraps."""
    found = measure(company(rows_by_table), INSTANT_US, scores=scores(rows_by_table), bootstraps=False, settings=ALL)
    return {e.metric_id: (e.as_dict()["value"], e.n, e.n_items, e.n_missing, e.status) for e in found}


def check_sound(rows):
    tables = company(rows)
    for by in (None, "tenure_band"):
        found = measure(tables, INSTANT_US, by=by, scores=scores(rows), bootstraps=by is None, settings=ALL)
        assert_sound(found)
        assert_what_is_missing_is_told(found)


def check_that_strangers_change_nothing(rows):
    expected = values(added(rows, {"customers": of_staff(rows)["customers"]}))
    assert values(added(rows, of_staff(rows))) == expected
    assert values(added(added(rows, of_later(rows)), {"customers": of_staff(rows)["customers"]})) == expected


def check_that_twice_the_company_has_the_same_rates(rows):
    once, double = values(rows), values(twice(rows))
    for metric_id in set(METRICS) - TWICE_OTHERWISE:
        (value, n, items, missing, _), found = once[metric_id], double[metric_id]
        if METRICS[metric_id].items is None or metric_id in {"advocacy_maturity"}:
            continue
        if metric_id not in FORECASTS:
            assert found[1:4] == (2 * n, found[2] if items == n else 2 * items, 2 * missing), metric_id
        if value is not None and found[0] is not None:
            factor = 2 if metric_id in DOUBLES else 1
            assert found[0] == pytest.approx(factor * value, rel=1e-6, abs=1e-6), metric_id


OF_EVERYBODY = {"customer_sentiment", "clv_margin_historic", "referral_value"}
"""Values of customers that are drawn to, or filled in by, a figure of all texts or all revenue."""


def check_that_an_id_that_nobody_has_is_in_no_count_of_customers(rows):
    tables, told = company(rows), {"scores": scores(rows), "bootstraps": False, "settings": ALL}
    expected = {found.metric_id: found for found in measure(tables, INSTANT_US, **told)}
    for found in measure(with_nobody(tables), INSTANT_US, **told):
        counts = METRICS[found.metric_id].items.counts if METRICS[found.metric_id].items else "rows"
        one = expected[found.metric_id]
        if any("gross_margin" in (envelope.reason or "") for envelope in (found, one)):
            continue  # how many margins are missing is counted over all revenue
        if counts == "customers" and found.metric_id not in OF_EVERYBODY:
            assert (found.n, found.n_missing) == (one.n, one.n_missing), found
            assert found.value == (None if one.value is None else pytest.approx(one.value, rel=1e-9, abs=1e-9)), found
        if counts != "rows":
            assert found.n == one.n, found


WITHOUT_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""A company does not get simpler by a smaller seed."""
CHECKS = [
    check_sound,
    check_that_strangers_change_nothing,
    check_that_twice_the_company_has_the_same_rates,
    check_that_an_id_that_nobody_has_is_in_no_count_of_customers,
]


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__[6:])
@given(recipe=companies)
@settings(max_examples=10, phases=WITHOUT_SHRINKING)
def test_of_any_company(check, recipe):
    check(recipe.rows())


@pytest.mark.nightly
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__[6:])
@given(recipe=companies)
@settings(max_examples=200, phases=WITHOUT_SHRINKING)
def test_of_very_many_companies(check, recipe):
    check(recipe.rows())
