"""Candidates: who is among them, in which order, page after page."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vouch.features.contract.tables import DAY_US
from vouch.features.instants import parse_instant
from vouch.serving.asking.exploration import with_draws
from vouch.serving.asking.ranked_list import RankedList
from vouch.serving.asking.ranking import EXCLUSIONS, STANDING, Filters, Place, rank_at_risk, rank_candidates
from vouch.serving.asking.rules.policy import load_policy
from vouch.serving.asking.what_to_ask import shares


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
        "contact_consent": True,
        "segment": "smb",
        "region": "KR",
        "language": "ko",
    }
    return pd.DataFrame([{"customer_id": f"c{number}", **usual, **row} for number, row in enumerate(rows)])


ANYBODY = Filters()
POLICY = load_policy()
MONDAY = parse_instant("2026-11-16")


def ids(frame: pd.DataFrame, filters: Filters = ANYBODY, limit: int = 100, after: Place | None = None) -> list[str]:
    return list(frame["customer_id"].iloc[RankedList(frame).page(filters, limit, after).places])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({}, None),
        ({"advocacy_status": "cold_start"}, None),
        ({"advocacy_consent": False}, "no_consent"),
        ({"advocacy_consent": None}, "no_consent"),
        ({"contact_consent": False}, "no_consent"),
        ({"advocacy_status": "opted_out", "churn_status": "opted_out"}, "opted_out"),
        ({"churn_status": "leaving"}, "leaving"),
        ({"churn_status": "churned"}, "churned"),
        ({"advocacy_status": "churned", "advocacy_probability": None}, "churned"),
        ({"advocacy_status": "not_eligible", "advocacy_probability": None}, "not_eligible"),
        ({"advocacy_status": "no_model", "advocacy_probability": None}, "no_model"),
        ({"churn_status": "no_model", "churn_probability": None}, None),
        ({"churn_status": "leaving", "advocacy_consent": False}, "leaving"),
        ({"open_tickets": ["low", "high"]}, "open_ticket"),
        ({"open_tickets": ["low"]}, None),
        ({"care_first": "repair"}, "repair_first"),
        ({"care_first": "thank"}, None),
        ({"health_score": 24.9}, "low_health"),
        ({"health_score": 25.0}, None),
        ({"health_score": None}, None),
        ({"churn_probability": 0.51}, "high_churn"),
        ({"churn_probability": 0.5}, None),
        ({"tenure_days": 1.0, "acts": [{"kind": k, "n": 1, "last_us": MONDAY} for k in ("social_share",)]}, None),
    ],
)
def test_every_exclusion_has_its_reason(row, reason):
    found = rank_candidates(customers(row, {"advocacy_consent": None})).set_index("customer_id").loc["c0", "exclusion"]
    assert (found if isinstance(found, str) else None) == reason


def test_candidates_are_ranked_by_advocacy_times_staying():
    frame = rank_candidates(
        customers(
            {"advocacy_probability": 0.5, "churn_probability": 0.5},
            {"advocacy_probability": 0.4, "churn_probability": 0.0},
            {"advocacy_probability": 0.3, "churn_probability": None},
        )
    )
    assert list(frame["customer_id"]) == ["c1", "c2", "c0"]
    assert (frame["value"] / frame["worth"]).tolist() == pytest.approx([0.4, 0.3, 0.25])


def test_ties_are_broken_by_customer_whatever_the_order_of_rows():
    rows = customers({}, {}, {})
    assert ids(rank_candidates(rows)) == ids(rank_candidates(rows.iloc[::-1])) == ["c0", "c1", "c2"]


def test_the_excluded_are_shown_only_on_request_and_with_their_reason():
    frame = rank_candidates(customers({"advocacy_consent": False}, {}))
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
    frame = rank_candidates(
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
    frame = rank_candidates(
        customers(
            {"advocacy_status": "not_eligible", "advocacy_probability": np.nan},
            *({"advocacy_probability": a, "churn_probability": c, "advocacy_consent": yes} for a, c, yes in drawn),
        ).astype({"advocacy_probability": "float64", "churn_probability": "float64"})
    )
    filters = Filters(include_ineligible=include_ineligible)
    found, after = [], None
    while True:
        shown = RankedList(frame).page(filters, limit, after)
        assert shown.first_rank == len(found) + 1
        found += list(frame["customer_id"].iloc[shown.places])
        if shown.is_last:
            break
        last = frame.iloc[shown.places[-1]]
        after = Place(None if np.isnan(last["value"]) else float(last["value"]), last["customer_id"])
    assert found == ids(frame, filters)
    assert len(found) == len(set(found)) == shown.total


def test_a_page_goes_on_where_the_last_one_ended_although_that_customer_has_left_the_list():
    frame = rank_candidates(
        customers({"advocacy_probability": 0.9}, {"advocacy_probability": 0.5}, {"advocacy_probability": 0.1})
    )
    worth = frame["value"].iloc[0] / 0.81
    assert ids(frame, after=Place(0.6 * worth, "gone")) == ["c1", "c2"]
    assert ids(frame, after=Place(0.3 * worth, "gone")) == ["c2"]


def test_every_exclusion_is_said_in_words():
    assert all(EXCLUSIONS.values())


def test_those_at_risk_are_ranked_by_revenue_and_the_unpredicted_are_left_out():
    frame = rank_at_risk(
        customers(
            {"churn_probability": 0.9, "mrr": 1.0},
            {"churn_probability": 0.1, "mrr": 100.0, "churn_band": "high"},
            {"churn_status": "leaving", "churn_probability": None},
        )
    )
    assert ids(frame) == ["c1", "c0"]
    assert ids(frame, Filters(bands=("high",))) == ["c1"]
    assert ids(frame, Filters(minimum_score=50.0)) == ["c0"]


@pytest.mark.parametrize("mrr", [None, 0.0])
def test_without_revenue_those_at_risk_are_ranked_by_probability(mrr):
    frame = rank_at_risk(customers({"churn_probability": 0.1, "mrr": mrr}, {"churn_probability": 0.9, "mrr": mrr}))
    assert ids(frame) == ["c1", "c0"]


def act(kind: str, n: int, days: int = 400) -> dict:
    return {"kind": kind, "n": n, "last_us": MONDAY - days * DAY_US}


LOYAL = {"tenure_days": 1_000.0, "nps_last": 10.0}


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"acts": [act("review", 20)]}, "referral"),
        ({"acts": [act("testimonial", 20)]}, "testimonial"),
        ({"acts": [act("testimonial", 20, days=179)]}, "referral"),
        ({"acts": [act("case_study", 20)], "nps_last": 8.0}, "referral"),
        ({"acts": [act("case_study", 20)], "nps_last": None}, "referral"),
        ({"acts": [act("case_study", 20)]}, "case_study"),
        ({"acts": [act("event_talk", 20)]}, "referral"),
        ({"acts": [act("event_talk", 20)], "advocate_tier": "influential"}, "event_talk"),
        ({"acts": None}, "referral"),
        ({"acts": None, "tenure_days": 3.0}, "social_share"),
    ],
)
def test_what_to_ask_for_is_the_act_worth_most_among_those_that_the_customer_could_do(row, kind):
    others = [{**LOYAL, "acts": [act("referral", 30), act("social_share", 2)]}] * 20
    frame = rank_candidates(customers({**LOYAL, **row}, *others), POLICY, MONDAY).set_index("customer_id")
    assert frame.loc["c0", "ask_for"] == kind


def test_a_share_of_acts_is_ones_own_shrunk_to_that_of_all():
    found = shares(np.array([[3.0, 1.0], [0.0, 0.0]]), own_acts=2.0)
    assert found.tolist() == [[(3 + 1.5) / 6, (1 + 0.5) / 6], [0.75, 0.25]]
    assert shares(np.zeros((1, 4)), 2.0).tolist() == [[0.25] * 4]


def test_who_could_do_nothing_of_what_is_asked_for_is_not_asked():
    policy = POLICY.model_copy(update={"kinds": {"case_study": POLICY.kinds["case_study"]}})
    frame = rank_candidates(customers({"tenure_days": 3.0}), policy, MONDAY)
    assert frame["exclusion"].tolist() == ["no_kind"]
    assert set(STANDING) < EXCLUSIONS.keys()


def test_places_are_given_at_random_with_the_propensity_that_is_logged():
    frame = rank_candidates(
        customers(*({"advocacy_probability": (n + 1) / 4_001} for n in range(4_000))), POLICY, MONDAY
    )
    drawn = with_draws(frame, 0.1, "secret", MONDAY)
    assert 340 <= drawn["is_drawn"].sum() <= 460
    assert drawn["order"].is_monotonic_decreasing
    again = with_draws(frame.sample(frac=1, random_state=1), 0.1, "secret", MONDAY)
    assert set(again.loc[again["is_drawn"], "customer_id"]) == set(drawn.loc[drawn["is_drawn"], "customer_id"])
    places = np.flatnonzero(drawn["is_drawn"].to_numpy())
    assert 0.45 < places.mean() / 4_000 < 0.55, "anywhere in the list, whatever the score"
    scores = drawn.loc[drawn["is_drawn"], "advocacy_probability"]
    assert 0.45 < scores.mean() < 0.55, "anybody, whatever the score"
    other = with_draws(frame, 0.1, "secret", MONDAY + 7 * DAY_US)
    assert set(other.loc[other["is_drawn"], "customer_id"]) != set(drawn.loc[drawn["is_drawn"], "customer_id"])


def test_without_exploration_nobody_is_drawn():
    frame = with_draws(rank_candidates(customers({}, {})), POLICY.exploration.share, "secret", MONDAY)
    assert not frame["is_drawn"].any()
    assert frame["order"].equals(frame["value"])


def test_nobody_who_must_not_be_asked_is_drawn():
    frame = with_draws(rank_candidates(customers({}, {"advocacy_consent": False})), 1.0, "secret", MONDAY)
    assert frame.set_index("customer_id")["is_drawn"].to_dict() == {"c0": True, "c1": False}
