"""Bodies of requests, limited in bytes and in time while they arrive, and all that are in memory together.

BentoML and uvicorn limit neither. What is bounded is memory, and not how many there are: a thousand small requests
take less than three of the largest. What a body says of its length is counted before any of it is read, so that whoever
finds no room is told at once, and one caller cannot take the room of all.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vouch.serving.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import Message, Receive, Scope

MAX_BODY_BYTES, MAX_FORM_BYTES = 8 * 2**20, 64 * 2**10
"""What one request may carry; and a form of the page, which may come without a key."""
BODY_SECONDS = 20.0
"""How long the body of a request may take to arrive."""
ALL_BODIES_BYTES, BODIES_OF_ONE_BYTES = 64 * 2**20, 24 * 2**20
"""What all requests of a worker may hold of bodies until they are answered, and those of one caller."""


class BodyRoom:
    """How much room bodies take, in all and by caller."""

    def __init__(self, most: int = ALL_BODIES_BYTES, most_of_one: int = BODIES_OF_ONE_BYTES) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._held: Counter[str] = Counter()
        self._all = 0

    @contextmanager
    def held(self, who: str) -> Iterator[Callable[[int], None]]:
        """Give what takes room for one body, as much as it is called for, until the end; raises `busy` beyond it."""
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if self._all + size > self._most or self._held[who] + size > self._most_of_one:
                raise Problem("busy", "What is being asked takes all the room that there is")
            taken += size
            self._all += size
            self._held[who] += size

        try:
            yield take
        finally:
            self._all -= taken
            self._held[who] -= taken
            if self._held[who] <= 0:
                del self._held[who]


def give_back() -> None:
    """Give the system what a long body has taken: the allocator would keep it, and another thread's beside it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
    if trim is not None:
        trim(0)


async def bounded(scope: Scope, receive: Receive, take: Callable[[int], None], most: int = MAX_BODY_BYTES) -> Receive:
    """Read the whole body, as far as it may be read, and return what gives it and then the end of the connection."""
    body = await _whole_body(scope, receive, take, most)
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed


async def _whole_body(scope: Scope, receive: Receive, take: Callable[[int], None], most: int) -> bytes:
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if not declared.isdigit() or len(declared) > 20 or int(declared) > most:
        raise Problem("too_large", f"A body holds at most {most} bytes")
    room = int(declared)
    take(room)
    chunks, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem("malformed_request", "The body has not come as a whole")
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > most:
                    raise Problem("too_large", f"A body holds at most {most} bytes")
                take(max(0, size - room))
                room = max(room, size)
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError as error:
        raise Problem("too_slow", f"A body has {BODY_SECONDS:.0f} s to arrive") from error
