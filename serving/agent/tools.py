"""Tools of an agent, one per route of the API that it may reach: name, description and input as the API has them.

Made from the declarations of the routes, so that a tool cannot know or do anything that the API does not, and every
number comes with what the API gives with it: interval, reason, week, unit.
"""

from __future__ import annotations

from typing import Any

from mcp.types import Tool, ToolAnnotations

from vouch.serving.api.doors import API_ROUTES, ApiRoute

OUT_OF_REACH = ("/v1/score", "/v1/webhooks", "/v1/webhooks/pause", "/v1/webhooks/resume")
"""Vectors and raw rows are for programs, not for agents; receivers are for operators."""
TAKES_BACK = ("withdraw", "correct")
"""Last parts of routes that change what was recorded before."""


def tool_name(route: ApiRoute) -> str:
    """What a tool is called: the path without its version.

    >>> tool_name(API_ROUTES[0])
    'week'
    """
    return route.path.removeprefix("/v1/").replace("/", "_")


def reachable() -> dict[str, ApiRoute]:
    """Return the routes that are tools, by the tool's name."""
    return {tool_name(route): route for route in API_ROUTES if route.path not in OUT_OF_REACH}


def tools() -> list[Tool]:
    """Return the tools as the protocol describes them."""
    return [_tool(name, route) for name, route in reachable().items()]


def _tool(name: str, route: ApiRoute) -> Tool:
    reads = route.scope == "read"
    # What was recorded stays in the trail, so nothing is destroyed; what is taken back no longer counts.
    takes_back = name.rpartition("_")[2] in TAKES_BACK
    return Tool(
        name=name,
        title=route.summary,
        description=f"{route.summary}. Needs the scope `{route.scope}`.",
        input_schema=_schema(route),
        annotations=ToolAnnotations(
            title=route.summary,
            read_only_hint=reads,
            destructive_hint=takes_back,
            idempotent_hint=True,
            open_world_hint=False,
        ),
    )


def _schema(route: ApiRoute) -> dict[str, Any]:
    schema = route.takes.model_json_schema()
    return {**schema, "examples": [dict(route.example)]}
