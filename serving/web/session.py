"""Sessions of the page: signing in with a key, and out again.

A cookie that no script reads, and posts that come from our own page alone. The cookie holds a random token that the
store keeps as a hash, so that a session ends for all processes at once. A post is taken where the browser says that our
own page sent it (`Sec-Fetch-Site`, else `Origin`): beside the cookie's `SameSite=Strict` that also guards a service
that is open to its own machine, where there is no cookie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.responses import RedirectResponse, Response

from vouch.features.instants import SECOND_US
from vouch.serving.api.access import COOKIE, LOGIN, PAGE
from vouch.serving.api.problems import Problem
from vouch.serving.store.keys import SESSION_US

if TYPE_CHECKING:
    from starlette.requests import Request


def check_sender(request: Request) -> None:
    """Raise the problem `forbidden` for a post that did not come from a page of ours."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        is_ours = site == "same-origin"
    else:
        is_ours = urlsplit(request.headers.get("origin", "")).netloc == request.headers.get("host", "") != ""
    if not is_ours:
        raise Problem("forbidden", "A form is sent from a page of this service")


def target(text: str | None) -> str:
    """Return where to go after signing in: within the page, never elsewhere.

    >>> target("/app/customer?id=c1"), target("//evil.example/app"), target("/app/../v1"), target(None)
    ('/app/customer?id=c1', '/app', '/app', '/app')
    """
    path = urlsplit(text or "").path
    is_ours = (path == PAGE or path.startswith(f"{PAGE}/")) and ".." not in path and path != LOGIN
    return text if text and is_ours and text.startswith(PAGE) and text.isprintable() else PAGE


def with_query(address: str, **added: str) -> str:
    """Return an address of ours with parameters added, each of them once; what was told before is gone.

    >>> with_query("/app/candidates?segment=a&done=recorded", refused="quota")
    '/app/candidates?segment=a&refused=quota'
    """
    parts = urlsplit(address)
    held = {name: value for name, value in parse_qsl(parts.query) if name not in {"done", "refused", "chosen"}}
    return parts._replace(query=urlencode({**held, **added})).geturl()


def sign_in_response(request: Request, token: str, to: str) -> Response:
    """Return the way on with the session's cookie; only over HTTPS where the page was reached that way."""
    answer = RedirectResponse(to, 303)
    scheme = request.headers.get("x-forwarded-proto", request.url.scheme)
    answer.set_cookie(
        COOKIE,
        token,
        max_age=SESSION_US // SECOND_US,
        path=PAGE,
        secure=scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


def sign_out_response() -> Response:
    """Return the way in, without the cookie."""
    answer = RedirectResponse(LOGIN, 303)
    answer.delete_cookie(COOKIE, path=PAGE, httponly=True, samesite="strict")
    return answer
