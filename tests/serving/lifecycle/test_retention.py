"""`vouch clean`: what the policy lets go, what it never does, and what interrupted runs left."""

from __future__ import annotations

import os

import pytest

from support.handwritten_weeks import WEEK, publish
from vouch.features.durable import sealed
from vouch.features.errors import ConfigurationError
from vouch.features.ingest.inputs import FORM
from vouch.features.instants import WEEK_US, parse_instant
from vouch.serving.lifecycle.retention import clean, load_retention_policy
from vouch.serving.snapshots import files as snapshot

NEWEST = parse_instant("2026-11-16")
NOW = parse_instant("2026-11-17T06:00:00Z")
DEAD = 2**22 + 1
"""A number that no process has."""


@pytest.fixture
def home(tmp_path):
    """A home of eight weeks, kept for four and then by the month, the fifth newest in two revisions."""
    for weeks in range(8):
        publish(tmp_path, NEWEST - weeks * WEEK_US, WEEK[:2])
    publish(tmp_path, NEWEST - 3 * WEEK_US, WEEK[:1])
    (tmp_path / "retention.toml").write_text("[snapshots]\nweeks = 4\nmonths = 1\n[revisions]\ndays = 20\n")
    return tmp_path


def dates(home):
    return [path.name.removeprefix("as_of=") for path in sorted((home / "snapshots").iterdir())]


def test_old_weeks_are_thinned_to_one_a_month_and_replaced_revisions_go(home):
    done = clean(home, NOW, is_rehearsal=False)
    assert dates(home) == ["2026-10-05", "2026-10-26", "2026-11-02", "2026-11-09", "2026-11-16"]
    assert set(snapshot.revisions(home / "snapshots" / "as_of=2026-10-26")) == {2}
    assert snapshot.read_snapshot(home, NEWEST - 3 * WEEK_US).revision == 2
    assert [entry["path"] for entry in done.removed] == [
        "snapshots/as_of=2026-09-28",
        "snapshots/as_of=2026-10-12",
        "snapshots/as_of=2026-10-19",
        "snapshots/as_of=2026-10-26/revision-1",
    ]
    assert clean(home, NOW, is_rehearsal=False).removed == []


def test_what_a_run_that_was_cut_off_had_begun_to_remove_is_gone_after_the_next_one(home, monkeypatch):
    class Killed(BaseException):
        """What no handler catches: as far as files go, the same as kill -9."""

    wanted = clean(home, NOW, is_rehearsal=True).removed
    cut_off = 0

    def killed(folder, *_, **__):
        nonlocal cut_off
        cut_off += 1
        next(path for path in folder.rglob("*") if path.is_file()).unlink()
        raise Killed

    for _ in wanted:
        with monkeypatch.context() as patch:
            patch.setattr("vouch.serving.lifecycle.retention.shutil.rmtree", killed)
            with pytest.raises(Killed):
                clean(home, NOW, is_rehearsal=False)
        for instant in snapshot.published(home):
            snapshot.read_snapshot(home, instant)
    clean(home, NOW, is_rehearsal=False)
    assert cut_off == len(wanted)
    assert dates(home) == ["2026-10-05", "2026-10-26", "2026-11-02", "2026-11-09", "2026-11-16"]
    assert set(snapshot.revisions(home / "snapshots" / "as_of=2026-10-26")) == {2}
    assert not any((home / "scratch").iterdir())


def test_a_rehearsal_says_the_same_and_touches_nothing(home):
    before = sorted(home.rglob("*"))
    said = clean(home, NOW, is_rehearsal=True)
    assert sorted(home.rglob("*")) == before
    assert said.removed == clean(home, NOW, is_rehearsal=False).removed


