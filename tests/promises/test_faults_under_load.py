"""Faults at random in store, mapped files, weeks and champions while a service answers: never a wrong answer, never a
thread that is gone, and a revoked key is refused within seconds throughout."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import time
from collections import Counter
from contextlib import closing

import httpx
import pytest

from support.home_of_before import home_of_before
from vouch.models.predictor import champion_folder
from vouch.models.scoring.bundle import read_files, write_files
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.state import ServingState, now_us
from vouch.serving.site import open_site
from vouch.serving.snapshots.files import pointer, published
from vouch.serving.store import keys
from vouch.serving.store.connection import Database
from vouch.serving.store.mapped import FOLDER

pytestmark = pytest.mark.nightly
FAULTS = 200
LIMIT_SECONDS = 5


class Served:
    """A service in this process, its watch running, and what it answered before anything went wrong."""

    def __init__(self, home):
        self.home, self.database = home, Database(home)
        self.store = ServingState(home)
        self.store.refresh()
        site = open_site(MountedApp(), self.store, is_local=False)
        self.transport = httpx.ASGITransport(Middleware(site, site))
        self.key = keys.create(self.database, "reader", "read", now_us())
        self.store.refresh()
        self.store.watch()
        self.people = [f"C{number:02}" for number in range(1, 25)]
        self.right = {name: self.one(name).json() for name in self.people}

    def post(self, path, body, key=None):
        async def once():
            async with httpx.AsyncClient(transport=self.transport, base_url="http://localhost") as client:
                return await client.post(path, json=body, headers={"authorization": f"Bearer {key or self.key}"})

        return asyncio.run(once())

    def one(self, customer_id):
        return self.post("/v1/customers/get", {"customer_id": customer_id})

    def wait_until_back(self):
        until = time.monotonic() + 60
        while self.one("C01").status_code != 200:
            assert time.monotonic() < until, "it did not come back"
            time.sleep(0.2)


def flipped(draw, path):
    """One byte changed in place, as a disk or a hand would."""
    content = path.read_bytes()
    with path.open("r+b") as file:
        place = draw.randrange(len(content))
        file.seek(place)
        file.write(bytes([content[place] ^ draw.randrange(1, 256)]))


def of_a_mapped_file(draw, home):
    paths = sorted((home / FOLDER).glob("*.arrow"))
    if paths and draw.random() < 0.8:
        flipped(draw, draw.choice(paths))
    elif paths:  # the service goes on with what it has mapped
        draw.choice(paths).unlink()


def of_a_champion(draw, home):
    bundle = champion_folder(home, draw.choice(["churn", "advocacy"])) / "bundle"
    manifest, files, _ = read_files(bundle, verify=False)
    name = draw.choice(sorted(files))
    plain = {key: value for key, value in manifest.items() if key != "files"}
    spoilt = draw.choice(
        [b"", b"[" * 50_000, b"{}", json.dumps({"kind": []}).encode(), files[name][: len(files[name]) // 2]]
    )
    write_files(bundle.resolve(), plain, {**files, name: spoilt})
    bundle.resolve().touch()
    write_back.append(lambda: (write_files(bundle.resolve(), plain, files), bundle.resolve().touch()))


def of_a_week(draw, home):
    instant = draw.choice(published(home))
    path = draw.choice(sorted(path for path in pointer(home, instant).parent.rglob("*") if path.is_file()))
    whole = path.read_bytes()
    flipped(draw, path)
    write_back.append(lambda: path.write_bytes(whole))


def of_the_store(draw, home):
    """Another program holds the store, or a row of a week in it has changed."""
    with closing(sqlite3.connect(home / "serving" / "store.sqlite", isolation_level=None, timeout=30)) as other:
        if draw.random() < 0.5:
            other.execute("BEGIN IMMEDIATE")
            time.sleep(0.3)
            other.execute("ROLLBACK")
        else:
            other.execute("UPDATE batches SET body = zeroblob(100) WHERE rowid = (SELECT min(rowid) FROM batches)")
            other.execute("UPDATE marks SET version = version + 1 WHERE name = 'snapshots'")


write_back = []
KINDS = (of_a_mapped_file, of_a_mapped_file, of_a_champion, of_a_week, of_the_store)


def test_no_fault_makes_a_wrong_answer_or_keeps_a_revoked_key_working(tmp_path):
    served, draw, seen = Served(home_of_before(tmp_path).home), random.Random(12), Counter()
    longest = 0.0
    for number in range(FAULTS):
        fresh = keys.create(served.database, f"key {number}", "read", now_us())
        fault = draw.choice(KINDS)
        fault(draw, served.home)
        for name in draw.sample(served.people, 4):
            told = served.one(name)
            assert told.status_code in {200, 503}, told.text
            seen[told.status_code] += 1
            if told.status_code == 200:
                answer = told.json()
                if answer["health_parts"] is None:  # its file is not as it was published: told to nobody
                    answer["health_parts"] = served.right[name]["health_parts"]
                assert answer == served.right[name], fault.__name__
        keys.revoke(served.database, f"key {number}", now_us())
        began = time.monotonic()
        while served.post("/v1/metrics/catalogue", {}, fresh).status_code not in {401, 429}:  # or too many wrong keys
            assert time.monotonic() - began < LIMIT_SECONDS, fault.__name__
            time.sleep(0.05)
        longest = max(longest, time.monotonic() - began)
        while write_back:
            write_back.pop()()
        if number % 4 == 0:
            served.wait_until_back()
    served.wait_until_back()
    assert {name: served.one(name).json() for name in served.people} == served.right
    print(f"\n{FAULTS} faults: {dict(seen)}; a revoked key was refused after {longest:.1f} s at most")
    served.store.stop()
    served.database.close()
