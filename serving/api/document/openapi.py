"""The OpenAPI document, made from the routes and their types: it cannot say anything else than the code does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.json_schema import models_json_schema

from vouch.features.project import version
from vouch.serving.api.answer_types import ProblemDocument
from vouch.serving.api.bulk.answers import BULK, BULK_SCOPE
from vouch.serving.api.bulk.files import MEDIA_TYPES, BulkGet
from vouch.serving.api.document.examples import ANSWERS
from vouch.serving.api.document.field_facts import with_facts
from vouch.serving.api.problems import KINDS, MEDIA_TYPE, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

    from vouch.serving.api.doors import ApiRoute

REFERENCE = "#/components/schemas/{model}"
GUARDED = ("unauthorised", "forbidden", "too_many_requests", "internal", "store_unavailable", "keys_unknown", "busy")
"""Problems that everything behind the gate may answer."""
ALWAYS = ("malformed", "too_slow", "too_large", "unsupported_media_type", "invalid_value", *GUARDED)
"""Problems that every route with a body may answer."""

PROMISE = (
    "Within v1 answers only grow: a field or a route that is there stays, with its meaning. What is to go is marked "
    "`deprecated` here, and by the header `Deprecation` in each of its answers, for two releases before it goes. A "
    "client ignores fields that it does not know. Every answer has an `X-Request-Id` (yours, where you send one); "
    "answers to a key tell what is left of its rate in `RateLimit-Limit`, `RateLimit-Remaining` and "
    "`RateLimit-Reset` (seconds). Reads by GET have an `ETag`, and are 304 where `If-None-Match` names it; answers "
    "are compressed where `Accept-Encoding` has gzip."
)
"""What clients may rely on."""
KEYS = "`vouch keys create NAME --scope SCOPE` makes one. Without any key the service is open to its own machine."


def document(routes: Sequence[ApiRoute]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the routes and the probes."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "vouch",
            "version": version(),
            "description": f"Which customers are about to leave, which would speak up, and why.\n\n{PROMISE}",
        },
        "paths": {
            **{route.path: _operations(route) for route in routes},
            BULK: {"get": _bulk()},
            "/openapi.json": {"get": _plain("This document", "application/json", *GUARDED)},
            "/schema.json": {"get": _plain("The routes for BentoML's own client", "application/json", *GUARDED)},
            "/metrics": {"get": _plain("Figures of the service for Prometheus", "text/plain", *GUARDED)},
            "/livez": {"get": {**_plain("Whether the service runs", "text/plain"), "security": []}},
            "/readyz": {
                "get": {
                    **_plain("Whether it can answer, and from what", "application/json", "no_snapshot"),
                    "security": [],
                }
            },
        },
        "security": [{"key": []}],
        "components": {
            "schemas": _schemas([model for route in routes for model in (route.takes, route.gives)]),
            "responses": {code: _problem(code) for code in KINDS},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": KEYS}},
        },
    }


def _schemas(models: Sequence[type[BaseModel]]) -> dict[str, Any]:
    modes = [(model, "validation") for model in dict.fromkeys([*models, ProblemDocument])]
    _, schema = models_json_schema(modes, ref_template=REFERENCE)  # type: ignore[arg-type]  # a list of pairs is what it takes
    return with_facts(schema["$defs"])


def _operations(route: ApiRoute) -> dict[str, Any]:
    """Each way in which a route is asked; by GET what it takes stands in the address."""
    posted = _operation(route)
    if "GET" not in route.methods:
        return {"post": posted}
    fields = route.takes.model_json_schema(ref_template=REFERENCE)["properties"]
    asked = {
        **{name: part for name, part in posted.items() if name != "requestBody"},
        "operationId": f"get_{posted['operationId']}",
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": schema} for name, schema in fields.items()
        ],
        "responses": {**posted["responses"]},
    }
    return {"get": asked, "post": posted}


def _operation(route: ApiRoute) -> dict[str, Any]:
    takes = {"schema": _reference(route.takes), "example": route.example}
    gives = {"schema": _reference(route.gives), "example": ANSWERS[route.path]}
    return {
        "summary": route.summary,
        "description": f"Needs the scope `{route.scope}`.",
        "operationId": route.path.strip("/").replace("/", "_"),
        **({"deprecated": True} if route.deprecated is not None else {}),
        "requestBody": {"required": True, "content": {"application/json": takes}},
        "responses": {
            "200": {"description": "Done", "content": {"application/json": gives}},
            **_problems((*ALWAYS, *route.problems)),
        },
    }


def _problems(codes: Sequence[str]) -> dict[str, Any]:
    """The answers of each status: one problem by reference, several with an example of each code."""
    by_status: dict[str, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(str(KINDS[code].status), []).append(code)
    return {
        status: {"$ref": f"#/components/responses/{held[0]}"} if len(held) == 1 else _any_of(held)
        for status, held in by_status.items()
    }


def _any_of(codes: Sequence[str]) -> dict[str, Any]:
    schema = {"$ref": REFERENCE.format(model=ProblemDocument.__name__)}
    examples = {code: {"summary": KINDS[code].title, "value": Problem(code).document()} for code in codes}
    listed = "; ".join(f"`{code}`: {KINDS[code].title}" for code in codes)
    return {"description": listed, "content": {MEDIA_TYPE: {"schema": schema, "examples": examples}}}


def _plain(summary: str, media_type: str, *codes: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "responses": {"200": {"description": "Done", "content": {media_type: {}}}, **_problems(codes)},
    }


def _bulk() -> dict[str, Any]:
    """The operation of the bulk route, whose answer is a file."""
    fields = BulkGet.model_json_schema()["properties"]
    headers = {
        "ETag": "Digest of the bytes, for `If-None-Match` and `If-Range`",
        "Vouch-Rows": "How many rows the whole file has",
    }
    whole = {
        "description": "The whole file",
        "headers": {name: {"description": meaning, "schema": {"type": "string"}} for name, meaning in headers.items()},
        "content": {kind: {} for kind in MEDIA_TYPES.values()},
    }
    problems = ("invalid_value", "range_not_satisfiable", "week_gone", "unknown_week", "no_snapshot", *GUARDED)
    return {
        "summary": "The scores of a week as a file, whole or what has changed; takes `Range`",
        "description": f"Needs the scope `{BULK_SCOPE}`.",
        "operationId": "get_v1_week_scores",
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": schema} for name, schema in fields.items()
        ],
        "responses": {
            "200": whole,
            "206": {**whole, "description": "The part that `Range` asks for"},
            "304": {"description": "What `If-None-Match` names is what there is"},
            **_problems(problems),
        },
    }


def _problem(code: str) -> dict[str, Any]:
    schema = {"$ref": REFERENCE.format(model=ProblemDocument.__name__)}
    content = {"schema": schema, "example": Problem(code).document()}
    return {"description": KINDS[code].title, "content": {MEDIA_TYPE: content}}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REFERENCE.format(model=model.__name__)}


def for_bentoml(routes: Sequence[ApiRoute]) -> dict[str, Any]:
    """Return the routes as BentoML's own client reads them, from `/schema.json`."""
    return {
        "name": "vouch",
        "type": "service",
        "routes": [
            {
                "name": route.path.removeprefix("/v1/").replace("/", "_"),
                "route": route.path,
                "doc": route.summary,
                "batchable": False,
                "input": {"properties": {}, **route.takes.model_json_schema()},
                "output": route.gives.model_json_schema(mode="serialization"),
            }
            for route in routes
        ],
    }
