"""Files that cannot be what they should be: stopped with one clear message, or quarantined, one by one."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import polars as pl
import pytest

from support.rows.bad_files import TYPES, UNREADABLE
from support.rows.table_files import NOW_US, company, row, staged, write_csv, write_parquet
from vouch.features.errors import DataError, MissingColumn, MissingTable, SourceUnreadable, VouchError, WrongType
from vouch.features.ingest.stage import stage
from vouch.features.project import Project, TableMapping


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
    texts = [value for value in next(iter(changes.values())) if isinstance(value, str)]
    assert not [text for text in texts if repr(text) in str(told.value)]


PLANTED = "ana.planted@mail7.example"


@pytest.mark.parametrize("form", ["wrong type", "cast in a query", "several files"])
def test_no_value_of_a_customer_stands_in_an_error(tmp_path, form):
    tables = company(customers=[row("customers", customer_id=f"c{n}", created_at=PLANTED) for n in range(3)])
    folder = write_csv(tmp_path / "tables", tables)
    project = Project(home=tmp_path / "home", location=str(folder))
    if form == "cast in a query":
        query = "SELECT customer_id, created_at::TIMESTAMP AS created_at FROM customers"
        project = replace(project, tables={"customers": TableMapping(query=query)})
    if form == "several files":
        broken = [row("usage_events", occurred_at=PLANTED)] * 3
        write_csv(folder, company())
        (folder / "usage_events.csv").unlink()
        write_csv(folder / "usage_events", {"1": broken, "2": broken})
    with pytest.raises(DataError) as told:
        stage(project, NOW_US)
    assert "planted" not in str(told.value)
    assert "mail7" not in str(told.value)


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


def test_files_of_other_names_are_named_with_the_way_to_have_them_read(tmp_path):
    for name in ("orders", "clients"):
        (tmp_path / f"{name}.csv").write_text("id,when\n1,2025-01-01\n")
    with pytest.raises(MissingTable, match=r"there are: clients, orders\)\. `vouch init` proposes how they feed"):
        stage(Project(tmp_path / "home", str(tmp_path)), NOW_US)
