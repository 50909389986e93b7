"""Mixed load on a real service while weeks are published: no error, no answer that its week does not hold, nothing that
was recorded lost, memory flat."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from support.champions import TARGETS
from support.load.mixed_load import CONNECTIONS, FIRST, SHARES, Load, check_recorded, saturated, steady, vectors
from support.servers.running_service import is_up, serving, wait_for
from vouch.features.instants import instant_text


def run(
    tmp_path: Path, customers: int, seconds: float, every: float, a_second: float | None = None, kills: bool = False
) -> list[float]:
    """Put a service under load; return its memory over time. `a_second` None: half of what it can take."""
    home, memory = tmp_path / "home", []
    home.mkdir()
    (home / "policy.toml").write_text("[limits]\nrequests_per_minute = 1000000000\n")

    async def all_of_it(address: str, pid: int) -> Load:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        async with aiohttp.ClientSession(address, connector=connector) as http:
            load = Load(home, http, sent, scores, customers=customers, is_patient=kills)
            load.weeks = {instant_text(FIRST): first}
            rate = a_second or await saturated(load, 10) / 2
            await steady(load, rate, seconds, every, memory, pid)
            print(f"{rate:,.0f} requests a second for {seconds:,.0f} s: {dict(load.seen)}")
            return load

    before = Load(home, None, sent := vectors(), customers=customers)
    for name, (_, base, _) in TARGETS.items():
        before.promote(name, base)
    before.publish(0)
    scores, first = before.scores, before.weeks[instant_text(FIRST)]
    with serving(home, tmp_path / "log") as (process, client):
        load = asyncio.run(all_of_it(str(client.base_url), process.pid))
        wait_for(lambda: is_up(client), 30)
        newest = max(load.weeks)  # it may have been published a moment ago
        wait_for(lambda: client.get("/readyz").json()["as_of"] == newest, 10)
    assert set(SHARES) <= set(load.seen), "each kind of request has come"
    assert set(load.weeks) | set(load.scores) <= set(load.seen), "each week and each champion was told of"
    check_recorded(home, load)
    assert "Traceback" not in (tmp_path / "log").read_text()
    return memory


def test_weeks_published_under_load_are_told_as_they_are(tmp_path):
    run(tmp_path, customers=2_000, seconds=9, every=3, a_second=60)


@pytest.mark.nightly
def test_a_worker_that_is_killed_under_load_is_replaced_and_nothing_that_was_recorded_is_lost(tmp_path):
    run(tmp_path, customers=2_000, seconds=60, every=20, a_second=60, kills=True)


@pytest.mark.nightly
def test_ten_minutes_at_half_of_what_it_can_take_show_no_error_no_wrong_answer_and_no_growth(tmp_path):
    memory = run(tmp_path, customers=20_000, seconds=600, every=60)
    third = len(memory) // 3
    early, late = np.median(memory[third : 2 * third]), np.median(memory[2 * third :])
    print(f"resident memory: {early:,.0f} MiB in the second third, {late:,.0f} MiB in the last one")
    assert late <= 1.05 * early
