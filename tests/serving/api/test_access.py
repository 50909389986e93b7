"""Who may: every route by every kind of key, what a stored key gives away, and what is counted and written down."""

from __future__ import annotations

import asyncio
import hashlib
import operator
import re
import sqlite3
from pathlib import Path

import httpx
import pytest

from support.handwritten_weeks import customer, publish
from support.servers.answering import NOW, OURS, PLACES, Served
from vouch.features.errors import StoreError, UsageError
from vouch.serving.api.access import COOKIE, NOTHING, AccessGate
from vouch.serving.api.doors import API_ROUTES
from vouch.serving.api.front import HEADERS, Middleware, MountedApp
from vouch.serving.api.problems import Problem
from vouch.serving.api.state import ServingState, now_us
from vouch.serving.site import open_site
from vouch.serving.store import audit, keys, recorded
from vouch.serving.store.connection import Database

KINDS = ("none", "wrong", "malformed", "in the query", "revoked", "read", "write", "admin")

# What each route needs. A new route without a row here fails.
ROUTES = {
    ("GET", "/v1/customers/find"): "read",
    ("POST", "/v1/customers/find"): "read",
    ("GET", "/v1/accounts"): "read",
    ("POST", "/v1/accounts"): "read",
    ("GET", "/v1/accounts/get"): "read",
    ("POST", "/v1/accounts/get"): "read",
    ("GET", "/v1/week"): "read",
    ("POST", "/v1/week"): "read",
    ("GET", "/v1/advocates/search"): "read",
    ("POST", "/v1/advocates/search"): "read",
    ("GET", "/v1/customers/get"): "read",
    ("POST", "/v1/customers/get"): "read",
    ("GET", "/v1/customers/at_risk"): "read",
    ("POST", "/v1/customers/at_risk"): "read",
    ("GET", "/v1/asks/search"): "read",
    ("POST", "/v1/asks/search"): "read",
    ("GET", "/v1/asks/versions"): "read",
    ("POST", "/v1/asks/versions"): "read",
    ("GET", "/v1/overrides/search"): "read",
    ("POST", "/v1/overrides/search"): "read",
    ("GET", "/v1/metrics/query"): "read",
    ("POST", "/v1/metrics/query"): "read",
    ("GET", "/v1/metrics/catalogue"): "read",
    ("POST", "/v1/metrics/catalogue"): "read",
    ("GET", "/v1/lists/get"): "read",
    ("POST", "/v1/lists/get"): "read",
    ("GET", "/v1/lists/catalogue"): "read",
    ("POST", "/v1/lists/catalogue"): "read",
    ("POST", "/v1/score"): "read",
    ("POST", "/v1/tables/score"): "read",
    ("POST", "/v1/asks/record"): "write",
    ("POST", "/v1/asks/outcome"): "write",
    ("POST", "/v1/asks/correct"): "write",
    ("POST", "/v1/asks/withdraw"): "write",
    ("POST", "/v1/actions/record"): "write",
    ("POST", "/v1/actions/withdraw"): "write",
    ("POST", "/v1/objections/record"): "write",
    ("POST", "/v1/objections/withdraw"): "write",
    ("POST", "/v1/overrides/record"): "write",
    ("POST", "/v1/overrides/withdraw"): "write",
    ("GET", "/v1/week/scores"): "admin",
    ("POST", "/v1/references/record"): "write",
    ("POST", "/v1/references/ask"): "write",
    ("POST", "/v1/references/close"): "write",
    ("POST", "/v1/references/deal"): "write",
    ("GET", "/v1/references/match"): "read",
    ("POST", "/v1/references/match"): "read",
    ("GET", "/v1/references/search"): "read",
    ("POST", "/v1/references/search"): "read",
    ("GET", "/v1/webhooks"): "admin",
    ("POST", "/v1/webhooks"): "admin",
    ("POST", "/v1/webhooks/pause"): "admin",
    ("POST", "/v1/webhooks/resume"): "admin",
    ("GET", "/openapi.json"): "read",
    ("GET", "/schema.json"): "read",
    ("GET", "/livez"): "nothing",
    ("GET", "/healthz"): "nothing",
    ("GET", "/readyz"): "nothing",
    ("GET", "/metrics"): "read",
    ("GET", "/app/static/{name}"): "nothing",
    ("GET", "/app"): "read",
    ("GET", "/app/"): "read",
    ("GET", "/app/portfolio"): "read",
    ("GET", "/app/find"): "read",
    ("POST", "/app/favourites"): "read",
    ("GET", "/app/accounts"): "read",
    ("GET", "/app/account"): "read",
    ("GET", "/app/served"): "read",
    ("GET", "/app/login"): "nothing",
    ("POST", "/app/login"): "nothing",
    ("POST", "/app/logout"): "read",
    ("POST", "/app/asks"): "write",
    ("POST", "/app/asks/chosen"): "write",
    ("POST", "/app/outcomes"): "write",
    ("POST", "/app/asks/correct"): "write",
    ("POST", "/app/asks/withdraw"): "write",
    ("POST", "/app/actions"): "write",
    ("POST", "/app/actions/withdraw"): "write",
    ("POST", "/app/overrides"): "write",
    ("POST", "/app/overrides/withdraw"): "write",
    ("POST", "/app/objections"): "write",
    ("POST", "/app/references"): "write",
    ("POST", "/app/references/ask"): "write",
    ("POST", "/app/references/close"): "write",
    ("POST", "/app/references/deal"): "write",
    ("GET", "/app/references"): "read",
    ("GET", "/app/reference"): "read",
    ("GET", "/app/asks"): "read",
    ("GET", "/app/asks/export"): "read",
    ("GET", "/app/candidates/export"): "read",
    ("GET", "/app/at-risk/export"): "read",
    ("GET", "/app/candidates"): "read",
    ("GET", "/app/at-risk"): "read",
    ("GET", "/app/customer"): "read",
    ("GET", "/app/metrics"): "read",
    ("GET", "/app/metrics/{metric_id}"): "read",
    ("GET", "/app/lists"): "read",
    ("GET", "/app/lists/{name}"): "read",
    ("GET", "/app/models"): "read",
    ("GET", "/app/models/{name}/card"): "read",
    ("GET", "/app/docs"): "read",
    ("GET", "/app/docs/{name}"): "read",
}
RECORDED = ("/v1/asks/", "/v1/overrides/", "/v1/actions/", "/v1/objections/", "/v1/references/ask")
LISTED = {"/v1/asks/search", "/v1/overrides/search"}
"""The examples of requests are about a customer, an ask or an override that is not there."""
ABSENT = [("GET", "/"), ("GET", "/docs.json"), ("POST", "/v1/nothing"), ("GET", "/livez/x")]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    found = Served(tmp_path_factory.mktemp("home"))
    found.call("POST", "/v1/references/record", "write", json=body_of("/v1/references/record"))
    yield found
    found.close()


