"""kill -9 at any moment: what was good stays good, and the next run ends as if nothing had happened."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import pytest
from faults import BEFORE, MONDAY, NOW, copied, forked, handed_over, killed, moments, seconds_of

from models.champions import history
from models.predictor import load_champion
from serving import snapshot
from serving.instants import parse_instant

pytestmark = pytest.mark.nightly
SCORE_KILLS, TRAIN_KILLS = 50, 20


def test_whenever_score_is_killed_the_last_week_is_whole_and_the_next_run_gives_the_same_bytes(
    small_company, good_home, tmp_path
):
    words = ("score", small_company, "--as-of", MONDAY, "--now", NOW)
    undisturbed = copied(good_home, tmp_path / "undisturbed")
    longest_s = seconds_of(undisturbed, *words)
    wanted = snapshot.read_snapshot(undisturbed, parse_instant(MONDAY)).manifest["files"]
    seen: Counter[str] = Counter()
    for trial, moment in enumerate(moments(SCORE_KILLS, longest_s, seed=1)):
        home = copied(good_home, tmp_path / f"home-{trial}")
        if trial % 2:  # half of them read and check the tables as well
            shutil.rmtree(home / "staged")
        while not killed(home, moment, *words):  # it was faster than the one that was measured
            seen["had ended before"] += 1
            shutil.rmtree(home)
            home, moment = copied(good_home, home), moment * 0.7
        seen["killed at work"] += 1
        instants = snapshot.published(home)
        assert instants in ([parse_instant(BEFORE)], [parse_instant(BEFORE), parse_instant(MONDAY)])
        seen["new week was out"] += len(instants) == 2
        for instant in instants:
            snapshot.read_snapshot(home, instant)
        assert load_champion(home, "churn") is not None
        left = [path.name for path in (home / "snapshots").glob("*/draft-*")]
        seen["had work to take up"] += bool(left)
        done = forked(home, *words)
        assert done.returncode == 0, f"trial {trial} at {moment:.2f} s: {done.stderr}"
        found = snapshot.read_snapshot(home, parse_instant(MONDAY))
        assert found.manifest["files"] == wanted, f"trial {trial} at {moment:.2f} s"
        assert not list((home / "snapshots").glob("*/draft-*"))
        assert not list((home / "scratch").glob("*")) if (home / "scratch").exists() else True
        assert not list((home / "staged").glob(".building-*")), "what a killed run was staging is swept"
        shutil.rmtree(home)
    print(f"\n{SCORE_KILLS} kills over {longest_s:.1f} s: {dict(seen)}")
    assert seen["killed at work"] == SCORE_KILLS


def test_whenever_train_is_killed_the_champion_is_whole_and_clean_marks_what_was_left(company, tmp_path):
    (tmp_path / "tables").mkdir()
    words = ("train", "churn", handed_over(company, tmp_path / "tables"), "--now", NOW)
    later = "2026-11-18T06:00:00Z"
    trained = tmp_path / "trained"
    seconds_of(trained, *words)
    first = load_champion(trained, "churn")
    longest_s = seconds_of(copied(trained, tmp_path / "undisturbed"), *words)
    seen: Counter[str] = Counter()
    for trial, moment in enumerate(moments(TRAIN_KILLS, longest_s, seed=2)):
        home = copied(trained, tmp_path / f"home-{trial}")
        while not killed(home, moment, *words):
            seen["had ended before"] += 1
            shutil.rmtree(home)
            home, moment = copied(trained, home), moment * 0.7
        seen["killed at work"] += 1
        found = load_champion(home, "churn")
        assert found is not None, f"trial {trial} at {moment:.2f} s"
        seen["another champion"] += found.content_hash != first.content_hash
        assert history(home, "churn")
        done = forked(home, "models", "--format", "json")
        versions = json.loads(done.stdout)
        champion = [row for row in versions if row["alias"] == "champion"]
        assert (done.returncode, len(champion)) == (0, 1)
        done = forked(home, "clean", "--now", later, "--format", "json")
        assert done.returncode == 0, done.stderr
        marked = json.loads(done.stdout)["marked"]
        seen.update({f"{name} left at work": count for name, count in marked.items()})
        again = forked(home, "clean", "--now", later, "--format", "json")
        assert json.loads(again.stdout)["marked"] == {"runs": 0, "models": 0}
        if trial % 5 == 0:
            done = forked(home, *words)
            assert done.returncode == 0, f"trial {trial} at {moment:.2f} s: {done.stderr}"
            assert load_champion(home, "churn") is not None
        shutil.rmtree(home)
    print(f"\n{TRAIN_KILLS} kills over {longest_s:.1f} s: {dict(seen)}")
    assert seen["killed at work"] == TRAIN_KILLS
