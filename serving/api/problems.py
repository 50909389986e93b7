"""What goes wrong with a request, said the same way by every route and layer: RFC 9457 problem documents.

One ASGI wrapper stands around everything, BentoML's own routes too: it limits bodies while they arrive (BentoML does
not), refuses what is no HTTP, and turns every error answer into a problem document. Nothing that came with a request
is repeated, neither in an answer nor in a log line.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from vouch.features.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pydantic import ValidationError
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from vouch.serving.api.access import Gate
    from vouch.serving.api.routes import GuardedRoute
    from vouch.serving.api.shared import SharedNumbers

MEDIA_TYPE = "application/problem+json"
MAX_BODY_BYTES = 8 * 2**20
BODY_SECONDS = 20.0
"""How long the body of a request may take to arrive."""
STRANGE = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffd]")
"""What no path of ours holds: control characters, and (as it is decoded) what is no UTF-8."""
_log = logging.getLogger("vouch.serving")


@dataclass(frozen=True)
class Kind:
    """One kind of problem: the status it is sent with, and its title."""

    status: int
    title: str


KINDS: Mapping[str, Kind] = {
    "malformed": Kind(400, "The body is not JSON"),
    "malformed_path": Kind(400, "The path holds what no path may"),
    "unauthorised": Kind(401, "A key is needed"),
    "forbidden": Kind(403, "The key may not do this"),
    "unknown_customer": Kind(404, "No such customer"),
    "unknown_ask": Kind(404, "No such ask"),
    "unknown_cursor": Kind(404, "No such page of the list"),
    "unknown_metric": Kind(404, "No such metric"),
    "unknown_route": Kind(404, "No such route"),
    "method_not_allowed": Kind(405, "The route takes another method"),
    "too_slow": Kind(408, "The body did not arrive in time"),
    "conflict": Kind(409, "It stands otherwise already"),
    "not_to_be_asked": Kind(409, "The customer must not be asked now"),
    "too_large": Kind(413, "The body is too large"),
    "unsupported_media_type": Kind(415, "The body must be application/json"),
    "invalid_value": Kind(422, "A value is not what the route takes"),
    "too_many_requests": Kind(429, "Too many requests"),
    "internal": Kind(500, "Something went wrong here"),
    "no_snapshot": Kind(503, "No snapshot is published yet"),
    "store_unavailable": Kind(503, "The store does not answer now"),
    "unavailable": Kind(503, "The service cannot answer now"),
}
_BY_STATUS = {
    400: "malformed",
    404: "unknown_route",
    405: "method_not_allowed",
    413: "too_large",
    429: "too_many_requests",
    503: "unavailable",
}
RETRY_SECONDS = {"store_unavailable": "5", "unavailable": "5", "no_snapshot": "30", "too_many_requests": "1"}
"""How long to wait at least before the same is worth another try."""
HEADERS = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}
"""Sent with every answer that does not set them otherwise."""


class Problem(Exception):
    """A request that is answered with a problem document. `field` names a field of ours, never what was sent in it."""

    def __init__(self, code: str, detail: str = "", field: str | None = None) -> None:
        super().__init__(code)
        self.code, self.detail, self.field = code, detail, field
        self.headers: dict[str, str] = {}
        self.exclusion: str | None = None
        self.goes_to: str | None = None
        """Where a person is sent instead of being told."""

    @property
    def status(self) -> int:
        """HTTP status."""
        return KINDS[self.code].status

    def document(self) -> dict[str, Any]:
        """The problem document; `type` points to its description in the OpenAPI document."""
        kind = KINDS[self.code]
        return {
            "type": f"/openapi.json#/components/responses/{self.code}",
            "title": kind.title,
            "status": kind.status,
            "detail": self.detail or kind.title,
            "code": self.code,
            "field": self.field,
            **({} if self.exclusion is None else {"exclusion": self.exclusion}),
        }


def from_validation(error: ValidationError, names: frozenset[str]) -> Problem:
    """Return the problem of a body that its model refuses; only names of ours are told, and no value."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return Problem("malformed", first["msg"])
    path = [str(part) for part in first["loc"] if isinstance(part, int) or part in names]
    return Problem("invalid_value", first["msg"], ".".join(path) or None)


def answer_of(problem: Problem) -> Response:
    """Return a problem document as an answer."""
    if problem.goes_to is not None:
        return Response(status_code=303, headers={"location": problem.goes_to})
    headers = dict(problem.headers)
    if problem.code in RETRY_SECONDS:
        headers.setdefault("retry-after", RETRY_SECONDS[problem.code])
    if problem.status == 401:
        headers["www-authenticate"] = "Bearer"
    if problem.status in {408, 413}:
        headers["connection"] = "close"  # the rest of the body is not read
    body = json.dumps(problem.document()).encode()
    return Response(body, problem.status, headers, media_type=MEDIA_TYPE)