def routes(served: Served) -> dict[tuple[str, str], str]:
    return {(method, route.path): route.needs for route in served.routes for method in route.methods - {"HEAD"}}


def body_of(path: str) -> dict:
    return (
        {"customer_id": "c1"}
        if path == "/v1/customers/get"
        else next((d.example for d in API_ROUTES if d.path == path), {})
    )


def test_every_route_has_its_row(served):
    assert routes(served) == ROUTES


@pytest.fixture
def uncounted(monkeypatch):
    """No limit to wrong keys."""
    monkeypatch.setattr(AccessGate, "_count", lambda *_: None)


@pytest.mark.usefixtures("uncounted")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_route_answers_to_each_kind_of_key_as_it_is_written_down(served, method, path, kind):
    needs = ROUTES[method, path]
    place = re.sub(r"\{.+\}", PLACES.get(path, ""), path)
    is_page = path.startswith("/app")
    body = {"headers": OURS, "data": {}} if is_page else {"json": body_of(path)} if method == "POST" else {}
    if method == "GET" and path.startswith("/v1/"):
        body = {"params": body_of(path)}
    answer = served.call(method, place, kind, **body)
    if needs == "nothing":
        assert answer.status_code == (401 if method == "POST" else 200)  # a way in without a key
    elif is_page and kind not in keys.SCOPES:
        assert answer.status_code == (303 if method == "GET" else 401)
        assert method == "POST" or answer.headers["location"].startswith("/app/login")
    elif is_page and method == "POST":
        done = (
            303 if path in {"/app/logout", "/app/asks/chosen", "/app/favourites"} else 422
        )  # what is sent here is an empty form
        assert answer.status_code == (done if keys.SCOPES.index(kind) >= keys.SCOPES.index(needs) else 403)
    elif kind not in keys.SCOPES:
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorised")
        assert answer.headers["www-authenticate"] == "Bearer"
    elif keys.SCOPES.index(kind) < keys.SCOPES.index(needs):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    else:
        absent = {
            "/app/customer",
            "/app/models/{name}/card",
            "/v1/accounts/get",
            "/v1/webhooks/pause",
            "/v1/webhooks/resume",
        }
        lacking = {"/app/find", "/app/account", "/app/reference", "/v1/tables/score"}  # without what they need
        unknown = {path for path in map(operator.itemgetter(1), ROUTES) if path.startswith(RECORDED)} - LISTED
        assert answer.status_code == (422 if path in lacking else 404 if path in absent | unknown else 200)
    if not path.startswith("/app"):
        assert HEADERS.items() <= dict(answer.headers.raw).items()


