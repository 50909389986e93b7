"""Asks and overrides that the service recorded: united with the company's own by key and by when they became known."""

from __future__ import annotations

import polars as pl
import pytest
from sqlalchemy import insert

from support.handwritten_weeks import MONDAY, customer, publish
from vouch.features.asof import view
from vouch.features.contract.tables import DAY_US
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.metrics.lists.health_history import overrides as standing
from vouch.features.project import Project
from vouch.serving.api import state as stores
from vouch.serving.api.handlers import overrides as routes_overrides
from vouch.serving.api.handlers.overrides import OverrideRecord, record_override
from vouch.serving.api.handlers.read import get_customer
from vouch.serving.api.problems import Problem
from vouch.serving.api.schemas import CustomerGet
from vouch.serving.api.state import ServingState
from vouch.serving.asking.rules.policy import load_policy
from vouch.serving.store.asks import Wanted, set_outcome, store_ask
from vouch.serving.store.audit import newest_entries
from vouch.serving.store.callers import EVERYBODY
from vouch.serving.store.connection import Database
from vouch.serving.store.recorded import with_recorded
from vouch.serving.store.tables import overrides
from vouch.serving.store.weeks import bring

NOW = MONDAY + DAY_US
SIZES = {"segment": {}, "region": {}}


@pytest.fixture
def project(tmp_path) -> Project:
    """A company that keeps asks of its own, and whose service has recorded two."""
    data, home = tmp_path / "data", tmp_path / "home"
    data.mkdir()
    day = MONDAY - 300 * DAY_US
    times = {"created_at": [day] * 2, "occurred_at": [MONDAY - DAY_US] * 2}
    pl.DataFrame({"customer_id": ["a", "b"], "created_at": times["created_at"]}).with_columns(
        pl.from_epoch("created_at", "us")
    ).write_parquet(data / "customers.parquet")
    pl.DataFrame({"customer_id": ["a", "b"], "occurred_at": times["occurred_at"], "event": ["login"] * 2}).with_columns(
        pl.from_epoch("occurred_at", "us")
    ).write_parquet(data / "usage_events.parquet")
    (data / "asks.csv").write_text("ask_id,customer_id,asked_at,kind\nown,a,2026-05-01,review\n")
    publish(home, people=[customer("a"), customer("b")])
    database = Database(home)
    bring(database, home, NOW)
    for name, who, after in (("crm 1", "a", 0), ("crm 2", "b", 1)):
        wanted = Wanted(name, who, "referral", {"segment": None, "region": None}, None, None, False)
        assert store_ask(database, wanted, load_policy(), SIZES, EVERYBODY, NOW + after).is_new
    set_outcome(database, "crm 1", "accepted", EVERYBODY, NOW + 5 * DAY_US)
    database.close()
    return Project(home=home, location=str(data))


def asks_at(project: Project, as_of_us: int) -> dict[str, str | None]:
    tables = open_tables(stage(with_recorded(project), NOW + 30 * DAY_US))
    rows = view(tables, "asks", as_of_us).select("ask_id", "outcome").collect("polars").to_native()
    return dict(rows.iter_rows())


def test_the_batch_sees_asks_of_both_from_when_they_were_known(project):
    assert asks_at(project, NOW) == {"own": None}
    assert asks_at(project, NOW + DAY_US) == {"own": None, "crm 1": None, "crm 2": None}
    assert asks_at(project, NOW + 6 * DAY_US) == {"own": None, "crm 1": "accepted", "crm 2": None}


def test_what_is_recorded_is_part_of_the_fingerprint_of_the_input(project):
    later = NOW + 30 * DAY_US
    before = stage(project, later).fingerprint
    first = stage(with_recorded(project), later).fingerprint
    assert first == stage(with_recorded(project), later).fingerprint != before
    database = Database(project.home)
    set_outcome(database, "crm 2", "declined", EVERYBODY, NOW + 6 * DAY_US)
    database.close()
    assert stage(with_recorded(project), later).fingerprint != first


