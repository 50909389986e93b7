"""Handlers of the two ranked lists: rows made once and kept as JSON, pages put together from them.

A row of the week does not change until the next week; what moves with every ask stands before it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from vouch.serving.api.problems import Problem
from vouch.serving.api.speaking import FIRST, iso_instant, reason_to_ask, told
from vouch.serving.api.state import now_us
from vouch.serving.asking.ranking import EXCLUSIONS, Filters, Place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.serving.api.schemas import AdvocatesSearch, AtRiskSearch
    from vouch.serving.api.state import ServingState
    from vouch.serving.api.week import ServedWeek
    from vouch.serving.asking.ranked_list import FoundPlaces, RankedList

TOP_REASONS = 5
"""Families told per row of a list; one customer shows all."""
CANDIDATE = (
    "customer_id", "advocacy_status", "advocacy_probability", "advocacy_score", "churn_status", "churn_probability",
    "advocate_tier", "segment", "region", "language", "advocacy_model", "churn_model",
)  # fmt: skip
AT_RISK = (
    "customer_id", "churn_status", "churn_probability", "churn_band", "mrr", "segment", "region", "language",
    "churn_model",
)  # fmt: skip


def candidates_page(store: ServingState, request: AdvocatesSearch) -> bytes:
    """A page of ranked candidates, as JSON."""
    filters = Filters(
        segments=tuple(request.segment),
        regions=tuple(request.region),
        languages=tuple(request.language),
        tiers=tuple(request.tier),
        kinds=tuple(request.kind),
        minimum_score=request.minimum_score,
        include_ineligible=request.include_ineligible,
    )
    portfolio = store.portfolio
    asking, ranked = portfolio.asking, portfolio.ranked
    seal, after = _opened(filters, request.cursor)
    found = ranked.page(filters, request.limit, after, (asking.state, asking.left))
    rows = [
        _moving(rank, exclusion(portfolio, int(place)), asking.last_us(int(place)))
        + portfolio.rows.of("candidate", int(place), lambda place: candidate(portfolio, place))
        for rank, place in enumerate(found.places, found.first_rank)
    ]
    return _page(portfolio, ranked, found, seal, b"candidates", rows)


def at_risk_page(store: ServingState, request: AtRiskSearch) -> bytes:
    """A page of those at risk, as JSON."""
    filters = Filters(
        segments=tuple(request.segment),
        regions=tuple(request.region),
        languages=tuple(request.language),
        bands=tuple(request.band),
    )
    portfolio = store.portfolio
    seal, after = _opened(filters, request.cursor)
    found = portfolio.at_risk.page(filters, request.limit, after)
    rows = [
        b'{"rank":%d,' % rank + portfolio.rows.of("at_risk", int(place), lambda place: endangered(portfolio, place))
        for rank, place in enumerate(found.places, found.first_rank)
    ]
    return _page(portfolio, portfolio.at_risk, found, seal, b"customers", rows)


def search_advocates(store: ServingState, request: AdvocatesSearch) -> dict[str, Any]:
    """A page of ranked candidates."""
    found: dict[str, Any] = from_json(candidates_page(store, request))
    return found


def search_at_risk(store: ServingState, request: AtRiskSearch) -> dict[str, Any]:
    """A page of those at risk."""
    found: dict[str, Any] = from_json(at_risk_page(store, request))
    return found


class Page(bytes):
    """A page of a list as JSON, which knows how many rows it has."""

    rows: int


def _page(
    portfolio: ServedWeek, ranked: RankedList, found: FoundPlaces, seal: str, name: bytes, rows: list[bytes]
) -> Page:
    end = None
    if not found.is_last:
        last = int(found.places[-1])
        order = float(ranked.order[last])
        end = cursor_of(seal, None if order != order else order, ranked.customer_id(last))
    rest = to_json({**portfolio.freshness(now_us()), "total": found.total, "next_cursor": end})
    page = Page(rest[:-1] + b',"' + name + b'":[' + b",".join(rows) + b"]}")
    page.rows = len(rows)
    return page


def _moving(rank: int, code: str | None, last_us: int | None) -> bytes:
    """What stands before a row: its rank, and what moves with every ask."""
    if code is None and last_us is None:
        return b'{"rank":%d,"is_eligible":true,"exclusion":null,"exclusion_words":null,"last_asked_at":null,' % rank
    moving = {"rank": rank, **excluded(code), "last_asked_at": iso_instant(last_us)}
    return to_json(moving)[:-1] + b","


def exclusion(portfolio: ServedWeek, place: int) -> str | None:
    """Why who stands at a place of the candidates is not asked now."""
    return portfolio.ranked.category("exclusion", place) or portfolio.asking.why(place)


def excluded(code: str | None) -> dict[str, Any]:
    """An exclusion as all answers tell it."""
    return {"is_eligible": code is None, "exclusion": code, "exclusion_words": EXCLUSIONS[code] if code else None}


def candidate(portfolio: ServedWeek, place: int) -> dict[str, Any]:
    """What the week says of who stands at a place of the candidates."""
    row = {**portfolio.scores.at(int(portfolio.ranked.rows[place])), **portfolio.profile(portfolio.ranked, place)}
    value = float(portfolio.ranked.values[place])
    return {
        **{name: row[name] for name in CANDIDATE},
        "value": None if value != value else value,
        **to_do(portfolio, place, row),
        "reasons": told(row["advocacy_reasons"], TOP_REASONS) or [],
    }


def to_do(portfolio: ServedWeek, place: int, row: Mapping[str, Any]) -> dict[str, Any]:
    """What to ask somebody for, what to do first, and by which chance the place was given."""
    kind, first = portfolio.ranked.category("ask_for", place), row.get("care_first")
    drawn = portfolio.ranked.is_drawn(place)
    return {
        "ask_for": None if kind is None else reason_to_ask(portfolio, kind, row, portfolio.ranked.worth[place]),
        "first": None if first is None else {"what": first, "words": FIRST[first]},
        "is_randomised": drawn,
        "propensity": portfolio.asking.policy.exploration.share if drawn else None,
    }


def endangered(portfolio: ServedWeek, place: int) -> dict[str, Any]:
    """What the week says of who stands at a place of those at risk."""
    row = {**portfolio.scores.at(int(portfolio.at_risk.rows[place])), **portfolio.profile(portfolio.at_risk, place)}
    return {
        **{name: row[name] for name in AT_RISK},
        "value": float(portfolio.at_risk.values[place]),
        "reasons": told(row["churn_reasons"], TOP_REASONS) or [],
    }


def _opened(filters: Filters, cursor: str | None) -> tuple[str, Place | None]:
    """What seals the cursors of these filters, and the place that a cursor stands for."""
    seal = hashlib.sha256(repr(filters).encode()).hexdigest()[:16]
    return seal, place_of(cursor, seal) if cursor else None


def cursor_of(*parts: object) -> str:
    """Return a cursor: a place in a list, and the filters that it goes with."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def place_of(cursor: str, seal: str) -> Place:
    """Return the place that a cursor stands for; it goes with the filters that it was made for."""
    try:
        given, value, customer_id = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise Problem("unknown_cursor", "The cursor is none of ours", "cursor") from error
    if given != seal or not isinstance(customer_id, str) or not (value is None or isinstance(value, float)):
        raise Problem("unknown_cursor", "The cursor goes with other filters", "cursor")
    return Place(value, customer_id)
