"""The processes of the service: what they listen on, what they count together, and what becomes of them when one dies
or all are asked to stop."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from support.capabilities import free_port
from support.page_home import write_home
from support.servers.listening import holder, listening, tree
from support.servers.running_service import VOUCH, assert_answered, begin, is_up, serving, wait_for
from vouch.features.project import environment
from vouch.serving.api.shared import SharedHits, SharedNumbers
from vouch.serving.api.state import ServingState, now_us
from vouch.serving.commands.serve import SETTINGS
from vouch.serving.store import keys
from vouch.serving.store.connection import Database

LIMIT = 200


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    found = write_home(tmp_path_factory.mktemp("home"))
    (found / "policy.toml").write_text(f"[limits]\nrequests_per_minute = {LIMIT}\n")
    return found


def make_key(home: Path, name: str) -> dict[str, str]:
    database = Database(home)
    key = keys.create(database, name, "admin", now_us())
    database.close()
    return {"authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def two(home, tmp_path_factory):
    """A service of two workers."""
    log = tmp_path_factory.mktemp("log") / "log"
    with serving(home, log, workers=2) as (process, client):
        found = Two(process, client.base_url.port, make_key(home, "client"))
        wait_for(lambda: found.ready == 2, 60)
        yield found


@dataclass(frozen=True)
class Two:
    """A service of two workers, and who asks it."""

    process: subprocess.Popen
    port: int
    headers: dict[str, str]

    @property
    def workers(self) -> list[int]:
        return [one.pid for one in tree(self.process.pid)[1:] if one.status() != psutil.STATUS_ZOMBIE]

    @property
    def ready(self) -> int:
        """How many answer."""
        return int(figures(self.ask("GET", "/metrics")[1]).get("vouch_workers", 0))

    @contextmanager
    def asking(self, of: int | None = None):
        """A client over one connection, to one worker where that is wanted; gives it and the worker that answers."""
        for _ in range(300):
            with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=self.headers, timeout=30) as client:
                local = client.get("/livez").extensions["network_stream"].get_extra_info("client_addr")[1]
                pid = holder(self.process.pid, self.port, local)
                if of in {None, pid}:
                    yield client, pid
                    return
        raise AssertionError("the other worker has answered 300 times")

    def ask(self, method: str, path: str, of: int | None = None, **other: Any) -> tuple[int | None, httpx.Response]:
        """Ask over a connection of its own, one worker where that is wanted; return which has answered."""
        with self.asking(of) as (client, pid):
            return pid, client.request(method, path, **other)


def figures(answer: httpx.Response) -> dict[str, float]:
    """Samples of /metrics by their name with labels."""
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


# --- what they listen on -------------------------------------------------------------------------------------------


def test_a_socket_of_each_kind_is_seen_where_there_is_one(tmp_path):
    """The look itself: each kind of listener in a child is told, and what only connects is not."""
    code = (
        "import socket, sys, time\n"
        "kept = [socket.create_server(('127.0.0.1', 0)), socket.create_server(('::1', 0), family=socket.AF_INET6)]\n"
        "udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(('127.0.0.1', 0))\n"
        "for name in (sys.argv[1], '\\0hidden'):\n"
        "    unix = socket.socket(socket.AF_UNIX); unix.bind(name); unix.listen(); kept.append(unix)\n"
        "pair, client = socket.socketpair(), socket.create_connection(kept[0].getsockname())\n"
        "print('up', flush=True)\ntime.sleep(60)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "socket")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "up\n"
        found = listening(process.pid)
        process.kill()
    assert sorted(protocol for protocol, _ in found) == ["tcp", "tcp6", "udp", "unix", "unix"]
    assert {("unix", str(tmp_path / "socket")), ("unix", "@hidden")} <= found


def test_one_worker_listens_on_the_port_of_the_service_alone(home, tmp_path):
    with serving(home, tmp_path / "log") as (process, client):
        assert len(tree(process.pid)) == 2
        assert listening(process.pid) == {("tcp", f"127.0.0.1:{client.base_url.port}")}


def test_two_workers_listen_on_the_port_of_the_service_alone(two):
    assert len(tree(two.process.pid)) == 3
    assert listening(two.process.pid) == {("tcp", f"127.0.0.1:{two.port}")}


def test_as_bentoml_serves_it_nobody_is_listened_to_either(home, tmp_path):
    port = free_port()
    settings = environment(**SETTINGS, VOUCH_HOME=str(home), VOUCH_LOCAL="1")
    words = [sys.executable, "-P", "-m", "bentoml", "serve", "vouch.serving.service:Vouch", "--working-dir",
             str(Path(__file__).parents[3]), "--host", "127.0.0.1", "--port", str(port)]  # fmt: skip
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(words, env=settings, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_for(lambda: is_up(client), 60)
        assert len(tree(process.pid)) > 1
        assert listening(process.pid) == {("tcp", f"127.0.0.1:{port}")}
    finally:
        process.terminate()
        assert process.wait(60) == 0


# --- what they count together --------------------------------------------------------------------------------------


def test_whichever_worker_is_asked_tells_the_figures_of_all(two):
    told = 'vouch_request_seconds_count{route="/openapi.json",status="2xx"}'
    before = figures(two.ask("GET", "/metrics")[1]).get(told, 0)
    for pid in two.workers:
        for _ in range(5):
            two.ask("GET", "/openapi.json", of=pid)
    for pid in two.workers:
        found = figures(two.ask("GET", "/metrics", of=pid)[1])
        assert found[told] == before + 10
        assert found["vouch_workers"] == 2
        assert found["process_resident_memory_bytes"] > 1.2 * psutil.Process(pid).memory_info().rss


def test_a_key_has_one_limit_with_all_workers(two, home):
    headers = make_key(home, "limited")
    for pid in two.workers:  # each looks for new keys every second
        wait_for(lambda pid=pid: two.ask("GET", "/openapi.json", of=pid, headers=headers)[1].status_code == 200, 10)
    codes = []
    for pid in two.workers:
        with two.asking(pid) as (client, _):
            codes.append([client.get("/schema.json", headers=headers).status_code for _ in range(LIMIT)])
    assert all(set(of) <= {200, 429} and 429 in of for of in codes)
    assert sum(of.count(200) for of in codes) < 1.5 * LIMIT, "each alone would let all of them pass"


def test_what_one_worker_has_recorded_the_other_knows_at_once(two):
    listed = two.ask("POST", "/v1/advocates/search", json={"limit": 1})[1].json()["candidates"][0]
    ask = {"ask_id": "of-one", "customer_id": listed["customer_id"], "kind": listed["ask_for"]["kind"]}
    override = {"override_id": "of-one", "customer_id": "c1", "score": 35, "reason": "their sponsor left"}
    one, asked = two.ask("POST", "/v1/asks/record", json=ask)
    assert asked.json()["is_new"]
    (other,) = set(two.workers) - {one}
    left = two.ask("POST", "/v1/advocates/search", of=other, json={"limit": 200})[1].json()["candidates"]
    assert listed["customer_id"] not in {row["customer_id"] for row in left}
    one, _ = two.ask("POST", "/v1/overrides/record", json=override)
    (other,) = set(two.workers) - {one}
    told = two.ask("POST", "/v1/customers/get", of=other, json={"customer_id": "c1"})[1].json()
    assert told["health_override"]["score"] == 35


def test_hits_are_counted_once_each_by_many_and_in_bounded_memory():
    numbers = SharedNumbers()
    copies = [SharedHits(SharedNumbers(numbers.descriptor), now_us) for _ in range(2)]
    threads = [threading.Thread(target=lambda of=of: [of.incr("key", 60) for _ in range(500)]) for of in copies * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [of.get("key") for of in copies] == [2000, 2000]
    for number in range(100_000):
        copies[0].incr(f"address {number}", 60)
    assert copies[1].get("address 99999") == 1
    assert copies[0].incr("short", 0) == 1
    assert copies[0].get("short") == 0, "its window has ended"


# --- who dies is replaced, and all end when they are asked to --------------------------------------------------------


def test_a_worker_that_has_ended_counts_no_more_even_before_its_parent_looks_after_it():
    numbers = SharedNumbers()
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    numbers._pids[0] = child.pid
    assert numbers.pids == [child.pid]
    os.kill(child.pid, signal.SIGKILL)
    wait_for(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, 10)
    assert numbers.pids == []
    child.communicate()
    assert numbers.pids == []


def load(address: str, headers: dict[str, str], until: threading.Event, seen: list[object]) -> None:
    """Ask again and again, each time over a connection of its own; write down what came back."""
    with httpx.Client(base_url=address, headers={**headers, "connection": "close"}, timeout=30) as client:
        while not until.is_set():
            try:
                seen.append(client.post("/v1/advocates/search", json={"limit": 3}).status_code)
            except httpx.TransportError as error:
                seen.append(type(error).__name__)


@pytest.mark.nightly
def test_a_worker_that_is_killed_is_replaced_while_the_other_answers(tmp_path):
    home, log, until = write_home(tmp_path / "home"), tmp_path / "log", threading.Event()
    (home / "policy.toml").write_text("[limits]\nrequests_per_minute = 1000000\n")
    headers = make_key(home, "client")
    seen: list[list[object]] = [[] for _ in range(4)]
    with serving(home, log, workers=2) as (process, client):
        two, address = Two(process, client.base_url.port, headers), str(client.base_url).rstrip("/")
        wait_for(lambda: two.ready == 2, 60)
        threads = [threading.Thread(target=load, args=(address, headers, until, of)) for of in seen]
        for thread in threads:
            thread.start()
        try:
            for _ in range(2):
                victim = two.workers[0]
                os.kill(victim, signal.SIGKILL)
                before = sum(map(len, seen))
                wait_for(lambda before=before: sum(map(len, seen)) > before + 10, 30)
                wait_for(lambda: two.ready == 2, 60)
                assert len(two.workers) == 2
                assert victim not in two.workers
        finally:
            until.set()
            for thread in threads:
                thread.join()
        assert listening(process.pid) == {("tcp", f"127.0.0.1:{client.base_url.port}")}
    told = [answer for of in seen for answer in of]
    lost = [answer for answer in told if answer != 200]
    print(f"\n{len(told)} requests while two workers were killed, {len(lost)} of them lost: {lost}")
    assert len(lost) <= 8, "at most those that the killed workers held"


@pytest.mark.nightly
def test_a_master_that_is_killed_takes_its_workers_with_it(home, tmp_path):
    port = free_port()
    for place in ("first", "second"):
        with serving(home, tmp_path / place, port, workers=2) as (process, client):
            pids = [one.pid for one in tree(process.pid)[1:]]
            assert len(pids) == 2
            os.kill(process.pid, signal.SIGKILL)
            wait_for(lambda client=client: not is_up(client), 5)
            wait_for(lambda pids=pids: not any(psutil.pid_exists(pid) for pid in pids), 40)


def test_whoever_is_in_flight_with_either_worker_is_answered_when_the_service_is_asked_to_stop(two):
    pids, key = two.workers, two.headers["authorization"].removeprefix("Bearer ")
    flying, held = [], set()
    while len(flying) < 20 or held != set(pids):  # which worker takes a connection is the kernel's to say
        assert len(flying) < 500, "one of them takes none"
        flying.append(begin(two.port, key))
        held.add(holder(two.process.pid, two.port, flying[-1][0].getsockname()[1]))
    two.process.send_signal(signal.SIGTERM)
    wait_for(lambda: not is_taken(two.port), 5)
    assert_answered(flying)
    assert two.process.wait(35) == 0
    assert not any(psutil.pid_exists(pid) for pid in pids)


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# --- what cannot start says so ---------------------------------------------------------------------------------------


def refused(home: Path, *words: str, **settings: str) -> tuple[int, str]:
    """How `vouch serve` ends, and what it says."""
    done = subprocess.run(
        [VOUCH, "serve", *words], env=environment(**{**settings, "VOUCH_HOME": str(home)}),
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_a_port_that_is_taken_is_one_message(home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = refused(home, "--port", str(port))
    assert (code, said) == (1, f"vouch: Port {port} of 127.0.0.1 is in use: name another with --port\n")


def test_an_address_of_another_machine_is_one_message(home):
    make_key(home, "elsewhere")
    code, said = refused(home, "--host", "192.0.2.77", "--port", str(free_port()))
    assert code == 1
    assert re.fullmatch(r"vouch: Port \d+ of 192\.0\.2\.77 cannot be: .+ with --host\n", said)


def test_a_policy_that_is_wrong_ends_the_service_and_is_named(tmp_path):
    (tmp_path / "policy.toml").write_text("[limits]\nrequests_a_minute = 1\n")
    code, said = refused(tmp_path, "--port", str(free_port()))
    assert code == 1
    assert "Traceback" not in said
    told = next(json.loads(line) for line in said.splitlines() if '"critical"' in line)
    assert "policy.toml" in told["event"]
    assert said.splitlines()[-1] == "vouch: The service could not start. What is written above says why."


def test_a_worker_that_cannot_start_ends_the_service_without_a_traceback(home, tmp_path):
    (tmp_path / "bentoml.py").write_text("raise RuntimeError('half installed')\n")
    words = ("--port", str(free_port()), "--workers", "2")
    code, said = refused(home, *words, PYTHONPATH=str(tmp_path))
    lines = [line for line in said.splitlines() if line.startswith("vouch: ")]
    assert code == 1
    assert "Traceback" not in said
    assert "vouch: RuntimeError: half installed" in lines
    assert lines[-1] == "vouch: The service could not start. What is written above says why."


def test_a_service_that_cannot_open_its_store_says_where_and_tells_no_traceback(home, monkeypatch, caplog):
    from vouch.serving import service

    def broken(_):
        raise KeyError("planted")

    monkeypatch.setattr(ServingState, "refresh", broken)
    monkeypatch.setenv("VOUCH_HOME", str(home))
    monkeypatch.setattr("vouch.serving.api.logs.configure", lambda **_: None)
    monkeypatch.setattr(service, "die_with", lambda _: None)
    sent = []

    async def receive():
        return {"type": "lifespan.startup"}

    async def send(message):
        sent.append(message)

    with pytest.raises(KeyError):
        asyncio.run(service.Vouch.to_asgi(is_main=True)({"type": "lifespan", "state": {}}, receive, send))
    assert sent == [{"type": "lifespan.startup.failed", "message": ""}]
    told = next(line.getMessage() for line in caplog.records if line.levelname == "CRITICAL")
    assert told.startswith("a worker cannot start: KeyError at ")
    assert "planted" not in told
