"""Panels through customer-days equal one instant at a time from the rows, bit by bit, whatever was corrected when."""

from __future__ import annotations

import narwhals as nw
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.rows.contract_form import make_tables, on_engine, raw_frame
from vouch.features.asof import view
from vouch.features.contract.tables import CHANNELS, DAY_US
from vouch.features.engines import counted_bits, joined_bits
from vouch.features.vectors import customer_days
from vouch.features.vectors.build import collect, fed_groups, panel, vectors
from vouch.features.vectors.customer_days import divided
from vouch.features.vectors.distinct_values import passed
from vouch.features.vectors.group_by import narrowed

T = 1_000 * DAY_US
HOUR_US = DAY_US // 24
CUSTOMERS = ("ann", "bob", "eve")


@st.composite
def versions(draw):
    """Events of three customers around the edges of windows: late, corrected, moved, withdrawn, told ahead."""
    rows = []
    for number in range(draw(st.integers(1, 12))):
        own = T - draw(st.sampled_from((0, 1, 7, 8, 28, 29, 56, 90, 91, 180, 400))) * DAY_US
        own += draw(st.sampled_from((-1, 0, 1, 5 * HOUR_US, 13 * HOUR_US)))
        person = draw(st.sampled_from(CUSTOMERS))
        for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
            rows.append(
                {
                    "event_id": str(number),
                    "customer_id": person,
                    "occurred_at": own + draw(st.sampled_from((0, 0, 0, -DAY_US, 3 * HOUR_US))),
                    "event": draw(st.sampled_from(("view", "edit"))),
                    "feature": draw(st.sampled_from((None, "a", "b"))),
                    "channel": draw(st.sampled_from((None, *CHANNELS))),
                    "value": draw(st.sampled_from((None, 0.5, 3))),
                    "user_id": draw(st.sampled_from((None, "x", "y"))),
                    "ingested_at": draw(st.sampled_from((None, own, own + 2 * DAY_US, own + 60 * DAY_US, T - 1, T))),
                    "is_deleted": draw(st.sampled_from((False, False, False, True))),
                }
            )
    return rows


instants = st.lists(
    st.builds(
        lambda days, more: T - days * DAY_US + more,
        st.sampled_from((0, 0, 7, 28, 35, 90)),
        st.sampled_from((0, 0, 1, 5 * HOUR_US, 17 * HOUR_US)),
    ),
    min_size=2,
    max_size=4,
    unique=True,
)


def company(rows):
    people = [{"customer_id": customer, "created_at": 0} for customer in CUSTOMERS]
    return {"customers": raw_frame("customers", people), "usage_events": raw_frame("usage_events", rows)}


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(customer_days, "FEWEST_ROWS", 0)


@settings(max_examples=16)
@given(rows=versions(), at=instants, engine=st.sampled_from(("polars", "polars", "duckdb")))
def test_a_panel_from_customer_days_equals_one_instant_at_a_time(engine, rows, at):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(customer_days, "FEWEST_ROWS", 0)
        tables = make_tables(company(rows), engine)
        one_at_a_time = pd.concat([collect(vectors(tables, instant)) for instant in at], ignore_index=True)
        pd.testing.assert_frame_equal(panel(tables, at), one_at_a_time, check_exact=True)


def test_what_adds_up_over_days_is_rolled_up_and_distinct_values_are_counted_apart_at_once(always):
    event = {"event_id": "1", "customer_id": "ann", "occurred_at": T - DAY_US, "event": "view"}
    tables = make_tables(company([event]))
    rolled, left = divided(tables, fed_groups(tables), [T, T - DAY_US])
    days, apart = ({member.name for member in prepared.group.members} for prepared in rolled)
    assert {"usage_events_28d", "active_days_28d", "usage_value_90d", "usage_gap_mean_90d"} <= days
    assert {"features_used_90d", "users_28d"} <= apart
    assert not days & apart
    assert "usage_events" not in {group.table for group in left}


def test_a_single_instant_and_a_small_table_are_read_from_the_rows(always, monkeypatch):
    event = {"event_id": "1", "customer_id": "ann", "occurred_at": T - DAY_US, "event": "view"}
    tables = make_tables(company([event]))
    assert divided(tables, fed_groups(tables), [T])[0] == []
    monkeypatch.setattr(customer_days, "FEWEST_ROWS", 2)
    assert divided(tables, fed_groups(tables), [T, T - DAY_US])[0] == []


@settings(max_examples=16)
@given(rows=versions(), at=instants, engine=st.sampled_from(("polars", "polars", "duckdb")))
def test_a_large_table_is_read_in_three_passes_and_gives_the_same(engine, rows, at):
    tables = make_tables(company(rows), engine)
    whole = [collect(vectors(tables, instant)) for instant in at]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(customer_days, "FEWEST_ROWS_APART", 0)
        for instant, expected in zip(at, whole, strict=True):
            pd.testing.assert_frame_equal(collect(vectors(tables, instant)), expected, check_exact=True)


def test_in_a_large_table_active_days_and_distinct_values_are_had_apart(monkeypatch):
    event = {"event_id": "1", "customer_id": "ann", "occurred_at": T - DAY_US, "event": "view"}
    tables = make_tables(company([event]))
    monkeypatch.setattr(customer_days, "FEWEST_ROWS_APART", 0)
    for instant, more in ((T, {"active_days_28d", "events_per_active_day_28d"}), (T + HOUR_US, set())):
        (days,), left = divided(tables, fed_groups(tables), [instant])
        told = {member.name for member in days.group.members}
        assert {"usage_gap_mean_90d", "usage_gap_spread_90d"} | more <= told
        assert more or not any(name.startswith("active_days") for name in told)
        assert [group.table for group in left].count("usage_events") == 2


def test_a_gap_stands_in_the_first_row_of_a_day_alone():
    rows = [
        {"event_id": str(number), "customer_id": "ann", "occurred_at": T - before_us, "event": "view"}
        for number, before_us in enumerate((3 * DAY_US, 3 * DAY_US - 5, DAY_US, DAY_US - 5, DAY_US - 9))
    ]
    tables = make_tables(company(rows))
    group = next(group for group in fed_groups(tables) if group.table == "usage_events")
    found = narrowed(view(tables, "usage_events", T), group, "as_of_us").sort("own_us").collect()
    assert found["day_gap"].to_list() == [None, None, 2, None, None]


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_bits_of_rows_with_one_key_are_joined_by_each_engine(engine):
    frame = pl.DataFrame({"who": ["a", "a", "b"], "bits": [1, 4, 2]})
    joined = joined_bits(on_engine({"rows": frame}, engine)["rows"], ["who"], ["bits"]).collect("polars")
    assert sorted(joined.rows()) == [("a", 5), ("b", 2)]


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_rows_with_a_bit_are_counted_by_each_engine(engine):
    frame = pl.DataFrame({"who": ["a", "a", "b"], "bits": [1, 5, 2]})
    places = {"first": ("bits", 0), "third": ("bits", 2)}
    counted = counted_bits(on_engine({"rows": frame}, engine)["rows"], "who", places).collect("polars")
    assert sorted(counted.rows()) == [("a", 2, 1), ("b", 0, 0)]


def test_instants_at_or_before_a_moment_are_the_lowest_bits():
    moments = nw.from_native(pl.LazyFrame({"us": [0, 10, 15, 30]}))
    assert moments.select(passed(nw.col("us"), [10, 20, 30])).collect().rows() == [(0,), (1,), (1,), (7,)]
