"""Weeks in Delta and Iceberg tables: the values of the snapshot, once, whole or not at all, and no one erased."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from support.handwritten_weeks import BEFORE, EARLIER, MONDAY, WEEK, customer, publish
from support.searching import found_in
from vouch.features.errors import MissingExtra, UsageError
from vouch.features.ingest.lakes.tables import newest_metadata
from vouch.features.instants import parse_instant
from vouch.serving.exports import lakes
from vouch.serving.exports.lakes import Lake, write_week
from vouch.serving.snapshots.files import read_snapshot
from vouch.serving.store.actions import set_objection
from vouch.serving.store.callers import EVERYBODY
from vouch.serving.store.connection import Database

pytest.importorskip("deltalake", reason="the extra `lakes` is not installed")
KINDS = pytest.mark.parametrize("kind", list(Lake))
WHO = "planted-4711"
NOW = parse_instant("2026-11-17T06:00:00Z")


def read(path: Path, kind: Lake) -> pa.Table:
    """A table as its own library reads it; of Iceberg the files that count, for it makes a null list an empty one."""
    if kind is Lake.DELTA:
        from deltalake import DeltaTable

        return DeltaTable(str(path)).to_pyarrow_table()
    from pyiceberg.table import StaticTable

    table = StaticTable.from_metadata(str(newest_metadata(path)))
    parts = [pq.read_table(task.file.file_path.removeprefix("file://")) for task in table.scan().plan_files()]
    plain = [
        name for name in table.scan().to_arrow().column_names if not name.endswith(("reasons", "within", "effects"))
    ]
    whole = pa.concat_tables(parts, promote_options="default")
    seen = table.scan(selected_fields=tuple(plain)).to_arrow()
    order = [(name, "ascending") for name in ("as_of", seen.column_names[0])]
    assert seen.sort_by(order).to_pylist() == whole.select(seen.column_names).sort_by(order).to_pylist()
    return whole


def week_of(path: Path, kind: Lake, as_of_us: int) -> list[dict]:
    rows = [row for row in read(path, kind).to_pylist() if row["as_of"].timestamp() * 1_000_000 == as_of_us]
    return [{name: value for name, value in row.items() if name not in ("as_of", "revision")} for row in rows]


def told(snapshot, name: str) -> list[dict]:
    return snapshot.table(name).drop_columns(["as_of"]).to_pylist()


def by_id(rows: list[dict], name: str = "customer_id") -> list[dict]:
    return sorted(rows, key=lambda row: str([row[name], row.get("by"), row.get("segment")]))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@KINDS
def test_a_table_holds_each_week_s_values_and_a_week_that_is_written_again_changes_nothing(kind, tmp_path):
    earlier = publish(tmp_path / "home", BEFORE, EARLIER)
    week = publish(tmp_path / "home")
    for snapshot in (earlier, week):
        assert all(one.is_new for one in write_week(snapshot, kind, tmp_path / "lake"))
    for snapshot, as_of_us in ((earlier, BEFORE), (week, MONDAY)):
        for name, key in (("scores", "customer_id"), ("metrics", "metric_id")):
            stands = week_of(tmp_path / "lake" / name, kind, as_of_us)
            assert by_id(stands, key) == by_id(told(snapshot, name), key)
    before = files_of(tmp_path / "lake")
    for snapshot in (earlier, week):
        assert not any(one.is_new for one in write_week(snapshot, kind, tmp_path / "lake"))
    assert files_of(tmp_path / "lake") == before


@KINDS
def test_a_week_that_was_scored_anew_takes_the_place_of_the_one_before_and_no_other(kind, tmp_path):
    earlier = publish(tmp_path / "home", BEFORE, EARLIER)
    write_week(earlier, kind, tmp_path / "lake")
    write_week(publish(tmp_path / "home"), kind, tmp_path / "lake")
    anew = publish(tmp_path / "home", people=[*WEEK[:3], customer("c9", 0.2, 0.3)])
    assert anew.revision == 2
    assert write_week(anew, kind, tmp_path / "lake")[0].is_new
    path = tmp_path / "lake" / "scores"
    assert by_id(week_of(path, kind, MONDAY)) == by_id(told(anew, "scores"))
    assert by_id(week_of(path, kind, BEFORE)) == by_id(told(earlier, "scores"))
    assert set(read(path, kind).filter(pc.field("customer_id") == "c9")["revision"].to_pylist()) == {2}


@KINDS
def test_a_column_that_a_later_week_has_is_null_in_the_weeks_before(kind, tmp_path, monkeypatch):
    earlier, week = publish(tmp_path / "home", BEFORE, EARLIER), publish(tmp_path / "home")
    of_week = lakes._week_of

    def without_one(snapshot, name, objecting):
        table = of_week(snapshot, name, objecting)
        return table.drop_columns(["health_low"]) if name == "scores" else table

    monkeypatch.setattr(lakes, "_week_of", without_one)
    write_week(earlier, kind, tmp_path / "lake")
    monkeypatch.setattr(lakes, "_week_of", of_week)
    write_week(week, kind, tmp_path / "lake")
    path = tmp_path / "lake" / "scores"
    assert by_id(week_of(path, kind, MONDAY)) == by_id(told(week, "scores"))
    assert {row["health_low"] for row in week_of(path, kind, BEFORE)} == {None}


@KINDS
def test_a_write_that_was_killed_left_the_weeks_before_as_they_were_and_is_made_up_for(kind, tmp_path, monkeypatch):
    earlier, week = publish(tmp_path / "home", BEFORE, EARLIER), publish(tmp_path / "home")
    write_week(earlier, kind, tmp_path / "lake")
    path = tmp_path / "lake" / "scores"
    before = by_id(week_of(path, kind, BEFORE))
    if kind is Lake.DELTA:  # its files are there, and no entry of the log names them
        write_week(week, kind, tmp_path / "lake")
        max((path / "_delta_log").glob("*.json")).unlink()
    else:  # committed, and the hint was not written
        with monkeypatch.context() as patched:
            patched.setattr(lakes, "write_whole", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                write_week(week, kind, tmp_path / "lake")
    assert by_id(week_of(path, kind, BEFORE)) == before
    assert week_of(path, kind, MONDAY) == []
    assert write_week(week, kind, tmp_path / "lake")[0].is_new
    assert by_id(week_of(path, kind, MONDAY)) == by_id(told(week, "scores"))
    assert by_id(week_of(path, kind, BEFORE)) == before


@KINDS
def test_something_else_in_the_folder_is_refused_and_left(kind, tmp_path):
    week = publish(tmp_path / "home")
    (other,) = set(Lake) - {kind}
    write_week(week, other, tmp_path / "lake")
    (tmp_path / "mine" / "scores").mkdir(parents=True)
    (tmp_path / "mine" / "scores" / "of_mine.txt").write_text("x")
    for folder in ("lake", "mine"):
        before = files_of(tmp_path / folder)
        with pytest.raises(UsageError, match="Name another folder"):
            write_week(week, kind, tmp_path / folder)
        assert files_of(tmp_path / folder) == before


@KINDS
def test_a_folder_that_takes_no_files_and_a_library_that_is_missing_are_told_in_one_line(kind, tmp_path, monkeypatch):
    week = publish(tmp_path / "home")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="file"):
        write_week(week, kind, tmp_path / "file" / "below")
    for module in ("deltalake", "pyiceberg.expressions"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r"vouch\[lakes\]"):
        write_week(week, kind, tmp_path / "lake")


@KINDS
def test_the_command_writes_once_and_who_objects_meanwhile_stands_there_without_scores(
    kind, tmp_path, monkeypatch, vouch
):
    home = tmp_path / "home"
    monkeypatch.setenv("VOUCH_HOME", str(home))
    week = publish(home)

    def run(*given):
        return vouch("export", "--to", kind.value, "--out", str(tmp_path / "lake"), *given)

    code, out, err = run("--format", "json")
    assert code == 0, err
    assert [(one["rows"], one["is_new"]) for one in json.loads(out)["tables"]] == [(6, True), (4, True)]
    assert "nothing is written" in run()[1]
    database = Database(home)
    set_objection(database, "c1", True, EVERYBODY, NOW)
    database.close()
    assert run()[0] == 0
    rows = {row["customer_id"]: row for row in week_of(tmp_path / "lake" / "scores", kind, MONDAY)}
    assert (rows["c1"]["churn_status"], rows["c1"]["churn_probability"]) == ("opted_out", None)
    assert rows["c2"] == {row["customer_id"]: row for row in told(week, "scores")}["c2"]
    assert run("--changed-since", "2026-11-09")[0] == 2
    code, _, err = vouch("export", "--to", kind.value, "--out", "s3://bucket/weeks")
    assert (code, "is an address" in err) == (2, True)


@KINDS
def test_who_is_erased_is_in_no_file_of_a_table_and_all_others_stay(kind, tmp_path, vouch):
    home = tmp_path / "home"
    for as_of_us, people in ((BEFORE, EARLIER), (MONDAY, WEEK)):
        publish(home, as_of_us, [*people, customer(WHO, 0.5, 0.5)])
        assert vouch("export", "--to", kind.value, "--out", str(tmp_path / "lake"))[0] == 0
    assert found_in(tmp_path / "lake", who=WHO)
    assert vouch("about", WHO, "--out", tmp_path / "held.json")[0] == 0
    assert "lake/scores" in (tmp_path / "held.json").read_text()
    assert vouch("erase", WHO)[0] == 0
    assert not found_in(tmp_path / "lake", who=WHO)
    path = tmp_path / "lake" / "scores"
    for as_of_us, people in ((BEFORE, EARLIER), (MONDAY, WEEK)):
        assert {row["customer_id"] for row in week_of(path, kind, as_of_us)} == {row["customer_id"] for row in people}
    again = publish(home, people=WEEK[:4])
    assert write_week(again, kind, tmp_path / "lake")[0].is_new
    assert by_id(week_of(path, kind, MONDAY)) == by_id(told(again, "scores"))
    assert read_snapshot(home).revision == again.revision


@KINDS
def test_a_table_that_is_none_any_more_is_told_and_keeps_nobody_from_being_erased(kind, tmp_path, vouch):
    publish(tmp_path / "home", people=[*WEEK, customer(WHO, 0.5, 0.5)])
    assert vouch("export", "--to", kind.value, "--out", str(tmp_path / "lake"))[0] == 0
    shutil.rmtree(tmp_path / "lake" / "scores")
    (tmp_path / "lake" / "scores").mkdir()
    (tmp_path / "lake" / "scores" / "of_mine.txt").write_text(WHO)
    code, out, err = vouch("erase", WHO)
    assert code == 0, err
    assert "lake/scores" in out + err
    assert (tmp_path / "lake" / "scores" / "of_mine.txt").read_text() == WHO
