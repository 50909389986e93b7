"""Without keys the service is for a person at its machine; with them, a forwarded address is believed of few."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from support.capabilities import free_port
from support.handwritten_weeks import publish
from support.load.hostile import half_open, large_header
from support.servers.running_service import VOUCH, is_up, serving, wait_for
from vouch.features.errors import ConfigurationError
from vouch.features.project import environment, trusted_proxies
from vouch.serving.api.access import NOTHING
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.state import ServingState, now_us
from vouch.serving.commands.serve import SETTINGS
from vouch.serving.site import open_site
from vouch.serving.store import keys
from vouch.serving.store.connection import Database

FORWARDED = (
    "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix",
    "X-Forwarded-Server", "X-Forwarded", "Via", "X-Real-IP", "X-Original-URL", "X-Original-Forwarded-For",
    "CF-Connecting-IP", "Fastly-Client-IP", "True-Client-IP", "X-Client-IP", "X-Envoy-External-Address",
    "X-Cluster-Client-IP", "X-Forward-For", "X_Forwarded_For", "X-Azure-ClientIP", "X-Azure-SocketIP", "X-Remote-Addr",
    "X-Host", "X-Rewrite-URL", "X-Appengine-User-IP", "X-ProxyUser-IP", "Proxy-Connection", "CDN-Loop", "CF-Ray",
    "X-BlueCoat-Via", "X-Arr-SSL", "X-Varnish", "WL-Proxy-Client-IP", "Client-IP", "X-Scheme",
)  # fmt: skip
HOSTS = ("vouch.example", "10.0.0.7:3000", "127.0.0.1.evil.example", "localhost.evil.example:3000", "")
ELSEWHERE = ("203.0.113.9", "10.0.0.7", "2001:db8::1", "::ffff:203.0.113.9")
HERE = ("127.0.0.1", "127.9.9.9", "::1", "")


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    publish(home)
    store = ServingState(home)
    store.refresh()
    site = open_site(MountedApp(), store, is_local=True)
    yield Middleware(site, site), list(site.app.routes)
    store.stop()


def ask(app, path="/v1/metrics/catalogue", method="POST", host="localhost:3000", client="127.0.0.1", **headers):
    async def once():
        transport = httpx.ASGITransport(app, client=(client, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:3000") as http:
            sent = {"host": host, **headers}
            content = b"{}" if method == "POST" else None
            return await http.request(
                method, path, headers={**sent, "content-type": "application/json"}, content=content
            )

    return asyncio.run(once())


@pytest.mark.parametrize("client", HERE)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:3000", "[::1]:3000"])
def test_a_person_at_this_machine_needs_no_key(opened, host, client):
    assert ask(opened[0], host=host, client=client).status_code == 200


@pytest.mark.parametrize("name", FORWARDED)
@pytest.mark.parametrize("spelt", [str.lower, str.upper, str])
def test_what_came_through_a_proxy_needs_a_key(opened, name, spelt):
    answer = ask(opened[0], **{spelt(name): "127.0.0.1"})
    assert answer.status_code == 403
    assert "keys create" in answer.json()["detail"]


@pytest.mark.parametrize("host", HOSTS)
def test_what_was_sent_to_another_name_is_refused(opened, host):
    assert ask(opened[0], host=host).status_code == 403


@pytest.mark.parametrize("client", ELSEWHERE)
def test_what_comes_from_elsewhere_is_refused(opened, client):
    assert ask(opened[0], client=client).status_code == 403


def test_no_route_that_shows_anything_is_open_to_a_proxy(opened):
    app, routes = opened
    shown = [route for route in routes if route.needs != NOTHING]
    assert len(shown) > 15
    for route in shown:
        path = route.path.replace("{metric_id}", "nps").replace("{name}", "churn")
        method = "POST" if "POST" in route.methods else "GET"
        assert ask(app, path, method, **{"x-forwarded-for": "203.0.113.9"}).status_code == 403, path


# --- as it runs ------------------------------------------------------------------------------------------------------


def wrong_keys(client: httpx.Client, number: int, address: str) -> list[int]:
    headers = {"authorization": "Bearer nonsense"}
    return [
        client.get("/openapi.json", headers={**headers, "x-forwarded-for": address.format(place)}).status_code
        for place in range(number)
    ]


@pytest.fixture
def home(tmp_path):
    publish(tmp_path / "home")
    database = Database(tmp_path / "home")
    keys.create(database, "somebody", "read", now_us())
    database.close()
    return tmp_path / "home"


def test_wrong_keys_are_counted_by_who_is_connected_whatever_was_forwarded(home, tmp_path):
    with serving(home, tmp_path / "log", FORWARDED_ALLOW_IPS="*") as (_, client):
        found = wrong_keys(client, 120, "203.0.113.{}")
    assert found[:90] == [401] * 90
    assert found[-5:] == [429] * 5


def test_behind_a_proxy_that_is_trusted_wrong_keys_are_counted_by_who_asks_it(home, tmp_path):
    with serving(home, tmp_path / "log", VOUCH_TRUSTED_PROXIES="10.0.0.0/8, 127.0.0.1") as (_, client):
        assert set(wrong_keys(client, 120, "203.0.113.{}")) == {401}
        assert set(wrong_keys(client, 5, "203.0.113.{}, 10.1.1.1")) == {401}
        assert wrong_keys(client, 120, "198.51.100.7")[-5:] == [429] * 5
        assert wrong_keys(client, 1, "198.51.100.8") == [401]


@pytest.mark.nightly
def test_as_bentoml_serves_it_the_same_bounds_hold_and_no_proxy_is_believed(home, tmp_path):
    port, root = free_port(), Path(__file__).parents[3]
    words = [sys.executable, "-P", "-m", "bentoml", "serve", "vouch.serving.service:Vouch", "--working-dir", str(root)]
    settings = environment(**SETTINGS, VOUCH_HOME=str(home), VOUCH_LOCAL="1")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*words, "--host", "127.0.0.1", "--port", str(port)], env=settings, stdout=log, stderr=log
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_for(lambda: is_up(client), 60)
            assert wrong_keys(client, 120, "203.0.113.{}")[-5:] == [429] * 5
        assert large_header(port, 5).startswith(b"HTTP/1.1 431 ")
        with half_open(port, 1) as (connection,):
            connection.settimeout(30)
            assert connection.recv(1_000).startswith(b"HTTP/1.1 408 ")
    finally:
        process.terminate()
        assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("given", "found"),
    [("", []), (" 127.0.0.1 ,::1,", ["127.0.0.1/32", "::1/128"]), ("10.0.0.0/8", ["10.0.0.0/8"])],
)
def test_whom_to_trust_is_a_list_of_addresses(monkeypatch, given, found):
    monkeypatch.setenv("VOUCH_TRUSTED_PROXIES", given)
    assert [str(network) for network in trusted_proxies()] == found


@pytest.mark.parametrize("given", ["*", "proxy.example", "10.0.0.1/8", "0.0.0.0/0", "::/0", "127.0.0.1 10.0.0.1"])
def test_whom_nobody_can_mean_is_not_trusted(monkeypatch, given):
    monkeypatch.setenv("VOUCH_TRUSTED_PROXIES", given)
    with pytest.raises(ConfigurationError, match="VOUCH_TRUSTED_PROXIES"):
        trusted_proxies()


@pytest.mark.parametrize("words", [["--require-keys"], ["--require-keys", "--host", "::1"], ["--host", "0.0.0.0"]])
def test_where_keys_are_required_it_does_not_start_without(tmp_path, words):
    command = [VOUCH, "serve", "--port", str(free_port()), *words]
    done = subprocess.run(
        command, env=environment(VOUCH_HOME=str(tmp_path)), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 4
    assert "vouch keys create" in done.stderr
