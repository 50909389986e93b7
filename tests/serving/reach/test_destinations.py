"""Addresses that vouch calls: of the whole internet by https, or such as an operator has named; never elsewhere."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from support.on_loopback import on_loopback
from vouch.features.errors import ConfigurationError
from vouch.serving.reach.destinations import FILE, checked_address, is_public, load_destinations
from vouch.serving.reach.outbound import Outbound, OutboundError

INSIDE = [
    "https://127.0.0.1/x", "https://localhost/x", "https://[::1]/x", "https://10.1.2.3", "https://192.168.0.1",
    "https://169.254.169.254/latest/meta-data", "https://[::ffff:127.0.0.1]/", "https://[fe80::1]/", "https://0.0.0.0/",
    "https://2130706433/", "https://0x7f000001/", "https://127.1/", "https://100.64.0.1/", "https://[fc00::1]/",
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


@pytest.mark.parametrize(
    "text", ["[salesforce]\nsecret = 1\n", "[other]\n", "allow = 1\n", "[hubspot]\nunknown = 'x'\n"]
)
def test_a_file_that_says_something_else_is_refused_with_its_place(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ConfigurationError, match=FILE):
        load_destinations(tmp_path)
