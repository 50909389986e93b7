"""A table in several files equals the same rows in one file, whether its files came at once or one after another."""

from __future__ import annotations

import json

import polars as pl
import pytest

from support.rows.table_files import NOW_US, read, row, write_csv
from support.rows.weekly_files import events, handed_over, staged
from vouch.features.contract.tables import DAY_US
from vouch.features.errors import WrongType
from vouch.features.ingest import duplicate_keys
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.project import Project


def content(found):
    """All rows of the events as a set that does not hang on files, with how often each is there."""
    frame = pl.concat([pl.read_parquet(path) for path in sorted(found.folder.rglob("usage_events*/*.parquet"))])
    return frame.group_by(frame.columns).len().sort(frame.columns)


def files(found):
    return {path.name: pl.read_parquet(path) for path in (found.folder / "usage_events.parquet").iterdir()}


@pytest.mark.parametrize("seed", range(3))
def test_files_that_come_week_by_week_give_what_files_that_come_at_once_give(tmp_path, seed):
    weeks = events(seed)
    at_once = staged(handed_over(tmp_path / "at once", weeks), tmp_path / "home")
    for number in range(1, len(weeks) + 1):
        one_by_one = staged(handed_over(tmp_path / "growing", weeks[:number]), tmp_path / "other")
    here, there = files(one_by_one), files(at_once)
    assert here.keys() == there.keys()
    assert all(here[name].equals(there[name]) for name in here), "rows in one order, the same to the bit"
    assert one_by_one.counted == at_once.counted
    shown = [tmp_path / home / "quarantine" / "usage_events.parquet" for home in ("home", "other")]
    assert pl.read_parquet(shown[0]).equals(pl.read_parquet(shown[1]))


def test_keys_that_are_compared_slice_by_slice_give_the_same(tmp_path, monkeypatch):
    weeks = events(1)
    whole = staged(handed_over(tmp_path / "whole", weeks), tmp_path / "home")
    monkeypatch.setattr(duplicate_keys, "KEYS_AT_ONCE", 5)
    for number in (2, len(weeks)):
        sliced = staged(handed_over(tmp_path / "sliced", weeks[:number]), tmp_path / "other")
    assert all(here.equals(files(whole)[name]) for name, here in files(sliced).items())
    assert sliced.counted == whole.counted


def test_files_that_are_read_side_by_side_give_the_bytes_of_files_that_are_read_one_after_another(tmp_path):
    folder = handed_over(tmp_path / "tables", events(2))
    found = []
    for threads in (1, 4):
        home = tmp_path / f"home {threads}"
        stage(Project(home=home, location=str(folder), threads=threads), NOW_US)
        written = [
            path for room in ("staged", "parts", "quarantine") for path in (home / room).rglob("*") if path.is_file()
        ]
        found.append({path.relative_to(home): path.read_bytes() for path in written})
    assert found[0] == found[1]
    assert len(found[0]) > len(events(2))


@pytest.mark.parametrize("seed", range(3))
def test_several_files_give_the_rows_and_figures_of_one(tmp_path, seed):
    weeks = events(seed)
    several = staged(handed_over(tmp_path / "several", weeks), tmp_path / "home")
    folder = handed_over(tmp_path / "one", [])
    write_csv(folder, {"usage_events": [one for rows in weeks for one in rows]})
    (folder / "usage_events").rmdir()
    one = staged(folder, tmp_path / "other")
    whole = read(one, "usage_events")
    assert content(several).equals(whole.group_by(whole.columns).len().sort(whole.columns))
    assert several.counted == one.counted
    assert several.counted["tables"]["usage_events"]["reasons"]["not_a_number"] > 0
    found, expected = (
        pl.read_parquet(tmp_path / home / "quarantine/usage_events.parquet") for home in ("home", "other")
    )
    assert found.equals(expected)


def test_a_large_file_is_kept_by_week_like_several(tmp_path, monkeypatch):
    rows = [one for week in events(2) for one in week]
    folder = write_csv(handed_over(tmp_path / "tables", [rows]), {"usage_events": rows})
    (folder / "usage_events" / "part-0.csv").unlink()
    (folder / "usage_events").rmdir()
    small = staged(folder, tmp_path / "home")
    monkeypatch.setattr("vouch.features.ingest.inputs.LARGE_BYTES", 0)
    large = staged(folder, tmp_path / "other")
    assert (small.folder / "usage_events.parquet").is_file()
    assert len(list((large.folder / "usage_events.parquet").iterdir())) > 3
    assert large.counted == small.counted
    whole = read(small, "usage_events")
    assert content(large).equals(whole.group_by(whole.columns).len().sort(whole.columns))


