"""Looks that are taken again and again on a thread of their own, which goes on whatever a look raises.

Each tells when it last went well, so that a look that fails or hangs is seen by whoever asks how the service does.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING

from vouch.features.errors import StoreError, VouchError
from vouch.serving.api.problems import where

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WATCH_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 30.0
"""How long a look that fails again and again is left at most before the next try: it may be costly."""
_log = logging.getLogger("vouch.serving")


class Look:
    """One look. What it raises is told once, without values, and kept until it goes well again."""

    def __init__(self, at: str, do: Callable[[], None]) -> None:
        self.at, self._do = at, do
        self.trouble: str | None = None
        """Why the last one failed; None where it went well."""
        self.is_of_store = False
        """Whether it failed because the store does not answer."""
        self._well_s: float | None = None
        self._failures, self._next_s = 0, 0.0

    def take(self) -> None:
        """Look now; never raises what the look raises."""
        try:
            self._do()
        except Exception as error:
            self._wait(error)
            self._tell(error)
        else:
            self._failures, self._next_s = 0, 0.0
            self.trouble, self.is_of_store = None, False
            self._well_s = time.monotonic()

    def take_if_due(self) -> None:
        """Look, unless the last ones have failed and it is too early to try again."""
        if time.monotonic() >= self._next_s:
            self.take()

    @property
    def age_s(self) -> float | None:
        """Seconds since it went well, None where it never did."""
        return None if self._well_s is None else time.monotonic() - self._well_s

    def _wait(self, error: Exception) -> None:
        """Leave it for longer each time, but for a store or a disk that is away: to ask that again costs little."""
        self._failures = 0 if isinstance(error, StoreError | OSError) else min(self._failures + 1, 10)
        wait_s = min(WATCH_SECONDS * 2**self._failures, LONGEST_WAIT_SECONDS) if self._failures else 0.0
        self._next_s = time.monotonic() + wait_s

    def _tell(self, error: Exception) -> None:
        message = str(error) if isinstance(error, VouchError) else where(error)
        if message != self.trouble:
            _log.error("cannot look at %s: %s", self.at, message)
        self.trouble, self.is_of_store = message, isinstance(error, StoreError)


class Watch:
    """A thread that takes looks every second until it is stopped."""

    def __init__(self, name: str, looks: Sequence[Look]) -> None:
        self._name, self._looks = name, looks
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def stop(self) -> None:
        """End after the look that is being taken."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(WATCH_SECONDS):
            for look in self._looks:
                with contextlib.suppress(Exception):  # even telling may fail, where there is no memory
                    look.take_if_due()
