"""How the routes of the API answer: a checked request in, JSON out, the same for every route."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio.to_thread
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from vouch.serving.api.access import NOTHING, caller_of
from vouch.serving.api.doors import CLIENT, DOCUMENT, DOORS, FIGURES, LIVE, READY, Door
from vouch.serving.api.openapi import document, for_bentoml
from vouch.serving.api.problems import Problem, from_validation
from vouch.serving.api.refusals import refused
from vouch.serving.api.routes import GuardedRoute
from vouch.serving.api.state import now_us
from vouch.serving.store.audit import entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from vouch.serving.api.state import Store
    from vouch.serving.api.telemetry import Telemetry


def api_routes(store: Store, telemetry: Telemetry) -> list[GuardedRoute]:
    """Return every route of the API, and what describes and watches it, each with what a key needs for it."""
    described, for_client = to_json(document(DOORS)), to_json(for_bentoml(DOORS))

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
        *(GuardedRoute(door.path, _endpoint(store, door), needs=door.scope, methods=["POST"]) for door in DOORS),
        GuardedRoute(DOCUMENT, openapi, needs="read", methods=["GET"]),
        GuardedRoute(CLIENT, client, needs="read", methods=["GET"]),
        GuardedRoute(FIGURES, telemetry.answer, needs="read", methods=["GET"]),
        *(GuardedRoute(path, alive, needs=NOTHING, methods=["GET"]) for path in LIVE),
        GuardedRoute(READY, ready, needs=NOTHING, methods=["GET"]),
    ]


def _endpoint(store: Store, door: Door) -> Callable[[Request], Any]:
    names = frozenset(_names(door.takes.model_json_schema()))

    async def endpoint(request: Request) -> Response:
        body = await _asked(request, door, names)
        given = (store, body) if door.scope == "read" else (store, body, caller_of(request.scope))
        try:
            if door.is_heavy(body) if callable(door.is_heavy) else door.is_heavy:
                found = await anyio.to_thread.run_sync(door.answer, *given)
            else:
                found = door.answer(*given)
        except Problem as problem:
            if door.scope != "read":
                refused(store, caller_of(request.scope), door.path, problem, getattr(body, "customer_id", None))
            raise
        if door.action is not None:
            _note(store, request, door, body, getattr(found, "rows", 1))
        content = found if isinstance(found, bytes) else to_json(found, inf_nan_mode="null")
        return Response(content, media_type="application/json")

    return endpoint


def _note(store: Store, request: Request, door: Door, body: Any, rows: int) -> None:
    """Tell the audit log what was read, by whom, and how many customers that were."""
    caller = caller_of(request.scope)
    line = entry(now_us(), caller.name, door.action or "", key_id=caller.key_id, route=door.path, status=200)
    store.journal.note({**line, "customer_id": getattr(body, "customer_id", None), "rows": rows})


async def _asked(request: Request, door: Door, names: frozenset[str]) -> BaseModel:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" or request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem("unsupported_media_type")
    try:
        return door.takes.model_validate_json(await request.body())
    except ValidationError as error:
        raise from_validation(error, names) from error


def _names(schema: Any) -> list[str]:
    """All names of fields in a JSON schema."""
    if isinstance(schema, dict):
        return [*schema.get("properties", {}), *(name for part in schema.values() for name in _names(part))]
    return [name for part in schema for name in _names(part)] if isinstance(schema, list) else []
