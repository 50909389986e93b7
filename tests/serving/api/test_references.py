"""The reference desk: a request finds who fits and may be asked, becomes an ask under the caps, ends with a deal."""

from __future__ import annotations

import pytest

from support.handwritten_weeks import MONDAY, customer, known_ask, publish
from vouch.features.contract.tables import DAY_US
from vouch.features.statistics.intervals import wilson
from vouch.serving.api import state as stores
from vouch.serving.api.handlers import asks as routes_asks
from vouch.serving.api.handlers import references as desk
from vouch.serving.api.handlers.actions import Objection, record_objection
from vouch.serving.api.handlers.reference_types import (
    ReferenceAsk,
    ReferenceClose,
    ReferenceDeal,
    ReferenceMatch,
    ReferenceRecord,
    ReferencesSearch,
)
from vouch.serving.api.problems import Problem
from vouch.serving.api.schemas import AskCorrect, AskOutcome, AskWithdraw
from vouch.serving.api.state import ServingState
from vouch.serving.lifecycle.served import ROWS_OF_A_CUSTOMER
from vouch.serving.store.callers import EVERYBODY

NOW = MONDAY + 6 * 3_600_000_000
FITS = {"industry": "retail", "use_case": "reporting", "persona": "it", "region": "KR-11", "company_size": 300}
WILLING = {"nps_last": 10.0, "language": "en-GB", **FITS}
PEOPLE = (
    customer("fits", **WILLING),
    customer("other use", **{**WILLING, "use_case": "compliance"}),
    customer("other tongue", **{**WILLING, "language": "ko"}),
    customer("no consent", **{**WILLING, "advocacy_consent": False}),
    customer("low nps", **{**WILLING, "nps_last": 6.0}),
    customer("asked lately", **WILLING, asks=[known_ask("k1", 5, "accepted")]),
    customer("asked once", **WILLING, asks=[{**known_ask("k2", 60, "accepted"), "kind": "referral"}]),
    customer("tiny", **{**WILLING, "company_size": 3}),
    customer("nothing known", nps_last=10.0, language="en"),
)
WANTED = {"request_id": "r1", "deal": "OPP-1", "language": "en", **FITS}


@pytest.fixture
def clock(monkeypatch):
    found = {"us": NOW}
    for module in (stores, routes_asks, desk):
        monkeypatch.setattr(module, "now_us", lambda: found["us"])
    return found


@pytest.fixture
def store(tmp_path, clock):
    publish(tmp_path, people=sorted(PEOPLE, key=lambda person: person["customer_id"]))
    found = ServingState(tmp_path)
    found.refresh()
    yield found
    found.database.close()


def asked(store, customer_id="fits", ask_id="a1", request_id="r1"):
    wanted = ReferenceAsk(request_id=request_id, ask_id=ask_id, customer_id=customer_id)
    found = desk.ask_reference(store, wanted, EVERYBODY)
    store.follow()
    return found


def matched(store, request_id="r1", limit=10):
    return desk.match_reference(store, ReferenceMatch(request_id=request_id, limit=limit))


def who(found):
    return [row["customer_id"] for row in found["advocates"]]


def record(store, **more):
    return desk.record_reference(store, ReferenceRecord(**{**WANTED, **more}), EVERYBODY)


def answered(store, outcome, ask_id="a1"):
    routes_asks.record_outcome(store, AskOutcome(ask_id=ask_id, outcome=outcome), EVERYBODY)


def listed(store, *state):
    return desk.search_references(store, ReferencesSearch(state=list(state)))


def refusal(call, *arguments, **named):
    with pytest.raises(Problem) as told:
        call(*arguments, **named)
    return told.value.exclusion or told.value.code


def test_who_fits_may_be_asked_and_is_rested_comes_first_and_nobody_else_is_listed(store):
    record(store)
    found = matched(store)
    assert who(found)[0] == "fits"
    assert set(who(found)) == {"fits", "other use", "asked once", "tiny"}
    assert found["total"] == 4
    assert found["unused"] == []
    of = {row["customer_id"]: row for row in found["advocates"]}
    assert of["fits"]["fit"] == pytest.approx(1.0)
    assert of["asked once"]["rest"] == 0.5
    assert of["other use"]["fit"] == pytest.approx(1 - 3 / 10.5)
    assert all(row["value"] == pytest.approx(row["fit"] * row["acceptance"] * row["rest"]) for row in of.values())


def test_what_the_tables_lack_is_named_and_a_request_that_names_nothing_is_fitted_by_all(tmp_path, clock):
    publish(tmp_path, people=[customer("a", nps_last=9.0), customer("b", nps_last=9.0)])
    store = ServingState(tmp_path)
    store.refresh()
    record(store)
    found = matched(store)
    assert set(found["unused"]) == {*FITS, "language"}
    assert set(who(found)) == {"a", "b"}
    store.database.close()


