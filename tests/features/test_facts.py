"""Business concepts at their bounds: exactly at the instant, and one microsecond before and after it."""

from __future__ import annotations

import pytest

from support.contract_rows import day, make_tables
from support.metric_examples import INSTANT, INSTANT_US
from vouch.features.facts.spans import NEVER_US
from vouch.features.facts.stays import GAP_DAYS, stays
from vouch.features.metrics.context import Moment
from vouch.features.metrics.definitions.retention import starters
from vouch.models.outcomes import churn_events

MOMENT = 1 / day(1)
"""A microsecond, in days."""
ENGINES = pytest.mark.parametrize("engine", ["polars", "duckdb"])


def frame(engine, table, *rows):
    """Rows of one table as a frame of an engine; times in days."""
    return make_tables(engine, **{table: list(rows)}).frames[table]


def people(*names, **more):
    return [{"customer_id": name, "created_at": 1, **more} for name in names]


def span(start, end=None, customer="a", **more):
    return {
        "subscription_id": f"{customer}{start}", "customer_id": customer, "started_at": start, "ended_at": end,
        "mrr": 1, **more,
    }  # fmt: skip


def kept(found, *columns):
    """The rows of a frame, in order."""
    table = found.select(*columns).collect("pyarrow").to_native()
    return sorted(tuple(row.values()) for row in table.to_pylist())


@ENGINES
@pytest.mark.parametrize(
    ("pause", "ends"),
    [(0, [200]), (GAP_DAYS - MOMENT, [200]), (GAP_DAYS, [100, 200]), (GAP_DAYS + MOMENT, [100, 200])],
)
def test_a_pause_of_the_gap_or_longer_ends_a_stay(engine, pause, ends):
    rows = frame(engine, "subscriptions", span(10, 100), span(100 + pause, 200))
    assert kept(stays(rows), "end_us") == [(day(end),) for end in ends]


@ENGINES
def test_a_pause_of_exactly_the_gap_is_churn_in_metric_and_label_alike(engine):
    begins = INSTANT - 28
    spans = [span(begins - 100, begins - 1, c) for c in "abcd"]
    spans += [span(begins - 1 + GAP_DAYS - (MOMENT if c in "ab" else 0), None, c) for c in "abcd"]
    tables = make_tables(engine, customers=people(*"abcd"), subscriptions=spans)
    assert churn_events(tables, INSTANT_US, GAP_DAYS)["customer_id"].tolist() == ["c", "d"]
    retained = starters.prepare(Moment(tables, INSTANT_US), 28)
    assert kept(retained, "customer_id", "is_retained") == [("a", 1), ("b", 1)]


def test_a_stay_that_runs_on_has_no_end():
    rows = frame("polars", "subscriptions", span(10), span(20, 30))
    assert kept(stays(rows), "end_us") == [(NEVER_US,)]
