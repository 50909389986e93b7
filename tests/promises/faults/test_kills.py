"""kill -9 at any moment: what was good stays good, and the next run ends as if nothing had happened."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from support.faults import BEFORE, MONDAY, NOW, copied, forked, handed_over, killed, moments, seconds_of
from vouch.features.instants import parse_instant
from vouch.models.predictor import load_champion
from vouch.models.registry.champions import history
from vouch.serving.snapshots import files
from vouch.serving.store.connection import Database
from vouch.serving.store.weeks import read_batches, stored_weeks

pytestmark = pytest.mark.nightly
SCORE_KILLS, TRAIN_KILLS = 50, 20


def test_whenever_score_is_killed_the_last_week_is_whole_and_the_next_run_gives_the_same_bytes(
    small_company, good_home, tmp_path
):
    words = ("score", small_company, "--as-of", MONDAY, "--now", NOW)
    undisturbed = copied(good_home, tmp_path / "undisturbed")
    longest_s = seconds_of(undisturbed, *words)
    wanted = files.read_snapshot(undisturbed, parse_instant(MONDAY)).manifest["files"]
    seen: Counter[str] = Counter()
    for trial, moment in enumerate(moments(SCORE_KILLS, longest_s, seed=1)):
        home = copied(good_home, tmp_path / f"home-{trial}")
        if trial % 2:  # half of them read and check the tables as well
            shutil.rmtree(home / "staged")
        while not killed(home, moment, *words):  # it was faster than the one that was measured
            seen["had ended before"] += 1
            shutil.rmtree(home)
            home, moment = copied(good_home, home), moment * 0.5
        seen["killed at work"] += 1
        instants = files.published(home)
        assert instants in ([parse_instant(BEFORE)], [parse_instant(BEFORE), parse_instant(MONDAY)])
        seen["new week was out"] += len(instants) == 2
        for instant in instants:
            files.read_snapshot(home, instant)
        assert load_champion(home, "churn") is not None
        left = [path.name for path in (home / "snapshots").glob("*/draft-*")]
        seen["had work to take up"] += bool(left)
        done = forked(home, *words)
        assert done.returncode == 0, f"trial {trial} at {moment:.2f} s: {done.stderr}"
        found = files.read_snapshot(home, parse_instant(MONDAY))
        assert found.manifest["files"] == wanted, f"trial {trial} at {moment:.2f} s"
        assert not list((home / "snapshots").glob("*/draft-*"))
        assert not list((home / "scratch").glob("*")) if (home / "scratch").exists() else True
        assert not list((home / "staged").glob(".building-*")), "what a killed run was staging is swept"
        assert stored(home) == {parse_instant(BEFORE): 1, parse_instant(MONDAY): 1}
        shutil.rmtree(home)
    print(f"\n{SCORE_KILLS} kills over {longest_s:.1f} s: {dict(seen)}")
    assert seen["killed at work"] == SCORE_KILLS


def stored(home) -> dict[int, int]:
    """The weeks that services read from the store, and their revisions; each batch of them is opened."""
    database = Database(home)
    try:
        with database.reading() as connection:
            held = stored_weeks(connection, with_customers=True)
            for week in held:
                for name in ("scores", "customers", "metrics"):
                    assert list(read_batches(connection, week.snapshot_id, name))
        return {week.as_of_us: week.revision for week in held}
    finally:
        database.close()


def runs(home) -> int:
    """How many runs the tracking database knows."""
    with closing(sqlite3.connect(f"file:{home}/mlflow/mlflow.db?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT count(*) FROM runs").fetchone()[0]


def test_whenever_train_is_killed_the_champion_is_whole_and_clean_puts_right_what_was_left(company, tmp_path):
    """Half of the kills hit the work, half what comes of it: the run, the version, the promotion."""
    (tmp_path / "tables").mkdir()
    data, later = (
        handed_over(company, tmp_path / "tables"),
        f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}",
    )
    trained, words = tmp_path / "trained", ("train", "churn", data, "--now", NOW)
    assert forked(trained, *words, "--as-of", BEFORE).returncode == 0
    undisturbed = copied(trained, tmp_path / "undisturbed")
    longest_s, storing_s = seconds_of_training(undisturbed, words)
    first, second = (load_champion(home, "churn").content_hash for home in (trained, undisturbed))
    assert first != second
    seen: Counter[str] = Counter()
    half = TRAIN_KILLS // 2
    tries = [(moment, False) for moment in moments(half, longest_s - storing_s, seed=2)]
    for trial, (moment, is_late) in enumerate([*tries, *((after, True) for after in moments(half, storing_s, seed=3))]):
        home = copied(trained, tmp_path / f"home-{trial}")
        while not killed(home, moment, *words, since=lambda home=home, late=is_late: not late or runs(home) > 1):
            seen["had ended before"] += 1
            shutil.rmtree(home)
            home, moment = copied(trained, home), moment * 0.5
        seen["killed at work"] += 1
        found = load_champion(home, "churn").content_hash
        assert found in (first, second), f"trial {trial} at {moment:.2f} s"
        seen["another champion"] += found == second
        done = forked(home, "clean", "--now", later, "--format", "json")
        assert done.returncode == 0, done.stderr
        seen.update({f"{name} put right": count for name, count in json.loads(done.stdout)["marked"].items()})
        again = forked(home, "clean", "--now", later, "--format", "json")
        assert not any(json.loads(again.stdout)["marked"].values())
        versions = json.loads(forked(home, "models", "--format", "json").stdout)
        (champion,) = [row for row in versions if row["alias"] == "champion"]
        assert champion["content_hash"] == load_champion(home, "churn").content_hash == found
        assert history(home, "churn")[-1]["version"] == champion["version"]
        if trial % 5 == 0:
            done = forked(home, *words)
            assert done.returncode == 0, f"trial {trial} at {moment:.2f} s: {done.stderr}"
            assert load_champion(home, "churn").content_hash == second
        shutil.rmtree(home)
    print(f"\n{TRAIN_KILLS} kills over {longest_s:.1f} s, {storing_s:.1f} of them storing: {dict(seen)}")
    assert seen["killed at work"] == TRAIN_KILLS


def seconds_of_training(home, words) -> tuple[float, float]:
    """How long training takes in all, and from the moment at which its run is begun, in one run undisturbed."""
    start, begun = time.perf_counter(), []

    def has_begun():
        begun.extend([time.perf_counter()] if runs(home) > 1 else [])
        return bool(begun)

    assert not killed(home, 600, *words, since=has_begun)
    end = time.perf_counter()
    return end - start, end - begun[0]
