"""Candidates: who is among them, in which order, page after page."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.advocates import EXCLUSIONS, Filters, Place, at_risk, candidates, exclusions, page


def customers(*rows: dict) -> pd.DataFrame:
    usual = {
        "advocacy_status": "ok",
        "advocacy_probability": 0.5,
        "churn_status": "ok",
        "churn_probability": 0.1,
        "churn_band": "watch",
        "mrr": 10.0,
        "advocate_tier": "none",
        "advocacy_consent": True,
        "segment": "smb",
        "region": "KR",
        "language": "ko",
    }
    return pd.DataFrame([{"customer_id": f"c{number}", **usual, **row} for number, row in enumerate(rows)])


ANYBODY = Filters()


def ids(frame: pd.DataFrame, filters: Filters = ANYBODY, limit: int = 100, after: Place | None = None) -> list[str]:
    return list(frame["customer_id"].iloc[page(frame, filters, limit, after).rows])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({}, None),
        ({"advocacy_status": "cold_start"}, None),
        ({"advocacy_consent": False}, "no_consent"),
        ({"advocacy_consent": None}, "no_consent"),
        ({"churn_status": "leaving"}, "leaving"),
        ({"churn_status": "churned"}, "churned"),
        ({"advocacy_status": "churned", "advocacy_probability": None}, "churned"),
        ({"advocacy_status": "not_eligible", "advocacy_probability": None}, "not_eligible"),
        ({"advocacy_status": "no_model", "advocacy_probability": None}, "no_model"),
        ({"churn_status": "no_model", "churn_probability": None}, None),
        ({"churn_status": "leaving", "advocacy_consent": False}, "leaving"),
    ],
)
def test_every_exclusion_has_its_reason(row, reason):
    found = exclusions(customers(row, {"advocacy_consent": None}))[0]
    assert (found if isinstance(found, str) else None) == reason


def test_candidates_are_ranked_by_advocacy_times_staying():
    frame = candidates(
        customers(
            {"advocacy_probability": 0.5, "churn_probability": 0.5},
            {"advocacy_probability": 0.4, "churn_probability": 0.0},
            {"advocacy_probability": 0.3, "churn_probability": None},
        )
    )
    assert list(frame["customer_id"]) == ["c1", "c2", "c0"]
    assert frame["value"].tolist() == [0.4, 0.3, 0.25]


def test_ties_are_broken_by_customer_whatever_the_order_of_rows():
    rows = customers({}, {}, {})
    assert ids(candidates(rows)) == ids(candidates(rows.iloc[::-1])) == ["c0", "c1", "c2"]


def test_the_excluded_are_shown_only_on_request_and_with_their_reason():
    frame = candidates(customers({"advocacy_consent": False}, {}))
    assert ids(frame) == ["c1"]
    assert ids(frame, Filters(include_ineligible=True)) == ["c0", "c1"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (Filters(segments=("enterprise",)), ["c1"]),
        (Filters(regions=("DE", "FR")), ["c1", "c2"]),
        (Filters(languages=("ko",)), ["c0", "c3"]),
        (Filters(languages=("KO-kr",)), ["c3"]),
        (Filters(languages=("k",)), []),
        (Filters(tiers=("active",)), ["c2"]),
        (Filters(minimum_score=60.0), ["c2"]),
        (Filters(segments=("enterprise",), tiers=("active",)), []),
        (Filters(segments=("nowhere",)), []),
    ],
)
def test_filters_narrow_the_list(filters, found):
    frame = candidates(
        customers(
            {},
            {"segment": "enterprise", "region": "DE", "language": "de"},
            {"region": "FR", "advocate_tier": "active", "language": "fr", "advocacy_probability": 0.6},
            {"language": "ko-KR", "segment": None, "region": None},
        )
    )
    assert sorted(ids(frame, filters)) == found


rows = st.lists(
    st.tuples(st.sampled_from([None, 0.0, 0.25, 0.5, 1.0]), st.sampled_from([None, 0.0, 0.5]), st.booleans()),
    max_size=30,
)


@given(rows, st.integers(1, 7), st.booleans())
def test_pages_put_together_are_the_whole_list(drawn, limit, include_ineligible):
    frame = candidates(
        customers(
            {"advocacy_status": "not_eligible", "advocacy_probability": np.nan},
            *({"advocacy_probability": a, "churn_probability": c, "advocacy_consent": yes} for a, c, yes in drawn),
        ).astype({"advocacy_probability": "float64", "churn_probability": "float64"})
    )
    filters = Filters(include_ineligible=include_ineligible)
    found, after = [], None
    while True:
        shown = page(frame, filters, limit, after)
        assert shown.first_place == len(found) + 1
        found += list(frame["customer_id"].iloc[shown.rows])
        if shown.is_last:
            break
        last = frame.iloc[shown.rows[-1]]
        after = Place(None if np.isnan(last["value"]) else float(last["value"]), last["customer_id"])
    assert found == ids(frame, filters)
    assert len(found) == len(set(found)) == shown.total


def test_a_page_goes_on_where_the_last_one_ended_although_that_customer_has_left_the_list():
    frame = candidates(
        customers({"advocacy_probability": 0.9}, {"advocacy_probability": 0.5}, {"advocacy_probability": 0.1})
    )
    assert ids(frame, after=Place(0.6, "gone")) == ["c1", "c2"]
    assert ids(frame, after=Place(0.45, "gone")) == ["c2"]


def test_every_exclusion_is_said_in_words():
    assert all(EXCLUSIONS.values())


def test_those_at_risk_are_ranked_by_revenue_and_the_unpredicted_are_left_out():
    frame = at_risk(
        customers(
            {"churn_probability": 0.9, "mrr": 1.0},
            {"churn_probability": 0.1, "mrr": 100.0, "churn_band": "high"},
            {"churn_status": "leaving", "churn_probability": None},
        )
    )
    assert ids(frame) == ["c1", "c0"]
    assert ids(frame, Filters(bands=("high",))) == ["c1"]
    assert ids(frame, Filters(minimum_score=50.0)) == ["c0"]


def test_without_revenue_those_at_risk_are_ranked_by_probability():
    frame = at_risk(customers({"churn_probability": 0.1, "mrr": None}, {"churn_probability": 0.9, "mrr": None}))
    assert ids(frame) == ["c1", "c0"]
