"""The service, started as `vouch serve` starts it, and called over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import narwhals as nw
import numpy as np
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from support.champions import write_champion, write_champions
from support.handwritten_weeks import publish
from support.published_weeks import metrics_as_in
from support.servers.running_service import is_up, serving, wait_for
from vouch.features.contract.tables import TABLES
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.instants import instant_text, parse_instant
from vouch.features.project import Project, environment
from vouch.features.vectors.build import vectors
from vouch.features.vectors.declare import load_families
from vouch.features.vectors.sentences import as_sentence as words_of
from vouch.serving.api.doors import API_ROUTES
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.handlers.score import block_of, own_features_of
from vouch.serving.api.limits.bodies import MAX_BODY_BYTES
from vouch.serving.api.problems import KINDS, Problem
from vouch.serving.api.schemas import Vector
from vouch.serving.api.state import ServingState, now_us
from vouch.serving.asking.candidates import askable_now
from vouch.serving.asking.ranking import EXCLUSIONS
from vouch.serving.batch.run import score_weeks
from vouch.serving.commands.serve import SETTINGS
from vouch.serving.reports.listed import REASONS
from vouch.serving.reports.report import SCALES, TOP, figures
from vouch.serving.scoring.score import Champion
from vouch.serving.site import open_site
from vouch.serving.snapshots import files
from vouch.serving.snapshots.read import week_before
from vouch.serving.store.tables import metadata

MONDAY, BEFORE, NOW = map(parse_instant, ("2026-11-16", "2026-11-09", "2026-11-16T06:00:00Z"))
DOOR = {route.path: route for route in API_ROUTES}
PLANTED = "planted.person@example.com"


@pytest.fixture(scope="module")
def project(company, tmp_path_factory) -> Project:
    """A company with hand-made champions and two published weeks."""
    found = Project(home=tmp_path_factory.mktemp("served"), location=str(company))
    write_champions(found.home)
    score_weeks(found, [BEFORE, MONDAY], NOW)
    return found


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("log") / "server.log"


@pytest.fixture(scope="module")
def client(project, log):
    with serving(project.home, log) as (_, client):
        yield client


@pytest.fixture(scope="module")
def published(project) -> dict[str, list[dict]]:
    """The newest snapshot, as rows."""
    found = files.read_snapshot(project.home)
    return {name: found.table(name).to_pylist() for name in ("scores", "customers", "metrics")}


def ask(client: httpx.Client, path: str, **body) -> dict:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    DOOR[path].gives.model_validate_json(answer.content, strict=True)
    return answer.json()


def test_candidates_are_those_of_the_snapshot_in_the_order_of_expected_value(client, published):
    found = ask(client, "/v1/advocates/search", limit=200)
    rows = {
        row["customer_id"]: {**row, **profile}
        for row, profile in zip(published["scores"], published["customers"], strict=True)
    }
    assert found["candidates"], "a test of nothing"
    for told in found["candidates"]:
        row = rows[told["customer_id"]]
        assert row["advocacy_status"] in {"ok", "cold_start"}
        assert row["advocacy_consent"]
        assert (row["churn_probability"] or 0.0) <= 0.5
        assert not {"high", "urgent"} & set(row["open_tickets"] or ())
        staying = 1 - (row["churn_probability"] or 0.0)
        worth = told["ask_for"]["value"] * told["ask_for"]["share"]
        assert told["value"] == pytest.approx(row["advocacy_probability"] * staying * worth)
    order = [(-row["value"], row["customer_id"]) for row in found["candidates"]]
    assert order == sorted(order)
    assert [row["rank"] for row in found["candidates"]] == list(range(1, len(found["candidates"]) + 1))
    assert found["total"] >= len(found["candidates"])


def test_pages_follow_each_other_by_their_cursor(client):
    filters = {"segment": ["consumer"], "minimum_score": 5}
    whole = ask(client, "/v1/advocates/search", limit=200, **filters)
    pages, cursor = [], None
    while not pages or cursor:
        page = ask(client, "/v1/advocates/search", limit=17, cursor=cursor, **filters)
        pages += page["candidates"]
        cursor = page["next_cursor"]
    assert pages == whole["candidates"]
    assert pages, "a test of nothing"
    assert all(row["segment"] == "consumer" and row["advocacy_score"] >= 5 for row in pages)


def test_a_cursor_of_other_filters_is_refused(client):
    cursor = ask(client, "/v1/advocates/search", limit=1)["next_cursor"]
    answer = client.post("/v1/advocates/search", json={"cursor": cursor, "region": ["KR-41"]})
    check_problem(answer, 404, "unknown_cursor", "cursor")


def test_the_excluded_are_shown_on_request_with_the_reason(client, published):
    found, cursor = [], None
    while not found or cursor:
        page = ask(client, "/v1/advocates/search", limit=200, include_ineligible=True, cursor=cursor)
        found += page["candidates"]
        cursor = page["next_cursor"]
    assert len(found) == len(published["scores"])
    assert {row["exclusion"] for row in found} - {None} <= EXCLUSIONS.keys()
    assert all((row["exclusion"] is None) == row["is_eligible"] for row in found)


def test_a_customer_is_told_as_it_stands_in_the_snapshot(client, published):
    row = next(row for row in published["scores"] if row["churn_status"] == "ok" and row["advocacy_status"] == "ok")
    found = ask(client, "/v1/customers/get", customer_id=row["customer_id"])
    elsewhere = {name for name in row if name.endswith("_effects")}  # told with what is asked for and offered
    for name in set(row) - elsewhere - {"as_of", *(name for name in row if name.endswith("_reasons"))}:
        assert found[name] == row[name], name
    for model in ("churn", "advocacy"):
        told = [{k: v for k, v in reason.items() if k != "words"} for reason in found[f"{model}_reasons"]]
        assert told == row[f"{model}_reasons"]
        parts = sum(reason["contribution"] for reason in told)
        assert found[f"{model}_base"] + parts == pytest.approx(found[f"{model}_raw"])
    assert found["previous"]["as_of"] == "2026-11-09"
    assert (found["as_of"], found["scored_at"], found["is_stale"]) == ("2026-11-16", instant_text(NOW), is_stale())


def is_stale() -> bool:
    return datetime.now(UTC).date() > date(2026, 11, 23)


def test_those_at_risk_are_ranked_by_revenue_at_risk(client):
    rows = ask(client, "/v1/customers/at_risk", band=["watch", "high"], limit=50)["customers"]
    assert rows
    assert {row["churn_band"] for row in rows} <= {"watch", "high"}
    values = [row["value"] for row in rows]
    assert values == sorted(values, reverse=True)
    assert all(row["value"] == row["churn_probability"] * row["mrr"] for row in rows)


@pytest.fixture(scope="module")
def tables(project):
    return open_tables(stage(project, NOW))


def as_scored(row: dict) -> dict:
    """What a snapshot and `/v1/score` both say of one customer."""
    parts = ("status", "probability", "raw", "base", "model", "within")
    return {f"{model}_{part}": row[f"{model}_{part}"] for model in ("churn", "advocacy") for part in parts}


def test_a_vector_scores_as_in_the_batch(client, published, tables):
    frame = vectors(tables, MONDAY).collect("pyarrow").to_native().sort_by("customer_id")
    given = [
        {
            "customer_id": row["customer_id"],
            "features": {name: row[name] for name in load_families() if row[name] is not None},
        }
        for row in frame.slice(0, 100).to_pylist()
    ]
    found = ask(client, "/v1/score", vectors=given)["scores"]
    assert list(map(as_scored, found)) == list(map(as_scored, published["scores"][:100]))


def test_vectors_come_to_the_same_together_as_one_by_one(tables):
    rows = vectors(tables, MONDAY).collect("pyarrow").to_native().slice(0, 30).to_pylist()
    features = [{name: row[name] for name in load_families()} for row in rows]
    whole = [Vector(features=of) for of in features]
    turned = [Vector(features=dict(reversed(of.items()))) for of in features]
    known = [Vector(features={name: value for name, value in of.items() if value is not None}) for of in features]
    for given in (whole, turned, whole[:9] + turned[9:], known, [Vector(features={"tenure_days": 3}), *known]):
        together, alone = block_of(given), [block_of([vector]) for vector in given]
        np.testing.assert_array_equal(together.numbers, np.concatenate([one.numbers for one in alone]))
        for name, values in together.texts.items():
            assert values.tolist() == [one.texts[name][0] for one in alone]
    assert {type(value) for of in features for value in of.values()} >= {str, float, type(None)}


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("tenure_days", "3", "vectors.1.features.tenure_days"),
        ("region", 3.0, "vectors.1.features.region"),
        ("tenure", 3.0, "vectors.1.features"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_wherever_it_stands(name, value, field):
    right = {"tenure_days": 4.0, "region": "EMEA"}
    with pytest.raises(Problem) as refused:
        block_of([Vector(features=right), Vector(features={**right, name: value})])
    assert (refused.value.code, refused.value.field) == ("invalid_value", field)


def raw_rows(company: Path, customer: str) -> dict[str, list[dict]]:
    """All that a company's tables hold of one customer, as JSON."""
    found = {}
    for path in sorted(company.glob("*.parquet")):
        rows = pq.read_table(path)
        owner = TABLES[path.stem].customer
        if owner:
            rows = nw.from_native(rows).filter(nw.col(owner) == customer).to_native()
            found[path.stem] = [
                {name: as_json(value) for name, value in row.items() if value is not None} for row in rows.to_pylist()
            ]
    return {name: rows for name, rows in found.items() if rows}


