"""A window is never longer than the history: what looks further back than the data is null, and says so."""

from __future__ import annotations

import pytest

from support.rows.metric_examples import INSTANT_US, company, measured, one
from vouch.features.contract.tables import DAY_US
from vouch.features.facts.beginning import beginning_us
from vouch.features.metrics.catalogue import METRICS, load_metrics

load_metrics()
PEOPLE = [f"c{number:02}" for number in range(40)]


def used_for(days):
    """Forty customers, long known, who have come on each of so many days: all that is recorded."""
    return {
        "customers": [{"customer_id": c, "created_at": -900} for c in PEOPLE],
        "usage_events": [{"customer_id": c, "occurred_at": -1 - day, "event": "open"}
                         for c in PEOPLE for day in range(days)],
    }  # fmt: skip


@pytest.mark.parametrize("metric_id", ["retention_day_30", "activity_share", "dau_mau", "interaction_frequency"])
def test_a_company_seen_for_a_week_has_no_figure_of_a_month(metric_id):
    found = one(used_for(7), metric_id, begun=False)
    assert (found.value, found.status, found.n) == (None, "insufficient_history", 0)
    assert found.reason == f"{METRICS[metric_id].reach_days} days are looked at, and the data begin 7 days before"


def test_from_the_day_on_that_the_window_is_filled_there_is_a_figure():
    assert one(used_for(27), "dau_mau", begun=False).value is None
    assert one(used_for(28), "dau_mau", begun=False).value == pytest.approx(1)


def test_no_metric_has_a_value_over_a_window_that_the_data_do_not_fill():
    found = measured(used_for(7), begun=False)
    assert [e.metric_id for e in found if e.value is not None and METRICS[e.metric_id].reach_days > 7] == []


def test_a_few_rows_of_a_clock_that_was_wrong_are_no_history():
    rows = used_for(30)
    rows["usage_events"].append({"customer_id": "c00", "occurred_at": -9_000, "event": "open"})
    tables = company(rows, begun=False)
    assert beginning_us([tables.frames["usage_events"]]) == INSTANT_US - 30 * DAY_US
    assert beginning_us([tables.frames["usage_events"].head(0)]) is None


FORECASTS = {"sentiment_forecast", "sentiment_forecast_84", "nps_forecast_28", "nps_forecast_84"}


def test_a_metric_that_waits_until_it_is_over_reaches_further_back_than_its_window():
    assert {METRICS[name].reach_days - METRICS[name].window_days for name in ("retention_day_30", "response_rate",
            "referral_conversion_rate", "say_do_rate", "redemption_rate")} == {31, 7, 30, 90, 182}  # fmt: skip
    waits = [m for m in METRICS.values() if m.window_days and m.reach_days < m.window_days]
    # They say themselves how many weeks they need.
    assert {metric.id for metric in waits} == FORECASTS | {"measurement_consistency"}
