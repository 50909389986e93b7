"""Paging and links hold their week: whatever is published meanwhile, nothing is lost and nothing comes twice."""

from __future__ import annotations

import json
import random
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.handwritten_weeks import BEFORE, MONDAY, customer, metric, publish
from vouch.features.contract.tables import DAY_US
from vouch.features.instants import instant_text
from vouch.serving.api.doors import API_ROUTES
from vouch.serving.api.handlers import read
from vouch.serving.api.handlers.accounts import search_accounts
from vouch.serving.api.handlers.lists import cursor_of, seal_of
from vouch.serving.api.problems import Problem
from vouch.serving.api.schemas import AccountsSearch, AdvocatesSearch, AtRiskSearch, CustomerGet
from vouch.serving.api.state import ServingState

WEEK_US = 7 * DAY_US
SCHEDULES = 200


def people(chance: random.Random, number: int = 17) -> list[dict]:
    """Customers who are not all the same from week to week, nor in the same order."""
    ids = sorted(chance.sample([f"c{n:03d}" for n in range(30)], number))
    return [customer(name, chance.random() * 0.45, chance.random(), mrr=chance.random() * 100) for name in ids]


SEARCHES = {
    "candidates": (read.search_advocates, AdvocatesSearch, {}),
    "review": (read.search_advocates, AdvocatesSearch, {"kind": ["review"]}),
    "customers": (read.search_at_risk, AtRiskSearch, {}),
}


def test_paging_under_publication_loses_and_doubles_nothing(tmp_path):
    chance = random.Random(11)
    publish(tmp_path, MONDAY, people(chance))
    store = ServingState(tmp_path)
    store.refresh()
    newest, published = MONDAY, 0
    for schedule in range(SCHEDULES):
        search, takes, filters = SEARCHES[chance.choice(sorted(SEARCHES))]
        whole = search(store, takes(limit=200, **filters))
        rows = "customers" if takes is AtRiskSearch else "candidates"
        found, cursor, weeks, limit = [], None, set(), chance.randint(1, 7)
        while True:
            page = search(store, takes(limit=limit, cursor=cursor, **filters))
            found += [row["customer_id"] for row in page[rows]]
            weeks.add((page["as_of"], page["revision"], page["total"]))
            cursor = page["next_cursor"]
            if cursor is None:
                break
            if published < 40 and chance.random() < 0.06:  # a new week, or another revision of the newest
                newest += WEEK_US * chance.randint(0, 1)
                publish(tmp_path, newest, people(chance), seed=schedule)
                published += 1
                store.refresh()
        assert found == [row["customer_id"] for row in whole[rows]]
        assert weeks == {(whole["as_of"], whole["revision"], whole["total"])}
    assert published > 20, "the schedules publish"
    store.stop()


@pytest.fixture
def store(tmp_path):
    publish(tmp_path, BEFORE, [customer("a", 0.4, 0.4), customer("b", 0.3, 0.3)])
    publish(tmp_path, MONDAY, [customer("a", 0.1, 0.1), customer("c", 0.2, 0.2)])
    found = ServingState(tmp_path)
    found.refresh()
    yield found
    found.stop()


def test_a_link_with_its_instant_shows_what_was_seen(store):
    found = read.search_at_risk(store, AtRiskSearch(as_of="2026-11-09"))
    assert (found["as_of"], [row["customer_id"] for row in found["customers"]]) == ("2026-11-09", ["a", "b"])
    assert read.get_customer(store, CustomerGet(customer_id="a", as_of="2026-11-09"))["churn_probability"] == 0.4
    assert read.get_customer(store, CustomerGet(customer_id="a"))["churn_probability"] == 0.1
    with pytest.raises(Problem, match="unknown_customer"):
        read.get_customer(store, CustomerGet(customer_id="c", as_of="2026-11-09"))


DATED = [route for route in API_ROUTES if "week_gone" in route.problems]
GIVEN = {"customer_id": "a", "account_id": "A1"}


