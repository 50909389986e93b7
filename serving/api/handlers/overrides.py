"""Handlers of health overrides, the scores that people set by hand: idempotent by id, for so many days.

They stand until withdrawn, by the key that recorded them or by one of the scope `admin`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, FiniteFloat

from vouch.serving.api.answer_types import Fresh, OverrideTold
from vouch.serving.api.numbers import WHOLE
from vouch.serving.api.problems import Problem
from vouch.serving.api.schemas import Limit, Request, Text
from vouch.serving.api.speaking import iso_instant
from vouch.serving.api.state import now_us
from vouch.serving.store.overrides import FOREIGN, Override, store_override, withdraw

if TYPE_CHECKING:
    from vouch.serving.api.state import ServingState
    from vouch.serving.store.callers import Caller

MAX_DAYS = 366


class OverrideRecord(Request):
    """A health score set by hand, which stands beside that of the rules until it ends."""

    override_id: Annotated[Text, Field(description="Yours; the same override again is recorded once.")]
    customer_id: Text
    score: Annotated[FiniteFloat, Field(ge=0, le=100)]
    reason: Annotated[Text, Field(description="Why; kept with the customer, and erased with it.")]
    days: Annotated[int, Field(ge=1, le=MAX_DAYS, description="It ends so many days after it is set."), WHOLE] = 30


class OverrideWithdraw(Request):
    """An override that is not to stand any longer."""

    override_id: Annotated[Text, Field(description="Of one that your key recorded; with the scope `admin`, of any.")]


class OverrideAnswer(BaseModel):
    """The override as it is now; `is_new` is false where it was so already."""

    override: OverrideTold
    is_new: bool


class OverridesSearch(Request):
    """Overrides that stand now."""

    limit: Limit = 20
    after: Annotated[int, Field(ge=0, description="`next_after` of the page before."), WHOLE] = 0


class OverridesPage(Fresh):
    """A page of overrides, those that end first."""

    total: int
    overrides: list[OverrideTold]
    next_after: int | None


def search_overrides(store: ServingState, request: OverridesSearch) -> dict[str, Any]:
    """Overrides that stand now, of customers whom the week knows and who do not object to being profiled."""
    portfolio = store.portfolio
    known = [one for one in store.overrides if portfolio.ids.row_of(one.customer_id) is not None]
    held = [one for one in known if one.customer_id not in portfolio.lists.by_hand.objections]
    ordered = sorted(held, key=lambda one: (one.expires_us, one.customer_id))
    end = request.after + request.limit
    return {
        **portfolio.freshness(now_us()),
        "total": len(ordered),
        "overrides": [override_answer(one) for one in ordered[request.after : end]],
        "next_after": end if end < len(ordered) else None,
    }


def record_override(store: ServingState, request: OverrideRecord, caller: Caller) -> dict[str, Any]:
    """Record an override that stands from now on; the score of the rules stays beside it."""
    store.portfolio.row_of(request.customer_id)  # of a customer whom the week holds
    wanted = Override(
        request.override_id, request.customer_id, request.score, request.reason, request.days, caller.name, now_us()
    )
    override, is_new = store_override(store.database, wanted, caller)
    if override is None:
        raise Problem("conflict", "The id stands already for another override", "override_id")
    store.recorded()
    return {"override": override_answer(override), "is_new": is_new}


def withdraw_override(store: ServingState, request: OverrideWithdraw, caller: Caller) -> dict[str, Any]:
    """End an override now; the score of the rules counts again."""
    override, outcome = withdraw(store.database, request.override_id, caller, now_us())
    if override is None:
        raise (
            Problem("forbidden", "Another key recorded it: that takes the scope admin", "override_id")
            if outcome == FOREIGN
            else Problem("unknown_override", "No such override was recorded here", "override_id")
        )
    store.recorded()
    return {"override": override_answer(override), "is_new": bool(outcome)}


def override_answer(override: Override) -> dict[str, Any]:
    """Return an override as all answers tell it."""
    return {
        "override_id": override.given_id,
        "customer_id": override.customer_id,
        "score": override.score,
        "reason": override.reason,
        "set_by": override.set_by,
        "set_at": iso_instant(override.set_us),
        "expires_at": iso_instant(override.expires_us),
        "withdrawn_at": iso_instant(override.withdrawn_us),
        "withdrawn_by": override.withdrawn_by,
    }
