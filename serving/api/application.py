"""The routes of the API as data, and how each answers: a checked request in, JSON out, the same for every route."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from vouch.serving.api import (
    answer_types,
    routes_asks,
    routes_lists,
    routes_overrides,
    routes_read,
    routes_score,
    schemas,
)
from vouch.serving.api.access import NOTHING, caller_of
from vouch.serving.api.openapi import document, for_bentoml
from vouch.serving.api.problems import Problem, from_validation
from vouch.serving.api.routes import GuardedRoute
from vouch.serving.api.state import now_us
from vouch.serving.store.audit import entry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from vouch.serving.api.state import Store
    from vouch.serving.api.telemetry import Telemetry


@dataclass(frozen=True)
class Door:
    """One route: what it takes, what it answers, and who makes the answer.

    Heavy requests run on a thread, so that others are answered meanwhile: `is_heavy` says it of all, or of each.
    `example` is a request that it takes. `scope` is what a key needs; `action` is what the audit log calls it, where it
    is about customers.
    """

    path: str
    summary: str
    takes: type[BaseModel]
    gives: type[BaseModel]
    answer: Callable[..., Mapping[str, Any] | bytes]
    problems: tuple[str, ...]
    example: Mapping[str, Any]
    scope: str
    action: str | None = None
    is_heavy: bool | Callable[[Any], bool] = False


DOCUMENT, CLIENT, FIGURES = "/openapi.json", "/schema.json", "/metrics"
LIVE, READY = ("/livez", "/healthz"), "/readyz"
SNAPSHOT = ("no_snapshot",)
DOORS = (
    Door(
        "/v1/advocates/search", "Ranked candidates to be asked to speak up, with reasons and exclusions",
        schemas.AdvocatesSearch, answer_types.Candidates, routes_lists.advocates, ("unknown_cursor", *SNAPSHOT),
        {"segment": ["smb"], "minimum_score": 20, "limit": 10},
        scope="read", action="listed",
    ),
    Door(
        "/v1/customers/get", "Everything on one customer",
        schemas.CustomerGet, answer_types.CustomerAnswer, routes_read.get_customer, ("unknown_customer", *SNAPSHOT),
        {"customer_id": "C000001"},
        scope="read", action="looked",
    ),
    Door(
        "/v1/customers/at_risk", "Customers ranked by revenue at risk",
        schemas.AtRiskSearch, answer_types.AtRiskPage, routes_lists.at_risk, ("unknown_cursor", *SNAPSHOT),
        {"band": ["high"], "limit": 10},
        scope="read", action="listed",
    ),
    Door(
        "/v1/asks/record", "Record an ask that is made now, if the policy lets it be made; idempotent by `ask_id`",
        schemas.AskRecord, answer_types.AskAnswer, routes_asks.record_ask,
        ("unknown_customer", "not_to_be_asked", "conflict", *SNAPSHOT),
        {"ask_id": "crm-2026-000123", "customer_id": "C000001", "kind": "referral"},
        scope="write", is_heavy=True,
    ),
    Door(
        "/v1/asks/outcome", "Record what came of an ask; idempotent by `ask_id`",
        schemas.AskOutcome, answer_types.AskAnswer, routes_asks.record_outcome, ("unknown_ask", "conflict"),
        {"ask_id": "crm-2026-000123", "outcome": "accepted"},
        scope="write", is_heavy=True,
    ),
    Door(
        "/v1/overrides/record", "Record a health score that was set by hand; idempotent by `override_id`",
        routes_overrides.OverrideRecord, routes_overrides.OverrideAnswer, routes_overrides.record_override,
        ("unknown_customer", "conflict", *SNAPSHOT),
        {"override_id": "crm-2026-000007", "customer_id": "C000001", "score": 35, "reason": "their sponsor left"},
        scope="write", is_heavy=True,
    ),
    Door(
        "/v1/score", "Scores for vectors or raw rows given in the request",
        schemas.ScoreRequest, answer_types.ScoreAnswer, routes_score.score_request, (),
        {"vectors": [{"customer_id": "what-if", "features": {"is_subscribed": 1, "tenure_days": 400}}]},
        scope="read", is_heavy=routes_score.is_heavy,
    ),
    Door(
        "/v1/metrics/query", "Metrics with their intervals, by segment and over time",
        schemas.MetricsQuery, answer_types.MetricsAnswer, routes_read.query_metrics, ("unknown_metric", *SNAPSHOT),
        {"metric_ids": ["nps"], "by": "segment"},
        scope="read", is_heavy=True,
    ),
    Door(
        "/v1/metrics/catalogue", "What each metric means",
        schemas.MetricsCatalogue, answer_types.CatalogueAnswer, routes_read.metrics_catalogue, ("unknown_metric",),
        {},
        scope="read",
    ),
)  # fmt: skip


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
        if door.is_heavy(body) if callable(door.is_heavy) else door.is_heavy:
            found = await anyio.to_thread.run_sync(door.answer, *given)
        else:
            found = door.answer(*given)
        if door.action is not None:
            _note(store, request, door, body)
        content = found if isinstance(found, bytes) else to_json(found, inf_nan_mode="null")
        return Response(content, media_type="application/json")

    return endpoint


def _note(store: Store, request: Request, door: Door, body: Any) -> None:
    """Tell the audit log what was read, and by whom."""
    caller = caller_of(request.scope)
    line = entry(now_us(), caller.name, door.action or "", key_id=caller.key_id, route=door.path, status=200)
    of, limit = getattr(body, "customer_id", None), getattr(body, "limit", 1)
    store.journal.note({**line, "customer_id": of, "rows": limit})


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
