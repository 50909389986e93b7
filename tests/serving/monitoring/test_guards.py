"""Guards: which figures a week is held against, what warns, what refuses, and where limits stand."""

from __future__ import annotations

import tomllib

import pytest

from support.rows.table_files import company, row, write_csv
from vouch.features.contract.tables import DAY_US, TABLES
from vouch.features.errors import ConfigurationError
from vouch.features.ingest.counts import MERGED, REASONS
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.instants import WEEK_US, instant_text, parse_instant
from vouch.features.project import Project
from vouch.features.vectors.declare import load_families
from vouch.serving.monitoring.guards import (
    ACTIVITY,
    SHIPPED,
    GuardFigure,
    GuardLimits,
    WeekStats,
    contract_figures,
    customer_figures,
    judge,
    load_guards,
    table_figures,
)
from vouch.serving.monitoring.observed import tables_at

MONDAY = parse_instant("2026-11-16")
HOUR_US = 3_600_000_000


def seen(as_of_us=MONDAY, customers=1000, missing=0.2, **tables):
    """A week as guards see it: rows and rows of the last seven days, or these and how many hours ago the newest."""
    figures = {"usage_events": (10_000, 500), **tables}
    return WeekStats(
        as_of_us,
        {
            name: {"rows": of[0], "week": of[1], "newest_us": as_of_us - (of[2] if of[2:] else 2) * HOUR_US}
            for name, of in figures.items()
        },
        {"usage": missing},
        customers,
    )


def found(tmp_path, now, before=None, report=None):
    figures = [
        *contract_figures(report or {"tables": {}}),
        *table_figures(now, before),
        *customer_figures(now, before),
    ]
    return {(finding.guard, finding.thing): finding.level for finding in judge(load_guards(tmp_path), iter(figures))}


BEFORE = seen(MONDAY - WEEK_US)


def test_a_week_like_the_one_before_is_above_no_limit(tmp_path):
    assert found(tmp_path, seen(usage_events=(10_480, 480)), BEFORE) == {}
    assert found(tmp_path, seen()) == {}, "without a week before nothing is compared"


@pytest.mark.parametrize(
    ("now", "guard", "level"),
    [
        (seen(usage_events=(9_900, 500)), ("rows_lost", "usage_events"), "soft"),
        (seen(usage_events=(7_000, 500)), ("rows_lost", "usage_events"), "hard"),
        (seen(usage_events=(10_100, 100)), ("week_drop", "usage_events"), "soft"),
        (seen(usage_events=(10_001, 1)), ("week_drop", "usage_events"), "hard"),
        (seen(usage_events=(12_000, 2_000)), ("week_rise", "usage_events"), "soft"),
        (seen(usage_events=(10_480, 480, 9 * 24)), ("stale_days", ACTIVITY), "soft"),
        (seen(usage_events=(10_480, 480, 29 * 24)), ("stale_days", ACTIVITY), "hard"),
        (seen(surveys=(300, 0, 40 * 24)), ("stale_days", "surveys"), "soft"),
        (seen(customers=1_200), ("customers_change", "customers"), "soft"),
        (seen(customers=400), ("customers_change", "customers"), "hard"),
        (seen(missing=0.35), ("missing_rise", "usage"), "soft"),
        (seen(missing=0.65), ("missing_rise", "usage"), "hard"),
    ],
)
def test_what_a_week_may_not_look_like(tmp_path, now, guard, level):
    assert found(tmp_path, now, BEFORE)[guard] == level


def test_a_table_that_is_gone_has_lost_all_its_rows(tmp_path):
    before = seen(MONDAY - WEEK_US, tickets=(800, 250))
    assert found(tmp_path, seen(), before) == {("rows_lost", "tickets"): "hard", ("week_drop", "tickets"): "hard"}


@pytest.mark.parametrize(("refused", "level"), [(5, None), (15, "soft"), (250, "hard")])
def test_quarantine_is_judged_by_its_share(tmp_path, refused, level):
    report = {"tables": {"tickets": {"rows": 1000, "quarantined": refused, "cells": 0}}}
    assert found(tmp_path, seen(), report=report).get(("quarantined_share", "tickets")) == level


