"""What came true after an instant, against rows written by hand and a slow oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.rows.contract_rows import day, make_tables
from vouch.models.outcomes import (
    ask_trials,
    churn_events,
    label_advocacy,
    label_churn,
    label_inactivity,
    label_response,
    offer_trials,
    organic_acts,
)
from vouch.models.targets import Target

T = 100
CHURN = Target("contract", label_churn, lambda v: v, horizon_days=28, gap_days=14)
ACTS = Target("organic", label_advocacy, lambda v: v, horizon_days=90)
SILENCE = Target("inactivity", label_inactivity, lambda v: v, horizon_days=90)
LATER = day(400)


@pytest.fixture(params=["duckdb", "polars"])
def engine(request):
    return request.param


def customers(*names):
    return [{"customer_id": name, "created_at": 1} for name in names]


def span(name, start, end=None, **more):
    identity = more.pop("subscription_id", f"{name}-{start}-{end}")
    return {"subscription_id": identity, "customer_id": name, "started_at": start, "ended_at": end, "mrr": 1, **more}


def churned(engine, *spans, gap=14, known=LATER):
    tables = make_tables(engine, customers=customers("a"), subscriptions=list(spans))
    events = churn_events(tables, known, gap)
    return [us / day(1) for us in events["churned_us"]]


def labels(frame):
    return dict(zip(frame["customer_id"], frame["label"], strict=True))


def test_an_end_is_churn_and_a_running_subscription_is_none(engine):
    assert churned(engine, span("a", 10, 90)) == [90]
    assert churned(engine, span("a", 10)) == []


def test_a_change_of_plan_at_the_same_instant_is_no_end(engine):
    assert churned(engine, span("a", 10, 90), span("a", 90)) == []
    assert churned(engine, span("a", 10, 90), span("a", 90), gap=0) == []
    assert churned(engine, span("a", 10, 90), span("a", 90, 120), gap=0) == [120]


def test_a_resumption_within_the_gap_is_no_end(engine):
    assert churned(engine, span("a", 10, 90), span("a", 103.9, 150)) == [150]
    assert churned(engine, span("a", 10, 90), span("a", 104, 150)) == [90, 150]
    assert churned(engine, span("a", 10, 90), span("a", 91, 150), gap=0) == [90, 150]


def test_overlapping_subscriptions_end_with_the_last_one(engine):
    assert churned(engine, span("a", 10, 200), span("a", 20, 90), span("a", 30, 50)) == [200]
    assert churned(engine, span("a", 10), span("a", 20, 90)) == []


def test_an_end_that_is_not_known_yet_is_none(engine):
    assert churned(engine, span("a", 10, 90), known=day(80)) == []
    corrected = [
        span("a", 10, 90, subscription_id="s", ingested_at=11),
        span("a", 10, 95, subscription_id="s", ingested_at=120),
    ]
    assert churned(engine, *corrected, known=day(110)) == [90]
    assert churned(engine, *corrected) == [95]


def test_a_withdrawn_subscription_never_was(engine):
    gone = {**span("a", 10, 90, subscription_id="s", ingested_at=120), "is_deleted": True}
    assert churned(engine, span("a", 10, 90, subscription_id="s"), gone) == []


def test_involuntary_ends_count_and_are_marked(engine):
    rows = [span("a", 10, 90, is_voluntary=False), span("b", 10, 90, is_voluntary=True), span("c", 10, 90)]
    tables = make_tables(engine, customers=customers("a", "b", "c"), subscriptions=rows)
    events = churn_events(tables, LATER, 14)
    assert events["is_involuntary"].tolist() == [True, False, False]


def test_the_window_of_churn_is_half_open_and_the_gap_belongs_to_its_maturity(engine):
    ends = {"first": T, "last": T + 27.99, "after": T + 28, "before": T - 0.01, "stays": None}
    rows = [span(name, 10, end) for name, end in ends.items()]
    tables = make_tables(engine, customers=customers(*ends), subscriptions=rows)
    found = labels(label_churn(tables, [day(T)], day(T + 42), CHURN))
    assert found == {"first": 1, "last": 1, "after": 0, "before": 0, "stays": 0}
    assert label_churn(tables, [day(T)], day(T + 42) - 1, CHURN)["label"].isna().all()


def test_several_instants_are_labelled_each_on_its_own(engine):
    tables = make_tables(engine, customers=customers("a"), subscriptions=[span("a", 10, T)])
    found = label_churn(tables, [day(T - 28), day(T - 27), day(T), day(390)], LATER, CHURN)
    assert found["as_of_us"].tolist() == [day(T - 28), day(T - 27), day(T), day(390)]
    np.testing.assert_array_equal(found["label"], [0, 1, 1, np.nan])


def test_the_lead_moves_the_window():
    tables = make_tables(customers=customers("a"), subscriptions=[span("a", 10, T + 5)])
    late = Target("contract", label_churn, lambda v: v, horizon_days=28, lead_days=7, gap_days=14)
    assert labels(label_churn(tables, [day(T)], LATER, late)) == {"a": 0}
    assert labels(label_churn(tables, [day(T - 7)], LATER, late)) == {"a": 1}


def act(name, at, **more):
    return {"act_id": f"{name}{at}", "customer_id": name, "occurred_at": at, "kind": "review", **more}


def referral(name, prospect, at, **more):
    return {
        "referral_id": f"{name}{prospect}{at}",
        "advocate_id": name,
        "prospect_id": prospect,
        "invited_at": at,
        **more,
    }


def test_only_unasked_and_unrewarded_acts_are_organic(engine):
    acts = [
        act("free", T), act("said_no_reward", T, is_incentivised=False), act("rewarded", T, is_incentivised=True),
        act("asked", T, ask_id="k"), act("late", T + 90), act("early", T - 0.5),
    ]  # fmt: skip
    names = [row["customer_id"] for row in acts]
    tables = make_tables(engine, customers=customers(*names), advocacy_acts=acts)
    found = labels(label_advocacy(tables, [day(T)], LATER, ACTS))
    assert found == {"free": 1, "said_no_reward": 1, "rewarded": 0, "asked": 0, "late": 0, "early": 0}


def test_a_referral_counts_where_it_is_valid_unrewarded_and_the_first_of_its_pair(engine):
    referrals = [
        referral("good", "p1", T + 1),
        referral("self", "self", T + 1),
        referral("fraud", "p2", T + 1, is_fraud=True),
        referral("paid", "p3", T + 1, is_incentivised=True),
        referral("again", "p4", T - 5), referral("again", "p4", T + 1),
        referral("second", "p4", T + 1),
    ]  # fmt: skip
    names = {row["advocate_id"] for row in referrals}
    tables = make_tables(engine, customers=customers(*names), referrals=referrals)
    found = labels(label_advocacy(tables, [day(T)], LATER, ACTS))
    assert found == {"good": 1, "self": 0, "fraud": 0, "paid": 0, "again": 0, "second": 1}


def test_an_act_and_its_referral_on_one_day_are_one_yes(engine):
    tables = make_tables(
        engine, customers=customers("a"), advocacy_acts=[act("a", T)], referrals=[referral("a", "p", T)]
    )
    assert len(organic_acts(tables, LATER)) == 1
    assert labels(label_advocacy(tables, [day(T)], LATER, ACTS)) == {"a": 1}


def test_silence_is_neither_usage_nor_a_transaction(engine):
    uses = [{"event_id": "1", "customer_id": "uses", "occurred_at": T, "event": "view"}]
    buys = [{"transaction_id": "1", "customer_id": "buys", "occurred_at": T + 89, "amount": 1, "kind": "purchase"}]
    names = ("uses", "buys", "silent")
    tables = make_tables(engine, customers=customers(*names), usage_events=uses, transactions=buys)
    assert labels(label_inactivity(tables, [day(T)], LATER, SILENCE)) == {"uses": 0, "buys": 0, "silent": 1}
    assert label_inactivity(tables, [day(T)], day(T + 90) - 1, SILENCE)["label"].isna().all()
    only = make_tables(engine, customers=customers(*names), transactions=buys)
    assert labels(label_inactivity(only, [day(T)], LATER, SILENCE)) == {"uses": 1, "buys": 0, "silent": 1}


def test_rows_are_the_external_customers_of_the_instant():
    people = [*customers("old"), {"customer_id": "new", "created_at": T}, {"customer_id": "staff", "created_at": 1}]
    people[-1]["is_internal"] = True
    tables = make_tables(customers=people, subscriptions=[span("old", 10, 90)])
    assert labels(label_churn(tables, [day(T)], LATER, CHURN)) == {"old": 0}


spans = st.lists(st.tuples(st.integers(0, 60), st.one_of(st.none(), st.integers(0, 40))), min_size=1, max_size=6)


@given(spans, st.integers(0, 10))
def test_churn_agrees_with_a_walk_through_the_days(drawn, gap):
    rows = [
        span("a", start, None if length is None else start + length, subscription_id=f"s{place}")
        for place, (start, length) in enumerate(drawn)
    ]
    ran = [row for row in rows if row["ended_at"] != row["started_at"]]
    expected = []
    for row in ran:  # an end is churn where nothing runs at it, or starts from it on within the gap
        end = row["ended_at"]
        if end is None:
            continue
        covers = any(o["started_at"] < end and (o["ended_at"] is None or o["ended_at"] > end) for o in ran)
        resumes = any(end <= o["started_at"] < end + max(gap, 1e-6) for o in ran)
        if not covers and not resumes and end not in expected:
            expected.append(end)
    assert churned("polars", *rows, gap=gap) == sorted(expected)


RESPONSE = Target("accepted", label_response, lambda v: v, horizon_days=28, gap_days=28)


def ask(name, at, outcome=None, answered=None, **more):
    identity = f"{name}-{at}-{more.get('kind', 'review')}"
    usual = {"ask_id": identity, "customer_id": name, "asked_at": at, "kind": "review"}
    return {**usual, "outcome": outcome, "outcome_at": answered, **more}


ASKS = [
    ask("yes", T + 1, "accepted", T + 3),
    ask("no", T + 1, "declined", T + 3),
    ask("silent", T + 27),
    ask("late", T + 1, "accepted", T + 30),
    ask("before", T - 1, "accepted", T + 3),
    ask("after", T + 28, "accepted", T + 29),
    ask("twice", T + 1, "declined", T + 2),
    ask("twice", T + 20, "accepted", T + 21, kind="testimonial"),
]  # fmt: skip


def test_a_response_is_an_ask_of_the_window_that_was_accepted_in_time(engine):
    tables = make_tables(engine, customers=customers(*{row["customer_id"] for row in ASKS}), asks=ASKS)
    found = labels(label_response(tables, [day(T)], LATER, RESPONSE))
    assert {name: label for name, label in found.items() if label == label} == {
        "yes": 1, "no": 0, "silent": 0, "late": 0, "twice": 1,
    }  # fmt: skip
    early = labels(label_response(tables, [day(T)], day(T + 55), RESPONSE))
    assert all(label != label for label in early.values()), "no answer is final yet"


def test_trials_hold_who_was_asked_and_beside_them_who_might_have_been(engine):
    consents = {"advocacy_consent": True, "contact_consent": True}
    people = [{**row, **consents} for row in customers("asked", "lately", "idle", "acts", "prompted")]
    people += customers("unwilling")
    asks = [
        ask("asked", T + 1, "accepted", T + 2, is_randomised=True, propensity=0.1),
        ask("lately", T - 60, "declined", T - 59),
        ask("prompted", T + 5, "accepted", T + 6),
    ]
    acts = [act("acts", T + 3, kind="review"), act("idle", T + 40, kind="review")]
    tables = make_tables(engine, customers=people, asks=asks, advocacy_acts=acts)
    found = ask_trials(tables, [day(T), day(T + 14)], day(T + 60), RESPONSE)
    treated = found.treated.set_index("customer_id")
    assert set(treated.index) == {"asked", "prompted"}
    assert set(found.treated["as_of_us"]) == {day(T)}, "the later instant is not final"
    assert treated["is_random"].to_dict() == {"asked": True, "prompted": False}
    assert treated.loc["asked", "propensity"] == pytest.approx(0.1)
    assert treated.loc["prompted", "propensity"] != treated.loc["prompted", "propensity"]
    assert dict(zip(found.untreated["customer_id"], found.untreated["review"], strict=True)) == {"idle": 0, "acts": 1}


def test_what_became_known_later_changes_no_response_and_no_trial(engine):
    known = day(T + 60)
    people = [{**row, "advocacy_consent": True, "contact_consent": True} for row in customers("a", "b", "c")]
    past = [ask("a", T + 1, "accepted", T + 2, is_randomised=True), ask("b", T + 5)]
    later = [
        ask("b", T + 5, "accepted", T + 61, ingested_at=T + 61), ask("c", T + 3, "accepted", T + 4, ingested_at=T + 62),
        ask("c", T + 70, "accepted", T + 71),
    ]  # fmt: skip
    acts = [act("c", T + 90), act("c", T + 3, act_id="x", ingested_at=T + 61)]
    one = make_tables(engine, customers=people, asks=past, advocacy_acts=acts[:0])
    other = make_tables(engine, customers=people, asks=[*past, *later], advocacy_acts=acts)
    labelled = [label_response(of, [day(T)], known, RESPONSE) for of in (one, other)]
    assert labelled[0].equals(labelled[1])
    trials = [ask_trials(of, [day(T)], known, RESPONSE) for of in (one, other)]
    assert trials[0].treated.equals(trials[1].treated)
    assert trials[0].untreated.equals(trials[1].untreated)


def offer(name, at, arm="treated", **more):
    usual = {"treatment_id": f"{name}-{at}", "customer_id": name, "occurred_at": at, "campaign": "spring", "arm": arm}
    return {**usual, **more}


OFFERED = Target("contract", label_churn, lambda v: v, horizon_days=28, gap_days=14, trials=offer_trials)


def test_offers_are_tried_against_who_was_held_out(engine):
    names = ("kept", "left", "late", "held", "gone", "alone")
    spans = [span(name, 10) for name in ("kept", "held", "alone")]
    spans += [span("left", 10, T + 20), span("late", 10, T + 40), span("gone", 10, T + 5)]
    offers = [offer(name, T + 3, cost=4) for name in ("kept", "left", "late")]
    offers += [offer("held", T + 3, "control"), offer("gone", T + 3, "control", propensity=0.7)]
    offers += [offer("alone", T + 3, campaign="untested")]
    tables = make_tables(engine, customers=customers(*names), subscriptions=spans, treatments=offers)
    found = offer_trials(tables, [day(T)], LATER, OFFERED)
    treated = found.treated.set_index("customer_id")
    assert treated["outcome"].to_dict() == {"kept": 0, "left": 1, "late": 0, "alone": 0}
    assert treated["is_random"].to_dict() == {"kept": True, "left": True, "late": True, "alone": False}
    assert treated.loc["kept", "propensity"] == pytest.approx(3 / 5)
    held_out = found.untreated.set_index("customer_id")
    assert held_out["offer"].to_dict() == {"held": 0, "gone": 1}
    assert held_out.loc["gone", "propensity"] == pytest.approx(0.7)
    assert (found.is_of_all, found.is_unwanted) == (True, True)
    early = offer_trials(tables, [day(T)], day(T + 44), OFFERED)
    assert len(early.treated) == len(early.untreated) == 0, "no outcome is final yet"


def test_a_company_without_offers_has_no_trial(engine):
    tables = make_tables(engine, customers=customers("a"), subscriptions=[span("a", 10)])
    assert not len(offer_trials(tables, [day(T)], LATER, OFFERED).treated)
