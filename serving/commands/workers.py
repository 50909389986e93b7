"""Processes of the service: one that listens and watches, and workers that answer on its socket.

A worker that dies is replaced. One that cannot start is tried again while another answers; where none does, the service
ends and says so, for whoever started it to see. (The supervisor of uvicorn takes a service down with the first worker
that cannot start, kills workers that are busy for long, and waits for one that does not end without an end.)
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uvicorn.config import STARTUP_FAILURE

from vouch.serving.api.shared import without_name
from vouch.serving.worker import GRACE_SECONDS

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

LOOK_SECONDS = 0.2
SHORT_SECONDS, PAUSE_SECONDS = 5.0, 2.0
"""A worker that lived for less than the one is replaced after the other."""
KILL_SECONDS = GRACE_SECONDS + 5
_log = logging.getLogger("vouch.workers")


@dataclass
class _Place:
    """One worker, or the time of its next start."""

    process: subprocess.Popen[bytes] | None = None
    since: float = 0.0
    """When it started, or is to start."""


class Workers:
    """Workers on one socket, as many as there are places."""

    def __init__(self, listener: socket.socket, number: int, environment: Mapping[str, str]) -> None:
        self._listener, self._environment = listener, environment
        self._numbers = without_name()
        self._places = [_Place() for _ in range(number)]
        self._stop = threading.Event()

    def run(self) -> bool:
        """Keep the workers going until this process is told to stop; return False where none could start."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: self._stop.set())
        try:
            while not self._stop.is_set():
                if not self._look():
                    return False
                self._stop.wait(LOOK_SECONDS)
            return True
        finally:
            self._end()

    def _look(self) -> bool:
        """Replace who has ended; return whether it makes sense to go on."""
        now = time.monotonic()
        for number, place in enumerate(self._places):
            if place.process is None and place.since <= now:
                self._start(number)
            elif place.process is not None and (code := place.process.poll()) is not None:
                pause = PAUSE_SECONDS if now - place.since < SHORT_SECONDS else 0.0
                place.process, place.since = None, now + pause
                if code == STARTUP_FAILURE and not any(other.process for other in self._places):
                    return False
                how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
                _log.warning("a worker %s, and another takes its place", how)
        return True

    def _start(self, number: int) -> None:
        handed = (self._listener.fileno(), self._numbers)
        words = [sys.executable, "-P", "-m", "vouch.serving.worker", *map(str, (*handed, number, os.getpid()))]
        self._places[number].process = subprocess.Popen(
            words, env=self._environment, stdin=subprocess.DEVNULL, pass_fds=handed
        )
        self._places[number].since = time.monotonic()

    def _end(self) -> None:
        """Let nobody connect any more, and wait for those in flight as long as they have."""
        self._listener.close()
        running = [place.process for place in self._places if place.process is not None]
        for process in running:
            process.terminate()
        until = time.monotonic() + KILL_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
