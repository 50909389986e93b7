"""Addresses of a past week: what a page that shows one leads to shows that week too.

Links are held to the week where the page is written, not where each of them is: one that is added later cannot forget.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode

from vouch.serving.api.problems import Problem

if TYPE_CHECKING:
    from starlette.requests import Request

    from vouch.serving.api.state import ServingState
    from vouch.serving.api.week import ServedWeek

AS_OF = "as_of"
VIEWS_OF_A_WEEK = frozenset(
    f"/app{view}"
    for view in (
        "", "/", "/portfolio", "/candidates", "/candidates/export", "/at-risk", "/at-risk/export", "/customer", "/find",
        "/accounts", "/account", "/metrics", "/lists",
    )
)  # fmt: skip
"""Views that take `as_of`, beside those of single metrics and lists; the others show what stands now."""
_UNDER = ("/app/metrics/", "/app/lists/")
_LINK = re.compile(r'(?<!data-newest )href="(?P<path>/app[^"?#]*)(?:\?(?P<query>[^"#]*))?(?P<place>#[^"]*)?"')
_SEARCH = re.compile(r'<form\b[^>]*\baction="(?P<path>/app[^"?#]*)"[^>]*\bmethod="get"[^>]*>')


def is_of_a_week(path: str) -> bool:
    """Whether a view takes `as_of`.

    >>> is_of_a_week("/app/customer"), is_of_a_week("/app/metrics/nps"), is_of_a_week("/app/models")
    (True, True, False)
    """
    return path in VIEWS_OF_A_WEEK or path.startswith(_UNDER)


def instant_of_address(request: Request) -> str | None:
    """The instant that an address names; None for the newest week."""
    return request.query_params.get(AS_OF) or None


def week_shown(request: Request, store: ServingState, as_of: str | None = None) -> ServedWeek | None:
    """The week that a page is about: `as_of`, else that of its address, else the newest; None where there is none."""
    as_of = as_of or (instant_of_address(request) if is_of_a_week(request.url.path) else None)
    for name in (as_of, None):
        try:
            return store.week_of(name)
        except Problem:
            continue
    return None


def holding(text: str, as_of: str) -> str:
    """Return a page whose links and searches name a week, but for those that name one or lead to the newest.

    >>> holding('<a href="/app/customer?id=c1#ask">', "2026-11-09")
    '<a href="/app/customer?id=c1&amp;as_of=2026-11-09#ask">'
    >>> holding('<a data-newest href="/app"><a href="/app/models">', "2026-11-09")
    '<a data-newest href="/app"><a href="/app/models">'
    """
    added = html.escape(urlencode({AS_OF: as_of}))

    def link(match: re.Match[str]) -> str:
        path, query, place = (match[name] or "" for name in ("path", "query", "place"))
        if not is_of_a_week(path) or AS_OF in dict(parse_qsl(html.unescape(query))):
            return match[0]
        return f'href="{path}?{f"{query}&amp;" if query else ""}{added}{place}"'

    def search(match: re.Match[str]) -> str:
        hidden = f'<input type="hidden" name="{AS_OF}" value="{html.escape(as_of)}">'
        return match[0] + hidden if is_of_a_week(match["path"]) else match[0]

    return _SEARCH.sub(search, _LINK.sub(link, text))


def newest_url(request: Request) -> str:
    """The address of a page in the newest week; pages after the first are those of the week that they were made of."""
    held = [(name, value) for name, value in parse_qsl(request.url.query) if name not in (AS_OF, "cursor", "after")]
    path = quote(request.url.path)
    return f"{path}?{urlencode(held)}" if held else path
