"""The inactivity window that a company's own pauses propose."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from support.rows.table_files import company, row, write_csv
from vouch.features.facts.pauses import pauses
from vouch.features.ingest.proposed_settings import proposed_settings
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.instants import parse_instant
from vouch.features.model_settings import ModelSettings
from vouch.features.project import Project

NOW_US = parse_instant("2026-01-01")


def shop(folder, step: int, days: int = 600, people: int = 60):
    """A shop whose customers come every so many days, each on days of their own."""
    customers = [row("customers", customer_id=f"c{who}") for who in range(people)]
    visits = [
        row("usage_events", customer_id=f"c{who}", occurred_at=str(date(2024, 1, 1) + timedelta(days=who % 7 + day)))
        for who in range(people)
        for day in range(0, days, step)
    ]
    tables = company(customers=customers, usage_events=visits)
    return stage(Project(folder / "home", str(write_csv(folder / "tables", tables))), NOW_US)


@pytest.mark.parametrize(("step", "window"), [(7, 14), (20, 28), (61, 90), (100, 120)])
def test_the_window_outlasts_nine_pauses_in_ten(tmp_path, step, window):
    staged = shop(tmp_path, step)
    found = pauses(open_tables(staged, "polars"))
    assert (found.median, found.long, found.window) == (step, step, window)
    lines = {key: value for key, value, _ in proposed_settings(staged).lines}
    assert lines == ({} if window == 90 else {"inactive_after": window})
    assert proposed_settings(staged, ModelSettings(inactive_days=30)).lines == ()


def test_a_short_history_is_met_by_a_shorter_horizon(tmp_path):
    staged = shop(tmp_path, 10, days=150)
    lines = {key: value for key, value, _ in proposed_settings(staged).lines}
    assert lines == {"inactive_after": 14, "horizon": 28}
    assert "a horizon of 90 needs about 236" in proposed_settings(staged).warnings[1]


def test_nothing_is_proposed_where_contracts_end_or_too_little_is_known(tmp_path):
    assert pauses(open_tables(shop(tmp_path / "few", 100, days=150, people=30), "polars")) is None
