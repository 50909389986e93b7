"""A soak: the same mixed load first alone, then with hostile clients beside it, for as long as one likes.

Every answer is held against its week meanwhile; what comes back is how long honest clients waited, what the worker held
in memory, and what the hostile ones were told.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from support.champions import TARGETS
from support.load.mixed_load import CONNECTIONS, FIRST, Load, check_recorded, saturated, steady, vectors
from support.servers.running_service import serving
from vouch.features.instants import instant_text
from vouch.serving.api.state import now_us
from vouch.serving.store import keys
from vouch.serving.store.connection import Database

TESTS = Path(__file__).parents[2]
CUSTOMERS, A_SECOND, FILES = 5_000, 40, 1_024
QUIET, WEEKS = 0.25, 2
"""The part of the time without hostile clients, and weeks that are published in each part."""


@dataclass(frozen=True)
class Soaked:
    """What was seen: seconds of honest requests by kind, without and with hostile clients, and memory in MiB."""

    quiet: list[tuple[str, float]]
    beside: list[tuple[str, float]]
    memory_quiet: tuple[float, ...]
    memory_beside: tuple[float, ...]
    hostile: dict[str, int]
    log: str

    @property
    def p99_ms(self) -> tuple[float, float]:
        """The 99th percentile without and with hostile clients."""
        return self._at(0.99)

    def _at(self, share: float, kind: str | None = None) -> tuple[float, float]:
        quiet, beside = (
            1_000 * float(np.quantile([took for of, took in took_by if kind in {None, of}], share))
            for took_by in (self.quiet, self.beside)
        )
        return quiet, beside

    def told(self) -> str:
        """All of it in words."""
        kinds = sorted({kind for kind, _ in self.quiet} & {kind for kind, _ in self.beside})
        by_kind = ", ".join("{} {:.0f} and {:.0f}".format(kind, *self._at(0.99, kind)) for kind in kinds)
        tenths = " ".join(f"{np.median(of):.0f}" for of in np.array_split(np.array(self.memory_beside), 10) if len(of))
        return (
            f"{len(self.quiet):,} honest requests alone, {len(self.beside):,} beside hostile clients: 99th percentile "
            "{:.0f} and {:.0f} ms, median {:.1f} and {:.1f} ms".format(*self.p99_ms, *self._at(0.5))
            + f" (99th percentiles by kind: {by_kind}); memory {np.median(self.memory_quiet):.0f} MiB alone, "
            f"{tenths} in tenths of the time beside, {max(self.memory_beside):.0f} at most; "
            f"hostile: {self.hostile}"
        )


def halved(of: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    """The first half and the second."""
    return of[: len(of) // 2], of[len(of) // 2 :]


def soak(folder: Path, seconds: float) -> Soaked:
    """Put a service of one worker under load for so long; raises AssertionError for an answer that is wrong."""
    home = folder / "home"
    home.mkdir(parents=True)
    (home / "policy.toml").write_text("[limits]\nrequests_per_minute = 1000000000\n")
    database = Database(home)
    made = {name: keys.create(database, name, "write", now_us()) for name in ("honest", "hostile")}
    database.close()
    before = Load(home, None, vectors(), customers=CUSTOMERS)
    for name, (_, base, _) in TARGETS.items():
        before.promote(name, base)
    before.publish(0)
    with serving(home, folder / "log", files=FILES) as (process, client):
        found = asyncio.run(_both(before, str(client.base_url), process.pid, made, seconds))
    return Soaked(*found, (folder / "log").read_text())


async def _both(before: Load, address: str, pid: int, made: dict[str, str], seconds: float) -> tuple[Any, ...]:
    parts = (seconds * QUIET, seconds * (1 - QUIET))
    quiet_mib: list[float] = []
    beside_mib: list[float] = []
    headers = {"authorization": f"Bearer {made['honest']}"}
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(address, connector=connector, headers=headers) as http:
        load = Load(before.home, http, before.vectors, before.scores, customers=CUSTOMERS)
        load.weeks = {instant_text(FIRST): before.weeks[instant_text(FIRST)]}
        await saturated(load, min(5.0, seconds / 10))
        load.took.clear()
        await steady(load, A_SECOND, parts[0], parts[0] / WEEKS, quiet_mib, pid)
        quiet, load.took = load.took, []
        port = address.rstrip("/").rpartition(":")[2]
        words = [sys.executable, "-m", "support.load.hostile", port, made["hostile"], str(parts[1])]
        hostile = await asyncio.create_subprocess_exec(*words, cwd=TESTS, stdout=subprocess.PIPE)
        await steady(load, A_SECOND, parts[1], parts[1] / WEEKS, beside_mib, pid, first=1 + WEEKS)
        said, _ = await hostile.communicate()
        check_recorded(load.home, load)
    return quiet, load.took, tuple(quiet_mib), tuple(beside_mib), json.loads(said)
