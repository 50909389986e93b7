"""Asks on the page: suggested with the reason, recorded within the caps, answered, and told who may not."""

from __future__ import annotations

import html
import re

import pytest
from starlette.testclient import TestClient

from support.page_home import write_home
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.state import ServingState, now_us
from vouch.serving.presentation.translations import speech
from vouch.serving.site import open_site
from vouch.serving.store import keys
from vouch.serving.web.render import customer_url

OURS = {"sec-fetch-site": "same-origin"}
T = speech("en")


@pytest.fixture
def store(tmp_path):
    found = ServingState(write_home(tmp_path))
    found.refresh()
    yield found
    found.stop()


@pytest.fixture
def client(store) -> TestClient:
    site = open_site(MountedApp(), store, is_local=True)
    return TestClient(Middleware(site, site), base_url="http://localhost", follow_redirects=False)


def form(page: str, customer: str) -> dict[str, str]:
    """The fields of the form that asks a customer."""
    forms = re.findall(r'<form class="inline" action="/app/asks".*?</form>', page, re.DOTALL)
    fields = [dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text)) for text in forms]
    found = next(of for of in fields if of["customer_id"] == customer)
    return {name: html.unescape(value) for name, value in found.items()}


def asks(client: TestClient, customer: str) -> list[dict]:
    found: list[dict] = client.post("/v1/customers/get", json={"customer_id": customer}).json()["asks"]
    return found


def test_a_candidate_is_asked_from_the_list_for_what_is_suggested_there(client):
    suggested = client.post("/v1/advocates/search", json={}).json()["candidates"][0]
    page = client.get("/app/candidates?minimum_score=1").text
    assert T(f"act.{suggested['ask_for']['kind']}") in page
    sent = form(page, suggested["customer_id"])
    assert sent["kind"] == suggested["ask_for"]["kind"]
    answer = client.post("/app/asks", data=sent, headers=OURS)
    assert (answer.status_code, answer.headers["location"]) == (303, "/app/candidates?minimum_score=1&done=recorded")
    after = client.get(answer.headers["location"]).text
    assert T("ask.done_recorded") in after
    assert suggested["customer_id"] not in re.findall(r"<bdi>(.*?)</bdi>", after), "who has an open ask waits"
    assert [(ask["kind"], ask["outcome"]) for ask in asks(client, suggested["customer_id"])] == [(sent["kind"], None)]


def test_a_form_that_is_sent_twice_records_one_ask(client):
    sent = form(client.get("/app/candidates").text, "c3")
    for _ in range(2):
        assert client.post("/app/asks", data=sent, headers=OURS).headers["location"].endswith("done=recorded")
    assert len(asks(client, "c3")) == 1


def test_who_must_not_be_asked_is_told_with_the_reason_and_nothing_is_recorded(client):
    page = client.get("/app/candidates").text
    first, second = form(page, "c3"), {**form(page, "c3"), "ask_id": "another"}
    client.post("/app/asks", data=first, headers=OURS)
    answer = client.post("/app/asks", data=second, headers=OURS)
    assert answer.headers["location"] == "/app/candidates?refused=open_ask"
    told = html.unescape(client.get(answer.headers["location"]).text)
    assert T("ask.refused", why=T("exclusion.open_ask")) in told
    answer = client.post("/app/asks", data={**second, "customer_id": "c4", "back": ""}, headers=OURS)
    assert answer.headers["location"] == "/app/customer?id=c4&refused=no_consent"
    assert len(asks(client, "c3")) == 1
    assert asks(client, "c4") == []


def test_what_came_of_an_ask_is_recorded_on_the_customer_s_page(client):
    client.post("/app/asks", data={**form(client.get(customer_url("c2")).text, "c2"), "kind": "review"}, headers=OURS)
    page = client.get(customer_url("c2")).text
    found = re.search(
        r'action="/app/outcomes".*?name="ask_id" value="([^"]+)".*?name="back" value="([^"]+)"', page, re.S
    )
    sent = {"ask_id": found[1], "back": html.unescape(found[2]), "outcome": "declined"}
    answer = client.post("/app/outcomes", data=sent, headers=OURS)
    assert answer.headers["location"] == "/app/customer?id=c2&done=outcome"
    after = client.get(answer.headers["location"]).text
    assert T("ask.done_outcome") in after
    assert 'class="badge of-high">declined' in after
    assert T("exclusion.refused_lately") in html.unescape(after)
    assert asks(client, "c2")[-1]["outcome"] == "declined"
    answer = client.post("/app/outcomes", data={**sent, "outcome": "accepted"}, headers=OURS)
    assert answer.status_code == 409


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"customer_id": "c3"}, 422),
        ({"customer_id": "c3", "ask_id": "x", "kind": "a favour"}, 422),
        ({"customer_id": "nobody", "ask_id": "x", "kind": "review"}, 404),
        ({"customer_id": "c3", "ask_id": "x" * 300, "kind": "review"}, 422),
    ],
)
def test_a_form_that_cannot_be_read_is_told_as_a_page(client, sent, status):
    answer = client.post("/app/asks", data=sent, headers=OURS)
    assert answer.status_code == status
    assert "<main" in answer.text
    assert client.post("/app/outcomes", data={"ask_id": "none", "outcome": "accepted"}, headers=OURS).status_code == 404


def test_a_form_of_another_site_records_nothing_where_the_service_is_open(client):
    sent = form(client.get("/app/candidates").text, "c3")
    for headers in ({}, {"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}):
        assert client.post("/app/asks", data=sent, headers=headers).status_code == 403
    assert asks(client, "c3") == []


def test_who_may_only_read_sees_no_form_and_sends_none(store, client):
    sent = form(client.get("/app/candidates").text, "c3")
    key = keys.create(store.database, "reader", "read", now_us())
    store.refresh()
    headers = {"authorization": f"Bearer {key}"}
    for path in ("/app/candidates", customer_url("c3")):
        assert 'action="/app/asks"' not in client.get(path, headers=headers).text
    assert T("ask.read_only") in client.get(customer_url("c3"), headers=headers).text
    answer = client.post("/app/asks", data=sent, headers={**OURS, **headers})
    assert answer.status_code == 403
    assert T("problem.forbidden.title") in answer.text
