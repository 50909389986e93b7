"""Outbound calls: one client for everything that vouch sends, which waits, tries again, and tells no secret.

What a server cannot take now (429, 503, a broken connection) is tried again, as long as it asks to (`Retry-After`) or
with growing pauses; calls are paced below the limit that its makers publish. Answers are read up to a limit of bytes
and of time, or not at all where they say nothing that is needed.
"""

from __future__ import annotations

import email.utils
import json
import random
import time
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from vouch.features.errors import ConfigurationError, VouchError
from vouch.serving.reach.destinations import FILE, checked_address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TRIES = 6
LONGEST_WAIT, FIRST_WAIT = 120.0, 0.5
"""Seconds: the longest that a server may ask for before the work is left for later, and the first pause."""
TIMEOUT = httpx.Timeout(60, connect=10)
MOST_BYTES, MOST_SECONDS = 200 * 2**20, 900.0
"""Of one answer; a server that sends a byte now and then would else hold a run for good."""
LATER = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which the same call may succeed."""


class OutboundError(VouchError):
    """Another system could not be called, or answered otherwise than it should."""

    code = "outbound"

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class NoAnswer(OutboundError):
    """Another system said nothing at all: whatever else it is sent now would wait as long."""


@dataclass(frozen=True)
class ServerAnswer:
    """What a server answered."""

    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is one of 2xx."""
        return 200 <= self.status < 300

    def document(self) -> dict[str, Any]:
        """Return the JSON object that it is; raises OutboundError where it is none."""
        try:
            document = json.loads(self.content)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise OutboundError("The server answered with something else than a JSON object", self.status)
        return document


class Outbound:
    """A client of one system. `sleep` is replaced in tests; what is answered is read where `is_read`."""

    def __init__(
        self,
        url: str,
        allow: tuple[str, ...],
        calls_in_10_seconds: int | None = None,
        sleep: Callable[[float], None] = time.sleep,
        tries: int = TRIES,
        is_read: bool = True,
    ) -> None:
        self._url, self._allow, self.sleep, self._tries, self._is_read = url.rstrip("/"), allow, sleep, tries, is_read
        self._pause = 0.0 if calls_in_10_seconds is None else 10 / calls_in_10_seconds
        self._next = 0.0
        self._client = httpx.Client(follow_redirects=False, trust_env=False, timeout=TIMEOUT)
        self.headers: dict[str, str] = {}
        """Sent with every call: how it says who it is."""

    def __enter__(self) -> Outbound:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def call(
        self,
        method: str,
        path: str = "",
        *,
        content: bytes | None = None,
        document: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        also: tuple[int, ...] = (),
    ) -> ServerAnswer:
        """Return an answer of 2xx, or of a status in `also`; raises OutboundError for any other."""
        body = json.dumps(document).encode() if document is not None else content
        given = {**self.headers, **(headers or {})}
        if document is not None:
            given["content-type"] = "application/json"
        for left in reversed(range(self._tries)):
            answer = self._once(method, path, body, form, given, left)
            if answer is not None and (answer.is_success or answer.status in also):
                return answer
            if answer is not None and (answer.status not in LATER or not left):
                host = urlsplit(self._url).hostname
                raise OutboundError(f"{host} answered {answer.status} to {method} {path}", answer.status)
            wait_s = _asked_for(answer) if answer is not None else None
            if wait_s is not None and wait_s > LONGEST_WAIT:
                raise OutboundError(f"The server asks to be called again in {wait_s:.0f} s: run this later", 429)
            grown = FIRST_WAIT * 2 ** (self._tries - 1 - left)
            self.sleep(wait_s if wait_s is not None else grown * random.uniform(0.5, 1))
        raise AssertionError("the last try ends above")

    def _once(
        self, method: str, path: str, body: bytes | None, form: Any, headers: Mapping[str, str], left: int
    ) -> ServerAnswer | None:
        """One try; None where the connection broke and there are tries left."""
        self._keep_pace()
        url, host, name = self._pinned(path)
        sent = {**headers, "host": host}
        try:
            request = self._client.build_request(method, url, content=body, data=form, headers=sent)
            request.extensions = {**request.extensions, "sni_hostname": name}
            answer = self._client.send(request, stream=True)
            try:
                content = _read(answer) if self._is_read else b""
                return ServerAnswer(answer.status_code, answer.headers, content)
            finally:
                answer.close()
        except httpx.InvalidURL:
            raise ConfigurationError(f"{FILE}: an address of {name} is no URL") from None
        except httpx.HTTPError as error:
            if left:
                return None
            raise NoAnswer(f"{name} does not answer ({type(error).__name__})") from None

    def _pinned(self, path: str) -> tuple[str, str, str]:
        """The address to connect to, which is the one that was checked, and the host as it is named."""
        parts = urlsplit(f"{self._url}{path}")
        name, port, address = checked_address(self._url, self._allow)
        host = _bracketed(name) if parts.port is None else f"{_bracketed(name)}:{parts.port}"
        return urlunsplit((parts.scheme, f"{_bracketed(address)}:{port}", parts.path, parts.query, "")), host, name

    def _keep_pace(self) -> None:
        now = time.monotonic()
        if self._next > now:
            self.sleep(self._next - now)
        self._next = max(self._next, now) + self._pause


def _bracketed(host: str) -> str:
    """A host as addresses have it: one of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def _read(answer: httpx.Response) -> bytes:
    """Read a whole answer, up to the limit."""
    content, until = bytearray(), time.monotonic() + MOST_SECONDS
    for part in answer.iter_bytes():
        content += part
        if len(content) > MOST_BYTES or time.monotonic() > until:
            raise OutboundError("The server answers more than can be meant", answer.status_code)
    return bytes(content)


def _asked_for(answer: ServerAnswer) -> float | None:
    """Seconds that a server asks to wait, by `Retry-After`: a number, or a date."""
    given = answer.headers.get("retry-after", "").strip()
    if given.isascii() and given.isdigit():
        return float(given)
    try:
        until = email.utils.parsedate_to_datetime(given)
        sent = email.utils.parsedate_to_datetime(answer.headers.get("date", ""))
        return max((until.astimezone(UTC) - sent.astimezone(UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError, OverflowError):
        return None