def test_a_request_goes_from_requested_to_done_and_the_deal_is_counted(store):
    assert record(store)["is_new"]
    assert not record(store)["is_new"]
    assert refusal(record, store, industry="health") == "conflict"
    assert listed(store)["counts"]["requested"] == 1
    assert refusal(desk.close_reference, store, ReferenceClose(request_id="r1", state="done"), EVERYBODY) == "conflict"
    assert asked(store)["reference"]["state"] == "asked"
    assert not asked(store)["is_new"]
    assert refusal(asked, store, "other use", "a2") == "conflict"  # somebody is being asked
    answered(store, "accepted")
    assert listed(store, "accepted")["references"][0]["asked"][0]["outcome"] == "accepted"
    closing = ReferenceClose(request_id="r1", state="done")
    assert desk.close_reference(store, closing, EVERYBODY)["reference"]["state"] == "done"
    assert not desk.close_reference(store, closing, EVERYBODY)["is_new"]
    desk.tell_deal(store, ReferenceDeal(request_id="r1", outcome="lost"), EVERYBODY)
    desk.tell_deal(store, ReferenceDeal(request_id="r1", outcome="won"), EVERYBODY)
    rate = listed(store)["with_reference"]
    interval = wilson(1, 1)
    assert rate == {"won": 1, "n": 1, "value": 1.0, "low": float(interval.low), "high": float(interval.high)}
    assert listed(store)["without_reference"]["value"] is None


@pytest.mark.parametrize("outcome", ["declined", "ignored"])
def test_who_declines_leaves_the_request_open_for_an_alternate_and_is_not_proposed_for_it_again(store, outcome):
    record(store)
    asked(store)
    answered(store, outcome)
    assert listed(store)["counts"]["requested"] == 1
    assert "fits" not in who(matched(store))
    assert asked(store, "other use", "a2")["reference"]["state"] == "asked"
    answered(store, "accepted", "a2")
    routes_asks.correct(store, AskCorrect(ask_id="a2", outcome="declined", reason="misheard"), EVERYBODY)
    assert listed(store)["counts"]["requested"] == 1


def test_an_ask_that_is_taken_back_leaves_the_request_open(store):
    record(store)
    asked(store)
    routes_asks.take_back(store, AskWithdraw(ask_id="a1"), EVERYBODY)
    assert listed(store)["counts"]["requested"] == 1


@pytest.mark.parametrize(
    ("name", "why"),
    [("no consent", "no_consent"), ("asked lately", "asked_lately"), ("low nps", "kind_unmet")],
)
def test_the_rules_of_asks_hold_for_requests_and_nothing_is_written_where_they_refuse(store, name, why):
    record(store)
    assert refusal(asked, store, name) == why
    assert listed(store)["references"][0]["state"] == "requested"
    assert listed(store)["references"][0]["asked"] == []


def test_two_requests_do_not_ask_the_same_advocate_within_the_caps(store, clock):
    record(store)
    record(store, request_id="r2", deal="OPP-2")
    asked(store)
    assert "fits" not in who(matched(store, "r2"))
    assert refusal(asked, store, "fits", "a2", "r2") == "open_ask"
    answered(store, "accepted")
    clock["us"] = NOW + 5 * DAY_US
    assert refusal(asked, store, "fits", "a2", "r2") == "asked_lately"


def test_who_objects_is_neither_proposed_nor_named_nor_asked(store):
    record(store)
    asked(store)
    answered(store, "declined")
    for name in ("fits", "tiny"):
        record_objection(store, Objection(customer_id=name), EVERYBODY)
    assert not {"fits", "tiny"} & set(who(matched(store)))
    assert listed(store)["references"][0]["asked"] == []
    assert refusal(asked, store, "tiny", "a3") == "opted_out"


def test_a_request_that_is_not_needed_any_more_takes_no_ask(store):
    record(store)
    desk.close_reference(store, ReferenceClose(request_id="r1", state="withdrawn"), EVERYBODY)
    assert listed(store, "withdrawn")["total"] == 1
    assert refusal(asked, store) == "conflict"


def test_what_is_needed_first_is_listed_first(store):
    for number, day in enumerate([9, 3, 6]):
        record(store, request_id=f"r{number}", needed_by=f"2026-12-0{day}T00:00:00Z")
    record(store, request_id="r3", needed_by=None)
    assert [row["request_id"] for row in listed(store)["references"]] == ["r1", "r2", "r0", "r3"]


def test_who_was_asked_goes_with_the_erasure_and_the_request_stays():
    assert "reference_matches" in {table.name for table in ROWS_OF_A_CUSTOMER}


@pytest.mark.parametrize("call", [matched, asked])
def test_a_request_that_was_never_recorded_is_unknown(store, call):
    assert refusal(call, store, request_id="r9") == "unknown_reference"