def test_a_young_revision_and_the_newest_week_stay_whatever_the_policy_says(tmp_path):
    publish(tmp_path, NEWEST, WEEK[:1])
    publish(tmp_path, NEWEST, WEEK[:2])
    (tmp_path / "retention.toml").write_text("[snapshots]\nweeks = 1\nmonths = 1\n")
    assert clean(tmp_path, NOW, is_rehearsal=False).removed == []
    far = parse_instant("2036-11-17")
    assert [entry["path"] for entry in clean(tmp_path, far, is_rehearsal=False).removed] == [
        "snapshots/as_of=2026-11-16/revision-1"
    ]
    assert snapshot.read_snapshot(tmp_path).revision == 2


def test_what_interrupted_runs_left_goes_and_what_is_at_work_stays(home):
    left = [
        home / "snapshots" / "as_of=2026-11-16" / "draft-0123",
        home / "staged" / f".building-{DEAD}-x",
        home / "scratch" / "score-x",
    ]
    stays = [home / "staged" / f".building-{os.getpid()}-x", home / "scratch" / "features-x"]
    for path in (*left, *stays):
        path.mkdir(parents=True)
    clean(home, NOW, is_rehearsal=False)
    assert not [path for path in left if path.exists()]
    assert all(path.exists() for path in stays)


def test_the_draft_of_a_killed_writer_goes_and_that_of_another_stays(home):
    old, young = home / ".outputs.json.0a1b2c3d.next", home / "erasure" / ".hashes.json.4e5f6a7b.next"
    for path, days in ((old, 2), (young, 0)):
        path.parent.mkdir(exist_ok=True)
        path.write_text("[")
        os.utime(path, (NOW // 1_000_000 - days * 86_400,) * 2)
    assert clean(home, NOW, is_rehearsal=True).removed[-1]["path"] == old.name
    clean(home, NOW, is_rehearsal=False)
    assert (old.exists(), young.exists()) == (False, True)


def test_staged_tables_and_run_summaries_stay_for_a_while(home):
    for number in range(5):
        folder = home / "staged" / f"{number:064}"
        folder.mkdir(parents=True)
        files = {"usage_events.parquet/1.parquet": {"digest": f"rows-{number}"}}
        described = {"form": FORM, "parts": {"usage_events": [f"part-{number}"]}, "files": files}
        (folder / "manifest.json").write_text(sealed(described))
        (folder / "report.json").write_text(sealed({"form": FORM}))
        for made in (home / "parts/usage_events" / f"part-{number}", home / "rollups/usage_events" / f"rows-{number}"):
            made.mkdir(parents=True)
            os.utime(made, (number, number))
        os.utime(folder / "manifest.json", (number, number))
    for name, content in (("a" * 64, sealed({"form": FORM - 1})), ("b" * 64, "{}")):  # of another version, and damaged
        (home / "staged" / name).mkdir()
        (home / "staged" / name / "manifest.json").write_text(content)
    (home / "runs").mkdir()
    for name, at in (("old", "2025-10-01"), ("new", "2026-10-01")):
        (home / "runs" / name).write_text("{}")
        seconds = parse_instant(at) // 1_000_000
        os.utime(home / "runs" / name, (seconds, seconds))
    clean(home, NOW, is_rehearsal=False)
    assert sorted(int(path.name, 16) for path in (home / "staged").iterdir()) == [2, 3, 4]
    assert sorted(path.name for path in (home / "parts" / "usage_events").iterdir()) == ["part-2", "part-3", "part-4"]
    assert sorted(path.name for path in (home / "rollups/usage_events").iterdir()) == ["rows-2", "rows-3", "rows-4"]
    assert [path.name for path in (home / "runs").iterdir()] == ["new"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[snapshot]\nweeks = 1", "did you mean 'snapshots'"),
        ("[snapshots]\nweek = 1", "did you mean 'weeks'"),
        ("[snapshots]\nweeks = 0", "at least 1"),
        ("[snapshots]\nweeks = 1.5", "a whole number"),
        ("[snapshots", "not valid TOML"),
    ],
)
def test_a_policy_that_is_wrong_says_where(tmp_path, text, said):
    (tmp_path / "retention.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"retention\.toml") as told:
        load_retention_policy(tmp_path)
    assert said in str(told.value)