def dated(route, **more):
    """A request of a route as it is described, of customers and accounts that there are."""
    names = route.takes.model_fields.keys()
    known = {name: value for name, value in GIVEN.items() if name in names}
    return route.takes.model_validate({**route.example, **known, **more})


def answered(store, route, **more):
    """What a route answers, but for what is said of the moment of asking."""
    answer = route.answer(store, dated(route, **more))
    answer = json.loads(answer) if isinstance(answer, bytes) else answer
    return {name: value for name, value in answer.items() if name != "is_stale"}


def test_whatever_takes_the_instant_of_a_week_tells_how_one_can_be_absent():
    takes = {route.path for route in API_ROUTES if "past week" in str(route.takes.model_fields.get("as_of"))}
    assert takes == {route.path for route in DATED}
    assert len(takes) > 8
    assert all("unknown_week" in route.problems for route in DATED)


def test_what_was_seen_is_given_again_after_a_later_week(tmp_path):
    before, after = ([customer("a", risk, risk, account_id="A1", owner=who), customer("b", 0.3, 0.3)]
                     for risk, who in ((0.4, "Ada"), (0.1, "Bo")))  # fmt: skip
    publish(tmp_path, BEFORE, before)
    found = ServingState(tmp_path)
    found.refresh()
    seen = [answered(found, route) for route in DATED]
    publish(tmp_path, MONDAY, after, [metric("nps", -7.0)], lists={})
    found.refresh()
    for route, then in zip(DATED, seen, strict=True):
        assert answered(found, route, as_of="2026-11-09") == then, route.path
        assert answered(found, route) != then, route.path
    found.stop()


@pytest.mark.parametrize(
    ("as_of", "code", "status"),
    [
        ("2026-11-02", "week_gone", 410),
        ("2020-01-08", "week_gone", 410),
        ("2027-01-04", "unknown_week", 404),
        ("2026-11-11", "unknown_week", 404),
    ],
)
def test_a_week_that_is_kept_no_more_is_gone_and_one_that_never_was_is_unknown(store, as_of, code, status):
    for route in DATED:
        with pytest.raises(Problem) as problem:
            route.answer(store, dated(route, as_of=as_of))
        assert (problem.value.code, problem.value.status, problem.value.field) == (code, status, "as_of"), route.path


def test_what_is_no_instant_is_told(store):
    with pytest.raises(Problem) as problem:
        read.search_advocates(store, AdvocatesSearch(as_of="last week"))
    assert (problem.value.code, problem.value.field) == ("invalid_value", "as_of")


def test_a_host_without_the_disk_serves_what_the_store_keeps(store, tmp_path):
    shutil.rmtree(tmp_path / "snapshots")
    found = read.search_at_risk(store, AtRiskSearch(as_of="2026-11-09"))
    assert [row["customer_id"] for row in found["customers"]] == ["a", "b"]


def test_a_cursor_of_a_week_that_is_gone_says_so(store, tmp_path):
    cursor = read.search_at_risk(store, AtRiskSearch(limit=1, band=[]))["next_cursor"]
    for week in range(1, 4):
        publish(tmp_path, MONDAY + week * WEEK_US, [customer("a", 0.4, 0.4)])
        store.refresh()
    assert read.search_at_risk(store, AtRiskSearch(limit=1, band=[], cursor=cursor))["as_of"] == "2026-11-16"
    store.past._held.clear()
    shutil.rmtree(tmp_path / "snapshots" / f"as_of={instant_text(MONDAY)}")
    with pytest.raises(Problem, match="week_gone"):
        read.search_at_risk(store, AtRiskSearch(limit=1, band=[], cursor=cursor))


def test_a_cursor_goes_with_its_week_alone(store):
    cursor = read.search_at_risk(store, AtRiskSearch(limit=1, band=[]))["next_cursor"]
    with pytest.raises(Problem, match="unknown_cursor"):
        read.search_at_risk(store, AtRiskSearch(limit=1, band=[], cursor=cursor, as_of="2026-11-09"))
    assert json.dumps(cursor)


