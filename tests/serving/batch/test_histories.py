"""What the candidate policy reads of a customer's past, seen from an instant."""

from __future__ import annotations

import pytest

from support.rows.contract_form import make_tables, raw_frame
from vouch.features.contract.tables import DAY_US
from vouch.features.instants import parse_instant
from vouch.serving.batch.histories import NO_PRIORITY, Histories
from vouch.serving.snapshots.schema import REPAIR, THANK

T = parse_instant("2026-11-16")


def past(engine: str = "polars", **rows: list[dict]) -> dict[str, list]:
    rows["customers"] = [{"customer_id": name, "created_at": T - 900 * DAY_US} for name in "ab"]
    tables = make_tables({name: raw_frame(name, of) for name, of in rows.items()}, engine)
    return {name: column.to_pylist() for name, column in Histories(tables, T).of(["a", "b", "nobody"]).items()}


def before(days: float) -> int:
    return round(T - days * DAY_US)


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_asks_are_told_with_the_outcome_known_then_the_latest_last(engine):
    def ask(name: str, days: float, **more) -> dict:
        return {"ask_id": name, "customer_id": "a", "asked_at": before(days), "kind": "review", **more}

    found = past(
        engine,
        asks=[
            ask("late", 2, outcome="declined", outcome_at=T + 1),
            ask("early", 40, outcome="accepted", outcome_at=before(39), is_randomised=True, propensity=0.5),
            ask("too old", 800),
            ask("to come", -1),
        ],
    )["asks"]
    assert [(row["ask_id"], row["outcome"], row["is_randomised"]) for row in found[0]] == [
        ("early", "accepted", True),
        ("late", None, None),
    ]
    assert found[0][0]["asked_us"] == before(40)
    assert found[1:] == [None, None]


def test_acts_are_those_done_unasked_by_kind_with_the_latest():
    def act(name: str, days: float, kind: str = "review", **more) -> dict:
        return {"act_id": name, "customer_id": "a", "occurred_at": before(days), "kind": kind, **more}

    rows = [act("1", 50), act("2", 20), act("3", 10, is_incentivised=True), act("4", 5, "beta"), act("5", -3, "beta")]
    (found, *others) = past(advocacy_acts=rows)["acts"]
    assert found == [
        {"kind": "beta", "n": 1, "last_us": before(5)},
        {"kind": "review", "n": 2, "last_us": before(20)},
    ]
    assert others == [None, None]


def test_open_tickets_are_told_by_priority():
    def ticket(name: str, **more) -> dict:
        return {"ticket_id": name, "customer_id": "a", "opened_at": before(3), **more}

    rows = [
        ticket("1", priority="HIGH"),
        ticket("2"),
        ticket("3", priority="low", resolved_at=before(1)),
        ticket("4", priority="low", resolved_at=T + 1),
    ]
    assert past(tickets=rows)["open_tickets"] == [["high", "low", NO_PRIORITY], None, None]


def test_who_spoke_up_is_thanked_first_and_who_waits_for_a_promise_is_served_first():
    acts = [{"act_id": name, "customer_id": name, "occurred_at": before(30), "kind": "review"} for name in "ab"]
    thanks = [{"customer_id": "a", "occurred_at": before(20), "kind": "thanks"}]
    assert past(advocacy_acts=acts, recognitions=thanks)["care_first"] == [None, THANK, None]
    late = [{"ticket_id": "1", "customer_id": "a", "opened_at": before(60), "resolved_at": before(10)}]
    found = past(advocacy_acts=acts, recognitions=thanks, tickets=late)["care_first"]
    assert found == [REPAIR, THANK, None]


def test_what_a_company_has_no_table_for_is_not_known():
    assert past() == {name: [None] * 3 for name in ("asks", "acts", "open_tickets", "care_first")}
