"""The ASGI middleware around everything: who answers, and one form of error.

It stands around BentoML's own routes too: it refuses what is no HTTP, and turns every error answer into a problem
document. Nothing that came with a request is repeated, neither in an answer nor in a log line.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from vouch.features.errors import StoreError
from vouch.serving.api.limits.bodies import BodyRoom
from vouch.serving.api.problems import MEDIA_TYPE, Problem, answer_of, where

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from vouch.serving.api.access import AccessGate
    from vouch.serving.api.shared import SharedNumbers

STRANGE = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffd]")
"""What no path of ours holds: control characters, and (as it is decoded) what is no UTF-8."""
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""What an id of a request that somebody sends may be."""
_BY_STATUS = {
    400: "malformed",
    404: "unknown_route",
    405: "method_not_allowed",
    413: "too_large",
    429: "too_many_requests",
    503: "unavailable",
}
HEADERS = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}
"""Sent with every answer that does not set them otherwise."""
_log = logging.getLogger("vouch.serving")


class MountedApp:
    """What a worker serves: the application, and the gate before it; without them until the worker is ready."""

    app: ASGIApp | None = None
    shared: SharedNumbers | None = None
    """What is counted together with other workers, where there are others."""
    gate: AccessGate | None = None
    watch: Callable[[Scope, int, float], None] | None = None
    """What is told of every answer: its status, and the seconds it took."""
    follow: Callable[[], Awaitable[None]] | None = None
    """Takes what other workers have recorded, before a request is answered."""
    tell: Callable[[Scope, Problem], Response] | None = None
    """How a problem under /app is told: as a page, in the language of who asked."""

    def __init__(self) -> None:
        self.bodies = BodyRoom()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if self.app is None:
            raise Problem("unavailable")
        await self.app(scope, receive, send)


class Middleware:
    """The ASGI wrapper around everything: our routes alone answer, with one form of error.

    BentoML's own application, which it stands in, is started and ended, and never asked.
    """

    def __init__(self, app: ASGIApp, site: MountedApp) -> None:
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
            scope["state"]["request_id"] = answer.request_id
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
        self.request_id = request_id(scope)
        self.status = 499
        """As it was sent; 499 where the other side went away before."""

    async def send(self, message: Message) -> None:
        if self._is_replaced:
            return
        if message["type"] == "http.response.start":
            self._has_started = True
            headers = dict(message["headers"])
            more = [pair for pair in HEADERS.items() if pair[0] not in headers]
            message["headers"] = [*message["headers"], *more, *self._of_request()]
            if message["status"] >= 400 and not self._reads_well(headers.get(b"content-type", b"").decode("latin-1")):
                await self._replace(_of_status(message["status"], {}))
                return
            self.status = message["status"]
        await self._send(message)

    def _of_request(self) -> list[tuple[bytes, bytes]]:
        """Headers of this request: its id, and what is left to its key."""
        left = self._scope.get("state", {}).get("rate", ())
        return [(b"x-request-id", self.request_id.encode()), *left]

    def _reads_well(self, content_type: str) -> bool:
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
        answer.raw_headers.extend(self._of_request())
        await answer(self._scope, self._receive, self._send)


def request_id(scope: Scope) -> str:
    """Return the id of a request: as it came where it reads like one, else a new one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"").decode("latin-1")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _is_page(scope: Scope) -> bool:
    """Whether the route that was matched is one that people see in a browser."""
    return bool(getattr(scope.get("route"), "is_page", False))


def _of_status(status: int, headers: Mapping[str, str]) -> Problem:
    problem = Problem(_BY_STATUS.get(status, "internal" if status >= 500 else "malformed"))
    problem.headers.update({name.lower(): value for name, value in headers.items() if name.lower() == "allow"})
    return problem