def test_rows_lie_by_week_of_ingestion_and_a_view_can_tell_from_when_a_file_is_known(tmp_path):
    found = staged(handed_over(tmp_path / "tables", events(1)), tmp_path / "home")
    manifest = json.loads((found.folder / "manifest.json").read_text())
    for path in (found.folder / "usage_events.parquet").iterdir():
        frame = pl.read_parquet(path)
        weeks = (frame["ingested_us"] - 4 * DAY_US) // (7 * DAY_US)
        assert weeks.to_list() == [int(path.name.split("-")[0])] * len(frame)
        until_us = manifest["files"][f"usage_events.parquet/{path.name}"]["known_until_us"]
        known_us = [max(row) for row in frame.select("own_us", "ingested_us").rows()]
        assert all(us <= until_us for us in known_us)


def test_a_file_that_was_read_is_not_checked_again(tmp_path, monkeypatch):
    folder = handed_over(tmp_path / "tables", events(1))
    staged(folder, tmp_path / "home")
    from vouch.features.ingest import stage_files

    read_now = []
    monkeypatch.setattr(
        stage_files,
        "parse",
        lambda staging, plan, real=stage_files.parse: (read_now.append(plan), real(staging, plan))[1],
    )
    handed_over(folder, [*events(1), *events(9, weeks=1)])
    staged(folder, tmp_path / "home")
    assert len(read_now) == 1
    staged(handed_over(tmp_path / "changed", [events(2)[0], *events(1)[1:]]), tmp_path / "home")
    assert len(read_now) == 2


def test_a_row_that_was_in_the_future_counts_once_its_day_has_come(tmp_path):
    weeks = [[row("usage_events")], [row("usage_events", occurred_at="2026-01-10")]]
    folder = handed_over(tmp_path / "tables", weeks)
    counts = {}
    for days in (0, 12, 0):
        found = staged(folder, tmp_path / "home", NOW_US + days * DAY_US)
        counts.setdefault(days, []).append(found.counted["tables"]["usage_events"]["quarantined"])
    assert counts == {0: [1, 1], 12: [0]}


@pytest.mark.parametrize("of", ["parts/usage_events/*/0*.parquet", "staged/*/usage_events.parquet/*"])
@pytest.mark.parametrize("is_linked", [True, False])
def test_what_was_kept_and_is_damaged_is_read_again_and_never_handed_on(tmp_path, caplog, of, is_linked):
    """A file of rows often stands in several folders and is one on disk: what damages one damages all."""
    folder, home = handed_over(tmp_path / "tables", events(1)), tmp_path / "home"
    staged(folder, home)
    for path in sorted(home.glob(of)):
        frame = pl.read_parquet(path).with_columns(event=pl.lit("other"))
        if not is_linked:
            path.unlink()
        frame.write_parquet(path)
    handed_over(folder, [*events(1), *events(9, weeks=1)])
    found, fresh = staged(folder, home), staged(folder, tmp_path / "fresh")
    assert found.counted == fresh.counted
    tables = [open_tables(one, "polars").frames["usage_events"].collect("polars").to_native() for one in (found, fresh)]
    order = ["own_us", "event_id", "ingested_us", "customer_id", "value", "feature"]
    assert tables[0].sort(order).equals(tables[1].sort(order))
    assert "other" not in tables[0]["event"]
    assert all("was damaged and is read again: see to the disk" in record.message for record in caplog.records)
    assert caplog.records


def test_a_wrong_type_throughout_is_told_across_files(tmp_path):
    weeks = [
        [row("usage_events", value="many", occurred_at="soon")],
        [row("usage_events", value="few", occurred_at="x")],
    ]
    with pytest.raises(WrongType, match="occurred_at"):
        staged(handed_over(tmp_path / "tables", weeks), tmp_path / "home")
    weeks = [[row("usage_events", value="many")], [row("usage_events", value="few")]]
    found = staged(handed_over(tmp_path / "other", weeks), tmp_path / "home")
    assert "value" not in found.columns["usage_events"]
    assert any("usage_events.value is left out" in warning for warning in found.counted["warnings"])


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_files_open_as_one_table(tmp_path, engine):
    found = staged(handed_over(tmp_path / "tables", events(3)), tmp_path / "home")
    frame = open_tables(found, engine).frames["usage_events"].collect("polars").to_native()
    assert len(frame) == content(found)["len"].sum()
