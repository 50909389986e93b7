"""A key that is revoked is refused within seconds, whatever happens to champions, weeks and disks meanwhile."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from types import SimpleNamespace

import httpx
import pytest

from support.champions import write_champions
from support.handwritten_weeks import MONDAY, customer, publish
from vouch.models.predictor import champion_folder
from vouch.models.scoring.bundle import read_files, write_files
from vouch.serving.api import state
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.state import ServingState, now_us
from vouch.serving.site import open_site
from vouch.serving.store import keys
from vouch.serving.store.connection import Database

PEOPLE = [customer(f"c{number}") for number in range(4)]
LIMIT_SECONDS = 5
DEEP = "[" * 100_000 + "]" * 100_000


@pytest.fixture
def home(tmp_path):
    write_champions(tmp_path)
    publish(tmp_path, people=PEOPLE)
    return tmp_path


@pytest.fixture
def quick(monkeypatch):
    """Looks are taken ten times as often: what is waited for does not hang on how often."""
    monkeypatch.setattr("vouch.serving.api.watch.WATCH_SECONDS", 0.1)


class Served:
    """A service in this process, watching, with a key that writes."""

    def __init__(self, home):
        self.database = Database(home)
        self.key = keys.create(self.database, "crm", "write", now_us())
        self.store = ServingState(home)
        self.store.refresh()
        site = open_site(MountedApp(), self.store, is_local=False)
        self.transport = httpx.ASGITransport(Middleware(site, site))
        self.store.watch()

    def call(self, path, body=None):
        async def once():
            async with httpx.AsyncClient(transport=self.transport, base_url="http://localhost") as client:
                sent = {"authorization": f"Bearer {self.key}"}
                return await (
                    client.get(path, headers=sent) if body is None else client.post(path, json=body, headers=sent)
                )

        return asyncio.run(once())

    def ask(self, number=1):
        return self.call("/v1/asks/record", {"ask_id": str(number), "customer_id": f"c{number}", "kind": "referral"})


@pytest.fixture
def served(home):
    found = Served(home)
    yield found
    found.store.stop()
    found.database.close()


class Hanging:
    """A look that begins, and does not end before the test does."""

    def __init__(self):
        self.begun, self.over = threading.Event(), threading.Event()

    def __call__(self, *_):
        self.begun.set()
        self.over.wait()


@pytest.fixture
def hanging(served):
    found = Hanging()
    yield found
    found.over.set()


def eventually(condition, seconds=LIMIT_SECONDS):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.05)


def spoilt_champion(home, name, change):
    """A champion whose digests fit, one document of which has another form."""
    bundle = champion_folder(home, "churn") / "bundle"
    manifest, files, _ = read_files(bundle)
    if name == "manifest.json":
        (bundle / name).write_text(change(json.loads((bundle / name).read_bytes())))
    else:
        plain = {key: value for key, value in manifest.items() if key != "files"}
        write_files(bundle, plain, {**files, name: change(json.loads(files[name])).encode()})
    bundle.touch()


CHAMPIONS = {
    "a kind that is a list": ("manifest.json", lambda found: json.dumps({**found, "kind": ["lightgbm"]})),
    "files that are a text": ("manifest.json", lambda found: json.dumps({**found, "files": "x"})),
    "golden rows without rows": ("golden.json", lambda found: json.dumps({"raw": found["raw"]})),
    "golden scores that are a text": ("golden.json", lambda found: json.dumps({**found, "raw": "x"})),
    "a feature twice": ("features.json", lambda found: json.dumps({"features": found["features"][:1] * 3})),
    "no feature": ("features.json", lambda _: json.dumps({"features": []})),
    "an empty model": ("model.json", lambda _: ""),
    "a deep model": ("model.json", lambda _: DEEP),
}


@pytest.mark.parametrize("kind", CHAMPIONS)
def test_no_champion_keeps_a_revoked_key_working(quick, served, home, kind):
    before = served.store.champions["churn"]
    spoilt_champion(home, *CHAMPIONS[kind])
    eventually(lambda: served.store.refused_champions == ("churn",))
    assert served.store.champions["churn"] is before
    keys.revoke(served.database, "crm", now_us())
    eventually(lambda: served.ask().status_code == 401)


PLACES = {
    "the folder of snapshots": "vouch.serving.api.state.files.published",
    "a new week": "vouch.serving.api.state.load_week",
    "a champion": "vouch.serving.api.state.champion",
    "what was recorded": "vouch.serving.api.state.changed_since",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", [PermissionError, MemoryError, RecursionError, KeyError, TypeError, AssertionError])
def test_no_error_in_any_place_keeps_a_revoked_key_working(quick, served, home, monkeypatch, place, error):
    raised = []

    def fails(*_, **__):
        raised.append(place)
        raise error("planted.person@example.com")

    monkeypatch.setattr(PLACES[place], fails)
    publish(home, MONDAY, PEOPLE)
    champion_folder(home, "churn").joinpath("bundle").touch()
    served.ask()
    served.store.refresh()
    keys.revoke(served.database, "crm", now_us())
    eventually(lambda: served.ask(2).status_code == 401)
    assert raised


def test_a_look_that_hangs_keeps_nobody_in_and_its_age_tells(served, hanging, monkeypatch):
    monkeypatch.setattr("vouch.serving.api.state.files.published", hanging)
    eventually(lambda: served.call("/readyz").json()["watch_age_seconds"] > 2, 30)
    assert served.call("/readyz").json()["keys_age_seconds"] < LIMIT_SECONDS
    keys.revoke(served.database, "crm", now_us())
    eventually(lambda: served.ask().status_code == 401)


def test_the_watch_goes_on_after_any_error_and_the_log_holds_no_value(served, home, monkeypatch, caplog):
    untold = []

    def fails(*_):
        raise KeyError("planted.person@example.com")

    def fails_to_tell(*_):
        untold.append(1)
        fails()

    with monkeypatch.context() as patch:
        patch.setattr("vouch.serving.api.state.files.published", fails)
        patch.setattr("vouch.serving.api.watch._log", SimpleNamespace(error=fails_to_tell))
        eventually(lambda: untold, 30)  # not even telling works
    with monkeypatch.context() as patch:
        patch.setattr("vouch.serving.api.state.files.published", fails)
        eventually(lambda: "KeyError" in caplog.text, 30)
    publish(home, MONDAY, PEOPLE)
    eventually(lambda: served.store.portfolio.week.revision == 2, 60)
    assert "planted" not in caplog.text


def aged(store, seconds):
    """What is known of the keys, so old."""
    store._look_at_keys._well_s = time.monotonic() - seconds


def test_where_the_keys_are_not_known_writes_are_refused_soon_and_reads_later(served, hanging, monkeypatch):
    monkeypatch.setattr("vouch.serving.api.state.keys.everyone", hanging)
    monkeypatch.setattr(served.store._look_at_keys, "_do", hanging)
    eventually(hanging.begun.is_set, 30)
    for age_s, read, write in (
        (1, 200, 200),
        (state.WRITES_SECONDS + 1, 200, 503),
        (state.READS_SECONDS + 1, 503, 503),
    ):
        aged(served.store, age_s)
        assert served.call("/v1/customers/get", {"customer_id": "c1"}).status_code == read
        told = served.ask()
        assert told.status_code == write
        if write == 503:
            assert (told.json()["code"], told.headers["retry-after"]) == ("keys_unknown", "5")
    assert served.call("/livez").status_code == 200
    assert served.call("/readyz").json()["keys_age_seconds"] > state.READS_SECONDS


def test_both_ages_are_told(served):
    def lines():
        told = served.call("/metrics").text.splitlines()
        return dict(line.rsplit(" ", 1) for line in told if not line.startswith("#"))

    assert 0 <= float(lines()["vouch_keys_age_seconds"]) < LIMIT_SECONDS
    assert 0 <= float(lines()["vouch_watch_age_seconds"]) < 60
    names = {watch._name for watch in served.store._watches}
    for watch in served.store._watches:
        watch.stop()
    eventually(lambda: not names & {thread.name for thread in threading.enumerate()}, 30)  # a look was being taken
    aged(served.store, 800)
    assert 800 <= float(lines()["vouch_keys_age_seconds"]) < 900
