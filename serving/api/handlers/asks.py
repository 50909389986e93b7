"""Handlers that record, correct, withdraw and list asks: within the caps or not at all, and idempotent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.features.contract.tables import DAY_US
from vouch.features.instants import microseconds
from vouch.serving.api.problems import Problem
from vouch.serving.api.speaking import iso_instant
from vouch.serving.api.state import now_us
from vouch.serving.asking.ask_log import ask_log
from vouch.serving.asking.ranking import EXCLUSIONS
from vouch.serving.snapshots.schema import ASK_DAYS
from vouch.serving.store.asks import (
    CONFLICT,
    UNKNOWN,
    WITHDRAWN,
    AskResult,
    Wanted,
    correct_ask,
    set_outcome,
    store_ask,
    versions_of,
    withdraw_ask,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from vouch.serving.api.schemas import AskCorrect, AskGet, AskOutcome, AskRecord, AsksSearch, AskWithdraw
    from vouch.serving.api.state import ServingState
    from vouch.serving.asking.ask_log import LoggedAsk
    from vouch.serving.asking.rules.caps import Ask
    from vouch.serving.store.callers import Caller

ANSWERED = "answered"
"""What stands in the way of taking an ask back."""


def record_ask(store: ServingState, request: AskRecord, caller: Caller) -> dict[str, Any]:
    """Record an ask; raises the problem `not_to_be_asked` where the policy forbids it."""
    now = now_us()
    wanted = wanted_ask(store, request, caller, now)
    stored = store_ask(store.database, wanted, store.policy, store.portfolio.asking.sizes, caller, now)
    return ask_answer(store, stored, "ask_id")


def wanted_ask(store: ServingState, request: AskRecord, caller: Caller, now: int) -> Wanted:
    """An ask that a request wants to make, with what the week says of the customer."""
    portfolio = store.portfolio
    row = portfolio.row_of(request.customer_id)
    place = int(portfolio.ranked.place_of[row])
    drawn = portfolio.ranked.is_drawn(place) and not store.policy.is_drawn(request.kind)
    return Wanted(
        ask_id=request.ask_id,
        customer_id=request.customer_id,
        kind=request.kind,
        groups={column: portfolio.ranked.category(column, place) for column in ("segment", "region")},
        standing=portfolio.lists.why_not(row, (request.kind,)),
        propensity=store.policy.exploration.share if drawn else None,
        is_randomised=drawn,
        asked_us=past_us(request.asked_at, now, "asked_at"),
        note=request.note,
        channel=request.channel,
        asked_by=request.asked_by or caller.name,
    )


def past_us(instant: datetime | None, now: int, field: str) -> int | None:
    """An instant of a request in microseconds; raises the problem `invalid_value` for one that cannot be."""
    if instant is None:
        return None
    at_us = microseconds(instant)
    if not now - ASK_DAYS * DAY_US < at_us <= now:
        raise Problem("invalid_value", f"Give an instant of the last {ASK_DAYS} days, and none in the future", field)
    return at_us


def record_outcome(store: ServingState, request: AskOutcome, caller: Caller) -> dict[str, Any]:
    """Record what came of an ask."""
    return ask_answer(store, set_outcome(store.database, request.ask_id, request.outcome, caller, now_us()), "outcome")


def correct(store: ServingState, request: AskCorrect, caller: Caller) -> dict[str, Any]:
    """Put right what was recorded of an ask; every version stays."""
    now = now_us()
    given = request.model_fields_set & {"outcome", "channel", "asked_by", "note"}
    changes = {name: getattr(request, name) for name in given}
    if request.asked_at is not None:
        changes["asked_us"] = past_us(request.asked_at, now, "asked_at")
    corrected = correct_ask(store.database, request.ask_id, changes, store.policy, caller, now, request.reason)
    return ask_answer(store, corrected, "outcome")


def take_back(store: ServingState, request: AskWithdraw, caller: Caller) -> dict[str, Any]:
    """Take back an ask that was never made."""
    return ask_answer(store, withdraw_ask(store.database, request.ask_id, caller, now_us(), request.reason), ANSWERED)


def ask_versions(store: ServingState, request: AskGet) -> dict[str, Any]:
    """Every version of an ask that was recorded here."""
    with store.database.reading() as connection:
        versions = versions_of(connection, request.ask_id)
    if not versions:
        raise Problem("unknown_ask", "The service has recorded nothing of such an ask", "ask_id")
    return {"versions": [_version(row) for row in versions]}


def _version(row: Mapping[str, Any]) -> dict[str, Any]:
    times = {f"{name}_at": iso_instant(row[f"{name}_us"]) for name in ("asked", "outcome")}
    fields = {
        name: row[name] for name in ("ask_id", "kind", "outcome", "channel", "asked_by", "note", "action", "reason")
    }
    return {**fields, **times, "at": iso_instant(row["at_us"]), "by": row["actor"]}


def search_asks(store: ServingState, request: AsksSearch) -> dict[str, Any]:
    """Asks by where they stand."""
    portfolio = store.portfolio
    by_state = ask_log(portfolio.asking, now_us())
    kinds = set(request.kind)
    matching = [one for one in by_state[request.state] if not kinds or one.ask.kind in kinds]
    end = request.after + request.limit
    return {
        **portfolio.freshness(now_us()),
        "total": len(matching),
        "counts": {state: len(of) for state, of in by_state.items()},
        "asks": [_listed(one, request.state) for one in matching[request.after : end]],
        "next_after": end if end < len(matching) else None,
    }


def _listed(one: LoggedAsk, state: str) -> dict[str, Any]:
    rests = {"exclusion": one.why, "resting_until": iso_instant(one.until_us)}
    return {**ask_row(one.ask), "customer_id": one.ask.customer_id, "state": state, **rests}


def ask_answer(store: ServingState, stored: AskResult, field: str) -> dict[str, Any]:
    """An ask as it stands now; raises the problem of one that does not, which is about a field."""
    if stored.ask is None:
        raise _problem(stored.why, field)
    if stored.is_new:
        store.recorded()
    return {"ask": ask_row(stored.ask), "is_new": stored.is_new}


def _problem(why: str | None, field: str) -> Problem:
    if why == UNKNOWN:
        return Problem("unknown_ask", "Neither the data nor the service know of such an ask", "ask_id")
    if why == WITHDRAWN:
        return Problem("conflict", "The ask was withdrawn: record it again, with another id", "ask_id")
    if why == CONFLICT and field == ANSWERED:
        return Problem("conflict", "The ask was answered, so it was made: correct its answer first", "ask_id")
    if why == CONFLICT:
        return Problem(
            "conflict",
            f"The ask stands already with another {'customer or kind' if field == 'ask_id' else field}",
            field,
        )
    problem = Problem("not_to_be_asked", f"The customer {EXCLUSIONS[why or '']}", "customer_id")
    problem.exclusion = why
    return problem


def ask_row(ask: Ask) -> dict[str, Any]:
    """One ask as all answers tell it."""
    return {
        "ask_id": ask.ask_id,
        "asked_at": iso_instant(ask.asked_us),
        "kind": ask.kind,
        "outcome": ask.outcome,
        "outcome_at": iso_instant(ask.outcome_us),
        **{name: getattr(ask, name) for name in ("channel", "asked_by", "note")},
    }
