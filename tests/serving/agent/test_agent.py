"""The agent's door, tried with a client of the protocol's own library: it can do what its key can do by the API."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import httpx
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from support.capabilities import free_port
from support.page_home import write_home
from support.searching import numbers
from support.servers.running_service import VOUCH, serving, wait_for
from vouch.features.project import environment
from vouch.serving.agent.server import QUOTED, AgentDoor
from vouch.serving.agent.tools import OUT_OF_REACH, reachable, tools
from vouch.serving.api.doors import API_ROUTES
from vouch.serving.api.state import now_us
from vouch.serving.store import keys
from vouch.serving.store.connection import Database

SCOPES = ("read", "write")
ROUTES = reachable()
READS = [name for name, route in ROUTES.items() if route.scope == "read"]
WRITES = [name for name, route in ROUTES.items() if route.scope != "read"]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A service with a key of each scope: its address, and the keys."""
    home = write_home(tmp_path_factory.mktemp("agent"))
    database = Database(home)
    made = {scope: keys.create(database, f"agent {scope}", scope, now_us()) for scope in SCOPES}
    database.close()
    with serving(home, tmp_path_factory.mktemp("log") / "log") as (_, client):
        yield str(client.base_url), made


def called(url: str, key: str | None, *calls: tuple[str, dict]):
    """What each call of a tool gives, by a client in this process."""

    async def work():
        async with Client(AgentDoor(url, key).server) as client:
            return [await client.call_tool(name, given) for name, given in calls]

    return asyncio.run(work())


def by_api(url: str, key: str, name: str, given: dict) -> httpx.Response:
    return httpx.post(f"{url}{ROUTES[name].path}", json=given, headers={"authorization": f"Bearer {key}"}, timeout=60)


def test_every_route_but_that_for_programs_is_a_tool_with_the_route_s_own_input():
    by_name = {tool.name: tool for tool in tools()}
    assert {route.path for route in API_ROUTES} - {route.path for route in ROUTES.values()} == set(OUT_OF_REACH)
    for name, route in ROUTES.items():
        assert set(by_name[name].input_schema["properties"]) == set(route.takes.model_json_schema()["properties"])


def test_wherever_a_probability_is_told_its_interval_is_told_too():
    for name, route in ROUTES.items():
        schema = route.gives.model_json_schema()
        for record in [schema, *schema.get("$defs", {}).values()]:
            columns = set(record.get("properties", {}))
            told = {column.removesuffix("_probability") for column in columns if column.endswith("_probability")}
            assert {f"{model}_{end}" for model in told for end in ("low", "high")} <= columns, name


def test_annotations_say_what_reads_and_what_takes_back():
    hints = {tool.name: tool.annotations for tool in tools()}
    assert {name for name, hint in hints.items() if hint.read_only_hint} == set(READS)
    assert all(not hints[name].destructive_hint for name in READS)
    assert hints["asks_withdraw"].destructive_hint
    assert not hints["asks_record"].destructive_hint


@pytest.mark.parametrize("name", READS)
def test_a_tool_answers_what_the_api_answers_and_no_other_number(name, service):
    url, made = service
    given = {**ROUTES[name].example, **({"customer_id": "c1"} if "customer_id" in ROUTES[name].example else {})}
    (answer,) = called(url, made["read"], (name, given))
    expected = by_api(url, made["read"], name, given)
    assert answer.is_error == (expected.status_code != 200)
    assert numbers(answer.structured_content) == numbers(expected.json())
    said, body = (block.text for block in answer.content)
    assert said == QUOTED, "what customers wrote stands apart from it"
    assert json.loads(body) == answer.structured_content


@pytest.mark.parametrize("name", WRITES)
def test_a_key_that_reads_cannot_write(name, service):
    url, made = service
    (answer,) = called(url, made["read"], (name, dict(ROUTES[name].example)))
    assert answer.is_error
    assert answer.structured_content["code"] == "forbidden"


