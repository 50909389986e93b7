"""Authentication and authorisation: a caller is known by a bearer key or by a session of the page.

A caller may what the scope of the key says. Each route says what it needs; nothing is open but the probes and the
page's way in. Where no key was ever made the service is open to its own machine, if it listens there alone. Wrong keys
are counted by address, right ones by key; by all workers of the service together.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from limits import parse
from limits.strategies import SlidingWindowCounterRateLimiter

from vouch.serving.api.problems import Problem
from vouch.serving.api.shared import SharedHits, SharedNumbers
from vouch.serving.api.state import now_us
from vouch.serving.store.audit import entry
from vouch.serving.store.callers import EVERYBODY, Caller
from vouch.serving.store.keys import SCOPES, session_key_id, verified

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from limits import RateLimitItem
    from starlette.types import Scope

    from vouch.serving.api.state import ServingState
    from vouch.serving.store.keys import Key

NOTHING = "nothing"
"""What a route needs that is open to all."""
PAGE, LOGIN = "/app", "/app/login"
"""The page, and its way in."""
COOKIE = "vouch_session"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
FORWARDED = re.compile(
    r"via|.*-via|cdn-loop|(.*-)?proxy(-.*|user.*)?|(.*-)?forward(ed)?(-.*)?|cf-.*|(.*-)?(client|connecting|socket|user)-?ip"
    r"|x-(real|original|rewrite|remote|envoy|azure|arr|akamai|appengine|cluster|varnish|ssl)(-.*)?|x-(host|scheme|url)"
)
"""Headers that only something between a client and this service sets."""
WRONG_KEYS = "100/minute"


def caller_of(scope: Scope) -> Caller:
    """Return who sent a request that the gate let through."""
    caller: Caller = scope["state"]["caller"]
    return caller


def address_of(scope: Scope) -> str:
    """Return the address that a request came from: the other end, or what that has forwarded where it is trusted."""
    return str((scope.get("client") or ("nobody",))[0])


class AccessGate:
    """Lets requests through to a route, or says why not."""

    def __init__(
        self,
        store: ServingState,
        is_local: bool,
        rate: str,
        now: Callable[[], int],
        shared: SharedNumbers | None = None,
    ) -> None:
        self._store, self._is_local, self._now = store, is_local, now
        self._rate, self._wrong = parse(rate), parse(WRONG_KEYS)
        self._counts = SlidingWindowCounterRateLimiter(SharedHits(shared or SharedNumbers(), now))

    def admit(self, scope: Scope, needs: str, *, is_page: bool) -> Caller | None:
        """Return who calls a route that needs a scope, None where it needs nothing; raises a Problem for who may not.

        Who opens a page without a session is sent to its way in, and from there back.
        """
        if needs == NOTHING:
            return None
        try:
            writes = needs != SCOPES[0] or (is_page and scope["method"] == "POST")
            caller = self._known(scope, is_page, writes=writes)
        except Problem as problem:
            if problem.code == "unauthorised" and is_page and scope["method"] == "GET":
                address = _address(scope)
                problem.goes_to = LOGIN if address == PAGE else f"{LOGIN}?{urlencode({'next': address})}"
            raise
        if not caller.may(needs):
            if needs != SCOPES[0]:
                who = {"key_id": caller.key_id, "route": scope["route"].path, "rows": 0, "status": 403}
                self._store.journal.note(entry(self._now(), caller.name, "refused", **who))
            raise Problem("forbidden", f"The key has the scope {caller.scope}, and this needs more")
        return caller

    def _known(self, scope: Scope, is_page: bool, *, writes: bool) -> Caller:
        keys = self._store.require_keys(writes=writes)
        headers = dict(scope["headers"])
        if not keys and self._is_local:
            return _everybody(scope, headers)
        key = self._key(headers, keys, is_page)
        if key is None:
            self._count(self._wrong, "address", address_of(scope))
            raise Problem("unauthorised")
        self._count(self._rate, "key", key.key_id)
        scope.setdefault("state", {})["rate"] = self._left(key.key_id)
        return Caller(key.key_id, key.name, key.scope)

    def _key(self, headers: Mapping[bytes, bytes], keys: Mapping[str, Key], is_page: bool) -> Key | None:
        """The key that a request carries, or that its session was opened with; a session counts on the page alone."""
        kind, _, text = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if kind.lower() == "bearer":
            return verified(text.strip(), keys)
        token = session_token(headers) if is_page else None
        key = keys.get(session_key_id(self._store.database, token, self._now()) or "") if token else None
        return key if key and key.revoked_us is None else None

    @property
    def needs_keys(self) -> bool:
        """Whether anybody needs a key: not where none was ever made and only this machine reaches the service."""
        return bool(self._store.keys) or not self._is_local

    def key_of(self, text: str, address: str) -> Key:
        """Return the key that somebody signs in with; raises the problem of a wrong one."""
        key = verified(text, self._store.require_keys(writes=True))
        if key is None:
            self._count(self._wrong, "address", address)
            raise Problem("unauthorised")
        return key

    def _left(self, key_id: str) -> list[tuple[bytes, bytes]]:
        """Headers that tell what is left of the rate of a key."""
        window = self._counts.get_window_stats(self._rate, "key", key_id)
        ends_s = max(0, round(window.reset_time - self._now() / 1e6))
        limits = {"limit": self._rate.amount, "remaining": max(0, window.remaining), "reset": ends_s}
        return [(f"ratelimit-{name}".encode(), str(number).encode()) for name, number in limits.items()]

    def _count(self, limit: RateLimitItem, *who: str) -> None:
        if self._counts.hit(limit, *who):
            return
        problem = Problem("too_many_requests", f"At most {limit.amount} in {limit.get_expiry()} s")
        wait_s = self._counts.get_window_stats(limit, *who).reset_time - self._now() / 1e6
        problem.headers["retry-after"] = str(max(1, round(wait_s)))
        raise problem


def _address(scope: Scope) -> str:
    """Where a request goes within the service."""
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{scope['path']}?{query}" if query else str(scope["path"])


def _everybody(scope: Scope, headers: Mapping[bytes, bytes]) -> Caller:
    """A person at this machine. A name of elsewhere in the request is a web page that was led here.

    What was forwarded may come from anywhere: a proxy of this machine connects from it, whoever asks.
    """
    host = headers.get(b"host", b"").decode("latin-1").lower()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name not in LOCAL_NAMES or _is_elsewhere(address_of(scope)):
        raise Problem("forbidden", "Without keys the service answers to its own machine alone")
    if any(FORWARDED.fullmatch(name.decode("latin-1").lower().replace("_", "-")) for name in headers):
        raise Problem("forbidden", "Behind a proxy the service needs keys: `vouch keys create NAME` makes one")
    return EVERYBODY


def _is_elsewhere(address: str) -> bool:
    try:
        return not ip_address(address).is_loopback
    except ValueError:  # no address: a socket of this machine
        return False


def session_token(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the token of the session that a request carries, if any.

    Cookies of others on this host stand beside it, in whatever form: one of our name that looks like ours counts.
    """
    for cookie in headers.get(b"cookie", b"").decode("latin-1").split(";"):
        name, _, value = cookie.strip().partition("=")
        if name == COOKIE and _TOKEN.fullmatch(value):
            return value
    return None


def refused(store: ServingState, caller: Caller, route: str, problem: Problem, customer_id: str | None = None) -> None:
    """Tell the audit log of a write that was refused; a customer is named where the week knows of them."""
    is_known = customer_id is not None and store.is_ready and store.portfolio.ids.row_of(customer_id) is not None
    who = {"key_id": caller.key_id, "customer_id": customer_id if is_known else None}
    store.journal.note(entry(now_us(), caller.name, "refused", **who, route=route, rows=0, status=problem.status))
