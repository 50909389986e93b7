"""Nothing that is not known at an instant can change a vector of that instant by a single bit."""

import pandas as pd
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from support.rows.contract_form import make_tables, raw_frame, read_company
from support.rows.scrambled_futures import other_future
from vouch.features.asof import view
from vouch.features.contract.tables import DAY_US, TABLES
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.project import Project
from vouch.features.simulation.parameters import LAST_INSTANT_US
from vouch.features.vectors.build import collect, vectors
from vouch.features.vectors.declare import load_families

T = 1_000 * DAY_US
FEATURES = load_families()
FAMILIES = sorted({declared.family for declared in FEATURES.values()})
FED = ["customers", *sorted({declared.table for declared in FEATURES.values() if declared.table} - {"customers"})]
LATER = [(name, date) for name, table in TABLES.items() for date in table.later]
CUSTOMERS = ("ann", "bob", "eve")
MOMENTS = (0, 1, 7 * DAY_US, 28 * DAY_US, 28 * DAY_US + 1, 90 * DAY_US, 200 * DAY_US, 500 * DAY_US)
AGES = (-DAY_US, -1, *MOMENTS)
TEXTS = ("great, I love it", "terrible", "p1", "a", "relational")


def compare(left, right):
    """Vectors are equal bit by bit, in every family and all together."""
    for family in FAMILIES:
        names = [name for name, declared in FEATURES.items() if declared.family == family]
        pd.testing.assert_frame_equal(left[names], right[names], check_exact=True, obj=family)
    pd.testing.assert_frame_equal(left, right, check_exact=True)


@st.composite
def rows_of(draw, name):
    """Rows of one table around the instant T, with versions, withdrawals and facts of later dates."""
    random = draw(st.randoms(use_true_random=False))
    return [a_row(name, number, random) for number in range(random.randint(2, 8))]


def a_row(name, number, random):
    table = TABLES[name]
    own = T - random.choice(AGES)
    row = {column.name: a_value(column, random) for column in table.columns.values() if column.kind != "time"}
    row |= dict.fromkeys(table.clock, own)
    row["ingested_at"] = random.choice((None, None, own, own + DAY_US, T - 1, T))
    row["is_deleted"] = random.random() < 0.1
    if table.key:
        row[table.key] = f"{name} {number // 2}"
    for date, facts in table.later.items():
        row[date] = random.choice((None, own, own + 1, own + 30 * DAY_US, T, T + DAY_US))
        if table.columns[date].is_required:
            row[date] = row[date] or own
        if row[date] is None:
            row |= dict.fromkeys(facts) | ({"status": "delivered"} if "status" in facts else {})
    for person in ("customer_id", "advocate_id"):
        if person in table.columns:
            row[person] = random.choice(CUSTOMERS)
    return row | ({"scale_min": 0, "scale_max": 10} if name == "surveys" else {})


def a_value(column, random):
    if not column.is_required and random.random() < 0.2:
        return None
    if column.values:
        return random.choice(column.values)
    match column.kind:
        case "text":
            return random.choice(TEXTS)
        case "boolean":
            return random.random() < 0.5
        case "integer":
            return random.randint(0, 9)
        case _:
            return random.randint(0, 10)


companies = st.fixed_dictionaries({name: rows_of(name) for name in FED})


