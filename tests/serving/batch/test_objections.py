"""Who objects to being profiled: no vector, no score, no tier and no health, in no list, and counted all the same."""

from __future__ import annotations

import polars as pl
import pytest

from support.champions import write_champions
from vouch.features.asof import view
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.instants import parse_instant
from vouch.features.project import Project
from vouch.features.vectors.build import vectors
from vouch.serving.batch.run import score_weeks
from vouch.serving.snapshots import files
from vouch.serving.store.actions import set_objection
from vouch.serving.store.callers import EVERYBODY
from vouch.serving.store.connection import Database
from vouch.serving.store.recorded import with_recorded

MONDAY, NOW = map(parse_instant, ("2026-11-16", "2026-11-16T06:00:00Z"))
DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def objecting(company, tmp_path_factory) -> tuple[Project, set[str], str]:
    """A company some of whose customers object: five by its own column, one as the service has recorded it."""
    data = tmp_path_factory.mktemp("objecting")
    for path in company.iterdir():
        (data / path.name).symlink_to(path)
    (data / "customers.parquet").unlink()
    people = pl.read_parquet(company / "customers.parquet")
    ids = sorted(people["customer_id"].unique().drop_nulls().to_list())
    own, recorded = set(ids[10:60:10]), ids[105]
    people.with_columns(is_opted_out=pl.col("customer_id").is_in(list(own))).write_parquet(data / "customers.parquet")
    home = tmp_path_factory.mktemp("home")
    write_champions(home)
    database = Database(home)
    set_objection(database, recorded, True, EVERYBODY, MONDAY - DAY_US)
    database.close()
    return Project(home=home, location=str(data)), own, recorded


def test_who_objects_has_a_status_and_nothing_else(objecting):
    project, own, recorded = objecting
    (week,) = score_weeks(with_recorded(project), None, NOW)
    published = files.read_snapshot(project.home)
    out = {*own, recorded}
    scores = {row["customer_id"]: row for row in published.table("scores").to_pylist()}
    known = out & scores.keys()
    assert recorded in known
    assert published.manifest["opted_out"] == len(known)
    for customer in known:
        row = scores[customer]
        assert {row["churn_status"], row["advocacy_status"]} == {"opted_out"}
        said = {name for name, value in row.items() if value is not None}
        assert said <= {"customer_id", "as_of", "churn_status", "advocacy_status", "upgrade_status", "health_band",
                        "advocate_tier"}  # fmt: skip
        assert (row["health_band"], row["advocate_tier"]) == ("unknown", "none")
    for row in published.table("vectors").to_pylist():
        if row["customer_id"] in out:
            assert {value for name, value in row.items() if name != "customer_id"} == {None}
    for row in published.table("customers").to_pylist():
        if row["customer_id"] in out:
            assert {row[name] for name in ("tenure_days", "nps_last", "acts", "care_first", "open_tickets")} == {None}
    assert not out & set(published.table("lists")["customer_id"].to_pylist())
    assert not out & set(published.table("movers")["customer_id"].to_pylist())
    assert week.outcome == "published"


def test_a_recorded_objection_holds_from_when_it_was_recorded_until_it_is_withdrawn(objecting):
    project, own, recorded = objecting
    database = Database(project.home)
    set_objection(database, recorded, False, EVERYBODY, MONDAY + DAY_US)
    database.close()
    tables = open_tables(stage(with_recorded(project), MONDAY + 3 * DAY_US))

    def objects(as_of_us: int) -> dict[str, bool]:
        rows = view(tables, "customers", as_of_us).select("customer_id", "is_opted_out").collect("polars").to_native()
        return {name: bool(flag) for name, flag in rows.iter_rows()}

    assert not objects(MONDAY - DAY_US)[recorded]
    assert objects(MONDAY)[recorded]
    assert not objects(MONDAY + 2 * DAY_US)[recorded]
    assert all(objects(MONDAY)[name] for name in own if name in objects(MONDAY))

    seen = vectors(tables, MONDAY).select("customer_id").collect("polars").to_native()["customer_id"].to_list()
    assert not {*own, recorded} & set(seen)
    profile = view(tables, "customers", MONDAY).collect("polars").to_native()
    (row,) = profile.filter(pl.col("customer_id") == recorded).to_dicts()
    assert row["created_us"] < MONDAY - DAY_US, "the company's own columns stay as they are"
