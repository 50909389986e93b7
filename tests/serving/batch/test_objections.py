"""Who objects to being profiled: no vector, no score, no tier and no health, in no list, and counted all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from support.champions import write_champions
from support.servers.answering import Served
from vouch.features.asof import view
from vouch.features.errors import UsageError
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.instants import parse_instant
from vouch.features.metrics.lists.lists import LISTS
from vouch.features.project import Project
from vouch.features.vectors.build import vectors
from vouch.serving import metric_queries
from vouch.serving.api.doors import API_ROUTES
from vouch.serving.asking.candidates import askable_now
from vouch.serving.batch.run import score_weeks
from vouch.serving.exports.decisions import decisions
from vouch.serving.exports.export import export
from vouch.serving.exports.targets import Target
from vouch.serving.metric_queries import Question, answered
from vouch.serving.reports.email_text import as_text
from vouch.serving.reports.rendering import as_page
from vouch.serving.reports.report import figures
from vouch.serving.snapshots import files
from vouch.serving.snapshots.schema import MODELS
from vouch.serving.store.actions import set_objection
from vouch.serving.store.callers import EVERYBODY
from vouch.serving.store.connection import Database
from vouch.serving.store.recorded import with_recorded

MONDAY, NOW = map(parse_instant, ("2026-11-16", "2026-11-16T06:00:00Z"))
DAY_US = 86_400_000_000
ASKED_FOR = ("/v1/score", "/v1/customers/get", "/v1/customers/find", "/v1/accounts/get")
"""Routes that are asked for somebody, and not for a list: they tell the profile and no score."""
OF_SCORES = ("probability", "score", "reason", "risk_", "_risk", "change", "value")
"""Parts of the names that an export gives to what was worked out of a customer."""


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
        statuses = {f"{model}_status" for model in MODELS} & row.keys()
        assert {"churn_status", "advocacy_status"} <= statuses
        assert {row[status] for status in statuses} == {"opted_out"}
        said = {name for name, value in row.items() if value is not None}
        assert said <= {"customer_id", "as_of", "clv_status", "health_band", "advocate_tier", *statuses}
        assert row["clv_status"] == "opted_out"
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


def every_list_by_command(project: Project, monkeypatch) -> str:
    """What `vouch metrics --list NAME` tells, of each list that the company's tables give."""
    told, staged = [], stage(project, NOW + DAY_US)
    monkeypatch.setattr(metric_queries, "stage", lambda *_: staged)
    for name in LISTS:
        try:
            told.append(str(answered(project, Question(listing=name, as_of_us=MONDAY), NOW + DAY_US, "polars").rows))
        except UsageError:
            continue
    assert len(told) > len(LISTS) / 2
    return "\n".join(told)


def every_answer_and_page(served: Served) -> Iterator[tuple[str, str]]:
    """What each route that reads answers to its example, a list as long as it may be, and each page."""
    for route in API_ROUTES:
        if route.scope == "read" and route.path not in ASKED_FOR:
            longest = {"limit": 100} if "limit" in route.takes.model_fields else {}
            asked = [{**route.example, **longest}, {**longest, "band": ["high", "watch", "low"]}, longest]
            named = LISTS if "list" in route.takes.model_fields else ()
            for body in [*asked, *({**longest, "list": name} for name in named)]:
                yield f"{route.path} {body}", served.call("POST", route.path, "read", json=body).text
    for path in ("", "/portfolio", "/candidates", "/at-risk", "/accounts", "/asks", *(f"/lists/{of}" for of in LISTS)):
        yield path, served.call("GET", f"/app{path}", "read").text


def every_file(project: Project, folder: Path) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """The rows of each export."""
    week = files.read_snapshot(project.home)
    for target in Target:
        export(week, target, folder / target, decide=lambda of: decisions(project.home, None, of, NOW + DAY_US))
        for path in sorted((folder / target).glob("*-001.*")):
            frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema=False)
            yield target, frame.to_dicts()


def test_who_objects_before_or_after_the_week_is_told_by_no_door(objecting, tmp_path, monkeypatch):
    project, own, recorded = objecting
    if not files.published(project.home):
        score_weeks(with_recorded(project), None, NOW)
    week = files.read_snapshot(project.home)
    served = Served(project.home, has_week=True)
    likeliest = served.call("POST", "/v1/customers/at_risk", "read", json={"limit": 1}).json()["customers"]
    first = likeliest[0]["customer_id"]
    assert any(first in text for _, text in every_answer_and_page(served)), "without an objection, the doors do tell"
    movers = week.table("movers")["customer_id"].to_pylist() if "movers.parquet" in week.manifest["files"] else []
    later = {first, *movers[:1]}
    for customer in later:
        set_objection(served.database, customer, True, EVERYBODY, NOW + DAY_US // 2)
    served.store.follow()
    out = {*own, recorded, *later} & set(week.table("scores")["customer_id"].to_pylist())
    try:
        for door, text in every_answer_and_page(served):
            assert not {who for who in out if who in text}, door
        found = served.call("POST", "/v1/customers/find", "read", json={"text": first}).json()["customers"]
        assert [(one["customer_id"], one["churn_probability"], one["churn_status"]) for one in found] == [
            (first, None, "opted_out")
        ]
        listed = every_list_by_command(with_recorded(project), monkeypatch)
        assert not {who for who in out if who in listed}
        shown = figures(week, askable_now(project.home, None, week, NOW + DAY_US))
        assert not {who for who in out if who in as_page(shown) + as_text(shown) + str(shown.as_dict())}
        for target, rows in every_file(project, tmp_path):
            told = {next(iter(row.values())): row for row in rows}
            assert out <= told.keys(), target
            for who in out:
                kept = {name: value for name, value in told[who].items() if any(of in name.lower() for of in OF_SCORES)}
                assert not {*kept.values()} - {None, "", "#N/A", "objects to being profiled"}, (target, kept)
    finally:
        for customer in later:
            set_objection(served.database, customer, False, EVERYBODY, NOW + DAY_US)
        served.close()


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
