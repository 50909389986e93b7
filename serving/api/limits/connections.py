"""`BoundedProtocol`: connections of a worker that cost little before there is a request, however they are used.

A protocol class of uvicorn, because nothing above it sees a request before its head is whole: httptools keeps what it
has of a header and copies it at every piece, without an end in bytes, and uvicorn waits for a head without an end in
time. (h11, uvicorn's other parser, bounds bytes and not time, and answers half as many requests a second. A proxy that
bounds both may stand before the service, and need not.)

Bounded are: a head in bytes, lines and seconds; what frames a body, beside the body itself, which is bounded where it
is read; answers that nobody takes; and how many connections wait for a head, in all and by client. Beyond that the one
goes that has waited the longest: who asks at once is answered, whoever else holds connections open. Each worker has
these bounds for itself.
"""

from __future__ import annotations

import contextlib
import logging
import resource
import sys
import time
from collections import Counter, OrderedDict, defaultdict
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast

from uvicorn.config import HTTP_PROTOCOLS
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vouch.serving.api.front import HEADERS
from vouch.serving.api.problems import Problem, answer_of

if TYPE_CHECKING:
    import asyncio
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Collection
    from ipaddress import IPv4Network, IPv6Network

HEAD_BYTES, HEAD_LINES, HEAD_SECONDS = 32 * 2**10, 100, 10.0
"""What the head of a request may hold, and how long it may take to arrive; the first holds for trailers, too."""
FRAMING = 8
"""So many bytes on the wire may come for each of a body: one alone in a chunk takes six."""
STALLED_SECONDS, STALLED_BYTES = 20.0, 2**14
"""A client that takes less than so much of an answer in that time has gone."""
LINGER_SECONDS = 2.0
"""How long what still comes is thrown away before a connection is closed: else who sends would never see the answer."""
MOST_CONNECTIONS, OTHER_FILES = 2_048, 160
"""Connections of a worker, and files that it may open beside them where the system bounds both together."""
SHARE_OF_ONE = 0.5
"""The part of all connections that may wait for one client, unless it is a proxy that is trusted."""
REPORT_SECONDS = 60.0
_log = logging.getLogger("vouch.connections")
_of_uvicorn = logging.getLogger("uvicorn.error.connection")
_of_uvicorn.setLevel(logging.ERROR)  # it would write a line for everything that is no HTTP, as often as somebody likes


def most_connections() -> int:
    """Have as many files open as the system lets this process, and return how many may be connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):  # a system that bounds it otherwise
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = wanted if soft == resource.RLIM_INFINITY else min(soft, wanted)
    return max(most - OTHER_FILES, most // 2)


class _Waiting:
    """Connections that wait for a head, the longest first: those that have asked nothing yet apart from the others."""

    def __init__(self) -> None:
        self._new: OrderedDict[BoundedProtocol, None] = OrderedDict()
        self._idle: OrderedDict[BoundedProtocol, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._new) + len(self._idle)

    def add(self, one: BoundedProtocol) -> None:
        (self._idle if one.has_asked else self._new)[one] = None

    def discard(self, one: BoundedProtocol) -> None:
        self._new.pop(one, None)
        self._idle.pop(one, None)

    def longest(self) -> BoundedProtocol:
        """Return the one to go first: of the larger crowd, so that a flood of one kind costs the other nothing."""
        return next(iter(self._new if len(self._new) >= len(self._idle) else self._idle))


class ConnectionRoom:
    """The connections of one worker that wait for the head of a request, in all and by client."""

    def __init__(self, most: int, trusted: Collection[IPv4Network | IPv6Network] = ()) -> None:
        self.most, self.most_of_one = most, max(1, int(most * SHARE_OF_ONE))
        self._trusted = trusted
        self._waiting = _Waiting()
        self._of: defaultdict[str, _Waiting] = defaultdict(_Waiting)
        self._ended: Counter[str] = Counter()
        self._told_s = time.monotonic() - REPORT_SECONDS

    def enter(self, one: BoundedProtocol) -> None:
        """Count one that waits from now on; where that is one too many of its client, the longest of them goes."""
        self._waiting.add(one)
        self._of[one.address].add(one)
        if len(self._of[one.address]) > self.most_of_one and not self._is_trusted(one.address):
            self._of[one.address].longest().drop("too many of one client")

    def leave(self, one: BoundedProtocol) -> None:
        """Count it no more."""
        self._waiting.discard(one)
        if (of := self._of.get(one.address)) is not None:
            of.discard(one)
            if not len(of):
                del self._of[one.address]

    def make_room(self, newest: BoundedProtocol) -> None:
        """Let the one go that has waited the longest of all, or tell the newest where all others are answered."""
        longest = self._waiting.longest()
        if longest is newest:
            longest.refuse("busy")
        else:
            longest.drop("too many")

    def note(self, why: str) -> None:
        """Count one that was ended; the log tells how many, and not of each."""
        self._ended[why] += 1
        now_s = time.monotonic()
        if now_s - self._told_s >= REPORT_SECONDS:
            counts = ", ".join(f"{number} ({reason})" for reason, number in sorted(self._ended.items()))
            _log.warning("connections were ended since it was told last: %s", counts)
            self._told_s = now_s
            self._ended.clear()

    def _is_trusted(self, address: str) -> bool:
        if not self._trusted or not address:
            return False
        parsed = ip_address(address.partition("%")[0])
        return any(parsed in network for network in self._trusted)


def plain_address(text: str) -> str:
    """Return an address as it is written in settings: of IPv4 as such, though it came to a socket of IPv6.

    >>> plain_address("::ffff:10.0.0.7"), plain_address("2001:db8::1")
    ('10.0.0.7', '2001:db8::1')
    """
    return str(getattr(ip_address(text), "ipv4_mapped", None) or text) if ":" in text and "%" not in text else text


def bound_servers(trusted: Collection[IPv4Network | IPv6Network]) -> None:
    """Have every server of uvicorn that is made in this process from now on bound its connections, in one room."""
    BoundedProtocol.room = ConnectionRoom(most_connections(), trusted)
    HTTP_PROTOCOLS["auto"] = f"{__name__}:{BoundedProtocol.__name__}"


class _HeadTooLarge(Exception):
    """Stops the parser."""


class _Lingering:
    """A transport that is closed when the other end has had time to take the answer, though it is still sending."""

    def __init__(self, transport: asyncio.Transport, has_more: Callable[[], bool], loop: AbstractEventLoop) -> None:
        self._transport, self._has_more, self._loop = transport, has_more, loop
        self._is_closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether nothing is read or answered any more."""
        return self._is_closing or self._transport.is_closing()

    def close(self) -> None:
        """Send no more, and close: at once where nothing more comes."""
        if self.is_closing() or not self._has_more():
            self._transport.close()
            return
        self._is_closing = True
        self._transport.write_eof()
        self._transport.resume_reading()
        self._loop.call_later(LINGER_SECONDS, self._transport.close)