class Site:
    """What a worker serves: the application, and the gate before it; without them until the worker is ready."""

    app: ASGIApp | None = None
    shared: SharedNumbers | None = None
    """What is counted together with other workers, where there are others."""
    gate: Gate | None = None
    watch: Callable[[Scope, int, float], None] | None = None
    """What is told of every answer: its status, and the seconds it took."""
    follow: Callable[[], Awaitable[None]] | None = None
    """Takes what other workers have recorded, before a request is answered."""
    tell: Callable[[Scope, Problem], Response] | None = None
    """How a problem under /app is told: as a page, in the language of who asked."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if self.app is None:
            raise Problem("unavailable")
        await self.app(scope, receive, send)


class Front:
    """The ASGI wrapper around everything: our routes alone answer, with one form of error.

    BentoML's own application, which it stands in, is started and ended, and never asked.
    """

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app, self._site = app, site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, _briefly(send))
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        answer = _Answer(scope, receive, send, self._site.tell)
        try:
            if STRANGE.search(scope["path"]):
                raise Problem("malformed_path")
            scope.setdefault("state", {})["site"] = self._site
            scope["app"] = self._site  # so that Starlette raises what it would answer itself
            await self._site(scope, receive, answer.send)
        except Problem as problem:
            await answer.fail(problem)
        except HTTPException as error:
            await answer.fail(_of_status(error.status_code, error.headers or {}))
        except StoreError as error:
            _log.error("%s", error)
            await answer.fail(Problem("store_unavailable"))
        except Exception as error:
            _log.error("%s", where(error))
            await answer.fail(Problem("internal"))
        finally:
            if self._site.watch is not None:
                self._site.watch(scope, answer.status, time.perf_counter() - started)


def _briefly(send: Send) -> Send:
    """Pass on how start and end went, without the traceback of one that failed: the log has said why."""

    async def sent(message: Message) -> None:
        await send({**message, "message": ""} if "message" in message else message)

    return sent


class _Answer:
    """Passes an answer on, unless it is an error that is no problem document yet."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, tell: Callable[[Scope, Problem], Response] | None
    ) -> None:
        self._scope, self._receive, self._send, self._tell = scope, receive, send, tell
        self._has_started = self._is_replaced = False
        self.status = 499
        """As it was sent; 499 where the other side went away before."""

    async def send(self, message: Message) -> None:
        if self._is_replaced:
            return
        if message["type"] == "http.response.start":
            self._has_started = True
            headers = dict(message["headers"])
            message["headers"] = [*message["headers"], *(pair for pair in HEADERS.items() if pair[0] not in headers)]
            if message["status"] >= 400 and not self._is_told(headers.get(b"content-type", b"").decode("latin-1")):
                await self._replace(_of_status(message["status"], {}))
                return
            self.status = message["status"]
        await self._send(message)

    def _is_told(self, content_type: str) -> bool:
        """Whether an error reads as it should: a problem document, or under /app a page."""
        return content_type == MEDIA_TYPE or (_is_page(self._scope) and content_type.startswith("text/html"))

    async def fail(self, problem: Problem) -> None:
        if not self._has_started:
            await self._replace(problem)

    async def _replace(self, problem: Problem) -> None:
        self._is_replaced = True
        self._scope.setdefault("state", {})["problem"] = problem.code
        tell = self._tell if problem.goes_to is None and _is_page(self._scope) else None
        answer = tell(self._scope, problem) if tell else answer_of(problem)
        self.status = answer.status_code
        answer.raw_headers.extend(pair for pair in HEADERS.items() if pair[0] not in dict(answer.raw_headers))
        await answer(self._scope, self._receive, self._send)


def _is_page(scope: Scope) -> bool:
    """Whether the route that was matched is one that people see in a browser."""
    route: GuardedRoute | None = scope.get("route")
    return route is not None and route.is_page


def _of_status(status: int, headers: Mapping[str, str]) -> Problem:
    problem = Problem(_BY_STATUS.get(status, "internal" if status >= 500 else "malformed"))
    problem.headers.update({name.lower(): value for name, value in headers.items() if name.lower() == "allow"})
    return problem


async def bounded(scope: Scope, receive: Receive) -> Receive:
    """Read the whole body, as far as it may be read, and return what gives it and then the end of the connection."""
    waiting: list[Message] = [{"type": "http.request", "body": await _whole_body(scope, receive), "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed


async def _whole_body(scope: Scope, receive: Receive) -> bytes:
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if not declared.isdigit() or int(declared) > MAX_BODY_BYTES:
        raise Problem("too_large", f"A body holds at most {MAX_BODY_BYTES} bytes")
    chunks, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > MAX_BODY_BYTES:
                    raise Problem("too_large", f"A body holds at most {MAX_BODY_BYTES} bytes")
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError as error:
        raise Problem("too_slow", f"A body has {BODY_SECONDS:.0f} s to arrive") from error


def where(error: BaseException) -> str:
    """Name an error and the place that raised it, without its text: that may hold what was sent."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else "nowhere"
    return f"{type(error).__name__} at {place}"
