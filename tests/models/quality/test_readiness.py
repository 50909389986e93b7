"""What is told of an output before anything is trained."""

from __future__ import annotations

from datetime import date, timedelta

from support.rows.table_files import company, row, write_csv
from vouch.features.contract.tables import DAY_US
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.instants import parse_instant
from vouch.features.model_settings import ModelSettings
from vouch.features.project import Project
from vouch.models.quality.readiness import ASKING, readiness

NOW_US = parse_instant("2026-01-01")


def shop(folder, days: int, *, leave: bool, **columns: str):
    """Thirty customers who come every five days; ten of them stop halfway where somebody leaves."""
    people = [row("customers", customer_id=f"c{who}", created_at="2024-01-01", **columns) for who in range(30)]
    visits = [
        row("usage_events", customer_id=f"c{who}", occurred_at=str(date(2024, 1, 1) + timedelta(days=day)))
        for who in range(30)
        for day in range(0, days // 2 if leave and who < 10 else days, 5)
    ]
    tables = company(customers=people, usage_events=visits)
    staged = stage(Project(folder / "home", str(write_csv(folder / "tables", tables))), NOW_US)
    return open_tables(staged, "polars"), parse_instant(str(date(2024, 1, 1) + timedelta(days=days)))


def told(folder, days: int, *, leave: bool = True, settings=None, **columns: str):
    tables, known_us = shop(folder, days, leave=leave, **columns)
    return {one.output: one for one in readiness(tables, known_us, settings)}


def test_a_company_that_can_learn_is_told_so_with_figures(tmp_path):
    found = told(tmp_path, 320)["churn"]
    assert found.is_ready
    assert found.why == "320 days of activity; in the newest 90 days that are over it came true for 10 of 30"
    assert (found.code, found.figures) == ("outcomes", {"days": 320, "horizon": 90, "came": 10, "total": 30})


def test_nobody_leaving_is_no_outcome_to_learn_from(tmp_path):
    found = told(tmp_path, 320, leave=False)["churn"]
    assert not found.is_ready
    assert "came true for 0 of 30: too few of one kind" in found.why
    assert found.code == "few_outcomes"


def test_a_short_history_names_the_horizon_that_would_do(tmp_path):
    found = told(tmp_path, 150)["churn"]
    assert not found.is_ready
    assert "150 days of activity are there, and about 236 are needed for a horizon of 90" in found.why
    assert "[churn] horizon = 47 would do" in found.why
    assert (found.code, found.figures["shorter"]) == ("long_horizon", 47)
    assert "are needed" not in told(tmp_path, 150, settings={"churn": ModelSettings(horizon_days=47)})["churn"].why


def test_before_the_first_activity_there_is_none_to_learn_from(tmp_path):
    tables, known_us = shop(tmp_path, 320, leave=True)
    for days in (320, 321, 3000):
        (found,) = [one for one in readiness(tables, known_us - days * DAY_US) if one.output == "churn"]
        assert not found.is_ready
        assert (found.code, found.figures) == ("no_activity", {})


def test_a_table_that_an_outcome_needs_is_named(tmp_path):
    found = told(tmp_path, 320)["advocacy"]
    assert not found.is_ready
    assert "advocacy_acts or referrals" in found.why
    assert (found.code, found.figures) == ("no_table", {"tables": "advocacy_acts or referrals"})


def test_without_consent_nobody_can_be_asked(tmp_path):
    found = told(tmp_path, 320)[ASKING]
    assert not found.is_ready
    assert "none of 30 customers has consented" in found.why
    assert "map customers.contact_consent and customers.advocacy_consent" in found.why
    agreed = told(tmp_path / "agreed", 320, contact_consent="true", advocacy_consent="true")[ASKING]
    assert agreed.is_ready
    assert agreed.why == "30 of 30 customers may be contacted and asked"