def as_json(value):
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool) else str(value)


@pytest.mark.parametrize("place", [0, 7, 33])
def test_raw_rows_score_as_in_the_batch(client, published, company, place):
    scored = [row for row in published["scores"] if row["churn_status"] == "ok"]
    row = scored[place]
    found = ask(client, "/v1/score", rows=raw_rows(company, row["customer_id"]), as_of="2026-11-16", reasons=False)
    assert [score["customer_id"] for score in found["scores"]] == [row["customer_id"]]
    for name, value in as_scored(row).items():
        assert found["scores"][0][name] == (None if name.endswith("_base") else value), name


def test_broken_rows_of_a_request_are_counted_and_left_out(client):
    rows = {
        "customers": [{"customer_id": "a", "created_at": "2026-01-01"}, {"customer_id": "b", "created_at": "soon"}],
        "usage_events": [{"customer_id": "a", "occurred_at": "2026-11-01", "event": "login"}],
    }
    found = ask(client, "/v1/score", rows=rows, as_of="2026-11-16", models=["churn"])
    assert [row["customer_id"] for row in found["scores"]] == ["a"]
    assert found["broken"] == {"customers": {"not_a_time": 1}}
    assert found["scores"][0]["churn_status"] == "not_eligible"


def test_only_rows_leave_features_of_own_columns_without_a_value(client):
    rows = {"customers": [{"customer_id": "a", "created_at": "2026-01-01"}]}
    found = ask(client, "/v1/score", rows=rows, as_of="2026-11-16", models=["churn"])
    assert found["empty_own_features"] == {"churn": []}  # this company has no columns of its own
    vectors = [{"customer_id": "a", "features": {"tenure_days": 300.0}}]
    assert ask(client, "/v1/score", vectors=vectors, models=["churn"])["empty_own_features"] is None


