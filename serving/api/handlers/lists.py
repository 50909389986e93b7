"""Handlers of the two lists of customers: rows made once and kept as JSON, pages put together from them.

A row of the week does not change until the next week; what moves with every ask stands before it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic_core import from_json, to_json

from vouch.serving.api.handlers.health_parts import band_reason_answer
from vouch.serving.api.past_weeks import instant_of
from vouch.serving.api.problems import Problem
from vouch.serving.api.speaking import FIRST, called, iso_instant, reason_to_ask, what_is_known, worded_reasons
from vouch.serving.api.state import now_us
from vouch.serving.asking.by_rules import RULES
from vouch.serving.asking.offers import offer_to
from vouch.serving.asking.ranking import EXCLUSIONS, Filters, Place
from vouch.serving.asking.rules.caps import CODES
from vouch.serving.snapshots.read import horizon_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.serving.api.schemas import AdvocatesSearch, AtRiskSearch
    from vouch.serving.api.state import ServingState
    from vouch.serving.api.week import ServedWeek
    from vouch.serving.asking.candidate_lists import KindList, Numbers
    from vouch.serving.asking.ranked_list import FoundPlaces, RankedList

DREW = "drew"
"""What the audit log calls a list that was drawn; a ranked one was `listed`."""
TOP_REASONS = 5
"""Families told per row of a list; one customer shows all."""
CANDIDATE = (
    "advocacy_status", "advocacy_probability", "advocacy_low", "advocacy_high", "advocacy_score", "churn_status",
    "churn_probability", "churn_low", "churn_high", "advocate_tier", "health_score", "health_band", "segment",
    "region", "language", "contact_consent",
    "advocacy_consent", "advocacy_model", "churn_model",
)  # fmt: skip
AT_RISK = (
    "churn_status", "churn_probability", "churn_low", "churn_high", "churn_band", "health_score", "health_band", "mrr",
    "segment", "region",
    "language", "contact_consent", "churn_model",
)  # fmt: skip


def candidates_page(store: ServingState, request: AdvocatesSearch) -> bytes:
    """A page of candidates, as JSON: ranked, or drawn where a public kind is chosen."""
    filters = Filters(
        segments=tuple(request.segment),
        regions=tuple(request.region),
        languages=tuple(request.language),
        owners=tuple(request.owner),
        tiers=tuple(request.tier),
        kinds=tuple(sorted(set(request.kind))),
        minimum_score=request.minimum_score,
        include_ineligible=request.include_ineligible,
    )
    seal = seal_of(filters)
    portfolio, after = opened_week(store, seal, request.as_of, request.cursor)
    _check_drawn(portfolio, filters)
    asking = portfolio.asking
    held = portfolio.lists.of(filters.kinds) if filters.kinds else None
    ranked = portfolio.ranked if held is None else held.ranked
    left = asking.left if held is None else lambda places: asking.left(places, ranked)
    page = ranked.page(filters, request.limit, after, (asking.state, left))
    name = "candidate " + " ".join(filters.kinds)
    rows = [
        moving(portfolio, ranked, int(place), rank)
        + portfolio.rows.of(name, int(place), lambda place: candidate(portfolio, ranked, place))
        for rank, place in enumerate(page.places, page.first_rank)
    ]
    draw = draw_of(portfolio, filters, held)
    return _page(
        portfolio,
        ranked,
        page,
        seal,
        b"candidates",
        rows,
        {
            "draw": draw,
            "ranked_by": portfolio.ranked_by("advocacy", ranked),
            "exploration": None if draw else portfolio.exploration,
        },
    )


def is_first_search(store: ServingState, request: AdvocatesSearch) -> bool:
    """Whether the list for the kinds of a request has to be made first."""
    return of_past(store, request) or (bool(request.kind) and not store.portfolio.lists.is_made(tuple(request.kind)))


def of_past(store: ServingState, request: Any) -> bool:
    """Whether a request may have to read a past week first."""
    served = store.portfolio.week
    if (cursor := getattr(request, "cursor", None)) is not None:
        with contextlib.suppress(ValueError, TypeError, binascii.Error, RecursionError):
            *_, as_of, revision = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
            return (as_of, revision) != (served.manifest["as_of"], served.revision)
    return request.as_of is not None


def _check_drawn(portfolio: ServedWeek, filters: Filters) -> None:
    """Refuse what would choose whom to ask for a public act by how happy they are."""
    policy = portfolio.asking.policy
    if not any(map(policy.is_drawn, filters.kinds)):
        return
    if len(filters.kinds) > 1:
        raise Problem("invalid_value", "A kind that is drawn stands alone: search for one at a time", "kind")
    for field, value in (("minimum_score", filters.minimum_score), ("tier", filters.tiers)):
        if value:
            raise Problem("invalid_value", "Those to be asked for this kind are drawn: no score or tier chooses", field)


def draw_of(portfolio: ServedWeek, filters: Filters, held: KindList | None) -> dict[str, Any] | None:
    """What goes along with a drawn list, and how those asked so far compare with everybody; None for a ranked one."""
    if held is None or not held.is_drawn:
        return None
    asking, (kind,) = portfolio.asking, filters.kinds
    everybody = Filters(kinds=filters.kinds)
    may = held.ranked.page(
        everybody, len(held.ranked), None, (asking.state, lambda places: asking.left(places, held.ranked))
    ).places
    rows = np.asarray(asking.asked_for(kind), dtype=np.int64)
    return {
        "kind": kind,
        "disclosure": dict(asking.policy.disclosure),
        "eligible": spread(held.nps[may]),
        "asked": spread(held.nps[held.ranked.place_of[rows]]),
    }


def spread(nps: Numbers) -> dict[str, Any]:
    """How many they are, and the mean of their latest answers (0 to 10) to how likely they are to recommend."""
    known = nps[~np.isnan(nps)]
    return {"customers": len(nps), "answered": len(known), "nps_mean": float(known.mean()) if len(known) else None}


def at_risk_page(store: ServingState, request: AtRiskSearch) -> bytes:
    """A page of those at risk, as JSON."""
    filters = Filters(
        segments=tuple(request.segment),
        regions=tuple(request.region),
        languages=tuple(request.language),
        owners=tuple(request.owner),
        bands=tuple(request.band) if "band" in request.model_fields_set else (),
        minimum_mrr=request.minimum_mrr,
        sort=request.sort,
    )
    seal = seal_of(filters)
    portfolio, after = opened_week(store, seal, request.as_of, request.cursor)
    filters = replace(filters, bands=_bands(portfolio, request))
    ranked = portfolio.at_risk_by(request.sort)
    places = ranked.page(filters, request.limit, after)
    rows = [
        b'{"rank":%d,' % rank + portfolio.rows.of("at_risk", int(row), lambda row: endangered(portfolio, row))
        for rank, row in enumerate(ranked.rows[places.places], places.first_rank)
    ]
    ahead = horizon_days(portfolio, "churn")
    more = {"ranked_by": portfolio.ranked_by("churn"), "sort": request.sort, "horizon_days": ahead}
    return _page(portfolio, ranked, places, seal, b"customers", rows, more)


def _bands(portfolio: ServedWeek, request: AtRiskSearch) -> tuple[str, ...]:
    """Those asked for; without any the bands at risk, and all where rules rank, which know of no band."""
    is_asked = "band" in request.model_fields_set
    return () if portfolio.ranked_by("churn") == RULES and not is_asked else tuple(request.band)


def is_first_order(store: ServingState, request: AtRiskSearch) -> bool:
    """Whether the order of a request has to be made first, or a past week read."""
    return of_past(store, request) or not store.portfolio.is_sorted_by(request.sort)


def horizon_days(week: ServedWeek, model: str) -> int | None:
    """How many days ahead the probabilities of a week look."""
    return horizon_of(week.week.manifest, model)


def search_advocates(store: ServingState, request: AdvocatesSearch) -> dict[str, Any]:
    """A page of ranked candidates."""
    page: dict[str, Any] = from_json(candidates_page(store, request))
    return page


def search_at_risk(store: ServingState, request: AtRiskSearch) -> dict[str, Any]:
    """A page of those at risk."""
    page: dict[str, Any] = from_json(at_risk_page(store, request))
    return page


class Page(bytes):
    """A page of a list as JSON, which knows how many rows it has."""

    rows: int
    action: str
    """What the audit log calls it."""


def _page(
    portfolio: ServedWeek,
    ranked: RankedList,
    places: FoundPlaces,
    seal: str,
    name: bytes,
    rows: list[bytes],
    more: Mapping[str, Any],
) -> Page:
    end = None
    if not places.is_last:
        last = int(places.places[-1])
        order = float(ranked.order[last])
        end = cursor_of(seal, None if order != order else order, ranked.customer_id(last), *named_week(portfolio))
    rest = to_json({**portfolio.freshness(now_us()), "total": places.total, "next_cursor": end, **more})
    page = Page(rest[:-1] + b',"' + name + b'":[' + b",".join(rows) + b"]}")
    page.rows = len(rows)
    page.action = DREW if more.get("draw") else "listed"
    return page


def moving(portfolio: ServedWeek, ranked: RankedList, place: int, rank: int) -> bytes:
    """What stands before a row: its rank, and what moves with whatever is recorded."""
    row = int(ranked.rows[place])
    standing = int(portfolio.ranked.place_of[row])
    code = ranked.category("exclusion", place) or portfolio.asking.why(standing)
    last_us, due = portfolio.asking.last_us(standing), first(portfolio, row)
    if code is None and last_us is None and due is None:
        return (
            b'{"rank":%d,"is_eligible":true,"exclusion":null,"exclusion_words":null,"last_asked_at":null,"first":null,'
            b'"resting_until":null,' % rank
        )
    until = iso_instant(portfolio.asking.until_us(standing)) if code in CODES else None
    columns = {
        "rank": rank,
        **excluded(code),
        "last_asked_at": iso_instant(last_us),
        "first": due,
        "resting_until": until,
    }
    return to_json(columns)[:-1] + b","


def first(portfolio: ServedWeek, row: int) -> dict[str, Any] | None:
    """What is due to a customer before an ask, unless somebody has ticked it off."""
    due = portfolio.due_first(row)
    return None if due is None else {"what": due, "words": FIRST[due]}


def exclusion(portfolio: ServedWeek, place: int) -> str | None:
    """Why who stands at a place of the candidates for any act is not asked now."""
    return portfolio.ranked.category("exclusion", place) or portfolio.asking.why(place)


def excluded(code: str | None) -> dict[str, Any]:
    """An exclusion as all answers tell it."""
    return {"is_eligible": code is None, "exclusion": code, "exclusion_words": EXCLUSIONS[code] if code else None}


def candidate(portfolio: ServedWeek, ranked: RankedList, place: int) -> dict[str, Any]:
    """What the week says of who stands at a place of a list of candidates."""
    row = {**portfolio.scores_at(int(ranked.rows[place])), **portfolio.profile(ranked, place)}
    value = float(ranked.values[place])
    return {
        **called(row["customer_id"], row),
        **{name: row[name] for name in CANDIDATE},
        "health_band_reason": band_reason_answer(row, portfolio.health_rules.of(row["segment"])),
        "nps_last": row.get("nps_last"),
        "value": None if value != value else value,
        **to_do(portfolio, ranked, place, row),
        "reasons": worded_reasons(row["advocacy_reasons"], TOP_REASONS) or [],
    }


def to_do(portfolio: ServedWeek, ranked: RankedList, place: int, row: Mapping[str, Any]) -> dict[str, Any]:
    """What to ask somebody for, and by which chance the place was given."""
    kind, drawn, policy = ranked.category("ask_for", place), ranked.is_drawn(place), portfolio.asking.policy
    explored = drawn and not policy.is_drawn(kind or "")
    return {
        "ask_for": None
        if kind is None
        else {
            **reason_to_ask(portfolio, kind, row, ranked.worth[place]),
            **what_is_known(ranked.category("ranked_by", place), kind, row),
        },
        "is_randomised": drawn,
        "propensity": policy.exploration.share if explored else None,
    }


def endangered(portfolio: ServedWeek, row: int) -> dict[str, Any]:
    """What the week says of a customer at risk, by the row of the week."""
    row_values = {**portfolio.scores_at(row), **portfolio.profile_at(row)}
    before, value = (
        float(portfolio.standing.before[row]),
        float(portfolio.at_risk.values[portfolio.at_risk.place_of[row]]),
    )
    is_moved = before == before and row_values["churn_probability"] is not None
    return {
        **called(row_values["customer_id"], row_values),
        **{name: row_values[name] for name in AT_RISK},
        "health_band_reason": band_reason_answer(row_values, portfolio.health_rules.of(row_values["segment"])),
        "before": None if before != before else before,
        "change": row_values["churn_probability"] - before if is_moved else None,
        "renewal_at": iso_instant(row_values.get("renewal_at")),
        "value": None if value != value else value,
        "value_reason": no_value(row_values) if value != value else None,
        "offer": offer_to(row_values, portfolio.offer_facts),
        "reasons": worded_reasons(row_values["churn_reasons"], TOP_REASONS) or [],
    }


def no_value(row: Mapping[str, Any]) -> str:
    """Why there is no revenue at risk of a customer."""
    return "not_scored" if row["churn_probability"] is None else "no_revenue"


def seal_of(*filters: object) -> str:
    """What ties a cursor to the filters that it was made for."""
    return hashlib.sha256(repr(filters).encode()).hexdigest()[:16]


def named_week(portfolio: ServedWeek) -> tuple[str, int]:
    """What a cursor names a week by: its instant and its revision."""
    return str(portfolio.week.manifest["as_of"]), portfolio.week.revision


def opened_week(
    store: ServingState, seal: str, as_of: str | None, cursor: str | None
) -> tuple[ServedWeek, Place | None]:
    """The week that a request is about, and the place that its cursor stands for.

    A cursor goes on in the week that its page was made of, whatever was published since; raises the problem `week_gone`
    where that is no longer kept.
    """
    if cursor is None:
        return store.week_of(as_of), None
    place, of_cursor, revision = place_of(cursor, seal)
    if as_of is not None and instant_of(as_of) != instant_of(of_cursor):
        raise Problem("unknown_cursor", "The cursor goes with another week", "cursor")
    return store.week_of(of_cursor, revision), place


def cursor_of(*parts: object) -> str:
    """Return a cursor: a place in a list, the filters that it goes with, and the week."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def place_of(cursor: str, seal: str) -> tuple[Place, str, int]:
    """Return the place that a cursor stands for, with the instant and revision of its week."""
    try:
        given, value, customer_id, as_of, revision = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise Problem("unknown_cursor", "The cursor is none of ours", "cursor") from error
    is_place = isinstance(customer_id, str) and (value is None or (isinstance(value, float) and math.isfinite(value)))
    is_week = isinstance(as_of, str) and type(revision) is int
    if given != seal or not (is_place and is_week):
        raise Problem("unknown_cursor", "The cursor goes with other filters", "cursor")
    return Place(value, customer_id), as_of, revision
