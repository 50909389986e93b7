"""kill -9 of promote, clean, export, erase, the tracking server: whole before and after, and the next run ends it."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import threading
import time
from collections import Counter

import pytest

from support.faults import (
    BEFORE,
    MONDAY,
    NOW,
    Server,
    copied,
    forked,
    handed_over,
    killed,
    moments,
    seconds_of,
    started,
    vouch,
)
from support.handwritten_weeks import WEEK, publish
from support.searching import found_in
from vouch.features.instants import WEEK_US, parse_instant
from vouch.models.predictor import load_champion
from vouch.models.registry.champions import history
from vouch.serving.snapshots import files

pytestmark = pytest.mark.nightly
KILLS = 20
LATER = "2026-11-20T06:00:00Z"


def digests(folder) -> dict[str, str]:
    """The bytes of every file, by its place."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def weeks_are_whole(home) -> list[int]:
    """Read every week that is published; return their instants."""
    found = files.published(home)
    for instant in found:
        files.read_snapshot(home, instant)
    return found


def at_moments(home, words, tmp_path, seed):
    """A copy of a home for each kill of a command that was at work, with what it was killed with."""
    longest_s = seconds_of(copied(home, tmp_path / "undisturbed"), *words)
    for trial, moment in enumerate(moments(KILLS, longest_s, seed)):
        place = copied(home, tmp_path / f"home-{trial}")
        while not killed(place, moment, *words):  # it was faster than the one that was measured
            shutil.rmtree(place)
            place, moment = copied(home, place), moment * 0.5
        yield place
        shutil.rmtree(place)