@pytest.mark.usefixtures("uncounted")
@pytest.mark.parametrize(("method", "path"), ABSENT)
def test_what_is_not_there_is_told_to_those_with_a_key_alone(served, method, path):
    assert served.call(method, path).status_code == 401
    assert served.call(method, path, "read").status_code in {404, 405}


@pytest.mark.usefixtures("uncounted")
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "VOUCH"])
def test_another_method_does_not_get_past_the_gate(served, method):
    for door in API_ROUTES:
        assert served.call(method, door.path).status_code == 401
        is_read = method == "HEAD" and "GET" in door.methods
        asked = {"params": body_of(door.path)} if is_read else {}
        told = 404 if door.path in ("/v1/asks/versions", "/v1/accounts/get") else 200  # who is not there
        assert served.call(method, door.path, "admin", **asked).status_code == (told if is_read else 405)


@pytest.mark.usefixtures("uncounted")
@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic YTpi", "bearer vouch_000000000000_" + "x" * 43, "Bearer " + "x" * 60_000, "\xff"],
)
def test_what_is_no_key_of_ours_is_none(served, header):
    answer = served.call("POST", "/v1/score", headers={"authorization": header.encode("latin-1")}, json={})
    assert answer.status_code == 401


def test_a_key_is_stored_as_a_hash_and_nowhere_else(served):
    secret = served.keys["read"][len("vouch_") + 13 :]
    stored = b"".join(path.read_bytes() for path in Path(served.database.home).rglob("store.sqlite*"))
    assert secret.encode() not in stored
    assert hashlib.sha256(secret.encode()).hexdigest().encode() in stored


def test_wrong_keys_are_counted_by_address_and_right_ones_still_pass(served):
    gate = served.site.gate
    served.site.gate = AccessGate(served.store, False, "1000/minute", now_us)
    codes = [served.call("GET", "/openapi.json", "wrong").status_code for _ in range(110)]
    assert (codes[:100], set(codes[101:])) == ([401] * 100, {429})
    refused = served.call("GET", "/openapi.json", "wrong")
    assert 1 <= int(refused.headers["retry-after"]) <= 120
    assert served.call("GET", "/openapi.json", "read").status_code == 200
    served.site.gate = gate


def test_each_key_has_a_rate_of_its_own(served):
    gate = served.site.gate
    served.site.gate = AccessGate(served.store, False, "5/minute", now_us)
    assert [served.call("GET", "/openapi.json", "read").status_code for _ in range(7)] == [200] * 5 + [429] * 2
    assert served.call("GET", "/openapi.json", "write").status_code == 200
    served.site.gate = gate


def test_a_revoked_key_is_refused_when_the_store_is_read_again(served):
    text = keys.create(served.database, "short", "read", NOW)
    served.store.refresh()
    served.keys["short"] = text
    assert served.call("GET", "/openapi.json", "short").status_code == 200
    keys.revoke(served.database, "short", NOW)
    served.store.refresh()
    assert served.call("GET", "/openapi.json", "short").status_code == 401


def test_names_of_live_keys_are_unique_and_a_revoked_one_is_free_again(tmp_path):
    database = Database(tmp_path)
    keys.create(database, "crm", "read", NOW)
    with pytest.raises(UsageError, match="name"):
        keys.create(database, "crm", "write", NOW)
    assert keys.revoke(database, "crm", NOW).name == "crm"
    with pytest.raises(UsageError, match="no key"):
        keys.revoke(database, "crm", NOW)
    keys.create(database, "crm", "write", NOW)
    for name, scope in (("", "read"), ("a\nb", "read"), ("x", "root")):
        with pytest.raises(UsageError):
            keys.create(database, name, scope, NOW)
    database.close()


