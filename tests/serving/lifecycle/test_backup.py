"""Back-up and restore: one file, whole or not at all, of a home in use; only what is as it was written comes back."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import sqlite3
import tarfile
import threading
from contextlib import closing

import pytest
from sqlalchemy import select

from support.faults import copied, killed, moments, seconds_of, vouch
from support.home_of_before import home_of_before
from vouch.features.durable import sealed
from vouch.features.errors import BackupError, ConfigurationError, Refused
from vouch.features.home_format import RESTORING, check_home
from vouch.features.instants import parse_instant
from vouch.models.predictor import champion_folder
from vouch.models.registry.versions import connect
from vouch.models.scoring.bundle import read_files
from vouch.serving.api.state import ServingState, now_us
from vouch.serving.lifecycle.backup import MANIFEST, back_up
from vouch.serving.lifecycle.restore import restore
from vouch.serving.snapshots.files import published, read_snapshot
from vouch.serving.store import keys
from vouch.serving.store.connection import Database
from vouch.serving.store.tables import asks, audit

NOW = parse_instant("2026-11-17")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A home with weeks, champions, a store that a service has used, a tracking database and settings of its own."""
    found = home_of_before(tmp_path_factory.mktemp("good")).home
    store = ServingState(found)
    store.refresh()
    assert store.is_ready
    store.stop()
    connect(found)
    (found / "policy.toml").write_text("# ours\n")
    return found


@pytest.fixture
def home(good, tmp_path):
    return copied(good, tmp_path / "home")


def taken(home, out, *, is_shared=False):
    return back_up(home, out, NOW, "0.1.0", is_shared=is_shared, step=lambda _: None)


def put_back(home, source):
    return restore(home, source, lambda _: None)


def told(home):
    """What a home says: weeks, champions, and every row of the store."""
    database = Database(home)
    with database.reading() as connection:
        rows = {table.name: list(map(tuple, connection.execute(select(table)))) for table in (asks, audit)}
        held = {name: key.secret_hash for name, key in keys.everyone(connection).items()}
    database.check()
    database.close()
    hashes = {name: read_files(champion_folder(home, name) / "bundle")[2] for name in ("churn", "advocacy")}
    weeks = {instant: dict(read_snapshot(home, instant).manifest) for instant in published(home)}
    return rows, held, hashes, weeks, (home / "policy.toml").read_text()


def test_what_is_restored_is_what_was_backed_up(home, tmp_path):
    done = taken(home, tmp_path / "b.tar")
    assert {part["part"] for part in done.parts} >= {"serving", "mlflow", "champions", "snapshots", "policy.toml"}
    found = put_back(tmp_path / "other", tmp_path / "b.tar")
    assert told(tmp_path / "other") == told(home)
    assert found.made_at == "2026-11-17"
    check_home(tmp_path / "other")
    store = ServingState(tmp_path / "other")
    store.refresh()
    assert store.is_ready
    store.stop()
    assert not (tmp_path / "other" / "staged").exists(), "what can be made again is not in it"


def test_the_file_is_a_plain_tar_for_its_owner_alone(home, tmp_path):
    taken(home, tmp_path / "b.tar")
    with tarfile.open(tmp_path / "b.tar", "r:") as tar:
        names = tar.getnames()
        assert {entry.mode for entry in tar} == {0o600}
    assert names[-1] == MANIFEST
    assert "serving/store.sqlite" in names
    assert not [name for name in names if name.startswith((".", "/")) or ".lock" in name]
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["b.tar"]


def test_a_back_up_under_load_holds_all_that_was_recorded_before_and_is_sound(home, tmp_path):
    database = Database(home)
    stop, recorded = threading.Event(), []

    def load():
        number = 0
        while not stop.is_set():
            keys.create(database, f"key {number}", "read", NOW)
            recorded.append(f"key {number}")
            number += 1

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for trial in range(5):
            before = list(recorded)
            taken(home, tmp_path / "b.tar")
            after = list(recorded)
            place = tmp_path / f"restored-{trial}"
            put_back(place, tmp_path / "b.tar")
            there = Database(place)
            with there.reading() as connection:
                names = [key.name for key in keys.everyone(connection).values() if key.name.startswith("key ")]
            there.check()
            there.close()
            assert set(before) <= set(names) <= {*after, f"key {len(after)}"}
            assert len(names) == len(set(names))
    finally:
        stop.set()
        thread.join()
        database.close()
    assert len(recorded) > 5, "something was recorded meanwhile"


