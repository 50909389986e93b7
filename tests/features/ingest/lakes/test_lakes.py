"""Delta and Iceberg tables and objects on S3 give the same vectors as the same rows in files, and say what they are."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.servers.s3_server import BUCKET, serving
from vouch.features.errors import MissingExtra, SourceUnreadable
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.instants import parse_instant
from vouch.features.project import Project, load_project
from vouch.features.vectors import build

pytest.importorskip("deltalake", reason="the extra `lakes` is not installed")
NOW_US = parse_instant("2026-11-16")


def at(day: int) -> datetime:
    return datetime(2026, 11, day, 12, tzinfo=UTC)


TABLES = {
    "customers": pa.table(
        {
            "customer_id": [f"00{n}" for n in range(9)],
            "created_at": pa.array([at(1)] * 9, pa.timestamp("us", tz="UTC")),
            "region": ["NA", None, "KR-11"] * 3,
        }
    ),
    "usage_events": pa.table(
        {
            "event_id": [f"e{n}" for n in range(40)],
            "customer_id": [f"00{n % 9}" for n in range(40)],
            "occurred_at": pa.array([at(2 + n % 12) for n in range(40)], pa.timestamp("us", tz="UTC")),
            "event": ["login", "export"] * 20,
            "value": pa.array([n / 3 for n in range(40)], pa.float64()),
        }
    ),
}


def as_parquet(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, table in TABLES.items():
        pq.write_table(table, folder / f"{name}.parquet")
    return folder


def as_delta(folder: Path) -> Path:
    """In three commits, one of which is undone: its file lies there still, and counts no more."""
    from deltalake import DeltaTable, write_deltalake

    for name, table in TABLES.items():
        write_deltalake(str(folder / name), table.slice(0, 5))
        write_deltalake(str(folder / name), table.slice(0, 2), mode="append")
        DeltaTable(str(folder / name)).restore(0)
        write_deltalake(str(folder / name), table.slice(5), mode="append")
    return folder


def as_iceberg(folder: Path) -> Path:
    from pyiceberg.catalog.sql import SqlCatalog

    folder.mkdir(parents=True)
    catalog = SqlCatalog("own", uri=f"sqlite:///{folder}/catalog.sqlite", warehouse=f"file://{folder}")
    catalog.create_namespace("company")
    for name, table in TABLES.items():
        made = catalog.create_table(f"company.{name}", table.schema, location=f"file://{folder / name}")
        made.append(table.slice(0, 5))
        made.append(table.slice(5))
    (folder / "catalog.sqlite").unlink()
    return folder


def vectors(location: str, home: Path) -> bytes:
    """The vectors of a company as bytes."""
    found = stage(Project(home=home, location=location), NOW_US)
    frame = build.collect(build.vectors(open_tables(found, "duckdb"), NOW_US))
    frame = frame.sort_values("customer_id", ignore_index=True)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(frame), sink)
    return sink.getvalue().to_pybytes()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    home = tmp_path_factory.mktemp("plain")
    return vectors(str(as_parquet(home / "company")), home / "home")


@pytest.mark.parametrize("make", [as_delta, as_iceberg])
def test_a_table_of_a_lake_gives_the_bytes_of_vectors_that_files_give(make, plain, tmp_path):
    assert vectors(str(make(tmp_path / "company")), tmp_path / "home") == plain


@pytest.mark.parametrize("make", [as_parquet, as_delta])
@pytest.mark.parametrize("under", ["", "deep/company"])
def test_objects_on_s3_give_the_bytes_of_vectors_that_files_give(make, under, plain, tmp_path, monkeypatch):
    make(tmp_path / "bucket" / under if under else tmp_path / "bucket")
    (tmp_path / "bucket" / under / "notes.txt").write_text("a\n1\n")
    with serving(tmp_path / "bucket") as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        assert vectors(f"s3://{BUCKET}/{under}", tmp_path / "home") == plain


def test_a_table_of_a_lake_is_known_in_any_case_of_letters_and_one_that_nobody_wants_is_told(plain, tmp_path):
    folder = as_delta(tmp_path / "company")
    (folder / "customers").rename(folder / "Customers")
    as_delta(tmp_path / "more")
    (tmp_path / "more" / "customers").rename(folder / "stores")
    assert vectors(str(folder), tmp_path / "home") == plain
    unread = stage(Project(home=tmp_path / "home", location=str(folder)), NOW_US).unread
    assert [line for line in unread if "stores is not read" in line]


def test_a_table_that_lies_there_as_a_lake_and_as_a_file_is_refused(tmp_path):
    folder = as_delta(tmp_path / "company")
    pq.write_table(TABLES["customers"], folder / "customers.parquet")
    with pytest.raises(SourceUnreadable, match="keep one of them"):
        vectors(str(folder), tmp_path / "home")


def test_a_project_file_may_name_an_address(tmp_path):
    (tmp_path / "vouch.toml").write_text('data = "s3://lake/company"\n')
    assert load_project(str(tmp_path)).location == "s3://lake/company"


def test_what_is_not_there_or_refused_or_no_file_is_told_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "bucket" / "other").mkdir(parents=True)
    (tmp_path / "bucket" / "other" / "picture.png").write_bytes(b"x")
    with serving(tmp_path / "bucket") as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        for name, why in (("nothing", "nothing is there"), ("other", "nothing there ends")):
            with pytest.raises(SourceUnreadable, match=why):
                vectors(f"s3://{BUCKET}/{name}", tmp_path / why)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
        with pytest.raises(SourceUnreadable, match="cannot be read") as told:
            vectors(f"s3://{BUCKET}/other", tmp_path / "refused")
    assert "test-secret" not in str(told.value)
    assert "\n" not in str(told.value)


def test_a_table_that_lost_a_file_is_told_and_an_iceberg_table_on_s3_refused(tmp_path, monkeypatch):
    folder = as_delta(tmp_path / "company")
    for path in (folder / "customers").glob("*.parquet"):
        path.unlink()
    with pytest.raises(SourceUnreadable, match=r"customers: cannot be read as a Delta table"):
        vectors(str(folder), tmp_path / "home")
    as_iceberg(tmp_path / "bucket")
    with serving(tmp_path / "bucket") as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SourceUnreadable, match="Iceberg table on S3"):
            vectors(f"s3://{BUCKET}/", tmp_path / "other")


@pytest.mark.parametrize(("module", "make"), [("deltalake", as_delta), ("pyiceberg.table", as_iceberg)])
def test_what_is_not_installed_is_named_with_the_command_that_mends_it(module, make, tmp_path, monkeypatch):
    folder = make(tmp_path / "company")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r"vouch\[lakes\]"):
        vectors(str(folder), tmp_path / "home")
