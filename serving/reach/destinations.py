"""Destinations: where vouch may send to, as an operator has written it into the home, and nobody over HTTP.

An address is https, or one of a host that the operator allows by name; a host in a private network, on this machine or
on the link is refused unless it is allowed by name, and what was checked is what is connected to. Redirects are not
followed. Secrets are named in the file and stand in the environment.
"""

from __future__ import annotations

import ipaddress
import socket
from importlib import resources
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pydantic import Field

from vouch.features.company_files import Section, read_settings
from vouch.features.errors import ConfigurationError
from vouch.features.project import environment
from vouch.serving.reach.messages.settings import Chat, Mail, Webhook

if TYPE_CHECKING:
    from pathlib import Path

FILE = "destinations.toml"
FIELD = r"^[A-Za-z0-9_.]{0,120}$"
UNICAST, TRANSLATED = ipaddress.IPv6Network("2000::/3"), ipaddress.IPv6Network("64:ff9b::/96")
"""All of IPv6 that is routed (RFC 4291), and what a NAT64 makes an address of IPv4 of (RFC 6052)."""
Calls = Field(50, ge=1, le=1_000)


class Returns(Section):
    """Fields of the CRM in which its people record what comes back; empty for those that are not used."""

    ask_id: str = Field(default="", pattern=FIELD)
    outcome: str = Field(default="", pattern=FIELD)
    objection: str = Field(default="", pattern=FIELD)
    contact_consent: str = Field(default="", pattern=FIELD)
    advocacy_consent: str = Field(default="", pattern=FIELD)
    owner: str = Field(default="", pattern=FIELD)
    owner_email: str = Field(default="", pattern=FIELD)


class Salesforce(Section):
    """A Salesforce organisation, and the connected app that vouch is there."""

    url: str = ""
    object: str = Field("Account", pattern=r"^[A-Za-z][A-Za-z0-9_]{0,79}$")
    client_id: str = ""
    client_secret: str = ""
    calls_in_10_seconds: int = Calls
    returns: Returns = Returns()


class HubSpot(Section):
    """A HubSpot portal, and the private app that vouch is there."""

    url: str = ""
    object: str = Field("companies", pattern=r"^[a-z0-9_-]{1,80}$")
    token: str = ""
    unknown: Literal["leave", "create"] = "leave"
    calls_in_10_seconds: int = Calls
    returns: Returns = Returns()


class Destinations(Section):
    """All that vouch may send to."""

    allow: tuple[str, ...] = Field((), strict=False)
    salesforce: Salesforce
    hubspot: HubSpot
    webhooks: tuple[Webhook, ...] = Field(default=(), strict=False)
    chats: tuple[Chat, ...] = Field(default=(), strict=False)
    email: Mail


def load_destinations(home: Path) -> Destinations:
    """Return the destinations of a home; raises ConfigurationError where the company's file is wrong."""
    shipped = resources.files("vouch.serving.reach").joinpath(FILE)
    return read_settings(Destinations, shipped, home / FILE)


def checked_address(url: str, allow: tuple[str, ...]) -> tuple[str, int, str]:
    """Return host, port and the one network address that an URL may be called at.

    Raises ConfigurationError, without the URL, where it is none, no https, or leads where nothing is to be called.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise ConfigurationError(f"{FILE}: an address is no URL") from None
    is_allowed = host in allow
    if not host or parts.username or parts.password or parts.scheme not in ("https", "http"):
        raise ConfigurationError(f"{FILE}: an address must be https://HOST/..., without a user or a password")
    if parts.scheme == "http" and not is_allowed:
        raise ConfigurationError(f"{FILE}: {host} is called by https alone, unless `allow` names it")
    try:
        addresses = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, ValueError) as error:  # a label that no name may have is a ValueError
        raise Unreachable(host) from error
    for address in addresses:
        if not is_allowed and not is_public(address):
            raise ConfigurationError(
                f"{FILE}: {host} lies in a private network or on this machine: `allow` names it not"
            )
    return host, port, addresses[0]


def is_public(address: str) -> bool:
    """Whether a network address is one of the whole internet, however it is written.

    >>> [is_public(one) for one in ("93.184.216.34", "10.0.0.1", "127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1")]
    [True, False, False, False, False]
    >>> [is_public(one) for one in ("2606:4700::1", "64:ff9b::5db8:d822", "64:ff9b::a00:1", "::a00:1", "fec0::1")]
    [True, True, False, False, False]
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed in TRANSLATED:
            return is_public(str(ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)))
        if parsed.ipv4_mapped is not None:
            return is_public(str(parsed.ipv4_mapped))
        return parsed in UNICAST and parsed.sixtofour is None and parsed.is_global
    return parsed.is_global and not parsed.is_multicast


def secret_of(variable: str) -> str:
    """Return a secret that stands in the environment; raises ConfigurationError where it does not."""
    value = environment().get(variable, "")
    if not value:
        raise ConfigurationError(f"The environment has no {variable or 'variable with the secret'}: set it, run again")
    return value


class Unreachable(ConfigurationError):
    """A host has no address now; it may have one later."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} has no address: mind its name in {FILE}, and the network")
