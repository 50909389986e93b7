"""The API as developers expect it: described to the last field, and with the headers and errors that tools know."""

from __future__ import annotations

import gzip
import itertools

import pytest
from starlette.testclient import TestClient

from support.page_home import write_home
from vouch.serving.api.document.openapi import document
from vouch.serving.api.doors import API_ROUTES
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.problems import KINDS
from vouch.serving.api.state import ServingState, now_us
from vouch.serving.site import open_site
from vouch.serving.store import keys

DOCUMENT = document(API_ROUTES)
SCHEMAS = DOCUMENT["components"]["schemas"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    found = ServingState(write_home(tmp_path_factory.mktemp("home")))
    found.refresh()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def client(store) -> TestClient:
    site = open_site(MountedApp(), store, is_local=True)
    return TestClient(Middleware(site, site), base_url="http://localhost", headers={"accept-encoding": "identity"})


def test_every_property_says_what_it_is():
    silent = [
        f"{title}.{name}"
        for title, schema in SCHEMAS.items()
        for name, told in schema.get("properties", {}).items()
        if not told.get("description")
    ]
    assert silent == []


def test_instants_are_date_times_and_enumerations_have_their_values():
    candidate = SCHEMAS["Candidate"]["properties"]
    assert candidate["last_asked_at"]["anyOf"][0]["format"] == "date-time"
    assert "opted_out" in candidate["churn_status"]["enum"]
    assert SCHEMAS["AtRisk"]["properties"]["churn_band"]["anyOf"][0]["enum"] == ["low", "watch", "high"]
    assert SCHEMAS["AskTold"]["properties"]["kind"]["anyOf"][0]["enum"][0] in {"referral", "review"}


def test_what_is_answered_is_among_the_values_that_the_document_tells(client):
    found = client.post("/v1/advocates/search", json={"include_ineligible": True}).json()["candidates"]
    found += client.post("/v1/customers/at_risk", json={}).json()["customers"]
    for row, (name, told) in itertools.product(
        found, {**SCHEMAS["AtRisk"], **SCHEMAS["Candidate"]}["properties"].items()
    ):
        values = [value for part in (told, *told.get("anyOf", ())) for value in part.get("enum", ())]
        assert not values or row.get(name) is None or row[name] in values, name


def test_a_status_tells_all_its_codes():
    answer = DOCUMENT["paths"]["/v1/asks/record"]["post"]["responses"]["409"]
    assert set(answer["content"]["application/problem+json"]["examples"]) == {"not_to_be_asked", "conflict"}
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            for status, told in operation["responses"].items():
                examples = told.get("content", {}).get("application/problem+json", {}).get("examples", {})
                assert all(str(KINDS[code].status) == status for code in examples), path


@pytest.mark.parametrize(
    ("sent", "field", "words"),
    [
        ({"limitt": 3}, "limitt", "did you mean 'limit'"),
        ({"band": ["hgih"]}, "band.0", "did you mean 'high'"),
        ({"Ann <ann@example.org>": 1}, None, ""),
        ({"fields": ["churn_probabilty"]}, "fields", "did you mean 'churn_probability'"),
    ],
)
def test_a_mistake_is_named_with_what_was_meant(client, sent, field, words):
    answer = client.post("/v1/customers/at_risk", json=sent)
    told = answer.json()
    assert (answer.status_code, told["code"], told["field"]) == (422, "invalid_value", field)
    assert words in told["detail"]
    assert "example.org" not in answer.text


def test_every_answer_has_the_id_of_its_request(client):
    given = client.get("/livez", headers={"x-request-id": "crm-17.a"})
    assert given.headers["x-request-id"] == "crm-17.a"
    made = {client.get(path).headers["x-request-id"] for path in ("/livez", "/v1/nothing", "/app", "/readyz")}
    assert len(made) == 4
    assert client.get("/livez", headers={"x-request-id": "a b\tc"}).headers["x-request-id"] not in {"a b\tc", ""}


def test_reads_have_a_tag_and_are_not_sent_again(client):
    first = client.get("/v1/customers/at_risk", params={"limit": 2})
    again = client.get("/v1/customers/at_risk", params={"limit": 2}, headers={"if-none-match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    other = client.get("/v1/customers/at_risk", params={"limit": 1}, headers={"if-none-match": first.headers["etag"]})
    assert other.status_code == 200
    assert "etag" not in client.post("/v1/customers/at_risk", json={}).headers


def test_an_answer_is_compressed_where_that_is_wanted(client):
    plain = client.post("/v1/metrics/catalogue", json={})
    with client.stream("POST", "/v1/metrics/catalogue", json={}, headers={"accept-encoding": "gzip"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        packed = b"".join(answer.iter_raw())
    assert gzip.decompress(packed) == plain.content
    assert len(packed) < len(plain.content) / 3
    assert "content-encoding" not in plain.headers


def test_a_read_by_address_is_the_read_by_body(client):
    sent = {"segment": ["smb"], "limit": 2, "fields": ["churn_probability", "mrr"]}
    by_address, by_body = (
        client.get("/v1/customers/at_risk", params=sent),
        client.post("/v1/customers/at_risk", json=sent),
    )
    assert by_address.json() == by_body.json()
    assert {frozenset(row) for row in by_body.json()["customers"]} == {
        frozenset({"rank", "customer_id", "churn_probability", "mrr"})
    }
    one = client.get("/v1/customers/get", params={"customer_id": "c1", "fields": "health_band"}).json()
    assert one.keys() == {"customer_id", "health_band", "as_of", "revision", "scored_at", "data_through", "is_stale"}


def test_a_key_is_told_what_is_left_of_its_rate(tmp_path):
    home = write_home(tmp_path)
    (home / "policy.toml").write_text("[limits]\nrequests_per_minute = 3\n")
    found = ServingState(home)
    secret = keys.create(found.database, "crm", "read", now_us())
    found.refresh()
    site = open_site(MountedApp(), found, is_local=True)
    client = TestClient(Middleware(site, site), base_url="http://localhost")
    authorised = {"authorization": f"Bearer {secret if isinstance(secret, str) else secret[-1]}"}
    answers = [client.post("/v1/customers/at_risk", json={}, headers=authorised) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers[:3]] == ["2", "1", "0"]
    assert {answer.headers["ratelimit-limit"] for answer in answers[:3]} == {"3"}
    found.stop()
