"""Each rule of the contract on a row by hand: what is refused, what is nulled, what is repaired, what is counted."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.rows.table_files import DAY_US, NOW_US, company, read, row, staged, write_parquet
from vouch.features.contract.tables import TABLES
from vouch.features.errors import DataError, MissingTable, UsageError
from vouch.features.ingest.counts import REASONS
from vouch.features.ingest.stage import tables_from_rows

BROKEN = {
    "time": {
        "yesterday": "not_a_time",
        "2025-02-30": "not_a_time",
        "infinity": "not_a_time",
        "1700000000": "not_a_time",
    },
    "money": {"ten": "not_a_number", "1,5": "not_a_number", "NaN": "not_finite", "-inf": "not_finite"},
    "number": {"ten": "not_a_number", "1e400": "not_finite", "1e14": "too_large", "-100000000000000": "too_large"},
    "integer": {"ten": "not_a_number", "1.5": "not_a_whole_number", str(2**63): "too_large"},
    "boolean": {"perhaps": "not_a_boolean", "2": "not_a_boolean"},
    "probability": {"likely": "not_a_number", "NaN": "not_finite", "1.01": "out_of_range", "-0.01": "out_of_range"},
    "text": {"a\0b": "nul_character"},
}
OPEN_BROKEN = {value: reason for value, reason in BROKEN["time"].items() if value != "infinity"}
IMPOSSIBLE = {
    ("subscriptions", "mrr"): ["-0.01"],
    ("licences", "seats"): ["-1"],
    ("health_overrides", "score"): ["101", "-1"],
    ("maturity_answers", "level"): ["0", "5"],
    ("customers", "birth_year"): ["1799"],
    ("tickets", "wait_s"): ["-1"],
    ("tickets", "contacts"): ["-1"],
    ("tickets", "csat"): ["0", "5.5"],
    ("feedback", "rating"): ["-1"],
    ("feedback", "rating_max"): ["0"],
    ("sessions", "engaged_s"): ["-1"],
    ("social_posts", "likes"): ["-1"],
    ("advocacy_acts", "reach"): ["-1"],
    ("licences", "features_available"): ["-1"],
}


def broken_cells():
    """Table, column, value and the reason that it must be given, for every column of the contract."""
    for table in TABLES.values():
        for column in table.columns.values():
            is_open = column in table.open_dates()  # of which infinity says that there is none
            for value, reason in BROKEN[column.kind].items() if not is_open else OPEN_BROKEN.items():
                yield table.name, column.name, value, reason
            if column.values:
                yield table.name, column.name, column.values[0].upper(), "unknown_value"
            for value in IMPOSSIBLE.get((table.name, column.name), []):
                yield table.name, column.name, value, "out_of_range"


CELLS = list(broken_cells())


@pytest.fixture(scope="module")
def broken_company(tmp_path_factory):
    """One company in which every row but the first of a table is broken in one cell, staged; and where each row is."""
    tables = {table: [row(table)] for table in TABLES}
    places = {}
    for table, column, value, _ in CELLS:
        key = {TABLES[table].key: f"broken{len(tables[table])}"} if TABLES[table].key else {}
        places[table, column, value] = len(tables[table])
        tables[table].append({**row(table), **key, column: value})
    folder = write_parquet(tmp_path_factory.mktemp("broken") / "tables", tables)
    found = staged(folder)
    return found, places, {path.stem: pl.read_parquet(path) for path in (found.folder / "quarantine").iterdir()}


@pytest.mark.parametrize(("table", "column", "value", "reason"), CELLS)
def test_a_broken_value_refuses_the_row_where_it_is_required_and_else_nulls_the_cell(
    broken_company, table, column, value, reason
):
    _, places, quarantine = broken_company
    told = quarantine[table].filter(pl.col("row") == places[table, column, value])
    scope = "row" if TABLES[table].columns[column].is_required else "cell"
    assert (scope, column, reason) in told.select("scope", "column", "reason").rows()
    assert json.loads(told["raw"][0])[column] == value


def test_what_is_told_row_by_row_adds_up_to_the_report(broken_company):
    found, _, quarantine = broken_company
    for table, figures in found.counted["tables"].items():
        told = quarantine[table]
        assert figures["quarantined"] == told.filter(scope="row")["row"].n_unique()
        assert figures["cells"] == len(told.filter(scope="cell"))
        assert figures["rows"] == 1 + sum(cell[0] == table for cell in CELLS)
        kept = len(read(found, table))
        assert kept == figures["rows"] - figures["quarantined"] - figures["duplicates"]
        counts = dict(told.group_by("reason").len().rows())
        assert {code: n for code, n in figures["reasons"].items() if REASONS[code].scope in {"row", "cell"}} == counts


def test_a_nulled_cell_is_null_and_its_row_stays(broken_company):
    found, places, _ = broken_company
    kept = read(found, "tickets").filter(pl.col("ticket_id") == f"broken{places['tickets', 'wait_s', '-1']}")
    assert kept["wait_s"].to_list() == [None]
    assert kept["customer_id"].to_list() == ["c1"]


def test_a_column_of_which_no_value_can_be_read_does_not_count_as_handed_over(broken_company):
    found, _, _ = broken_company
    assert "is_reopened" not in found.columns["tickets"]
    assert (
        "tickets.is_reopened is left out: not one of its values can be read as true or false"
        in found.counted["warnings"]
    )


def judged(table, *rows, **others):
    """Figures and accepted rows of one table in the smallest company, by way of a request."""
    tables, report = tables_from_rows(company(**{table: list(rows)}, **others), NOW_US)
    return report["tables"][table], tables.frames[table].collect().to_native()


def us(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize("table", TABLES)
def test_a_good_row_of_every_table_is_accepted(table):
    figures, frame = judged(table, row(table))
    assert figures == {
        **{"rows": 1, "quarantined": 0, "cells": 0, "repaired": 0, "duplicates": 0, "orphans": 0},
        "reasons": {},
    }
    assert len(frame) == 1


@pytest.mark.parametrize("table", TABLES)
def test_a_row_without_its_required_values_is_refused(table):
    required = TABLES[table].required()
    rows = [row(table, **{column.name: nothing}) for column in required for nothing in (None, "", "  ")]
    others = {} if table == "customers" else {"customers": [row("customers")]}
    tables, report = tables_from_rows({table: rows, **others}, NOW_US)
    figures = report["tables"][table]
    assert figures["quarantined"] == figures["reasons"]["missing"] == figures["rows"] == 3 * len(required)
    assert tables.frames[table].collect().to_native().is_empty()


RULES = [
    ("surveys", {"invited_at": None}, "missing_time"),
    ("surveys", {"invited_at": "soon"}, "missing_time"),
    ("surveys", {"scale_min": "10"}, "scale_empty"),
    ("surveys", {"scale_min": "11"}, "scale_empty"),
    ("surveys", {"score": "11"}, "outside_scale"),
    ("surveys", {"score": "-1"}, "outside_scale"),
    ("surveys", {"score": None}, "answered_without_score"),
    ("surveys", {"score": "many"}, "answered_without_score"),
    ("usage_events", {"occurred_at": "1969-12-31"}, "before_1970"),
    ("usage_events", {"ingested_at": "2025-01-30"}, "after_ingestion"),
    ("usage_events", {"occurred_at": "2026-01-02T00:00:01Z"}, "in_the_future"),
    ("surveys", {"responded_at": "2025-01-31"}, "time_runs_backwards"),
    *[
        (table.name, {column.name: "2025-01-31T23:59:59Z"}, "time_runs_backwards")
        for table in TABLES.values()
        for column in table.dates()
        if table.name != "surveys"
    ],
]


@pytest.mark.parametrize(("table", "changes", "reason"), RULES)
def test_a_row_against_a_rule_is_refused(table, changes, reason):
    figures, frame = judged(table, row(table, **changes))
    assert figures["quarantined"] == 1
    assert reason in figures["reasons"]
    assert frame.is_empty()


ALLOWED = [
    ("surveys", {"invited_at": None, "responded_at": "2025-02-03"}),
    ("surveys", {"score": None, "status": "delivered"}),
    ("surveys", {"score": "10"}),
    ("surveys", {"score": "0"}),
    ("usage_events", {"occurred_at": "1970-01-01"}),
    ("usage_events", {"ingested_at": "2025-01-31"}),
    ("usage_events", {"occurred_at": "2026-01-02T00:00:00Z"}),
    ("subscriptions", {"ended_at": "2025-02-01"}),
    ("subscriptions", {"ended_at": "2030-01-01"}),
    ("subscriptions", {"mrr": "0"}),
    ("transactions", {"amount": "-99999999999999.9999"}),
    ("feedback", {"rating": "5", "rating_max": "5"}),
    ("tickets", {"csat": "5"}),
]


@pytest.mark.parametrize(("table", "changes"), ALLOWED)
def test_a_row_at_the_edge_of_a_rule_is_accepted(table, changes):
    figures, frame = judged(table, row(table, **changes))
    assert (figures["quarantined"], figures["cells"], len(frame)) == (0, 0, 1)


def test_a_rating_outside_its_scale_is_nulled():
    figures, frame = judged("feedback", row("feedback", rating="6", rating_max="5"))
    assert figures["reasons"] == {"outside_scale": 1}
    assert (frame["rating"][0], frame["rating_max"][0]) == (None, 5)


def test_a_refund_with_a_positive_amount_is_negated_and_counted():
    refund = row("transactions", kind="refund", gross_margin="4")
    figures, frame = judged(
        "transactions", refund, row("transactions", transaction_id="t2", kind="refund", amount="-1")
    )
    assert (figures["repaired"], figures["quarantined"]) == (1, 0)
    assert dict(frame.select("transaction_id", "amount").rows()) == {"t1": Decimal("-10.5"), "t2": Decimal(-1)}
    assert dict(frame.select("transaction_id", "gross_margin").rows())["t1"] == Decimal(-4)


def test_the_own_time_of_a_survey_is_the_invitation_else_the_answer():
    rows = [row("surveys"), row("surveys", response_id="r2", invited_at=None, responded_at="2025-03-01")]
    _, frame = judged("surveys", *rows)
    assert dict(frame.select("response_id", "own_us").rows()) == {"r1": us("2025-02-01"), "r2": us("2025-03-01")}


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2025-02-01", "2025-02-01T00:00:00"),
        ("2025-02-01 10:30:00", "2025-02-01T10:30:00"),
        ("2025-02-01T10:30:00Z", "2025-02-01T10:30:00"),
        ("2025-02-01T10:30:00+09:00", "2025-02-01T01:30:00"),
        ("2025-02-01T10:30:00-0330", "2025-02-01T14:00:00"),
        (" 2024-02-29 ", "2024-02-29T00:00:00"),
    ],
)
def test_times_are_instants_in_utc(text, instant):
    _, frame = judged("usage_events", row("usage_events", occurred_at=text))
    assert frame["occurred_us"].to_list() == [us(instant)]
    assert frame["day"].to_list() == [us(instant) // DAY_US]


@pytest.mark.parametrize(
    ("value", "truth"),
    [
        *[(v, True) for v in ("true", "T", "Yes", "1", 1, True)],
        *[(v, False) for v in ("FALSE", "f", "no", "0", 0, False)],
    ],
)
def test_booleans_are_words_or_numbers(value, truth):
    _, frame = judged("customers", row("customers", is_internal=value))
    assert frame["is_internal"].to_list() == [truth]


def test_numbers_are_exact_decimals_of_what_was_written():
    rows = [
        row("usage_events", event_id=str(n), value=value) for n, value in enumerate(["2.67545", 2.67545, 0.1, "1e3"])
    ]
    _, frame = judged("usage_events", *rows)
    values = dict(frame.select("event_id", "value").rows())
    assert values == {"0": Decimal("2.6755"), "1": Decimal("2.6755"), "2": Decimal("0.1"), "3": Decimal(1000)}


def test_ids_keep_their_leading_zeros_and_meet_in_one_form_of_unicode():
    rows = {"customers": [row("customers", customer_id="007"), row("customers", customer_id="caf\u00e9")]}
    events = [row("usage_events", customer_id="007"), row("usage_events", customer_id="cafe\u0301")]
    figures, frame = judged("usage_events", *events, **rows)
    assert figures["orphans"] == 0
    assert set(frame["customer_id"]) == {"007", "caf\u00e9"}


def test_rows_of_unknown_customers_stay_and_are_counted():
    figures, frame = judged("tickets", row("tickets"), row("tickets", ticket_id="k2", customer_id="ghost"))
    assert (figures["orphans"], figures["quarantined"], len(frame)) == (1, 0, 2)


@pytest.mark.parametrize("table", ["sessions", "licences"])
def test_a_row_without_a_customer_is_no_orphan(table):
    assert judged(table, row(table))[0]["orphans"] == 0


TEXTS = st.text(max_size=8) | st.sampled_from(["2025-02-01", "NaN", "1e5", "purchase", "c1", "\0", "-1", "inf"])
VALUES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXTS
TRANSACTIONS = st.dictionaries(st.sampled_from(list(TABLES["transactions"].columns)), VALUES)


@settings(max_examples=50)
@given(st.lists(TRANSACTIONS | TRANSACTIONS.map(lambda changes: row("transactions", **changes)), max_size=5))
def test_rows_of_any_values_never_raise_and_always_add_up(rows):
    figures, frame = judged("transactions", *rows)
    assert figures["rows"] == len(rows) == figures["quarantined"] + figures["duplicates"] + len(frame)
    assert frame["own_us"].is_between(0, NOW_US + DAY_US).all()
    assert frame.select("transaction_id", "customer_id", "amount", "kind").null_count().sum_horizontal()[0] == 0


@pytest.mark.parametrize(
    ("rows", "engine", "error"),
    [
        ({"usage_events": []}, "polars", MissingTable),
        ({"customers": [], "costumers": []}, "polars", UsageError),
        ({"customers": []}, "spark", UsageError),
        ({"customers": [row("customers", plan="\ud800")]}, "polars", DataError),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused(rows, engine, error):
    with pytest.raises(error):
        tables_from_rows(rows, NOW_US, engine)


def test_a_request_names_what_was_handed_over():
    tables, _ = tables_from_rows({"customers": [row("customers")], "tickets": []}, NOW_US)
    assert tables.columns["customers"] == {"customer_id", "created_at"}
    assert tables.columns["tickets"] == set(TABLES["tickets"].columns)
    named = {"customers": frozenset({"customer_id", "created_at", "plan"})}
    assert tables_from_rows({"customers": [row("customers")]}, NOW_US, columns=named)[0].columns == named


def test_a_request_may_refer_to_what_it_does_not_hold():
    asked = row("advocacy_acts", ask_id="of-an-ask-that-was-not-sent-along")
    figures, frame = judged("advocacy_acts", asked, asks=[], customers=[row("customers", referred_by="somebody-else")])
    assert frame["ask_id"].to_list() == [asked["ask_id"]]
    assert not figures["reasons"]


def test_a_request_leaves_nothing_behind():
    judged("tickets", row("tickets"))
    figures, frame = judged("tickets", row("tickets", ticket_id="k2"))
    assert (figures["rows"], frame["ticket_id"].to_list()) == (1, ["k2"])


def test_rows_of_a_request_and_of_a_file_come_out_the_same(tmp_path):
    rows = company(
        surveys=[row("surveys", verbatim="I love it"), row("surveys", response_id="r2", verbatim="terrible")],
        feedback=[row("feedback", rating="4", rating_max="5"), row("feedback", feedback_id="f2", text="awful")],
        advocacy_acts=[row("advocacy_acts", ask_id="k1"), row("advocacy_acts", act_id="a2")],
        asks=[row("asks"), row("asks"), row("asks", ingested_at="2025-03-01", outcome="accepted")],
    )
    found = staged(write_parquet(tmp_path / "tables", rows))
    for engine in ("polars", "duckdb"):
        tables, report = tables_from_rows(rows, NOW_US, engine)
        for name, figures in found.counted["tables"].items():
            ours = tables.frames[name].collect("polars").to_native()
            theirs = read(found, name)
            assert ours.select(theirs.columns).sort(theirs.columns).equals(theirs.sort(theirs.columns))
            told = {key: value for key, value in figures.items() if key not in ("reasons", "counts")}
            assert told == {
                key: value for key, value in report["tables"][name].items() if key not in ("reasons", "counts")
            }
