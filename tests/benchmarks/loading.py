"""Load on a service: wrk for the rate that it can take, an open loop for how long answers take at a given rate."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from measuring import ROOT

SCRIPT = """
local bodies, n = {}, 0
for line in io.lines(os.getenv("BODIES")) do n = n + 1; bodies[n] = line end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = os.getenv("BEARER")
local at = 0
request = function() at = at % n + 1; return wrk.format(nil, nil, nil, bodies[at]) end
done = function(s)
  local e = s.errors
  io.write(string.format("errors %d\\n", e.status + e.connect + e.read + e.timeout))
end
"""


@contextmanager
def server(command: Sequence[str], port: int, log: Path, **settings: str) -> Iterator[str]:
    """A server as a process of its own, up; gives its address."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}/tests/benchmarks/peers", **settings}
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=environment, cwd=ROOT, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, process)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # what it started, too
        process.wait(60)


def _wait(address: str, process: subprocess.Popen) -> None:
    until = time.monotonic() + 240
    while time.monotonic() < until:
        assert process.poll() is None, "the server ended; see its log"
        for path in ("/livez", "/ping"):
            try:
                if httpx.get(address + path).status_code == 200:
                    return
            except httpx.TransportError:
                break
        time.sleep(0.3)
    raise RuntimeError(f"{address} did not come up")


def rate(address: str, path: str, bodies: Sequence[dict], key: str, folder: Path, seconds: int = 6) -> float:
    """Requests a second that a route takes from wrk with 8 connections, the bodies in turn."""
    script, lines = folder / "load.lua", folder / "bodies"
    script.write_text(SCRIPT)
    lines.write_text("".join(json.dumps(body) + "\n" for body in bodies))
    command = ["wrk", "-t1", "-c8", f"-d{seconds}s", "-s", str(script), address + path]
    environment = {**os.environ, "BODIES": str(lines), "BEARER": f"Bearer {key}"}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert re.search(r"^errors 0$", said, re.MULTILINE), said
    return float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])


def waits(address: str, path: str, bodies: Sequence[dict], key: str, a_second: float, seconds: float) -> np.ndarray:
    """Seconds from the moment at which a request was due to its answer, at a steady rate whatever the answers do.

    In a process of its own, so that it does not share its interpreter with whoever measures.
    """
    job = json.dumps({"port": int(address.rpartition(":")[2]), "path": path, "bodies": list(bodies[:200]), "key": key,
                      "rate": a_second, "seconds": seconds})  # fmt: skip
    done = subprocess.run([sys.executable, __file__], input=job, capture_output=True, text=True, check=True)
    return np.asarray(json.loads(done.stdout))


async def _open_loop(job: dict) -> list[float]:
    heads = (f"POST {job['path']} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
             f"Authorization: Bearer {job['key']}\r\nContent-Length: ")  # fmt: skip
    texts = [json.dumps(body).encode() for body in job["bodies"]]
    requests = [heads.encode() + b"%d\r\n\r\n" % len(text) + text for text in texts]
    free: asyncio.Queue = asyncio.Queue()
    for _ in range(64):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", job["port"]))
    found: list[float] = []

    async def one(number: int, due: float) -> None:
        reader, writer = connection = await free.get()
        writer.write(requests[number % len(requests)])
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        await reader.readexactly(int(re.search(rb"content-length: (\d+)", head.lower())[1]))
        found.append(time.perf_counter() - due)
        free.put_nowait(connection)

    start, tasks = time.perf_counter() + 0.1, []
    for number in range(int(job["rate"] * job["seconds"])):
        due = start + number / job["rate"]
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number, due)))
    await asyncio.gather(*tasks)
    return found


if __name__ == "__main__":
    import uvloop

    json.dump(uvloop.run(_open_loop(json.load(sys.stdin))), sys.stdout)
