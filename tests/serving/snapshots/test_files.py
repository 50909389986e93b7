"""Snapshots: there whole or not at all, and never read where they are damaged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.handwritten_weeks import publish as handwritten
from support.spoilt_documents import NO_DOCUMENT, spoilt
from vouch.features.errors import Locked, SnapshotError, UsageError
from vouch.features.instants import parse_instant
from vouch.serving.api.state import ServingState
from vouch.serving.snapshots.files import (
    Draft,
    current_folder,
    drafting,
    lock,
    open_revision,
    point_to,
    published,
    read_snapshot,
    revisions,
)
from vouch.serving.snapshots.manifest import sealed

MONDAY, NEXT, MOMENT = map(parse_instant, ("2026-11-16", "2026-11-23", "2026-11-23T06:30:00Z"))
ROWS = pa.table({"customer_id": [f"c{number:05}" for number in range(3000)], "score": [0.5] * 3000})


def publish(home, as_of_us=MONDAY, rows=ROWS, **manifest):
    with drafting(home, as_of_us) as draft:
        with draft.table("scores", rows.schema) as writer:
            writer.write_table(rows)
        return draft.publish({"now": "2026-11-17", **manifest})


def test_what_was_published_is_read_again(tmp_path):
    snapshot = publish(tmp_path, note="as written")
    found = read_snapshot(tmp_path)
    assert found == snapshot
    assert found.table("scores").equals(ROWS)
    assert found.manifest["note"] == "as written"
    assert (found.revision, found.manifest["as_of"]) == (1, "2026-11-16")


def test_the_greatest_instant_wins_unless_one_is_named(tmp_path):
    for as_of_us in (MOMENT, NEXT, MONDAY):
        publish(tmp_path, as_of_us)
    assert published(tmp_path) == [MONDAY, NEXT, MOMENT]
    assert read_snapshot(tmp_path).as_of_us == MOMENT
    assert read_snapshot(tmp_path, MONDAY).as_of_us == MONDAY
    assert (tmp_path / "snapshots" / "as_of=2026-11-23T063000Z" / "revision-1").is_dir()


def test_a_revision_is_published_beside_the_earlier_one(tmp_path):
    publish(tmp_path)
    publish(tmp_path, rows=ROWS.slice(1))
    assert read_snapshot(tmp_path).revision == 2
    assert len(open_revision(tmp_path / "snapshots" / "as_of=2026-11-16" / "revision-1").table("scores")) == 3000


def test_the_same_rows_give_the_same_bytes(tmp_path):
    first, second = publish(tmp_path / "a"), publish(tmp_path / "b", note="another manifest")
    assert first.manifest["files"] == second.manifest["files"]


def test_nothing_is_left_of_a_draft_that_failed(tmp_path):
    with pytest.raises(RuntimeError, match="no luck"), drafting(tmp_path, MONDAY):
        raise RuntimeError("no luck")
    assert list((tmp_path / "snapshots" / "as_of=2026-11-16").iterdir()) == []
    assert published(tmp_path) == []
    with pytest.raises(SnapshotError, match="Run `vouch score` first"):
        read_snapshot(tmp_path)


def test_the_draft_of_a_killed_run_is_swept_and_never_read(tmp_path):
    publish(tmp_path)
    left = tmp_path / "snapshots" / "as_of=2026-11-16" / "draft-killed"
    left.mkdir()
    (left / "scores.parquet").write_bytes(b"half")
    assert read_snapshot(tmp_path).revision == 1
    publish(tmp_path)
    assert not left.exists()


def step_of(draft, made):
    """Write one table as a step, and note that it was made."""

    def make():
        made.append(draft.folder)
        with draft.table("scores", ROWS.schema) as writer:
            writer.write_table(ROWS)

    return draft.once("scores", [draft.folder / "scores.parquet"], make)


@pytest.mark.parametrize(
    ("inputs", "damage", "is_made"), [("same", None, False), ("same", 40, True), ("other", None, True)]
)
def test_what_a_killed_run_made_whole_is_taken_up_from_the_same_inputs_only(tmp_path, inputs, damage, is_made):
    made = []
    left = tmp_path / "snapshots" / "as_of=2026-11-16" / "draft-same"
    (left / "kept").mkdir(parents=True)
    assert step_of(Draft(left, MONDAY), made)
    if damage:
        whole = (left / "scores.parquet").read_bytes()
        (left / "scores.parquet").write_bytes(whole[:damage] + b"x" + whole[damage + 1 :])
    with drafting(tmp_path, MONDAY, inputs) as draft:
        assert step_of(draft, made) is is_made
        draft.publish({"now": "2026-11-17"})
    assert len(made) == 1 + is_made
    assert read_snapshot(tmp_path).table("scores").equals(ROWS)
    assert sorted(path.name for path in left.parent.iterdir()) == ["CURRENT", "revision-1"]


def test_a_revision_that_was_never_pointed_to_is_not_read(tmp_path):
    first = publish(tmp_path)
    second = publish(tmp_path)
    point_to(first.folder)
    assert read_snapshot(tmp_path).revision == 1
    assert set(revisions(second.folder.parent)) == {1, 2}


@pytest.mark.parametrize("pointed", ["", "../../elsewhere", "revision-0", "revision-9"])
def test_a_pointer_to_nothing_is_refused(tmp_path, pointed):
    publish(tmp_path)
    (tmp_path / "snapshots" / "as_of=2026-11-16" / "CURRENT").write_text(pointed)
    with pytest.raises(SnapshotError):
        read_snapshot(tmp_path)


def test_a_snapshot_under_another_name_is_refused(tmp_path):
    folder = publish(tmp_path).folder
    shutil.copytree(folder.parent, folder.parent.with_name("as_of=2026-11-30"))
    with pytest.raises(SnapshotError, match="another snapshot"):
        read_snapshot(tmp_path)


def test_nothing_is_published_for_an_instant_between_two_seconds(tmp_path):
    with pytest.raises(UsageError, match="whole second"), drafting(tmp_path, MONDAY + 1):
        pass
    assert current_folder(tmp_path, NEXT) is None


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    home = tmp_path_factory.mktemp("sound")
    publish(home)
    return home


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_changed_byte_or_a_cut_is_noticed_or_changes_nothing(sound, data):
    folder = current_folder(sound, MONDAY)
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        damaged = whole[:place]
    else:
        damaged = whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 :]
    path.write_bytes(damaged)
    try:
        snapshot = read_snapshot(sound)
        assert path.name == "manifest.json"
        assert snapshot.manifest == {k: v for k, v in json.loads(whole).items() if k != "digest"}
        assert snapshot.table("scores").equals(ROWS)
    except SnapshotError:
        pass
    finally:
        path.write_bytes(whole)


def test_a_flipped_byte_under_an_open_snapshot_is_noticed_too(sound):
    snapshot = read_snapshot(sound)
    path = snapshot.folder / "scores.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    with pytest.raises(SnapshotError, match="cannot be read"):
        snapshot.table("scores")
    path.write_bytes(whole)


def test_two_runs_at_once_are_kept_apart(tmp_path):
    with lock(tmp_path, "score"):
        with pytest.raises(Locked, match="Another `vouch score`"), lock(tmp_path, "score"):
            pass
        with lock(tmp_path, "train"):
            pass
        with pytest.raises(Locked, match=r"waited for 0\.05 s"), lock(tmp_path, "score", 0.05):
            pass
    with lock(tmp_path, "score"):
        pass


def test_the_lock_of_a_killed_run_is_free(tmp_path):
    code = (
        "import os, signal, sys, pathlib; from vouch.serving.snapshots.files import lock\n"
        "with lock(pathlib.Path(sys.argv[1]), 'score'):\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    with lock(tmp_path, "score"):
        pass


@pytest.fixture
def week(tmp_path):
    """A published week whose manifest holds all that is read again."""
    drift = {"churn": {"reason": None, "score": {"index": 0.31}, "moderate": 2, "major": 1}}
    return handwritten(tmp_path, drift=drift, columns={"customers": ["plan"]}, statuses={"churn": {"ok": 2}})


def test_any_wrong_value_anywhere_in_a_manifest_is_a_snapshot_error_or_is_not_read(week):
    path = week.folder / "manifest.json"
    content = {name: value for name, value in json.loads(path.read_bytes()).items() if name != "digest"}
    refused = tried = 0
    for document in spoilt(content):
        path.write_text(sealed(document) if isinstance(document, dict) else json.dumps(document))
        tried += 1
        try:
            found = open_revision(week.folder)
        except SnapshotError:
            refused += 1
        else:
            assert found.manifest["files"].items() <= content["files"].items()
            for name in {"scores", "metrics"} - {Path(file).stem for file in found.manifest["files"]}:
                with pytest.raises(SnapshotError, match="not listed"):
                    found.table(name)
    assert refused > tried / 2


@pytest.mark.parametrize("body", NO_DOCUMENT)
def test_what_is_no_manifest_is_a_snapshot_error(week, body):
    (week.folder / "manifest.json").write_bytes(body)
    with pytest.raises(SnapshotError, match="cannot be read"):
        open_revision(week.folder)


@pytest.mark.parametrize("name", ["../other.parquet", "/etc/hostname", "a/b.parquet", "scores.parquet\n", ".."])
def test_a_manifest_lists_files_of_its_own_folder_alone(week, name):
    path = week.folder / "manifest.json"
    content = {key: value for key, value in json.loads(path.read_bytes()).items() if key != "digest"}
    path.write_text(sealed({**content, "files": {**content["files"], name: "0" * 64}}))
    with pytest.raises(SnapshotError, match="cannot be read"):
        open_revision(week.folder)


def test_a_service_does_not_take_a_week_whose_tables_have_columns_of_another_kind(tmp_path, week):
    store = ServingState(tmp_path)
    for _ in range(2):  # the first one makes what the store keeps secret
        store.refresh()
    first = store.portfolio
    table = week.table("scores")
    place = table.schema.get_field_index("churn_probability")
    odd = table.set_column(place, "churn_probability", pa.array(["x"] * len(table)))
    with drafting(tmp_path, week.as_of_us) as draft:
        for name, rows in {
            "scores": odd,
            "customers": week.table("customers"),
            "metrics": week.table("metrics"),
        }.items():
            with draft.table(name, rows.schema) as writer:
                writer.write_table(rows)
        draft.publish({**week.manifest})
    store.refresh()
    assert store.portfolio is first
    assert "of another kind" in store.refused[0]
    store.stop()
