"""`Turns`: a few threads for heavy requests, which callers get in turn.

Heavy requests have threads of their own, so that pages, asks and probes never wait behind them, and few of them: they
compute, more at a time would not end sooner, and each thread keeps an engine with what it has prepared. Whoever asks
for much waits behind oneself: the next place goes to the caller who has waited the longest for a turn, and within one
caller by order. Beyond what may wait, and for how long, a request is answered with 503 and when to come again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from vouch.serving.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

PLACES, PLACES_FOR_ROWS = 2, 1
"""Heavy requests at a time; and of those with raw rows, which hold the interpreter for long: with two at a time fewer
were done (measured: 13 a second, not 17), and others waited for twice as long."""
MOST_WAITING, WAITING_OF_ONE = 128, 32
WAIT_SECONDS = 10.0
_Result = TypeVar("_Result")


class HeavyWork:
    """What heavy requests are done by: raw rows apart from all others."""

    def __init__(self) -> None:
        self._rows, self._others = Turns(PLACES_FOR_ROWS), Turns(PLACES)

    def line(self, content: bytes) -> Turns:
        """Return where a body waits, told before it is parsed: that may be heavy as well."""
        return self._rows if b'"rows"' in content else self._others


class Turns:
    """Places for heavy work; of one event loop."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """By caller, the next one first."""
        self._threads = ThreadPoolExecutor(places, "vouch-heavy")

    async def run(
        self, who: str, work: Callable[[], _Result], has_gone: Callable[[], Awaitable[bool]] | None = None
    ) -> _Result:
        """Return what the work gives, done on a thread once it is the caller's turn.

        Raises the problem `busy` where too many wait, or it takes too long, and nothing is done for who `has_gone`.
        """
        async with self._turn(who):
            if has_gone is not None and await has_gone():
                raise Problem("busy", "Nobody waits for the answer any more")
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    @asynccontextmanager
    async def _turn(self, who: str) -> AsyncIterator[None]:
        if self._free:
            self._free -= 1
        else:
            await self._wait(who)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, who: str) -> None:
        if self.waiting >= MOST_WAITING or len(self._waiting.get(who, ())) >= WAITING_OF_ONE:
            raise Problem("busy")
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(who, deque()).append(place)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():  # it came in the moment in which nobody waited any more
                self._pass_on()
            else:
                self._forget(who, place)
            if isinstance(error, TimeoutError):
                raise Problem("busy") from error
            raise

    def _forget(self, who: str, place: asyncio.Future[None]) -> None:
        if (line := self._waiting.get(who)) is not None and place in line:
            line.remove(place)
            if not line:
                del self._waiting[who]

    def _pass_on(self) -> None:
        """Give a place that is free to the caller whose turn it is, who then stands behind all others."""
        while self._waiting:
            who, line = self._waiting.popitem(last=False)
            place = line.popleft()
            if line:
                self._waiting[who] = line
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
