"""Disks that are full, homes that are read-only, locks that somebody holds, servers that go: one message, nothing half
written, and the next run is fine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from support.champions import write_champion
from support.faults import BEFORE, MONDAY, NOW, Server, copied, started, vouch
from vouch.features.errors import TrackingError
from vouch.features.instants import parse_instant
from vouch.models.predictor import load_champion
from vouch.models.registry.champions import history
from vouch.models.registry.versions import TrainingRun, connect, promote_version, register
from vouch.serving.snapshots import files as snapshot


@pytest.fixture
def disk(tmp_path):
    """A file system of its own whose size can be set; `disk(kilobytes)` makes or resizes it and gives its folder."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = []

    def make(kilobytes: int, *options: str):
        how = ",".join([f"size={kilobytes}k", *(["remount"] if mounted else []), *options])
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", how, "tmpfs", str(place)], capture_output=True, check=False
        )
        if done.returncode and not mounted:
            pytest.skip("needs the right to mount a file system")
        assert done.returncode == 0, done.stderr
        mounted.append(kilobytes)
        return place

    yield make
    if mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


def size_kb(folder) -> int:
    """What the file system that a folder lies on holds."""
    found = os.statvfs(folder)
    return (found.f_blocks - found.f_bfree) * found.f_frsize // 1024


def is_one_message(done) -> bool:
    """One line of its own on standard error, no traceback, and nothing but one document on standard output."""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    return len(lines) == 1 and lines[0].startswith("vouch: ") and "Traceback" not in done.stderr


@pytest.mark.nightly
def test_a_full_disk_is_one_message_and_the_next_run_is_fine(small_company, good_home, disk):
    words = ("score", small_company, "--as-of", MONDAY, "--now", NOW, "--format", "json")
    home = shutil.copytree(good_home, disk(200_000) / "home", symlinks=True)
    shutil.rmtree(home / "staged")
    held = size_kb(home)
    told = []
    for spare in (16, 200, 500, 900, 1300):
        disk(max(held, size_kb(home)) + spare)
        done = vouch(home, *words)
        if done.returncode == 0:
            break
        told.append(done.stderr)
        assert done.returncode == 1
        assert is_one_message(done), done.stderr
        assert json.loads(done.stdout)["outcome"] == "failed"
        assert snapshot.published(home) == [parse_instant(BEFORE)]
        snapshot.read_snapshot(home)
    assert len(told) >= 3, "the disk was never full"
    disk(200_000)
    done = vouch(home, *words)
    assert done.returncode == 0, done.stderr
    assert len(snapshot.published(home)) == 2
    assert not list(home.rglob("draft-*"))
    assert not list(home.rglob(".building-*"))
    print("\n" + "\n".join(line.splitlines()[-1][:200] for line in told))


@pytest.mark.nightly
def test_a_read_only_home_is_one_message(small_company, good_home, disk):
    home = shutil.copytree(good_home, disk(200_000) / "home", symlinks=True)
    disk(200_000, "ro")
    for words in (
        ("score", small_company, "--as-of", MONDAY, "--now", NOW),
        ("train", "churn", small_company, "--now", NOW),
        ("clean",),
        ("erase", "somebody"),
        ("export", "--to", "csv", "--out", home / "out"),
    ):
        done = vouch(home, *words)
        assert done.returncode in (1, 2), words
        assert is_one_message(done), (words, done.stderr)
    disk(200_000, "rw")
    assert vouch(home, "score", small_company, "--as-of", MONDAY, "--now", NOW).returncode == 0


@pytest.mark.nightly
def test_of_two_runs_at_once_one_publishes_and_the_other_refuses_or_waits(small_company, good_home, tmp_path):
    words = ("score", small_company, "--as-of", MONDAY, "--now", NOW)
    home = copied(good_home, tmp_path / "home")
    first = started(home, *words)
    while not list((home / "snapshots").glob("*/draft-*")):
        assert first.poll() is None
        time.sleep(0.005)  # short beside the work in which it is to be caught
    os.killpg(first.pid, signal.SIGSTOP)  # in the midst of its work, for as long as the other takes to start
    refused = vouch(home, *words)
    assert refused.returncode == 3
    assert is_one_message(refused), refused.stderr
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(vouch, home, *words, "--wait", 120)
        time.sleep(1)  # for the other to find the lock held
        os.killpg(first.pid, signal.SIGCONT)
        waited = waiting.result()
    assert (waited.returncode, first.wait()) == (0, 0)
    assert "left alone" in waited.stdout
    found = snapshot.read_snapshot(home)
    assert found.revision == 1
    customers = found.table("scores")["customer_id"].to_pylist()
    assert len(set(customers)) == len(customers)