def test_a_week_that_was_written_anew_on_the_disk_is_not_told_from_memory(store, tmp_path):
    cursor = read.search_at_risk(store, AtRiskSearch(limit=1, band=[]))["next_cursor"]
    publish(tmp_path, MONDAY + WEEK_US, [customer("a", 0.4, 0.4)])
    store.refresh()
    assert read.search_at_risk(store, AtRiskSearch(limit=1, band=[], cursor=cursor))["as_of"] == "2026-11-16"
    shutil.rmtree(tmp_path / "snapshots" / f"as_of={instant_text(MONDAY)}")
    publish(tmp_path, MONDAY, [customer("b", 0.4, 0.4)])  # as erasing does: the same week, without somebody
    publish(tmp_path, MONDAY + 2 * WEEK_US, [customer("b", 0.4, 0.4)])
    store.refresh()
    assert MONDAY not in {week for week, _ in store.past._held}


def test_a_cursor_of_accounts_that_holds_no_place_is_unknown(store):
    seal = seal_of("", [])
    for value in (float("nan"), float("inf")):
        cursor = cursor_of(seal, value, "", "2026-11-16", 1)
        with pytest.raises(Problem, match="unknown_cursor"):
            search_accounts(store, AccountsSearch(cursor=cursor))


def test_who_asks_for_a_week_that_is_being_read_waits_and_nobody_else_does(store, tmp_path, monkeypatch):
    publish(tmp_path, BEFORE - WEEK_US, [customer("a", 0.4, 0.4)])
    publish(tmp_path, MONDAY + WEEK_US, [customer("a", 0.4, 0.4)])
    store.refresh()
    store.past._held.clear()
    is_reading, may_go_on, read_weeks = threading.Event(), threading.Event(), []
    reading = store.past._read

    def slow(as_of_us, revision, now_us):
        read_weeks.append(as_of_us)
        if as_of_us == BEFORE:
            is_reading.set()
            assert may_go_on.wait(20)
        return reading(as_of_us, revision, now_us)

    monkeypatch.setattr(store.past, "_read", slow)
    with ThreadPoolExecutor(3) as threads:
        slow_ones = [threads.submit(store.past.get, BEFORE, None, MONDAY) for _ in range(2)]
        assert is_reading.wait(20)
        assert threads.submit(store.past.get, BEFORE - WEEK_US, None, MONDAY).result(20).week.as_of_us < BEFORE
        may_go_on.set()
        one, other = (found.result(20) for found in slow_ones)
    assert one is other
    assert read_weeks.count(BEFORE) == 1


def test_a_week_that_was_let_go_of_while_it_was_read_is_read_again(store, monkeypatch):
    reading, calls = store.past._read, []

    def erased_meanwhile(*asked):
        found = reading(*asked)
        calls.append(found)
        if len(calls) == 1:
            store.past._times_let_go += 1
        return found

    monkeypatch.setattr(store.past, "_read", erased_meanwhile)
    assert store.past.get(BEFORE, None, MONDAY) is calls[1]


def test_a_past_week_without_a_champion_lists_all_whom_its_rules_name(tmp_path):
    by_rules = [customer(name, None, churn_status="no_model", health_band=band)
                for name, band in (("a", "at_risk"), ("b", "watch"))]  # fmt: skip
    publish(tmp_path, BEFORE, by_rules)
    publish(tmp_path, MONDAY, [customer("a", 0.4, 0.4)])
    found = ServingState(tmp_path)
    found.refresh()
    listed = read.search_at_risk(found, AtRiskSearch(as_of="2026-11-09"))
    assert (listed["ranked_by"], [row["customer_id"] for row in listed["customers"]]) == ("rules", ["a", "b"])
    found.stop()


def test_past_weeks_are_read_in_turn_and_the_newest_waits_for_none(store):
    past, now = {"as_of": "2026-11-09"}, {}
    for route in (one for one in API_ROUTES if "week_gone" in one.problems):
        asked = {name: value for name, value in route.example.items() if name != "kind"}
        for more, is_past in ((past, True), (now, False)):
            body = route.takes.model_validate({**asked, **more})
            said = [of(store, body) if callable(of) else of for of in (route.is_heavy, route.computes)]
            assert all(said) or not is_past, route.path
