"""Nothing to count is never a crash: every table, every window and every segment is emptied in turn.

A count of nothing is 0, a mean or a share of nothing is null, and every null says why.
"""

from __future__ import annotations

from dataclasses import replace

import narwhals as nw
import pytest

from support.rows.metric_examples import INSTANT_US
from support.whole_company import (
    REGIONS,
    assert_sound,
    customers_of,
    days_later,
    emptied,
    scores_of,
    whole_company,
    without,
)
from vouch.features.contract.tables import TABLES
from vouch.features.metrics.catalogue import METRICS, Absent, load_metrics
from vouch.features.metrics.comparisons.readings import sensitivity
from vouch.features.metrics.comparisons.segments import scan
from vouch.features.metrics.context import MetricContext
from vouch.features.metrics.estimators import Total
from vouch.features.metrics.evaluate import measure, measure_by
from vouch.features.metrics.lists.lists import LISTS
from vouch.features.metrics.splits import SEGMENTS, can_split

WINDOWS = sorted({metric.window_days for metric in load_metrics().values() if metric.window_days})
LONG_AGO, LONG_AFTER = days_later(-2_000), days_later(2_000)
NEEDED_BY_NONE = {"asks", "capex", "health_overrides"}
"""Tables that no example of a metric needs."""


@pytest.fixture(scope="module")
def tables():
    return whole_company()


@pytest.fixture(scope="module")
def scores(tables):
    return scores_of(customers_of(tables))


def assert_all_sound(tables, at_us=INSTANT_US, scores=None):
    found = measure_by(tables, at_us, [None, "region"], scores=scores)
    assert {envelope.metric_id for envelope in found} == set(METRICS)
    assert_sound(found)
    return {envelope.metric_id: envelope for envelope in found if envelope.by is None}


def assert_lists_answer(tables, at_us=INSTANT_US, scores=None):
    context = MetricContext(tables, at_us, scores)
    for name, held in LISTS.items():
        if all(any(context.has(table) for table in need.split("|")) for need in held.needs):
            rows = held.rows(context)
            assert rows.reason if isinstance(rows, Absent) else isinstance(rows, list), name


def test_the_company_of_these_tests_has_every_table_but_those_that_no_example_needs(tables):
    assert set(TABLES) - set(tables.frames) == NEEDED_BY_NONE
    assert_lists_answer(tables)


@pytest.mark.parametrize("table", sorted(set(TABLES) - NEEDED_BY_NONE))
def test_a_table_without_rows_stops_nothing(tables, scores, table):
    assert_all_sound(emptied(tables, table), scores=scores)


@pytest.mark.parametrize("at_us", [LONG_AGO, LONG_AFTER], ids=["before the first row", "long after the last"])
def test_an_instant_without_anything_stops_nothing(tables, at_us):
    assert_all_sound(tables, at_us)
    assert_lists_answer(tables, at_us)


def test_of_nothing_a_count_is_0_and_all_else_is_null_with_a_reason(tables):
    found = assert_all_sound(emptied(tables, *tables.frames))
    assert {name for name, envelope in found.items() if envelope.value is not None} == {
        metric.id for metric in METRICS.values() if isinstance(metric.kind, Total)
    }


def test_a_company_of_headers_stops_nothing(tables):
    bare = emptied(tables, *tables.frames)
    assert_all_sound(bare, scores=scores_of([]))
    assert_lists_answer(bare, scores=scores_of([]))
    assert scan(bare, INSTANT_US, scores=scores_of([])) == []
    assert all(reading.value is None for reading in sensitivity(bare, INSTANT_US))


def test_no_scores_and_scores_without_a_model_stop_nothing(tables):
    assert_all_sound(tables)
    assert_all_sound(tables, scores=scores_of(customers_of(tables), has_model=False))


def _without_rows_of(tables, region):
    """All rows of the customers of one region taken away, their customers left."""
    people = tables.frames["customers"].filter(nw.col("region") == region).select("customer_id")
    frames = {
        name: frame.join(people.rename({"customer_id": TABLES[name].customer}), on=TABLES[name].customer, how="anti")
        for name, frame in tables.frames.items()
        if name != "customers" and TABLES[name].customer
    }
    return replace(tables, frames={**tables.frames, **frames})


@pytest.mark.parametrize("region", REGIONS)
def test_a_segment_without_rows_stops_nothing(tables, scores, region):
    bare = _without_rows_of(tables, region)
    found = [e for e in measure(bare, INSTANT_US, by="region", scores=scores) if e.segment == region]
    assert found
    assert_sound(found)


@pytest.mark.nightly
@pytest.mark.parametrize("take", [emptied, without], ids=["emptied", "left out"])
@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_every_table_emptied_or_left_out_stops_no_metric_and_no_list(engine, take):
    tables = whole_company(engine)
    scores = scores_of(customers_of(tables))
    for table in tables.frames:
        if take is emptied or table != "customers":
            assert_all_sound(take(tables, table), scores=scores)
            assert_lists_answer(take(tables, table), scores=scores)


@pytest.mark.nightly
@pytest.mark.parametrize("days", WINDOWS)
def test_every_window_emptied_stops_nothing(tables, scores, days):
    assert_all_sound(tables, days_later(days), scores)
    assert_lists_answer(tables, days_later(days), scores)


@pytest.mark.nightly
@pytest.mark.parametrize("table", sorted(set(TABLES) - NEEDED_BY_NONE))
def test_every_split_of_an_emptied_table_stops_nothing(tables, scores, table):
    splits = [by for by in SEGMENTS if can_split(tables, by)]
    assert_sound(measure_by(emptied(tables, table), INSTANT_US, splits, scores=scores))
