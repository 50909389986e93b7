"""Counters that the workers of one service share: hits of each key, response times, how often was recorded.

They lie in memory behind a file that has no name, which is made before the workers and handed to each: nobody else
reaches it, it goes with the last of them, and what a worker has counted stays when another takes its place.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import tempfile
import threading
from typing import TYPE_CHECKING

import psutil
from limits.storage import MemoryStorage

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 2**20
"""Bytes; what is not written takes no memory."""
MOST_WORKERS = 64
KEYS, TRIES = 2**15, 8
"""How many keys and addresses are counted apart within two windows, and in how many places one may stand."""


def without_name() -> int:
    """Return the descriptor of a new file that nobody else can open."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("vouch")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class SharedNumbers:
    """Numbers of all workers, or of one process where no descriptor is given.

    Each part is taken in the same order by every worker. Within `with` no other worker writes; the system lets go of
    the lock of one that dies.
    """

    def __init__(self, descriptor: int | None = None, place: int = 0) -> None:
        self.descriptor = without_name() if descriptor is None else descriptor
        os.ftruncate(self.descriptor, SIZE)
        self._numbers = memoryview(mmap.mmap(self.descriptor, SIZE)).cast("d")
        self._taken, self._thread, self._place = 0, threading.Lock(), place
        self._pids = self.take(MOST_WORKERS)
        self._recorded = self.take(1)

    def take(self, number: int) -> memoryview[float]:
        """Return so many numbers that no other part holds, 0 until somebody writes them."""
        part = self._numbers[self._taken : self._taken + number]
        if len(part) < number:
            raise ValueError(f"{number} numbers more are too many: make SIZE larger")
        self._taken += number
        return part

    def __enter__(self) -> None:
        self._thread.acquire()
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.lockf(self.descriptor, fcntl.LOCK_UN)
        self._thread.release()

    def note_ready(self) -> None:
        """Tell that this worker answers from now on."""
        self._pids[self._place] = os.getpid()

    @property
    def pids(self) -> list[int]:
        """The processes of the workers that answer."""
        return [int(pid) for pid in self._pids if pid and _lives(int(pid))]

    @property
    def recorded(self) -> int:
        """How often any worker has recorded something that others keep in memory."""
        return int(self._recorded[0])

    def note_recorded(self) -> None:
        """Tell the other workers that something was recorded."""
        with self:
            self._recorded[0] += 1


def _lives(pid: int) -> bool:
    """Whether a process runs: one that has ended, and that its parent has not yet looked after, does not."""
    try:
        return psutil.Process(pid).status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.Error:
        return False


class SharedHits(MemoryStorage):
    """Where `limits` counts hits by key and window: among all workers.

    A hit stands in one of a few places that follow from the key; where others hold them all it takes that of the window
    that ends first, so that however many addresses come, memory stays as it is.
    """

    def __init__(self, numbers: SharedNumbers, now: Callable[[], int]) -> None:
        super().__init__()
        self._numbers, self._now = numbers, now
        self._names, self._ends, self._hits = (numbers.take(KEYS) for _ in range(3))

    def get(self, key: str) -> int:
        """Return the hits of a key in a window."""
        name, places = _places(key)
        return int(sum(self._hits[place] for place in places if self._stands(place, name)))

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count hits, of a window that ends so many seconds after its first; return how many there are."""
        name, places = _places(key)
        with self._numbers:
            place = next((place for place in places if self._stands(place, name)), None)
            if place is None:
                place = min(places, key=self._ends.__getitem__)
                self._names[place], self._ends[place], self._hits[place] = name, self._now() / 1e6 + expiry, 0
            self._hits[place] += amount
            return int(self._hits[place])

    def decr(self, key: str, amount: int = 1) -> int:
        """Take hits back; return how many there are."""
        return self.incr(key, 0, -amount)

    def _stands(self, place: int, name: float) -> bool:
        return self._names[place] == name and self._ends[place] > self._now() / 1e6


def _places(key: str) -> tuple[float, list[int]]:
    """How a key is told from others (52 bits, which a float holds), and where it may stand."""
    digest = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest())
    return float((digest >> 12) + 1), [(digest + step) % KEYS for step in range(TRIES)]