def test_a_session_stands_for_its_key_on_the_page_alone_until_it_ends_or_the_key_is_revoked(served):
    text = keys.create(served.database, "person", "write", NOW)
    served.store.refresh()
    gate = served.site.gate
    key = gate.key_of(text, "192.0.2.9")
    token = keys.sign_in(served.database, key, now_us())

    def admitted(is_page: bool, sent: str = token) -> str | None:
        cookie = f"{COOKIE}={sent}".encode()
        scope = {"type": "http", "method": "POST", "path": "/app", "headers": [(b"cookie", cookie)]}
        try:
            return gate.admit(scope, "read", is_page=is_page).name
        except Problem as problem:
            return problem.code

    assert admitted(is_page=True) == "person"
    assert admitted(is_page=False) == "unauthorised"
    assert admitted(True, token[:-1]) == "unauthorised"
    cookie = {"cookie": f"{COOKIE}={token}"}
    for path in ("/v1/score", "/application", "/app/../v1/score", "/app%2f..%2fv1/score", "/v1/score;/app/"):
        assert served.call("POST", path, headers=cookie, json={}).status_code in {401, 404}, path
    assert served.call("GET", "/app/candidates", headers=cookie).status_code == 200
    assert keys.session_key_id(served.database, token, now_us() + keys.SESSION_US + 1) is None
    keys.revoke(served.database, "person", NOW)
    served.store.refresh()
    assert admitted(is_page=True) == "unauthorised"


def test_who_opens_the_page_without_a_session_is_sent_to_its_way_in(served):
    answer = served.call("GET", "/app/portfolio")
    assert (answer.status_code, answer.headers["location"]) == (303, "/app/login?next=%2Fapp%2Fportfolio")
    assert served.call("POST", "/app/portfolio").status_code == 401


def test_a_session_that_is_ended_is_over(served):
    key = served.site.gate.key_of(served.keys["read"], "192.0.2.9")
    token = keys.sign_in(served.database, key, NOW)
    assert keys.session_key_id(served.database, token, NOW) == key.key_id
    keys.sign_out(served.database, token)
    assert keys.session_key_id(served.database, token, NOW) is None


def test_without_any_key_the_service_is_open_to_its_own_machine_and_to_no_name_of_elsewhere(tmp_path):
    publish(tmp_path)
    store = ServingState(tmp_path)
    store.refresh()
    gate = AccessGate(store, True, "5/minute", now_us)

    def admitted(gate: AccessGate, host: str) -> str:
        try:
            scope = {"type": "http", "method": "POST", "path": "/v1/score", "headers": [(b"host", host.encode())]}
            return gate.admit(scope, "read", is_page=False).scope
        except Problem as problem:
            return problem.code

    assert {admitted(gate, host) for host in ("localhost:3000", "127.0.0.1", "[::1]:3000", "LOCALHOST")} == {"admin"}
    assert {admitted(gate, host) for host in ("evil.example:3000", "", "127.0.0.1.evil.example")} == {"forbidden"}
    assert admitted(AccessGate(store, False, "5/minute", now_us), "localhost") == "unauthorised"
    keys.create(store.database, "first", "read", NOW)
    keys.revoke(store.database, "first", NOW)
    store.refresh()
    assert admitted(gate, "localhost") == "unauthorised", "whoever made keys wants keys"
    store.stop()


def test_while_the_store_has_not_told_the_keys_nobody_gets_in(tmp_path):
    gate = AccessGate(ServingState(tmp_path), True, "5/minute", now_us)
    with pytest.raises(Exception, match="store_unavailable"):
        gate.admit({"type": "http", "method": "POST", "headers": [(b"host", b"localhost")]}, "read", is_page=False)
    assert gate.admit({"type": "http", "method": "GET", "headers": []}, NOTHING, is_page=False) is None


def test_the_audit_log_tells_who_listed_whom_and_looked_at_whom(served):
    served.store.journal.flush()
    before = len(lines(served))
    served.call("POST", "/v1/advocates/search", "read", json={"limit": 2})
    served.call("POST", "/v1/customers/get", "write", json={"customer_id": "c1"})
    served.call("POST", "/v1/customers/get", "write", json={"customer_id": "nobody"})
    served.call("POST", "/v1/metrics/query", "write", json={})
    served.store.journal.flush()
    looked, listed = lines(served)[: len(lines(served)) - before]
    assert (listed["actor"], listed["action"], listed["rows"]) == ("read", "listed", 2)
    assert (looked["actor"], looked["action"], looked["customer_id"]) == ("write", "looked", "c1")
    assert {line["action"] for line in lines(served)} >= {"key_created", "key_revoked", "signed_in"}


