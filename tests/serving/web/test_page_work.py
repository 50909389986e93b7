"""The work on customers on the page: each form does what it says, at once, and tells for whom."""

from __future__ import annotations

import csv
import html
import re
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from support.handwritten_weeks import customer, publish
from support.page_home import write_home
from vouch.models.value.valuation import HORIZON_DAYS
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.state import ServingState
from vouch.serving.presentation.translations import LANGUAGES, speech
from vouch.serving.site import open_site
from vouch.serving.web.render import customer_url

OURS = {"sec-fetch-site": "same-origin"}
T = speech("en")


@pytest.fixture
def client(tmp_path) -> TestClient:
    return client_of(write_home(tmp_path))


def client_of(home) -> TestClient:
    """The page of a home, with the week that it has."""
    store = ServingState(home)
    store.refresh()
    site = open_site(MountedApp(), store, is_local=True)
    return TestClient(Middleware(site, site), base_url="http://localhost", follow_redirects=True)


def sent(client: TestClient, path: str, **fields: str) -> str:
    """The page that follows a form."""
    answer = client.post(path, data={"back": customer_url("c2"), "customer_id": "c2", **fields}, headers=OURS)
    assert answer.status_code == 200, answer.text
    return html.unescape(answer.text)


def who(client: TestClient) -> dict:
    found: dict = client.post("/v1/customers/get", json={"customer_id": "c2"}).json()
    return found


def listed(client: TestClient, **more) -> list[str]:
    found = client.post("/v1/advocates/search", json=more).json()["candidates"]
    return [row["customer_id"] for row in found]


def test_a_health_score_by_hand_counts_in_badge_and_list_until_it_is_withdrawn(client):
    assert "c2" in listed(client)
    page = sent(client, "/app/overrides", override_id="o1", score="5", days="30", reason="sponsor left")
    assert f"c2</strong>: {T('ask.done_overridden')}" in page
    assert re.search(r'badge of-at_risk">Health: 5, by hand until .*: sponsor left', page)
    assert "c2" not in listed(client)
    assert "sponsor left" in html.unescape(client.get("/app/asks").text), "all that stand are listed"
    page = sent(client, "/app/overrides/withdraw", override_id="o1")
    assert T("ask.done_withdrawn") in page
    assert "c2" in listed(client)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_customers_money_stands_in_its_currency_and_its_value_says_for_how_long_and_how_sure(tmp_path, language):
    value = {"clv_margin": 900.0, "clv_margin_low": 700.0, "clv_margin_high": 1200.0, "clv_margin_so_far": 300.0}
    sure = customer("c1", 0.5, mrr=200.0, currency="EUR", **value, clv_status="ok")
    new = customer("c2", 0.5, mrr=200.0, currency="EUR", **value, clv_status="cold_start")
    publish(tmp_path, people=(sure, new))
    app, t = client_of(tmp_path), speech(language)
    ends = t("customer.clv_ends", low=t.money(700, "EUR"), high=t.money(1200, "EUR"), past=t.money(300, "EUR"))
    for name, is_new in (("c1", False), ("c2", True)):
        page = html.unescape(app.get(customer_url(name), headers={"accept-language": language}).text)
        assert ends in page
        assert f'<p class="big">{t.money(200, "EUR")}</p>' in page
        assert (t("customer.clv_cold") in page) == is_new
    assert HORIZON_DAYS == 3 * 365
    assert "3" in t("customer.clv_ends", low="", high="", past="")


def test_those_who_were_asked_and_overridden_stand_by_name_where_they_have_one(client):
    sent(client, "/app/asks", customer_id="c3", ask_id="n1", kind="review")
    sent(client, "/app/overrides", customer_id="c1", override_id="n2", score="5", days="30", reason="sponsor left")
    page = client.get("/app/asks").text
    assert re.search(r"North Energy Example.*: 5 by hand until", page)
    assert "<bdi>c3</bdi>" in page


def test_the_first_of_all_are_counted_as_such(client):
    page = client.get("/app/at-risk?sort=mrr&band=all&top=2").text
    total = client.post("/v1/customers/at_risk", json={"band": ["high", "watch", "low"]}).json()["total"]
    assert T("list.count_top", shown="2", count=str(total)) in page


def test_a_call_stands_with_the_customer_and_is_taken_back(client):
    fields = {"action_id": "1", "kind": "called", "note": "will renew", "done_by": "Ann", "day": "2026-11-20"}
    page = sent(client, "/app/actions", **fields)
    assert T("ask.done_called") in page
    assert "will renew" in page
    assert [(row["done_by"], row["done_at"]) for row in who(client)["actions"]] == [("Ann", "2026-11-20T12:00:00Z")]
    assert T("work.nothing") in sent(client, "/app/actions/withdraw", action_id="1")


def test_an_ask_is_recorded_with_its_story_corrected_and_taken_back(client):
    story = {"ask_id": "1", "kind": "referral", "channel": "phone", "asked_by": "Ann", "note": "thinks it over"}
    assert "thinks it over" in sent(client, "/app/asks", **story)
    sent(client, "/app/outcomes", ask_id="1", outcome="declined")
    assert who(client)["exclusion"] == "refused_lately"
    assert T("ask.done_corrected") in sent(client, "/app/asks/correct", ask_id="1", outcome="accepted")
    assert who(client)["exclusion"] == "asked_lately"
    refused = client.post("/app/asks/withdraw", data={"back": "/app/asks", "ask_id": "1"}, headers=OURS)
    assert refused.status_code == 409, "what was answered was made"
    sent(client, "/app/asks/correct", ask_id="1", outcome="")
    assert T("ask.done_withdrawn") in sent(client, "/app/asks/withdraw", ask_id="1")
    assert who(client)["exclusion"] is None


