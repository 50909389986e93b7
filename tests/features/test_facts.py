"""Business concepts at their bounds: exactly at the instant, and one microsecond before and after it."""

from __future__ import annotations

import narwhals as nw
import pandas as pd
import pytest

from support.rows import metric_examples
from support.rows.facts_rows import (
    DAYS,
    GAP_US,
    OF_REFERRALS,
    OF_SUBSCRIPTIONS,
    T,
    act,
    before,
    company,
    kept,
    might_be_asked,
    on_each_engine,
    referral,
    span,
    ticket,
    vectors_of,
)
from vouch.features.contract.tables import DAY_US
from vouch.features.facts.acts import ORGANIC
from vouch.features.facts.spans import NEVER_US
from vouch.features.facts.stays import GAP_DAYS, stays
from vouch.features.metrics.context import MetricContext
from vouch.features.metrics.definitions.contacts import contacts
from vouch.features.metrics.definitions.purchases import orders
from vouch.features.metrics.definitions.referral import recent_referrals, referrers
from vouch.features.metrics.definitions.retention import revenue_starters, starters
from vouch.features.metrics.populations.advocacy import acts, valid_referrals
from vouch.features.metrics.populations.customers import active
from vouch.features.metrics.populations.customers import stays as stays_of
from vouch.features.vectors.build import panel
from vouch.features.vectors.declare import load_families
from vouch.features.vectors.fingerprints import feature_fingerprints
from vouch.models.eligibility import is_active, subscriber_status
from vouch.models.outcomes import churn_events, organic_acts
from vouch.serving.asking.ranking import exclusions
from vouch.serving.asking.rules.policy import load_policy
from vouch.serving.asking.what_to_ask import what_to_ask
from vouch.serving.batch.histories import Histories
from vouch.serving.batch.profiles import profiles
from vouch.serving.batch.tiers import tiers


@on_each_engine
@pytest.mark.parametrize(("pause_us", "ends"), [(0, 1), (1, 1), (GAP_US - 1, 1), (GAP_US, 2), (GAP_US + 1, 2)])
def test_a_pause_of_the_gap_or_longer_ends_a_stay(engine, pause_us, ends):
    first, last = before(300), before(10)
    rows = company(engine, subscriptions=[span(before(400), first), span(first + pause_us, last)])
    found = stays(rows.frames["subscriptions"])
    assert kept(found, "end_us") == [(first,), (last,)][-ends:]


@on_each_engine
def test_a_subscription_that_ends_as_it_starts_never_ran(engine):
    at = before(DAYS - 1)
    spans = [
        span(at, at, "failed"), span(at, at + 1, "short"), span(before(99), at, "gone"), span(at, at, "gone"),
        span(before(99), at, "changed", subscription_id="k1"), span(at, at, "changed", subscription_id="k2", mrr=9),
        span(at, None, "changed", subscription_id="k3", mrr=2),
    ]  # fmt: skip
    tables = company(engine, subscriptions=spans)
    context, found = MetricContext(tables, T), vectors_of(tables, *OF_SUBSCRIPTIONS)
    ends = [("changed", NEVER_US), ("gone", at), ("short", at + 1)]
    assert kept(context.keep(stays_of), "customer_id", "end_us") == ends
    assert churn_events(tables, T, GAP_DAYS)["customer_id"].tolist() == ["gone", "short"]
    assert kept(starters.prepare(context, DAYS), "customer_id", "is_retained") == [("changed", 1), ("gone", 0)]
    assert found["has_ever_subscribed"].to_dict() == {"changed": 1, "failed": 0, "gone": 1, "short": 1}
    assert found["subscriptions_ended"].to_dict() == {"changed": 1, "failed": 0, "gone": 1, "short": 1}
    assert found.loc["changed", ["plan_upgrades", "plan_downgrades"]].tolist() == [1, 0]
    assert subscriber_status(found).tolist() == ["ok", "not_eligible", "churned", "churned"]


def test_who_subscribes_to_a_company_that_tells_no_ends_has_not_left():
    tables = metric_examples.company(
        {"subscriptions": [{"customer_id": c, "started_at": -300, "mrr": 10} for c in "ab"]}
    )
    assert not tables.has("subscriptions", "ended_at")
    found = panel(tables, [metric_examples.INSTANT_US])
    assert subscriber_status(found).tolist() == ["ok", "ok"]