def damaged(draw, whole, is_cut):
    place = draw.randrange(len(whole))
    return (
        whole[:place] if is_cut else whole[:place] + bytes([whole[place] ^ draw.randrange(1, 256)]) + whole[place + 1 :]
    )


def test_a_changed_byte_or_a_cut_restores_nothing_or_the_same(home, tmp_path):
    taken(home, tmp_path / "b.tar")
    whole, wanted, draw, refused = (tmp_path / "b.tar").read_bytes(), told(home), random.Random(4), 0
    for trial in range(60):
        (tmp_path / "b.tar").write_bytes(damaged(draw, whole, trial % 3 == 0))
        place = tmp_path / "restored"
        try:
            put_back(place, tmp_path / "b.tar")
        except BackupError:
            refused += 1
            assert list(place.iterdir()) == []
        else:
            assert told(place) == wanted
        shutil.rmtree(place)
    assert refused > 40


def rewritten(source, change):
    """The archive with a manifest that was changed, or with other entries."""
    with tarfile.open(source, "r:") as tar:
        entries = [(entry, tar.extractfile(entry).read()) for entry in tar]
    entries = change(entries)
    with tarfile.open(source, "w") as tar:
        for entry, content in entries:
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def with_manifest(**more):
    def change(entries):
        plain = {name: value for name, value in json.loads(entries[-1][1]).items() if name != "digest"}
        plain = {**plain, **{name: value(plain[name]) for name, value in more.items()}}
        return [*entries[:-1], (entries[-1][0], sealed(plain).encode())]

    return change


def with_entry(name, kind=tarfile.REGTYPE, link=""):
    def change(entries):
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, link
        return [(entry, b""), *entries]

    return change


HOSTILE = {
    "a path that leads out": with_entry("../evil"),
    "an absolute path": with_entry("/evil"),
    "a hidden file": with_entry("champions/.evil"),
    "a link": with_entry("runs", tarfile.SYMTYPE, "/etc"),
    "a device": with_entry("runs/null", tarfile.CHRTYPE),
    "a file that is not listed": with_entry("runs/more.json"),
    "a part that is none of a home": with_manifest(
        files=lambda found: {**found, "bin/x": {"sha256": "0" * 64, "bytes": 0}}
    ),
    "a link elsewhere": with_manifest(links=lambda _: {"champions/churn/bundle": "../../../evil"}),
    "a link of another name": with_manifest(links=lambda _: {"snapshots": "versions/0123456789abcdef"}),
    "another size": with_manifest(files=lambda found: {name: {**of, "bytes": 1} for name, of in found.items()}),
    "no files": with_manifest(files=lambda _: {}),
    "a newer form": with_manifest(format=lambda _: 99),
    "no manifest": lambda entries: entries[:-1],
    "nothing": lambda _: [],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_an_archive_that_is_no_back_up_restores_nothing(home, tmp_path, what):
    taken(home, tmp_path / "b.tar")
    rewritten(tmp_path / "b.tar", HOSTILE[what])
    before = {path for path in tmp_path.rglob("*") if "restored" not in path.parts}
    with pytest.raises(BackupError):
        put_back(tmp_path / "restored", tmp_path / "b.tar")
    assert list((tmp_path / "restored").iterdir()) == []
    assert {path for path in tmp_path.rglob("*") if "restored" not in path.parts} == before


def test_a_home_that_holds_anything_is_not_written_over(home, tmp_path):
    taken(home, tmp_path / "b.tar")
    wanted = told(home)
    with pytest.raises(Refused, match="not empty"):
        put_back(home, tmp_path / "b.tar")
    assert told(home) == wanted


def test_the_home_of_a_newer_release_is_not_restored(home, tmp_path):
    newer = b'{"format": 99, "release": "9.9.9"}'

    def change(entries):
        files = {entry.name: newer if entry.name == "format.json" else content for entry, content in entries}
        told = {"sha256": hashlib.sha256(newer).hexdigest(), "bytes": len(newer)}
        changed = [(entry, files[entry.name]) for entry, _ in entries]
        return with_manifest(files=lambda found: {**found, "format.json": told})(changed)

    taken(home, tmp_path / "b.tar")
    rewritten(tmp_path / "b.tar", change)
    with pytest.raises(ConfigurationError, match="newer"):
        put_back(tmp_path / "restored", tmp_path / "b.tar")
    assert list((tmp_path / "restored").iterdir()) == []


def test_a_damaged_database_is_not_backed_up_and_the_file_of_before_stays(home, tmp_path):
    taken(home, tmp_path / "b.tar")
    before = (tmp_path / "b.tar").read_bytes()
    path = home / "serving" / "store.sqlite"
    content = bytearray(path.read_bytes())
    content[8192:90_000] = b"\x5a" * (90_000 - 8192)
    path.write_bytes(content)
    with pytest.raises(BackupError):
        taken(home, tmp_path / "b.tar")
    assert (tmp_path / "b.tar").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "home"]


