"""Addresses that vouch calls: of the whole internet by https, or such as an operator has named; never elsewhere."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from support.servers.on_loopback import on_loopback
from vouch.features.errors import ConfigurationError
from vouch.serving.reach.destinations import FILE, checked_address, is_public, load_destinations
from vouch.serving.reach.outbound import Outbound, OutboundError

INSIDE = [
    "https://127.0.0.1/x", "https://localhost/x", "https://[::1]/x", "https://10.1.2.3", "https://192.168.0.1",
    "https://169.254.169.254/latest/meta-data", "https://[::ffff:127.0.0.1]/", "https://[fe80::1]/", "https://0.0.0.0/",
    "https://2130706433/", "https://0x7f000001/", "https://127.1/", "https://100.64.0.1/", "https://[fc00::1]/",
    "https://[fec0::1]/", "https://[::127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/",
    "https://a..b/", f"https://{'a' * 64}.example/",
]  # fmt: skip
ODD = ["", "ftp://93.184.216.34", "file:///etc/passwd", "https://", "//x", "https://user:hunter2@93.184.216.34/", "https://[",
       "http://93.184.216.34/", "gopher://x", "https://93.184.216.34:99999/"]  # fmt: skip


@pytest.mark.parametrize("url", INSIDE + ODD)
def test_nothing_inside_and_nothing_odd_is_called(url):
    with pytest.raises(ConfigurationError) as error:
        checked_address(url, ())
    assert "hunter2" not in str(error.value)


@given(st.ip_addresses())
def test_no_address_of_a_network_of_its_own_is_public(address):
    inside = not address.is_global or address.is_private or address.is_loopback or address.is_link_local
    assert not (inside and is_public(str(address)))
    if address.version == 4:
        assert is_public(f"::ffff:{address}") <= is_public(str(address))


@given(st.ip_addresses(v=4))
def test_an_address_inside_is_none_of_the_internet_however_it_is_wrapped(address):
    wrapped = (
        f"::ffff:{address}",
        f"::{address}",
        f"64:ff9b::{address}",
        f"2002:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}::",
    )
    assert not any(is_public(one) for one in wrapped) or is_public(str(address))


def test_the_operator_names_what_may_lie_inside_and_nothing_else_is_let_in():
    assert checked_address("http://127.0.0.1:8080/x", ("127.0.0.1",)) == ("127.0.0.1", 8080, "127.0.0.1")
    with pytest.raises(ConfigurationError):
        checked_address("http://127.0.0.2:8080/x", ("127.0.0.1",))


def test_a_name_that_leads_inside_is_refused_each_time_and_what_was_checked_is_what_is_called(monkeypatch):
    found = iter([["93.184.216.34", "10.0.0.1"], ["10.0.0.1"], ["93.184.216.34"]])

    def resolve(host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in next(found)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="private"):
            checked_address("https://crm.example/x", ())
    with Outbound("https://crm.example/x", ()) as outbound:
        url, host, name = outbound._pinned("/y")
    assert (url, host, name) == ("https://93.184.216.34:443/x/y", "crm.example", "crm.example")
    assert ipaddress.ip_address("93.184.216.34").is_global


def test_a_host_of_ipv6_is_called_and_named_in_brackets():
    with Outbound("https://[2606:4700::1]:8443/x", ()) as outbound:
        url, host, name = outbound._pinned("/y")
    assert (url, host, name) == ("https://[2606:4700::1]:8443/x/y", "[2606:4700::1]:8443", "2606:4700::1")


def test_a_redirect_is_no_answer_and_is_not_followed():
    reached = []
    routes = [
        Route("/a", lambda _: RedirectResponse("/b"), methods=["POST"]),
        Route("/b", lambda _: reached.append(1) or Response("ok"), methods=["POST", "GET"]),
    ]
    with (
        on_loopback(Starlette(routes=routes)) as url,
        Outbound(url, ("127.0.0.1",)) as outbound,
        pytest.raises(OutboundError, match="307"),
    ):
        outbound.call("POST", "/a", document={})
    assert reached == []


ODD_WAITS = ["\xb2", "-1", "nan", "1e9", "9" * 400, "Mon, 16 Nov 9999 23:59:59 -2359", "soon", ""]


@pytest.mark.parametrize("wait", ODD_WAITS)
def test_whatever_a_server_asks_for_or_answers_ends_in_one_message(wait):
    answers = {
        "/wait": Response(status_code=503, headers={"retry-after": wait, "date": "Mon, 16 Nov 2026 00:00:00 GMT"}),
        "/deep": Response("[" * 100_000),
        "/list": Response("[]"),
    }
    routes = [Route(path, lambda request: answers[request.url.path]) for path in answers]
    with (
        on_loopback(Starlette(routes=routes)) as url,
        Outbound(url, ("127.0.0.1",), sleep=lambda _: None, tries=2) as outbound,
    ):
        for path in answers:
            with pytest.raises(OutboundError):
                outbound.call("GET", path).document()


def test_an_answer_that_does_not_end_is_left_at_the_limits_of_bytes_and_time(monkeypatch):
    async def endless():
        while True:
            yield b"x" * 1_000
            await asyncio.sleep(0.001)  # it ends with the connection

    async def answer(_):
        return StreamingResponse(endless())

    with on_loopback(Starlette(routes=[Route("/", answer)])) as url:
        with Outbound(url, ("127.0.0.1",), is_read=False) as outbound:
            assert outbound.call("GET", "/").content == b"", "what nobody needs is not read"
        for limit in ("MOST_BYTES", "MOST_SECONDS"):
            with monkeypatch.context() as patch, Outbound(url, ("127.0.0.1",)) as outbound:
                patch.setattr(f"vouch.serving.reach.outbound.{limit}", 0.2)
                with pytest.raises(OutboundError, match="more than can be meant"):
                    outbound.call("GET", "/")


@pytest.mark.parametrize(
    "text", ["[salesforce]\nsecret = 1\n", "[other]\n", "allow = 1\n", "[hubspot]\nunknown = 'x'\n"]
)
def test_a_file_that_says_something_else_is_refused_with_its_place(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ConfigurationError, match=FILE):
        load_destinations(tmp_path)
