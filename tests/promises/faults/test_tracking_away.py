"""The tracking server refuses, or takes a connection and never answers: the service starts and serves from champions on
its own disk, and does not even ask."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest

from support.capabilities import free_port
from support.page_home import write_home
from support.servers.running_service import serving, wait_for
from vouch.features.vectors.declare import load_families
from vouch.models.predictor import load_champion
from vouch.serving.api.state import now_us
from vouch.serving.store import keys
from vouch.serving.store.connection import Database

READY_WITHIN_S = 10
REQUESTS = 100


@contextmanager
def refusing():
    """An address where nobody listens."""
    yield f"http://127.0.0.1:{free_port()}", lambda: 0


@contextmanager
def silent():
    """An address that takes connections and never says a word; and how many it was offered."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        listener.setblocking(False)
        held = []

        def offered() -> int:
            while True:
                try:
                    held.append(listener.accept()[0])
                except BlockingIOError:
                    return len(held)

        yield f"http://127.0.0.1:{listener.getsockname()[1]}", offered
        for connection in held:
            connection.close()


def is_ready(client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("away", [silent, pytest.param(refusing, marks=pytest.mark.nightly)])
def test_without_the_tracking_server_the_service_is_ready_at_once_and_answers_everything(tmp_path, away):
    home = write_home(tmp_path / "home")
    database = Database(home)
    key = keys.create(database, "operator", "admin", now_us())
    database.close()
    hashes = {name: load_champion(home, name).content_hash for name in ("churn", "advocacy")}
    number = next(name for name, feature in load_families().items() if not feature.is_category)
    calls = {
        "/v1/advocates/search": {},
        "/v1/customers/at_risk": {},
        "/v1/customers/get": {"customer_id": "c1"},
        "/v1/metrics/query": {},
        "/v1/score": {"vectors": [{"features": {number: 1.0}}]},
    }
    with away() as (url, offered):
        begun = time.monotonic()
        with serving(home, tmp_path / "log", MLFLOW_TRACKING_URI=url, MLFLOW_REGISTRY_URI=url) as (_, client):
            wait_for(lambda: is_ready(client), READY_WITHIN_S)
            took = time.monotonic() - begun
            client.headers["authorization"] = f"Bearer {key}"
            statuses = [client.post(path, json=calls[path]).status_code for path in [*calls] * (REQUESTS // len(calls))]
            assert statuses == [200] * REQUESTS
            ready = client.get("/readyz").json()
            assert (ready["champions"], ready["refused_champions"], ready["store"]) == (2, 0, "ok")
            figures = client.get("/metrics").text
            for name, content_hash in hashes.items():
                assert f'vouch_champion_info{{hash="{content_hash}",model="{name}"}} 1.0' in figures
                assert f'vouch_champion_age_seconds{{model="{name}"}}' in figures
            assert "vouch_ready 1.0" in figures
        assert offered() == 0, "the service asks nobody"
    print(f"\n{away.__name__}: ready after {took:.1f} s")


def test_a_command_that_needs_the_tracking_server_says_that_it_never_answers(tmp_path):
    """Asked for by hand, it is waited for a while, and told in one line."""
    code = (
        "import os; os.environ['MLFLOW_HTTP_REQUEST_TIMEOUT'] = '1'; "
        "from vouch.serving.cli import main; import sys; sys.argv = ['vouch', 'models']; main()"
    )
    with silent() as (url, offered):
        settings = {"VOUCH_HOME": str(tmp_path), "MLFLOW_TRACKING_URI": url, "PATH": "/usr/bin"}
        done = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=False)
        assert offered() > 0
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"vouch: The tracking server {url} does not answer: ")
