"""One builder of vectors: what it gives does not hang on who else is there, on what is missing, or on the engine."""

import dataclasses

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest

from support.rows.contract_form import make_tables, on_engine, raw_frame
from vouch.features.asof import Tables
from vouch.features.contract.tables import DAY_US, TABLES
from vouch.features.ingest.stage import open_tables
from vouch.features.simulation.parameters import LAST_INSTANT_US
from vouch.features.vectors.build import collect, feature_names, panel, vectors
from vouch.features.vectors.declare import COLUMNS, load_families
from vouch.features.vectors.group_by import empty_value

AS_OF_US = LAST_INSTANT_US - 28 * DAY_US
OWNERS = {"referrals": "advocate_id"}
FEATURES = load_families()
FED = sorted({declared.table for declared in FEATURES.values() if declared.table} - {"customers"})


@pytest.fixture(scope="module")
def frames(staged):
    """The staged tables of the simulated company that feed features."""
    return {name: pl.read_parquet(staged.folder / f"{name}.parquet") for name in ("customers", *FED)}


@pytest.fixture(scope="module")
def tables(staged, frames):
    return as_tables(frames, staged.columns)


@pytest.fixture(scope="module")
def batch(tables):
    return collect(vectors(tables, AS_OF_US))


def as_tables(frames, columns, engine="polars"):
    there = {name: frozenset(columns[name]) for name in frames}
    return Tables(on_engine(frames, engine), there, "test", engine)


def assert_same(left, right):
    pd.testing.assert_frame_equal(left.reset_index(drop=True), right.reset_index(drop=True), check_exact=True)


def depends_on(declared):
    """Tables below a feature."""
    if declared.table:
        return {declared.table}
    return set().union(*(depends_on(FEATURES[source]) for source in declared.sources))


def test_each_external_customer_known_at_the_instant_has_one_vector(batch, frames):
    known = frames["customers"].filter(
        pl.col("own_us") < AS_OF_US,
        pl.col("ingested_us") < AS_OF_US,
        pl.col("superseded_us").is_null() | (pl.col("superseded_us") >= AS_OF_US),
        ~pl.col("is_deleted"),
        ~pl.col("is_internal").fill_null(False),
    )
    assert batch["customer_id"].tolist() == sorted(known["customer_id"])
    assert set(batch["as_of_us"]) == {AS_OF_US}
    assert list(batch.columns) == ["customer_id", "as_of_us", *feature_names()]


def test_every_number_is_float64_and_every_category_a_text(batch):
    for name, declared in FEATURES.items():
        if declared.is_category:
            assert batch[name].dtype == "str", name
        else:
            assert batch[name].dtype == np.float64, name
            assert np.isfinite(batch[name].dropna()).all(), name


def test_every_family_says_something_about_the_simulated_company(batch):
    silent = [declared for name, declared in FEATURES.items() if batch[name].nunique() < 2]
    for family in {declared.family for declared in FEATURES.values()}:
        members = [declared for declared in FEATURES.values() if declared.family == family]
        mute = [declared.name for declared in silent if declared.family == family]
        assert len(mute) <= len(members) / 10, mute


