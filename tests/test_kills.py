"""kill -9 at any moment: what was good stays good, and the next run ends as if nothing had happened."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest
from faults import BEFORE, MONDAY, NOW, copied, killed, moments, seconds_of, vouch, with_champions

from features.simulate import simulate
from models.predictor import load_champion
from serving import snapshot
from serving.instants import parse_instant

pytestmark = pytest.mark.nightly
SCORE_KILLS, TRAIN_KILLS = 50, 20


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A company of 150 customers."""
    folder = tmp_path_factory.mktemp("small")
    simulate(folder, customers=150, weeks=40, seed=3)
    return folder


@pytest.fixture(scope="module")
def good(small, tmp_path_factory):
    """A home whose last good week is the one before."""
    home = tmp_path_factory.mktemp("good")
    with_champions(home, small, BEFORE)
    return home


def test_whenever_score_is_killed_the_last_week_is_whole_and_the_next_run_gives_the_same_bytes(small, good, tmp_path):
    words = ("score", small, "--as-of", MONDAY, "--now", NOW)
    undisturbed = copied(good, tmp_path / "undisturbed")
    longest_s = seconds_of(undisturbed, *words)
    wanted = snapshot.read_snapshot(undisturbed, parse_instant(MONDAY)).manifest["files"]
    seen: Counter[str] = Counter()
    for trial, moment in enumerate(moments(SCORE_KILLS, longest_s, seed=1)):
        home = copied(good, tmp_path / f"home-{trial}")
        if trial % 2:  # half of them read and check the tables as well
            shutil.rmtree(home / "staged")
        seen["killed at work"] += killed(home, moment, *words)
        instants = snapshot.published(home)
        assert instants in ([parse_instant(BEFORE)], [parse_instant(BEFORE), parse_instant(MONDAY)])
        seen["new week was out"] += len(instants) == 2
        for instant in instants:
            snapshot.read_snapshot(home, instant)
        assert load_champion(home, "churn") is not None
        left = [path.name for path in (home / "snapshots").glob("*/draft-*")]
        seen["had work to take up"] += bool(left)
        done = vouch(home, *words)
        assert done.returncode == 0, f"trial {trial} at {moment:.2f} s: {done.stderr}"
        found = snapshot.read_snapshot(home, parse_instant(MONDAY))
        assert found.manifest["files"] == wanted, f"trial {trial} at {moment:.2f} s"
        assert not list((home / "snapshots").glob("*/draft-*"))
        assert not list((home / "scratch").glob("*")) if (home / "scratch").exists() else True
        assert not list((home / "staged").glob(".building-*")), "what a killed run was staging is swept"
        shutil.rmtree(home)
    print(f"\n{SCORE_KILLS} kills over {longest_s:.1f} s: {dict(seen)}")
    assert seen["killed at work"] >= SCORE_KILLS * 0.9
