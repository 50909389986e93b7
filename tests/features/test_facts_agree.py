"""One company, several readers: what a metric counts, a label learns and a feature or a rule says is the same."""

from __future__ import annotations

import math
from collections import Counter

import narwhals as nw
from hypothesis import given, settings
from hypothesis import strategies as st

from support.rows.facts_rows import (
    DAYS,
    GAP_US,
    T,
    act,
    before,
    company,
    kept,
    referral,
    span,
    ticket,
    vectors_of,
)
from vouch.features.contract.tables import DAY_US
from vouch.features.facts.acts import ORGANIC
from vouch.features.metrics.context import MetricContext
from vouch.features.metrics.definitions.advocacy import actors
from vouch.features.metrics.definitions.referral import recent_referrals
from vouch.features.metrics.definitions.retention import starters
from vouch.features.metrics.populations.advocacy import acts as all_acts
from vouch.models.churn import MODEL as CHURN
from vouch.models.outcomes import churn_events, label_advocacy, label_churn, organic_acts
from vouch.models.targets import Target
from vouch.serving.batch.histories import Histories

STAFF = {"customer_id": "staff", "created_at": before(900), "is_internal": True}
UNTIL = T + DAYS * DAY_US
few = settings(max_examples=20)

pauses = st.sampled_from([0, 1, DAY_US, GAP_US - 1, GAP_US, GAP_US + 1, 20 * DAY_US])
lengths = st.one_of(st.none(), st.integers(0, 40).map(lambda days: days * DAY_US))
steps = st.lists(st.tuples(lengths, pauses), max_size=3)
lives = st.tuples(st.integers(-20, DAYS + 2), pauses, steps)


def spans_of(customer, life):
    """Subscriptions one after another, from the end of the first in days from T on.

    What would begin after the window is left out, so that all pauses are known.
    """
    first_end, first_pause, more = life
    at, rows = before(90), []
    for length, pause in [((90 + first_end) * DAY_US, first_pause), *more]:
        if at >= UNTIL:
            break
        number = f"{customer}{len(rows)}"
        rows.append(span(at, None if length is None else at + length, customer, subscription_id=number))
        if length is None:
            break
        at += length + pause
    return rows


def corrected(rows, drawn, **facts):
    """The rows, and of some of them a second version that says something else, known from some moment on."""
    again = [{**row, **facts, "ingested_at": at} for row, at in zip(rows, drawn, strict=False) if at is not None]
    return [*rows, *again]


def named(rows, column):
    return {row["customer_id"] for row in rows if row[column]}


def there_at(rows, at):
    """Who was a customer at an instant that is past, by hand: a walk from one subscription to the next."""
    newest = {row["subscription_id"]: row for row in rows if row["ended_at"] != row["started_at"]}.values()
    found = set()
    for name in {row["customer_id"] for row in newest}:
        began = reach = -math.inf
        for row in sorted((row for row in newest if row["customer_id"] == name), key=lambda row: row["started_at"]):
            if began < at < reach:
                break
            if row["started_at"] >= reach + GAP_US:
                began = row["started_at"]
            reach = max(reach, math.inf if row["ended_at"] is None else row["ended_at"])
        if began < at < reach:
            found.add(name)
    return found


@few
@given(st.lists(lives, min_size=4, max_size=12), st.lists(st.sampled_from([None, T - 1, T, UNTIL - 1]), max_size=8))
def test_who_churned_by_the_label_and_is_not_back_is_who_the_churn_rate_counts(drawn, corrections):
    rows = [row for number, life in enumerate(drawn) for row in spans_of(f"c{number}", life)]
    rows = corrected(rows, corrections, ended_at=None)
    tables = company(subscriptions=rows, customers=[STAFF])
    target = CHURN.targets[0]
    churned = named(label_churn(tables, [T], T + target.matured_days * DAY_US, target).to_dict("records"), "label")
    then = dict(kept(starters.prepare(MetricContext(tables, UNTIL), DAYS), "customer_id", "is_retained"))
    subscribed = vectors_of(tables, "is_subscribed", as_of_us=UNTIL)
    back = set(subscribed.index[subscribed["is_subscribed"] == 1])
    assert then.keys() == there_at(rows, T)
    assert {name for name, is_retained in then.items() if not is_retained} == (churned & then.keys()) - back
    assert {name for name, is_retained in then.items() if is_retained} == then.keys() & back


