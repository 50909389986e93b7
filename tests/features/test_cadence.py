"""The cadence of a table: found where rows come by deliveries, and nowhere else; and which windows are shorter."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from support.rows.table_files import company, row, write_csv
from vouch.features.facts.cadence import cadence_days, latest_delivery
from vouch.features.ingest.proposed_settings import delivery_notes
from vouch.features.ingest.stage import stage
from vouch.features.instants import parse_instant
from vouch.features.project import Project
from vouch.features.vectors.declare import load_families
from vouch.features.vectors.short_windows import short_windows

FIRST = date(2024, 1, 1).toordinal()
MONTHS = [date(2024 + month // 12, month % 12 + 1, 1).toordinal() for month in range(24)]
DELIVERIES = {
    "weekly": (list(range(FIRST, FIRST + 730, 7)), 7),
    "fortnightly": (list(range(FIRST, FIRST + 730, 14)), 14),
    "monthly": (MONTHS, 31),
    "quarterly": (MONTHS[::3], 92),
    "monthly, one left out": (MONTHS[:18] + MONTHS[19:], 31),
    "monthly, some days late": ([day + late % 4 for late, day in enumerate(MONTHS)], 32),
    "daily": (list(range(FIRST, FIRST + 730)), None),
    "on working days": ([day for day in range(FIRST, FIRST + 730) if date.fromordinal(day).weekday() < 5], None),
    "whenever": ([FIRST + 25 * step + step * step % 17 for step in range(29)], None),
    "twice only": (MONTHS[:2], None),
}


@pytest.mark.parametrize("of", DELIVERIES)
def test_the_cadence_is_the_longest_usual_step_between_two_deliveries(of):
    days, cadence = DELIVERIES[of]
    delivered = dict.fromkeys(days, 40)
    assert cadence_days(delivered) == cadence
    strays = {day + 3: 1 for day in days[1::2]}
    assert cadence_days(delivered | (strays if cadence else {})) == cadence, "a few strays change nothing"
    assert cadence_days(dict.fromkeys(days, 1)) is None, "few rows meet by chance"
    assert cadence_days({}) is None


def test_a_delivery_that_lies_on_several_days_is_one():
    rows = {1: 9, 31: 20, 61: 30, 91: 40, 92: 2}
    assert (cadence_days(rows), latest_delivery(rows, 30)) == (30, 42)


@pytest.mark.parametrize(("cadence", "kept"), [(7, {7, 28, 90}), (14, {28, 90}), (31, {90}), (92, set())])
def test_no_window_is_kept_that_is_shorter_than_the_cadence_of_its_table(cadence, kept):
    short = short_windows({"usage_events": cadence})
    of_use = {name: feature for name, feature in load_families().items() if feature.table == "usage_events"}
    assert kept == {of.window_days for name, of in of_use.items() if name not in short} & {7, 28, 90}
    assert all(of.sources & short for of in load_families().values() if of.name in short and of.table is None)
    assert {name for name, of in of_use.items() if of.window_days is None}.isdisjoint(short)
    assert short_windows({}) == frozenset()


def test_what_comes_by_the_month_is_told_of(tmp_path):
    months = [str(date.fromordinal(day)) for day in MONTHS]
    people = [row("customers", customer_id=f"c{who}") for who in range(8)]
    use = [row("usage_events", customer_id=one["customer_id"], occurred_at=day) for one in people for day in months]
    folder = write_csv(tmp_path / "tables", company(customers=people, usage_events=use))
    staged = stage(Project(tmp_path / "home", str(folder)), parse_instant("2026-01-05"))
    (note,) = delivery_notes(staged)
    assert "so far apart, come usage_events (up to 31 days): no model is taught a window below that" in note
    other = write_csv(tmp_path / "other", company(usage_events=[
        row("usage_events", occurred_at=str(date(2024, 1, 1) + timedelta(days=day))) for day in range(90)
    ]))  # fmt: skip
    assert delivery_notes(stage(Project(tmp_path / "home", str(other)), parse_instant("2026-01-05"))) == []
