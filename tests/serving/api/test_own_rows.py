"""Rows of a company's own tables in a request come to the vectors of the batch."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from vouch.features.ingest.stage import open_tables, stage
from vouch.features.instants import microseconds, parse_instant
from vouch.features.project import load_project
from vouch.features.vectors.build import collect, vectors
from vouch.features.vectors.lines import use_lines
from vouch.serving.api.handlers.score import rows_table
from vouch.serving.api.problems import Problem

T = datetime(2025, 6, 2, tzinfo=UTC)
T_US, NOW_US = microseconds(T), parse_instant("2025-09-01")
SETTINGS = """data = "."
[tables.visits]
from = "page_visits"
columns = { customer_id = "who", occurred_at = "ts" }
key = "visitNo"
[features.long_visit]
table = "visits"
value = "minutes"
how = "max"
days = [28, 90]
"""
PEOPLE = [
    {"customer_id": who, "created_at": T - timedelta(days=300), "seats": seats}
    for who, seats in zip("abc", (3, 7, 3), strict=True)
]
EVENTS = [
    {"customer_id": who, "occurred_at": T - timedelta(days=day), "event": "login", "weight": 1.5 * day}
    for who, day in zip("abca", (1, 2, 3, 40), strict=True)
]


def visit(number: int, who: str, days: float, minutes: float, *, liked: bool | None, page: str, ended: float | None):
    until = None if ended is None else T - timedelta(days=ended)
    at = T - timedelta(days=days)
    row = {"visitNo": f"v{number}", "who": who, "ts": at, "minutes": minutes, "liked": liked, "page": page}
    return {**row, "stars": number % 5, "until": until}


VISITS = [
    visit(1, "a", 60, 1.25, liked=True, page="home", ended=59),
    visit(2, "a", 10, 2.5, liked=False, page="prices", ended=9.5),
    visit(3, "a", 5, 4.0, liked=None, page="home", ended=-20),
    visit(4, "b", 3, 6.0, liked=True, page="prices", ended=None),
    visit(5, "b", -4, 99.0, liked=True, page="home", ended=-5),
]
NAMES = {"who": "customer_id", "ts": "occurred_at", "visitNo": "visit_no"}


@pytest.fixture
def batch(tmp_path, monkeypatch):
    """The vectors of the batch, and the columns that the company hands over."""
    monkeypatch.setenv("VOUCH_HOME", str(tmp_path / "home"))
    for name, rows in (("customers", PEOPLE), ("usage_events", EVENTS), ("page_visits", VISITS)):
        pl.DataFrame(rows, infer_schema_length=None).write_parquet(tmp_path / f"{name}.parquet")
    (tmp_path / "vouch.toml").write_text(SETTINGS)
    tables = open_tables(stage(load_project(str(tmp_path / "vouch.toml")), NOW_US), "polars")
    yield collect(vectors(tables, T_US)).set_index("customer_id"), tables.columns
    use_lines((), {})


def said(row):
    """A row as a request has it."""
    named = {NAMES.get(name, name): value for name, value in row.items()}
    return {name: of.isoformat() if isinstance(of, datetime) else of for name, of in named.items()}


def test_rows_of_own_tables_and_columns_come_to_the_vectors_of_the_batch(batch):
    expected, columns = batch
    given = {
        "customers": list(map(said, PEOPLE)),
        "usage_events": list(map(said, EVENTS)),
        "visits": list(map(said, VISITS)),
    }
    found, broken = rows_table(given, T_US, columns)
    assert broken == {}
    found = found.to_pandas().set_index("customer_id")
    assert sorted(found.columns) == sorted(expected.columns)
    own = [name for name in expected if name.startswith(("visits_", "long_visit", "customer_seats", "usage_events_w"))]
    assert len(own) > 40
    for name in expected:
        for who in expected.index:
            ours, theirs = found.loc[who, name], expected.loc[who, name]
            is_empty = theirs is None or (isinstance(theirs, float) and math.isnan(theirs))
            assert ours == theirs or (is_empty and (ours is None or math.isnan(ours))), (name, who, ours, theirs)
    assert found.loc["a", "long_visit_28d"] == 4.0
    assert found.loc["b", "visits_rows"] == 1


def test_a_customer_without_rows_of_an_own_table_reads_as_in_the_batch(batch):
    expected, columns = batch
    people = [said(person) for person in PEOPLE if person["customer_id"] == "c"]
    found, _ = rows_table({"customers": people}, T_US, columns)
    row = found.to_pandas().iloc[0]
    assert row["visits_rows"] == expected.loc["c", "visits_rows"] == 0
    assert row["customer_seats"] == 3


@pytest.mark.parametrize(
    ("rows", "where"),
    [({"visit": [{"customer_id": "a"}]}, "rows"), ({"visits": [{"customer_id": "a", "minute": 1.0}]}, "rows.visits")],
)
def test_a_table_or_column_that_the_company_has_not_is_refused_with_those_that_there_are(batch, rows, where):
    _, columns = batch
    with pytest.raises(Problem) as refused:
        rows_table({"customers": [said(PEOPLE[0])], **rows}, T_US, columns)
    assert refused.value.field == where
    assert ("visits" if where == "rows" else "minutes") in str(refused.value.detail)