@pytest.mark.parametrize(("refused", "level"), [(0, None), (2, None), (12, "soft"), (20, "soft")])
def test_a_handful_of_rows_refuses_no_week_and_what_was_counted_of_them_is_told(tmp_path, refused, level):
    report = {"tables": {"tickets": {"rows": 20, "quarantined": refused, "cells": 0}}}
    told = found(tmp_path, seen(tickets=(10, 0)), seen(MONDAY - WEEK_US, tickets=(20, 9)), report)
    assert told == ({} if level is None else {("quarantined_share", "tickets"): level})


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_every_count_of_the_contract_is_told_of_a_small_table_where_its_hard_limit_is_passed(tmp_path, share):
    guards = load_guards(tmp_path)
    for reason in REASONS.values():
        count = {"guard": reason.guard, "count": round(10 * share), "of": 10, "detail": "", "column": "", "code": ""}
        report = {"tables": {"tickets": {"rows": 10, "counts": [count]}}}
        hard = guards[reason.guard].limits("tickets").hard
        is_told = bool(judge(guards, contract_figures(report)))
        if reason.guard not in MERGED:
            assert is_told or hard is None or hard >= share, reason
        assert all(finding.level == "soft" for finding in judge(guards, contract_figures(report)))


def test_a_company_sets_its_own_limits_and_keeps_the_others(tmp_path):
    (tmp_path / "guards.toml").write_text(
        "[customers_change]\nhard = 0.15\n[stale_days.only.surveys]\nsoft = 100\n", encoding="utf-8"
    )
    guards = load_guards(tmp_path)
    assert (guards["customers_change"].soft, guards["customers_change"].hard) == (0.1, 0.15)
    assert guards["stale_days"].limits("surveys") == GuardLimits(soft=100)
    assert guards["stale_days"].limits(ACTIVITY) == GuardLimits(soft=8, hard=28)
    assert found(tmp_path, seen(customers=1_200), BEFORE)[("customers_change", "customers")] == "hard"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[row_lost]\nsoft = 1", "did you mean 'rows_lost'"),
        ("[rows_lost]\nsft = 1", "did you mean 'soft'"),
        ("[rows_lost]\nsoft = 'much'", "must be a number"),
        ("[rows_lost]\nsoft = true", "must be a number"),
        ("[rows_lost.only.tickets]\nhrd = 1", "did you mean 'hard'"),
        ("rows_lost = 1", "must be a table"),
        ("[rows_lost", "not valid TOML"),
    ],
)
def test_a_file_of_limits_that_is_wrong_says_where(tmp_path, text, said):
    (tmp_path / "guards.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"guards\.toml") as told:
        load_guards(tmp_path)
    assert said in str(told.value)


def test_limits_name_only_what_there_is():
    things = {*TABLES, *(feature.family for feature in load_families().values()), ACTIVITY, "churn", "advocacy"}
    for name, guard in tomllib.loads(SHIPPED.read_text(encoding="utf-8")).items():
        assert set(guard.get("only", {})) <= things, name
        assert guard["meaning"]
        assert guard.get("soft", 0) < guard.get("hard", float("inf"))


def test_a_finding_says_the_figure_the_limit_and_both_weeks(tmp_path):
    (finding,) = judge(
        load_guards(tmp_path), iter([GuardFigure("rows_lost", "tickets", 0.25, 800, before=800, current=600)])
    )
    assert "rows_lost of tickets is 0.25, above its hard limit of 0.2" in str(finding)
    assert "600 after 800" in str(finding)


STEPS = {"weekly": 7, "fortnightly": 14, "monthly": 30, "quarterly": 91}


@pytest.mark.parametrize("cadence", STEPS)
def test_a_feed_by_deliveries_is_above_no_limit_in_any_week_and_is_missed_once_the_next_is_due(tmp_path, cadence):
    step, first = STEPS[cadence], MONDAY - 8 * STEPS[cadence] * DAY_US
    people = [row("customers", customer_id=f"c{who}", created_at=instant_text(first - DAY_US)) for who in range(250)]
    use = [
        row("usage_events", customer_id=one["customer_id"], occurred_at=instant_text(first + number * step * DAY_US))
        for one in people
        for number in range(8)
    ]
    folder = write_csv(tmp_path / "tables", company(customers=people, usage_events=use))
    tables = open_tables(stage(Project(tmp_path / "home", str(folder)), MONDAY + 400 * DAY_US), "polars")
    told, before = {}, None
    for week in range(first // WEEK_US * WEEK_US + 5 * step * DAY_US, MONDAY + 60 * DAY_US, WEEK_US):
        now = WeekStats(week, tables_at(tables, week), {}, 250)
        told[(week - MONDAY) / DAY_US] = found(tmp_path, now, before)
        before = now
    due = 0  # the delivery that would have come next
    assert [of for days, of in told.items() if days <= due] == [{}] * sum(days <= due for days in told)
    late = {days: of.get(("stale_days", ACTIVITY)) for days, of in told.items() if days > due}
    assert {days for days, level in late.items() if level == "soft"} == {days for days in late if 1 < days <= 21}
    assert {days for days, level in late.items() if level == "hard"} == {days for days in late if days > 21}