def test_without_a_key_nothing_is_told(service):
    url, _ = service
    (answer,) = called(url, None, ("week", {}))
    assert answer.is_error
    assert answer.structured_content["code"] == "unauthorised"


def test_an_ask_is_recorded_within_the_caps_and_once(service):
    url, made = service
    first = {"ask_id": "agent-1", "customer_id": "c2", "kind": "referral"}
    one, again, other = called(
        url,
        made["write"],
        ("asks_record", first),
        ("asks_record", first),
        ("asks_record", {**first, "ask_id": "agent-2"}),
    )
    assert not one.is_error, one.structured_content
    assert one.structured_content["is_new"]
    assert not again.structured_content["is_new"]
    assert other.is_error, "one open at a time"
    assert other.structured_content["code"] == "not_to_be_asked"


def test_half_of_a_character_is_refused_by_the_service(service):
    url, made = service
    (answer,) = called(url, made["read"], ("customers_get", {"customer_id": "\ud83d"}))
    assert answer.structured_content["code"] == "malformed"


ARGUMENTS = st.dictionaries(
    st.one_of(st.sampled_from(["customer_id", "ask_id", "kind", "limit", "cursor", "as_of"]), st.text(max_size=9)),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=40), st.just("c1' or 1=1 --")),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)


@given(calls=st.lists(st.tuples(st.one_of(st.sampled_from(list(ROUTES)), st.text(max_size=12)), ARGUMENTS), max_size=8))
@settings(max_examples=15)
def test_whatever_is_called_is_answered_and_a_key_that_reads_changes_nothing(calls, service):
    url, made = service
    asks = {"state": None, "limit": 100}
    before = by_api(url, made["read"], "asks_search", asks).json()
    for answer in called(url, made["read"], *calls):
        code = (answer.structured_content or {}).get("code")
        assert code not in {"internal", "overloaded"}, "nothing that comes in is a fault of the service"
    assert numbers(by_api(url, made["read"], "asks_search", asks).json()) == numbers(before)


def test_an_agent_that_starts_the_command_is_answered_over_standard_input(service):
    url, made = service

    async def work():
        started = StdioServerParameters(
            command=str(VOUCH), args=["mcp", "--url", url], env=environment(VOUCH_KEY=made["read"])
        )
        async with Client(started) as client:
            assert client.server_info.name == "vouch"
            listed = await client.list_tools()
            return [tool.name for tool in listed.tools], await client.call_tool("customers_get", {"customer_id": "c1"})

    names, answer = asyncio.run(work())
    assert names == list(ROUTES)
    assert answer.structured_content["customer_id"] == "c1"


def test_over_http_each_agent_has_the_key_that_it_brings(service, tmp_path):
    url, made = service
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        words = [VOUCH, "mcp", "--http", "--url", url, "--port", str(port)]
        door = subprocess.Popen(words, env=environment(VOUCH_KEY=made["write"]), stdout=log, stderr=log)

    async def work(key: str | None):
        headers = {"authorization": f"Bearer {key}"} if key else {}
        async with httpx2.AsyncClient(headers=headers) as http:
            connected = streamable_http_client(f"http://127.0.0.1:{port}/mcp", http_client=http)
            async with Client(connected) as client:
                return (await client.call_tool("asks_record", dict(ROUTES["asks_record"].example))).structured_content

    try:
        wait_for(lambda: listens(port), 60)
        assert asyncio.run(work(None))["code"] == "unauthorised", "the key of the process is not lent to who has none"
        assert asyncio.run(work(made["read"]))["code"] == "forbidden"
    finally:
        door.terminate()
        door.wait(30)


def listens(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/", timeout=1)
    except httpx.TransportError:
        return False
    return True


def test_where_the_library_is_missing_the_mend_is_told(tmp_path):
    code = "import sys; sys.modules['mcp'] = None; sys.argv[1:] = ['mcp']; from vouch.serving.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "pip install 'vouch[mcp]'" in done.stderr
    assert "Traceback" not in done.stderr