def test_features_of_own_columns_that_no_row_of_a_request_feeds_are_named(monkeypatch):
    columns = [SimpleNamespace(name=name) for name in ("tenure_days", "visits_rows_28d", "customer_seats")]
    own = {
        "customer_seats": SimpleNamespace(name="customer_seats", table="customers", needs={"customer_id", "seats"}),
        "visits_rows_28d": SimpleNamespace(name="visits_rows_28d", table="visits", needs={"customer_id"}),
    }
    monkeypatch.setattr("vouch.serving.api.handlers.score.OWN", own)
    champion, people = Champion("churn", None, SimpleNamespace(columns=columns)), [{"customer_id": "a"}]
    assert own_features_of(champion, {"customers": people}) == ["customer_seats", "visits_rows_28d"]
    assert own_features_of(champion, {"customers": people, "visits": people}) == ["customer_seats"]
    assert own_features_of(champion, {"customers": [{"customer_id": "a", "seats": 3}], "visits": people}) == []
    assert own_features_of(Champion("churn", None, None), {"customers": people}) == []


def test_metrics_are_those_of_the_snapshot(client, published):
    found = ask(client, "/v1/metrics/query")["metrics"]
    for row in found:
        row["as_of"] = date.fromisoformat(row["as_of"])
    assert found == [row for row in published["metrics"] if row["by"] is None]


