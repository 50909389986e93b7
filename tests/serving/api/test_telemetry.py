"""What operators see: figures for Prometheus, and a log of one JSON document per line."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from support.handwritten_weeks import MONDAY
from support.page_home import write_home
from vouch.features.contract.tables import DAY_US
from vouch.models.predictor import champion_folder
from vouch.serving.api.doors import API_ROUTES
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.state import ServingState, now_us
from vouch.serving.api.telemetry import BUCKETS, OTHER, Telemetry
from vouch.serving.site import open_site
from vouch.serving.store import keys

PLANTED = "planted.person@example.com"


@pytest.fixture
def store(tmp_path):
    found = ServingState(write_home(tmp_path))
    found.refresh()
    yield found
    found.stop()


@pytest.fixture
def client(store):
    site = open_site(MountedApp(), store, is_local=True)
    return TestClient(Middleware(site, site), base_url="http://localhost", follow_redirects=False)


def told(client: TestClient, **headers: str) -> dict[tuple[str, ...], float]:
    """Every sample by its name and labels."""
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}


def test_requests_are_counted_by_route_and_kind_of_status_with_their_time(client):
    for path in ("/v1/advocates/search", "/v1/advocates/search", "/v1/nothing"):
        client.post(path, json={})
    client.get("/app/metrics/nps")
    client.get("/app/metrics/csat")
    found = told(client)
    count, route = "vouch_request_seconds_count", "/v1/advocates/search"
    assert found[count, "/v1/advocates/search", "2xx"] == 2
    assert found[count, "4xx", OTHER] == 1
    assert found[count, "/app/metrics/{metric_id}", "2xx"] == 2
    buckets = [found["vouch_request_seconds_bucket", *sorted([str(edge), route, "2xx"])] for edge in (*BUCKETS, "+Inf")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 2
    assert 0 < found["vouch_request_seconds_sum", route, "2xx"] < 10


def test_problems_are_counted_by_their_code_and_refused_keys_among_them(client, store):
    client.post("/v1/customers/get", json={"customer_id": "nobody"})
    client.post("/v1/score", content=b"{", headers={"content-type": "application/json"})
    client.get("/app/customer?id=nobody")
    key = keys.create(store.database, "prometheus", "read", now_us())
    store.refresh()
    for sent in ("", "Bearer wrong"):
        client.post("/v1/score", json={}, headers={"authorization": sent})
    found = told(client, authorization=f"Bearer {key}")
    codes = {name[1]: value for name, value in found.items() if name[0] == "vouch_problems_total"}
    assert codes == {"unknown_customer": 2.0, "malformed": 1.0, "unauthorised": 2.0}


def test_the_age_of_snapshot_and_data_grow_with_the_clock(store):
    telemetry = Telemetry(store, lambda: MONDAY + 10 * DAY_US)
    lines = dict(line.rsplit(" ", 1) for line in telemetry.text().decode().splitlines() if not line.startswith("#"))
    assert float(lines["vouch_snapshot_age_seconds"]) == 10 * 86_400
    assert float(lines["vouch_data_age_seconds"]) == 10 * 86_400 + 2.5 * 3_600
    assert float(lines["vouch_scored_age_seconds"]) == 9.75 * 86_400
    assert lines["vouch_snapshot_stale"] == "1.0"
    assert float(lines["vouch_customers"]) == 6
    assert (float(lines["vouch_customers_left"]), float(lines["vouch_customers_opted_out"])) == (1, 0)
    assert float(lines['vouch_champion_age_seconds{model="churn"}']) == 10 * 86_400
    assert 'vouch_snapshot_info{as_of="2026-11-16"}' in lines


def test_drift_is_told_where_the_week_tells_it(store, monkeypatch):
    of = {"reason": None, "score": {"index": 0.31}, "moderate": 2, "major": 1}
    manifest = {**store.portfolio.week.manifest, "drift": {"churn": of, "advocacy": {"reason": "no_reference"}}}
    week = replace(store.portfolio.week, manifest=manifest)
    monkeypatch.setattr(store, "_portfolio", replace(store.portfolio, week=week))
    text = Telemetry(store, lambda: MONDAY).text().decode()
    assert 'vouch_drift_score{model="churn"} 0.31' in text
    assert 'vouch_drift_features{level="major",model="churn"} 1.0' in text
    assert not [line for line in text.splitlines() if line.startswith("vouch_drift") and "advocacy" in line]


def test_what_is_wrong_with_the_store_and_with_snapshots_is_told(tmp_path, store, monkeypatch):
    monkeypatch.setattr(ServingState, "trouble", "it is away")
    store.refused, before = ("bad one",), store.state()["champions"]
    (champion_folder(store.home, "churn") / "bundle" / "model.json").write_text("{}")
    (champion_folder(store.home, "churn") / "bundle").touch()
    (champion_folder(store.home, "advocacy") / "gate.json").write_text("[")
    store._take_champions()
    assert store.state()["champions"] == before, "the one before scores on"
    text = Telemetry(store, now_us).text().decode()
    assert "vouch_store_up 0.0" in text
    assert "vouch_snapshots_refused 1.0" in text
    assert "vouch_champions_refused 1.0" in text
    assert "bad one" not in text
    empty = ServingState(tmp_path / "empty")
    assert "vouch_ready 0.0" in Telemetry(empty, now_us).text().decode()


def test_no_address_that_came_with_a_request_becomes_a_label(client):
    for path in (f"/{PLANTED}", f"/app/customer?id={PLANTED}", f"/app/metrics/{PLANTED}", f"/app/static/{PLANTED}"):
        client.get(path)
    client.request(PLANTED.upper().replace("@", ""), "/v1/score")
    text = client.get("/metrics").text
    assert PLANTED not in text
    routes = {door.path for door in API_ROUTES}
    labels = {part.split('"')[1] for part in text.split("route=")[1:]}
    assert labels <= {*routes, OTHER, "/app/customer", "/app/metrics/{metric_id}", "/app/static/{name}", "/metrics"}


def test_a_route_is_told_by_its_own_path_however_it_was_spelt(client, caplog):
    caplog.set_level(logging.INFO, "vouch.requests")
    for path in ("/v1/%73core", "/v1/score%0a", "/v1/score;x", "//v1/score", "/app/metrics/nps%3Bx", "/livez%00"):
        client.post(path, json={})
    lines = [record for record in caplog.records if record.name == "vouch.requests"]
    assert [(line.route, line.status, line.code) for line in lines] == [
        ("/v1/score", 422, "invalid_value"),
        (OTHER, 400, "malformed_path"),
        (OTHER, 404, "unknown_route"),
        (OTHER, 404, "unknown_route"),
        ("/app/metrics/{metric_id}", 405, "method_not_allowed"),
        (OTHER, 400, "malformed_path"),
    ]


LOGGING = """
import logging, sys
logging.getLogger("noisy").addHandler(logging.StreamHandler(sys.stdout))
from vouch.serving.api import logs
logs.configure(with_requests="all" in sys.argv)
logging.getLogger("vouch.serving").info("serving %s", "the week")
logging.getLogger("noisy").warning("mail %s", "planted.person@example.com")
logging.getLogger("noisy").info("not said")
try:
    raise ValueError("planted.person@example.com")
