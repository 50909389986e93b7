"""The pages of the two ranked lists: filters from an address, rows from the same answers as the API's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, get_args
from urllib.parse import urlencode

from pydantic import BaseModel, ValidationError

from vouch.features.contract.tables import ACT_KINDS
from vouch.serving.api.handlers import read
from vouch.serving.api.problems import Problem, from_validation
from vouch.serving.api.schemas import MAX_PAGE, AdvocatesSearch, AtRiskSearch, Sort
from vouch.serving.snapshots.schema import TIERS
from vouch.serving.web.queries import whole_number
from vouch.serving.web.this_week import owners_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.datastructures import QueryParams

    from vouch.serving.api.state import ServingState
    from vouch.serving.api.week import ServedWeek

Asked = TypeVar("Asked", bound=BaseModel)
ROWS = 25
BANDS, EVERY = ("high", "watch", "low"), "all"
SORTS = get_args(Sort)
OFFERED = 200
"""Values that a filter offers at most: those with the most customers."""


@dataclass(frozen=True)
class Choice:
    """One filter: its name in the address, what may be chosen, and what is."""

    name: str
    values: Sequence[str]
    chosen: str


@dataclass(frozen=True)
class Listing:
    """A page of a list with its filters, and the address of the page after it."""

    answer: Mapping[str, Any]
    choices: Sequence[Choice]
    minimum_score: str
    include_ineligible: bool
    is_filtered: bool
    is_first: bool
    next_query: str | None
    first_query: str
    week_query: str
    """The same of this week, for a link that shows what is seen now."""
    minimum_mrr: str = ""
    top: str = ""
    """How many are shown, where not all are wanted."""
    kind: str = ""
    """The kind of act that was chosen."""


def candidate_listing(store: ServingState, query: QueryParams, owner: str = "", **place: Any) -> Listing:
    """Return candidates to be asked; raises the problems of the API."""
    choices = [
        *_own_choices(store.week_of(query.get("as_of") or None), query, owner),
        Choice("tier", TIERS[::-1], query.get("tier", "")),
        Choice("kind", ACT_KINDS, query.get("kind", "")),
    ]
    minimum, excluded = query.get("minimum_score", ""), query.get("include_ineligible") == "1"
    kind = query.get("kind", "")
    if store.policy.is_drawn(kind):  # whoever is drawn is chosen by neither
        choices, minimum = [choice for choice in choices if choice.name != "tier"], ""
    asked: dict[str, Any] = {choice.name: [choice.chosen] for choice in choices if choice.chosen}
    if minimum:
        asked["minimum_score"] = _number(minimum)
    request = checked(AdvocatesSearch, {**asked, "include_ineligible": excluded, **_place(query, place)})
    filters = {"minimum_score": minimum, "include_ineligible": "1" if excluded else "", "as_of": query.get("as_of", "")}
    return replace(_listing(read.search_advocates(store, request), choices, filters, query), kind=kind)


def at_risk_listing(store: ServingState, query: QueryParams, owner: str = "", **given: Any) -> Listing:
    """Return customers at risk, high and watch unless asked otherwise; raises the problems of the API."""
    band, sort, minimum = query.get("band", ""), query.get("sort", ""), query.get("minimum_mrr", "")
    choices = [
        *_own_choices(store.week_of(query.get("as_of") or None), query, owner),
        Choice("band", (*BANDS, EVERY), band),
        Choice("sort", SORTS, sort),
    ]
    asked: dict[str, Any] = {choice.name: [choice.chosen] for choice in choices[:-1] if choice.chosen}
    asked |= {"band": []} if band == EVERY else {}
    asked |= {"sort": sort} if sort else {}
    asked |= {"minimum_mrr": _number(minimum, "minimum_mrr")} if minimum else {}
    most = whole_number(query.get("top"))
    top = str(most) if most is not None and 0 < most <= MAX_PAGE else ""
    place = _place(query, given)
    place |= {"limit": most} if top else {}
    request = checked(AtRiskSearch, {**asked, **place})
    listing = _listing(
        read.search_at_risk(store, request),
        choices,
        {"minimum_mrr": minimum, "top": top, "as_of": query.get("as_of", "")},
        query,
    )
    return replace(listing, next_query=None if top else listing.next_query, top=top)


def _listing(
    answer: Mapping[str, Any], choices: Sequence[Choice], filtered: Mapping[str, str], query: QueryParams
) -> Listing:
    held = {**{choice.name: choice.chosen for choice in choices}, **filtered}
    filters = {name: value for name, value in held.items() if value}
    end = answer["next_cursor"]
    return Listing(
        answer=answer,
        choices=choices,
        minimum_score=filtered.get("minimum_score", ""),
        minimum_mrr=filtered.get("minimum_mrr", ""),
        include_ineligible=bool(filtered.get("include_ineligible")),
        is_filtered=bool(filters.keys() - {"as_of"}),
        is_first="cursor" not in query,
        next_query=urlencode({**filters, "cursor": end}) if end else None,
        first_query=urlencode(filters),
        week_query=urlencode({**filters, "as_of": answer["as_of"]}),
    )


def _place(query: QueryParams, place: Mapping[str, Any]) -> dict[str, Any]:
    """Which page of which week, as an address says it or as whoever goes through all pages does."""
    return {"limit": ROWS, "cursor": query.get("cursor"), "as_of": query.get("as_of") or None, **place}


def _own_choices(week: ServedWeek, query: QueryParams, owner: str) -> list[Choice]:
    """What the customers of a week can be chosen by; who looks after them only where that is said."""
    names = {"owner": list(owners_of(week))} if owners_of(week) else {}
    names |= {name: _values(week.candidates[name]) for name in ("segment", "region", "language")}
    chosen = {name: query.get(name, "") for name in names} | {"owner": owner}
    return [Choice(name, _with_chosen(values, chosen[name]), chosen[name]) for name, values in names.items()]


def _values(column: Any) -> list[str]:
    """Values of a category, by name; the most frequent ones where there are too many."""
    counts = column.value_counts()
    return sorted(str(value) for value in counts[counts > 0].index[:OFFERED])


def _with_chosen(values: list[str], chosen: str) -> list[str]:
    return values if not chosen or chosen in values else [chosen, *values]


def _number(text: str, field: str = "minimum_score") -> float:
    try:
        return float(text)
    except ValueError as error:
        raise Problem("invalid_value", "Give a number", field) from error


def checked(model: type[Asked], values: Mapping[str, Any]) -> Asked:
    """Return a request of the API made of what came with a form or an address; raises the problem `invalid_value`."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise from_validation(error, frozenset(model.model_fields)) from error
