"""Pushing a week into a CRM: all of it, once, whatever refuses or kills it, and no secret or customer anywhere else."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
from types import MappingProxyType

import pytest
from starlette.responses import Response

from support.handwritten_weeks import BEFORE, MONDAY, WEEK, customer, publish
from support.servers.on_loopback import on_loopback
from support.servers.running_service import VOUCH
from support.servers.simulated_crms import TOKEN, SimulatedHubSpot, SimulatedSalesforce, busy
from vouch.features.errors import ConfigurationError, Refused
from vouch.features.project import environment
from vouch.serving.asking.ranking import EXCLUSIONS
from vouch.serving.exports.cells import cell
from vouch.serving.exports.decisions import CustomerDecision
from vouch.serving.exports.targets import FIELDS, RULES, Target
from vouch.serving.reach.crm.push import push
from vouch.serving.reach.crm.records import FAILED, FOLDER, PushFolder
from vouch.serving.reach.destinations import FILE, load_destinations
from vouch.serving.reach.outbound import Outbound, OutboundError
from vouch.serving.snapshots.schema import OPTED_OUT

CRMS = {Target.SALESFORCE: SimulatedSalesforce, Target.HUBSPOT: SimulatedHubSpot}
PEOPLE = tuple(customer(f"c{number:03d}", 0.1 + number / 1000) for number in range(250))
SECRETS = {"VOUCH_SALESFORCE_CLIENT_ID": "id", "VOUCH_SALESFORCE_CLIENT_SECRET": "secret", "VOUCH_HUBSPOT_TOKEN": TOKEN}
BOTH = pytest.mark.parametrize("target", list(CRMS))


@pytest.fixture(autouse=True)
def _secrets(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def settle(home, url, **more):
    lines = [f'[{name}]\nurl = "{url}"\ncalls_in_10_seconds = 1000\n' for name in ("salesforce", "hubspot")]
    lines[1] += "".join(f'{name} = "{value}"\n' for name, value in more.items())
    (home / FILE).write_text('allow = ["127.0.0.1"]\n' + "".join(lines))
    return load_destinations(home)


def waited():
    pauses = []
    return pauses, pauses.append


def expected(crm, target, snapshot):
    """What the CRM must hold of each customer of the week that it knows."""
    values = snapshot.table("scores", ["customer_id", "churn_probability", "churn_band"]).to_pylist()
    fields = {field.column: field for field in FIELDS}
    told = {}
    for row in values:
        cells = {name: cell(fields[name], row[name], RULES[target]) for name in ("churn_probability", "churn_band")}
        named = {fields[name].name(target): value for name, value in cells.items() if value != RULES[target].null}
        told[row["customer_id"]] = named
    return {who: of for who, of in told.items() if who in crm.records}


def assert_holds(crm, target, snapshot):
    for who, named in expected(crm, target, snapshot).items():
        held = {name: crm.records[who].get(name) for name in named}
        assert held == named, who


@BOTH
def test_a_week_is_in_the_crm_row_by_row_and_who_is_unknown_there_is_told(tmp_path, target):
    week = publish(tmp_path, people=PEOPLE)
    crm = CRMS[target]([person["customer_id"] for person in PEOPLE[:240]])
    with on_loopback(crm.app) as url:
        record, is_new = push(tmp_path, target, week, settle(tmp_path, url), waited()[1])
        calls = crm.calls
        again = push(tmp_path, target, week, settle(tmp_path, url), waited()[1])
    assert_holds(crm, target, week)
    assert (is_new, record.is_done, record.rows, record.failed) == (True, True, 250, 10)
    assert record.reasons == {"UNKNOWN_RECORD": 10}
    folder = PushFolder(tmp_path, target.value, week)
    assert [row["customer_id"] for row in folder.failures()] == [person["customer_id"] for person in PEOPLE[240:]]
    assert (again[1], crm.calls) == (False, calls), "a week that was sent is not sent again"
    assert not list(folder.path.glob("*.csv"))
    assert len(crm.records) == 240


def test_hubspot_makes_whom_it_does_not_know_where_the_company_says_so(tmp_path):
    week = publish(tmp_path)
    crm = SimulatedHubSpot([])
    with on_loopback(crm.app) as url:
        record, _ = push(tmp_path, Target.HUBSPOT, week, settle(tmp_path, url, unknown="create"), waited()[1])
    assert (record.failed, set(crm.records)) == (0, {person["customer_id"] for person in WEEK})


def test_one_row_that_spoils_a_batch_is_found_and_the_others_are_taken(tmp_path):
    week = publish(tmp_path, people=PEOPLE)
    crm = SimulatedHubSpot([person["customer_id"] for person in PEOPLE], poison="c137")
    with on_loopback(crm.app) as url:
        record, _ = push(tmp_path, Target.HUBSPOT, week, settle(tmp_path, url), waited()[1])
    assert (record.failed, record.reasons) == (1, {"VALIDATION_ERROR": 1})
    assert [row["customer_id"] for row in PushFolder(tmp_path, "hubspot", week).failures()] == ["c137"]
    assert sum(bool(held) for held in crm.records.values()) == 249


@BOTH
def test_a_value_that_is_null_by_now_is_cleared_and_nothing_else_is(tmp_path, target):
    crm = CRMS[target](["c1"])
    name = next(field.name(target) for field in FIELDS if field.column == "churn_probability")
    crm.records["c1"] = {name: "0.4", "Industry": "steel"}
    week = publish(tmp_path, people=[customer("c1", None)])
    with on_loopback(crm.app) as url:
        push(tmp_path, target, week, settle(tmp_path, url), waited()[1])
    assert name not in crm.records["c1"]
    assert crm.records["c1"]["Industry"] == "steel"


@BOTH
def test_what_the_crm_cannot_take_now_is_sent_when_it_asks_for_it(tmp_path, target):
    week = publish(tmp_path, people=PEOPLE)
    crm = CRMS[target]([person["customer_id"] for person in PEOPLE], busy(2, "3"))
    pauses, sleep = waited()
    with on_loopback(crm.app) as url:
        record, _ = push(tmp_path, target, week, settle(tmp_path, url), sleep)
    assert (record.is_done, record.failed) == (True, 0)
    assert pauses.count(3.0) == crm.calls // 2
    assert_holds(crm, target, week)


@BOTH
def test_a_crm_that_asks_for_a_long_wait_or_says_no_ends_the_push_with_one_message(tmp_path, target):
    week = publish(tmp_path)
    known = [person["customer_id"] for person in WEEK]
    for refuse, told in ((busy(1, "86400"), "again"), (lambda _: Response(status_code=403), "403")):
        crm = CRMS[target](known, refuse)
        with on_loopback(crm.app) as url, pytest.raises(OutboundError, match=told):
            push(tmp_path, target, week, settle(tmp_path, url), waited()[1])


class Killed(BaseException):
    """The end of the process, as far as the code can tell."""


@BOTH
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_push_that_ends_at_any_step_goes_on_from_there(tmp_path, target, place, monkeypatch):
    week = publish(tmp_path, people=PEOPLE)
    written, called = PushFolder.write, Outbound.call
    crm = CRMS[target]([person["customer_id"] for person in PEOPLE[:245]])
    countdown = itertools.count()
    limit = 0

    def dying(step):
        def stepped(*given, **named):
            number = next(countdown)
            if place == "before" and number >= limit:
                raise Killed
            done = step(*given, **named)
            if place == "after" and number >= limit:
                raise Killed
            return done

        return stepped

    monkeypatch.setattr(PushFolder, "write", dying(written))
    monkeypatch.setattr(Outbound, "call", dying(called))
    deaths = 0
    with on_loopback(crm.app) as url:
        settings = settle(tmp_path, url)
        for limit in itertools.count(1):  # noqa: B007 - what dies reads it
            countdown = itertools.count()
            try:
                record, _ = push(tmp_path, target, week, settings, waited()[1])
            except Killed:
                deaths += 1
            else:
                break
    assert deaths >= 3
    assert (record.is_done, record.failed, record.reasons) == (True, 5, {"UNKNOWN_RECORD": 5})
    lines = (PushFolder(tmp_path, target.value, week).path / FAILED).read_text().splitlines()
    assert len({json.loads(line)["customer_id"] for line in lines}) == len(lines) == 5
    assert_holds(crm, target, week)


@BOTH
def test_what_leaves_is_told_before_it_does_whatever_becomes_of_it(tmp_path, target):
    week, left = publish(tmp_path, people=PEOPLE), []
    crm = CRMS[target]([])
    crm.refuse = lambda call: Response(status_code=403) if call > 2 and "token" not in crm.paths[-1] else None
    with on_loopback(crm.app) as url:
        settings = settle(tmp_path, url)
        for _ in range(2):
            with pytest.raises(OutboundError):
                push(tmp_path, target, week, settings, waited()[1], leaving=left.append)
        crm.refuse = lambda _: None
        push(tmp_path, target, week, settings, waited()[1], leaving=left.append)
        push(tmp_path, target, week, settings, waited()[1], leaving=left.append)
    assert left == ([250, 250, 250] if target is Target.SALESFORCE else [250, 50, 50])


def test_an_older_week_does_not_take_the_place_of_a_newer_one(tmp_path):
    older, newer = publish(tmp_path, BEFORE, people=PEOPLE), publish(tmp_path, MONDAY, people=PEOPLE)
    crm = SimulatedHubSpot([])
    with on_loopback(crm.app) as url:
        settings = settle(tmp_path, url)
        push(tmp_path, Target.HUBSPOT, newer, settings, waited()[1])
        with pytest.raises(Refused, match="newer week"):
            push(tmp_path, Target.HUBSPOT, older, settings, waited()[1])


@BOTH
def test_a_week_is_sent_anew_to_another_place_and_where_somebody_has_objected_since(tmp_path, target):
    week, pushed = publish(tmp_path, people=PEOPLE), []
    crm = CRMS[target]([person["customer_id"] for person in PEOPLE])
    name = next(field.name(target) for field in FIELDS if field.column == "churn_probability")
    objecting = {"c007": CustomerDecision(not_asked_because=EXCLUSIONS[OPTED_OUT])}

    def again(settings, mark, decided=MappingProxyType({})):
        _, is_new = push(tmp_path, target, week, settings, waited()[1], objections=mark, decide=lambda _: decided)
        pushed.append(is_new)

    with on_loopback(crm.app) as url:
        settings = settle(tmp_path, url)
        again(settings, "none")
        again(settings, "none")
        assert name in crm.records["c007"]
        again(settings, "one", objecting)
        assert name not in crm.records["c007"], "who objects by now stands there no longer"
        assert name in crm.records["c008"]
        again(settings, "one", objecting)
        with on_loopback(CRMS[target]([]).app) as other:
            allowed = other.replace("127.0.0.1", "localhost")
            (tmp_path / FILE).write_text(
                (tmp_path / FILE).read_text().replace(url, allowed).replace("[", '["localhost",', 1)
            )
            again(load_destinations(tmp_path), "one", objecting)
    assert pushed == [True, False, True, False, True]


def test_what_was_erased_meanwhile_is_not_sent(tmp_path):
    week = publish(tmp_path, people=PEOPLE)
    crm = SimulatedHubSpot([person["customer_id"] for person in PEOPLE])
    crm.refuse = lambda call: Response(status_code=403) if call > 1 else None
    with on_loopback(crm.app) as url:
        settings = settle(tmp_path, url)
        with pytest.raises(OutboundError):
            push(tmp_path, Target.HUBSPOT, week, settings, waited()[1])
        (path,) = (tmp_path / FOLDER).rglob("*.csv")
        path.write_text(path.read_text().replace("c200", "****"))  # as erasing does
        revised = publish(tmp_path, people=[person for person in PEOPLE if person["customer_id"] != "c200"])
        crm.refuse = lambda _: None
        push(tmp_path, Target.HUBSPOT, revised, settings, waited()[1])
    assert crm.records["c200"] == {}
    assert crm.records["c199"]


def test_a_secret_that_is_not_there_is_named_and_never_told(tmp_path, monkeypatch, capfd):
    week = publish(tmp_path)
    monkeypatch.delenv("VOUCH_HUBSPOT_TOKEN")
    crm = SimulatedHubSpot([])
    with on_loopback(crm.app) as url:
        settings = settle(tmp_path, url)
        with pytest.raises(ConfigurationError, match="VOUCH_HUBSPOT_TOKEN"):
            push(tmp_path, Target.HUBSPOT, week, settings, waited()[1])
        monkeypatch.setenv("VOUCH_HUBSPOT_TOKEN", "a-wrong-token-nobody-may-see")
        with pytest.raises(OutboundError) as error:
            push(tmp_path, Target.HUBSPOT, week, settings, waited()[1])
    held = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"a-wrong-token" not in held + str(error.value).encode() + "".join(capfd.readouterr()).encode()


def vouch(home, *words):
    told = environment(VOUCH_HOME=str(home))
    return subprocess.run([VOUCH, *words], env=told, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_tells_what_came_of_it_and_stands_among_the_runs(tmp_path):
    publish(tmp_path)
    crm = SimulatedHubSpot([person["customer_id"] for person in WEEK[:5]])
    with on_loopback(crm.app) as url:
        settle(tmp_path, url)
        done = vouch(tmp_path, "push", "hubspot", "--format", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["rows"], told["failed"], told["reasons"]) == (6, 1, {"UNKNOWN_RECORD": 1})
    assert "1 of 6 rows were not taken" in done.stderr
    (run,) = json.loads(vouch(tmp_path, "runs", "push", "--format", "json").stdout)["runs"]
    assert (run["outcome"], run["to"], run["rows"], run["failed"]) == ("done", "hubspot", 6, 1)


@pytest.mark.nightly
@BOTH
def test_twenty_kills_in_the_middle_leave_it_whole(tmp_path, target):
    dice = random.Random(7)
    for kill in range(20):
        home = tmp_path / str(kill)
        home.mkdir()
        week = publish(home, people=PEOPLE)
        crm = CRMS[target]([person["customer_id"] for person in PEOPLE[:245]])
        with on_loopback(crm.app) as url:
            settle(home, url)
            words = [VOUCH, "push", target.value]
            process = subprocess.Popen(words, env=environment(VOUCH_HOME=str(home)), stderr=subprocess.DEVNULL)
            last = dice.randint(1, 8 if target is Target.SALESFORCE else 3)

            def ending(call, last=last, process=process):
                if call == last:
                    os.kill(process.pid, signal.SIGKILL)

            crm.refuse = ending
            process.wait(120)
            crm.refuse = lambda _: None
            record = PushFolder(home, target.value, week).read()
            assert record is None or not record.is_done or process.returncode == 0
            done = vouch(home, "push", target.value)
        assert done.returncode == 0, done.stderr
        record = PushFolder(home, target.value, week).read()
        assert (record.is_done, record.rows, record.failed) == (True, 250, 5)
        assert_holds(crm, target, week)