def test_the_audit_log_counts_what_was_listed_and_not_what_could_have_been(served):
    served.call("POST", "/v1/advocates/search", "read", json={"limit": 200})
    served.call("POST", "/v1/customers/at_risk", "read", json={"limit": 200, "segment": ["no such"]})
    served.store.journal.flush()
    empty, listed = lines(served)[:2]
    assert (listed["action"], listed["rows"]) == (
        "listed",
        served.call("POST", "/v1/advocates/search", "read", json={"limit": 200}).json()["total"],
    )
    assert (empty["action"], empty["rows"]) == ("listed", 0)
    served.store.journal.flush()


REFUSED = [
    ("read", "/v1/asks/record", {"ask_id": "r1", "customer_id": "c1", "kind": "review"}, 403, None),
    ("write", "/v1/asks/record", {"ask_id": "r1", "customer_id": "nobody@mail.example", "kind": "review"}, 404, None),
    ("write", "/v1/asks/record", {"ask_id": "r1", "customer_id": "c4", "kind": "review"}, 409, "c4"),
    ("write", "/v1/asks/outcome", {"ask_id": "r1", "outcome": "accepted"}, 404, None),
    ("write", "/v1/overrides/withdraw", {"override_id": "r1"}, 404, None),
]


@pytest.mark.parametrize(("kind", "path", "body", "status", "customer"), REFUSED)
def test_the_audit_log_tells_of_writes_that_were_refused(served, kind, path, body, status, customer):
    assert served.call("POST", path, kind, json=body).status_code == status
    served.store.journal.flush()
    newest = lines(served)[0]
    told = [newest[name] for name in ("actor", "action", "route", "status", "customer_id", "rows")]
    assert told == [kind, "refused", path, status, customer, 0]


@pytest.mark.parametrize("path", ["/app/asks", "/app/outcomes"])
def test_the_audit_log_tells_of_forms_that_were_refused(served, path):
    assert served.call("POST", path, "read", headers=OURS, data={"ask_id": "r1"}).status_code == 403
    served.store.journal.flush()
    assert (lines(served)[0]["action"], lines(served)[0]["route"], lines(served)[0]["status"]) == ("refused", path, 403)


def set_by_hand(override_id: str, score: float = 35) -> dict:
    return {"override_id": override_id, "customer_id": "c1", "score": score, "reason": "their sponsor left"}


def shown(served: Served) -> dict | None:
    return served.call("POST", "/v1/customers/get", "read", json={"customer_id": "c1"}).json()["health_override"]


def test_a_key_withdraws_what_it_recorded_and_admin_what_others_did(served):
    served.keys["other"] = keys.create(served.database, "other", "write", NOW)
    served.store.refresh()

    def withdraw(override_id: str, kind: str) -> httpx.Response:
        return served.call("POST", "/v1/overrides/withdraw", kind, json={"override_id": override_id})

    for override_id in ("o1", "o2"):
        assert served.call("POST", "/v1/overrides/record", "write", json=set_by_hand(override_id)).status_code == 200
    assert shown(served)["override_id"] == "o2"
    refused = withdraw("o2", "other")
    assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (403, "forbidden", "override_id")
    assert shown(served)["override_id"] == "o2"
    own = withdraw("o2", "write")
    assert (own.status_code, own.json()["is_new"]) == (200, True)
    assert own.json()["override"]["withdrawn_by"] == "write"
    assert shown(served)["override_id"] == "o1", "the one before stands again"
    again = withdraw("o2", "write").json()
    assert (again["is_new"], again["override"]) == (False, own.json()["override"])
    assert withdraw("o1", "admin").json()["override"]["withdrawn_by"] == "admin"
    assert shown(served) is None
    served.store.journal.flush()
    told = [(line["actor"], line["action"], line["customer_id"]) for line in lines(served)]
    assert ("write", "withdrew", "c1") in told
    assert ("admin", "withdrew", "c1") in told
    assert ("other", "refused", None) in told


def test_an_override_that_was_withdrawn_ends_then_for_the_batch_and_stood_before(served):
    served.call("POST", "/v1/overrides/record", "write", json=set_by_hand("o9"))
    served.call("POST", "/v1/overrides/withdraw", "write", json={"override_id": "o9"})
    with served.database.reading() as connection:
        *_, told = recorded.recorded_rows(connection)["health_overrides"]
    assert told["set_at"] <= told["expires_at"] <= now_us()