@settings(max_examples=12, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # to shrink would take minutes
@given(rows=companies, seed=st.integers(0, 1_000))
def test_no_other_future_changes_a_vector(rows, seed):
    raw = {name: raw_frame(name, of) for name, of in rows.items()}
    here, there = (collect(vectors(make_tables(of), T)) for of in (raw, other_future(raw, T, seed)))
    compare(here, there)


@pytest.mark.parametrize(("engine", "days_before", "seed"), [("polars", 56, 1), ("duckdb", 130.123456, 2)])
def test_no_other_future_changes_a_vector_of_the_simulated_company(company, tmp_path, engine, days_before, seed):
    as_of_us = int(LAST_INSTANT_US - days_before * DAY_US)
    raw = {name: frame for name, frame in read_company(company).items() if name in FED}
    found = []
    for label, of in (("here", raw), ("there", other_future(raw, as_of_us, seed))):
        folder = tmp_path / label
        folder.mkdir()
        for name, frame in of.items():
            times = [c.name for c in TABLES[name].columns.values() if c.kind == "time" and c.name in frame.columns]
            with_times = frame.with_columns(pl.col(times).cast(pl.Datetime("us", "UTC")))
            with_times.write_parquet(folder / f"{name}.parquet")
        staged = stage(Project(home=tmp_path / f"home {label}", location=str(folder)), LAST_INSTANT_US + 60 * DAY_US)
        found.append((staged, collect(vectors(open_tables(staged, engine), as_of_us))))
    (first, here), (second, there) = found
    compare(here, there)
    assert first.fingerprint != second.fingerprint
    assert here["usage_events_lifetime"].sum() > 10_000


def test_the_scrambled_futures_are_other_futures(company):
    raw = {name: frame for name, frame in read_company(company).items() if name in FED}
    as_of_us = LAST_INSTANT_US - 56 * DAY_US
    here, there = (collect(vectors(make_tables(of), LAST_INSTANT_US)) for of in (raw, other_future(raw, as_of_us, 1)))
    both = here.merge(there, on="customer_id", suffixes=("", " there"))
    for family in FAMILIES:
        names = [name for name, declared in FEATURES.items() if declared.family == family]
        assert any(not both[name].equals(both[f"{name} there"].rename(name)) for name in names), family


def found_at(instant, **rows):
    """The vector of the customer ann."""
    people = rows.pop("customers", [{"customer_id": "ann", "created_at": 0}])
    raw = {name: raw_frame(name, of) for name, of in {"customers": people, **rows}.items()}
    return collect(vectors(make_tables(raw), instant)).set_index("customer_id").loc["ann"]


def event(at, **more):
    return {"event_id": "1", "customer_id": "ann", "occurred_at": at, "event": "view", **more}


def test_a_row_at_the_instant_belongs_to_the_future():
    assert found_at(T, usage_events=[event(T)])["usage_events_lifetime"] == 0
    assert found_at(T, usage_events=[event(T - 1)])["usage_events_lifetime"] == 1


def test_a_row_that_became_known_at_the_instant_belongs_to_the_future():
    assert found_at(T, usage_events=[event(T - DAY_US, ingested_at=T)])["usage_events_lifetime"] == 0
    assert found_at(T, usage_events=[event(T - DAY_US, ingested_at=T - 1)])["usage_events_lifetime"] == 1


def test_a_window_holds_its_first_microsecond_and_not_the_one_before():
    assert found_at(T, usage_events=[event(T - 28 * DAY_US)])["usage_events_28d"] == 1
    assert found_at(T, usage_events=[event(T - 28 * DAY_US - 1)])["usage_events_28d"] == 0


def test_a_correction_that_moves_a_row_past_the_instant_takes_it_away():
    versions = [event(T - 5 * DAY_US), event(T + 5 * DAY_US, ingested_at=T - 2 * DAY_US)]
    assert found_at(T, usage_events=versions)["usage_events_lifetime"] == 0
    assert found_at(T - 3 * DAY_US, usage_events=versions)["usage_events_lifetime"] == 1
    assert found_at(T + 6 * DAY_US, usage_events=versions)["usage_events_lifetime"] == 1


def test_a_correction_counts_once_it_is_known():
    sale = {"transaction_id": "1", "customer_id": "ann", "occurred_at": T - 9 * DAY_US, "kind": "purchase"}
    versions = [sale | {"amount": 10}, sale | {"amount": 25, "ingested_at": T - DAY_US}]
    assert found_at(T - DAY_US, transactions=versions)["spend_lifetime"] == 10
    assert found_at(T - DAY_US + 1, transactions=versions)["spend_lifetime"] == 25


def test_a_withdrawal_takes_the_row_away_from_then_on():
    versions = [event(T - 5 * DAY_US), event(T - 5 * DAY_US, ingested_at=T - DAY_US, is_deleted=True)]
    assert found_at(T - 2 * DAY_US, usage_events=versions)["usage_events_lifetime"] == 1
    assert found_at(T, usage_events=versions)["usage_events_lifetime"] == 0


def test_a_withdrawn_customer_has_no_vector():
    people = [
        {"customer_id": "ann", "created_at": 0},
        {"customer_id": "bob", "created_at": 0},
        {"customer_id": "bob", "created_at": 0, "ingested_at": T - 1, "is_deleted": True},
    ]
    raw = {"customers": raw_frame("customers", people)}
    assert collect(vectors(make_tables(raw), T - 1))["customer_id"].tolist() == ["ann", "bob"]
    assert collect(vectors(make_tables(raw), T))["customer_id"].tolist() == ["ann"]


def contract(**more):
    return {"subscription_id": "1", "customer_id": "ann", "started_at": T - 300 * DAY_US, "mrr": 20, **more}


def test_an_announced_end_is_known_and_an_end_that_merely_stands_in_the_table_is_not():
    ahead = {"ended_at": T + 10 * DAY_US, "cancel_reason": "price", "is_voluntary": True}
    silent = found_at(T, subscriptions=[contract(**ahead)])
    assert (silent["is_subscribed"], silent["is_leaving"]) == (1, 0)
    assert silent[["announced_end_days", "cancel_reason"]].isna().all()
    told = found_at(T, subscriptions=[contract(), contract(**ahead, ingested_at=T - DAY_US)])
    assert (told["is_subscribed"], told["is_leaving"], told["announced_end_days"]) == (1, 1, 10)
    assert told["cancel_reason"] == "price"
    early = found_at(T - 2 * DAY_US, subscriptions=[contract(), contract(**ahead, ingested_at=T - DAY_US)])
    assert (early["is_subscribed"], early["is_leaving"]) == (1, 0)
    over = found_at(T + 10 * DAY_US + 1, subscriptions=[contract(**ahead)])
    assert (over["is_subscribed"], over["is_leaving"], over["subscriptions_ended"]) == (0, 0, 1)


def test_a_subscription_that_ends_at_the_instant_still_runs():
    ended = [contract(ended_at=T, ingested_at=T - DAY_US)]
    assert found_at(T, subscriptions=ended)[["is_subscribed", "is_leaving"]].tolist() == [1, 1]
    assert found_at(T + 1, subscriptions=ended)[["is_subscribed", "is_leaving"]].tolist() == [0, 0]


def dated_row(name, date, when, **more):
    """A row of a table, known long before T, that says something of a date."""
    table = TABLES[name]
    values = {"text": "said", "boolean": True, "integer": 3, "time": T - 50 * DAY_US}
    row = {c.name: c.values[0] if c.values else values.get(c.kind, 3) for c in table.columns.values()}
    row |= dict.fromkeys(table.later) | {date: when, "ingested_at": None, "is_deleted": None}
    return row | {"scale_min": 0, "scale_max": 10, "customer_id": "ann", "advocate_id": "ann"} | more


def test_a_tie_is_not_decided_by_a_date_that_has_not_come():
    ask = {"ask_id": "1", "customer_id": "ann", "asked_at": T - 9 * DAY_US, "kind": "review"}
    early = ask | {"outcome": "accepted", "outcome_at": T - 5 * DAY_US}
    futures = ({"outcome": "accepted", "outcome_at": T + 1}, {"outcome": "declined", "outcome_at": T + DAY_US}, {})
    for future in futures:
        assert found_at(T, asks=[early, ask | future])["asks_open"] == 1


@pytest.mark.parametrize(("name", "date"), LATER)
def test_a_fact_of_a_later_date_is_unknown_until_that_date_unless_it_was_stated(name, date):
    table = TABLES[name]
    columns = [table.columns[column].staged for column in (date, *table.later[date])]
    columns += ["polarity"] if "verbatim" in columns else []

    def seen(instant, **row):
        tables = make_tables({name: raw_frame(name, [{k: v for k, v in row.items() if k in table.columns}])})
        (only,) = view(tables, name, instant).select(columns).collect("polars").rows(named=True)
        return only

    ahead = dated_row(name, date, T)
    unknown = {column: "delivered" if column == "status" else None for column in columns}
    assert seen(T, **ahead) == unknown
    known = seen(T + 1, **ahead)
    assert all(value is not None for value in known.values())
    assert seen(T, **ahead | {"ingested_at": T - 1}) == known


@pytest.mark.parametrize(("name", "date"), [(name, date) for name, date in LATER if name in FED])
def test_a_vector_reads_an_open_date_and_a_later_one_alike(name, date):
    table = TABLES[name]
    ahead = dated_row(name, date, T + 3)
    left_open = ahead | dict.fromkeys(table.later[date]) | {date: None}
    if "status" in table.later[date]:
        left_open["status"] = "delivered"
    if table.columns[date].is_required:
        left_open[date] = T + 99
    here, there = (found_at(T, **{name: [row]}) for row in (ahead, left_open))
    assert here.equals(there)
