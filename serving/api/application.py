"""Endpoints of the API: a checked request in, JSON out, the same for every route."""

from __future__ import annotations

import gzip
import hashlib
from typing import TYPE_CHECKING, Any, get_origin

import anyio.to_thread
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from vouch.serving.api.access import NOTHING, caller_of, refused
from vouch.serving.api.bulk.answers import BULK, BULK_SCOPE, bulk_endpoint
from vouch.serving.api.bulk.files import BulkGet
from vouch.serving.api.document.openapi import document, for_bentoml
from vouch.serving.api.doors import API_ROUTES, CLIENT, DOCUMENT, FIGURES, LIVE, READY, ApiRoute
from vouch.serving.api.limits.bodies import give_back
from vouch.serving.api.limits.turns import HeavyWork
from vouch.serving.api.problems import Problem, from_validation
from vouch.serving.api.routes import GuardedRoute
from vouch.serving.api.selection import rows_in, selected
from vouch.serving.api.state import now_us
from vouch.serving.store.audit import entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from vouch.serving.api.state import ServingState
    from vouch.serving.api.telemetry import Telemetry

IN_ADDRESS = ("GET", "HEAD")
"""Methods by which what a route takes stands in the address."""
LONG_BODY = 64 * 2**10
"""A body of more bytes is read where heavy work is done, and not where everybody is answered."""


LONG_ANSWER = 32 * 2**10
"""An answer of more bytes is cut to its fields, hashed and compressed where nobody else waits."""
COMPRESSED_FROM, COMPRESSION = 2_048, 1
"""Bytes from which an answer is compressed, and how hard: a little is most of it, and costs others no time."""


def api_routes(store: ServingState, telemetry: Telemetry) -> list[GuardedRoute]:
    """Return every route of the API, and what describes and watches it, each with what a key needs for it."""
    heavy = HeavyWork()
    described, for_client = to_json(document(API_ROUTES)), to_json(for_bentoml(API_ROUTES))

    async def openapi(_: Request) -> Response:
        return Response(described, media_type="application/json")

    async def client(_: Request) -> Response:
        return Response(for_client, media_type="application/json")

    async def alive(_: Request) -> Response:
        return Response("alive", media_type="text/plain")

    async def ready(_: Request) -> Response:
        return Response(
            to_json({**store.portfolio.freshness(now_us()), **store.state()}), media_type="application/json"
        )

    return [
        *(
            GuardedRoute(route.path, _endpoint(store, route, heavy), needs=route.scope, methods=route.methods)
            for route in API_ROUTES
        ),
        GuardedRoute(BULK, bulk_endpoint(store, _bulk_asked), needs=BULK_SCOPE, methods=["GET"]),
        GuardedRoute(DOCUMENT, openapi, needs="read", methods=["GET"]),
        GuardedRoute(CLIENT, client, needs="read", methods=["GET"]),
        GuardedRoute(FIGURES, telemetry.answer, needs="read", methods=["GET"]),
        *(GuardedRoute(path, alive, needs=NOTHING, methods=["GET"]) for path in LIVE),
        GuardedRoute(READY, ready, needs=NOTHING, methods=["GET"]),
    ]


def _endpoint(store: ServingState, route: ApiRoute, heavy: HeavyWork) -> Callable[[Request], Any]:
    names = frozenset(_names(route.takes.model_json_schema()))

    async def endpoint(request: Request) -> Response:
        caller, content = caller_of(request.scope), await _content(request)
        given, who = () if route.scope == "read" else (caller,), caller.key_id or caller.name
        body: BaseModel | None = None

        def work() -> tuple[Any, bytes]:
            if route.needs_week:
                store.require_week()
            answer = route.answer(store, body, *given)
            return answer, bytes(answer) if isinstance(answer, bytes) else to_json(answer, inf_nan_mode="null")

        def whole() -> tuple[Any, bytes]:
            nonlocal body
            body = _asked(request, content, route, names)
            try:
                return work()
            finally:
                give_back()

        try:
            if len(content) > LONG_BODY:  # to read it alone would keep others waiting
                answer, written = await heavy.line(content).run(who, whole, request.is_disconnected)
            else:
                body = _asked(request, content, route, names)
                if not _holds(route.is_heavy, store, body):
                    answer, written = work()
                elif _holds(route.computes, store, body):
                    answer, written = await heavy.line(content).run(who, work, request.is_disconnected)
                else:
                    answer, written = await anyio.to_thread.run_sync(work)
        except Problem as problem:
            if route.scope != "read" and body is not None:
                refused(store, caller, route.path, problem, getattr(body, "customer_id", None))
            raise
        if route.action is not None:
            _note(store, request, route, body, rows_in(answer, route.gives), getattr(answer, "action", route.action))

        def finished() -> Response:
            return json_answer(request, selected(written, getattr(body, "fields", ()), route.gives), route)

        return await anyio.to_thread.run_sync(finished) if len(written) >= LONG_ANSWER else finished()

    return endpoint


