"""Limits that hold without a key, tried on a service as it runs: whatever one client does, others are answered."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from support.champions import write_champions
from support.handwritten_weeks import publish
from support.load.hostile import (
    HALF,
    RAW_ROWS,
    empty_searches,
    half_open,
    is_open,
    large_header,
    large_rows,
    many_scores,
    told,
)
from support.servers.running_service import serving, wait_for
from vouch.serving.api.limits.connections import HEAD_BYTES, HEAD_LINES, HEAD_SECONDS
from vouch.serving.api.state import now_us
from vouch.serving.store import keys
from vouch.serving.store.connection import Database

pytestmark = pytest.mark.skipif(not psutil.LINUX, reason="the number of open files is set by prlimit")
FILES = 1_024
PATIENCE_SECONDS = 2.0
"""What nobody waits for longer while others mean harm: without limits it was 10 to 36 s."""
TIMES_AS_BEFORE = 10
"""On a machine that has much else to do nobody is answered soon: there nobody waits for longer than so many times what
the slowest answer took just before, while nobody meant harm."""
WAYS = (("GET", "/livez", None), ("GET", "/app", None), ("POST", "/v1/advocates/search", {"limit": 3}))
"""How somebody who means no harm asks."""
ANSWERS_BEFORE = 5
"""Of each way to ask: so many answers tell how slow the slowest is."""
MEMORY_MIB = 1_200
"""What a worker takes at most, whatever is asked of it."""


class Service:
    """One worker on a port, with two keys, seen by somebody who means no harm."""

    def __init__(self, process, client, home):
        self.process, self.client, self.port = process, client, client.base_url.port
        self.address = str(client.base_url).rstrip("/")
        database = Database(home)
        self.keys = {name: keys.create(database, name, "write", now_us()) for name in ("hostile", "honest")}
        database.close()
        client.headers["authorization"] = f"Bearer {self.keys['honest']}"
        wait_for(lambda: client.post("/v1/metrics/catalogue", json={}).status_code == 200, 30)  # it looks for keys

    @property
    def memory_mib(self):
        (worker,) = psutil.Process(self.process.pid).children()
        return worker.memory_info().rss / 2**20

    @contextmanager
    def asked_by_others(self):
        """Others ask over new connections meanwhile; each is answered, and soon."""
        with self._asked() as before:
            wait_for(
                lambda: min(Counter(path for path, *_ in before)[path] for _, path, _ in WAYS) >= ANSWERS_BEFORE, 60
            )
        with self._asked() as seen:
            yield
        assert {status for _, status, _ in seen} <= {200, 303}
        slowest, usual = (max(seconds for *_, seconds in those) for those in (seen, before))
        assert slowest < max(PATIENCE_SECONDS, TIMES_AS_BEFORE * usual), (
            f"{len(seen)} answers, the slowest after {slowest:.1f} s, before after {usual:.1f} s"
        )

    @contextmanager
    def _asked(self):
        """Somebody asks in each of three ways, again and again; gives the paths, statuses and seconds so far."""
        seen, stop = [], threading.Event()

        def ask(method, path, body):
            headers = {**self.client.headers, "connection": "close"}
            with httpx.Client(base_url=self.address, headers=headers, timeout=60) as client:
                while not stop.is_set():
                    start = time.monotonic()
                    answer = client.request(method, path, json=body)
                    seen.append((path, answer.status_code, time.monotonic() - start))
                    time.sleep(0.02)  # who means no harm does not ask without a pause

        with ThreadPoolExecutor(len(WAYS)) as threads:
            asking = [threads.submit(ask, *way) for way in WAYS]
            yield seen
            stop.set()
            for one in asking:
                one.result()


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    write_champions(home)
    publish(home)
    (home / "policy.toml").write_text("[limits]\nrequests_per_minute = 1000000\n")
    with serving(home, home / "log", files=FILES) as (process, client):
        yield Service(process, client, home)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def document(answer: bytes) -> dict:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def test_a_header_of_fifty_mebibytes_is_refused_while_others_are_answered(service):
    with service.asked_by_others():
        found = [large_header(service.port, 50) for _ in range(3)]
    assert {status(answer) for answer in found} == {431}
    assert document(found[0])["code"] == "headers_too_large"
    assert b"connection: close" in found[0]
    assert b"x-content-type-options: nosniff" in found[0]


LARGE = {
    "one header": b"GET /livez HTTP/1.1\r\nhost: a\r\nx: " + b"a" * HEAD_BYTES + b"\r\n\r\n",
    "an address": b"GET /" + b"a" * HEAD_BYTES + b" HTTP/1.1\r\nhost: a\r\n\r\n",
    "many headers": b"GET /livez HTTP/1.1\r\n" + b"x: 1\r\n" * (HEAD_LINES + 1) + b"\r\n",
}


@pytest.mark.parametrize("what", LARGE)
def test_a_head_that_is_too_large_is_refused_however_it_is_large(service, what):
    assert status(told(service.port, LARGE[what], b"")[0]) == 431


def test_a_head_as_large_as_it_may_be_is_taken(service):
    head = b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx: " + b"a" * (HEAD_BYTES - 100) + b"\r\n\r\n"
    assert status(told(service.port, head, b"")[0]) == 200


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"no http at all\r\n\r\n"])
def test_what_is_no_http_is_told_so_as_a_problem(service, garbage):
    answer = told(service.port, garbage, b"")[0]
    assert (status(answer), document(answer)["code"]) == (400, "malformed_request")


def test_what_frames_a_body_has_an_end_though_the_body_is_small(service):
    """Trailers, and words beside the size of a chunk, count against nothing that bounds a body."""
    head = b"POST /v1/score HTTP/1.1\r\nhost: a\r\nauthorization: Bearer " + service.keys["hostile"].encode()
    head += b"\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    trailers = told(service.port, head, b"0\r\n", b"x: " + b"a" * 60_000 + b"\r\n", for_s=8)
    words = told(service.port, head, b"1;" + b"a" * 60_000 + b"\r\n \r\n", for_s=8)
    for _, seconds in (trailers, words):
        assert seconds < 5, "it was ended before the time that a body has"


def test_eleven_hundred_connections_that_ask_nothing_keep_nobody_out(service):
    with service.asked_by_others(), half_open(service.port, 1_100) as connections:
        assert len(connections) == 1_100, "none was refused when it came: the one that has waited the longest goes"
        left = []

        def are_fewer_than_files():
            left[:] = [is_open(connection) for connection in connections]
            return sum(left) < FILES

        wait_for(are_fewer_than_files, 10)
    assert sum(left) > 0
    assert all(left[-100:]), "who came last may still ask"


def test_sixty_heavy_requests_of_one_key_keep_nobody_waiting_and_what_is_too_much_is_told_so(service):
    with service.asked_by_others():
        found, answers = many_scores(service.address, service.keys["hostile"], 60)
        assert set(found) == {200, 503}
        assert found[200] > 30
    for answer in answers:
        if answer.status_code == 503:
            assert answer.json()["code"] == "busy"
            assert int(answer.headers["retry-after"]) > 0


def test_a_key_scores_rows_while_another_has_filled_the_line(service):
    is_full = threading.Event()

    def look(answer):
        if answer.status_code == 503:
            is_full.set()

    hostile = threading.Thread(target=many_scores, args=(service.address, service.keys["hostile"], 60, RAW_ROWS, look))
    hostile.start()
    assert is_full.wait(60)
    found, _ = many_scores(service.address, service.keys["honest"], 1)
    hostile.join()
    assert found == {200: 1}


def test_however_large_and_many_bodies_are_a_worker_stays_within_its_memory(service):
    for _ in range(3):
        found, _ = many_scores(service.address, service.keys["hostile"], 40, large_rows())
        assert set(found) == {200, 503}
        assert service.memory_mib < MEMORY_MIB
    empty_searches(service.client, 1_000, "once")
    before = service.memory_mib
    empty_searches(service.client, 2_500, "again")
    assert service.memory_mib < before + 20


def test_a_body_that_is_too_large_is_told_so_though_it_is_sent_as_a_whole(service):
    with socket.create_connection(("127.0.0.1", service.port), 10) as connection:
        head = "POST /v1/score HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
        head += f"authorization: Bearer {service.keys['hostile']}\r\ncontent-length: {20 * 2**20}\r\n\r\n"
        connection.sendall(head.encode())
        connection.sendall(b" " * 20 * 2**20)
        assert status(connection.recv(65_536)) == 413


def stalled(port: int, key: str) -> float:
    """Ask for much and take nothing of it; return after how long that was ended."""
    body = b'{"limit":200,"include_ineligible":true}'
    head = f"POST /v1/advocates/search HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}"
    request = f"{head}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    start = time.monotonic()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect(("127.0.0.1", port))
        connection.settimeout(1)
        while time.monotonic() < start + 60:
            try:
                connection.sendall(request)
            except TimeoutError:
                continue
            except OSError:
                break
    return time.monotonic() - start


@pytest.mark.slow
def test_nothing_that_takes_its_time_has_more_than_is_stated(service):
    post = b"POST /v1/score HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n"
    with_key = post + b"authorization: Bearer " + service.keys["hostile"].encode() + b"\r\n\r\n"
    ways = {
        "nothing": ((b"",), HEAD_SECONDS, 0),
        "a head letter by letter": ((HALF, b"a"), HEAD_SECONDS, 408),
        "empty lines": ((b"\r\n",), HEAD_SECONDS, 0),
        "empty lines after an answer": ((b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n", b"\r\n"), HEAD_SECONDS, 200),
        "the body of who was refused": ((post + b"\r\n", b" "), HEAD_SECONDS, 401),
        "a body letter by letter": ((with_key, b" "), 20, 408),
    }
    with service.asked_by_others(), ThreadPoolExecutor(len(ways) + 1) as threads:
        begun = {name: threads.submit(told, service.port, *parts, every_s=0.5) for name, (parts, *_) in ways.items()}
        reader = threads.submit(stalled, service.port, service.keys["hostile"])
        found = {name: one.result() for name, one in begun.items()}
        assert reader.result() < 50, "who takes no answer is not held for ever"
    for name, (_, limit_s, code) in ways.items():
        answer, seconds = found[name]
        assert (status(answer), name) == (code, name)
        assert seconds < limit_s + 5, name


def test_what_was_ended_is_told_in_few_lines_without_who_or_what(service):
    for _ in range(200):
        told(service.port, b"x" * 100 + b"\r\n\r\n", b"")
    log = (Path(psutil.Process(service.process.pid).environ()["VOUCH_HOME"]) / "log").read_text()
    lines = [line for line in log.splitlines() if '"vouch.connections"' in line or "Invalid HTTP" in line]
    assert 1 <= len(lines) < 20
    assert re.search(r"connections were ended since it was told last: \d+ \(", lines[0])
    assert "127.0.0.1" not in "".join(lines)