@pytest.mark.parametrize(
    "beside",
    ['{}; ours', 'prefs={"a": 1, "b": [2]}; ours', "path=/; ours", "expires=never; secure; ours", 'a="x; ours',
     "vouch_session2=x; ours", "Vouch_Session=x; ours", "vouch_session=short; ours", "ours; path=/app; é=\xff"],
)  # fmt: skip
def test_cookies_of_others_neither_sign_out_nor_keep_in(served, beside):
    key = served.site.gate.key_of(served.keys["write"], "192.0.2.9")
    token = keys.sign_in(served.database, key, now_us())
    cookie = {"cookie": beside.replace("ours", f"{COOKIE}={token}").encode("latin-1")}
    assert served.call("GET", "/app", headers=cookie).status_code == 200
    assert served.call("POST", "/app/logout", headers={**cookie, **OURS}).status_code == 303
    assert served.call("GET", "/app", headers=cookie).status_code == 303
    for lookalike in (f"{COOKIE}2", f"x{COOKIE}", COOKIE.upper()):
        held = keys.sign_in(served.database, key, now_us())
        assert served.call("GET", "/app", headers={"cookie": f"{lookalike}={held}"}).status_code == 303


def test_ready_tells_that_the_store_takes_no_writes(served, monkeypatch):
    def full(*_: object) -> None:
        raise StoreError("full")

    with monkeypatch.context() as patched:
        patched.setattr(served.database.__class__, "writing", full)
        served.store.journal.probe()
    assert served.call("GET", "/readyz").json()["store"] == "read_only"
    served.store.journal.probe()
    assert served.call("GET", "/readyz").json()["store"] == "ok"


SPELT = {
    "Jos\u00e9 7": ["Jos\u00e9 7", "Jose\u0301 7", " Jos\u00e9 7\u00a0"],
    "\uae40\ubbfc": ["\u1100\u1175\u11b7\u1106\u1175\u11ab"],
}


@pytest.mark.parametrize(("known", "given"), [(known, given) for known, of in SPELT.items() for given in of])
def test_an_id_is_answered_however_it_is_spelt(tmp_path, known, given):
    (tmp_path / "home").mkdir()
    people = sorted([customer(known, 0.5, 0.5), customer("c1")], key=lambda one: one["customer_id"])
    publish(tmp_path / "home", people=people)
    store = ServingState(tmp_path / "home")
    store.refresh()
    site = open_site(MountedApp(), store, is_local=True)

    async def call(method: str, path: str, **other) -> httpx.Response:
        transport = httpx.ASGITransport(Middleware(site, site), client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **other)

    found = asyncio.run(call("POST", "/v1/customers/get", json={"customer_id": given}))
    assert (found.status_code, found.json()["customer_id"]) == (200, known)
    ask = {"ask_id": f"a {given}", "customer_id": given, "kind": "review"}
    first, again = (
        asyncio.run(call("POST", "/v1/asks/record", json={**ask, "customer_id": who})) for who in (given, known)
    )
    assert (first.json()["is_new"], again.json()["is_new"]) == (True, False)
    assert asyncio.run(call("GET", "/app/customer", params={"id": given})).status_code == 200
    blank = asyncio.run(call("POST", "/v1/customers/get", json={"customer_id": "\u00a0 "}))
    assert (blank.status_code, blank.json()["field"]) == (422, "customer_id")
    store.stop()


def lines(served: Served) -> list[dict]:
    with served.database.reading() as connection:
        return audit.newest_entries(connection)


def test_audit_lines_wait_while_the_store_is_locked(tmp_path, monkeypatch):
    monkeypatch.setattr("vouch.serving.store.connection.WAIT_SECONDS", 0.1)
    database = Database(tmp_path)
    database.versions()
    journal = audit.Journal(database)
    journal.note(audit.entry(NOW, "a", "listed"))
    with sqlite3.connect(tmp_path / "serving" / "store.sqlite") as other:
        other.execute("BEGIN EXCLUSIVE")
        journal.flush()
    other.close()
    journal.note(audit.entry(NOW + 1, "b", "listed"))
    journal.flush()
    with database.reading() as connection:
        assert [line["actor"] for line in audit.newest_entries(connection)] == ["b", "a"]
    database.close()
