"""The store locked, gone and back: reads go on, writes say 503, nothing recorded is lost."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import httpx
import psycopg
import pytest

from support.handwritten_weeks import MONDAY, customer, publish
from vouch.features.errors import StoreError
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.state import ServingState
from vouch.serving.site import open_site
from vouch.serving.store.connection import Database

PEOPLE = [customer(f"c{number}") for number in range(9)]
ASK = {"ask_id": "1", "customer_id": "c1", "kind": "referral"}


def call(store: ServingState, path: str, body: dict | None = None) -> httpx.Response:
    site = open_site(MountedApp(), store, is_local=True)
    transport = httpx.ASGITransport(Middleware(site, site))

    async def once() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await (client.get(path) if body is None else client.post(path, json=body))

    return asyncio.run(once())


def check_away(store: ServingState) -> None:
    """Reads are answered from memory, writes are refused and say when to come again."""
    store.refresh()
    assert call(store, "/v1/advocates/search", {}).status_code == 200
    assert call(store, "/v1/customers/get", {"customer_id": "c1"}).status_code == 200
    refused = call(store, "/v1/asks/record", ASK)
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (
        503,
        "store_unavailable",
        "5",
    )
    assert call(store, "/readyz").json()["store"] == "away"


def check_back(store: ServingState) -> None:
    """The store is found again without a restart, and what was recorded before is still there."""
    store.refresh()
    assert call(store, "/readyz").json()["store"] == "ok"
    assert call(store, "/v1/asks/record", ASK).json()["is_new"]
    assert call(store, "/v1/asks/record", {**ASK, "ask_id": "0", "customer_id": "c0"}).json()["is_new"] is False


def recorded(home: Path, url: str | None = None) -> ServingState:
    """A store that serves, with one ask recorded."""
    publish(home, people=PEOPLE)
    store = ServingState(home, url)
    store.refresh()
    assert call(store, "/v1/asks/record", {**ASK, "ask_id": "0", "customer_id": "c0"}).json()["is_new"]
    return store


def test_a_locked_store_refuses_writes_alone_and_recovers(tmp_path, monkeypatch):
    monkeypatch.setattr("vouch.serving.store.connection.WAIT_SECONDS", 0.2)
    store = recorded(tmp_path)
    other = sqlite3.connect(tmp_path / "serving" / "store.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused = call(store, "/v1/asks/record", ASK)
    assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
    assert call(store, "/v1/advocates/search", {}).status_code == 200
    other.execute("ROLLBACK")
    other.close()
    check_back(store)
    store.stop()


def test_a_store_that_is_gone_and_back_is_found_again(make_database, postgres_server, tmp_path):
    url = make_database()
    name = url.rpartition("/")[2]
    store = recorded(tmp_path, url)
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        check_away(store)
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        check_back(store)
    store.stop()


def test_a_service_that_starts_without_its_store_serves_when_it_comes(make_database, postgres_server, tmp_path):
    url = make_database()
    name = url.rpartition("/")[2]
    publish(tmp_path, people=PEOPLE)
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        store = ServingState(tmp_path, url)
        store.refresh()
        assert call(store, "/readyz").status_code == 503
        assert call(store, "/v1/advocates/search", {}).json()["code"] == "store_unavailable"
        assert call(store, "/livez").status_code == 200
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        store.refresh()
    assert call(store, "/readyz").json()["as_of"] == "2026-11-16"
    store.stop()


def test_a_store_whose_schema_is_damaged_is_told_of_whatever_its_bytes_are(tmp_path):
    recorded(tmp_path).stop()
    path = tmp_path / "serving" / "store.sqlite"
    whole = path.read_bytes()
    assert b"CREATE TABLE asks" in whole
    path.write_bytes(whole.replace(b"CREATE TABLE asks", b"CREATE TABL\xe5 asks"))
    store = Database(tmp_path)
    with pytest.raises(StoreError, match="does not answer"):
        store.versions()
    store.close()


def test_a_lock_of_a_store_that_is_away_is_an_error_of_the_store(make_database, postgres_server, tmp_path):
    url = make_database()
    store = Database(tmp_path, url)
    store.versions()
    store.close()
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {url.rpartition('/')[2]} ALLOW_CONNECTIONS false")
    with pytest.raises(StoreError, match="does not answer"), store.alone("weeks"):
        pytest.fail("there is no lock")


def test_a_bad_snapshot_is_told_and_the_one_before_serves(tmp_path):
    store = recorded(tmp_path)
    bad = publish(tmp_path, MONDAY, PEOPLE[:2]).folder / "scores.parquet"
    bad.write_bytes(bad.read_bytes()[:-9])
    store.refresh()
    told = call(store, "/readyz").json()
    assert (told["revision"], told["refused_snapshots"]) == (1, 1)
    assert str(tmp_path) not in call(store, "/readyz").text
    assert call(store, "/v1/advocates/search", {}).json()["total"] == 8, "one of nine was asked"
    store.stop()
