"""Files that cannot be what they should be: stopped with one clear message, or quarantined, one by one."""

from __future__ import annotations

from datetime import date

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from handed_over import company, row, staged, write_csv, write_parquet

from features.errors import DataError, MissingColumn, MissingTable, SourceUnreadable, VouchError, WrongType
from features.project import Project
from features.sources import stage

GOOD_EVENT = b"c1,2025-02-01,login\n"
HEADER = b"customer_id,occurred_at,event\n"
MANY = HEADER + GOOD_EVENT * 5_000


def parquet_bytes(frame):
    sink = pa.BufferOutputStream()
    pq.write_table(frame, sink)
    return sink.getvalue().to_pybytes()


EVENTS = pa.table({"customer_id": ["c1"] * 3000, "occurred_at": ["2025-02-01"] * 3000, "event": ["login"] * 3000})
PARQUET = parquet_bytes(EVENTS)


def damaged(at, by):
    return PARQUET[:at] + bytes(byte ^ 255 for byte in PARQUET[at : at + by]) + PARQUET[at + by :]


UNREADABLE = {
    "csv: no bytes": ("csv", b"", "the file is empty"),
    "csv: a blank line": ("csv", b"\n", "no header"),
    "csv: latin-1": ("csv", MANY + b"caf\xe9,2025-02-01,login\n", f"not UTF-8 at byte {len(MANY) + 3}"),
    "csv: latin-1 in the header": ("csv", b"caf\xe9," + HEADER + GOOD_EVENT, "not UTF-8 at byte 3"),
    "csv: cut inside of a character": ("csv", HEADER + "é".encode()[:1], f"not UTF-8 at byte {len(HEADER)}"),
    "csv: UTF-16": ("csv", HEADER.decode().encode("utf-16"), "UTF-16"),
    "csv: a field too many": ("csv", HEADER + GOOD_EVENT + b"c1,2025-02-01,login,x\n", "line 3"),
    "csv: a field too few": ("csv", HEADER + GOOD_EVENT + b"c1,2025-02-01\n", "line 3"),
    "csv: ragged far below": ("csv", MANY + b"c1,2025-02-01\n", "line 5002"),
    "csv: a quote that never ends": ("csv", HEADER + GOOD_EVENT + b'c1,2025-02-01,"login\n' + GOOD_EVENT, "line 3"),
    "csv: two columns of one name": ("csv", b"customer_id,event,Event\nc1,a,b\n", "two columns are called"),
    "csv: is Parquet": ("csv", PARQUET, "not UTF-8"),
    "csv: is a zip": ("csv", b"PK\x03\x04\x14\x00\x08\x08\xff\xfe" + b"\x00" * 50, "not UTF-8"),
    "parquet: no bytes": ("parquet", b"", "the file is empty"),
    "parquet: is CSV": ("parquet", MANY, "not a Parquet file"),
    "parquet: four bytes": ("parquet", b"PAR1", "cut short at byte 4"),
    "parquet: cut short": ("parquet", PARQUET[:-100], "cut short"),
    "parquet: cut in half": ("parquet", PARQUET[: len(PARQUET) // 2], "cut short"),
    "parquet: end without a beginning": ("parquet", PARQUET[100:], "not a Parquet file"),
    "parquet: footer damaged": ("parquet", damaged(len(PARQUET) - 60, 40), "cannot be read"),
    "parquet: length of the footer damaged": ("parquet", damaged(len(PARQUET) - 8, 4), "cannot be read"),
    "parquet: pages damaged": ("parquet", damaged(4, 60), "cannot be read"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_cannot_be_read_stops_with_its_name_and_the_place(tmp_path, name):
    kind, content, place = UNREADABLE[name]
    folder = write_csv(tmp_path / "tables", {"customers": [row("customers")]})
    (folder / f"usage_events.{kind}").write_bytes(content)
    with pytest.raises(SourceUnreadable) as told:
        staged(folder)
    message = str(told.value)
    assert f"usage_events.{kind}" in message
    assert place in message
    assert len(message) < 400
    assert "\n" not in message
    assert not list((tmp_path / "home" / "staged").iterdir())


TYPES = {
    "a required time that is a number": ("usage_events", {"occurred_at": [1_700_000_000, 1]}, "occurred_at", "epoch"),
    "a required time that is true": ("usage_events", {"occurred_at": [True, False]}, "occurred_at", "BOOLEAN"),
    "a required number that is a date": ("transactions", {"amount": [date(2025, 1, 1)] * 2}, "amount", "DATE"),
    "a required number that is a list": ("transactions", {"amount": [[1.0], [2.0]]}, "amount", "DOUBLE[]"),
    "a required text that is a struct": ("usage_events", {"event": [{"a": 1}, {"a": 2}]}, "event", "STRUCT"),
    "a required time of words": ("usage_events", {"occurred_at": ["soon", "later"]}, "occurred_at", "soon"),
    "a required number of words": ("transactions", {"amount": ["ten", "two"]}, "amount", "ten"),
    "a required kind that nobody knows": ("transactions", {"kind": ["sale", "sold"]}, "kind", "purchase"),
}


@pytest.mark.parametrize("name", TYPES)
def test_a_column_of_the_wrong_type_throughout_stops_with_its_name(tmp_path, name):
    table, changes, column, said = TYPES[name]
    count = len(next(iter(changes.values())))
    columns = {key: [value] * count for key, value in row(table).items()} | changes
    folder = write_parquet(tmp_path / "tables", company())
    pl.DataFrame(columns).write_parquet(folder / f"{table}.parquet")
    with pytest.raises(WrongType) as told:
        staged(folder)
    assert repr(column) in str(told.value)
    assert repr(table) in str(told.value)
    assert said in str(told.value)


def test_one_broken_row_alone_is_a_broken_row_and_not_a_wrong_type(tmp_path):
    found = staged(write_csv(tmp_path / "tables", company(transactions=[row("transactions", amount="ten")])))
    assert found.counted["tables"]["transactions"]["quarantined"] == 1
    assert "transactions: every row is in quarantine" in found.counted["warnings"]


@pytest.mark.parametrize(
    ("tables", "error", "said"),
    [
        ({"usage_events": [row("usage_events")]}, MissingTable, "'customers'"),
        ({"customers": [row("customers")]}, MissingTable, "'usage_events' nor 'transactions'"),
        ({}, MissingTable, "'customers'"),
        (company(customers=[{"customer_id": "c1"}]), MissingColumn, "'created_at'"),
        (
            company(customers=[{"customer_id": "c1", "create_at": "2025-01-01"}]),
            MissingColumn,
            "did you mean 'create_at'",
        ),
        (
            company(surveys=[{k: v for k, v in row("surveys").items() if k != "invited_at"}]),
            MissingColumn,
            "'invited_at'",
        ),
    ],
)
def test_what_is_missing_is_named(tmp_path, tables, error, said):
    (tmp_path / "tables").mkdir()
    with pytest.raises(error) as told:
        staged(write_csv(tmp_path / "tables", tables))
    assert said in str(told.value)


def test_two_files_of_one_table_are_refused(tmp_path):
    folder = write_csv(tmp_path / "tables", company())
    write_parquet(folder, {"usage_events": [row("usage_events")]})
    with pytest.raises(SourceUnreadable, match=r"usage_events\.csv.*usage_events.*keep one"):
        staged(folder)


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + b"\0" * 100, None])
def test_a_damaged_duckdb_file_is_told(tmp_path, content):
    path = tmp_path / "company.duckdb"
    if content is None:
        with duckdb.connect(str(path)) as connection:
            connection.execute("CREATE TABLE customers AS SELECT range AS customer_id FROM range(100000)")
        content = path.read_bytes()[:8192]
    path.write_bytes(content)
    with pytest.raises(SourceUnreadable, match=r"company\.duckdb") as told:
        stage(Project(home=tmp_path / "home", location=str(path)), 0)
    assert "\n" not in str(told.value)


def test_a_duckdb_file_that_somebody_writes_to_is_told(tmp_path):
    import subprocess
    import sys

    path = tmp_path / "company.duckdb"
    hold = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"open\n"
        with pytest.raises(SourceUnreadable, match="Close the program that writes to it"):
            stage(Project(home=tmp_path / "home", location=str(path)), 0)
        writer.stdin.close()


def test_every_one_of_these_is_an_error_on_purpose():
    assert all(
        issubclass(error, DataError) and issubclass(error, VouchError) for error in (SourceUnreadable, WrongType)
    )
