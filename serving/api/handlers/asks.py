"""Handlers that record asks and outcomes: within the caps or not at all, and idempotent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.serving.api.problems import Problem
from vouch.serving.api.speaking import iso_instant
from vouch.serving.api.state import now_us
from vouch.serving.asking.ranking import EXCLUSIONS
from vouch.serving.store.asks import CONFLICT, UNKNOWN, Told, Wanted, set_outcome, store_ask

if TYPE_CHECKING:
    from vouch.serving.api.schemas import AskOutcome, AskRecord
    from vouch.serving.api.state import ServingState
    from vouch.serving.asking.rules.caps import Ask
    from vouch.serving.store.callers import Caller


def record_ask(store: ServingState, request: AskRecord, caller: Caller) -> dict[str, Any]:
    """Record an ask that is made now; raises the problem `not_to_be_asked` where the policy forbids it."""
    portfolio = store.portfolio
    row = portfolio.ids.row_of(request.customer_id)
    if row is None:
        raise Problem("unknown_customer", "The snapshot holds no such customer", "customer_id")
    place = int(portfolio.ranked.place_of[row])
    drawn = portfolio.ranked.is_drawn(place) and not store.policy.is_drawn(request.kind)
    wanted = Wanted(
        ask_id=request.ask_id,
        customer_id=request.customer_id,
        kind=request.kind,
        groups={column: portfolio.ranked.category(column, place) for column in ("segment", "region")},
        standing=portfolio.lists.why_not(row, (request.kind,)),
        propensity=store.policy.exploration.share if drawn else None,
        is_randomised=drawn,
    )
    found = store_ask(store.database, wanted, store.policy, portfolio.asking.sizes, caller, now_us())
    return _answer(store, found, "ask_id")


def record_outcome(store: ServingState, request: AskOutcome, caller: Caller) -> dict[str, Any]:
    """Record what came of an ask."""
    return _answer(store, set_outcome(store.database, request.ask_id, request.outcome, caller, now_us()), "outcome")


def _answer(store: ServingState, found: Told, field: str) -> dict[str, Any]:
    if found.ask is None:
        raise _problem(found.why, field)
    if found.is_new:
        store.recorded()
    return {"ask": told_ask(found.ask), "is_new": found.is_new}


def _problem(why: str | None, field: str) -> Problem:
    if why == UNKNOWN:
        return Problem("unknown_ask", "Neither the data nor the service know of such an ask", "ask_id")
    if why == CONFLICT:
        return Problem(
            "conflict",
            f"The ask stands already with another {'customer or kind' if field == 'ask_id' else field}",
            field,
        )
    problem = Problem("not_to_be_asked", f"The customer {EXCLUSIONS[why or '']}", "customer_id")
    problem.exclusion = why
    return problem


def told_ask(ask: Ask) -> dict[str, Any]:
    """One ask as all answers tell it."""
    return {
        "ask_id": ask.ask_id,
        "asked_at": iso_instant(ask.asked_us),
        "kind": ask.kind,
        "outcome": ask.outcome,
        "outcome_at": iso_instant(ask.outcome_us),
    }