def test_which_rows_count_is_part_of_the_definition_of_a_feature(monkeypatch):
    held = feature_fingerprints()
    monkeypatch.setattr("vouch.features.facts.rows.WHERE", {})
    moved = {name for name, text in feature_fingerprints().items() if text != held[name]}
    tables = {name: declared.table for name, declared in load_families().items()}
    assert {name for name, table in tables.items() if table == "subscriptions"} <= moved
    assert {tables[name] for name in moved} <= {"subscriptions", None}


def test_a_stay_that_runs_on_has_no_end():
    rows = company(subscriptions=[span(before(90)), span(before(80), before(50))])
    assert kept(stays(rows.frames["subscriptions"]), "end_us") == [(NEVER_US,)]


@on_each_engine
def test_a_pause_of_exactly_the_gap_is_churn_in_metric_and_label_alike(engine):
    end = before(DAYS + 1)
    spans = [span(before(200), end, c) for c in "abc"]
    spans += [span(end + GAP_US + late, None, c) for c, late in (("a", -1), ("b", 0), ("c", 1))]
    tables = company(engine, subscriptions=spans)
    assert churn_events(tables, T, GAP_DAYS)["customer_id"].tolist() == ["b", "c"]
    assert kept(starters.prepare(MetricContext(tables, T), DAYS), "customer_id", "is_retained") == [("a", 1)]


@on_each_engine
def test_internal_customers_are_in_nothing(engine):
    staff = {"customer_id": "staff", "created_at": before(900), "is_internal": True}
    come = [{"customer_id": c, "created_at": before(900), "referred_by": by} for c, by in (("p", "a"), ("q", "staff"))]
    sent = [referral("a", "staff"), referral("a", "p"), referral("b", "staff"), referral("staff", "q")]
    made = [act("a", before(4), kind="review"), act("staff", before(3), kind="review")]
    tables = company(engine, customers=[staff, *come], referrals=sent, advocacy_acts=made)
    context = MetricContext(tables, T)
    assert kept(context.keep(valid_referrals), "advocate_id", "prospect_id") == [("a", "p")]
    assert kept(context.keep(acts), "customer_id", "kind") == [("a", "referral"), ("a", "review")]
    assert organic_acts(tables, T)["customer_id"].tolist() == ["a", "a"]
    at_two = panel(tables, [T - 1, T]).set_index(["as_of_us", "customer_id"])
    for found in (vectors_of(tables, *OF_REFERRALS, "was_referred"), at_two.loc[T - 1], at_two.loc[T]):
        assert found.index.tolist() == ["a", "b", "p", "q"]
        assert found["referrals_lifetime"].tolist() == found["organic_referrals_365d"].tolist() == [1, 0, 0, 0]
        assert found["referrals_invalid"].tolist() == [0, 0, 0, 0]
        assert found["was_referred"].tolist() == [0, 0, 1, 0]
    assert tiers(tables, T) == {"a": "active"}


@on_each_engine
@pytest.mark.parametrize(
    ("resolved", "is_announced", "is_open"),
    [
        (None, False, True),
        (T + 1, True, True),
        (T, True, True),
        (T - 1, True, False),
        (T, False, True),
        (T - 1, False, False),
    ],
)
def test_a_ticket_is_open_until_it_is_resolved_before_the_instant(engine, resolved, is_announced, is_open):
    known = before(8) if is_announced else None
    tables = company(engine, tickets=[ticket(before(9), resolved_at=resolved, ingested_at=known, priority="HIGH")])
    assert vectors_of(tables, "tickets_open").loc["a", "tickets_open"] == is_open
    priorities = Histories(tables, T).of(["a"])["open_tickets"].to_pylist()
    assert priorities == [["high"] if is_open else None]
    assert (why_not_asked(priorities) == "open_ticket") == is_open


def why_not_asked(priorities) -> str | None:
    """Why a customer with open tickets of these priorities is not asked."""
    customers, policy = (
        might_be_asked(open_tickets=priorities).assign(advocate_tier="none", contact_consent=True),
        load_policy(),
    )
    return exclusions(customers, policy, what_to_ask(customers, policy, T))[0]


def test_the_priorities_that_mean_high_are_the_same_for_the_feature_and_for_who_may_be_asked():
    called = ["high", "URGENT", "Critical", "blocker", "P0", "p1", "p2", "normal", "low", "p3", None]
    tables = company(tickets=[ticket(before(9), ticket_id=str(n), priority=word) for n, word in enumerate(called)])
    (held,) = Histories(tables, T).of(["a"])["open_tickets"].to_pylist()
    asked = [why_not_asked([[word]]) != "open_ticket" for word in held]
    assert asked.count(False) == vectors_of(tables, "tickets_urgent_90d").loc["a", "tickets_urgent_90d"] == 7


