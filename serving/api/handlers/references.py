"""Handlers of the reference desk: a deal's request, the advocates who fit it, the ask, and what became of the deal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.features.instants import microseconds
from vouch.features.statistics.intervals import wilson
from vouch.serving.api.handlers.asks import ask_answer, ask_row, wanted_ask
from vouch.serving.api.problems import Problem
from vouch.serving.api.schemas import AskRecord
from vouch.serving.api.speaking import called, iso_instant
from vouch.serving.api.state import now_us
from vouch.serving.store.references import (
    DONE,
    PROSPECT,
    STATES,
    UNKNOWN,
    WON,
    Changed,
    ReferenceRequest,
    all_requests,
    ask_for_request,
    close_request,
    request_of,
    set_deal,
    store_request,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vouch.serving.api.handlers.reference_types import (
        ReferenceAsk,
        ReferenceClose,
        ReferenceDeal,
        ReferenceMatch,
        ReferenceRecord,
        ReferencesSearch,
    )
    from vouch.serving.api.state import ServingState
    from vouch.serving.asking.rules.reference_match import Matches
    from vouch.serving.store.callers import Caller


def record_reference(store: ServingState, request: ReferenceRecord, caller: Caller) -> dict[str, Any]:
    """Record what a deal needs."""
    now = now_us()
    wanted = ReferenceRequest(
        **{name: getattr(request, name) for name in ("request_id", "deal", "kind", *PROSPECT)},
        requested_us=now,
        needed_by_us=None if request.needed_by is None else microseconds(request.needed_by),
        requested_by=request.requested_by or caller.name,
    )
    return _answer(store, store_request(store.database, wanted, caller, now), "another request")


def match_reference(store: ServingState, request: ReferenceMatch) -> dict[str, Any]:
    """Who fits a request, is willing and rested: the first, and alternates."""
    portfolio, now = store.portfolio, now_us()
    with store.database.reading() as connection:
        wanted = request_of(connection, request.request_id)
    if wanted is None:
        raise _unknown()
    asked = [portfolio.ids.row_of(match.customer_id) for match in wanted.matches]
    matches = portfolio.references.matches(
        wanted.prospect,
        portfolio.lists.of((wanted.kind,)).ranked,
        now,
        wanted.request_id,
        request.limit,
        [row for row in asked if row is not None],
    )
    return {
        **portfolio.freshness(now),
        "reference": reference_answer(store, wanted),
        "total": matches.eligible,
        "unused": list(matches.unused),
        "advocates": [_advocate(store, matches, place) for place in range(len(matches.rows))],
    }


def _advocate(store: ServingState, matches: Matches, place: int) -> dict[str, Any]:
    portfolio = store.portfolio
    row = int(matches.rows[place])
    customer_id, profile = portfolio.asking.customer_at(row), portfolio.profile_at(row)
    return {
        **called(customer_id, profile),
        "rank": place + 1,
        **{name: float(getattr(matches, name)[place]) for name in ("value", "fit", "acceptance", "rest")},
        "last_asked_at": iso_instant(portfolio.asking.last_us(int(portfolio.ranked.place_of[row]))),
        **{name: profile.get(name) for name in PROSPECT},
    }


def ask_reference(store: ServingState, request: ReferenceAsk, caller: Caller) -> dict[str, Any]:
    """Ask an advocate for a request: an ask like any other, under the same caps."""
    now, sizes = now_us(), store.portfolio.asking.sizes
    with store.database.reading() as connection:
        known = request_of(connection, request.request_id)
    if known is None:
        raise _unknown()
    given = {name: getattr(request, name) for name in ("ask_id", "customer_id", "channel", "asked_by", "note")}
    wanted = wanted_ask(store, AskRecord(kind=known.kind, **given), caller, now)
    changed, recorded = ask_for_request(store.database, request.request_id, wanted, store.policy, sizes, caller, now)
    if recorded is not None and recorded.ask is None:
        ask_answer(store, recorded, "ask_id")  # it raises the problem of the ask
    return _answer(store, changed, "a request that is closed, or for which somebody is being asked")


def close_reference(store: ServingState, request: ReferenceClose, caller: Caller) -> dict[str, Any]:
    """Close a request."""
    changed = close_request(store.database, request.request_id, request.state, caller, now_us())
    return _answer(store, changed, "a request that is closed, or that nobody has accepted yet")


def tell_deal(store: ServingState, request: ReferenceDeal, caller: Caller) -> dict[str, Any]:
    """Record what became of a deal."""
    return _answer(store, set_deal(store.database, request.request_id, request.outcome, caller, now_us()), "a deal")


def search_references(store: ServingState, request: ReferencesSearch) -> dict[str, Any]:
    """Requests by where they stand, and how often deals were won."""
    with store.database.reading() as connection:
        known = all_requests(connection)
    wanted = set(request.state)
    matching = [one for one in known if not wanted or one.state in wanted]
    end = request.after + request.limit
    done = [one for one in known if one.state == DONE]
    return {
        **store.portfolio.freshness(now_us()),
        "total": len(matching),
        "counts": {state: sum(one.state == state for one in known) for state in STATES},
        "with_reference": win_rate(done),
        "without_reference": win_rate([one for one in known if not one.has_agreed]),
        "references": [reference_answer(store, one) for one in matching[request.after : end]],
        "next_after": end if end < len(matching) else None,
    }


def win_rate(requests: Sequence[ReferenceRequest]) -> dict[str, Any]:
    """How many of the deals that are decided were won, with the interval."""
    decided = [one.deal_outcome for one in requests if one.deal_outcome is not None]
    won = sum(outcome == WON for outcome in decided)
    if not decided:
        return {"won": 0, "n": 0, "value": None, "low": None, "high": None}
    interval = wilson(won, len(decided))
    ends = {"low": float(interval.low), "high": float(interval.high)}
    return {"won": won, "n": len(decided), "value": won / len(decided), **ends}


def reference_answer(store: ServingState, request: ReferenceRequest) -> dict[str, Any]:
    """One request as all answers tell it; who objects to being profiled is not named in it."""
    objects = store.portfolio.lists.by_hand.objections
    asked = [match for match in request.matches if match.ask is not None and match.customer_id not in objects]
    fields = ("request_id", "deal", "kind", "state", *PROSPECT, "requested_by", "deal_outcome")
    times = ("requested", "done", "withdrawn", "deal")
    return {
        **{name: getattr(request, name) for name in fields},
        **{f"{name}_at": iso_instant(getattr(request, f"{name}_us")) for name in times},
        "needed_by": iso_instant(request.needed_by_us),
        "asked": [{**ask_row(match.ask), "customer_id": match.customer_id} for match in asked if match.ask],
    }


def _answer(store: ServingState, changed: Changed, other: str) -> dict[str, Any]:
    if changed.request is None:
        raise _unknown() if changed.why == UNKNOWN else Problem("conflict", f"It is {other}", "request_id")
    if changed.is_new:
        store.recorded()
    return {"reference": reference_answer(store, changed.request), "is_new": changed.is_new}


def _unknown() -> Problem:
    return Problem("unknown_reference", "No such request was recorded here", "request_id")
