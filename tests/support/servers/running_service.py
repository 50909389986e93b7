"""The service as a process of its own, started as `vouch serve` starts it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx

from support.capabilities import free_port
from vouch.features.project import environment

VOUCH = Path(sys.executable).with_name("vouch")


@contextmanager
def serving(
    home: Path, log: Path, port: int | None = None, workers: int = 1, files: int | None = None, **settings: str
):
    """A server on a port of its own, which may open so many files; gives its process and a client."""
    port = port or free_port()
    words = [VOUCH, "serve", "--port", str(port), "--workers", str(workers)]
    words = words if files is None else ["prlimit", f"--nofile={files}:{files}", *words]
    with log.open("wb") as output:
        process = subprocess.Popen(
            words, env=environment(**{**settings, "VOUCH_HOME": str(home)}), stdout=output, stderr=output
        )
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


def begin(port: int, key: str) -> tuple[socket.socket, bytes]:
    """A request that the service has begun to read, of which the last byte is still to come."""
    body = json.dumps({"limit": 3}).encode()
    head = (
        f"POST /v1/advocates/search HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        "connection: close\r\nexpect: 100-continue\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", port), 30)
    connection.sendall(head.encode())
    assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"  # it waits for the body
    connection.sendall(body[:-1])
    return connection, body[-1:]


def whole(connection: socket.socket) -> bytes:
    chunks = []
    while chunk := connection.recv(65_536):
        chunks.append(chunk)
    return b"".join(chunks)


def assert_answered(flying: list[tuple[socket.socket, bytes]]) -> None:
    """Send the last byte of requests that had begun, and see each answered."""
    for connection, last in flying:
        connection.sendall(last)
    answers = [whole(connection) for connection, _ in flying]
    for connection, _ in flying:
        connection.close()
    assert all(answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"}") for answer in answers)


def answers_more(client: httpx.Client) -> bool:
    """Whether somebody who comes now is answered."""
    try:
        return httpx.get(client.base_url.join("/livez"), timeout=1).status_code == 200
    except httpx.TransportError:
        return False
