"""The pages of accounts: customers that belong together as rows, and one account with its people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from vouch.serving.api.handlers.accounts import search_accounts
from vouch.serving.api.schemas import AccountsSearch
from vouch.serving.web.lists import ROWS, checked
from vouch.serving.web.this_week import owners_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.datastructures import QueryParams

    from vouch.serving.api.state import ServingState


@dataclass(frozen=True)
class AccountListing:
    """A page of accounts, and the address of the page after it."""

    answer: Mapping[str, Any]
    owners: Sequence[str]
    owner: str
    text: str
    is_first: bool
    next_query: str | None
    first_query: str


def account_listing(store: ServingState, query: QueryParams, owner: str) -> AccountListing:
    """Return accounts, the most revenue at risk first; raises the problems of the API."""
    text = query.get("text", "").strip()
    asked = {"owner": [owner] if owner else [], "text": text or None, "limit": ROWS, "cursor": query.get("cursor")}
    as_of = query.get("as_of") or None
    answer = search_accounts(store, checked(AccountsSearch, {**asked, "as_of": as_of}))
    filters = {name: value for name, value in (("owner", owner), ("text", text), ("as_of", as_of)) if value}
    end = answer["next_cursor"]
    return AccountListing(
        answer=answer,
        owners=owners_of(store.week_of(as_of)),
        owner=owner,
        text=text,
        is_first="cursor" not in query,
        next_query=urlencode({**filters, "cursor": end}) if end else None,
        first_query=urlencode(filters),
    )
