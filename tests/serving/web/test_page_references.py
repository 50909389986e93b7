"""The reference desk on the page: a request is recorded, its advocates are shown, and each form moves it on."""

from __future__ import annotations

import html
import re

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from support.handwritten_weeks import MONDAY, customer, publish
from support.servers.answering import OURS, Served
from vouch.features.contract.tables import DAY_US
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.state import ServingState
from vouch.serving.presentation.translations import speech
from vouch.serving.site import open_site
from vouch.serving.store.tables import metadata
from vouch.serving.web.routes import WORK

T = speech("en")
FITS = {"nps_last": 10.0, "industry": "retail", "language": "en", "company_size": 200}
PEOPLE = (
    customer("a1", **FITS, name="Mona Samplewood", use_case="customer_service"),
    customer("a2", **FITS),
    customer("b1", **{**FITS, "industry": "health", "advocacy_consent": False}),
)


@pytest.fixture
def client(tmp_path) -> TestClient:
    publish(tmp_path, people=PEOPLE)
    store = ServingState(tmp_path)
    store.refresh()
    site = open_site(MountedApp(), store, is_local=True)
    return TestClient(Middleware(site, site), base_url="http://localhost", follow_redirects=True)


def sent(client: TestClient, path: str, **fields: str) -> str:
    """The page that follows a form."""
    answer = client.post(f"/app/references{path}", data=fields, headers=OURS)
    assert answer.status_code == 200, answer.text
    return html.unescape(answer.text)


def requested(client: TestClient, **more: str) -> str:
    fields = {"request_id": "r1", "deal": "OPP <1>", "kind": "reference_call", "industry": "retail", "persona": ""}
    return sent(client, "", **{**fields, "company_size": "150", "needed_by": "2027-01-31", "language": "en", **more})


def test_a_request_is_made_of_the_words_that_the_customers_have_and_shows_who_fits(client):
    page = client.get("/app/references").text
    assert re.findall(r'<option value="(retail|health)"', page) == ["health", "retail"]
    assert 'name="persona"' not in page, "no customer has one"
    page = requested(client)
    assert T("ask.done_requested") in page
    assert {"a1", "a2"} <= set(re.findall(r'name="customer_id" value="(\w+)"', page))
    assert "b1" not in re.findall(r'name="customer_id" value="(\w+)"', page)
    assert "31 Jan 2027" in page
    assert "customer service" in page
    assert "OPP &lt;1>" in client.get("/app/references").text.replace("&gt;", ">")


def test_each_form_moves_the_request_on_until_the_deal_is_told(client):
    requested(client)
    page = sent(client, "/ask", request_id="r1", ask_id="k1", customer_id="a1")
    assert f"a1</strong>: {T('ask.done_recorded')}" in page
    assert T("desk.state_asked") in page
    assert "Mona Samplewood" in page.split(T("desk.asked"))[1].split("</section>")[0]
    assert 'action="/app/references/ask"' not in page, "one is asked at a time"
    client.post("/app/outcomes", data={"ask_id": "k1", "outcome": "accepted", "back": "/app"}, headers=OURS)
    assert T("ask.done_closed") in sent(client, "/close", request_id="r1", state="done")
    page = sent(client, "/deal", request_id="r1", outcome="won")
    assert T("ask.done_deal") in page
    assert "a1</strong>" not in page, "the deal is no customer's"
    assert 'value="won"' not in page, "only what is not recorded yet is offered"
    page = client.get("/app/references?state=done").text
    assert T("desk.interval", low="21%", high="100%", won="1", count="1") in html.unescape(page)


def test_who_must_not_be_asked_is_told_in_place_and_what_is_no_request_as_a_problem(client):
    requested(client)
    page = sent(client, "/ask", request_id="r1", ask_id="k1", customer_id="b1", back="/app/reference?id=r1")
    assert T("ask.refused", why=T("exclusion.no_consent")) in page
    assert client.get("/app/reference?id=r9").status_code == 404
    assert client.post("/app/references", data={"deal": "x"}, headers=OURS).status_code == 422


def test_what_the_tables_do_not_tell_is_said(client):
    page = requested(client, request_id="r2", persona="it")
    assert T("desk.unused") in page
    assert T("desk.persona") in page.split(T("desk.unused"))[1][:40]


@pytest.mark.parametrize("language", ["ko", "ro"])
def test_the_desk_speaks_the_language_of_who_reads(client, language):
    requested(client)
    for place, says in (("/app/references", "page.everybody"), ("/app/reference?id=r1", "desk.back")):
        page = html.unescape(client.get(place, headers={"accept-language": language}).text)
        assert speech(language)(says) in page
        assert "desk." not in page
        assert T("page.everybody") not in page
        assert re.search(r'aria-current="page">' + speech(language)("nav.references"), page)


@pytest.mark.parametrize("path", sorted(WORK))
def test_without_a_week_a_form_writes_nothing(tmp_path, path):
    served = Served(tmp_path, has_week=True)  # it has none
    said = {
        "request_id": "r1", "deal": "OPP-1", "kind": "reference_call", "customer_id": "c1", "ask_id": "a1",
        "state": "withdrawn", "outcome": "won", "reason": "a mistake", "score": "10",
    }  # fmt: skip
    answer = served.call("POST", path, "write", data=said, headers=OURS)
    assert answer.status_code == 503
    with served.database.reading() as connection:
        written = [table.name for table in metadata.sorted_tables if connection.execute(select(table)).first()]
    assert set(written) <= {"audit", "keys", "marks", "secrets"}
    served.close()


def test_who_was_asked_and_is_gone_from_the_week_is_told_by_id(client, tmp_path):
    requested(client)
    sent(client, "/ask", request_id="r1", ask_id="k1", customer_id="a1")
    publish(tmp_path, MONDAY + 7 * DAY_US, [person for person in PEOPLE if person["customer_id"] != "a1"])
    store = ServingState(tmp_path)
    store.refresh()
    site = open_site(MountedApp(), store, is_local=True)
    page = TestClient(Middleware(site, site), base_url="http://localhost").get("/app/reference?id=r1")
    assert (page.status_code, "<bdi>a1</bdi>" in page.text) == (200, True)