def test_a_resolution_that_is_yet_to_come_settles_nothing():
    rows = [ticket(before(20), resolved_at=at, ingested_at=before(19)) for at in (T - 1, T, T + 1)]
    found = contacts.prepare(MetricContext(company(tickets=rows), T), 90)
    assert sorted(row for (row,) in kept(found, "settled")) == [0, 0, 1]


@on_each_engine
def test_a_referral_that_is_listed_on_the_same_day_is_one_act_as_it_is_listed(engine):
    at = before(9)
    made = [act("asked", at, ask_id="k"), act("paid", at, is_incentivised=True), act("free", at),
            act("review", at, kind="review", ask_id="k"), act("day before", at - 1, ask_id="k"),
            act("day after", at + DAY_US, ask_id="k"), act("same day", at + DAY_US - 1, ask_id="k")]  # fmt: skip
    sent = [referral(row["customer_id"], "p", at) for row in made]
    tables = company(engine, advocacy_acts=made, referrals=sent, asks=[])
    of_metric = MetricContext(tables, T).keep(acts)
    assert kept(of_metric.filter(nw.col("sort") == ORGANIC), "customer_id", "unit") == [
        ("day after", f"referral day after-p-{at}"), ("day before", f"referral day before-p-{at}"),
        ("free", f"act free-{at}"), ("review", f"referral review-p-{at}"),
    ]  # fmt: skip
    assert organic_acts(tables, T)["customer_id"].tolist() == ["day after", "day before", "free", "review"]
    assert kept(of_metric.filter(nw.col("sort") == "prompted"), "customer_id") == [
        ("asked",), ("day after",), ("day before",), ("review",), ("same day",),
    ]  # fmt: skip
    found = vectors_of(tables, "organic_acts_90d", "prompted_acts_365d", "incentivised_acts_365d")
    assert found.sum().tolist() == [1, 5, 1]
    assert found.loc["free"].tolist() == [1, 0, 0]


@on_each_engine
def test_the_first_of_several_invitations_is_the_referral_and_a_conversion_on_any_counts(engine):
    since = before(365)
    sent = [
        referral("early", "p", since - 1), referral("early", "p", since + 1, converted_at=since + 5, first_value=7),
        referral("on", "q", since, is_incentivised=False), referral("on", "q", since + 1, is_incentivised=True),
        referral("paid", "r", since, is_incentivised=True), referral("paid", "r", since + 1),
        referral("fraud", "s", since - 1, is_fraud=True), referral("fraud", "s", since),
        referral("self", "self", since), referral("twice", "t", since, converted_at=since + 1, first_value=3),
        referral("twice", "t", since + 2, converted_at=since + 3, first_value=5),
    ]  # fmt: skip
    tables = company(engine, referrals=sent)
    found = vectors_of(
        tables, "referrals_365d", "organic_referrals_365d", "referrals_converted_lifetime", "referral_value"
    )
    assert found.loc["early"].tolist() == [0, 0, 1, 7]
    assert found.loc["on"].tolist() == [1, 1, 0, 0]
    assert found.loc["paid"].tolist() == [1, 0, 0, 0]
    assert found.loc["fraud"].tolist() == [1, 1, 0, 0]
    assert found.loc["self"].tolist() == [0, 0, 0, 0]
    assert found.loc["twice"].tolist() == [1, 1, 1, 3]
    context = MetricContext(tables, T)
    recent = [("fraud",), ("on",), ("paid",), ("twice",)]
    assert kept(recent_referrals.prepare(context, 365), "customer_id") == recent
    sorts = [
        ("early", "organic"),
        ("fraud", "organic"),
        ("on", "organic"),
        ("paid", "incentivised"),
        ("twice", "organic"),
    ]
    assert kept(context.keep(acts), "customer_id", "sort") == sorts
    assert sorted(organic_acts(tables, T)["customer_id"]) == ["early", "fraud", "on", "twice"]
    converted = context.keep(valid_referrals).filter(~nw.col("ever_converted_us").is_null())
    assert kept(converted, "advocate_id") == [("early",), ("twice",)]
    assert kept(referrers.prepare(context, 365), "customer_id", "referrals", "invites") == [
        ("early", 0, 1), ("fraud", 1, 1), ("on", 1, 2), ("paid", 1, 2), ("twice", 1, 2),
    ]  # fmt: skip


