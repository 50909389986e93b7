"""What comes back from a CRM: outcomes and objections, as versions with their time, once, and nothing that is none."""

from __future__ import annotations

import pytest

from support.servers.on_loopback import on_loopback
from support.servers.simulated_crms import CLIENT, TOKEN, SimulatedHubSpot, SimulatedSalesforce
from vouch.features.contract.tables import DAY_US
from vouch.features.errors import ConfigurationError
from vouch.features.instants import parse_instant
from vouch.serving.asking.rules.policy import load_policy
from vouch.serving.exports.targets import FIELDS, Target
from vouch.serving.reach.crm import hubspot
from vouch.serving.reach.crm.pull import pull
from vouch.serving.reach.destinations import FILE, load_destinations
from vouch.serving.reach.outbound import OutboundError
from vouch.serving.store.actions import objectors, set_objection
from vouch.serving.store.asks import Wanted, store_ask
from vouch.serving.store.callers import EVERYBODY
from vouch.serving.store.connection import Database
from vouch.serving.store.recorded import recorded_rows

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
