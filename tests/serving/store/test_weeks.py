"""The serving store, on SQLite and on PostgreSQL: weeks whole or not at all, one schema, and nobody left in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, select, text

from support.handwritten_weeks import BEFORE, METRICS, MONDAY, WEEK, customer, publish
from vouch.features.contract.tables import DAY_US
from vouch.features.errors import ConfigurationError, SnapshotError, StoreError
from vouch.serving.api import week as portfolios
from vouch.serving.api.state import ServingState
from vouch.serving.api.week import ServedWeek
from vouch.serving.snapshots.schema import MEANINGS
from vouch.serving.store import connection as store_connection
from vouch.serving.store import mapped, weeks
from vouch.serving.store.connection import Database
from vouch.serving.store.digests import drop_damaged
from vouch.serving.store.tables import (
    BATCHES_WITH_CUSTOMERS,
    HEAD,
    MARKS,
    NAMES_A_CUSTOMER,
    ROWS_OF_A_CUSTOMER,
    batches,
    metadata,
    overrides,
    snapshots,
)
from vouch.serving.web import weeks as trends

NOW = MONDAY + 6 * 3_600_000_000


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request) -> str | None:
    return request.getfixturevalue("make_database")() if request.param == "postgres" else None


@pytest.fixture
def database(url, tmp_path):
    found = Database(tmp_path / "home", url)
    yield found
    found.close()


def load(database: Database) -> ServedWeek | None:
    return portfolios.load_week(database, None, NOW)


def ids(database: Database) -> list[str]:
    found = load(database)
    return [] if found is None else found.scores.column("customer_id").to_pylist()


def test_a_new_store_has_the_schema_that_the_code_is_written_for(database):
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD
    folder = Path(weeks.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_heads() == [HEAD]
    assert database.versions() == dict.fromkeys(MARKS, 0)


def test_processes_that_open_a_new_store_at_once_all_find_it_made(url, tmp_path):
    code = (
        "import sys, pathlib; from vouch.serving.store.connection import Database;"
        "print(Database(pathlib.Path(sys.argv[1]), sys.argv[2] or None).versions()['asks'])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "home"), url or ""]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[0] for process in started] == ["0\n"] * 4


def test_a_store_of_an_earlier_vouch_is_brought_up_with_what_it_holds(url, tmp_path, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr(store_connection, "HEAD", "0001")
        before = Database(tmp_path, url)
        columns = "customer_id, score, reason, set_by, set_us, expires_us, recorded_us"
        with before.writing() as connection:
            connection.execute(text(f"INSERT INTO overrides ({columns}) VALUES ('a', 80, 'r', 's', 1, 2, 1)"))
            of_week = "as_of_us, revision, version, is_whole, has_customers, manifest, loaded_us"
            values = {"manifest": '{"now": "then"}'}
            connection.execute(
                text(f"INSERT INTO snapshots ({of_week}) VALUES (7, 1, 1, true, true, :manifest, 1)"), values
            )
        before.close()
    after = Database(tmp_path, url)
    with after.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        (row,) = connection.execute(select(overrides)).all()
        (week,) = weeks.stored_weeks(connection)
    after.close()
    assert (week.as_of_us, week.manifest) == (7, {"now": "then"})
    assert (row.customer_id, row.score, row.given_id) == ("a", 80.0, None)


def test_a_store_of_a_newer_vouch_is_refused_with_the_mend(database, url):
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    again = Database(database.home, url)
    with pytest.raises(StoreError, match="newer vouch"):
        again.versions()
    again.close()


@pytest.mark.parametrize("wrong", ["mysql://a@b/c", "no url"])
def test_a_url_of_another_kind_is_refused_without_its_password(tmp_path, wrong):
    with pytest.raises(ConfigurationError, match="postgresql://"):
        Database(tmp_path, wrong)


def test_a_store_that_is_not_there_is_told_without_the_password(tmp_path):
    with pytest.raises(StoreError) as told:
        Database(tmp_path, "postgresql://ada:secret@127.0.0.1:1/shop").versions()
    assert "secret" not in str(told.value)
    assert "127.0.0.1:1/shop" in str(told.value)


def test_a_week_comes_back_as_it_was_published(database, tmp_path):
    found = publish(tmp_path)
    assert weeks.bring(database, tmp_path, NOW) == []
    portfolio = load(database)
    assert portfolio.scores.table().equals(found.table("scores"))
    assert portfolio.customers.table().equals(found.table("customers"))
    assert portfolio.metrics.equals(found.table("metrics"))
    assert dict(portfolio.week.manifest) == dict(found.manifest)
    for row, person in enumerate(found.table("scores").to_pylist()):
        assert portfolio.ids.row_of(person["customer_id"]) == row
        assert portfolio.scores.at(row) == person
    assert [portfolio.ids.row_of(customer_id) for customer_id in ("", "c", "c6", "\U0010ffff")] == [None] * 4


def test_a_week_is_brought_once_and_a_later_one_takes_its_place(database, tmp_path):
    publish(tmp_path, BEFORE, WEEK[:3])
    publish(tmp_path, MONDAY)
    weeks.bring(database, tmp_path, NOW)
    moved = database.versions()["snapshots"]
    weeks.bring(database, tmp_path, NOW)
    assert database.versions()["snapshots"] == moved
    portfolio = load(database)
    assert (portfolio.week.as_of_us, portfolio.before.week.as_of_us) == (MONDAY, BEFORE)
    publish(tmp_path, MONDAY, WEEK[:2])
    weeks.bring(database, tmp_path, NOW)
    assert (load(database).week.revision, len(ids(database))) == (2, 2)
    with database.reading() as connection:
        assert len(connection.execute(select(snapshots)).all()) == 2


def test_a_host_with_an_old_disk_does_not_bring_an_old_week_back(database, tmp_path):
    publish(tmp_path / "old", MONDAY)
    publish(tmp_path / "new", MONDAY)
    publish(tmp_path / "new", MONDAY, WEEK[:2])
    weeks.bring(database, tmp_path / "new", NOW)
    weeks.bring(database, tmp_path / "old", NOW)
    assert len(ids(database)) == 2


def test_old_weeks_keep_their_metrics_and_lose_their_customers(database, tmp_path):
    week_us = MONDAY - BEFORE
    for number in range(4):
        publish(tmp_path, BEFORE - number * week_us)
    weeks.bring(database, tmp_path, NOW)
    publish(tmp_path, MONDAY)
    weeks.bring(database, tmp_path, NOW)
    with database.reading() as connection:
        known, recent = weeks.stored_weeks(connection), weeks.stored_weeks(connection, with_customers=True)
        held = set(connection.execute(select(batches.c.snapshot_id).where(batches.c.name == "scores")).scalars())
    assert len(known) == 5
    assert [week.as_of_us for week in recent] == [BEFORE, MONDAY]
    assert held == {week.snapshot_id for week in recent}


@pytest.mark.parametrize("name", ["scores", "customers", "metrics"])
def test_a_bad_snapshot_is_refused_and_the_one_before_stays(database, tmp_path, name):
    publish(tmp_path, BEFORE)
    weeks.bring(database, tmp_path, NOW)
    path = publish(tmp_path, MONDAY).folder / f"{name}.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    (refused,) = weeks.bring(database, tmp_path, NOW)
    assert str(path) in refused
    assert load(database).week.as_of_us == BEFORE


def test_customers_out_of_order_and_rows_that_are_not_counted_are_refused(database, tmp_path):
    publish(tmp_path, BEFORE, [customer("b"), customer("a")])
    publish(tmp_path, MONDAY, rows_out={"scores": 5, "customers": 6, "metrics": 4})
    refused = weeks.bring(database, tmp_path, NOW)
    assert [("the order of its customers" in reason, "its manifest says" in reason) for reason in refused] == [
        (True, False),
        (False, True),
    ]
    assert load(database) is None
    with database.reading() as connection:
        assert not any(row.is_whole for row in connection.execute(select(snapshots)))


def test_a_load_that_was_killed_is_never_seen_and_made_anew(database, tmp_path, monkeypatch):
    publish(tmp_path)
    real = weeks._batch

    def killed(snapshot_id, name, place, table):
        if name == "metrics":
            raise KeyboardInterrupt
        return real(snapshot_id, name, place, table)

    monkeypatch.setattr(weeks, "_batch", killed)
    with pytest.raises(KeyboardInterrupt):
        weeks.bring(database, tmp_path, NOW)
    assert load(database) is None
    monkeypatch.undo()
    assert weeks.bring(database, tmp_path, NOW) == []
    assert ids(database) == sorted(person["customer_id"] for person in WEEK)


DAMAGES = {
    "a batch": batches.update().where(batches.c.name == "scores").values(body=b"nothing"),
    "the digest of a batch": batches.update().where(batches.c.name == "scores").values(digest="0" * 64),
    "a batch that is gone": batches.delete().where(batches.c.name == "customers"),
    "what a week says of itself": snapshots.update().values(manifest='{"now": "another"}'),
    "no JSON": snapshots.update().values(manifest="{"),
    "its instant": snapshots.update().values(as_of_us=snapshots.c.as_of_us + 1),
    "its digest": snapshots.update().values(digest=None),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_in_the_store_is_found_and_brought_again(database, tmp_path, damage):
    publish(tmp_path)
    weeks.bring(database, tmp_path, NOW)
    assert drop_damaged(database) == 0
    whole = load(database).scores.table()
    with database.writing() as connection:
        connection.execute(DAMAGES[damage])
    shutil.rmtree(database.home / mapped.FOLDER)  # files of a host that had read it whole
    with pytest.raises(SnapshotError, match=r"damaged\. The service brings it again"):
        load(database)
    assert drop_damaged(database) == 1
    assert load(database) is None
    assert weeks.bring(database, tmp_path, NOW) == []
    assert load(database).scores.table().equals(whole)


def test_a_service_brings_again_what_is_damaged_in_the_store(url, tmp_path):
    publish(tmp_path)
    weeks.bring(opened := Database(tmp_path, url), tmp_path, NOW)
    with opened.writing() as connection:
        connection.execute(DAMAGES["a batch"])
    opened.close()
    store = ServingState(tmp_path, url)
    store.refresh()
    assert not store.is_ready
    assert "damaged" in store.refused[0]
    store.refresh()
    assert (len(store.portfolio.scores), store.refused) == (len(WEEK), ())
    store.database.close()


def test_an_earlier_week_that_is_damaged_costs_one_answer(url, tmp_path):
    publish(tmp_path, BEFORE)
    publish(tmp_path)
    store = ServingState(tmp_path, url)
    store.refresh()
    with store.database.writing() as connection:
        connection.execute(snapshots.update().where(snapshots.c.as_of_us == BEFORE).values(manifest="{}"))
    with pytest.raises(StoreError, match="damaged"):
        store.metrics_of_weeks(2)
    store.refresh()
    assert [len(table) for table in store.metrics_of_weeks(2)] == [len(METRICS)] * 2
    store.database.close()


def test_a_store_whose_file_is_damaged_is_told_with_the_mend(tmp_path):
    database = Database(tmp_path)
    publish(tmp_path)
    weeks.bring(database, tmp_path, NOW)
    database.check()
    database.close()
    path = tmp_path / "serving" / "store.sqlite"
    whole = bytearray(path.read_bytes())
    whole[4096 * 3 : 4096 * 4] = b"\xff" * 4096
    path.write_bytes(whole)
    again = Database(tmp_path)
    with pytest.raises(StoreError, match=r"damaged. Put back a copy|does not answer"):
        again.check()
    again.close()


def test_services_on_several_hosts_serve_what_one_of_them_brought(make_database, tmp_path):
    url = make_database()
    publish(tmp_path / "batch")
    first, second = ServingState(tmp_path / "batch", url), ServingState(tmp_path / "other", url)
    first.refresh()
    second.refresh()
    assert second.portfolio.scores.table().equals(first.portfolio.scores.table())
    first.database.close()
    second.database.close()


def test_every_table_that_names_customers_is_among_those_that_erasure_sweeps():
    swept = {*ROWS_OF_A_CUSTOMER, *NAMES_A_CUSTOMER}
    assert {table for table in metadata.tables.values() if "customer_id" in table.columns} == swept
    held = {*BATCHES_WITH_CUSTOMERS, weeks.LISTS}
    assert held == set(MEANINGS) - {"metrics", "movers", "vectors"}, "the store holds no more"


def elsewhere(database: Database, tmp_path: Path) -> ServingState:
    """A service on a host that has no snapshots of its own."""
    store = ServingState(tmp_path / "elsewhere")
    store.database.close()
    store.database = database
    store.refresh()
    return store


def test_a_customer_is_written_out_of_every_batch(database, tmp_path):
    publish(tmp_path, BEFORE)
    publish(tmp_path)
    weeks.bring(database, tmp_path, NOW)
    with database.writing("snapshots") as connection:
        assert weeks.without_customer(connection, "c2") == 8, "scores, profile, state and needs of two weeks"
        assert weeks.without_customer(connection, "nobody") == 0
    assert "c2" not in ids(database)
    assert len(ids(database)) == len(WEEK) - 1
    assert load(database).before.of("c2") is None
    store = elsewhere(database, tmp_path)
    assert trends.history(store, "c2") == []
    assert [week.customers + week.left for week in trends.week_counts(store)] == [len(WEEK) - 1] * 2


def test_a_quarter_of_states_is_kept_and_told_where_no_snapshot_is_on_disk(database, tmp_path, monkeypatch):
    monkeypatch.setattr(weeks, "WEEKS_WITH_STATES", 3)
    instants = [MONDAY - back * 7 * DAY_US for back in range(5, -1, -1)]
    for place, instant in enumerate(instants):
        publish(tmp_path, instant, [customer("c1", 0.1 * place), customer("c2", None if place > 4 else 0.5)])
        if place in {0, 3, 5}:  # the service was away in between
            weeks.bring(database, tmp_path, NOW)
    store = elsewhere(database, tmp_path)
    found = trends.history(store, "c1")
    assert [row["as_of"] for row in found] == ["2026-11-02", "2026-11-09", "2026-11-16"]
    assert [row["churn_probability"] for row in found] == [0.1 * place for place in (3, 4, 5)]
    assert trends.history(store, "nobody") == []
    counted = trends.week_counts(store)
    assert [(week.as_of, week.customers, week.left) for week in counted] == [
        ("2026-11-02", 2, 0), ("2026-11-09", 2, 0), ("2026-11-16", 1, 1)
    ]  # fmt: skip
    with database.reading() as connection:
        assert len(weeks.stored_weeks(connection)) == 6, (
            "the metrics of all weeks stay, and each is what it was sealed with"
        )


def test_what_is_written_is_all_there_or_not_at_all(database):
    row = {"score": 1.0, "reason": "r", "set_by": "s", "set_us": 1, "expires_us": 2, "recorded_us": 1}

    def write() -> None:
        with database.writing("asks") as connection:
            connection.execute(insert(overrides).values(customer_id="a", **row))
            connection.execute(text("SELECT * FROM nothing"))

    with pytest.raises(StoreError):
        write()
    assert database.versions()["asks"] == 0
    with database.reading() as connection:
        assert connection.execute(select(overrides)).all() == []