def test_a_damaged_week_is_backed_up_as_it_is_and_told(home, tmp_path):
    path = read_snapshot(home).folder / "scores.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    done = taken(home, tmp_path / "b.tar")
    assert [warning for warning in done.warnings if "scores.parquet" in warning]


def test_a_store_elsewhere_is_not_in_the_file_and_that_is_said(home, tmp_path):
    done = taken(home, tmp_path / "b.tar", is_shared=True)
    assert "PostgreSQL" in done.warnings[0]
    assert "serving/store.sqlite" not in done.files
    assert "mlflow/mlflow.db" in done.files


def test_both_commands_end_well_and_say_what_they_did(home, tmp_path):
    done = vouch(home, "backup", "--out", tmp_path / "b.tar", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert {part["part"] for part in json.loads(done.stdout)["parts"]} >= {"serving", "snapshots"}
    done = vouch(home, "restore", tmp_path / "b.tar", "--into", tmp_path / "restored")
    assert done.returncode == 0, done.stderr
    assert "erase them again" in done.stderr
    done = vouch(home, "restore", tmp_path / "b.tar")
    assert done.returncode == 4
    assert "not empty" in done.stderr
    done = vouch(home, "backup", "--out", home / "b.tar")
    assert done.returncode == 1
    assert "Name a file elsewhere" in done.stderr


@pytest.mark.nightly
def test_a_back_up_that_is_killed_at_any_moment_leaves_the_file_of_before_or_the_new_one(home, tmp_path):
    out, wanted = tmp_path / "b.tar", told(home)
    words = ("backup", "--out", out)
    at = 0
    for moment in moments(20, seconds_of(home, *words), 9):
        at += killed(home, moment, *words)
        put_back(tmp_path / "restored", out)
        assert told(tmp_path / "restored") == wanted
        shutil.rmtree(tmp_path / "restored")
    assert at >= 5, "it was hardly ever at work when it was killed"
    assert vouch(home, *words).returncode == 0
    assert not list(tmp_path.glob(".b.tar*"))


def test_a_restore_that_is_killed_is_refused_by_all_and_made_by_the_next(home, tmp_path, monkeypatch):
    class Killed(BaseException):
        """What no handler catches: as far as files go, the same as kill -9."""

    taken(home, tmp_path / "b.tar")
    place, wanted = tmp_path / "restored", told(home)
    real, count = type(place).replace, 0
    for last in range(5):
        count = 0

        def moved(path, target, last=last):
            nonlocal count
            count += 1
            if count > last:
                raise Killed
            return real(path, target)

        with monkeypatch.context() as patch:
            patch.setattr("pathlib.Path.replace", moved)
            with pytest.raises(Killed):
                put_back(place, tmp_path / "b.tar")
        with pytest.raises(ConfigurationError, match="vouch restore"):
            check_home(place)
    put_back(place, tmp_path / "b.tar")
    assert told(place) == wanted
    assert not (place / RESTORING).exists()


@pytest.mark.nightly
def test_a_restore_that_is_killed_at_any_moment_is_nothing_or_whole_or_made_by_the_next(home, tmp_path):
    out, wanted, place = tmp_path / "b.tar", told(home), tmp_path / "restored"
    taken(home, out)
    words = ("restore", out, "--into", place)
    long = seconds_of(home, *words)
    for moment in moments(20, long, 10):
        shutil.rmtree(place)
        killed(home, moment, *words)
        try:
            check_home(place)
            is_whole = place.exists() and any(place.iterdir())
        except ConfigurationError:
            is_whole = False
        if not is_whole:
            put_back(place, out)
        assert told(place) == wanted


def test_the_copy_of_a_database_is_that_of_one_moment(home, tmp_path):
    path = home / "serving" / "store.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO marks VALUES ('unfinished', 1)")
        taken(home, tmp_path / "b.tar")
        other.execute("COMMIT")
    put_back(tmp_path / "restored", tmp_path / "b.tar")
    with closing(sqlite3.connect(tmp_path / "restored" / "serving" / "store.sqlite")) as found:
        assert found.execute("SELECT count(*) FROM marks WHERE name = 'unfinished'").fetchone() == (0,)
    assert now_us() > NOW
