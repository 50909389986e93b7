"""The service in operation: what its logs and files hold, how it stops, and what is left when it is killed."""

from __future__ import annotations

import json
import os
import signal
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.capabilities import free_port
from support.page_home import write_home
from support.searching import forms
from support.servers.running_service import answers_more, assert_answered, begin, is_up, serving, wait_for
from vouch.serving.api.access import COOKIE
from vouch.serving.api.doors import API_ROUTES
from vouch.serving.api.state import now_us
from vouch.serving.store import keys
from vouch.serving.store.connection import Database

PEOPLE = ("Ana Ionescu", "김민준", "Zoë Quartermain", "Ștefan Țărnă", "Obadiah Fothergill")
PLANTED = [
    *(f"person{number:02}.planted@mail{number}.example" for number in range(20)),
    *(f"+40 72{number} 555 {number:03}" for number in range(10)),
    *(f"{name} planted{number}" for number, name in enumerate(PEOPLE * 3)),
    *(f"please call me back about my planted contract number {number}" for number in range(5)),
    *(f" {unicodedata.normalize('NFD', name)} padded{number}\u00a0" for number, name in enumerate(PEOPLE * 2)),
]
OURS = {"sec-fetch-site": "same-origin"}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("operated")


@pytest.fixture(scope="module")
def issued(place) -> list[str]:
    """Keys that the service knows: one for each planted value and one more, for a single one's rate would run out."""
    database = Database(write_home(place / "home"))
    made = [keys.create(database, f"operator{number}", "admin", now_us()) for number in range(len(PLANTED) + 1)]
    database.close()
    return made


@pytest.fixture(scope="module")
def server(place, issued):
    for name in ("tmp", "bento"):
        (place / name).mkdir()
    own = {"TMPDIR": str(place / "tmp"), "BENTOML_HOME": str(place / "bento"), "VOUCH_LOG_REQUESTS": "1"}
    with serving(place / "home", place / "log", **own) as (process, client):
        client.headers["authorization"] = f"Bearer {issued[-1]}"
        yield process, client


def bodies(planted: str) -> dict[str, list[object]]:
    """What is sent to each route of the API with a planted value: valid where it can be, and invalid."""
    rows = {"customers": [{"customer_id": planted, "created_at": "2026-01-01", "region": planted}]}
    valid: dict[str, list[object]] = {
        "/v1/advocates/search": [{"segment": [planted], "region": [planted], "language": [planted]}],
        "/v1/customers/at_risk": [{"segment": [planted], "limit": 3}],
        "/v1/customers/get": [{"customer_id": planted}],
        "/v1/score": [
            {"vectors": [{"customer_id": planted, "features": {"tenure_days": 3.0}}]},
            {"rows": rows, "as_of": "2026-11-16"},
            {"rows": {**rows, "feedback": [{"feedback_id": "f", "text": planted}]}, "as_of": "2026-11-16"},
        ],
        "/v1/metrics/query": [{"metric_ids": [planted]}, {"segment": [planted]}],
    }
    invalid = [
        planted,
        [planted],
        {planted: planted},
        {"limit": planted},
        {"customer_id": [planted]},
        {"cursor": planted},
    ]
    return {route.path: [*valid.get(route.path, []), *invalid] for route in API_ROUTES}


def requests_with(planted: str) -> Iterator[tuple[str, str, dict[str, object]]]:
    """A planted value in every place of a request, to every route: the method, the address and what is sent."""
    query = dict.fromkeys(("id", "q", "segment", "cursor", "minimum_score", "next"), planted)
    stripped = planted.strip().encode()
    for path, sent in bodies(planted).items():
        for body in sent:
            yield "POST", path, {"json": body, "headers": {"x-note": stripped}}
        raw = f'{{"{planted}'.encode()
        yield "POST", path, {"content": raw, "headers": {"content-type": "application/json"}}
        yield "POST", path, {"content": raw, "headers": {"content-type": stripped}}
        yield "GET", path, {"params": query}
    pages = ("", "/candidates", "/at-risk", "/customer", "/metrics", "/models", "/login")
    for path in (f"/app{page}" for page in pages):
        yield "GET", path, {"params": query}
        yield "GET", f"{path}/{planted}", {}
        if path != "/app/login":  # a wrong key: elsewhere
            yield "POST", path, {"data": {"key": planted, "next": planted}, "headers": OURS}
    ask = {"customer_id": planted, "ask_id": planted, "kind": "referral", "outcome": "accepted", "back": planted}
    others = ({"customer_id": "c1"}, {"kind": planted, "outcome": planted})
    for path in ("/app/asks", "/app/outcomes"):
        for form in (ask, *({**ask, **other} for other in others), {planted: planted}):
            yield "POST", path, {"data": form, "headers": OURS}
    for path in ("/livez", "/readyz", "/metrics", "/openapi.json", f"/{planted}", f"/app/models/{planted}/card"):
        yield "GET", path, {"params": query, "headers": {"cookie": f"{COOKIE}=planted"}}
    yield "GET", "/readyz", {"headers": {"authorization": b"Bearer " + stripped}}  # open to all, whatever they carry