when = st.sampled_from([before(366), before(91), before(90) - 1, before(90), before(40), T - 1, T])
who = st.sampled_from(["a", "a", "b", "staff"])
listed = st.sampled_from([None, {}, {"ask_id": "k"}, {"is_incentivised": True}, {"kind": "review"}])
prospects = st.sampled_from([None, "a", "p", "p", "p", "staff"])
deeds = st.tuples(who, when, listed, prospects, st.booleans(), st.booleans())
late = st.lists(st.sampled_from([None, T - 1, T, T + 1]), max_size=6)


@few
@given(st.lists(deeds, min_size=4, max_size=14), late)
def test_an_organic_act_is_one_to_metric_label_and_feature(drawn, corrections):
    done = [act(c, at, act_id=str(n), **how) for n, (c, at, how, *_) in enumerate(drawn) if how is not None]
    invited = [referral(c, whom, at, referral_id=str(n), is_incentivised=paid, is_fraud=fraud and paid)
               for n, (c, at, _, whom, paid, fraud) in enumerate(drawn) if whom is not None]  # fmt: skip
    people = [STAFF, *({"customer_id": c, "created_at": before(900)} for c in "ab")]
    tables = company(customers=people, advocacy_acts=done, referrals=corrected(invited, corrections, is_fraud=True))
    context = MetricContext(tables, T)
    counted = dict(kept(actors.prepare(context, 90), "customer_id", "organic"))
    label = Target("organic", label_advocacy, lambda v: v, horizon_days=90)
    acted = label_advocacy(tables, [before(90)], T, label).to_dict("records")
    assert named(acted, "label") == {customer for customer, organic in counted.items() if organic}
    organic = context.keep(all_acts).filter(nw.col("sort") == ORGANIC)
    moments = organic_acts(tables, T)
    assert set(kept(organic, "customer_id", "own_us")) == set(moments.itertuples(index=False, name=None))
    found = vectors_of(tables, "organic_acts_90d", "referrals_365d", "organic_referrals_365d")
    valid = recent_referrals.prepare(context, 365)
    for feature, rows in {
        "organic_acts_90d": organic.filter(nw.col("unit").str.starts_with("act "), nw.col("own_us") >= before(90)),
        "referrals_365d": valid,
        "organic_referrals_365d": valid.filter(nw.col("is_rewarded") == 0),
    }.items():
        by_customer = Counter(customer for (customer,) in kept(rows, "customer_id"))
        assert found[feature].to_dict() == {customer: by_customer[customer] for customer in "ab"}


opened = st.tuples(st.sampled_from([before(9), T - 1, T]), st.one_of(st.none(), st.integers(-2, 2)), st.booleans())


@few
@given(st.lists(opened, max_size=6), late)
def test_a_ticket_is_open_to_the_feature_and_to_the_rule_of_asking_alike(drawn, corrections):
    rows = [ticket(at, ticket_id=str(n), resolved_at=None if end is None else max(T + end, at),
                   ingested_at=at if is_stated else None) for n, (at, end, is_stated) in enumerate(drawn)]  # fmt: skip
    tables = company(customers=[{"customer_id": "a", "created_at": before(900)}],
                     tickets=corrected(rows, corrections, resolved_at=T - 1))  # fmt: skip
    (held,) = Histories(tables, T).of(["a"])["open_tickets"].to_pylist()
    assert vectors_of(tables, "tickets_open").loc["a", "tickets_open"] == len(held or ())


def test_the_events_of_churn_are_those_of_external_customers():
    rows = [span(before(90), before(30), "a"), span(before(90), before(30), "staff")]
    tables = company(customers=[STAFF], subscriptions=rows)
    assert churn_events(tables, T, 14)["customer_id"].tolist() == ["a"]