class Holding:
    """Another process's exclusive lock on an SQLite file, for so many seconds."""

    def __init__(self, path, seconds):
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.connection.execute("BEGIN EXCLUSIVE")
        self.timer = threading.Timer(seconds, self.connection.rollback)
        self.timer.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.timer.cancel()
        self.connection.rollback()
        self.connection.close()


@pytest.mark.nightly
@pytest.mark.parametrize(("seconds", "code"), [(5, 0), (25, 0), (200, 1)])
def test_a_locked_tracking_database_is_waited_for_and_then_told(tmp_path, seconds, code):
    connect(tmp_path)
    with Holding(tmp_path / "mlflow" / "mlflow.db", seconds):
        start = time.perf_counter()
        done = vouch(tmp_path, "models")
        took = time.perf_counter() - start
    assert done.returncode == code, done.stderr
    assert took < 90
    if code:
        assert is_one_message(done), done.stderr
        assert "locked" in done.stderr
    assert vouch(tmp_path, "models").returncode == 0
    print(f"\nlocked for {seconds} s: exit {done.returncode} after {took:.1f} s {done.stderr.strip()[:200]}")


@pytest.mark.nightly
def test_a_locked_serving_store_does_not_keep_a_week_from_being_published(small_company, good_home, tmp_path):
    home = copied(good_home, tmp_path / "home")
    words = ("score", small_company, "--as-of", MONDAY, "--now", NOW)
    assert vouch(home, "score", small_company, "--as-of", BEFORE, "--now", NOW).returncode == 0
    with Holding(home / "serving" / "store.sqlite", 300):
        done = vouch(home, *words)
    assert done.returncode == 0
    assert "not in the serving store" in done.stderr
    assert len(snapshot.published(home)) == 2
    assert "not in the serving store" not in vouch(home, *words).stderr


@pytest.mark.nightly
def test_ten_processes_that_use_a_fresh_tracking_database_at_once_all_succeed(tmp_path):
    code = "import sys, pathlib; from vouch.models.registry.versions import connect; connect(pathlib.Path(sys.argv[1]))"
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(10)]
    assert [process.wait() for process in running] == [0] * 10
    assert connect(tmp_path)[1].get_experiment_by_name("vouch") is not None


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    found = Server(tmp_path_factory.mktemp("server") / "mlflow")
    yield found
    found.kill()


class Falling(Mapping):
    """Artifacts of a run during whose logging the server is killed."""

    def __init__(self, server):
        self.server = server

    def __getitem__(self, name):
        return b"card"

    def __iter__(self):
        self.server.kill()
        return iter(("card.md",))

    def __len__(self):
        return 1


def a_run(bundle, predictor, files):
    example = pd.DataFrame([dict.fromkeys(predictor.names, 1.0)])
    return TrainingRun("churn", bundle, example, {"seed": 0}, {"roc_auc": 0.7}, {"gate": "passed"}, files)


@pytest.mark.nightly
def test_a_tracking_server_that_goes_half_way_is_one_error_and_the_champion_stays(server, tmp_path):
    home = tmp_path / "home"
    first, second = (write_champion(tmp_path / name, "churn", base) for name, base in (("a", -3.0), ("b", -1.0)))
    bundles = [tmp_path / name / "champions" / "churn" / "bundle" for name in ("a", "b")]
    entry = {"action": "promote", "reason": "test", "at_us": 1}
    files = {"card.md": b"card"}
    made = register(home, a_run(bundles[0], first, files), server.url)
    promote_version(home, "churn", made.version, bundles[0], "card", entry, server.url)

    start = time.perf_counter()
    with pytest.raises(TrackingError, match="does not answer") as told:
        register(home, a_run(bundles[1], second, Falling(server)), server.url)
    print(f"\ngone half-way: told after {time.perf_counter() - start:.1f} s: {told.value}")
    assert "\n" not in str(told.value)
    assert load_champion(home, "churn").content_hash == first.content_hash
    assert len(history(home, "churn")) == 1
    start = time.perf_counter()
    done = vouch(home, "models", MLFLOW_TRACKING_URI=server.url)
    assert done.returncode == 1
    assert is_one_message(done), done.stderr
    print(f"gone: `vouch models` told after {time.perf_counter() - start:.1f} s")

    server.start()
    made = register(home, a_run(bundles[1], second, files), server.url)
    real = type(connect(home, server.url)[1]).set_registered_model_alias
    with pytest.MonkeyPatch.context() as patch:

        def gone(client, *words):
            server.kill()
            return real(client, *words)

        patch.setattr("mlflow.MlflowClient.set_registered_model_alias", gone)
        with pytest.raises(TrackingError):
            promote_version(home, "churn", made.version, bundles[1], "card", entry, server.url)
    assert load_champion(home, "churn").content_hash == first.content_hash, "both sides stay of one mind"
    server.start()
    promote_version(home, "churn", made.version, bundles[1], "card", entry, server.url)
    assert load_champion(home, "churn").content_hash == second.content_hash
