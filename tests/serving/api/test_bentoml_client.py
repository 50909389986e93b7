"""BentoML's own client calls every route, with a key."""

from __future__ import annotations

import bentoml
import pytest

from support.champions import write_champions
from support.handwritten_weeks import customer, publish
from support.servers.on_loopback import on_loopback
from vouch.serving.api.doors import API_ROUTES
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.state import ServingState
from vouch.serving.site import open_site
from vouch.serving.store import keys

NOW = 1_800_000_000_000_000


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    write_champions(home)
    publish(home, people=[customer(f"c{number}") for number in range(5)])
    store = ServingState(home)
    key = keys.create(store.database, "client", "write", NOW)
    store.refresh()
    site = open_site(MountedApp(), store, is_local=False)
    with on_loopback(Middleware(site, site)) as address, bentoml.SyncHTTPClient(address, token=key) as found:
        yield found
        found._temp_dir.cleanup()  # it leaves that to the end of the process
    store.stop()


def test_the_client_calls_what_a_crm_calls(client):
    found = client.advocates_search(limit=2)
    assert [row["customer_id"] for row in found["candidates"]] == ["c0", "c1"]
    assert client.asks_record(ask_id="1", customer_id="c0", kind="referral")["is_new"]
    assert client.asks_outcome(ask_id="1", outcome="accepted")["ask"]["outcome"] == "accepted"
    assert client.customers_get(customer_id="c0")["asks"][0]["ask_id"] == "1"
    scored = client.score(vectors=[{"customer_id": "x", "features": {"tenure_days": 400.0}}])
    assert [row["customer_id"] for row in scored["scores"]] == ["x"]


def test_the_client_knows_every_route(client):
    known = {endpoint.route for endpoint in client.endpoints.values()}
    assert known >= {route.path for route in API_ROUTES}
