"""The application behind its gate, in this process, and a key of each kind."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import httpx
from starlette.types import ASGIApp

from support.handwritten_weeks import publish
from vouch.serving.api.doors import API_ROUTES
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.routes import GuardedRoute
from vouch.serving.api.state import ServingState
from vouch.serving.site import open_site
from vouch.serving.store import keys
from vouch.serving.store.connection import Database

NOW = 1_800_000_000_000_000
PLACES = {
    "/app/static/{name}": "style.css",
    "/app/metrics/{metric_id}": "nps",
    "/app/lists/{name}": "care_needs",
    "/app/docs/{name}": "training",
    "/app/models/{name}/card": "churn",
}
"""What stands in a path for its parameter."""
OURS = {"sec-fetch-site": "same-origin"}


@dataclass(frozen=True)
class Answer:
    """What came back, as far as it was sent."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def code(self) -> str | None:
        """The code of a problem document."""
        told = self.headers.get("content-type") == "application/problem+json"
        return json.loads(self.content)["code"] if told else None


class Served:
    """The application behind its gate, in this process, and a key of each kind."""

    def __init__(self, home: Path, *, has_week: bool = False) -> None:
        if not has_week:
            publish(home)
        self.database = Database(home)
        self.keys = {scope: keys.create(self.database, scope, scope, NOW) for scope in keys.SCOPES}
        self.keys["revoked"] = keys.create(self.database, "revoked", "admin", NOW)
        keys.revoke(self.database, "revoked", NOW + 1)
        self.store = ServingState(home)
        self.store.refresh()
        self.site = open_site(MountedApp(), self.store, is_local=False)
        self.app: ASGIApp = Middleware(self.site, self.site)
        self.runner = asyncio.Runner()

    def close(self) -> None:
        self.runner.close()
        self.store.stop()
        self.database.close()

    @property
    def routes(self) -> list[GuardedRoute]:
        """Every route that there is."""
        return list(self.site.app.routes)

    def header(self, kind: str) -> dict[str, str | bytes]:
        """What a caller with a kind of key sends."""
        text = {
            "wrong": self.keys["admin"][:-1] + ("a" if self.keys["admin"][-1] != "a" else "b"),
            "malformed": "vouch_\N{SNOWMAN}",
            **self.keys,
        }.get(kind)
        return {} if text is None else {"authorization": b"Bearer " + text.encode()}

    def call(self, method: str, path: str, kind: str = "none", **other: Any) -> httpx.Response:
        headers = {**other.pop("headers", {}), **self.header(kind)}
        if kind == "in the query":
            path = f"{path}?key={self.keys['admin']}&authorization=Bearer%20{self.keys['admin']}"
        transport = httpx.ASGITransport(self.app, client=("192.0.2.1", 1))

        async def once() -> httpx.Response:
            async with httpx.AsyncClient(transport=transport, base_url="http://vouch.example") as client:
                return await client.request(method, path, headers=headers, **other)

        return self.runner.run(once())

    def send(self, method: str, target: str, kind: str, headers: dict[str, str], body: bytes) -> Answer:
        """Send a target exactly as it stands; it comes to the application as uvicorn gives it."""
        raw, _, query = target.partition("?")
        sent = httpx.Headers({"host": "vouch.example", **headers, **self.header(kind)})
        scope = {
            "type": "http",
            "method": method,
            "path": unquote(raw),
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "scheme": "http",
            "client": ("192.0.2.1", 1),
            "server": ("vouch.example", 80),
            "headers": sent.raw,
        }
        parts: list[dict[str, Any]] = []
        given: list[bytes] = []

        async def receive() -> dict[str, Any]:
            if given:  # whoever sent it stays and listens
                await asyncio.Event().wait()
            given.append(body)
            return {"type": "http.request", "body": body, "more_body": False}

        async def back(message: dict[str, Any]) -> None:
            parts.append(message)

        self.runner.run(self.app(scope, receive, back))
        told = {name.decode(): value.decode() for name, value in parts[0]["headers"]}
        return Answer(parts[0]["status"], told, b"".join(part.get("body", b"") for part in parts[1:]))


def sent_to(route: GuardedRoute, method: str) -> tuple[dict[str, str], bytes]:
    """Headers and body that a route takes: what it would do, it does."""
    if method != "POST":
        return {}, b""
    if route.is_page:
        form = {"ask_id": "form", "customer_id": "c2", "kind": "referral", "outcome": "accepted", "key": "none"}
        return {**OURS, "content-type": "application/x-www-form-urlencoded"}, urlencode(form).encode()
    body = next(dict(door.example) for door in API_ROUTES if door.path == route.path)
    if "customer_id" in body:
        body["customer_id"] = "c2"
    return {"content-type": "application/json"}, json.dumps(body).encode()