def _holds(condition: bool | Callable[[ServingState, Any], bool], store: ServingState, body: BaseModel) -> bool:
    """What a route says of all requests, or of each."""
    return condition(store, body) if callable(condition) else condition


def json_answer(request: Request, content: bytes, route: ApiRoute) -> Response:
    """Return JSON as an answer: compressed where that is wanted, and not at all where the asker has it already."""
    headers = {"vary": "Accept-Encoding"}
    if route.deprecated is not None:
        headers["deprecation"] = f"@{route.deprecated}"
    if request.method in ("GET", "HEAD"):
        tag = f'W/"{hashlib.blake2b(content, digest_size=16).hexdigest()}"'
        headers["etag"] = tag
        given = request.headers.get("if-none-match", "")
        if given == "*" or tag.removeprefix("W/") in (one.strip().removeprefix("W/") for one in given.split(",")):
            return Response(status_code=304, headers=headers)
    if len(content) >= COMPRESSED_FROM and accepts_gzip(request.headers.get("accept-encoding", "")):
        content = gzip.compress(content, COMPRESSION, mtime=0)
        headers["content-encoding"] = "gzip"
    return Response(content, headers=headers, media_type="application/json")


def accepts_gzip(header: str) -> bool:
    """Return whether a header asks for gzip (RFC 9110 section 12.5.3).

    >>> accepts_gzip("br, gzip;q=0.5"), accepts_gzip("gzip;q=0"), accepts_gzip("*"), accepts_gzip("")
    (True, False, True, False)
    """
    weights = {}
    for part in header.lower().split(","):
        name, _, weight = part.partition(";")
        weights[name.strip()] = weight.strip().removeprefix("q=").strip() or "1"
    wanted = weights.get("gzip", weights.get("*", "0"))
    return wanted not in {"0", "0.0", "0.00", "0.000"}


def _note(store: ServingState, request: Request, route: ApiRoute, body: Any, rows: int, action: str) -> None:
    """Tell the audit log what was read, by whom, and how many customers that were."""
    caller = caller_of(request.scope)
    line = entry(now_us(), caller.name, action, key_id=caller.key_id, route=route.path, status=200)
    store.journal.note({**line, "customer_id": getattr(body, "customer_id", None), "rows": rows})


async def _content(request: Request) -> bytes:
    """The body of a request that has one."""
    if request.method in IN_ADDRESS:
        return b""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" or request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem("unsupported_media_type")
    return await request.body()


def _asked(request: Request, content: bytes, route: ApiRoute, names: frozenset[str]) -> BaseModel:
    if request.method in IN_ADDRESS:
        return _of_address(request.query_params, route.takes, names)
    try:
        return route.takes.model_validate_json(content)
    except ValidationError as error:
        raise from_validation(error, names) from error


def _of_address(query: QueryParams, takes: type[BaseModel], names: frozenset[str]) -> BaseModel:
    """What an address asks for: texts are read as what they stand for, a name that comes again is a list."""
    given = {name: query.getlist(name) for name in query}
    fields = takes.model_fields
    held = {
        name: values if name in fields and get_origin(fields[name].annotation) is list else values[-1]
        for name, values in given.items()
    }
    try:
        return takes.model_validate(held, strict=False)
    except ValidationError as error:
        raise from_validation(error, names) from error


def _bulk_asked(query: QueryParams) -> BulkGet:
    """What an address of the bulk route asks for."""
    return BulkGet.model_validate(_of_address(query, BulkGet, frozenset(BulkGet.model_fields)))


def _names(schema: Any) -> list[str]:
    """All names of fields in a JSON schema."""
    if isinstance(schema, dict):
        return [*schema.get("properties", {}), *(name for part in schema.values() for name in _names(part))]
    return [name for part in schema for name in _names(part)] if isinstance(schema, list) else []