def test_somebody_is_internal_from_the_moment_at_which_that_is_known():
    known = [{"customer_id": "p", "created_at": before(900), "is_internal": c, "ingested_at": at}
             for c, at in ((False, before(900)), (True, before(1)))]  # fmt: skip
    tables = company(customers=known, referrals=[referral("a", "p", before(3))])
    found = panel(tables, [before(2), T]).set_index(["as_of_us", "customer_id"])["referrals_lifetime"]
    assert (found[before(2), "a"], found[T, "a"]) == (1, 0)
    assert [len(kept(MetricContext(tables, at).keep(valid_referrals), "sender")) for at in (before(2), T)] == [1, 0]


@on_each_engine
@pytest.mark.parametrize(("at", "is_recent"), [(before(90) - 1, False), (before(90), True), (T - 1, True), (T, False)])
def test_usage_or_a_transaction_of_90_days_makes_active_to_metrics_and_to_eligibility(engine, at, is_recent):
    used = {"customer_id": "a", "occurred_at": at, "event": "open"}
    paid = {"transaction_id": "1", "customer_id": "b", "occurred_at": at, "amount": 1, "kind": "renewal"}
    tables = company(engine, usage_events=[used], transactions=[paid])
    assert kept(active(MetricContext(tables, T)), "customer_id") == ([("a",), ("b",)] if is_recent else [])
    assert is_active(vectors_of(tables, "days_since_activity")).tolist() == [is_recent, is_recent]


@on_each_engine
def test_an_order_is_a_purchase_and_its_lines_are_one(engine):
    lines = [("1", "o", "purchase"), ("2", "o", "purchase"), ("3", None, "purchase"), ("4", "p", "renewal"),
             ("5", "o", "refund")]  # fmt: skip
    rows = [{"transaction_id": n, "customer_id": "a", "order_id": key, "kind": kind, "amount": 1, "occurred_at": T - 1}
            for n, key, kind in lines]  # fmt: skip
    tables = company(engine, transactions=rows)
    assert vectors_of(tables, "orders_lifetime").loc["a", "orders_lifetime"] == 2
    assert kept(orders(MetricContext(tables, T)), "order") == [("3",), ("o",)]


@on_each_engine
@pytest.mark.parametrize(
    ("start", "end", "is_running"),
    [
        (T - 1, None, True),
        (T, None, False),
        (before(9), T + 1, True),
        (before(9), T, True),
        (before(9), T - 1, False),
    ],
)
def test_what_began_before_the_instant_and_has_not_ended_before_it_runs_at_it(engine, start, end, is_running):
    tables = company(engine, subscriptions=[span(start, end, ingested_at=start)])  # the end was announced
    vector = vectors_of(tables, *OF_SUBSCRIPTIONS).loc["a"]
    assert vector["is_subscribed"] == vector["mrr"] == is_running
    assert vector["subscriptions_ended"] == (start < T and not is_running)
    assert vector["is_leaving"] == (is_running and end is not None)
    status = subscriber_status(pd.DataFrame([vector]))[0]
    assert status == ("not_eligible" if start == T else "churned" if not is_running else "leaving" if end else "ok")
    context = MetricContext(tables, T)
    assert kept(active(context), "customer_id") == ([("a",)] if is_running else [])
    assert kept(profiles(tables, T), "mrr") == [(float(is_running),)]


@on_each_engine
@pytest.mark.parametrize(("start", "end", "ran"), [(-1, 1, True), (0, None, False), (-1, None, True), (-9, 0, False)])
def test_of_an_instant_that_is_past_it_is_known_who_has_left_at_it(engine, start, end, ran):
    since = before(DAYS)
    spans = [span(since + start, None if end is None else since + end)]
    context = MetricContext(company(engine, subscriptions=spans), T)
    expected = [("a",)] if ran else []
    assert kept(starters.prepare(context, DAYS), "customer_id") == expected
    assert kept(revenue_starters.prepare(context, DAYS), "customer_id") == expected


def test_a_change_of_plan_as_the_window_begins_leaves_nobody_out():
    spans = [span(before(99), before(DAYS)), span(before(DAYS), None, mrr=3)]
    found = revenue_starters.prepare(MetricContext(company(subscriptions=spans), T), DAYS)
    assert kept(found, "start_mrr", "end_mrr") == [(3.0, 3.0)]
