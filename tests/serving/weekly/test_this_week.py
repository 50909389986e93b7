"""Whom to call this week: who moved, by money, with what moved; and what is told where there is one week only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.handwritten_weeks import BEFORE, MONDAY, customer, publish
from support.servers.answering import Served
from vouch.features.contract.tables import DAY_US
from vouch.features.instants import as_datetime
from vouch.serving.api.handlers.accounts import search_accounts
from vouch.serving.api.handlers.asks import search_asks
from vouch.serving.api.handlers.lists import search_at_risk
from vouch.serving.api.handlers.this_week import this_week
from vouch.serving.api.handlers.week_types import WeekAnswer
from vouch.serving.api.schemas import AccountsSearch, AsksSearch, AtRiskSearch, WeekGet
from vouch.serving.api.state import ServingState, now_us
from vouch.serving.store.asks import Wanted, set_outcome, store_ask
from vouch.serving.store.callers import EVERYBODY
from vouch.serving.store.mapped import in_memory
from vouch.serving.weekly.standing import ROSE_BY, week_standing

MOVED = [
    {"cause": "feature", "family": "usage", "feature": "active_days_28d", "before": "9", "value": "3",
     "contribution": 0.5},
    {"cause": "feature", "family": "support", "feature": "tickets_open", "before": "0", "value": "1",
     "contribution": 1.5},
    {"cause": "feature", "family": "surveys", "feature": "nps_last", "before": "4", "value": "9", "contribution": -0.9},
]  # fmt: skip


def answer_of(home, *weeks, limit: int = 10) -> dict:
    for as_of_us, people in weeks:
        publish(home, as_of_us, people)
    store = ServingState(home)
    store.refresh()
    try:
        found = this_week(store, WeekGet(limit=limit))
    finally:
        store.stop()
    assert WeekAnswer.model_validate(found, strict=True).model_dump() == found
    return found


def called(found: dict) -> list[str]:
    return [row["customer_id"] for row in found["call_first"]["customers"]]


def test_who_is_newly_high_and_who_rose_are_called_by_revenue_at_risk(tmp_path):
    before = [customer("a", 0.1, mrr=10.0), customer("b", 0.1, mrr=900.0), customer("c", 0.6), customer("d", 0.25)]
    after = [
        customer("a", 0.6, mrr=10.0, churn_changes=MOVED), customer("b", 0.22, mrr=900.0), customer("c", 0.61),
        customer("d", 0.29),
    ]  # fmt: skip
    found = answer_of(tmp_path, (BEFORE, before), (MONDAY, after))
    assert called(found) == ["b", "a"], "one that was high stays uncalled, and so does a rise within a few points"
    calls = found["call_first"]
    assert (calls["newly_high"], calls["rose"], calls["high"], calls["no_longer_high"]) == (1, 1, 2, 0)
    assert calls["mrr"] == 10.0
    b, a = calls["customers"]
    assert (a["why"], b["why"], a["before"], a["has_moved"], b["has_moved"]) == ("newly_high", "rose", 0.1, True, False)
    assert [reason["contribution"] for reason in a["reasons"]] == [1.5, 0.5]
    assert a["reasons"][0]["words"] == "A ticket is open (before: 0)"


def test_an_owner_sees_the_own_customers_and_their_money_alone(tmp_path):
    people = [customer("a", 0.9, owner="Ines", mrr=5.0), customer("b", 0.9, owner="Jae"), customer("c", 0.9)]
    publish(tmp_path, people=people)
    store = ServingState(tmp_path)
    store.refresh()
    for owner, wanted in ((["Ines"], ["a"]), (["Ines", "Jae"], ["b", "a"]), (["nobody"], []), ([], ["b", "c", "a"])):
        found = this_week(store, WeekGet(owner=owner))
        assert called(found) == wanted
        assert found["call_first"]["high"] == len(wanted)
    assert this_week(store, WeekGet(owner=["Ines"]))["call_first"]["mrr"] == 5.0
    store.stop()


def test_with_one_week_levels_are_shown_and_nobody_has_moved(tmp_path):
    found = answer_of(tmp_path, (MONDAY, [customer("a", 0.6, mrr=10.0), customer("b", 0.7), customer("c", 0.3)]))
    assert found["previous_as_of"] is None
    assert called(found) == ["b", "a"]
    assert {row["why"] for row in found["call_first"]["customers"]} == {"high"}
    assert found["last_week"]["became"] is None
    assert found["new_advocates"]["total"] == 0


def test_what_became_of_those_at_high_risk_adds_up(tmp_path):
    before = [customer(name, 0.7) for name in "abcde"]
    after = [customer("a", 0.8), customer("b", 0.1), customer("c", None), customer("d", None, churn_status="leaving")]
    found = answer_of(tmp_path, (BEFORE, before), (MONDAY, after))
    assert found["last_week"]["became"] == {"flagged": 5, "still_high": 1, "lower": 1, "left": 3}
    assert found["call_first"]["no_longer_high"] == 1


def test_nobody_is_newly_high_where_no_model_scored_the_week_before(tmp_path):
    before = [customer("a", None, churn_status="no_model"), customer("b", None, churn_status="no_model")]
    found = answer_of(tmp_path, (BEFORE, before), (MONDAY, [customer("a", 0.9), customer("c", 0.9)]))
    assert called(found) == []


def test_renewals_are_those_of_the_next_30_days_by_risk(tmp_path):
    def renewing(name: str, churn: float | None, days: int) -> dict:
        return customer(name, churn, renewal_at=as_datetime(MONDAY + days * DAY_US))

    people = [
        renewing("a", 0.1, 0), renewing("b", 0.6, 29), renewing("c", 0.9, 30), renewing("d", 0.9, -1),
        renewing("e", None, 3), customer("f", 0.99),
    ]  # fmt: skip
    found = answer_of(tmp_path, (MONDAY, people))["renewals"]
    assert [row["customer_id"] for row in found["customers"]] == ["b", "a"]
    assert (found["total"], found["in_danger"]) == (2, 1)
    assert found["customers"][1]["renewal_at"] == "2026-11-16T00:00:00Z"


def test_new_advocates_and_those_to_be_thanked_are_told_with_their_latest_act(tmp_path):
    acts = [{"kind": "review", "n": 2, "last_us": BEFORE}, {"kind": "referral", "n": 1, "last_us": MONDAY - 1}]
    before = [customer("a"), customer("b", advocate_tier="active")]
    after = [
        customer("a", advocate_tier="active", acts=acts),
        customer("b", advocate_tier="influential", care_first="thank"),
        customer("c", care_first="repair"),
    ]
    found = answer_of(tmp_path, (BEFORE, before), (MONDAY, after))
    (new,) = found["new_advocates"]["customers"]
    assert (new["customer_id"], new["act"]) == ("a", "referral")
    assert [row["customer_id"] for row in found["to_thank"]["customers"]] == ["b"]


def test_asks_wait_until_they_are_answered_whoever_knows_of_them(tmp_path):
    now = now_us()
    known = [{"ask_id": "known", "kind": "review", "asked_us": now - 3 * DAY_US}]
    publish(tmp_path, people=[customer("a", asks=known), customer("b")])
    store = ServingState(tmp_path)
    store.refresh()
    wanted = Wanted("here", "b", "referral", {"segment": None, "region": None}, None, None, False)
    store_ask(store.database, wanted, store.policy, store.portfolio.asking.sizes, EVERYBODY, now)
    store.follow()
    asked = this_week(store, WeekGet())
    assert [ask["ask_id"] for ask in asked["asks_waiting"]["asks"]] == ["known", "here"]
    assert asked["last_week"]["asks"] == 2
    for ask_id, outcome in (("here", "accepted"), ("known", "declined")):
        set_outcome(store.database, ask_id, outcome, EVERYBODY, now_us())
    store.follow()
    answered = this_week(store, WeekGet())
    assert answered["asks_waiting"]["total"] == 0
    assert (answered["last_week"]["accepted"], answered["last_week"]["declined"]) == (1, 1)
    store.stop()


def test_the_week_is_read_from_an_address_that_is_checked_like_a_body(tmp_path):
    served = Served(tmp_path)
    assert served.call("GET", "/v1/week?limit=1", "read").json()["call_first"]["total"] == 3
    assert len(served.call("GET", "/v1/week?limit=1", "read").json()["call_first"]["customers"]) == 1
    assert served.call("GET", "/v1/week").status_code == 401
    for query in ("limit=0", "limit=x", "limit=1.5", "limitt=3"):
        assert served.call("GET", f"/v1/week?{query}", "read").status_code == 422, query
    served.close()


PROBABILITIES = st.one_of(st.none(), st.floats(0, 1))


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(PROBABILITIES, PROBABILITIES), min_size=1))
def test_nobody_is_called_twice_and_everybody_called_moved(people):
    def rows(place: int) -> dict[str, dict]:
        known = {name: pair[place] for name, pair in people.items()}
        return {name: customer(name, churn) for name, churn in sorted(known.items())}

    now, then = rows(1), rows(0)
    found = week_standing(*(in_memory(table_of(week, now)) for week in ("scores", "customers")),
                          in_memory(table_of("scores", then)), risk_of(now), risk_of(now))  # fmt: skip
    order = [sorted(now)[row] for row in found.by_money(found.to_call)]
    assert len(order) == len(set(order))
    for name in order:
        was, is_now = then[name], now[name]
        is_new = is_now["churn_band"] == "high" != was["churn_band"] is not None
        assert is_new or is_now["churn_probability"] - was["churn_probability"] >= ROSE_BY


def table_of(name: str, people: dict[str, dict]):
    import pyarrow as pa

    from vouch.serving.snapshots import schema as columns

    schema = columns.scores_schema(MONDAY) if name == "scores" else columns.CUSTOMERS
    when = columns.repeated(MONDAY, 1)[0].as_py()
    rows = [{column: row.get(column) for column in schema.names} for row in people.values()]
    return pa.Table.from_pylist([{**row, "as_of": when} if "as_of" in row else row for row in rows], schema)


def risk_of(people: dict[str, dict]):
    import numpy as np

    return np.array([(row["churn_probability"] or np.nan) * row["mrr"] for row in people.values()])


@pytest.mark.parametrize("limit", [1, 2])
def test_a_list_is_as_long_as_is_asked_for_and_tells_how_many_there_are(tmp_path, limit):
    found = answer_of(tmp_path, (MONDAY, [customer(name, 0.9) for name in "abc"]), limit=limit)
    assert (len(called(found)), found["call_first"]["total"]) == (limit, 3)


def test_who_waits_is_who_is_open_in_the_log_of_asks(tmp_path):
    now = now_us()
    asks = [{"ask_id": f"{days}", "kind": "review", "asked_us": now - days * DAY_US} for days in (1, 29, 31, 400)]
    publish(tmp_path, people=[customer(f"c{place}", asks=[ask]) for place, ask in enumerate(asks)])
    store = ServingState(tmp_path)
    store.refresh()
    logged = search_asks(store, AsksSearch(state="open"))
    assert this_week(store, WeekGet())["asks_waiting"]["total"] == logged["counts"]["open"] == 2
    store.stop()


@pytest.mark.parametrize(
    ("currencies", "told", "mrr"),
    [((None, None), None, 30.0), ((None, "EUR"), "EUR", 30.0), (("EUR", "EUR"), "EUR", 30.0),
     (("EUR", "USD"), None, None)],
)  # fmt: skip
def test_no_sum_goes_over_several_currencies_and_one_that_is_named_is_that_of_all(tmp_path, currencies, told, mrr):
    people = [customer(name, 0.9, mrr=10.0 + 10 * place, currency=currency, account_id="x")
              for place, (name, currency) in enumerate(zip("ab", currencies, strict=True))]  # fmt: skip
    publish(tmp_path, MONDAY, people)
    store = ServingState(tmp_path)
    store.refresh()
    found = this_week(store, WeekGet())
    assert (found["currency"], found["call_first"]["mrr"]) == (told, mrr)
    (account,) = search_accounts(store, AccountsSearch())["accounts"]
    assert (account["mrr"] is None) == (mrr is None)
    store.stop()


def test_a_probability_is_never_told_as_money(tmp_path):
    revenues = {"a": (0.9, None), "b": (0.6, 10.0), "c": (0.8, None)}
    publish(tmp_path, MONDAY, [customer(name, churn, mrr=mrr) for name, (churn, mrr) in revenues.items()])
    store = ServingState(tmp_path)
    store.refresh()
    page = search_at_risk(store, AtRiskSearch(limit=2))
    rest = search_at_risk(store, AtRiskSearch(limit=2, cursor=page["next_cursor"]))
    calls = this_week(store, WeekGet())["call_first"]["customers"]
    for rows in ([*page["customers"], *rest["customers"]], calls):
        assert [(row["customer_id"], row["value"], row["value_reason"]) for row in rows] == [
            ("b", pytest.approx(6.0), None), ("a", None, "no_revenue"), ("c", None, "no_revenue")]  # fmt: skip
    store.stop()