def test_metrics_come_by_segment_and_over_time(client):
    by_segment = ask(client, "/v1/metrics/query", metric_ids=["nps"], by="segment")["metrics"]
    assert {row["by"] for row in by_segment} == {"segment"}
    assert len({row["segment"] for row in by_segment}) == len(by_segment) > 1
    over_time = ask(client, "/v1/metrics/query", metric_ids=["nps"], weeks=5)["metrics"]
    assert [row["as_of"] for row in over_time] == ["2026-11-09", "2026-11-16"]


def test_the_catalogue_tells_every_metric_of_the_snapshot(client, published):
    entries = {entry["metric_id"]: entry for entry in ask(client, "/v1/metrics/catalogue")["metrics"]}
    assert {row["metric_id"] for row in published["metrics"]} <= entries.keys()


NOT_JSON = {"content-type": "application/json"}
REFUSED = {
    "no JSON": ("/v1/score", b"{", NOT_JSON, 400, "malformed"),
    "not UTF-8": ("/v1/customers/get", b'{"customer_id": "\xff"}', NOT_JSON, 400, "malformed"),
    "half a surrogate pair": ("/v1/customers/get", b'{"customer_id": "\\ud800"}', NOT_JSON, 400, "malformed"),
    "another type": ("/v1/score", b"{}", {"content-type": "text/plain"}, 415, "unsupported_media_type"),
    "no type": ("/v1/score", b"{}", {}, 415, "unsupported_media_type"),
    "compressed": ("/v1/score", b"{}", {**NOT_JSON, "content-encoding": "gzip"}, 415, "unsupported_media_type"),
    "too large": ("/v1/score", b" " * (MAX_BODY_BYTES + 1), NOT_JSON, 413, "too_large"),
    "no such route": ("/v1/nothing", b"{}", NOT_JSON, 404, "unknown_route"),
    "a page of BentoML": ("/docs.json", b"", {}, 404, "unknown_route"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_answered_with_a_problem(client, name):
    path, body, headers, status, code = REFUSED[name]
    check_problem(client.post(path, content=body, headers=headers), status, code)


def check_problem(answer: httpx.Response, status: int, code: str, field: str | None = None) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (answer.status_code, document["status"], document["code"]) == (status, status, code)
    assert document["title"] == KINDS[code].title
    assert document["field"] == field
    assert PLANTED not in answer.text


INVALID = {
    "/v1/advocates/search": [
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"limit": "20"}, "limit"),
        ({"minimum_score": 101}, "minimum_score"),
        ({"tier": [PLANTED]}, "tier.0"),
        ({"segment": PLANTED}, "segment"),
        ({"cursor": 7}, "cursor"),
        ({PLANTED: 1}, None),
        ([], None),
    ],
    "/v1/customers/get": [
        ({}, "customer_id"),
        ({"customer_id": 7}, "customer_id"),
        ({"customer_id": ""}, "customer_id"),
    ],
    "/v1/customers/at_risk": [({"band": [None]}, "band.0")],
    "/v1/metrics/query": [({"metric_ids": [""]}, "metric_ids.0"), ({"by": PLANTED}, "by"), ({"weeks": 0}, "weeks")],
    "/v1/metrics/catalogue": [({"metric_ids": PLANTED}, "metric_ids")],
    "/v1/score": [
        ({}, None),
        ({"vectors": []}, "vectors"),
        ({"vectors": [{"features": {}}]}, "vectors.0.features"),
        ({"vectors": [{"features": {PLANTED: 1}}]}, "vectors.0.features"),
        ({"vectors": [{"features": {"tenure_days": PLANTED}}]}, "vectors.0.features.tenure_days"),
        ({"vectors": [{"features": {"tenure_days": True}}]}, "vectors.0.features"),
        ({"vectors": [{"features": {"tenure_days": 1}}], "as_of": "2026-11-16"}, None),
        ({"rows": {"customers": []}}, None),
        ({"rows": {PLANTED: []}, "as_of": "2026-11-16"}, "rows"),
        ({"rows": {"customers": [{PLANTED: 1}]}, "as_of": "2026-11-16"}, "rows.customers"),
        ({"rows": {"usage_events": [{"event": PLANTED}]}, "as_of": "2026-11-16"}, "rows"),
        ({"rows": {"customers": []}, "as_of": PLANTED}, "as_of"),
        ({"rows": {"customers": []}, "as_of": "3026-11-16"}, "as_of"),
        ({"vectors": [{"features": {"tenure_days": 1}}], "models": [PLANTED]}, "models.0"),
    ],
}
CASES = [(path, body, field) for path, cases in INVALID.items() for body, field in cases]


