"""Reference requests in the store: from the deal that needs one to the call that was held and what became of the deal.

A request that is matched becomes an ask, under the caps of asks and in their transaction. Where the request stands
follows from that ask, so that the two never say different things: who declines leaves the request open for another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from vouch.serving.asking.rules.reference_match import Prospect
from vouch.serving.store.asks import CONFLICT, AskResult, asks_by_id, record_within
from vouch.serving.store.audit import noted
from vouch.serving.store.tables import reference_matches, reference_requests

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from vouch.serving.asking.rules.caps import Ask
    from vouch.serving.asking.rules.policy import Policy
    from vouch.serving.store.asks import Wanted
    from vouch.serving.store.callers import Caller
    from vouch.serving.store.connection import Database

REQUESTED, ASKED, ACCEPTED, DONE, WITHDRAWN = STATES = ("requested", "asked", "accepted", "done", "withdrawn")
WON, LOST = DEALS = ("won", "lost")
UNKNOWN = "unknown_reference"
PROSPECT = ("industry", "company_size", "region", "language", "use_case", "persona")
_GIVEN = ("request_id", "deal", "kind", *PROSPECT, "needed_by_us", "requested_by")
_STORED = (*_GIVEN, "requested_us", "done_us", "withdrawn_us", "deal_outcome", "deal_us")


@dataclass(frozen=True)
class MatchedAsk:
    """An advocate who was asked for a request, and the ask; None where it was erased."""

    customer_id: str
    ask_id: str
    ask: Ask | None = None


@dataclass(frozen=True)
class ReferenceRequest:
    """What a deal needs a reference for, whom it was matched with, and what came of it. Times are microseconds."""

    request_id: str
    deal: str
    kind: str
    requested_us: int
    industry: str | None = None
    company_size: int | None = None
    region: str | None = None
    language: str | None = None
    use_case: str | None = None
    persona: str | None = None
    needed_by_us: int | None = None
    requested_by: str | None = None
    done_us: int | None = None
    withdrawn_us: int | None = None
    deal_outcome: str | None = None
    deal_us: int | None = None
    matches: tuple[MatchedAsk, ...] = ()
    """Who was asked, the latest last."""

    @property
    def prospect(self) -> Prospect:
        """What it says of the prospect."""
        return Prospect(**{name: getattr(self, name) for name in PROSPECT})

    @property
    def open_match(self) -> MatchedAsk | None:
        """Who was asked last, unless that ask came to nothing."""
        last = self.matches[-1] if self.matches else None
        if last is None or last.ask is None or last.ask.withdrawn_us is not None:
            return None
        return last if last.ask.outcome in (None, "accepted") else None

    @property
    def has_agreed(self) -> bool:
        """Whether an advocate has accepted, whatever came of it then."""
        answers = [match.ask.outcome for match in self.matches if match.ask is not None]
        return self.done_us is not None or "accepted" in answers

    @property
    def state(self) -> str:
        """Where it stands: one of STATES."""
        if self.withdrawn_us is not None:
            return WITHDRAWN
        if self.done_us is not None:
            return DONE
        match = self.open_match
        if match is None or match.ask is None:
            return REQUESTED
        return ASKED if match.ask.outcome is None else ACCEPTED

    def says_the_same(self, other: ReferenceRequest) -> bool:
        """Whether two ask for the same."""
        return all(getattr(self, name) == getattr(other, name) for name in _GIVEN if name != "requested_by")


@dataclass(frozen=True)
class Changed:
    """What became of a wish to change a request: the request as it stands, or why it does not."""

    request: ReferenceRequest | None
    is_new: bool = False
    why: str | None = None


def store_request(database: Database, wanted: ReferenceRequest, caller: Caller, now_us: int) -> Changed:
    """Record a request; the same again is told as it stands, another one under its id is refused."""
    with database.writing("asks") as connection:  # under the mark of asks, whose writers wait for one another
        known = request_of(connection, wanted.request_id)
        if known is not None:
            return Changed(known) if known.says_the_same(wanted) else Changed(None, why=CONFLICT)
        row = {name: getattr(wanted, name) for name in (*_GIVEN, "requested_us")}
        connection.execute(insert(reference_requests).values(**row, recorded_us=now_us, key_id=caller.key_id))
        _note(connection, caller, "requested a reference", now_us)
        return Changed(wanted, is_new=True)


def ask_for_request(
    database: Database,
    request_id: str,
    wanted: Wanted,
    policy: Policy,
    sizes: Mapping[str, Mapping[str, int]],
    caller: Caller,
    now_us: int,
) -> tuple[Changed, AskResult | None]:
    """Ask an advocate for a request, where the policy lets the ask be made and nobody else is being asked.

    Returns the request as it stands and what was told of the ask; both are written or neither is.
    """
    with database.writing("asks") as connection:
        known = request_of(connection, request_id)
        if known is None:
            return Changed(None, why=UNKNOWN), None
        is_theirs = any(match.ask_id == wanted.ask_id for match in known.matches)
        if not is_theirs and known.state != REQUESTED:
            return Changed(None, why=CONFLICT), None
        recorded = record_within(connection, wanted, policy, sizes, caller, now_us)
        if recorded.ask is None or is_theirs:
            return Changed(known), recorded
        row = {"request_id": request_id, "customer_id": wanted.customer_id, "ask_id": wanted.ask_id}
        connection.execute(insert(reference_matches).values(**row, matched_us=now_us, key_id=caller.key_id))
        matched = MatchedAsk(wanted.customer_id, wanted.ask_id, recorded.ask)
        return Changed(replace(known, matches=(*known.matches, matched)), is_new=True), recorded


def close_request(database: Database, request_id: str, state: str, caller: Caller, now_us: int) -> Changed:
    """Close a request: DONE once its advocate has accepted and the call was held, WITHDRAWN where it is not needed."""
    with database.writing("asks") as connection:
        known = request_of(connection, request_id)
        if known is None:
            return Changed(None, why=UNKNOWN)
        if known.state == state:
            return Changed(known)
        if known.state in {DONE, WITHDRAWN} or (state == DONE and known.state != ACCEPTED):
            return Changed(None, why=CONFLICT)
        values: dict[str, Any] = {f"{state}_us": now_us}
        _change(connection, request_id, values)
        _note(connection, caller, f"{state} a reference", now_us)
        return Changed(replace(known, **values), is_new=True)


def set_deal(database: Database, request_id: str, outcome: str, caller: Caller, now_us: int) -> Changed:
    """Record what became of the deal, one of DEALS; what was recorded wrongly is recorded again."""
    with database.writing("asks") as connection:
        known = request_of(connection, request_id)
        if known is None:
            return Changed(None, why=UNKNOWN)
        if known.deal_outcome == outcome:
            return Changed(known)
        values: dict[str, Any] = {"deal_outcome": outcome, "deal_us": now_us}
        _change(connection, request_id, values)
        _note(connection, caller, "told a deal", now_us)
        return Changed(replace(known, **values), is_new=True)


def request_of(connection: Connection, request_id: str) -> ReferenceRequest | None:
    """Return one request, None where there is none of the id."""
    requests = _requests(connection, reference_requests.c.request_id == request_id)
    return requests[0] if requests else None


def all_requests(connection: Connection) -> list[ReferenceRequest]:
    """Return all requests, those that are needed first first."""
    return sorted(_requests(connection), key=lambda one: (one.needed_by_us or 2**62, one.requested_us, one.request_id))


def _requests(connection: Connection, *where: Any) -> list[ReferenceRequest]:
    rows = connection.execute(select(reference_requests).where(*where)).all()
    ids = select(reference_requests.c.request_id).where(*where)
    query = select(reference_matches).where(reference_matches.c.request_id.in_(ids))
    matches = connection.execute(query.order_by(reference_matches.c.match_id)).all()
    asks = asks_by_id(connection, [match.ask_id for match in matches])
    by_request: dict[str, Sequence[MatchedAsk]] = {}
    for match in matches:
        made = MatchedAsk(match.customer_id, match.ask_id, asks.get(match.ask_id))
        by_request[match.request_id] = (*by_request.get(match.request_id, ()), made)
    return [
        ReferenceRequest(
            **{name: getattr(row, name) for name in _STORED}, matches=tuple(by_request.get(row.request_id, ()))
        )
        for row in rows
    ]


def _change(connection: Connection, request_id: str, values: Mapping[str, Any]) -> None:
    of_it = reference_requests.c.request_id == request_id
    connection.execute(update(reference_requests).where(of_it).values(**values))


def _note(connection: Connection, caller: Caller, action: str, now_us: int) -> None:
    noted(connection, now_us, caller.name, action, key_id=caller.key_id, rows=1)
