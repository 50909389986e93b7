"""What comes back from a CRM: outcomes, objections, consents, owners, as versions with their time, and once."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.handwritten_weeks import MONDAY
from support.servers.answering import Served
from support.servers.on_loopback import on_loopback
from support.servers.simulated_crms import CLIENT, TOKEN, SimulatedHubSpot, SimulatedSalesforce
from vouch.features.asof import view
from vouch.features.contract.tables import DAY_US
from vouch.features.errors import ConfigurationError
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.instants import parse_instant
from vouch.features.project import Project
from vouch.serving.asking.candidates import recorded_by_hand
from vouch.serving.asking.rules.policy import load_policy
from vouch.serving.exports.decisions import decisions
from vouch.serving.exports.export import export
from vouch.serving.exports.targets import FIELDS, Target
from vouch.serving.reach.crm import hubspot
from vouch.serving.reach.crm.pull import pull
from vouch.serving.reach.destinations import FILE, load_destinations
from vouch.serving.reach.outbound import OutboundError
from vouch.serving.snapshots.files import read_snapshot
from vouch.serving.store.actions import objectors, set_objection
from vouch.serving.store.asks import Wanted, store_ask
from vouch.serving.store.callers import EVERYBODY, Caller
from vouch.serving.store.connection import Database
from vouch.serving.store.details import Detail, store_details, withdrawn_consents
from vouch.serving.store.recorded import recorded_rows, with_recorded

NOW = parse_instant("2026-11-20T12:00:00Z")
TARGETS = [Target.SALESFORCE, Target.HUBSPOT]
ANSWERED = "2026-11-18T10:00:00.000+00:00"


@pytest.fixture
def database(tmp_path, monkeypatch):
    monkeypatch.setenv("VOUCH_SALESFORCE_CLIENT_ID", CLIENT["client_id"])
    monkeypatch.setenv("VOUCH_SALESFORCE_CLIENT_SECRET", CLIENT["client_secret"])
    monkeypatch.setenv("VOUCH_HUBSPOT_TOKEN", TOKEN)
    found = Database(tmp_path)
    for number in range(4):
        wanted = Wanted(f"a{number}", f"c{number}", "review", {"segment": None, "region": None}, None, None, False)
        store_ask(found, wanted, load_policy(), {"segment": {}, "region": {}}, EVERYBODY, NOW - 5 * DAY_US)
    yield found
    found.close()


def crm_of(target, *rows):
    """A CRM with changed records: customer, time, ask, outcome, objection."""
    crm = SimulatedSalesforce([]) if target is Target.SALESFORCE else SimulatedHubSpot([])
    for who, at, ask_id, outcome, objection in rows:
        row = {"ask": ask_id, "came": outcome, "objects": objection}
        if target is Target.SALESFORCE:
            crm.changes.append({FIELDS[0].salesforce: who, "SystemModstamp": at, **row})
        else:
            crm.changes.append({"properties": {FIELDS[0].hubspot: who, "hs_lastmodifieddate": at, **row}})
    return crm


def settle(home, url, returns='ask_id = "ask"\noutcome = "came"\nobjection = "objects"\n'):
    text = "".join(f'[{name}]\nurl = "{url}"\n[{name}.returns]\n{returns}' for name in ("salesforce", "hubspot"))
    (home / FILE).write_text(f'allow = ["127.0.0.1"]\n{text}')
    return load_destinations(home)


def taken(home, target, database, crm, now_us=NOW):
    with on_loopback(crm.app) as url:
        return pull(home, target, database, settle(home, url), lambda _: None, now_us)


@pytest.mark.parametrize("target", TARGETS)
def test_outcomes_and_objections_come_back_as_versions_with_their_time_and_once(tmp_path, database, target):
    crm = crm_of(
        target,
        ("c0", ANSWERED, "a0", "accepted", "false"),
        ("c1", ANSWERED, "a1", "declined", "true"),
        ("c2", "2026-11-18T11:00:00.000+00:00", None, None, None),
    )
    done = taken(tmp_path, target, database, crm)
    assert (done.records, done.outcomes, done.objections, done.odd) == (3, 2, 1, 0)
    with database.reading() as connection:
        rows = recorded_rows(connection)
        assert objectors(connection) == {"c1"}
    told = {row["ask_id"]: row for row in rows["asks"] if row["outcome"] is not None}
    assert {name: row["outcome"] for name, row in told.items()} == {"a0": "accepted", "a1": "declined"}
    assert {row["outcome_at"] for row in told.values()} == {parse_instant("2026-11-18T10:00:00Z")}
    assert {row["ingested_at"] for row in told.values()} == {NOW}
    again = taken(tmp_path, target, database, crm, NOW + DAY_US)
    assert (again.outcomes, again.objections) == (0, 0)
    assert again.records == 1, "only what changed since, or at the last instant, is read again"
    with database.reading() as connection:
        assert recorded_rows(connection) == rows


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_none_of_ours_or_stands_otherwise_changes_nothing(tmp_path, database, target):
    taken(tmp_path, target, database, crm_of(target, ("c0", ANSWERED, "a0", "accepted", "")))
    with database.reading() as connection:
        before = recorded_rows(connection)
    crm = crm_of(
        target,
        ("c0", ANSWERED, "a0", "declined", ""),
        ("c1", ANSWERED, "a1", "perhaps", ""),
        ("c1", ANSWERED, "a2", "accepted", ""),
        ("c1", ANSWERED, "a9", "accepted", ""),
        ("c3", ANSWERED, "", "", "maybe"),
        ("", ANSWERED, "a3", "accepted", ""),
    )
    done = taken(tmp_path, target, database, crm)
    assert (done.conflicts, done.unknown_asks, done.odd, done.outcomes) == (1, 2, 3, 0)
    with database.reading() as connection:
        assert recorded_rows(connection) == before


def test_more_than_a_search_tells_is_read_by_one_search_after_another(tmp_path, database, monkeypatch):
    monkeypatch.setattr(hubspot, "BATCH", 2)
    monkeypatch.setattr(hubspot, "SEARCHED", 4)
    rows = [(f"c{number}", f"2026-11-18T10:{number:02d}:00.000+00:00", "", "", "true") for number in range(11)]
    crm = crm_of(Target.HUBSPOT, *rows)
    crm.searched = 4
    assert taken(tmp_path, Target.HUBSPOT, database, crm).objections == 11
    crm = crm_of(Target.HUBSPOT, *((who, ANSWERED, *rest) for who, _, *rest in rows))
    crm.searched = 4
    with pytest.raises(OutboundError, match="one instant"):
        taken(tmp_path, Target.HUBSPOT, database, crm)


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_crm_shows_late_is_read_too(tmp_path, database, target):
    taken(tmp_path, target, database, crm_of(target, ("c0", ANSWERED, "a0", "accepted", "")))
    late = "2026-11-18T09:55:00.000+00:00"
    assert taken(tmp_path, target, database, crm_of(target, ("c1", late, "a1", "declined", "true"))).outcomes == 1


def test_an_objection_ends_where_it_came_from_and_nowhere_else(tmp_path, database):
    set_objection(database, "c2", True, EVERYBODY, NOW)
    target = Target.HUBSPOT
    taken(
        tmp_path, target, database, crm_of(target, ("c1", ANSWERED, "", "", "true"), ("c2", ANSWERED, "", "", "false"))
    )
    later = "2026-11-19T00:00:00.000+00:00"
    done = taken(
        tmp_path, target, database, crm_of(target, ("c1", later, "", "", "false"), ("c2", later, "", "", "no"))
    )
    assert done.objections_ended == 1
    with database.reading() as connection:
        assert objectors(connection) == {"c2"}


def test_a_pull_without_fields_says_which_to_name(tmp_path, database):
    settings = settle(tmp_path, "http://127.0.0.1:1", 'ask_id = "ask"\n')
    with pytest.raises(ConfigurationError, match=r"hubspot\.returns"):
        pull(tmp_path, Target.HUBSPOT, database, settings, lambda _: None, NOW)


DETAILS = ("contact_consent", "advocacy_consent", "owner", "owner_email")
NAMED = {
    Target.SALESFORCE: ("May_Contact__c", "May_Ask__c", "Owner.Name", "Owner.Email"),
    Target.HUBSPOT: ("may_contact", "may_ask", "hubspot_owner_id", "hubspot_owner_id"),
}
"""The field of each detail in a CRM: that of an owner is of another record there."""
ANA, BEN = ("Ana Pop", "ana@example.com"), ("Ben Roe", "ben@example.com")


def fields_of(target) -> str:
    return "".join(f'{name} = "{named}"\n' for name, named in zip(DETAILS, NAMED[target], strict=True))


def crm_with(target, *rows):
    """A CRM with changed records: customer, time, both consents, and who owns it."""
    crm = SimulatedSalesforce([]) if target is Target.SALESFORCE else SimulatedHubSpot([])
    if target is Target.HUBSPOT:
        crm.owners = [
            {"id": "11", "firstName": "Ana", "lastName": "Pop", "email": ANA[1], "archived": False},
            *({"id": f"2{n}", "firstName": "", "lastName": "", "email": "", "archived": False} for n in range(4)),
            {"id": "12", "firstName": "Ben", "lastName": "Roe", "email": BEN[1], "archived": True},
        ]
    for who, at, may_contact, may_ask, owner in rows:
        consents = dict(zip(NAMED[target], (may_contact, may_ask), strict=False))
        if target is Target.SALESFORCE:
            person = owner and {"Name": owner[0], "Email": owner[1]}
            crm.changes.append({FIELDS[0].salesforce: who, "SystemModstamp": at, **consents, "Owner": person})
        else:
            held = {**consents, "hubspot_owner_id": {None: "", ANA: "11", BEN: "12"}.get(owner, owner)}
            crm.changes.append({"properties": {FIELDS[0].hubspot: who, "hs_lastmodifieddate": at, **held}})
    return crm


def details_taken(home, target, database, crm, now_us=NOW):
    with on_loopback(crm.app) as url:
        return pull(home, target, database, settle(home, url, fields_of(target)), lambda _: None, now_us)


@pytest.mark.parametrize("target", TARGETS)
def test_consents_and_owners_come_back_as_versions_with_their_time_and_once(tmp_path, database, target):
    crm = crm_with(
        target,
        ("c0", ANSWERED, "true", "false", ANA),
        ("c1", ANSWERED, None, None, BEN),
        ("c2", ANSWERED, "perhaps", "", None),
    )
    done = details_taken(tmp_path, target, database, crm)
    assert (done.records, done.consents, done.owners, done.odd) == (3, 2, 4, 1)
    with database.reading() as connection:
        first = recorded_rows(connection)["customers"]
    changed, known = parse_instant("2026-11-18T10:00:00Z"), NOW
    times = {"created_at": changed, "ingested_at": known}
    assert first == [
        {"customer_id": "c0", "contact_consent": True, **times},
        {"customer_id": "c0", "advocacy_consent": False, **times},
        {"customer_id": "c0", "owner": ANA[0], **times},
        {"customer_id": "c0", "owner_email": ANA[1], **times},
        {"customer_id": "c1", "owner": BEN[0], **times},
        {"customer_id": "c1", "owner_email": BEN[1], **times},
    ]
    again = details_taken(tmp_path, target, database, crm, NOW + DAY_US)
    assert (again.consents, again.owners) == (0, 0)
    later = "2026-11-19T10:00:00.000+00:00"
    moved = crm_with(target, ("c0", later, "", "false", BEN), ("c1", later, "true", "", None))
    done = details_taken(tmp_path, target, database, moved, NOW + 2 * DAY_US)
    assert (done.consents, done.owners) == (2, 4)
    with database.reading() as connection:
        rows = recorded_rows(connection)["customers"]
    assert rows[: len(first)] == first, "a version that was told stays as it was"
    assert {row["ingested_at"] for row in rows[len(first) :]} == {NOW + 2 * DAY_US}
    assert {row["created_at"] for row in rows[len(first) :]} == {parse_instant("2026-11-19T10:00:00Z")}


def test_an_owner_of_whom_the_crm_tells_nothing_is_counted_and_left(tmp_path, database):
    done = details_taken(
        tmp_path, Target.HUBSPOT, database, crm_with(Target.HUBSPOT, ("c0", ANSWERED, "true", "true", "99"))
    )
    assert (done.consents, done.owners, done.odd) == (2, 0, 2)


def test_a_week_knows_a_detail_from_when_it_came_until_the_next_whatever_the_company_says(tmp_path):
    home, company = tmp_path / "home", tmp_path / "company"
    company.mkdir()
    instants = pa.timestamp("us", tz="UTC")
    day = [datetime(2026, 11, 1 + n, tzinfo=UTC) for n in range(16)]
    customers = {
        "customer_id": ["c0", "c0", "c1"],
        "created_at": pa.array([day[0]] * 3, instants),
        "contact_consent": [True, True, None],
        "owner": ["Own", "Own", "Own"],
        "segment": ["a", "b", "a"],
        "ingested_at": pa.array([day[0], day[8], day[0]], instants),
    }
    events = {"customer_id": ["c0"], "occurred_at": pa.array([day[14]], instants), "event": ["login"]}
    pq.write_table(pa.table(customers), company / "customers.parquet")
    pq.write_table(pa.table(events), company / "usage_events.parquet")
    at = [parse_instant(when.isoformat()) for when in day]
    database = Database(home)
    by = Caller(None, "hubspot", "write")
    store_details(
        database, [Detail("c0", "contact_consent", "false", at[4]), Detail("c0", "owner", "Ana", at[4])], by, at[5]
    )
    set_objection(database, "c0", True, EVERYBODY, at[7])
    store_details(database, [Detail("c0", "owner", None, at[9])], by, at[10])
    store_details(database, [Detail("c0", "contact_consent", "true", at[11])], by, at[12])
    database.close()
    tables = open_tables(stage(with_recorded(Project(home=home, location=str(company))), at[15]))

    def stands(number: int) -> tuple:
        rows = view(tables, "customers", at[number] + 1).collect("polars").to_native().to_dicts()
        (row,) = [row for row in rows if row["customer_id"] == "c0"]
        return row["segment"], row["contact_consent"], row["owner"], bool(row["is_opted_out"])

    assert [stands(number) for number in (4, 5, 7, 8, 10, 12)] == [
        ("a", True, "Own", False),
        ("a", False, "Ana", False),
        ("a", False, "Ana", True),
        ("b", False, "Ana", True),
        ("b", False, None, True),
        ("b", True, None, True),
    ]
    assert not tables.has("customers", "advocacy_consent"), "what nobody has told of is no column"


def test_a_consent_that_was_taken_back_counts_at_once_and_one_that_was_given_from_the_next_week_on(tmp_path):
    with_week = Served(tmp_path)
    database, now_us = with_week.database, MONDAY + DAY_US

    def told() -> tuple:
        with_week.store.follow()
        found = with_week.call("POST", "/v1/customers/get", "read", json={"customer_id": "c2"}).json()
        week = read_snapshot(tmp_path)
        export(week, Target.CSV, tmp_path / "out", decide=lambda of: decisions(tmp_path, None, of, now_us))
        text = (tmp_path / "out" / "vouch-csv-2026-11-16-001.csv").read_text()
        (line,) = [line for line in text.splitlines() if line.startswith(('"c2"', "c2,"))]
        return found["profile"]["contact_consent"], found["profile"]["advocacy_consent"], found["exclusion"], line

    assert told()[:3] == (True, True, None)
    by = Caller(None, "hubspot", "write")
    before = told()[3]
    store_details(database, [Detail("c2", "advocacy_consent", "false", now_us)], by, now_us)
    assert told()[:3] == (True, False, "no_consent")
    assert told()[3] != before
    store_details(database, [Detail("c2", "advocacy_consent", "true", now_us)], by, now_us + 1)
    assert told()[:3] == (True, True, None)
    assert told()[3] == before
    with_week.close()


def test_a_no_that_the_week_knows_already_moves_nobody(tmp_path):
    with_week = Served(tmp_path)
    told = [Detail(name, "contact_consent", "false", MONDAY) for name in ("c2", "c4", "of whom the week knows nothing")]
    store_details(with_week.database, told, Caller(None, "hubspot", "write"), MONDAY + DAY_US)
    with with_week.database.reading() as connection:
        hand = recorded_by_hand(connection, MONDAY, MONDAY + 2 * DAY_US)
    week = with_week.store.portfolio
    assert len(hand.withdrawn) == 3
    assert week.lists.take(hand, week.ids) == {week.ids.row_of("c2")}
    with_week.close()


@pytest.mark.parametrize("target", TARGETS)
def test_the_command_tells_what_came_once_and_stands_among_the_runs(tmp_path, database, target, vouch):
    home = tmp_path / "home"
    home.mkdir()
    crm = crm_with(target, ("c0", ANSWERED, "true", "false", ANA))
    with on_loopback(crm.app) as url:
        settle(home, url, fields_of(target))
        told = [json.loads(vouch("pull", target.value, "--format", "json")[1]) for _ in range(2)]
    assert [(one["records"], one["consents"], one["owners"]) for one in told] == [(1, 2, 2), (1, 0, 0)]
    runs = json.loads(vouch("runs", "pull", "--format", "json")[1])["runs"]
    assert [(one["outcome"], one["of"], one["consents"]) for one in runs] == [
        ("done", target.value, 0),
        ("done", target.value, 2),
    ]


@pytest.mark.postgres
def test_the_store_of_a_team_keeps_details_too(tmp_path, postgres):
    found, by = Database(tmp_path, postgres), Caller(None, "hubspot", "write")
    told = [Detail("c1", "contact_consent", value, NOW) for value in ("true", "false")]
    assert store_details(found, [*told, Detail("c2", "owner", "Ana", NOW)], by, NOW)["contact_consent"] == 2
    assert store_details(found, told[1:], by, NOW + 1)["contact_consent"] == 0
    with found.reading() as connection:
        assert withdrawn_consents(connection, NOW) == {"c1": {"contact_consent"}}
        assert withdrawn_consents(connection, NOW + 1) == {}
        assert [row.get("contact_consent") for row in recorded_rows(connection)["customers"]] == [True, False, None]
    found.close()