def test_one_customer_alone_equals_the_same_customer_in_the_batch(frames, staged, batch):
    busiest = frames["usage_events"]["customer_id"].value_counts().sort("count", "customer_id")["customer_id"]
    known = batch["customer_id"].tolist()
    chosen = [customer for customer in busiest if customer in known][:: max(1, len(busiest) // 4)]
    silent = sorted(set(known) - set(busiest))[:1]
    for customer in [*chosen, *silent]:
        own = {
            name: frame.filter(pl.col(OWNERS.get(name, "customer_id")) == customer) for name, frame in frames.items()
        }
        alone = collect(vectors(as_tables(own, staged.columns), AS_OF_US))
        assert_same(alone, batch[batch["customer_id"] == customer])


def test_many_instants_equal_one_at_a_time(staged):
    instants = [AS_OF_US, AS_OF_US - 91 * DAY_US - 12_345_678_901]
    for engine in ("polars", "duckdb"):
        tables = open_tables(staged, engine)
        one_at_a_time = [collect(vectors(tables, instant)) for instant in instants]
        assert_same(panel(tables, instants), pd.concat(one_at_a_time))


@pytest.mark.parametrize("missing", FED)
def test_a_missing_table_gives_null_for_its_features_and_only_those(tables, batch, missing):
    fewer = dataclasses.replace(tables, frames={name: f for name, f in tables.frames.items() if name != missing})
    without = collect(vectors(fewer, AS_OF_US))
    touched = [name for name, declared in FEATURES.items() if missing in depends_on(declared)]
    for name in touched:
        if depends_on(FEATURES[name]) == {missing}:
            assert without[name].isna().all(), name
    assert_same(without.drop(columns=touched), batch.drop(columns=touched))


def columns_read(declared):
    """Columns of the contract's table that a feature reads, needed or optional, through computed ones too."""
    reads, computed = set(declared.reads), COLUMNS.get(declared.table, {})
    for name in reversed(computed):
        if name in reads:
            reads |= computed[name].reads
    return reads


def test_a_missing_optional_column_gives_null_for_what_needs_it_and_changes_nothing_else(frames, staged, batch):
    optional = {
        name: [c for c in TABLES[name].columns.values() if not c.is_required and c.name in staged.columns[name]]
        for name in frames
    }
    optional["customers"] = [c for c in optional["customers"] if c.name != "is_internal"]
    general = {"ingested_at", "is_deleted", *(clock for table in TABLES.values() for clock in table.clock)}
    later = {
        name: set(TABLES[name].later) | {f for facts in TABLES[name].later.values() for f in facts} for name in frames
    }
    dropped = {name: [c for c in of if c.name not in general | later[name]] for name, of in optional.items()}
    for turn in range(max(map(len, dropped.values()))):
        gone = {name: of[turn] for name, of in dropped.items() if turn < len(of)}
        fewer = {
            name: frame.with_columns(pl.lit(None, frame.schema[gone[name].staged]).alias(gone[name].staged))
            if name in gone
            else frame
            for name, frame in frames.items()
        }
        columns = {name: staged.columns[name] - ({gone[name].name} if name in gone else set()) for name in frames}
        without = collect(vectors(as_tables(fewer, columns), AS_OF_US))
        for name, declared in FEATURES.items():
            if declared.table not in gone:
                continue
            column = gone[declared.table]
            if column.name in declared.needs:
                assert without[name].isna().all(), f"{name} without {declared.table}.{column.name}"
            elif column.staged not in columns_read(declared):
                assert without[name].equals(batch[name]), f"{name} without {declared.table}.{column.name}"


def test_a_later_dated_column_that_was_not_handed_over_leaves_only_what_needs_it_null(frames, staged):
    fewer = {**staged.columns, "tickets": staged.columns["tickets"] - {"resolved_at"}}
    frames = {**frames, "tickets": frames["tickets"].with_columns(resolved_us=pl.lit(None, pl.Int64))}
    without = collect(vectors(as_tables(frames, fewer), AS_OF_US))
    assert without[["tickets_open", "oldest_open_ticket_days", "resolution_hours_365d"]].isna().all(axis=None)
    assert without["tickets_365d"].notna().all()


def test_a_table_without_rows_gives_zero_for_counts_and_null_for_means(frames, staged):
    empty = {name: frame.clear() if name != "customers" else frame for name, frame in frames.items()}
    for engine in ("polars", "duckdb"):
        found = collect(vectors(as_tables(empty, staged.columns, engine), AS_OF_US))
        for name, declared in FEATURES.items():
            if not declared.table or declared.table == "customers":
                continue
            expected = empty_value(declared)
            values = found[name]
            assert values.isna().all() if expected is None else (values == expected).all(), name
    assert (found[["orders_90d", "is_subscribed", "usage_growth_28d", "tickets_open", "spend_lifetime"]] == 0).all(
        axis=None
    )
    assert found[["nps_last", "average_order_value_365d", "days_since_usage", "loyalty_tier"]].isna().all(axis=None)


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_the_order_of_rows_does_not_change_a_bit(frames, staged, batch, engine):
    shuffled = {name: frame.sample(fraction=1.0, shuffle=True, seed=3) for name, frame in frames.items()}
    assert_same(collect(vectors(as_tables(shuffled, staged.columns, engine), AS_OF_US)), batch)


def test_the_number_of_threads_does_not_change_a_bit(staged, batch):
    for threads in (1, 4):
        assert_same(collect(vectors(open_tables(staged, "duckdb", threads=threads), AS_OF_US)), batch)


def test_feature_values_of_a_company_written_by_hand():
    day = DAY_US
    events = [(72 * day, "web"), (72 * day + 1, "app"), (93 * day, "web"), (93 * day - 1, "web"), (100 * day, "web")]
    raw = {
        "customers": raw_frame("customers", [{"customer_id": "007", "created_at": 0}]),
        "usage_events": raw_frame(
            "usage_events",
            [
                {"event_id": str(n), "customer_id": "007", "occurred_at": at, "event": "view", "channel": channel}
                for n, (at, channel) in enumerate(events)
            ],
        ),
    }
    found = collect(vectors(make_tables(raw), 100 * day)).iloc[0]
    assert found["customer_id"] == "007"
    assert found["usage_events_lifetime"] == 4, "the row at the instant itself is not before it"
    assert found["usage_events_7d"] == 1, "exactly seven days before is inside"
    assert found["usage_events_28d"] == 4
    assert found["active_days_28d"] == 3
    assert found["usage_share_app_90d"] == 0.25
    assert found["days_since_usage"] == 7
    assert found["usage_gap_mean_90d"] == 10.5, "20 and 1 days"
    assert found["usage_gap_spread_90d"] == 9.5
    assert found["usage_growth_7d"] == pytest.approx(np.log(2 / 2))
    assert found["tenure_days"] == 100
    assert np.isnan(found["spend_lifetime"])


def test_a_row_without_a_customer_makes_no_vector_and_changes_none():
    raw = {
        "customers": raw_frame("customers", [{"customer_id": "a", "created_at": 0}]),
        "feedback": raw_frame(
            "feedback",
            [
                {"feedback_id": "1", "customer_id": None, "source": "google", "occurred_at": DAY_US},
                {"feedback_id": "2", "customer_id": "nobody", "source": "google", "occurred_at": DAY_US},
            ],
        ),
    }
    found = collect(vectors(make_tables(raw), 9 * DAY_US))
    assert found["customer_id"].tolist() == ["a"]
    assert found["public_reviews_365d"].tolist() == [0.0]


def test_internal_customers_make_no_vector():
    people = [{"customer_id": c, "created_at": 0, "is_internal": c == "b"} for c in "ab"]
    raw = {"customers": raw_frame("customers", [*people, {"customer_id": "c", "created_at": 0}])}
    assert collect(vectors(make_tables(raw), DAY_US))["customer_id"].tolist() == ["a", "c"]


def test_vectors_stay_lazy_frames(tables):
    assert isinstance(vectors(tables, AS_OF_US), nw.LazyFrame)