@pytest.mark.parametrize(("path", "body", "field"), CASES)
def test_an_invalid_value_is_named_by_its_field_and_never_repeated(client, path, body, field):
    check_problem(client.post(path, json=body), 422, "invalid_value", field)


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/advocates/search", {"cursor": PLANTED}, "unknown_cursor"),
        ("/v1/customers/at_risk", {"cursor": "e30="}, "unknown_cursor"),
        ("/v1/metrics/query", {"metric_ids": [PLANTED]}, "unknown_metric"),
        ("/v1/metrics/catalogue", {"metric_ids": [PLANTED]}, "unknown_metric"),
    ],
)
def test_a_page_or_a_metric_that_is_not_there_is_told_without_what_was_sent(client, path, body, code):
    check_problem(client.post(path, json=body), 404, code, *body)


def test_a_whole_number_may_be_written_with_a_point_and_any_other_is_refused(client):
    for sent in ("2", "2.0", "2e0"):
        answer = client.post("/v1/advocates/search", content=f'{{"limit": {sent}}}', headers=NOT_JSON)
        assert len(answer.json()["candidates"]) == 2
    for sent in ("2.5", "true", '"2"', "1e999"):
        answer = client.post("/v1/advocates/search", content=f'{{"limit": {sent}}}', headers=NOT_JSON)
        check_problem(answer, 422, "invalid_value", "limit")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_finite_number_is_refused(client, number):
    body = f'{{"vectors": [{{"features": {{"tenure_days": {number}}}}}]}}'
    check_problem(client.post("/v1/score", content=body, headers=NOT_JSON), 422, "invalid_value", "vectors.0.features")


def test_an_unknown_customer_is_told_without_the_name(client):
    check_problem(
        client.post("/v1/customers/get", json={"customer_id": PLANTED}), 404, "unknown_customer", "customer_id"
    )


@pytest.mark.parametrize("path", sorted(DOOR))
def test_another_method_is_refused_with_those_that_are_taken(client, path):
    answer = client.delete(path)
    check_problem(answer, 405, "method_not_allowed")
    taken = {*DOOR[path].methods, *(["HEAD"] if "GET" in DOOR[path].methods else [])}
    assert set(answer.headers["allow"].split(", ")) == taken


