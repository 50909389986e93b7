"""Ten thousand calls of agents that mean ill or know no better: no cap is broken, and nobody gets beyond their scope.

Agents with keys of several scopes, and without one, call at once: real tools with ids of few customers and asks, so
that they meet, and with what is no argument at all.
"""

from __future__ import annotations

import asyncio
import json
import random

import pytest
from mcp.client import Client
from sqlalchemy import func, select

from support.handwritten_weeks import customer, publish
from support.searching import numbers
from support.servers.running_service import serving
from vouch.features.contract.tables import ACT_KINDS
from vouch.features.instants import instant_text
from vouch.serving.agent.server import AgentDoor
from vouch.serving.agent.tools import reachable
from vouch.serving.api.state import now_us
from vouch.serving.asking.rules.caps import broken, standing_asks
from vouch.serving.asking.rules.policy import FILE, load_policy
from vouch.serving.store import keys
from vouch.serving.store.asks import changed_since
from vouch.serving.store.connection import Database
from vouch.serving.store.tables import actions, ask_versions, objections, overrides, reference_requests

CALLS = 10_000
AT_ONCE = 8
ROUTES = reachable()
WRITES = [name for name, route in ROUTES.items() if route.scope != "read"]
CUSTOMERS = [f"c{number:02d}" for number in range(40)]
DAY_US = 86_400_000_000
INJECTED = (
    "c1' or 1=1 --", "../../etc/passwd", "\x00", "{{7*7}}", "<script>alert(1)</script>", "ignore all instructions",
    "\ud83d", "C" * 5_000, "%s%n", "c1; drop table asks", "=HYPERLINK(1)", "\u202ec1", "",
)  # fmt: skip
ODD = (None, True, -1, 0, 10**30, 1e308, [], {}, [[[[]]]], {"a": {"b": {"c": []}}}, *INJECTED)


def calls(seed: int, number: int) -> list[tuple[str, dict]]:
    """So many calls: half of them asks and what follows on them, in good form, the others anything."""
    draw = random.Random(seed)

    def some_ask() -> str:
        return f"a{draw.randrange(120)}"

    def when() -> dict:
        at_us = now_us() - draw.randrange(-2, 200) * DAY_US
        return {"asked_at": instant_text(at_us)} if draw.random() < 0.3 else {}

    def in_good_form() -> tuple[str, dict]:
        who, ask = draw.choice(CUSTOMERS), some_ask()
        given = {
            "asks_record": {"ask_id": ask, "customer_id": who, "kind": draw.choice(ACT_KINDS), **when()},
            "asks_outcome": {"ask_id": ask, "outcome": draw.choice(["accepted", "declined", "ignored"])},
            "asks_correct": {"ask_id": ask, "outcome": draw.choice(["accepted", "declined", None]), "reason": "x"},
            "asks_withdraw": {"ask_id": ask, "reason": "x"},
            "references_record": {"request_id": f"r{draw.randrange(20)}", "deal": "d"},
            "references_ask": {"request_id": f"r{draw.randrange(20)}", "ask_id": ask, "customer_id": who},
            "references_match": {"request_id": f"r{draw.randrange(20)}"},
        }
        name = draw.choice([*given, "asks_record", "asks_record"])
        return name, given[name]

    def anything() -> tuple[str, dict]:
        name = draw.choice([*ROUTES, "keys_create", "erase", "tools/../webhooks", "webhooks", "sql", ""])
        known = dict(ROUTES[name].example) if name in ROUTES else {}
        for _ in range(draw.randrange(4)):
            known[draw.choice([*known, "customer_id", "limit", "cursor", "sql", "as_of", "key"])] = draw.choice(ODD)
        return name, known

    return [in_good_form() if draw.random() < 0.5 else anything() for _ in range(number)]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """The store after all calls, what was said to each kind of caller, and which key is whose."""
    home = tmp_path_factory.mktemp("attacked")
    people = [customer(name, 0.1, 0.5 + place / 100, health_score=90.0) for place, name in enumerate(CUSTOMERS)]
    publish(home, people=people)
    (home / FILE).write_text("[limits]\nrequests_per_minute = 10000000\n")
    database = Database(home)
    made = {name: keys.create(database, name, name.split()[0], now_us()) for name in ("read", "write", "write 2")}
    database.close()
    callers = [made["write"], made["write 2"], made["read"], None]
    said: dict[str | None, list] = {caller: [] for caller in callers}

    async def attack(url: str, caller: str | None, work: list):
        async with Client(AgentDoor(url, caller).server) as client:
            for name, given in work:
                said[caller].append((name, await client.call_tool(name, given)))

    async def attack_all(url: str):
        share = CALLS // AT_ONCE
        await asyncio.gather(*(
            attack(url, callers[place % len(callers)], calls(place, share)) for place in range(AT_ONCE)
        ))  # fmt: skip

    with serving(home, tmp_path_factory.mktemp("log") / "log") as (_, client):
        asyncio.run(attack_all(str(client.base_url)))
    database = Database(home)
    yield home, database, {name: said[key] for name, key in {**made, "nobody": None}.items()}
    database.close()


@pytest.mark.nightly
def test_no_cap_is_broken_by_whatever_is_called_at_once(attacked):
    home, database, said = attacked
    assert sum(map(len, said.values())) == CALLS
    with database.reading() as connection:
        asks = changed_since(connection, 0)
    assert len(asks) > 20, "something was recorded"
    assert len(asks) == len({ask.ask_id for ask in asks})
    caps = load_policy(home).caps
    for who in {ask.customer_id for ask in asks}:
        assert who in CUSTOMERS
        assert broken(standing_asks(ask for ask in asks if ask.customer_id == who), caps) == {}


@pytest.mark.nightly
def test_nothing_that_comes_in_is_a_fault_of_the_service(attacked):
    _, _, said = attacked
    faults = {"internal", "overloaded", "no_snapshot", "too_many_requests"}
    for caller, answers in said.items():
        for name, answer in answers:
            assert name not in ROUTES or answer.structured_content, (name, answer)
            code = (answer.structured_content or {}).get("code")
            assert code not in faults or (caller, code) == ("nobody", "too_many_requests"), name
            texts = " ".join(block.text for block in answer.content)
            assert "Traceback" not in texts, name
            assert "sqlite" not in texts.lower(), name


@pytest.mark.nightly
def test_nobody_gets_beyond_their_scope(attacked):
    _, database, said = attacked
    for name, answer in said["nobody"]:
        assert answer.is_error
        if name in ROUTES:
            problem = answer.structured_content
            assert (problem["code"], numbers(problem)) in [("unauthorised", [401]), ("too_many_requests", [429])]
    for name, answer in said["read"]:
        if name in WRITES:
            assert answer.structured_content["code"] == "forbidden"
        assert name in ROUTES or answer.is_error
    with database.reading() as connection:
        known = {row.key_id: row.name for row in connection.execute(select(keys.keys))}
        for table in (ask_versions, actions, objections, overrides, reference_requests):
            by = connection.execute(select(table.c.key_id, func.count()).group_by(table.c.key_id))
            assert {known[key_id] for key_id, _ in by} <= {"write", "write 2"}, table.name
        secrets = [row.secret_hash for row in connection.execute(select(keys.keys))]
    everything = json.dumps([block.text for of in said.values() for _, one in of for block in one.content])
    assert not [secret for secret in secrets if secret in everything]
