"""Asks: recorded once, told at once, and never more of them than the caps allow, whoever asks, in whatever process."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from support.capabilities import why_missing
from support.handwritten_weeks import MONDAY, customer, known_ask, publish
from vouch.features.contract.tables import DAY_US
from vouch.features.errors import ConfigurationError
from vouch.serving.api import state as stores
from vouch.serving.api.handlers import asks as routes_asks
from vouch.serving.api.handlers import read
from vouch.serving.api.problems import Problem
from vouch.serving.api.schemas import AdvocatesSearch, AskOutcome, AskRecord, CustomerGet
from vouch.serving.api.state import ServingState
from vouch.serving.asking.rules import policy
from vouch.serving.asking.rules.caps import ASKED, OPEN, QUOTA, REFUSED, Ask, resting, united
from vouch.serving.asking.rules.policy import Policy, load_policy
from vouch.serving.store import audit, weeks
from vouch.serving.store.asks import Wanted, of_customer, set_outcome, store_ask
from vouch.serving.store.callers import EVERYBODY
from vouch.serving.store.connection import Database
from vouch.serving.store.overrides import Override, store_override, withdraw
from vouch.serving.store.tables import asks

NOW = MONDAY + 6 * 3_600_000_000
POLICY = load_policy()


PEOPLE = (
    customer("a", segment="smb", region="EMEA"),
    customer("b", segment="smb", region="EMEA", asks=[known_ask("k1", 20, "accepted")]),
    customer("c", segment="smb", region="EMEA", asks=[known_ask("k2", 80, "accepted"), known_ask("k3", 40, "ignored")]),
    customer("d", segment="smb", region="EMEA", asks=[known_ask("k4", 100, "declined")]),
    customer("e", segment="smb", region="EMEA", asks=[known_ask("k5", 29)]),
    customer("f", segment="smb", region="EMEA", asks=[known_ask("k6", 200, "declined")]),
    customer("g", segment="smb", region="EMEA", advocacy_consent=False),
)
WAITS = {"a": None, "b": ASKED, "c": ASKED, "d": REFUSED, "e": OPEN, "f": None, "g": "no_consent"}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request) -> str | None:
    return request.getfixturevalue("make_database")() if request.param == "postgres" else None


@pytest.fixture
def store(url, tmp_path, monkeypatch):
    clock = {"us": NOW}
    for module in (stores, routes_asks):
        monkeypatch.setattr(module, "now_us", lambda: clock["us"])
    publish(tmp_path, people=PEOPLE)
    found = ServingState(tmp_path, url)
    found.refresh()
    found.clock = clock
    yield found
    found.stop()


def listed(store: ServingState, **request) -> list[str]:
    return [row["customer_id"] for row in read.search_advocates(store, AdvocatesSearch(**request))["candidates"]]


def ask(store: ServingState, customer_id: str, ask_id: str, kind: str = "referral") -> dict:
    return routes_asks.record_ask(store, AskRecord(ask_id=ask_id, customer_id=customer_id, kind=kind), EVERYBODY)


def refused(store: ServingState, *given) -> tuple[str, str | None]:
    with pytest.raises(Problem) as problem:
        ask(store, *given)
    return problem.value.code, problem.value.exclusion


def test_the_caps_read_what_the_companys_own_data_know(store):
    found = read.search_advocates(store, AdvocatesSearch(include_ineligible=True))["candidates"]
    assert {row["customer_id"]: row["exclusion"] for row in found} == WAITS
    assert sorted(listed(store)) == [name for name, why in WAITS.items() if why is None]
    for name, why in WAITS.items():
        if why is not None:
            assert refused(store, name, f"ask {name}") == ("not_to_be_asked", why)


def test_an_ask_is_recorded_once_and_told_at_once(store):
    first = ask(store, "a", "crm 1")
    assert first["is_new"]
    assert ask(store, "a", "crm 1") == {**first, "is_new": False}
    with pytest.raises(Problem, match="conflict"):
        ask(store, "a", "crm 1", "review")
    with pytest.raises(Problem, match="conflict"):
        ask(store, "f", "crm 1")
    assert refused(store, "a", "crm 2") == ("not_to_be_asked", OPEN)
    assert listed(store) == ["f"]
    told = read.get_customer(store, CustomerGet(customer_id="a"))
    assert (told["exclusion"], [row["ask_id"] for row in told["asks"]]) == (OPEN, ["crm 1"])
    with store.database.reading() as connection:
        line = audit.newest_entries(connection)[0]
        assert len(connection.execute(select(asks)).all()) == 1
    assert (line["action"], line["customer_id"], line["actor"]) == ("asked", "a", EVERYBODY.name)


def test_an_outcome_is_recorded_once_and_another_is_refused(store):
    ask(store, "a", "crm 1")
    told = routes_asks.record_outcome(store, AskOutcome(ask_id="crm 1", outcome="declined"), EVERYBODY)
    assert (told["is_new"], told["ask"]["outcome"]) == (True, "declined")
    again = routes_asks.record_outcome(store, AskOutcome(ask_id="crm 1", outcome="declined"), EVERYBODY)
    assert again == {**told, "is_new": False}
    with pytest.raises(Problem, match="conflict"):
        routes_asks.record_outcome(store, AskOutcome(ask_id="crm 1", outcome="accepted"), EVERYBODY)
    with pytest.raises(Problem, match="unknown_ask"):
        routes_asks.record_outcome(store, AskOutcome(ask_id="crm 9", outcome="accepted"), EVERYBODY)
    assert refused(store, "a", "crm 2") == ("not_to_be_asked", REFUSED)


def test_the_outcome_of_an_ask_that_only_the_data_know_is_recorded_too(store):
    told = routes_asks.record_outcome(store, AskOutcome(ask_id="k5", outcome="accepted"), EVERYBODY)
    assert told["ask"]["outcome"] == "accepted"
    assert refused(store, "e", "crm 3") == ("not_to_be_asked", ASKED)
    (only,) = read.get_customer(store, CustomerGet(customer_id="e"))["asks"]
    assert (only["ask_id"], only["outcome"]) == ("k5", "accepted")


def test_an_ask_that_both_know_counts_once(store):
    ask(store, "a", "crm 1")
    routes_asks.record_outcome(store, AskOutcome(ask_id="crm 1", outcome="accepted"), EVERYBODY)
    both = [*PEOPLE[1:], customer("a", segment="smb", region="EMEA", asks=[known_ask("crm 1", -0.25)])]
    publish(store.home, MONDAY, sorted(both, key=lambda row: row["customer_id"]))
    store.refresh()
    told = read.get_customer(store, CustomerGet(customer_id="a"))
    assert [(row["ask_id"], row["outcome"]) for row in told["asks"]] == [("crm 1", "accepted")]
    store.clock["us"] = NOW + 31 * DAY_US
    assert ask(store, "a", "crm 2")["is_new"], "two in 90 days, one of them told twice"


def test_who_waited_long_enough_is_listed_again(store):
    ask(store, "a", "crm 1")
    assert "a" not in listed(store)
    store.clock["us"] = NOW + 30 * DAY_US
    store.refresh()
    assert "a" in listed(store)
    assert ask(store, "a", "crm 2")["is_new"]
    assert not ask(store, "a", "crm 2")["is_new"]


def test_another_process_hears_of_an_ask(store, url):
    other = ServingState(store.home, url)
    other.refresh()
    assert "a" in listed(other)
    ask(store, "a", "crm 1")
    other.refresh()
    assert "a" not in listed(other)
    assert refused(other, "a", "crm 2") == ("not_to_be_asked", OPEN)
    other.stop()


def test_a_group_that_was_asked_enough_waits_for_the_others(url, tmp_path):
    (tmp_path / "policy.toml").write_text("[quotas]\nfree_asks = 4\ntimes_its_share = 1.0\n")
    people = [customer(f"{name}{n}", segment=name, region="EMEA") for name in ("x", "y") for n in range(9)]
    publish(tmp_path, people=people)
    store = ServingState(tmp_path, url)
    store.refresh()
    for n in range(4):
        ask(store, f"x{n}", f"ask {n}")
    assert refused(store, "x4", "ask x4") == ("not_to_be_asked", QUOTA)
    assert all(name.startswith("y") for name in listed(store))
    found = read.search_advocates(store, AdvocatesSearch(include_ineligible=True))["candidates"]
    assert {row["exclusion"] for row in found if row["customer_id"] > "x3" and row["segment"] == "x"} == {QUOTA}
    for n in range(5):
        ask(store, f"y{n}", f"ask y{n}")
    assert ask(store, "x4", "ask x4")["is_new"]
    store.stop()


def test_a_health_score_set_by_hand_counts_for_the_next_list_and_the_next_ask(store, url):
    wanted = Override("o1", "a", 5.0, "sponsor left", 30, "crm", store.clock["us"])
    store_override(store.database, wanted, EVERYBODY)
    assert refused(store, "a", "crm 1") == ("not_to_be_asked", "low_health"), "before anybody has read it again"
    store.recorded()
    assert "a" not in listed(store)
    assert listed(store, kind=["review"]) == ["a", "f"] or listed(store, kind=["review"]) == ["f", "a"], "drawn anyway"
    withdraw(store.database, "o1", EVERYBODY, store.clock["us"])
    store.recorded()
    assert "a" in listed(store)
    store_override(store.database, replace(wanted, given_id="o2"), EVERYBODY)
    store.recorded()
    store.clock["us"] += 30 * DAY_US
    store.refresh()
    assert "a" in listed(store), "it has ended"


def test_a_recorded_ask_outlives_the_process_that_recorded_it(store, url):
    ask(store, "a", "crm 1")
    again = ServingState(store.home, url)
    again.refresh()
    assert "a" not in listed(again)
    again.stop()


@dataclass
class Company:
    """One store and what was recorded in it, for one example of the property."""

    database: Database
    policy: Policy
    made: list[Ask] = field(default_factory=list)


CAPS = st.fixed_dictionaries(
    {
        "asks_in_30_days": st.integers(0, 3),
        "asks_in_90_days": st.integers(0, 4),
        "open_asks": st.integers(1, 2),
        "open_days": st.integers(0, 40),
        "rest_days_after_refusal": st.integers(0, 200),
    }
)
STEPS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 25), st.sampled_from([None, "accepted", "declined", "ignored"])),
    max_size=25,
)


@pytest.fixture(scope="module")
def databases(tmp_path_factory, request):
    """A store on SQLite, and one on PostgreSQL where there is one."""
    home = tmp_path_factory.mktemp("property")
    found = [Database(home)]
    if why_missing("postgres") is None:
        found.append(Database(home, request.getfixturevalue("make_database")()))
    publish(home, people=PEOPLE)
    for database in found:
        weeks.bring(database, home, NOW)
    yield found
    for database in found:
        database.close()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(caps=CAPS, steps=STEPS)
def test_no_cap_is_ever_broken(databases, caps, steps):
    policy = POLICY.model_copy(update={"caps": POLICY.caps.model_copy(update=caps)})
    for database in databases:
        with database.writing() as connection:
            connection.execute(asks.delete())
        now_us = NOW
        for number, (who, days, outcome) in enumerate(steps):
            now_us += days * DAY_US // 2
            found = store_ask(
                database, wanted(f"n{number}", who), policy, {"segment": {}, "region": {}}, EVERYBODY, now_us
            )
            if found.ask is not None and outcome is not None:
                set_outcome(database, f"n{number}", outcome, EVERYBODY, now_us + 1)
        for who in "abcd":
            with database.reading() as connection:
                check_caps(of_customer(connection, who), policy)


def wanted(ask_id: str, customer_id: str) -> Wanted:
    return Wanted(ask_id, customer_id, "referral", {"segment": "smb", "region": "EMEA"}, None, None, False)


def check_caps(held: list[Ask], policy: Policy) -> None:
    """At every ask that was recorded, all asks before it left room for it. In plain words, not those of the code."""
    caps = policy.caps
    order = sorted(held, key=lambda one: (one.asked_us, one.ask_id))
    for place, one in enumerate(order):
        if one.ask_id.startswith("k"):
            continue
        before = order[:place]
        for days, most in ((30, caps.asks_in_30_days), (90, caps.asks_in_90_days)):
            recent = [other for other in before if one.asked_us - other.asked_us < days * DAY_US]
            assert len(recent) + 1 <= most, "asked too often"
        unanswered = [
            other
            for other in before
            if (other.outcome_us is None or other.outcome_us > one.asked_us)
            and one.asked_us - other.asked_us < caps.open_days * DAY_US
        ]
        assert len(unanswered) + 1 <= caps.open_asks, "too many open at a time"
        for other in before:
            if other.outcome == "declined" and other.outcome_us <= one.asked_us:
                assert one.asked_us - other.outcome_us >= caps.rest_days_after_refusal * DAY_US, "no rest"


RACE = """
import sys, pathlib
from vouch.serving.store.connection import Database
from vouch.serving.store.asks import Wanted, store_ask
from vouch.serving.store.callers import EVERYBODY
from vouch.serving.asking.rules.policy import load_policy
home, url, name, now = pathlib.Path(sys.argv[1]), sys.argv[2] or None, sys.argv[3], int(sys.argv[4])
database, policy = Database(home, url), load_policy()
sizes = {"segment": {"smb": 1}, "region": {"EMEA": 1}}
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    who = "af"[number % 2] + str(number // 2)
    wanted = Wanted(f"{name} {number}", who, "review", {"segment": "smb", "region": "EMEA"}, None, None, False)
    print(who, store_ask(database, wanted, policy, sizes, EVERYBODY, now + number).ask is not None, flush=True)
"""


def test_processes_that_ask_at_once_keep_the_caps_together(url, tmp_path):
    database = Database(tmp_path, url)
    database.versions()
    command = [sys.executable, "-c", RACE, str(tmp_path), url or ""]
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([*command, f"p{n}", str(NOW)], **options) for n in range(3)]
    assert [process.stdout.readline() for process in started] == ["ready\n"] * 3
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [line.split() for process in started for line in process.communicate()[0].splitlines()]
    assert len(said) == 3 * 40
    made = [who for who, was_made in said if was_made == "True"]
    assert sorted(made) == sorted(f"{letter}{n}" for letter in "af" for n in range(20)), "each was asked exactly once"
    with database.reading() as connection:
        assert len(connection.execute(select(asks)).all()) == 40
    database.close()


def one(ask_id: str, days: float, outcome: str | None = None, later: float = 1) -> Ask:
    asked_us = round(NOW - days * DAY_US)
    return Ask(ask_id, "a", "review", asked_us, outcome, None if outcome is None else round(asked_us + later * DAY_US))


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ([], None),
        ([one("1", 29.9, "accepted")], ASKED),
        ([one("1", 30, "accepted")], None),
        ([one("1", 89.9, "accepted"), one("2", 31, "ignored")], ASKED),
        ([one("1", 90, "accepted"), one("2", 31, "ignored")], None),
        ([one("1", 29)], OPEN),
        ([one("1", 31)], None),
        ([one("1", 300, "declined", later=121)], REFUSED),
        ([one("1", 300, "declined", later=120)], None),
    ],
)
def test_a_rest_ends_when_the_window_has_passed(held, why):
    assert resting(held, POLICY.caps, NOW) == why


def test_an_ask_of_two_sources_keeps_the_outcome_that_either_knows():
    bare, told = one("1", 5), one("1", 5, "accepted")
    assert united([told], [bare])["1"].outcome == united([bare], [told])["1"].outcome == "accepted"


def test_a_companys_own_policy_changes_what_it_names(tmp_path):
    assert load_policy(tmp_path) == POLICY
    (tmp_path / "policy.toml").write_text("[caps]\nasks_in_30_days = 3\n[kinds.review]\nvalue = 0.0\n")
    own = load_policy(tmp_path)
    assert (own.caps.asks_in_30_days, own.caps.asks_in_90_days, own.kinds["review"].value) == (3, 2, 0.0)
    assert own.kinds["review"].rest_days == POLICY.kinds["review"].rest_days


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[caps]\nasks_in_30_dys = 3", "[caps]: unknown key 'asks_in_30_dys' (did you mean 'asks_in_30_days'?)"),
        ("[kinds.review]\nrest_day = 1", "[kinds.review]: unknown key 'rest_day' (did you mean 'rest_days'?)"),
        ("[cap]\nopen_asks = 1", "there is no [cap] (did you mean 'caps'?)"),
        ("caps = 1", "'caps' must be a table"),
        ("[kinds.dance]\nvalue = 1.0", "[kinds]: 'dance': Input should be 'referral'"),
        ("[eligibility]\nmaximum_churn = 2.0", "[eligibility]: 'maximum_churn' must be at most 1"),
        ("[eligibility]\nrepair_first = 1", "[eligibility]: 'repair_first' must be true or false"),
        ('[eligibility]\nconsents = ["none"]', "[eligibility.consents], number 1: Input should be 'advocacy_consent'"),
        ("[caps]\nopen_days = 5000", "[caps]: 'open_days' must be at most"),
        ("[caps", "not valid TOML"),
        ("[quotas]\ntimes_its_share = nan", "[quotas]: 'times_its_share' must be a number"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_with_its_place(tmp_path, text, said):
    (tmp_path / "policy.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"policy\.toml") as refused:
        load_policy(tmp_path)
    assert said in str(refused.value)


def test_the_policy_comes_with_the_package():
    assert Path(policy.__file__).with_name(policy.FILE).exists()
    assert sum(kind.value > 0 for kind in POLICY.kinds.values()) == 9
    assert POLICY.exploration.share == 0.0
    assert (POLICY.caps.windows, POLICY.caps.open_asks) == (((30, 1), (90, 2)), 1)