def test_a_body_without_a_declared_length_is_limited_too(client):
    def endless():
        for _ in range(MAX_BODY_BYTES // 2**16 + 2):
            yield b" " * 2**16

    check_problem(client.post("/v1/score", content=endless(), headers=NOT_JSON), 413, "too_large")


def test_the_document_tells_every_route_its_problems_and_an_example_that_works(client):
    document = client.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    others = {"/livez", "/readyz", "/metrics", "/openapi.json", "/schema.json", "/v1/week/scores"}
    assert {*DOOR, *others} == document["paths"].keys()
    for path, route in DOOR.items():
        operation = document["paths"][path]["post"]
        example = operation["requestBody"]["content"]["application/json"]["example"]
        without_table = {422} if path == "/v1/tables/score" else set()  # no model of a table is there
        assert client.post(path, json=example).status_code in {200, 404} | without_table
        wanted = {str(KINDS[code].status) for code in route.problems} | {"200", "400", "413", "415", "422", "500"}
        assert wanted <= operation["responses"].keys()
    text = json.dumps(document)
    for reference in {part.split('"')[0] for part in text.split('"$ref": "#/')[1:]}:
        held = document
        for step in reference.split("/"):
            held = held[step]


def test_only_our_routes_and_the_probes_are_served(client):
    assert client.get("/livez").status_code == client.get("/readyz").status_code == 200
    assert client.get("/metrics").status_code == 200
    for path in ("/", "/docs.json", "/static_content/swagger-ui.css", "/v1", "/apps"):
        check_problem(client.get(path), 404, "unknown_route")


def test_nothing_that_came_with_a_request_is_in_the_log(client, log):
    for path, body, _ in CASES:
        client.post(path, json=body, headers={"x-note": PLANTED})
    client.post(f"/{PLANTED}", json={})
    client.post("/v1/score?note=" + PLANTED, content=f'{{"{PLANTED}'.encode(), headers=NOT_JSON)
    assert PLANTED not in log.read_text()


@contextmanager
def in_process(store: ServingState):
    """The same application without a server."""
    site = open_site(MountedApp(), store, is_local=True)
    transport = httpx.ASGITransport(Middleware(site, site))

    def post(path: str, body: dict) -> httpx.Response:
        async def once() -> httpx.Response:
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.post(path, json=body)

        return asyncio.run(once())

    yield post


def recorded(store: ServingState) -> dict[str, int]:
    """How many rows each table of the store has, but the audit log."""
    with store.database.reading() as connection:
        tables = [table for table in metadata.sorted_tables if table.name != "audit"]
        return {table.name: len(connection.execute(select(table)).all()) for table in tables}


@pytest.mark.parametrize("path", [route.path for route in API_ROUTES])
def test_without_a_snapshot_the_routes_that_need_one_say_so_and_write_nothing(tmp_path, path):
    store = ServingState(tmp_path)
    store.refresh()
    assert not store.is_ready
    before = recorded(store)
    with in_process(store) as post:
        answer = post(path, DOOR[path].example)
    if DOOR[path].needs_week:
        check_problem(answer, 503, "no_snapshot")
        assert recorded(store) == before
    else:
        assert answer.status_code != 503


def test_without_champions_a_vector_is_not_scored_and_says_so(tmp_path):
    store = ServingState(tmp_path)
    store.refresh()
    with in_process(store) as post:
        found = post("/v1/score", DOOR["/v1/score"].example).json()
    assert found["models"] == {"churn": None, "advocacy": None}
    assert (found["scores"][0]["churn_status"], found["scores"][0]["churn_probability"]) == ("no_model", None)


def test_rows_are_scored_beside_a_week_that_does_not_tell_the_columns_of_the_company(tmp_path):
    publish(tmp_path)
    store = ServingState(tmp_path)
    store.refresh()
    rows = {"customers": [{"customer_id": "a", "created_at": "2026-01-01"}]}
    with in_process(store) as post:
        found = post("/v1/score", {"rows": rows, "as_of": "2026-11-16"}).json()
    assert [row["customer_id"] for row in found["scores"]] == ["a"]


def test_an_error_that_nobody_foresaw_is_told_without_its_text(tmp_path, caplog):
    class Broken(ServingState):
        @property
        def portfolio(self):
            raise KeyError(PLANTED)

    store = Broken(tmp_path)
    store.refresh()
    with in_process(store) as post:
        check_problem(post("/v1/advocates/search", {}), 500, "internal")
    assert PLANTED not in caplog.text
    assert "KeyError" in caplog.text


def front(home: Path) -> Middleware:
    store = ServingState(home)
    store.refresh()
    site = open_site(MountedApp(), store, is_local=True)
    return Middleware(site, site)


def test_a_body_that_does_not_arrive_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("vouch.serving.api.limits.bodies.BODY_SECONDS", 0.05)
    sent = []

    async def receive():
        await asyncio.sleep(60)

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"localhost")]
    scope = {"type": "http", "method": "POST", "path": "/v1/score", "headers": headers, "query_string": b""}
    asyncio.run(front(tmp_path)(scope, receive, send))
    assert sent[0]["status"] == 408


