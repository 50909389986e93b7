"""Clients that mean harm: raw sockets to a port of this machine, each of them bounded in time.

`python -m support.load.hostile PORT KEY SECONDS` is all of them at once, again and again for so long: as a process of
its own it keeps nobody waiting but the service. It prints how often each status came.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache

import httpx

HALF = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx-"
RAW_ROWS = {"rows": {"customers": [{"customer_id": "a", "created_at": "2020-01-01"}]}, "as_of": "2026-01-01"}
JSON = {"content-type": "application/json"}


@contextmanager
def half_open(port: int, number: int) -> Iterator[list[socket.socket]]:
    """So many connections with half a head each; gives those that were taken."""
    with ExitStack() as stack:
        found = []
        for _ in range(number):
            with contextlib.suppress(OSError):
                found.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), 10)))
                found[-1].sendall(HALF)
        yield found


def is_open(connection: socket.socket) -> bool:
    """Whether the other end holds it open, and has said nothing."""
    connection.setblocking(False)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK)) and False
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        connection.setblocking(True)


def told(port: int, *parts: bytes, every_s: float = 0.0, for_s: float = 60.0) -> tuple[bytes, float]:
    """Send parts one after another, the last one again and again; return what came back, and when it ended."""
    start, came = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.settimeout(max(every_s, 0.001))
        waiting = list(parts)
        while time.monotonic() < start + for_s:
            try:
                if waiting:
                    connection.sendall(waiting[0] if len(waiting) == 1 else waiting.pop(0))
                chunk = connection.recv(65_536)
            except TimeoutError:
                continue
            except OSError:
                break
            if not chunk:
                break
            came += chunk
    return came, time.monotonic() - start


def large_header(port: int, mebibytes: int) -> bytes:
    """Send one header of so much; return what came back."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(HALF)
            for _ in range(mebibytes * 16):
                connection.sendall(b"a" * 65_536)
        with contextlib.suppress(OSError):
            return connection.recv(65_536)
    return b""


def many_scores(
    address: str, key: str, number: int, body: object = RAW_ROWS, *hooks: Callable[[httpx.Response], None]
) -> tuple[Counter[int], list[httpx.Response]]:
    """So many heavy requests at once, each over a connection of its own; return the statuses, and the answers.

    Hooks see each answer as it comes.
    """
    content, headers = json.dumps(body).encode(), {"authorization": f"Bearer {key}", "connection": "close", **JSON}
    limits, hooked = httpx.Limits(max_connections=number), {"response": list(hooks)}
    with (
        httpx.Client(base_url=address, headers=headers, limits=limits, timeout=120, event_hooks=hooked) as client,
        ThreadPoolExecutor(number) as threads,
    ):
        answers = list(threads.map(lambda _: client.post("/v1/score", content=content), range(number)))
    return Counter(answer.status_code for answer in answers), answers


@cache
def large_rows(feedback: int = 19_000, words: int = 300) -> dict[str, object]:
    """Raw rows about as large as a request may be."""
    people = [{"customer_id": f"a{number}", "created_at": "2020-01-01"} for number in range(50)]
    text = ("great support but the price is terrible " * 10)[:words]
    given = [
        {
            "feedback_id": f"f{number}", "customer_id": f"a{number % 50}",
            "occurred_at": f"2025-12-{number % 28 + 1:02d}", "ingested_at": "2025-12-29", "source": "review",
            "text": text,
        }
        for number in range(feedback)
    ]  # fmt: skip
    return {"rows": {"customers": people, "feedback": given}, "as_of": "2026-01-01"}


def empty_searches(client: httpx.Client, number: int, of: str) -> None:
    """Searches that find nobody, each with other names."""
    for place in range(number):
        names = [f"{of} {place} {other} nobody is called so" for other in range(40)]
        assert client.post("/v1/advocates/search", json={"segment": names}).status_code == 200


class Attack:
    """All of them at once, until the time has come."""

    def __init__(self, port: int, key: str, seconds: float) -> None:
        self.port, self.key, self.until = port, key, time.monotonic() + seconds
        self.address, self.seen = f"http://127.0.0.1:{port}", Counter()
        self._lock = threading.Lock()

    def note(self, what: str, status: int | None = None) -> None:
        with self._lock:
            self.seen[what if status is None else f"{what} {status}"] += 1

    def slow_heads(self) -> None:
        told(self.port, HALF, b"a", every_s=1.0, for_s=15)
        self.note("slow heads")

    def half_open(self) -> None:
        with half_open(self.port, 1_100) as connections:
            time.sleep(5)
        self.note("half-open connections", len(connections))

    def large_headers(self) -> None:
        answer = large_header(self.port, 50)
        self.note("large headers", int(answer.split(b" ", 2)[1]) if answer else 0)
        time.sleep(2)

    def scores(self) -> None:
        self._scores("raw rows", 20, RAW_ROWS)

    def large_bodies(self) -> None:
        self._scores("large bodies", 4, large_rows(words=100))
        time.sleep(10)

    def searches(self) -> None:
        with httpx.Client(
            base_url=self.address, headers={"authorization": f"Bearer {self.key}"}, timeout=120
        ) as client:
            for _ in range(20):
                empty_searches(client, 1, f"{time.monotonic_ns()}")
                self.note("empty searches")
                time.sleep(0.05)

    def _scores(self, what: str, number: int, body: object) -> None:
        for status, times in many_scores(self.address, self.key, number, body)[0].items():
            with self._lock:
                self.seen[f"{what} {status}"] += times
        time.sleep(0.5)

    def run(self) -> Counter[str]:
        """Attack in every way; return what came of it."""
        ways = [
            *[self.slow_heads] * 20,
            self.half_open,
            self.large_headers,
            self.scores,
            self.large_bodies,
            self.searches,
        ]

        def again(way) -> None:
            while time.monotonic() < self.until:
                try:
                    way()
                except (OSError, httpx.TransportError) as error:
                    self.note(f"{way.__name__}: {type(error).__name__}")

        with ThreadPoolExecutor(len(ways)) as threads:
            list(threads.map(again, ways))
        return self.seen


if __name__ == "__main__":
    print(json.dumps(Attack(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])).run()))
