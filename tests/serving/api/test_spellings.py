"""Every route by every key by every spelling of its path: the answer of the route for that key, or that of no route,
and never more. The routes are those that the application has, so that a new one is tried by itself."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from urllib.parse import unquote

import pytest
from sqlalchemy import func, select
from starlette.routing import Mount, Route

from support.champions import write_champions
from support.servers.answering import PLACES, Served, sent_to
from support.servers.running_service import serving
from vouch.serving.api.access import LOGIN, NOTHING, AccessGate
from vouch.serving.api.doors import API_ROUTES
from vouch.serving.api.front import STRANGE
from vouch.serving.api.routes import GuardedRoute, GuardedRouter
from vouch.serving.site import open_site
from vouch.serving.store import keys
from vouch.serving.store.tables import asks, overrides

KINDS = ("none", "wrong", "revoked", *keys.SCOPES)


def coded(path: str, upper: bool = False) -> str:
    """A path with each letter percent-encoded."""
    return re.sub("[a-z_]", lambda letter: f"%{ord(letter[0]):02{'X' if upper else 'x'}}", path)


SPELLINGS: dict[str, Callable[[str], str]] = {
    **{f"{sign} at the end": lambda path, sign=sign: path + sign for sign in (
        "%0a", "%0A", "%0d", "%0d%0a", "%00", "%09", "%1f", "%7f", "%c2%85", "%85", "/", "//", "%2f", "/.", "/..", ".",
        "..", "%2e", "/%2e%2e", ";x", "%3bx", "%20", "+", "%3f", "%23", "%250a", "%252f", "%e2%80%a8", "\\", "%5c", "*",
    )},
    **{f"{sign} at the start": lambda path, sign=sign: sign + path for sign in (
        "/", "/.", "/%2e", "/x/%2e%2e", "/;x", "/%0a", "/%00", "/livez/..", "/app/..",
    )},
    **{f"query {query}": lambda path, query=query: f"{path}?{query}" for query in (
        "", "?", "x=%0a", "/../livez", "_method=POST",
    )},
    "%0a inside": lambda path: path[:2] + "%0a" + path[2:],
    "%00 inside": lambda path: path[:-1] + "%00" + path[-1],
    "// inside": lambda path: "/" + path[1:].replace("/", "//") if "/" in path[1:] else "//" + path[1:],
    "%2f inside": lambda path: "/" + path[1:].replace("/", "%2f"),
    "%2f throughout": lambda path: path.replace("/", "%2f"),
    "\\ inside": lambda path: path.replace("/", "\\"),
    "dots inside": lambda path: path.replace("/", "/./"),
    "; inside": lambda path: "/" + path[1:].replace("/", ";x/"),
    "upper case": str.upper,
    "first letter upper case": lambda path: path[:1] + path[1:].capitalize(),
    "encoded letters": coded,
    "encoded letters in upper case": lambda path: coded(path, upper=True),
    "one encoded letter": lambda path: path[:-1] + f"%{ord(path[-1]):02x}",
    "encoded and a line break": lambda path: coded(path) + "%0a",
    "encoded twice": lambda path: coded(path).replace("%", "%25"),
    "broken encoding": lambda path: path + "%",
    "an encoding cut short": lambda path: path + "%0",
    "overlong encoding": lambda path: path.replace("/", "%c0%af"),
}  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    write_champions(home)
    found = Served(home)
    yield found
    found.close()


@pytest.fixture(autouse=True)
def uncounted(monkeypatch):
    """No limit to keys, right or wrong."""
    monkeypatch.setattr(AccessGate, "_count", lambda *_: None)


def doors_of(served: Served) -> list[tuple[GuardedRoute, str]]:
    return [(route, method) for route in served.routes for method in sorted(route.methods)]


def plain(route: GuardedRoute) -> str:
    return re.sub(r"\{.+\}", PLACES.get(route.path, ""), route.path)


def matched(served: Served, path: str, method: str) -> GuardedRoute | None:
    """Which route a path is, found by another way than Starlette's: the whole of it, by the route's own words."""
    fits = [route for route in served.routes if re.fullmatch(re.sub(r"\{.+?\}", "[^/]+", route.path), path)]
    return next((route for route in fits if method in route.methods), fits[0] if fits else None)


def refusal(route: GuardedRoute | None, path: str, method: str, kind: str) -> tuple[int, str | None] | None:
    """How a key that is not enough is refused, as it is documented: status, and code where it is told as a document."""
    if STRANGE.search(path):
        return 400, "malformed_path"
    needs = route.needs if route else "read"
    is_page = route.is_page if route else path.startswith("/app/")
    if needs == NOTHING:
        return None
    if kind not in keys.SCOPES:
        return (303, None) if is_page and method == "GET" else (401, None if is_page else "unauthorised")
    if keys.SCOPES.index(kind) < keys.SCOPES.index(needs):
        return 403, None if is_page else "forbidden"
    return None if route else (404, None if is_page else "unknown_route")


def recorded(served: Served) -> int:
    with served.database.reading() as connection:
        return sum(connection.execute(select(func.count()).select_from(table)).scalar() for table in (asks, overrides))


def check(served: Served, route: GuardedRoute, method: str, kind: str) -> None:
    """All spellings of one route with one key."""
    headers, body = sent_to(route, method)
    as_told = served.send(method, plain(route), kind, headers, body)
    for name, spell in SPELLINGS.items():
        target = spell(plain(route))
        path = unquote(target.partition("?")[0])
        answer, found = served.send(method, target, kind, headers, body), matched(served, path, method)
        wanted = refusal(found, path, method, kind)
        if wanted is not None:
            assert (answer.status, answer.code) == wanted, (name, target)
            if answer.status == 303:
                assert answer.headers["location"].startswith(LOGIN), (name, target)
        elif path == plain(route):
            asks = name.startswith("query") and method in {"GET", "HEAD"} and path.startswith("/v1/")
            told = {(as_told.status, as_told.code), *([(422, "invalid_value")] if asks else [])}
            assert (answer.status, answer.code) in told, (name, target)
        elif found is None:
            raise AssertionError((name, target, "a path that is no route was let through"))
        assert answer.headers.get("cache-control", "").startswith(("no-store", "public, max-age")), (name, target)


def test_no_spelling_gives_a_key_more_than_the_route_does(served):
    assert len(doors_of(served)) > len(API_ROUTES)
    for route, method in doors_of(served):
        before = recorded(served)
        for kind in KINDS:
            check(served, route, method, kind)
            if kind in {"none", "wrong", "revoked", "read"}:
                assert recorded(served) == before, f"{kind} has written by {route.path}"
    assert recorded(served) > 0, "a test of nothing: what may write has written"


def test_a_route_without_a_scope_cannot_be_made():
    async def endpoint(_):
        raise AssertionError

    with pytest.raises(TypeError, match="needs"):
        GuardedRoute("/v1/new", endpoint, methods=["POST"])
    for needs in ("", "writes", None):
        with pytest.raises(ValueError, match="A route needs"):
            GuardedRoute("/v1/new", endpoint, needs=needs, methods=["POST"])
    for other in (Route("/v1/new", endpoint), Mount("/v1", endpoint)):
        with pytest.raises(TypeError, match="Each route says"):
            GuardedRouter([other])


def test_behind_bentoml_as_well_our_routes_alone_answer(served):
    from vouch.serving import service

    open_site(service.routes, served.store, is_local=False)
    ours, app = served.app, service.Vouch.to_asgi(is_main=True)
    paths = {route.path.replace("{path:path}", "x") or "/" for route in app.routes}
    assert {"/", "/docs.json", "/schema.json", "/healthz", "/livez", "/readyz"} <= paths
    served.app = app
    try:
        for path in sorted(paths | {"/metrics", "/static_content/swagger-ui.css", "/static_content/"}):
            found = matched(served, path, "GET")
            for method in ("GET", "HEAD", "POST", "OPTIONS", "PUT"):
                for kind in KINDS:
                    answer, wanted = served.send(method, path, kind, {}, b""), refusal(found, path, method, kind)
                    if wanted is None:
                        wanted = (200, None) if method in found.methods else (405, "method_not_allowed")
                    assert (answer.status, answer.code) == wanted, (method, path, kind)
        for route, method in doors_of(served):
            if route.needs == "write":
                check(served, route, method, "read")
    finally:
        served.app, service.routes.app, service.routes.gate = ours, None, None


def test_no_spelling_opens_a_web_socket(served):
    async def dial(path: str) -> list[dict]:
        sent: list[dict] = []

        async def send(message):
            sent.append(message)

        await served.app({"type": "websocket", "path": unquote(path), "headers": []}, None, send)
        return sent

    for route in served.routes:
        for spell in SPELLINGS.values():
            assert asyncio.run(dial(spell(plain(route)))) == [{"type": "websocket.close", "code": 1008}]


RAW = ("%0a", "%0A?x", "%0d%0a", "%00", ";x", "/", "//", "%2e", "#x", "?", "%", "\\", "\x80", " HTTP/1.0")


def test_over_a_connection_no_spelling_writes_for_a_read_key(tmp_path):
    served = Served(tmp_path / "home")
    places = [(route, method) for route, method in doors_of(served) if route.needs == "write"]
    with serving(tmp_path / "home", tmp_path / "log") as (_, client):
        for route, method in places:
            headers, body = sent_to(route, method)
            path = plain(route)
            targets = [path + sign for sign in RAW] + [f"/{path}", coded(path), f"http://x{path}", f"http://x{path}%0a"]
            for target in targets:
                for kind in ("read", "revoked"):
                    sent = {**headers, "authorization": f"Bearer {served.keys[kind]}"}
                    assert raw(client.base_url.port, method, target, sent, body) in {400, 401, 403, 404, 429}, target
        assert recorded(served) == 0
        allowed = {**sent_to(*places[0])[0], "authorization": f"Bearer {served.keys['write']}"}
        assert client.post(plain(places[0][0]), content=sent_to(*places[0])[1], headers=allowed).status_code == 200
        assert recorded(served) == 1
    served.close()


def raw(port: int, method: str, target: str, headers: dict[str, str], body: bytes) -> int:
    """The status of one request, sent byte by byte as it stands."""
    head = [f"{method} {target} HTTP/1.1", "host: x", "connection: close", f"content-length: {len(body)}"]
    head += [f"{name}: {text}" for name, text in headers.items()]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode("latin-1") + body)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    return int(answer.split(b" ", 2)[1])
