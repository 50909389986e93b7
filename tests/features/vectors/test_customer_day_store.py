"""Customer-days that are kept change no vector: not by how they came about, not by what was corrected since."""

from __future__ import annotations

import dataclasses
import random
import shutil

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.rows.weekly_files import START, events, handed_over, staged
from vouch.features.contract.tables import DAY_US
from vouch.features.ingest.stage import open_tables
from vouch.features.vectors import customer_day_store
from vouch.features.vectors.build import collect, panel, vectors
from vouch.features.vectors.declare import COLUMNS, FEATURES, load_families

FIRST_US = int(START.timestamp() * 1e6) // DAY_US * DAY_US
HOUR_US = DAY_US // 24
WEEKS = 4


@pytest.fixture(autouse=True)
def always(monkeypatch):
    monkeypatch.setattr(customer_day_store, "FEWEST_ROWS_PER_CELL", 0)


def from_rows(tables):
    """The same tables without any use of what is kept."""
    return dataclasses.replace(tables, partitions={}, rollups=None)


def opened(folder, home, engine="polars"):
    return open_tables(staged(folder, home), engine)


def assert_same(left, right):
    pd.testing.assert_frame_equal(left, right, check_exact=True)


def files_of(home):
    return {path: path.stat().st_mtime_ns for path in sorted((home / "rollups").rglob("*.parquet"))}


SCHEDULES = {
    "seed": st.integers(0, 10_000),
    "days": st.lists(st.integers(1, 7 * WEEKS + 12), min_size=1, max_size=4, unique=True),
    "more": st.sampled_from((0, 0, 0, 1, 7 * HOUR_US)),
    "engine": st.sampled_from(("polars", "polars", "duckdb")),
}


def check_schedule(tmp_path, seed, days, more, engine):
    weeks = events(seed, WEEKS, each=20)
    instants = sorted(FIRST_US + day * DAY_US + more for day in days)
    at_once = opened(handed_over(tmp_path / "at once", weeks), tmp_path / "home", engine)
    for number in range(1, WEEKS + 1):
        growing = opened(handed_over(tmp_path / "growing", weeks[:number]), tmp_path / "other", engine)
        collect(vectors(growing, FIRST_US + (7 * number + random.Random(seed).randint(-2, 3)) * DAY_US))
    expected = [collect(vectors(from_rows(at_once), instant)) for instant in instants]
    for tables in (at_once, growing, growing):
        for instant, of in zip(instants, expected, strict=True):
            assert_same(collect(vectors(tables, instant)), of)
        assert_same(panel(tables, instants), pd.concat(expected, ignore_index=True))
    if more == 0:
        assert files_of(tmp_path / "home"), "days were kept, and used"


@pytest.mark.slow
@settings(max_examples=3)
@given(**SCHEDULES)
def test_vectors_are_the_same_built_at_once_week_by_week_or_not_at_all(tmp_path_factory, **schedule):
    check_schedule(tmp_path_factory.mktemp("kept"), **schedule)


@pytest.mark.nightly
@settings(max_examples=20)
@given(**SCHEDULES)
def test_vectors_are_the_same_by_many_more_schedules(tmp_path_factory, **schedule):
    check_schedule(tmp_path_factory.mktemp("kept"), **schedule)


def test_a_new_week_leaves_what_is_kept_of_others_as_it_is(tmp_path):
    weeks = events(3, WEEKS, each=20)
    as_of_us = FIRST_US + 60 * DAY_US
    collect(vectors(opened(handed_over(tmp_path / "tables", weeks[:-1]), tmp_path / "home"), as_of_us))
    before = files_of(tmp_path / "home")
    tables = opened(handed_over(tmp_path / "tables", weeks), tmp_path / "home")
    collect(vectors(tables, as_of_us))
    after = files_of(tmp_path / "home")
    assert before.items() <= after.items()
    stands = {path.parent.name for path in before} & {of.digest for of in tables.partitions["usage_events"]}
    assert stands, "files that no correction touched are the same files"
    made = {path.parent.name for path in after} - {path.parent.name for path in before}
    assert made == {of.digest for of in tables.partitions["usage_events"]} - stands


