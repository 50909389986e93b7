"""Forms and pages of the work on customers: asks put right and taken back, calls, thanks, health by hand, objections.

Each form says what it does for whom, and is recorded by the same handlers as the API's routes. Days come without a
time: one that is today means now, any other its noon.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from vouch.features.instants import as_datetime
from vouch.features.shown import csv_line, decimal_text, plain_text
from vouch.serving.api.handlers import actions, asks, overrides
from vouch.serving.api.handlers.actions import ActionRecord, ActionWithdraw, Objection
from vouch.serving.api.handlers.overrides import OverrideRecord, OverridesSearch, OverrideWithdraw
from vouch.serving.api.problems import Problem
from vouch.serving.api.schemas import AskCorrect, AskRecord, AsksSearch, AskWithdraw
from vouch.serving.api.speaking import called
from vouch.serving.api.state import now_us
from vouch.serving.asking.ask_log import STATES
from vouch.serving.web.lists import at_risk_listing, candidate_listing, checked
from vouch.serving.web.queries import whole_number
from vouch.serving.web.render import HEADERS, customer_url
from vouch.serving.web.session import target, with_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from starlette.datastructures import QueryParams

    from vouch.serving.api.state import ServingState
    from vouch.serving.store.callers import Caller

ROWS = 50
DONE_COOKIE, DONE_SECONDS = "vouch_told", 60
"""Whom the message on the next page is about: in a cookie, so that no address tells it."""
MOST_EXPORTED = 10_000
EXPORTED: Mapping[str, Sequence[str]] = {
    "candidates": (
        "rank", "customer_id", "segment", "region", "language", "contact_consent", "advocacy_consent", "advocate_tier",
        "advocacy_score", "churn_probability", "value", "is_eligible", "exclusion", "last_asked_at",
    ),
    "customers": (
        "rank", "customer_id", "segment", "region", "language", "contact_consent", "churn_probability", "churn_band",
        "mrr", "value", "value_reason", "currency",
    ),
    "asks": (
        "customer_id", "ask_id", "kind", "asked_at", "channel", "asked_by", "note", "outcome", "outcome_at", "state",
        "resting_until",
    ),
}  # fmt: skip
"""Columns of a list as a file; lists of customers end with what to ask for, what first, and three reasons."""
_TO_DO = (("ask_for", "kind"), ("ask_for", "ranked_by"), ("first", "what"))


def asks_page(store: ServingState, query: QueryParams) -> dict[str, Any]:
    """The asks of one state, and the health scores set by hand that stand."""
    state = _state(query)
    after = whole_number(query.get("after")) or 0
    answer = asks.search_asks(store, AsksSearch(state=state, limit=ROWS, after=after))
    by_hand = overrides.search_overrides(store, OverridesSearch(limit=ROWS))
    answer = {**answer, "asks": with_names(store, answer["asks"])}
    by_hand = {**by_hand, "overrides": with_names(store, by_hand["overrides"])}
    return {"found": answer, "state": state, "states": STATES, "by_hand": by_hand, "is_first": after == 0}


def with_names(
    store: ServingState, rows: Iterable[Mapping[str, Any]], as_of: str | None = None
) -> list[dict[str, Any]]:
    """Return rows of customers with what each is called in a week; the id alone of who is not in it."""
    week = store.week_of(as_of)
    places = ((row, week.ids.row_of(row["customer_id"])) for row in rows)
    return [
        {**row, **called(row["customer_id"], {} if place is None else week.customers.at(place))}
        for row, place in places
    ]


def _state(query: QueryParams) -> Any:
    """The state that an address asks for, by default the first."""
    return query.get("state") if query.get("state") in STATES else STATES[0]


def back_to(sent: Mapping[str, str], done: str, customer_id: str | None = None) -> Response:
    """The way back to where a form was sent from, which then says what was done, and for whom."""
    place = target(sent.get("back") or (customer_url(customer_id) if customer_id else None))
    answer = RedirectResponse(with_query(place, done=done), 303)
    if customer_id:
        answer.set_cookie(
            DONE_COOKIE, quote(customer_id), max_age=DONE_SECONDS, path="/app", samesite="strict", httponly=True
        )
    else:  # else the customer of the step before would stand beside this one
        answer.delete_cookie(DONE_COOKIE, path="/app", samesite="strict", httponly=True)
    return answer


def day_instant(day: str, now: int, field: str) -> datetime | None:
    """The moment that a day of a form stands for; None for today, or where none was given."""
    if not day:
        return None
    try:
        given = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise Problem("invalid_value", "Give a day as YYYY-MM-DD", field) from error
    return None if given.date() == as_datetime(now).date() else datetime.combine(given.date(), time(12), UTC)


def ask_of(sent: Mapping[str, str]) -> AskRecord:
    """The ask that a form records."""
    given: dict[str, Any] = {name: sent.get(name, "") for name in ("ask_id", "customer_id", "kind")}
    given |= {name: sent[name] for name in ("channel", "asked_by", "note") if sent.get(name)}
    return checked(AskRecord, {**given, "asked_at": day_instant(sent.get("day", ""), now_us(), "asked_at")})


def ask_form(store: ServingState, sent: Mapping[str, str], caller: Caller) -> Response:
    """Record an ask."""
    asks.record_ask(store, ask_of(sent), caller)
    return back_to(sent, "recorded", sent.get("customer_id"))


def record_asks(
    store: ServingState, sent: Mapping[str, str], chosen: Iterable[str], caller: Caller
) -> Mapping[str, int]:
    """Record an ask for each customer that was chosen (`KIND CUSTOMER`); how many were, and how many must not be."""
    recorded = refused = 0
    for one in dict.fromkeys(chosen):
        kind, _, customer_id = one.partition(" ")
        ask_id = f"{sent.get('ask_id', '')}-{hashlib.sha256(one.encode()).hexdigest()[:12]}"
        try:
            asks.record_ask(store, ask_of({**sent, "ask_id": ask_id, "customer_id": customer_id, "kind": kind}), caller)
            recorded += 1
        except Problem as problem:
            if problem.exclusion is None:
                raise
            refused += 1
    return {"recorded": recorded, "refused": refused}


def correction_form(store: ServingState, sent: Mapping[str, str], caller: Caller) -> Response:
    """Put an outcome right, or take it away."""
    changes: dict[str, Any] = {"outcome": sent.get("outcome") or None}
    if sent.get("reason"):
        changes["reason"] = sent["reason"]
    asks.correct(store, checked(AskCorrect, {"ask_id": sent.get("ask_id", ""), **changes}), caller)
    return back_to(sent, "corrected", sent.get("customer_id"))


def withdrawal_form(store: ServingState, sent: Mapping[str, str], caller: Caller) -> Response:
    """Take an ask back."""
    asks.take_back(store, checked(AskWithdraw, {"ask_id": sent.get("ask_id", "")}), caller)
    return back_to(sent, "withdrawn", sent.get("customer_id"))


def action_form(store: ServingState, sent: Mapping[str, str], caller: Caller) -> Response:
    """Record a call, thanks, or something put right."""
    given: dict[str, Any] = {name: sent.get(name, "") for name in ("action_id", "customer_id", "kind")}
    given |= {name: sent[name] for name in ("note", "done_by") if sent.get(name)}
    instant = day_instant(sent.get("day", ""), now_us(), "done_at")
    actions.record_action(store, checked(ActionRecord, {**given, "done_at": instant}), caller)
    return back_to(sent, given["kind"], given["customer_id"])


def action_withdrawal_form(store: ServingState, sent: Mapping[str, str], caller: Caller) -> Response:
    """Take an action back."""
    actions.withdraw_recorded(store, checked(ActionWithdraw, {"action_id": sent.get("action_id", "")}), caller)
    return back_to(sent, "withdrawn", sent.get("customer_id"))


def override_form(store: ServingState, sent: Mapping[str, str], caller: Caller) -> Response:
    """Set a health score by hand."""
    given: dict[str, Any] = {name: sent.get(name, "") for name in ("override_id", "customer_id", "reason")}
    for name, kind in (("score", float), ("days", int)):
        try:
            given[name] = kind(sent.get(name, ""))
        except ValueError as error:
            raise Problem("invalid_value", "Give a number", name) from error
    overrides.record_override(store, checked(OverrideRecord, given), caller)
    return back_to(sent, "overridden", given["customer_id"])


def override_withdrawal_form(store: ServingState, sent: Mapping[str, str], caller: Caller) -> Response:
    """Let the score of the rules count again."""
    wanted = checked(OverrideWithdraw, {"override_id": sent.get("override_id", "")})
    overrides.withdraw_override(store, wanted, caller)
    return back_to(sent, "withdrawn", sent.get("customer_id"))


def objection_form(store: ServingState, sent: Mapping[str, str], caller: Caller) -> Response:
    """Record that a customer objects to being profiled, or objects no longer."""
    wanted, objects = checked(Objection, {"customer_id": sent.get("customer_id", "")}), sent.get("objects") == "1"
    (actions.record_objection if objects else actions.withdraw_objection)(store, wanted, caller)
    return back_to(sent, "objected" if objects else "objects_no_longer", wanted.customer_id)


FORMS: Mapping[str, Callable[[ServingState, Mapping[str, str], Caller], Response]] = {
    "/app/asks": ask_form,
    "/app/asks/correct": correction_form,
    "/app/asks/withdraw": withdrawal_form,
    "/app/actions": action_form,
    "/app/actions/withdraw": action_withdrawal_form,
    "/app/overrides": override_form,
    "/app/overrides/withdraw": override_withdrawal_form,
    "/app/objections": objection_form,
}
"""What each form of the work does, by its address."""


def exported(
    store: ServingState, name: str, query: QueryParams, owner: str, words: Callable[[Any], str]
) -> tuple[Response, int]:
    """A list as it is seen, all its pages, as a CSV file that no spreadsheet computes; and how many rows it has.

    `words` tells a reason in the language of who asks.
    """
    rows = _rows(store, name, query, owner)
    columns = EXPORTED[name]
    further = ("ask_for", "ranked_by", "first") if name == "candidates" else ()
    reasons = () if name == "asks" else ("reason_1", "reason_2", "reason_3")
    lines = [csv_line([*columns, *further, *reasons])]
    for row in rows:
        sentences = [words(reason) for reason in (row.get("reasons") or ())[:3]] if reasons else []
        do = [(row[part] or {}).get(key) for part, key in _TO_DO] if further else []
        cells = [*(row[column] for column in columns), *do, *sentences, *[None] * (len(reasons) - len(sentences))]
        lines.append(csv_line(_cell(value) for value in cells))
    headers = {**HEADERS, "content-disposition": f'attachment; filename="{name}.csv"'}
    return Response("".join(lines), headers=headers, media_type="text/csv; charset=utf-8"), len(rows)


def _rows(store: ServingState, name: str, query: QueryParams, owner: str) -> list[Mapping[str, Any]]:
    """All rows of a list, page after page."""
    if name == "asks":
        gathered: list[Mapping[str, Any]] = []
        after: int | None = 0
        while after is not None:
            page = asks.search_asks(store, AsksSearch(state=_state(query), limit=200, after=after))
            gathered, after = [*gathered, *page["asks"]], page["next_after"]
            _check_size(gathered)
        return gathered
    listing = candidate_listing if name == "candidates" else at_risk_listing
    rows: list[Mapping[str, Any]] = []
    cursor: str | None = None
    while True:
        page_of = listing(store, query, owner, limit=200, cursor=cursor)
        rows += page_of.answer[name]
        _check_size(rows)
        cursor = page_of.answer["next_cursor"]
        if cursor is None or page_of.top:
            return rows


def _check_size(rows: Sequence[Any]) -> None:
    """Raise a problem where a file would be cut: one that lacks somebody in silence looks whole."""
    if len(rows) > MOST_EXPORTED:
        raise Problem("invalid_value", f"More than {MOST_EXPORTED:,} rows: narrow the list, or use `vouch export`")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return (
        plain_text(value) if isinstance(value, str) else decimal_text(value) if isinstance(value, float) else str(value)
    )
