"""Signing in to the page with a key: who gets in, for how long, and who cannot send its forms."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from support.page_home import write_home
from vouch.serving.api.access import COOKIE
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.state import ServingState, now_us
from vouch.serving.presentation.translations import speech
from vouch.serving.site import open_site
from vouch.serving.store import audit, keys
from vouch.serving.web.render import customer_url

OURS = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def store(tmp_path):
    found = ServingState(write_home(tmp_path))
    yield found
    found.stop()


@pytest.fixture
def key(store) -> str:
    made = keys.create(store.database, "anna", "write", now_us())
    store.refresh()
    return made


@pytest.fixture
def client(store, key) -> TestClient:
    site = open_site(MountedApp(), store, is_local=True)
    return TestClient(Middleware(site, site), base_url="http://vouch.example", follow_redirects=False)


def sign_in(client: TestClient, key: str, headers=OURS, **fields):
    return client.post("/app/login", data={"key": key, **fields}, headers=headers)


def test_who_has_a_key_gets_to_the_page_that_was_asked_for(client, key):
    wanted = customer_url("c1")
    way_in = client.get(wanted)
    assert way_in.status_code == 303
    form = client.get(way_in.headers["location"])
    assert f'name="next" value="{wanted}"' in form.text
    for hidden in ("data-served", "16 Nov 2026", speech("en")("nav.at_risk")):
        assert hidden not in form.text, "nothing is shown before"
    answer = sign_in(client, key, next=wanted)
    assert (answer.status_code, answer.headers["location"]) == (303, wanted)
    page = client.get(wanted)
    assert page.status_code == 200
    assert speech("en")("page.signed_in", name="anna") in page.text


def test_the_cookie_is_read_by_no_script_sent_from_nowhere_else_and_holds_no_key(client, key):
    cookie = sign_in(client, key).headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Path=/app", "Max-Age=43200"):
        assert part in cookie
    assert "Secure" not in cookie
    assert key not in cookie
    assert "Secure" in sign_in(client, key, {**OURS, "x-forwarded-proto": "https"}).headers["set-cookie"]


@pytest.mark.parametrize("wrong", ["", "nonsense", "vouch_000000000000_" + "x" * 43])
def test_a_wrong_key_is_refused_on_the_way_in_and_not_repeated(client, wrong):
    answer = sign_in(client, wrong)
    assert answer.status_code == 401
    assert speech("en")("login.wrong") in answer.text
    assert not wrong or wrong not in answer.text
    assert "set-cookie" not in answer.headers
    assert client.get("/app").status_code == 303


def test_a_revoked_key_neither_signs_in_nor_stays_signed_in(client, key, store):
    sign_in(client, key)
    assert client.get("/app").status_code == 200
    keys.revoke(store.database, "anna", now_us())
    assert client.get("/app").status_code == 303, "at once, for its sessions are gone"
    store.refresh()
    assert sign_in(client, key).status_code == 401


def test_signing_out_ends_the_session_for_good(client, key):
    sign_in(client, key)
    token = client.cookies[COOKIE]
    assert client.post("/app/logout", headers=OURS).headers["location"] == "/app/login"
    assert COOKIE not in client.cookies
    client.cookies.set(COOKIE, token, domain="vouch.example", path="/app")
    assert client.get("/app").status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://vouch.example.evil.example"},
    ],
)
def test_a_form_that_another_site_sends_is_not_taken(client, key, headers):
    assert sign_in(client, key, headers).status_code == 403
    sign_in(client, key)
    assert client.post("/app/logout", headers=headers).status_code == 403
    assert client.get("/app").status_code == 200


def test_a_browser_that_tells_only_the_origin_may_sign_in(client, key):
    assert sign_in(client, key, {"origin": "http://vouch.example"}).status_code == 303


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example", "//evil.example/app", "/v1/score", "/app/../v1", "/app/login"]
)
def test_signing_in_leads_nowhere_else(client, key, elsewhere):
    assert sign_in(client, key, next=elsewhere).headers["location"] == "/app"


def test_too_many_wrong_keys_are_told_to_wait(store, key, monkeypatch):
    monkeypatch.setattr("vouch.serving.api.access.WRONG_KEYS", "3/minute")
    site = open_site(MountedApp(), store, is_local=True)
    client = TestClient(Middleware(site, site), base_url="http://vouch.example", follow_redirects=False)
    answers = [sign_in(client, "wrong") for _ in range(5)]
    assert [answer.status_code for answer in answers[:3]] == [401] * 3
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert speech("en")("login.slow") in answers[-1].text
    assert sign_in(client, key).status_code == 303


def test_a_session_opens_the_page_alone(client, key):
    sign_in(client, key)
    assert client.post("/v1/advocates/search", json={}).status_code == 401


def test_where_no_key_was_ever_made_nobody_is_asked_for_one(tmp_path):
    store = ServingState(write_home(tmp_path))
    store.refresh()
    site = open_site(MountedApp(), store, is_local=True)
    client = TestClient(Middleware(site, site), base_url="http://localhost:3000", follow_redirects=False)
    assert client.get("/app/login").headers["location"] == "/app"
    assert speech("en")("page.open") in client.get("/app").text
    elsewhere = TestClient(Middleware(site, site), base_url="http://evil.example")
    answer = elsewhere.get("/app", headers={"accept-language": "ro"})
    assert answer.status_code == 403
    assert speech("ro")("problem.forbidden.title") in answer.text
    store.stop()


def test_what_lies_before_the_views_is_told_as_a_page_too(client, key):
    sign_in(client, key)
    absent = client.get("/app/nothing/here", headers={"accept-language": "ko"})
    assert absent.status_code == 404
    assert speech("ko")("problem.unknown_route.title") in absent.text
    assert client.post("/app", headers=OURS).status_code == 405


def test_who_lists_and_looks_is_written_down(client, key, store):
    sign_in(client, key)
    for path in ("/app/candidates", "/app/at-risk", customer_url("c1")):
        client.get(path)
    store.journal.flush()
    with store.database.reading() as connection:
        lines = [line for line in audit.newest_entries(connection) if line["route"]]
    told = [(line["actor"], line["action"], line["route"], line["customer_id"]) for line in reversed(lines)]
    assert told == [
        ("anna", "listed", "/app/candidates", None),
        ("anna", "listed", "/app/at-risk", None),
        ("anna", "looked", "/app/customer", "c1"),
    ]