def test_a_changed_definition_makes_its_own_part_anew_and_no_other(tmp_path, monkeypatch):
    folder, home, as_of_us = handed_over(tmp_path / "tables", events(5)), tmp_path / "home", FIRST_US + 60 * DAY_US
    collect(vectors(opened(folder, home), as_of_us))
    before = files_of(home)
    name = "community_events_90d"
    old = load_families()[name]
    from vouch.features.vectors.declare import Rows, count

    changed = count(Rows("usage_events").channel == "web").at((90, 0))
    monkeypatch.setitem(FEATURES, name, dataclasses.replace(old, aggregate=changed))
    tables = opened(folder, home)
    found = collect(vectors(tables, as_of_us))
    assert_same(found, collect(vectors(from_rows(tables), as_of_us)))
    new = files_of(home).keys() - before.keys()
    assert not new, "its part is that of another feature by now, and is kept already"
    unheard_of = count(Rows("usage_events").event == "login").at((90, 0))
    other = dataclasses.replace(old, aggregate=unheard_of)
    monkeypatch.setitem(FEATURES, name, other)
    found = collect(vectors(tables, as_of_us))
    assert_same(found, collect(vectors(from_rows(tables), as_of_us)))
    new = files_of(home).keys() - before.keys()
    assert {path.parent for path in new} == {path.parent for path in before}
    import polars as pl

    assert all(len(pl.read_parquet_schema(path)) == len(("customer", "day", "superseded", "part")) for path in new)
    monkeypatch.setitem(FEATURES, name, dataclasses.replace(other, aggregate=unheard_of.at((28, 0))))
    collect(vectors(tables, as_of_us))
    assert files_of(home).keys() - before.keys() == new, "a window is no part of what is kept"


def test_a_column_that_is_computed_otherwise_makes_its_parts_anew():
    from vouch.features.vectors.declare import RowColumn, Rows, count
    from vouch.features.vectors.group_by import FeatureGroup

    load_families()
    part = next(iter(count(Rows("sessions").is_visit).at((None, 0)).primitives()))
    group = FeatureGroup("sessions", "customer_id", ())
    before = customer_day_store._stored_name(group, part)
    old = COLUMNS["sessions"]["is_visit"]
    try:
        COLUMNS["sessions"]["is_visit"] = RowColumn("sessions", "is_visit", ~old.expression, old.needs)
        assert customer_day_store._stored_name(group, part) != before
    finally:
        COLUMNS["sessions"]["is_visit"] = old
    assert customer_day_store._stored_name(group, part) == before


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "described"])
def test_what_is_kept_and_damaged_is_made_again(tmp_path, damage):
    folder, home, as_of_us = handed_over(tmp_path / "tables", events(5)), tmp_path / "home", FIRST_US + 60 * DAY_US
    tables = opened(folder, home)
    expected = collect(vectors(tables, as_of_us))
    for path in files_of(home):
        if damage == "gone":
            path.unlink()
        elif damage == "described":
            path.with_suffix(".json").write_text("{}")
        else:
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 255
            path.write_bytes(bytes(content) if damage == "flip" else bytes(content[:-9]))
    assert_same(collect(vectors(tables, as_of_us)), expected)


def test_pieces_of_customers_give_what_the_whole_gives(tmp_path, monkeypatch):
    from vouch.features.vectors import customer_days

    tables = opened(handed_over(tmp_path / "tables", events(5, each=40)), tmp_path / "home")
    instants = [FIRST_US + days * DAY_US for days in (14, 60)]
    expected = panel(tables, instants)
    monkeypatch.setattr(customer_days, "MOST_CELLS", 3)
    assert_same(panel(tables, instants), expected)


def test_where_customers_have_few_events_a_day_rows_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(customer_day_store, "FEWEST_ROWS_PER_CELL", 1_000)
    tables = opened(handed_over(tmp_path / "tables", events(5)), tmp_path / "home")
    as_of_us = FIRST_US + 60 * DAY_US
    assert_same(collect(vectors(tables, as_of_us)), collect(vectors(from_rows(tables), as_of_us)))
    shutil.rmtree(tmp_path / "home" / "rollups")
    assert_same(collect(vectors(tables, as_of_us)), collect(vectors(from_rows(tables), as_of_us)))
