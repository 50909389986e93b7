"""Handlers of what people did for a customer (a call, thanks, something put right), and of objections to profiling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from vouch.features.errors import StoreError
from vouch.serving.api.handlers.asks import past_us
from vouch.serving.api.problems import Problem
from vouch.serving.api.schemas import Note, PastInstant, Request, Text, Who
from vouch.serving.api.speaking import iso_instant
from vouch.serving.api.state import now_us
from vouch.serving.store.actions import (
    Action,
    actions_of,
    count_objectors,
    set_objection,
    store_action,
    withdraw_action,
)

if TYPE_CHECKING:
    from vouch.serving.api.state import ServingState
    from vouch.serving.store.callers import Caller


class ActionRecord(Request):
    """What somebody did for a customer: `called` them, `thanked` them, or `put_right` what was promised."""

    action_id: Annotated[Text, Field(description="Yours; the same action again is recorded once.")]
    customer_id: Text
    kind: Literal["called", "thanked", "put_right"]
    done_at: PastInstant = None
    done_by: Who = None
    note: Note | None = None


class ActionWithdraw(Request):
    """An action that was recorded by mistake."""

    action_id: Text


class Objection(Request):
    """A customer who objects to being profiled, or objects no longer."""

    customer_id: Text


def record_action(store: ServingState, request: ActionRecord, caller: Caller) -> dict[str, Any]:
    """Record what was done; what was due before an ask counts as done at once."""
    store.portfolio.row_of(request.customer_id)  # of a customer whom the week holds
    now = now_us()
    done_us = past_us(request.done_at, now, "done_at")
    wanted = Action(
        request.action_id,
        request.customer_id,
        request.kind,
        now if done_us is None else done_us,
        request.note,
        request.done_by or caller.name,
    )
    action, is_new = store_action(store.database, wanted, caller, now)
    if action is None:
        raise Problem("conflict", "The id stands already for another action, or one that was withdrawn", "action_id")
    store.recorded()
    return {"action": action_answer(action), "is_new": is_new}


def withdraw_recorded(store: ServingState, request: ActionWithdraw, caller: Caller) -> dict[str, Any]:
    """Take back an action."""
    action, is_new = withdraw_action(store.database, request.action_id, caller, now_us())
    if action is None:
        raise Problem("unknown_action", "No such action was recorded here", "action_id")
    store.recorded()
    return {"action": action_answer(action), "is_new": is_new}


def record_objection(store: ServingState, request: Objection, caller: Caller) -> dict[str, Any]:
    """Record that a customer objects: from now on no list, score or rule tells anything of them."""
    return _set(store, request.customer_id, True, caller)


def withdraw_objection(store: ServingState, request: Objection, caller: Caller) -> dict[str, Any]:
    """Record that a customer objects no longer; what the company's own column says still holds."""
    return _set(store, request.customer_id, False, caller)


def _set(store: ServingState, customer_id: str, objects: bool, caller: Caller) -> dict[str, Any]:
    store.portfolio.row_of(customer_id)  # of a customer whom the week holds
    is_new = set_objection(store.database, customer_id, objects, caller, now_us())
    store.recorded()
    with store.database.reading() as connection:
        number = count_objectors(connection)
    return {"customer_id": customer_id, "objects": objects, "is_new": is_new, "objections": number}


def actions_answer(store: ServingState, customer_id: str) -> list[dict[str, Any]] | None:
    """What was done for a customer, the latest last; None while the store does not answer."""
    try:
        with store.database.reading() as connection:
            return [action_answer(action) for action in actions_of(connection, customer_id)]
    except StoreError:
        return None


def action_answer(action: Action) -> dict[str, Any]:
    """One action as all answers tell it."""
    return {
        "action_id": action.given_id,
        "customer_id": action.customer_id,
        "kind": action.kind,
        "done_at": iso_instant(action.done_us),
        "done_by": action.done_by,
        "note": action.note,
        "withdrawn_at": iso_instant(action.withdrawn_us),
    }