class BoundedProtocol(HttpToolsProtocol):
    """One connection. It waits for a head, or it has a request that is answered, or it is being closed."""

    room: ConnectionRoom

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.logger = _of_uvicorn
        self.address = ""
        """Who is at the other end, as the system tells it."""
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._left_bytes = 0
        self._is_in_head = self._is_in_body = self._is_too_large = False
        self._requests = 0
        self.has_asked = False
        """Whether a whole head has come on it before."""
        self._came_bytes = self._body_bytes = 0
        """Of the head or body that is arriving: what came over the wire, and what of it is body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn too
        """Begin to wait for the first request."""
        lingering = _Lingering(transport, lambda: self._is_in_head or self._is_in_body, self.loop)
        super().connection_made(cast("asyncio.Transport", lingering))
        if self.client:
            self.client = (plain_address(self.client[0]), self.client[1])
        self.address = self.client[0] if self.client else ""
        self._wait()
        self._set_deadline()
        if len(self.connections) > self.room.most:
            self.room.make_room(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Hold nothing of it any more."""
        self.room.leave(self)
        for timer in (self._deadline, self._stalled):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, unless it is more than may be."""
        if self.transport.is_closing():
            return
        before = self._requests if self._is_in_body else None
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._is_in_head if before is None else self._is_in_body and before == self._requests:
            self._came_bytes += len(data)  # no part of it was of another request
            if self._came_bytes > HEAD_BYTES + FRAMING * self._body_bytes:
                self.refuse("headers_too_large")
        if not self._is_asked:
            self._set_deadline()

    @property
    def _is_asked(self) -> bool:
        """Whether a request is being answered."""
        # uvicorn says that there is always one, and there is none at first
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._requests += 1
        self._is_in_head, self._came_bytes, self._body_bytes = True, 0, 0

    def on_headers_complete(self) -> None:
        """Let a request in, unless its head is too large."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > HEAD_BYTES or len(self.headers) > HEAD_LINES:
            self._is_too_large = True
            raise _HeadTooLarge
        self._is_in_head, self._is_in_body, self._came_bytes, self.has_asked = False, True, 0, True
        self.room.leave(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of a body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self._is_in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, or until the answer is taken."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_writing()
        elif not self._is_asked:
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or too large."""
        self.refuse("headers_too_large" if self._is_too_large else "malformed_request")

    def pause_writing(self) -> None:
        """More of an answer waits than the system takes."""
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        """The client takes what waits."""
        super().resume_writing()
        self._left_bytes = sys.maxsize

    def timeout_keep_alive_handler(self) -> None:
        """Nothing has come since the last answer."""
        super().timeout_keep_alive_handler()
        self._watch_writing()

    def drop(self, why: str) -> None:
        """End it at once, for the good of others."""
        self.room.leave(self)
        self.connections.discard(self)
        self.room.note(why)
        self.transport.abort()

    def _wait(self) -> None:
        self.room.enter(self)

    def _set_deadline(self) -> None:
        """Give the next head its time, from the first byte that comes, or from the connection on."""
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _too_slow(self) -> None:
        if self._is_in_head:
            self.refuse("too_slow")
        else:  # nothing was asked: a browser that has connected to be quick, or the rest of a body that nobody reads
            self.room.note("idle")
            self._close()

    def refuse(self, code: str) -> None:
        """Say why, where no answer has begun, and close."""
        self.room.note(code)
        if not self._is_asked:
            answer = answer_of(Problem(code))
            headers = {**HEADERS, **dict(answer.raw_headers), b"connection": b"close"}
            lines = [b"HTTP/1.1 %d %s" % (answer.status_code, HTTPStatus(answer.status_code).phrase.encode())]
            lines += [b"%s: %s" % pair for pair in (*self.server_state.default_headers, *headers.items())]
            self.transport.write(b"\r\n".join([*lines, b"", bytes(answer.body)]))
        self._close()

    def _close(self) -> None:
        self.transport.close()
        self._watch_writing()

    def _watch_writing(self) -> None:
        """See to it that what waits to be sent is taken."""
        if self._stalled is None:
            self._left_bytes = self.transport.get_write_buffer_size()
            self._stalled = self.loop.call_later(STALLED_SECONDS, self._look_at_writing)

    def _look_at_writing(self) -> None:
        self._stalled = None
        left = self.transport.get_write_buffer_size()
        if left and self._left_bytes - left < STALLED_BYTES:
            self.drop("stalled")
        elif left or self.transport.is_closing():
            self._watch_writing()
