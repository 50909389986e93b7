"""The service as a process of its own, started as `vouch serve` starts it."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import httpx

from support.capabilities import free_port
from vouch.features.project import environment
from vouch.serving.commands.serve import SETTINGS, command


@contextmanager
def serving(home: Path, log: Path, port: int | None = None, **settings: str):
    """A server on a port of its own; gives its process and a client."""
    port = port or free_port()
    settings = {**environment(**SETTINGS), "VOUCH_HOME": str(home), "VOUCH_LOCAL": "1", **settings}
    with log.open("wb") as output:
        process = subprocess.Popen(command("127.0.0.1", port), env=settings, stdout=output, stderr=output)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        try:
            wait_for(lambda: is_up(client), 120)
            yield process, client
        finally:
            process.terminate()
            assert process.wait(40) in {0, -signal.SIGKILL}, "it stops when it is asked to"


def is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").status_code == 200
    except httpx.TransportError:
        return False


def wait_for(condition, seconds: float) -> None:
    until = time.monotonic() + 4 * seconds  # a busy machine is no fault of the service
    while not condition():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.1)