except ValueError:
    logging.getLogger("noisy").exception("it broke")
logs.log_request("/app", "GET", 200, 0.01, None, "abc")
logs.log_request("/app", "GET", 200, 1.5, None, None)
logs.log_request("/v1/score", "POST", 500, 0.01, "internal", None)
logs.log_request("/v1/score", "POST", 503, 0.01, "no_snapshot", None)
"""


def logged(*arguments: str) -> list[dict]:
    done = subprocess.run([sys.executable, "-c", LOGGING, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_log_line_is_json_and_holds_nothing_personal():
    lines = logged()
    assert [line["event"] for line in lines] == ["serving the week", "mail ***", "it broke", "request", "request"]
    assert all(line["timestamp"].endswith("Z") and line["level"] and line["logger"] for line in lines)
    assert lines[2]["error"].startswith("ValueError at ")
    assert PLANTED not in json.dumps(lines)
    slow, failed = lines[3:]
    assert (slow["route"], slow["level"], slow["ms"]) == ("/app", "warning", 1500.0)
    assert (failed["status"], failed["level"], failed["code"]) == (500, "error", "internal")


def test_every_request_has_a_line_where_that_is_wanted():
    requests = [line for line in logged("all") if line["logger"] == "vouch.requests"]
    assert [(line["status"], line["key_id"]) for line in requests] == [
        (200, "abc"),
        (200, None),
        (500, None),
        (503, None),
    ]


def test_a_request_is_logged_with_its_route_and_never_with_its_address(client, caplog):
    caplog.set_level(logging.INFO, "vouch.requests")
    client.get(f"/app/customer?id={PLANTED}")
    client.get(f"/{PLANTED}")
    lines = [record for record in caplog.records if record.name == "vouch.requests"]
    assert [(line.route, line.status, line.code) for line in lines] == [
        ("/app/customer", 404, "unknown_customer"),
        (OTHER, 404, "unknown_route"),
    ]
    assert PLANTED not in repr([vars(line) for line in lines])
