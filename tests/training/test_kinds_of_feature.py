"""Kinds of feature that a benchmark tries: they say what they mean, know nothing of later, and leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from support.rows.contract_form import make_tables, raw_frame
from vouch.features.contract.tables import DAY_US
from vouch.features.vectors.build import collect, feature_definition_lines, vectors

LEARNING = Path(__file__).parents[1] / "benchmarks" / "learning"


@pytest.fixture
def kinds(monkeypatch):
    monkeypatch.syspath_prepend(str(LEARNING))
    import kinds_of_feature

    return kinds_of_feature


@pytest.fixture
def across(monkeypatch):
    monkeypatch.syspath_prepend(str(LEARNING))
    import across_customers

    return across_customers


def used(days):
    events = [
        {"event_id": str(n), "customer_id": "ann", "occurred_at": int(day * DAY_US), "event": "view"}
        for n, day in enumerate(days)
    ]
    people = [{"customer_id": "ann", "created_at": 0}]
    return {"customers": raw_frame("customers", people), "usage_events": raw_frame("usage_events", events)}


def test_kinds_are_gone_once_nobody_asks_for_them(kinds):
    before = feature_definition_lines()
    with kinds.declared() as names:
        assert {kinds.kind_of(name) for name in names} == set(kinds.KINDS)
    assert feature_definition_lines() == before


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_todays_silence_is_set_against_the_own_gaps(kinds, engine):
    with kinds.declared():
        found = collect(vectors(make_tables(used([100, 101, 102, 112, 162, 163]), engine), 170 * DAY_US)).iloc[0]
    assert found["rhythm_rank"] == 3 / 5, "gaps of 1, 1, 10, 50 and 1 days, and a silence of 6"
    assert found["rhythm_longer"] == 2
    assert found["rhythm_ended_share"] == 2 / 4, "that of 10 days ended within the horizon"
    assert found["rhythm_longest_365d"] == 50
    assert found["memory_returns"] == 1
    assert found["memory_streak_days"] == 8
    assert found["memory_active_weeks_91d"] == 4
    assert found["memory_continued_share"] == (4 + 9) / (5 + 10)


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_usage_of_late_is_set_against_the_usual(kinds, engine):
    with kinds.declared():
        found = collect(vectors(make_tables(used([50, 51, 52, 99.5]), engine), 100 * DAY_US)).iloc[0]
    assert found["level_events_7d"] == pytest.approx(np.log(2 / (3 * 7 / 91 + 1)))
    assert found["level_days_28d"] == pytest.approx(np.log(2 / (3 * 28 / 91 + 1)))
    assert found["level_age_28d"] == 1.0


def test_what_comes_at_the_instant_or_later_changes_no_kind(kinds):
    with kinds.declared() as names:
        now = collect(vectors(make_tables(used([90, 95])), 100 * DAY_US))
        later = collect(vectors(make_tables(used([90, 95, 100, 101, 300])), 100 * DAY_US))
    pd.testing.assert_frame_equal(now[list(names)], later[list(names)], check_exact=True)


def rows(**columns):
    return pd.DataFrame({"customer_id": list("abcdef"), "as_of_us": [0, 0, 0, 50 * DAY_US, 50 * DAY_US, 50 * DAY_US],
                         "tenure_days": 10.0, **columns})  # fmt: skip


def test_peers_tell_of_outcomes_that_were_final(across):
    frame = rows(plan=[0.0, 0.0, 1.0, 0.0, 1.0, 2.0], label=[1.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    made = across.peers(frame, matured_days=50)["peers_plan"]
    assert np.isnan(made[:3]).all(), "nothing was final then"
    rate = 1 / 3
    expected = [(1 + 50 * rate) / 52, 50 * rate / 51, rate]
    np.testing.assert_allclose(made[3:], expected, err_msg="drawn to the rate of all, and that where nobody is alike")
    assert np.isnan(across.peers(frame, matured_days=51)["peers_plan"]).all()


def test_the_companys_own_volume_is_the_same_for_everybody_at_an_instant(across):
    frame = rows(usage_events_28d=[28.0, 0, 0, 10, 20, 30], usage_events_90d=[90.0, 0, 0, 0, 0, 0])
    made = across.regime(frame)["regime_usage_events"]
    np.testing.assert_allclose(made[:3], np.log(91 / 91))
    np.testing.assert_allclose(made[3:], np.log(60 * 90 / 28 + 1))


def test_an_account_and_a_referral_tell_of_others_at_the_same_instant(across):
    frame = rows(days_since_usage=[1.0, 5.0, 9.0, 2.0, 4.0, 8.0], usage_events_28d=[3.0, 1.0, 0, 0, 0, 0])
    people = pd.DataFrame(
        {"customer_id": list("abcdef"), "account_id": ["x", "x", None, "x", None, None],
         "referred_by": [None, "a", None, "a", "d", None]}
    )  # fmt: skip
    made = across.graph(frame, people)
    np.testing.assert_array_equal(made["graph_others"], [1, 1, np.nan, 0, np.nan, np.nan])
    np.testing.assert_array_equal(made["graph_others_silence"], [5, 1, np.nan, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(made["graph_share_of_use"][:2], [0.75, 0.25])
    np.testing.assert_array_equal(made["graph_referrer_silence"], [np.nan, 1, np.nan, np.nan, 2, np.nan])
    np.testing.assert_array_equal(made["graph_referred"], [1, np.nan, np.nan, 1, np.nan, np.nan])


def test_a_rate_out_of_fold_does_not_know_its_own_outcome(across):
    groups, label, fold = np.array(list("xxyy")), np.array([1.0, 0.0, 1.0, 1.0]), np.array([0, 1, 0, 1])
    made = across.out_of_fold_rates(groups, label, fold, prior=1.0)
    np.testing.assert_allclose(made, [(0 + 0.5) / 2, (1 + 1.0) / 2, (1 + 0.5) / 2, (1 + 1.0) / 2])
    changed = across.out_of_fold_rates(groups, np.array([0.0, 0.0, 1.0, 1.0]), fold, prior=1.0)
    assert made[0] == changed[0]
