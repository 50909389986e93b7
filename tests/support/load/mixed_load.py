"""Mixed load on a real service while weeks are published: each answer is held against the week and the champion that it
tells of, and what was recorded against the store."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pandas as pd
import psutil
import pytest
from sqlalchemy import select

from support.champions import TARGETS, write_champion
from support.published_weeks import REGIONS, SEGMENTS, customer_id, write_company
from vouch.features.contract.tables import ACT_KINDS, DAY_US
from vouch.features.instants import instant_text, parse_instant
from vouch.models.predictor import champion_folder
from vouch.models.registry.champions import install, promotion
from vouch.serving.asking.candidates import searchable_rows
from vouch.serving.asking.ranking import rank_candidates
from vouch.serving.asking.rules.policy import load_policy
from vouch.serving.snapshots.files import read_snapshot
from vouch.serving.store.connection import Database
from vouch.serving.store.tables import asks

FIRST, WEEK_US = parse_instant("2026-08-31"), 7 * DAY_US
PAGE, CONNECTIONS, KILLS = 20, 16, 3
FIGURES = (
    "churn_status", "churn_probability", "churn_raw", "churn_band", "churn_model", "advocacy_status",
    "advocacy_probability", "advocacy_score", "advocacy_raw", "advocate_tier", "health_score",
)  # fmt: skip
SHARES = {"search": 6, "get": 6, "at_risk": 2, "metrics": 1, "score": 2, "ask": 2, "outcome": 1, "again": 1}
"""How often each kind of request comes, of 21."""


class Week:
    """What one published week says, read from its files and ranked by itself."""

    def __init__(self, home: Path, as_of_us: int) -> None:
        snapshot = read_snapshot(home, as_of_us)
        scores, customers = snapshot.table("scores"), snapshot.table("customers")
        frame = searchable_rows(scores, customers)
        self.rows = scores.select(["customer_id", *FIGURES]).to_pandas().set_index("customer_id")
        self.mrr = customers["mrr"].to_numpy()
        ranked = rank_candidates(frame, load_policy(), as_of_us)
        self.ranked = self._by_group(ranked)
        risk = pd.Series(self.rows["churn_probability"].to_numpy() * self.mrr, self.rows.index)
        bands = self.rows["churn_band"].isin(["high", "watch"])
        self.at_risk = sorted(self.rows.index[bands], key=lambda name: (-risk[name], name))[:PAGE]
        self.risk = risk
        self.metric = snapshot.table("metrics")["value"][0].as_py()

    @staticmethod
    def _by_group(ranked: pd.DataFrame) -> dict[tuple[str, str], list[str]]:
        groups = ranked.groupby(["segment", "region"], observed=True)["customer_id"]
        return {key: of.head(PAGE).tolist() for key, of in groups}


@dataclass
class Load:
    """One client of many connections, and what it has seen."""

    home: Path
    http: aiohttp.ClientSession | None
    """None before there is a service."""
    vectors: pd.DataFrame
    """What is sent to be scored."""
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    """What each model says of the vectors, by its hash."""
    weeks: dict[str, Week] = field(default_factory=dict)
    newest: str = ""
    seen: Counter[str] = field(default_factory=Counter)
    made: dict[str, str] = field(default_factory=dict)
    """Customers by the asks that were recorded."""
    ended: dict[str, str] = field(default_factory=dict)
    """Outcomes by ask."""
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    random: random.Random = field(default_factory=lambda: random.Random(5))
    customers: int = 0
    took: list[tuple[str, float]] = field(default_factory=list)
    """The kind of each request, and its seconds."""
    is_patient: bool = False
    """Whether a request that found nobody, or was told to come again, is sent again."""

    def publish(self, number: int) -> None:
        as_of_us = FIRST + number * WEEK_US
        self.promote("churn", -3.0 - number / 20)
        write_company(self.home, self.customers, as_of_us, seed=number)
        self.weeks[instant_text(as_of_us)] = Week(self.home, as_of_us)

    def promote(self, name: str, base: float) -> None:
        """Another champion, put where promotion puts it."""
        place = self.home.parent / "made" / f"{name} {base}"
        predictor = write_champion(place, name, base)
        self.scores[predictor.content_hash] = predictor.score(self.vectors).probability
        with promotion(self.home, name) as folder:
            install(folder, champion_folder(place, name) / "bundle", "", predictor.content_hash)

    async def post(self, path: str, body: dict[str, Any], *also: int) -> tuple[int, dict[str, Any]]:
        for _ in range(600):
            try:
                async with self.http.post(path, json=body) as answer:
                    told = await answer.json(content_type=None)
            except aiohttp.ClientConnectionError:
                if not self.is_patient:
                    raise
                self.seen["nobody there"] += 1
            else:
                if answer.status != 503 or not self.is_patient:
                    assert answer.status in {200, *also}, (path, body, answer.status, told)
                    return answer.status, told
                self.seen[told["code"]] += 1
            await asyncio.sleep(0.1)
        raise AssertionError(f"{path} did not answer for a minute")

    def week_of(self, told: dict[str, Any], newest: str) -> Week:
        """The week that an answer tells of, which never is older than one that was told before it was asked for."""
        assert told["as_of"] >= newest or self.is_patient, "an answer of an older week came after one of a newer"
        self.newest = max(self.newest, told["as_of"])
        self.seen[told["as_of"]] += 1
        return self.weeks[told["as_of"]]

    async def one(self) -> None:
        """One request of a kind drawn at random, its answer checked."""
        kind, start = self.random.choices(list(SHARES), list(SHARES.values()))[0], time.monotonic()
        await getattr(self, kind)()
        self.took.append((kind, time.monotonic() - start))
        self.seen[kind] += 1

    async def search(self) -> None:
        group = self.random.choice(SEGMENTS), self.random.choice(REGIONS)
        everybody, newest, asked = self.random.random() < 0.5, self.newest, set(self.made.values())
        body = {"segment": [group[0]], "region": [group[1]], "include_ineligible": everybody, "limit": PAGE}
        _, told = await self.post("/v1/advocates/search", body)
        week, found = self.week_of(told, newest), told["candidates"]
        names = [row["customer_id"] for row in found]
        for row in found:
            check_figures(week, row["customer_id"], row, [name for name in FIGURES if name in row])
        if everybody:
            assert names == week.ranked[group]
        else:
            assert all(row["is_eligible"] for row in found)
            assert not asked & set(names), "who was asked a moment ago is no candidate"

    async def get(self) -> None:
        name, newest = customer_id(self.random.randrange(self.customers)), self.newest
        made = {ask for ask, of in self.made.items() if of == name}
        _, told = await self.post("/v1/customers/get", {"customer_id": name})
        week = self.week_of(told, newest)
        check_figures(week, name, told, FIGURES)
        assert made <= {ask["ask_id"] for ask in told["asks"]}, "an ask that was recorded is told"
        if told["previous"]:
            before = self.weeks[told["previous"]["as_of"]]
            assert told["previous"]["churn_probability"] == before.rows.at[name, "churn_probability"]

    async def at_risk(self) -> None:
        newest = self.newest
        _, told = await self.post("/v1/customers/at_risk", {"limit": PAGE})
        week = self.week_of(told, newest)
        assert [row["customer_id"] for row in told["customers"]] == week.at_risk
        assert all(row["value"] == week.risk[row["customer_id"]] for row in told["customers"])

    async def metrics(self) -> None:
        newest = self.newest
        _, told = await self.post("/v1/metrics/query", {"metric_ids": ["nps"]})
        assert [row["value"] for row in told["metrics"]] == [self.week_of(told, newest).metric]

    async def score(self) -> None:
        row = self.random.randrange(len(self.vectors))
        vector = {"features": self.vectors.iloc[row].to_dict()}
        _, told = await self.post("/v1/score", {"vectors": [vector], "reasons": self.random.random() < 0.5})
        for model, used in told["models"].items():
            assert told["scores"][0][f"{model}_model"] == used
            found, wanted = told["scores"][0][f"{model}_probability"], self.scores[used][row]
            assert found == pytest.approx(wanted, rel=1e-12), "an answer is of exactly one champion, and says of which"
            self.seen[used] += 1

    async def ask(self) -> None:
        number = next(self.numbers)
        body = {"ask_id": f"a{number}", "customer_id": customer_id(self.random.randrange(self.customers))}
        status, told = await self.post("/v1/asks/record", {**body, "kind": self.random.choice(ACT_KINDS)}, 409)
        if status == 200:
            assert told["is_new"] or self.is_patient, "recorded at the first try, but for one whose answer was lost"
            self.made[body["ask_id"]] = body["customer_id"]
        else:
            assert told["code"] == "not_to_be_asked"
            assert told["exclusion"]

    async def outcome(self) -> None:
        if waiting := sorted(self.made.keys() - self.ended.keys()):
            ask, outcome = self.random.choice(waiting), self.random.choice(["accepted", "declined"])
            self.ended[ask] = outcome  # nobody else gives this ask another one meanwhile
            _, told = await self.post("/v1/asks/outcome", {"ask_id": ask, "outcome": outcome})
            assert told["ask"]["outcome"] == outcome

    async def again(self) -> None:
        """What was recorded is recorded again: the same answer, nothing new."""
        if self.ended:
            ask = self.random.choice(sorted(self.ended))
            _, told = await self.post("/v1/asks/outcome", {"ask_id": ask, "outcome": self.ended[ask]})
            assert told["ask"]["ask_id"] == ask


def check_figures(week: Week, name: str, row: dict[str, Any], columns: Any) -> None:
    held = week.rows.loc[name]
    assert {column: row[column] for column in columns} == {column: held[column] for column in columns}


async def saturated(load: Load, seconds: float) -> float:
    """Requests a second that service and client reach together when each connection asks again at once."""
    until, done = time.monotonic() + seconds, 0

    async def worker() -> None:
        nonlocal done
        while time.monotonic() < until:
            await load.one()
            done += 1

    await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))
    return done / seconds


async def steady(
    load: Load, a_second: float, seconds: float, every: float, memory: list[float], pid: int, first: int = 1
) -> None:
    """Requests at a steady rate, a week published every so often from a first one on, memory looked at every second."""
    start, tasks = time.monotonic(), set()

    async def publishing() -> None:
        for number in range(int(seconds / every)):
            await asyncio.sleep(max(0.0, start + (number + 0.5) * every - time.monotonic()))
            await asyncio.to_thread(load.publish, first + number)

    async def looking() -> None:
        while time.monotonic() < start + seconds:
            memory.append(resident(pid))
            await asyncio.sleep(1)

    async def killing() -> None:
        for number in range(KILLS if load.is_patient else 0):
            await asyncio.sleep(max(0.0, start + (number + 0.5) * seconds / KILLS - time.monotonic()))
            os.kill(worker_of(pid), signal.SIGKILL)

    side = [asyncio.create_task(of) for of in (publishing(), looking(), killing())]
    for number in range(int(a_second * seconds)):
        await asyncio.sleep(max(0.0, start + number / a_second - time.monotonic()))
        tasks.add(task := asyncio.create_task(load.one()))
        if len(tasks) > 200:
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    for task in [*tasks, *side]:
        await task


def worker_of(pid: int) -> int:
    """The process that answers, started by one that only watches over it."""
    found = [
        one.pid
        for one in psutil.Process(pid).children(recursive=True)
        if "vouch.serving.worker" in " ".join(one.cmdline())
    ]
    return found[-1]


def resident(pid: int) -> float:
    """Mebibytes of a process and what it started."""
    process = psutil.Process(pid)
    return sum(one.memory_info().rss for one in [process, *process.children(recursive=True)]) / 2**20


def vectors() -> pd.DataFrame:
    """Vectors of customers who are with the company."""
    draw = np.random.default_rng(3)
    names = sorted({name for _, _, weights in TARGETS.values() for name in weights})
    frame = pd.DataFrame({name: draw.integers(0, 11, 50).astype(float) for name in names})
    return frame.assign(is_subscribed=1.0, is_leaving=0.0, tenure_days=400.0)


def check_recorded(home: Path, load: Load) -> None:
    """The store holds what was recorded, each ask once, and nothing else."""
    database = Database(home)
    with database.reading() as connection:
        rows = connection.execute(select(asks.c.ask_id, asks.c.customer_id, asks.c.outcome)).all()
    database.close()
    assert {(row.ask_id, row.customer_id, row.outcome) for row in rows} == {
        (ask, name, load.ended.get(ask)) for ask, name in load.made.items()
    }
    assert len(rows) == len(load.made)