def test_an_ask_that_both_hold_is_one(project):
    asks = project.home.parent / "data" / "asks.csv"
    asks.write_text("ask_id,customer_id,asked_at,kind\ncrm 1,a,2026-11-17,referral\n")
    assert asks_at(project, NOW + 6 * DAY_US) == {"crm 1": "accepted", "crm 2": None}


def test_a_company_without_such_tables_has_what_was_recorded(project):
    (project.home.parent / "data" / "asks.csv").unlink()
    database = Database(project.home)
    row = {"customer_id": "a", "score": 80.0, "reason": "spoke with them", "set_by": "ann", "recorded_us": NOW}
    with database.writing() as connection:
        connection.execute(insert(overrides).values(**row, set_us=NOW, expires_us=NOW + 9 * DAY_US))
    database.close()
    staged = stage(with_recorded(project), NOW + 30 * DAY_US)
    rows = view(open_tables(staged), "health_overrides", NOW + DAY_US).collect("polars").to_native()
    assert rows["score"].to_list() == [80.0]
    assert asks_at(project, NOW + DAY_US) == {"crm 1": None, "crm 2": None}
    assert staged.counted["tables"]["asks"]["quarantined"] == 0


def test_an_override_is_recorded_once_and_reaches_the_batch_until_it_ends(project, monkeypatch):
    monkeypatch.setattr(routes_overrides, "now_us", lambda: NOW)
    monkeypatch.setattr(stores, "now_us", lambda: NOW)
    store, other_process = ServingState(project.home), ServingState(project.home)
    store.refresh()
    other_process.refresh()
    wanted = {"override_id": "o1", "customer_id": "a", "score": 80.0, "reason": "spoke with them", "days": 9}
    first = record_override(store, OverrideRecord(**wanted), EVERYBODY)
    assert first["is_new"]
    assert first["override"]["expires_at"] == "2026-11-26T00:00:00Z"
    assert get_customer(store, CustomerGet(customer_id="a"))["health_override"] == first["override"]
    other_process.refresh()
    assert get_customer(other_process, CustomerGet(customer_id="a"))["health_override"] == first["override"]
    monkeypatch.setattr(stores, "now_us", lambda: NOW + 9 * DAY_US)
    assert get_customer(store, CustomerGet(customer_id="a"))["health_override"] is None
    monkeypatch.setattr(routes_overrides, "now_us", lambda: NOW + DAY_US)
    assert record_override(store, OverrideRecord(**wanted), EVERYBODY) == {**first, "is_new": False}
    for other in ({"score": 81.0}, {"customer_id": "b"}, {"reason": "wrote to them"}, {"days": 10}):
        with pytest.raises(Problem, match="conflict"):
            record_override(store, OverrideRecord(**{**wanted, **other}), EVERYBODY)
    with pytest.raises(Problem, match="unknown_customer"):
        record_override(store, OverrideRecord(**{**wanted, "override_id": "o2", "customer_id": "z"}), EVERYBODY)
    with store.database.reading() as connection:
        line = newest_entries(connection, 1)[0]
    assert (line["action"], line["customer_id"], line["actor"]) == ("overrode", "a", EVERYBODY.name)
    store.stop()
    tables = open_tables(stage(with_recorded(project), NOW + 30 * DAY_US))
    told = {days: standing(tables, NOW + days * DAY_US).collect("polars").to_native() for days in (0, 1, 8, 9)}
    assert {days: rows["score"].to_list() for days, rows in told.items()} == {0: [], 1: [80.0], 8: [80.0], 9: []}
    assert told[1].row(0, named=True)["set_by"] == EVERYBODY.name


def test_without_a_store_nothing_is_read_and_none_is_made(tmp_path):
    project = Project(home=tmp_path / "home", location=str(tmp_path))
    assert with_recorded(project) is project
    assert not (tmp_path / "home").exists()
