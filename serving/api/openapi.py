"""The OpenAPI document, made from the routes and their types: it cannot say anything else than the code does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.json_schema import models_json_schema

from vouch.features.project import version
from vouch.serving.api.answer_types import ProblemDocument
from vouch.serving.api.examples import ANSWERS
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

KEYS = "`vouch keys create NAME --scope SCOPE` makes one. Without any key the service is open to its own machine."


def document(routes: Sequence[ApiRoute]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the routes and the probes."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "vouch",
            "version": version(),
            "description": "Which customers are about to leave, which would speak up, and why.",
        },
        "paths": {
            **{route.path: _operations(route) for route in routes},
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
    found: dict[str, Any] = schema["$defs"]
    return found


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
        "requestBody": {"required": True, "content": {"application/json": takes}},
        "responses": {
            "200": {"description": "Done", "content": {"application/json": gives}},
            **_problems((*ALWAYS, *route.problems)),
        },
    }


def _problems(codes: Sequence[str]) -> dict[str, Any]:
    by_status: dict[str, Any] = {}
    for code in codes:
        by_status.setdefault(str(KINDS[code].status), {"$ref": f"#/components/responses/{code}"})
    return by_status


def _plain(summary: str, media_type: str, *codes: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "responses": {"200": {"description": "Done", "content": {media_type: {}}}, **_problems(codes)},
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
