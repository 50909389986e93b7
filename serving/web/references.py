"""The reference desk on the page: requests by where they stand, one with its advocates, and the forms that move it."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from vouch.serving.api.handlers import references
from vouch.serving.api.handlers.reference_types import (
    ReferenceAsk,
    ReferenceClose,
    ReferenceDeal,
    ReferenceMatch,
    ReferenceRecord,
    ReferencesSearch,
)
from vouch.serving.api.problems import Problem
from vouch.serving.store.references import REQUESTED, STATES
from vouch.serving.web.lists import checked
from vouch.serving.web.queries import whole_number
from vouch.serving.web.work import back_to, with_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.datastructures import QueryParams
    from starlette.responses import Response

    from vouch.serving.api.state import ServingState
    from vouch.serving.store.callers import Caller

ROWS, ADVOCATES = 50, 10
CHOSEN = ("industry", "region", "language", "use_case", "persona")
"""What a request names by a word that the customers of the week have."""


def references_page(store: ServingState, query: QueryParams) -> dict[str, Any]:
    """Return the requests of one state, and the words that a new one may name."""
    state: Any = query.get("state") if query.get("state") in STATES else REQUESTED
    after = whole_number(query.get("after")) or 0
    answer = references.search_references(store, ReferencesSearch(state=[state], limit=ROWS, after=after))
    words = store.portfolio.references.pool.words
    choices = {name: sorted(words[name]) for name in CHOSEN if words[name]}
    return {"found": answer, "state": state, "states": STATES, "choices": choices, "is_first": after == 0}


def reference_page(store: ServingState, query: QueryParams) -> dict[str, Any]:
    """Return one request with the advocates who fit it, and who was asked, by name.

    Raises the problem `unknown_reference` where there is none.
    """
    wanted = {"request_id": query.get("id", ""), "limit": ADVOCATES}
    answer = references.match_reference(store, checked(ReferenceMatch, wanted))
    return {**answer, "asked": with_names(store, answer["reference"]["asked"])}


def reference_url(request_id: str) -> str:
    """Return the address of the page of one request."""
    return f"/app/reference?{urlencode({'id': request_id})}"


def request_form(store: ServingState, sent: Mapping[str, str], caller: Caller) -> Response:
    """Record a request, and go to its advocates."""
    given: dict[str, Any] = {name: sent.get(name, "") for name in ("request_id", "deal", "kind")}
    given |= {name: sent[name] for name in (*CHOSEN, "requested_by") if sent.get(name)}
    if sent.get("company_size"):
        given["company_size"] = whole_number(sent["company_size"])
    if sent.get("needed_by"):
        given["needed_by"] = _end_of(sent["needed_by"])
    answer = references.record_reference(store, checked(ReferenceRecord, given), caller)
    return back_to({"back": reference_url(answer["reference"]["request_id"])}, "requested")


def _end_of(day: str) -> datetime:
    """The last minute of a day that a form names."""
    try:
        given = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise Problem("invalid_value", "Give a day as YYYY-MM-DD", "needed_by") from error
    return datetime.combine(given.date(), time(23, 59), UTC)


def ask_advocate_form(store: ServingState, sent: Mapping[str, str], caller: Caller) -> Response:
    """Ask an advocate for a request."""
    given = {name: sent.get(name, "") for name in ("request_id", "ask_id", "customer_id")}
    references.ask_reference(store, checked(ReferenceAsk, given), caller)
    return back_to({"back": reference_url(given["request_id"])}, "recorded", given["customer_id"])


def close_form(store: ServingState, sent: Mapping[str, str], caller: Caller) -> Response:
    """Close a request."""
    given = {name: sent.get(name, "") for name in ("request_id", "state")}
    references.close_reference(store, checked(ReferenceClose, given), caller)
    return back_to({"back": reference_url(given["request_id"])}, "closed")


def deal_form(store: ServingState, sent: Mapping[str, str], caller: Caller) -> Response:
    """Record what became of the deal."""
    given = {name: sent.get(name, "") for name in ("request_id", "outcome")}
    references.tell_deal(store, checked(ReferenceDeal, given), caller)
    return back_to({"back": reference_url(given["request_id"])}, "deal")


DESK_FORMS: Mapping[str, Callable[[ServingState, Mapping[str, str], Caller], Response]] = {
    "/app/references": request_form,
    "/app/references/ask": ask_advocate_form,
    "/app/references/close": close_form,
    "/app/references/deal": deal_form,
}
"""What each form of the desk does, by its address."""