def test_who_objects_is_gone_from_the_pages_at_once(client):
    page = sent(client, "/app/objections", objects="1")
    assert T("ask.done_objected") in page
    assert T("state.opted_out") in page
    for path in ("/app/candidates?include_ineligible=1", "/app/at-risk", "/app/candidates/export", "/app"):
        assert "c2" not in re.findall(r"<bdi>(.*?)</bdi>", client.get(path).text) + client.get(path).text.split(",")
    assert who(client)["churn_probability"] is None
    sent(client, "/app/objections", objects="0")
    assert "c2" in listed(client)


def test_asks_for_those_chosen_are_recorded_together_and_who_may_not_is_counted(client):
    data = {"ask_id": "b", "back": "/app/candidates", "who": ["referral c2", "referral c3", "referral c4"]}
    answer = client.post("/app/asks/chosen", data=data, headers=OURS)
    assert T("work.chosen", recorded="2", refused="1") in html.unescape(answer.text)
    again = client.post("/app/asks/chosen", data=data, headers=OURS)
    assert T("work.chosen", recorded="2", refused="1") in html.unescape(again.text), "sent twice, recorded once"
    assert client.get("/v1/asks/search").json()["total"] == 2


@pytest.mark.parametrize(
    ("place", "route", "name"),
    [("candidates", "/v1/advocates/search", "candidates"), ("at-risk", "/v1/customers/at_risk", "customers")],
)
def test_a_list_is_exported_as_it_is_seen_and_no_spreadsheet_computes_it(client, place, route, name):
    answer = client.get(f"/app/{place}/export?segment=smb")
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}.csv"'
    rows = list(csv.DictReader(answer.text.splitlines()))
    found = client.post(route, json={"segment": ["smb"]}).json()[name]
    assert [row["customer_id"] for row in rows] == [row["customer_id"] for row in found]
    assert rows
    assert rows[0]["reason_1"]


def test_asks_are_exported_by_state(client):
    sent(client, "/app/asks", ask_id="1", kind="referral", note="=1+1")
    (row,) = csv.DictReader(client.get("/app/asks/export?state=open").text.splitlines())
    assert (row["customer_id"], row["kind"], row["note"], row["state"]) == ("c2", "referral", "'=1+1", "open")
    assert list(csv.DictReader(client.get("/app/asks/export?state=done").text.splitlines())) == []


def test_the_language_of_a_list_s_page_is_no_filter(client):
    page = client.get("/app/candidates?lang=ko")
    assert '<html lang="ko">' in page.text
    assert "<bdi>" in page.text, "everybody is listed still"


def test_a_link_to_a_week_shows_that_week_and_the_way_to_the_newest(client):
    page = client.get("/app/at-risk").text
    link = html.unescape(re.search(r'href="(/app/at-risk\?as_of=[^"]+)"', page)[1])
    assert link == "/app/at-risk?as_of=2026-11-16"
    past = client.get("/app/at-risk?as_of=2026-11-09")
    assert T("list.past", date="9 Nov 2026") in past.text
    assert T("list.past", date="9 Nov 2026") in client.get("/app/customer?id=c1&as_of=2026-11-09").text
    assert T("list.past", date="16 Nov 2026") not in client.get(link).text
    assert client.get("/app/candidates?as_of=2020-01-06").status_code == 410


@pytest.mark.parametrize("number", ["²", "٣", "-1", "9" * 5_000, "1e3", " 1"])
def test_a_number_in_an_address_that_is_none_is_nobody_s_fault(client, number):
    for path in ("/app/at-risk?top=", "/app/asks?after=", "/app/lists/care_needs?after="):
        assert client.get(path + quote(number)).status_code in {200, 404, 431}, path


def test_a_file_holds_money_as_the_api_tells_it(tmp_path):
    mrr = 1_234_567.891
    publish(tmp_path, people=[customer("big", 0.6, 0.2, mrr=mrr), customer("small", 0.6, 0.2, mrr=1e-7)])
    lines = client_of(tmp_path).get("/app/at-risk/export").text.splitlines()
    rows = {row["customer_id"]: row for row in csv.DictReader(lines)}
    assert float(rows["big"]["mrr"]) == mrr
    assert "e" not in rows["big"]["value"] + rows["small"]["mrr"]


def test_the_first_of_a_list_are_exported_alone(tmp_path):
    publish(tmp_path, people=[customer(f"c{number}", 0.6, 0.2) for number in range(5)])
    lines = client_of(tmp_path).get("/app/at-risk/export?top=2").text.splitlines()
    assert len(lines) == 1 + 2


def test_a_file_that_would_be_cut_is_refused_instead(tmp_path, monkeypatch):
    monkeypatch.setattr("vouch.serving.web.work.MOST_EXPORTED", 3)
    publish(tmp_path, people=[customer(f"c{number}", 0.6, 0.2) for number in range(5)])
    assert client_of(tmp_path).get("/app/at-risk/export").status_code == 422
