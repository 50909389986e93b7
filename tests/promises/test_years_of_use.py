"""A home of an earlier release opens in this one, and one of a newer release is refused in words by every door."""

from __future__ import annotations

import asyncio
import json
import shutil

import httpx
import pytest
from sqlalchemy import select, text

from support.faults import vouch
from support.home_of_before import home_of_before
from vouch.features.errors import BundleError, ConfigurationError, StoreError
from vouch.features.home_format import FILE, FORMAT, RESTORING, check_home, mark_home
from vouch.features.instants import parse_instant
from vouch.features.project import Project
from vouch.models.predictor import load_champion
from vouch.models.registry.champions import history
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.state import ServingState
from vouch.serving.batch.run import score_weeks
from vouch.serving.site import open_site
from vouch.serving.snapshots.files import published, read_snapshot
from vouch.serving.store import keys
from vouch.serving.store.connection import Database
from vouch.serving.store.tables import HEAD, asks, overrides

FIRST, SECOND, NEXT = "2026-11-09", "2026-11-16", "2026-11-23"


@pytest.fixture
def before(tmp_path):
    return home_of_before(tmp_path)


def call(store, key, path, body):
    site = open_site(MountedApp(), store, is_local=False)

    async def once():
        transport = httpx.ASGITransport(Middleware(site, site))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post(path, json=body, headers={"authorization": f"Bearer {key}"})

    return asyncio.run(once()).json()


def test_the_weeks_of_an_earlier_release_are_served_as_they_were(before):
    store = ServingState(before.home)
    store.refresh()
    key, told = before.told["key"], before.told["customer"]
    assert store.trouble is None
    assert store.refused == ()
    one = call(store, key, "/v1/customers/get", {"customer_id": "C01"})
    held = [name for name in told if name.endswith(("probability", "band", "tier", "status")) or name == "customer_id"]
    assert len(held) >= 5
    assert {name: one[name] for name in held} == {name: told[name] for name in held}
    listed = call(store, key, "/v1/advocates/search", {"limit": 3, "include_ineligible": True})["candidates"]
    then = {row["customer_id"]: row["advocacy_probability"] for row in before.told["candidates"]}
    now = {row["customer_id"]: row["advocacy_probability"] for row in listed}
    assert {name: now[name] for name in now if name in then} == {name: then[name] for name in now if name in then}
    store.stop()


def test_its_store_comes_with_its_keys_asks_and_overrides(before):
    database = Database(before.home)
    with database.reading() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD
        (ask,) = connection.execute(select(asks))
        (override,) = connection.execute(select(overrides))
        known = keys.everyone(connection)
    assert (ask.ask_id, ask.kind) == ("crm-1", "referral")
    assert (override.customer_id, override.score, override.reason) == ("C01", 35.0, "their sponsor left")
    assert keys.verified(before.told["key"], known).scope == "write"
    database.check()
    database.close()
    assert json.loads((before.home / FILE).read_text())["format"] == FORMAT


@pytest.mark.parametrize("name", ["churn", "advocacy"])
def test_its_champions_score_as_they_did_or_say_what_to_do(before, name):
    why = None
    try:
        assert load_champion(before.home, name).content_hash == before.told["hashes"][name]
    except BundleError as error:  # a feature that it reads is defined otherwise today
        why = str(error)
    assert why is None or f"vouch train {name}" in why
    assert [entry["version"] for entry in history(before.home, name)] == [1]


def test_a_new_week_goes_on_from_the_weeks_of_an_earlier_release(before):
    old = {instant: read_snapshot(before.home, instant).manifest["files"] for instant in published(before.home)}
    project = Project(home=before.home, location=str(before.company))
    now_us = parse_instant(f"{NEXT}T06:00:00Z")
    with pytest.raises(BundleError, match="vouch train"):  # features that they read are defined otherwise by now
        score_weeks(project, [parse_instant(NEXT)], now_us, despite="old data")
    shutil.rmtree(before.home / "champions")
    (week,) = score_weeks(project, [parse_instant(NEXT)], now_us, despite="old data")
    assert week.outcome == "published"
    assert published(before.home) == [parse_instant(instant) for instant in (FIRST, SECOND, NEXT)]
    assert {instant: read_snapshot(before.home, instant).manifest["files"] for instant in old} == old
    store = ServingState(before.home)
    store.refresh()
    assert store.portfolio.freshness(0)["as_of"] == NEXT
    one = call(store, before.told["key"], "/v1/customers/get", {"customer_id": "C01"})
    assert one["customer_id"] == "C01"
    store.stop()


def of_a_newer_release(home):
    home.mkdir(exist_ok=True)
    (home / FILE).write_text(json.dumps({"format": FORMAT + 1, "release": "9.9.9", "more": True}))


DOORS = [("score", "x"), ("models",), ("keys", "list"), ("serve",), ("clean",), ("erase", "C01"),
         ("report", "--out", "w"), ("train", "churn", "x"), ("backup", "--out", "b.tar")]  # fmt: skip


@pytest.mark.parametrize("words", DOORS)
def test_a_home_of_a_newer_release_is_refused_in_words(tmp_path, words):
    of_a_newer_release(tmp_path / "home")
    done = vouch(tmp_path / "home", *words)
    assert done.returncode == 1
    assert "newer than this one" in done.stderr
    assert "9.9.9" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in (tmp_path / "home").iterdir()] == [FILE]


def test_no_part_opens_a_home_of_a_newer_release(tmp_path):
    of_a_newer_release(tmp_path)
    with pytest.raises(ConfigurationError, match="newer"), Database(tmp_path).reading():
        pass
    with pytest.raises(ConfigurationError, match="newer"):
        score_weeks(Project(home=tmp_path, location=str(tmp_path)), [parse_instant(NEXT)], parse_instant(NEXT))


def test_a_store_of_a_newer_release_is_refused_in_words(tmp_path):
    database = Database(tmp_path)
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(StoreError, match="newer vouch"), Database(tmp_path).reading():
        pass


def test_the_format_is_noted_once_and_never_goes_back(tmp_path):
    check_home(tmp_path / "home")
    mark_home(tmp_path / "home", "0.1.0")
    held = (tmp_path / "home" / FILE).read_bytes()
    mark_home(tmp_path / "home", "0.1.1")
    assert (tmp_path / "home" / FILE).read_bytes() == held
    (tmp_path / "home" / FILE).write_text("{}")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        check_home(tmp_path / "home")


def test_a_home_that_was_half_restored_is_refused_in_words(tmp_path):
    (tmp_path / RESTORING).mkdir()
    with pytest.raises(ConfigurationError, match="vouch restore"):
        check_home(tmp_path)