@pytest.fixture(scope="module")
def trained(company, tmp_path_factory):
    """A home with two versions of churn, the second of which is champion."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tables").mkdir()
    data, home = handed_over(company, folder / "tables"), folder / "home"
    for as_of in (BEFORE, MONDAY):
        assert forked(home, "train", "churn", data, "--as-of", as_of, "--now", NOW).returncode == 0
    return home


def versions(home) -> dict[int, dict]:
    return {row["version"]: row for row in json.loads(forked(home, "models", "--format", "json").stdout)}


def test_whenever_promote_is_killed_one_of_both_is_champion_and_whole_and_the_next_one_promotes(trained, tmp_path):
    told, seen = versions(trained), Counter()
    hashes = {version: row["content_hash"] for version, row in told.items()}
    assert load_champion(trained, "churn").content_hash == hashes[2]
    words = ("promote", "churn", "1", "--reason", "tried")
    for home in at_moments(trained, words, tmp_path, 21):
        found = load_champion(home, "churn").content_hash
        assert found in hashes.values()
        seen["was promoted" if found == hashes[1] else "stayed"] += 1
        done = forked(home, *words)
        assert done.returncode == 0, done.stderr
        assert load_champion(home, "churn").content_hash == hashes[1]
        assert history(home, "churn")[-1]["version"] == 1
        assert [version for version, row in versions(home).items() if row["alias"] == "champion"] == [1]
    print(f"\n{KILLS} kills of promote: {dict(seen)}")


def test_whenever_clean_is_killed_what_is_kept_is_whole_and_the_next_one_leaves_what_an_undisturbed_one_does(tmp_path):
    home, newest = tmp_path / "many", parse_instant(MONDAY)
    for weeks in range(40):
        publish(home, newest - weeks * WEEK_US, WEEK[:2])
        publish(home, newest - weeks * WEEK_US, WEEK[:1])
    (home / "retention.toml").write_text("[snapshots]\nweeks = 4\nmonths = 1\n[revisions]\ndays = 1\n")
    words, seen = ("clean", "--now", LATER), Counter()
    undisturbed = copied(home, tmp_path / "once")
    assert forked(undisturbed, *words).returncode == 0
    wanted, before = digests(undisturbed / "snapshots"), len(files.published(home))
    kept = files.published(undisturbed)
    for place in at_moments(home, words, tmp_path, 22):
        left = weeks_are_whole(place)
        assert set(kept) <= set(left), "what the policy keeps was never touched"
        seen["had begun" if len(left) < before else "had not begun"] += 1
        done = forked(place, *words)
        assert done.returncode == 0, done.stderr
        assert digests(place / "snapshots") == wanted
    print(f"\n{KILLS} kills of clean: {dict(seen)}")


@pytest.mark.parametrize("target", ["csv", "salesforce"])
def test_whenever_export_is_killed_no_file_is_half_and_the_next_one_writes_the_same_bytes(good_home, tmp_path, target):
    undisturbed = copied(good_home, tmp_path / "once")
    assert forked(undisturbed, "export", "--to", target, "--out", tmp_path / "wanted").returncode == 0
    wanted = digests(tmp_path / "wanted")
    out, seen = tmp_path / "out", Counter()
    words = ("export", "--to", target, "--out", out)
    for home in at_moments(good_home, words, tmp_path, 23):
        found = {} if not out.exists() else {name: of for name, of in digests(out).items() if name[0] != "."}
        assert found.items() <= wanted.items()
        seen[f"{len(found)} of {len(wanted)} files"] += 1
        done = forked(home, *words)
        assert done.returncode == 0, done.stderr
        assert digests(out) == wanted
        shutil.rmtree(out)
    print(f"\n{KILLS} kills of export to {target}: {dict(seen)}")


def test_whenever_erase_is_killed_weeks_are_whole_and_after_the_next_one_nobody_is_found(good_home, tmp_path):
    who = files.read_snapshot(good_home).table("scores")["customer_id"][3].as_py()
    shutil.rmtree(good_home / "logs", ignore_errors=True)
    words, seen = ("erase", who, "--now", LATER), Counter()
    assert found_in(good_home, who=who)
    for home in at_moments(good_home, words, tmp_path, 24):
        weeks_are_whole(home)
        seen[f"{len(found_in(home, who=who))} files left"] += 1
        done = forked(home, *words)
        assert done.returncode == 0, done.stderr
        assert found_in(home, who=who) == {}
        weeks_are_whole(home)
        assert load_champion(home, "churn") is not None
    print(f"\n{KILLS} kills of erase: {dict(sorted(seen.items()))}")


def test_whenever_the_tracking_server_is_killed_the_champion_stays_whole_and_training_goes_on_when_it_is_back(
    company, tmp_path
):
    (tmp_path / "tables").mkdir()
    data, home, seen = handed_over(company, tmp_path / "tables"), tmp_path / "home", Counter()
    server, draw = Server(tmp_path / "tracking"), random.Random(25)
    shared = {
        "MLFLOW_TRACKING_URI": server.url,
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    }
    words = ("train", "churn", data, "--now", NOW)
    try:
        begun = time.monotonic()
        done = vouch(home, *words, "--as-of", BEFORE, **shared)
        assert done.returncode == 0, done.stderr
        longest_s, hashes = time.monotonic() - begun, {load_champion(home, "churn").content_hash}
        for _ in range(KILLS):
            process = started(home, *words, **shared)
            timer = threading.Timer(longest_s * draw.uniform(0.3, 1.0), server.kill)
            timer.start()
            code = process.wait(600)
            timer.join()
            seen["trained all the same" if code == 0 else "gave up"] += 1
            assert code in {0, 1}
            hashes |= {load_champion(home, "churn").content_hash} if code == 0 else set()
            assert load_champion(home, "churn").content_hash in hashes, "a champion of before, or of a run that ended"
            server.start()
            told = vouch(home, "clean", "--now", "2026-12-30T06:00:00Z", "--format", "json", **shared)
            assert told.returncode == 0, told.stderr
            held = json.loads(vouch(home, "models", "--format", "json", **shared).stdout)
            (champion,) = [row for row in held if row["alias"] == "champion"]
            assert load_champion(home, "churn").content_hash == champion["content_hash"]
        done = vouch(home, *words, **shared)
        assert done.returncode == 0, done.stderr
    finally:
        server.kill()
    print(f"\n{KILLS} kills of the tracking server: {dict(seen)}")
