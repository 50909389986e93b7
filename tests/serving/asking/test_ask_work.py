"""The work on asks: recorded with who and how, put right, taken back, ticked off; and no cap broken by any of it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.handwritten_weeks import MONDAY, customer, known_ask, publish
from vouch.features.contract.tables import DAY_US
from vouch.features.instants import as_datetime
from vouch.serving.api import state as stores
from vouch.serving.api.handlers import actions as routes_actions
from vouch.serving.api.handlers import asks as routes_asks
from vouch.serving.api.handlers import read
from vouch.serving.api.handlers.actions import ActionRecord, ActionWithdraw, Objection
from vouch.serving.api.handlers.find import find_customers
from vouch.serving.api.problems import Problem
from vouch.serving.api.schemas import (
    AdvocatesSearch,
    AskCorrect,
    AskGet,
    AskOutcome,
    AskRecord,
    AsksSearch,
    AskWithdraw,
    AtRiskSearch,
    CustomerGet,
    CustomersFind,
)
from vouch.serving.api.state import ServingState
from vouch.serving.asking.rules.caps import Ask, broken
from vouch.serving.asking.rules.policy import load_policy
from vouch.serving.store.asks import Wanted, correct_ask, of_customer, set_outcome, store_ask, withdraw_ask
from vouch.serving.store.callers import EVERYBODY
from vouch.serving.store.tables import ask_versions, asks

NOW = MONDAY + 6 * 3_600_000_000
POLICY = load_policy()


PEOPLE = (
    customer("a", 0.4, 0.9),
    customer("b", 0.6, 0.8, care_first="repair"),
    customer("c", 0.3, 0.7, care_first="thank"),
    customer("d", 0.2, 0.6, asks=[known_ask("k1", 100, "declined")]),
    customer("e", 0.2, 0.6, asks=[known_ask("k2", 40)]),
)


@pytest.fixture
def store(tmp_path, monkeypatch):
    clock = {"us": NOW}
    for module in (stores, routes_asks, routes_actions):
        monkeypatch.setattr(module, "now_us", lambda: clock["us"])
    publish(tmp_path, people=PEOPLE)
    found = ServingState(tmp_path)
    found.refresh()
    found.clock = clock
    yield found
    found.stop()


def listed(store: ServingState, **request) -> list[str]:
    return [row["customer_id"] for row in read.search_advocates(store, AdvocatesSearch(**request))["candidates"]]


def ask(store: ServingState, customer_id: str, ask_id: str, **more) -> dict:
    wanted = {"ask_id": ask_id, "customer_id": customer_id, "kind": "referral", **more}
    return routes_asks.record_ask(store, AskRecord(**wanted), EVERYBODY)


def moment(us: int) -> datetime:
    return as_datetime(us)


def test_a_wrong_answer_is_put_right_and_the_customer_rests_no_longer(store):
    ask(store, "a", "1")
    routes_asks.record_outcome(store, AskOutcome(ask_id="1", outcome="declined"), EVERYBODY)
    found = read.get_customer(store, CustomerGet(customer_id="a"))
    assert (found["exclusion"], found["resting_until"]) == ("refused_lately", "2027-05-15T06:00:00Z")
    told = routes_asks.correct(store, AskCorrect(ask_id="1", outcome="accepted", reason="wrong button"), EVERYBODY)
    assert (told["is_new"], told["ask"]["outcome"]) == (True, "accepted")
    found = read.get_customer(store, CustomerGet(customer_id="a"))
    assert (found["exclusion"], found["resting_until"]) == ("asked_lately", "2026-12-16T06:00:00Z")
    versions = routes_asks.ask_versions(store, AskGet(ask_id="1"))["versions"]
    assert [(row["action"], row["outcome"], row["reason"]) for row in versions] == [
        ("asked", None, None),
        ("answered", "declined", None),
        ("corrected", "accepted", "wrong button"),
    ]
    again = routes_asks.correct(store, AskCorrect(ask_id="1", outcome="accepted"), EVERYBODY)
    assert not again["is_new"]


def test_an_answer_that_was_none_is_taken_away_although_the_data_know_it(store):
    routes_asks.correct(store, AskCorrect(ask_id="k1", outcome=None), EVERYBODY)
    (only,) = read.get_customer(store, CustomerGet(customer_id="d"))["asks"]
    assert (only["ask_id"], only["outcome"], only["outcome_at"]) == ("k1", None, None)
    assert "d" in listed(store)


def test_an_ask_that_was_never_made_counts_nowhere(store):
    ask(store, "a", "1")
    assert "a" not in listed(store)
    assert routes_asks.take_back(store, AskWithdraw(ask_id="1"), EVERYBODY)["is_new"]
    assert not routes_asks.take_back(store, AskWithdraw(ask_id="1"), EVERYBODY)["is_new"]
    assert "a" in listed(store)
    assert read.get_customer(store, CustomerGet(customer_id="a"))["asks"] == []
    for refused in (lambda: ask(store, "a", "1"), lambda: routes_asks.record_outcome(
        store, AskOutcome(ask_id="1", outcome="accepted"), EVERYBODY)):  # fmt: skip
        with pytest.raises(Problem, match="conflict"):
            refused()
    assert ask(store, "a", "2")["is_new"]
    routes_asks.take_back(store, AskWithdraw(ask_id="k2"), EVERYBODY)
    assert read.get_customer(store, CustomerGet(customer_id="e"))["asks"] == []


def test_an_ask_of_yesterday_is_recorded_with_who_how_and_why(store):
    yesterday = moment(NOW - DAY_US)
    more = {"asked_at": yesterday, "channel": "phone", "asked_by": "Ann", "note": "she will think it over"}
    told = ask(store, "a", "1", **more)["ask"]
    assert told == {
        "ask_id": "1", "kind": "referral", "asked_at": "2026-11-15T06:00:00Z", "outcome": None, "outcome_at": None,
        "channel": "phone", "asked_by": "Ann", "note": "she will think it over",
    }  # fmt: skip
    for when in (NOW + DAY_US, NOW - 800 * DAY_US):
        with pytest.raises(Problem, match="invalid_value"):
            ask(store, "c", "2", asked_at=moment(when))


def test_an_earlier_ask_must_leave_room_for_the_later_ones(store):
    ask(store, "a", "1")
    with pytest.raises(Problem) as problem:
        ask(store, "a", "2", asked_at=moment(NOW - 3 * DAY_US))
    assert problem.value.exclusion == "open_ask"


def test_asks_stand_in_the_list_of_their_state(store):
    ask(store, "a", "1")
    found = {
        state: routes_asks.search_asks(store, AsksSearch(state=state))
        for state in ("open", "waiting", "resting", "done")
    }
    assert {state: [row["ask_id"] for row in page["asks"]] for state, page in found.items()} == {
        "open": ["1"], "waiting": ["k2"], "resting": ["1", "k1"], "done": ["k1"],
    }  # fmt: skip
    assert found["open"]["counts"] == {"open": 1, "waiting": 1, "resting": 2, "done": 1}
    ends = moment(MONDAY + (180 - 99) * DAY_US).isoformat().replace("+00:00", "Z")
    assert found["resting"]["asks"][1]["resting_until"] == ends
    page = routes_asks.search_asks(store, AsksSearch(state="resting", limit=1))
    assert page["next_after"] == 1
    last = routes_asks.search_asks(store, AsksSearch(state="resting", limit=1, after=1))
    assert ([row["ask_id"] for row in last["asks"]], last["next_after"]) == (["k1"], None)


def test_what_was_due_first_counts_as_done_once_it_is_ticked_off(store):
    assert "b" not in listed(store)
    done = {"action_id": "1", "customer_id": "b", "kind": "put_right", "note": "the credit was paid"}
    assert routes_actions.record_action(store, ActionRecord(**done), EVERYBODY)["is_new"]
    assert not routes_actions.record_action(store, ActionRecord(**done), EVERYBODY)["is_new"]
    assert "b" not in listed(store), "too likely to leave"
    assert read.get_customer(store, CustomerGet(customer_id="b"))["exclusion"] == "high_churn"
    routes_actions.record_action(store, ActionRecord(action_id="2", customer_id="c", kind="thanked"), EVERYBODY)
    found = read.get_customer(store, CustomerGet(customer_id="c"))
    assert (found["first"], [row["kind"] for row in found["actions"]]) == (None, ["thanked"])
    routes_actions.withdraw_recorded(store, ActionWithdraw(action_id="2"), EVERYBODY)
    found = read.get_customer(store, CustomerGet(customer_id="c"))
    assert (found["first"]["what"], found["actions"]) == ("thank", [])


def test_who_objects_is_in_no_list_and_has_no_score_at_once(store):
    told = routes_actions.record_objection(store, Objection(customer_id="a"), EVERYBODY)
    assert told == {"customer_id": "a", "objects": True, "is_new": True, "objections": 1}
    assert "a" not in listed(store, include_ineligible=True)
    assert "a" not in listed(store, include_ineligible=True, kind=["review"])
    at_risk = read.search_at_risk(store, AtRiskSearch())["customers"]
    assert "a" not in [row["customer_id"] for row in at_risk]
    found = read.get_customer(store, CustomerGet(customer_id="a"))
    assert {found["churn_status"], found["advocacy_status"], found["exclusion"]} == {"opted_out"}
    assert (found["health_score"], found["health_band"], found["advocate_tier"]) == (None, "unknown", "none")
    assert found["churn_probability"] is found["churn_reasons"] is found["ask_for"] is None
    assert found["metrics"] == dict.fromkeys(found["metrics"])
    with pytest.raises(Problem) as problem:
        ask(store, "a", "1")
    assert problem.value.exclusion == "opted_out"
    other = ServingState(store.home)
    other.refresh()
    assert "a" not in listed(other, include_ineligible=True)
    other.stop()
    assert routes_actions.withdraw_objection(store, Objection(customer_id="a"), EVERYBODY)["objections"] == 0
    assert "a" in listed(store)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 40)),
        st.tuples(st.just("answer"), st.sampled_from(["accepted", "declined", "ignored"])),
        st.tuples(st.just("correct"), st.sampled_from([None, "accepted", "declined", "ignored"])),
        st.tuples(st.just("move"), st.integers(0, 60)),
        st.tuples(st.just("withdraw"), st.none()),
    ),
    max_size=25,
)
CAPS = st.fixed_dictionaries(
    {
        "asks_in_30_days": st.integers(0, 2),
        "asks_in_90_days": st.integers(0, 3),
        "open_asks": st.integers(1, 2),
        "open_days": st.integers(0, 40),
        "rest_days_after_refusal": st.integers(0, 200),
    }
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(caps=CAPS, steps=STEPS, days=st.lists(st.integers(0, 30), min_size=25, max_size=25))
def test_no_sequence_of_asks_corrections_and_withdrawals_breaks_a_cap(store, caps, steps, days):
    policy = POLICY.model_copy(update={"caps": POLICY.caps.model_copy(update=caps)})
    database, now_us = store.database, NOW
    with database.writing() as connection:
        for table in (asks, ask_versions):
            connection.execute(table.delete())
    for number, ((step, value), later) in enumerate(zip(steps, days, strict=False)):
        now_us += later * DAY_US // 3 + 1
        with database.reading() as connection:
            before = of_customer(connection, "a")
        target = f"n{value if isinstance(value, int) else number // 2}"
        match step:
            case "ask":
                groups = {"segment": None, "region": None}
                wanted = Wanted(f"n{number}", "a", "referral", groups, None, None, False, now_us - value * DAY_US)
                store_ask(database, wanted, policy, {"segment": {}, "region": {}}, EVERYBODY, now_us)
            case "answer":
                set_outcome(database, target, value, EVERYBODY, now_us)
            case "correct":
                correct_ask(database, target, {"outcome": value}, policy, EVERYBODY, now_us)
            case "move":
                moved = {"asked_us": now_us - value * DAY_US}
                correct_ask(database, f"n{number // 2}", moved, policy, EVERYBODY, now_us)
            case "withdraw":
                withdraw_ask(database, f"n{number // 2}", EVERYBODY, now_us)
        with database.reading() as connection:
            after = of_customer(connection, "a")
        check(before, after, caps, step, value)


def check(before: list[Ask], after: list[Ask], caps: dict, step: str, value: object) -> None:
    """What holds after each step, in plain words, not those of the code."""
    for days, most in ((30, caps["asks_in_30_days"]), (90, caps["asks_in_90_days"])):
        for one in after:
            near = [other for other in after if 0 <= one.asked_us - other.asked_us < days * DAY_US]
            assert len(near) <= most, f"{len(near)} asks in {days} days"
    is_fact = step == "answer" or (step == "correct" and value is not None)
    if is_fact:  # what somebody answered is taken whatever follows from it; no ask is added by it
        assert {one.ask_id for one in after} == {one.ask_id for one in before}
        return
    answered = {one.ask_id for one in before if one.outcome is not None}
    assert answered <= {one.ask_id for one in after}, "no refusal is gone because an ask is taken back"
    for one in after:
        if one in before:
            continue
        earlier = [other for other in after if (other.asked_us, other.ask_id) < (one.asked_us, one.ask_id)]
        unanswered = [
            other
            for other in earlier
            if (other.outcome_us is None or other.outcome_us > one.asked_us)
            and one.asked_us - other.asked_us < caps["open_days"] * DAY_US
        ]
        if one.ask_id not in broken(before, POLICY.caps.model_copy(update=caps)):
            assert len(unanswered) + 1 <= caps["open_asks"], "too many open at a time"
            for other in earlier:
                if other.outcome == "declined" and other.outcome_us <= one.asked_us:
                    assert one.asked_us - other.outcome_us >= caps["rest_days_after_refusal"] * DAY_US, "no rest"


def test_a_day_without_its_zone_is_no_moment(store):
    with pytest.raises(ValueError, match="timezone"):
        AskRecord(ask_id="1", customer_id="a", kind="referral", asked_at=datetime(2026, 11, 15))  # noqa: DTZ001 - refused
    assert AskRecord.model_validate_json(
        '{"ask_id": "1", "customer_id": "a", "kind": "referral", "asked_at": "2026-11-15T06:00:00Z"}'
    ).asked_at == moment(NOW) - timedelta(days=1)


def test_who_objects_is_told_no_score_wherever_a_person_is_named(tmp_path):
    publish(tmp_path, MONDAY, [customer("a", 0.7, 0.2, name="Ann Able"), customer("b", 0.6, 0.2)])
    store = ServingState(tmp_path)
    store.refresh()
    assert find_customers(store, CustomersFind(text="Ann"))["customers"][0]["churn_probability"] == 0.7
    routes_actions.record_objection(store, Objection(customer_id="a"), EVERYBODY)
    store.refresh()
    (found,) = find_customers(store, CustomersFind(text="Ann"))["customers"]
    assert (found["churn_status"], found["churn_probability"], found["churn_band"]) == ("opted_out", None, None)