def send_everywhere(client: httpx.Client, planted: str, number: int, share: int) -> set[int]:
    """Send the planted value of this number through its share of all places; return the statuses that came back."""
    return {
        client.request(method, path, **sent).status_code
        for place, (method, path, sent) in enumerate(requests_with(planted))
        if (place + number) % share == 0
    }


def send_as_a_key(client: httpx.Client, planted: str) -> set[int]:
    """Give a planted value for a key; return the statuses that came back."""
    headers = {"authorization": f"Bearer {planted.strip()}".encode()}
    return {
        client.get("/app", headers=headers).status_code,
        client.post("/v1/score", headers=headers, json={}).status_code,
        client.post("/app/login", data={"key": planted, "next": planted}, headers=OURS).status_code,
    }


@pytest.mark.parametrize("share", [4, pytest.param(1, marks=pytest.mark.nightly)])
def test_no_personal_value_that_comes_with_a_request_stays_in_a_log_a_metric_or_a_file(server, place, issued, share):
    """With a share of 4, each place is sent every fourth value, of each kind; with 1, each place every value."""
    _, client = server
    assert len(set(PLANTED)) == 60
    statuses, refused = set(), set()
    for number, (planted, key) in enumerate(zip(PLANTED, issued, strict=False)):
        client.headers["authorization"] = f"Bearer {key}"
        statuses |= send_everywhere(client, planted, number, share)
        refused |= send_as_a_key(client, planted)
    assert {200, 400, 404, 405, 415, 422} <= statuses
    assert refused == {303, 401, 429}  # who guesses on is not even heard
    assert not {status for status in statuses if status == 429 or status >= 500}, "all of it was sent"
    wait_for(lambda: b"/v1/customers/get" in (place / "log").read_bytes(), 5)
    files = [path for path in place.rglob("*") if path.is_file()]
    assert len(files) > 10
    contents = {path.name: path.read_bytes() for path in files} | {"metrics": client.get("/metrics").content}
    hits = {
        (name, planted)
        for name, content in contents.items()
        for planted in PLANTED
        for form in forms(planted.strip())
        if form.encode() in content or form.encode("utf-16-le") in content
    }
    assert hits == set()


def test_the_log_is_one_json_document_per_line_once_a_worker_runs(server, place):
    _, client = server
    client.get("/app")
    wait_for(lambda: '"route": "/app"' in (place / "log").read_text(), 5)  # the line is written after the answer
    lines = (place / "log").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("{"))
    told = [json.loads(line) for line in lines[first:]]
    assert {"event", "level", "logger", "timestamp"} <= set.intersection(*(set(line) for line in told))
    assert any(line.get("route") == "/app" and line["status"] == 200 for line in told)


def test_whoever_is_in_flight_when_the_service_is_asked_to_stop_is_answered(server, issued):
    process, client = server
    flying = [begin(client.base_url.port, issued[-1]) for _ in range(20)]
    process.send_signal(signal.SIGTERM)
    wait_for(lambda: not answers_more(client), 5)
    assert_answered(flying)
    assert process.wait(35) == 0


@pytest.mark.nightly
def test_a_master_that_is_killed_leaves_no_orphan_and_its_port_free(tmp_path):
    home, port = write_home(tmp_path / "home"), free_port()
    for place in ("first", "second"):
        with serving(home, tmp_path / place, port) as (process, client):
            assert client.get("/readyz").status_code == 200
            os.kill(process.pid, signal.SIGKILL)
            wait_for(lambda client=client: not is_up(client), 5)