def test_a_web_socket_is_closed(tmp_path):
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(front(tmp_path)({"type": "websocket", "path": "/"}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_the_serving_process_does_not_import_the_tracking_server(project):
    code = (
        "import sys\nfrom vouch.serving.service import Vouch\nVouch.inner()\n"
        "print([name for name in ('mlflow', 'sklearn', 'matplotlib') if name in sys.modules])"
    )
    settings = {**environment(**SETTINGS), "VOUCH_HOME": str(project.home), "VOUCH_LOCAL": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.fixture
def copied(project, tmp_path) -> Project:
    """A home of one's own with the same two weeks."""
    subprocess.run(["cp", "-r", f"{project.home}/.", str(tmp_path / "home")], check=True)
    return Project(home=tmp_path / "home", location=project.location)


@pytest.fixture
def quick(monkeypatch, project):
    """Metrics as they are published, which take most of the time of a week and which some tests do not look at."""
    metrics = metrics_as_in(files.read_snapshot(project.home))
    monkeypatch.setattr("vouch.serving.batch.steps.envelope_table", metrics)


def test_a_new_snapshot_is_taken_and_a_bad_one_is_not(copied, quick):
    store = ServingState(copied.home)
    store.refresh()
    first = store.portfolio
    store.refresh()
    assert store.portfolio is first, "nothing new was published"

    write_champion(copied.home, "churn", base=-1.0)
    score_weeks(copied, [MONDAY], NOW, is_revision=True)
    store.refresh()
    second = store.portfolio
    assert (second.week.revision, store.champions["churn"].predictor.scorer.base) == (2, -1.0)

    write_champion(copied.home, "churn", base=1.0)
    score_weeks(copied, [MONDAY], NOW, is_revision=True)
    damaged = files.read_snapshot(copied.home).folder / "metrics.parquet"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:100])
    store.refresh()
    assert store.portfolio is second, "the one before stays"
    assert len(store.refused) == 1
    assert str(damaged) in store.refused[0]

    damaged.write_bytes(whole)
    files.point_to(damaged.parent)
    store.refresh()
    assert (store.portfolio.week.revision, store.refused) == (3, ()), "a sound one is taken"


def test_a_damaged_champion_is_not_taken(copied):
    store = ServingState(copied.home)
    store.refresh()
    before = store.champions["churn"]
    bundle = copied.home / "champions" / "churn" / "bundle"
    (bundle / "model.json").write_text("{}")
    bundle.touch()
    store.refresh()
    assert store.champions["churn"] is before


def test_a_running_server_takes_a_new_snapshot_and_leaves_nobody_behind(copied, quick, tmp_path):
    with serving(copied.home, tmp_path / "log") as (process, client):
        assert ask(client, "/v1/customers/at_risk")["revision"] == 1
        write_champion(copied.home, "churn", base=-1.0)
        score_weeks(copied, [MONDAY], NOW, is_revision=True)
        wait_for(lambda: ask(client, "/v1/customers/at_risk")["revision"] == 2, 10)
        os.kill(process.pid, signal.SIGKILL)
        wait_for(lambda: not is_up(client), 10)


# --- the report tells the same -------------------------------------------------------------------------------------


def reported(home):
    """The figures of a report that is written now."""
    newest = files.read_snapshot(home)
    return figures(newest, askable_now(home, None, newest, now_us()), week_before(home, newest.as_of_us))


def assert_same_people(found, listed, total, rows):
    assert (total, len(listed)) == (found["total"], len(rows))
    assert rows, "a test of nothing"
    for person, row in zip(listed, rows, strict=True):
        assert (person.rank, person.customer_id) == (row["rank"], row["customer_id"])
        assert (person.value, person.segment) == (row["value"], row["segment"])
        for told, reason in zip(person.reasons, row["reasons"][:REASONS], strict=True):
            assert (told["contribution"], words_of(told)) == (reason["contribution"], reason["words"])


def test_candidates_of_the_report_are_those_of_the_service(project, client):
    """Consents, health, churn, tickets, caps, quotas, and asks of this minute."""
    seen = []
    for _ in range(3):
        told, found = reported(project.home), ask(client, "/v1/advocates/search", limit=TOP)
        assert_same_people(found, told.candidates, told.candidates_total, found["candidates"])
        for person, row in zip(told.candidates, found["candidates"], strict=True):
            assert person.probability == row["advocacy_probability"]
            assert person.score == row["advocacy_score"]
            assert person.staying == (None if (p := row["churn_probability"]) is None else 1 - p)
            assert (person.tier, person.ask_for) == (row["advocate_tier"], row["ask_for"]["kind"])
        first = found["candidates"][0]
        seen.append((found["total"], first["customer_id"]))
        asked = {"ask_id": f"ask-{first['customer_id']}", "kind": first["ask_for"]["kind"]}
        ask(client, "/v1/asks/record", customer_id=first["customer_id"], **asked)
        assert first["customer_id"] not in [person.customer_id for person in reported(project.home).candidates]
    assert len(dict(seen)) == len(seen), "each ask took somebody off the list"
    hidden = ask(client, "/v1/advocates/search", limit=200, include_ineligible=True)["candidates"]
    why = {row["exclusion"] for row in hidden} - {None}
    assert {"open_ask"} < why <= EXCLUSIONS.keys()


def test_those_at_risk_are_those_of_the_service(project, client):
    told, found = reported(project.home), ask(client, "/v1/customers/at_risk", limit=TOP)
    assert_same_people(found, told.at_risk, told.at_risk_total, found["customers"])
    for person, row in zip(told.at_risk, found["customers"], strict=True):
        assert (person.probability, person.band, person.mrr) == (
            row["churn_probability"],
            row["churn_band"],
            row["mrr"],
        )


def test_every_metric_is_that_of_the_service(project, client):
    told = reported(project.home)
    rows = {row["metric_id"]: row for row in ask(client, "/v1/metrics/query")["metrics"]}
    assert {row["metric_id"] for row in (*told.metrics, *told.withheld)} == rows.keys()
    for row in (*told.metrics, *told.withheld):
        wanted = rows[row["metric_id"]]
        assert {name: value for name, value in row.items() if name not in ("as_of", "name")} == {
            name: value for name, value in wanted.items() if name != "as_of"
        }


def every_row(client, **filters) -> list[dict]:
    """All candidates of a search, the excluded among them, page after page."""
    page = ask(client, "/v1/advocates/search", limit=200, include_ineligible=True, **filters)
    rows = page["candidates"]
    while page["next_cursor"] is not None:
        filters["cursor"] = page["next_cursor"]
        page = ask(client, "/v1/advocates/search", limit=200, include_ineligible=True, **filters)
        rows += page["candidates"]
    return rows


def test_counts_and_movers_are_those_of_the_service(project, client):
    told = reported(project.home)
    whole = ask(client, "/v1/advocates/search", limit=1, include_ineligible=True)
    assert (told.as_of, told.revision) == (whole["as_of"], whole["revision"])
    gone = {"churned", "opted_out"}
    assert told.customers == sum(row["exclusion"] not in gone for row in every_row(client)) > 0
    for group in told.portfolio["advocate_tier"]:
        rows = every_row(client, tier=[group.value])
        here = sum(row["exclusion"] not in {"churned", "opted_out"} for row in rows)
        assert here == group.count, "the report counts who is still here"
    bands = {group.value: group.count for group in told.portfolio["churn_band"]}
    for band in SCALES["churn_band"][1]:
        assert ask(client, "/v1/customers/at_risk", limit=1, band=[band])["total"] == bands.get(band, 0)
    people = [person for of in told.movers.values() for person in of]
    assert people, "a test of nothing"
    for title, of in told.movers.items():
        model = "advocacy" if title in ("New advocates", "More likely to speak up") else "churn"
        for person in of:
            found = ask(client, "/v1/customers/get", customer_id=person.customer_id)
            assert person.after == found[f"{model}_probability"], title
            assert person.before == found["previous"][f"{model}_probability"], title
