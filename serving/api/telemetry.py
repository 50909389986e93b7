"""Prometheus metrics at /metrics: latency by route, problems by code, age of snapshot and data, drift, the store.

Counts stand in memory that all workers share, so that whichever is asked tells of all of them (and which costs less per
request than the client's own); they are told through the client's collector. A route is one of ours or `other`: no
address that came with a request becomes a label.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from vouch.features.instants import SECOND_US, parse_instant
from vouch.serving.api.logs import log_request
from vouch.serving.api.problems import KINDS
from vouch.serving.api.shared import SharedNumbers
from vouch.serving.batch.run_records import last_of_each

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from prometheus_client import Metric
    from starlette.requests import Request
    from starlette.types import Scope

    from vouch.serving.api.state import ServingState

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER = "other"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})
STATUSES = ("", "1xx", "2xx", "3xx", "4xx", "5xx")
LEVELS = ("moderate", "major")
AGES = {
    "keys": "Time since the keys were read: revoked ones are refused from then on.",
    "watch": "Time since weeks, store and champions were all looked at without an error.",
}


WIDTH = len(BUCKETS) + 2
"""A histogram of seconds: how many by bucket, how many took longer than all, and their sum."""


class Telemetry:
    """Counts requests of all workers, and tells how the store fares when it is asked."""

    def __init__(self, store: ServingState, now: Callable[[], int], shared: SharedNumbers | None = None) -> None:
        self._store, self._now, self._shared = store, now, shared or SharedNumbers()
        self._problems = self._shared.take(len(KINDS))
        self._codes = {code: place for place, code in enumerate(KINDS)}
        self._places: dict[str, int] = {}
        self._latency: memoryview[float] = self._shared.take(0)

    def learn(self, routes: Iterable[str]) -> None:
        """Take the paths of the routes that there are: they are the only ones that are told."""
        self._places = {route: place for place, route in enumerate(dict.fromkeys([OTHER, *routes]))}
        self._latency = self._shared.take(len(self._places) * len(STATUSES) * WIDTH)

    def watch(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one answer, and write its line where that is wanted."""
        state, matched = scope.get("state", {}), scope.get("route")
        route = matched.path if matched is not None and matched.path in self._places else OTHER
        code, caller = state.get("problem"), state.get("caller")
        first = self._first(route, status // 100)
        with self._shared:
            self._latency[first + bisect_left(BUCKETS, seconds)] += 1
            self._latency[first + WIDTH - 1] += seconds
            if code is not None:
                self._problems[self._codes[code]] += 1
        method = scope["method"] if scope["method"] in METHODS else OTHER
        log_request(route, method, status, seconds, code, caller.key_id if caller else None)

    def _first(self, route: str, status: int) -> int:
        """Where the histogram of a route and kind of status begins."""
        return (self._places[route] * len(STATUSES) + status) * WIDTH

    async def answer(self, _: Request) -> Response:
        """Everything in the text format of Prometheus."""
        return Response(self.text(), media_type=MEDIA_TYPE)

    def text(self) -> bytes:
        """Return everything in the text format."""
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        given = [*self._requests(), *_of_store(self._store, self._now()), *_of_processes(self._shared.pids)]
        registry.register(_Collector(lambda: given))
        return generate_latest(registry)

    def _requests(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        seconds = HistogramMetricFamily(
            "vouch_request_seconds", "Time to answer, by route and kind of status.", labels=["route", "status"]
        )
        for route, status in itertools.product(sorted(self._places), range(len(STATUSES))):
            first = self._first(route, status)
            *counts, total = self._latency[first : first + WIDTH]
            if not any(counts):
                continue
            reached = map(int, itertools.accumulate(counts))
            edges = (*map(str, BUCKETS), "+Inf")
            seconds.add_metric([route, STATUSES[status]], list(zip(edges, reached, strict=True)), total)
        problems = CounterMetricFamily(
            "vouch_problems", "Requests that were answered with a problem, by its code.", labels=["code"]
        )
        for code, place in sorted(self._codes.items()):
            if self._problems[place]:
                problems.add_metric([code], self._problems[place])
        yield seconds
        yield problems


class _Collector:
    """A collector of what a function gives."""

    def __init__(self, give: Callable[[], list[Metric]]) -> None:
        self._give = give

    def collect(self) -> list[Metric]:
        return self._give()


def _of_store(store: ServingState, now_us: int) -> Iterator[Metric]:
    yield _gauge("vouch_store_up", "Whether the store answers.", store.trouble is None)
    for what, age_s in (("keys", store.keys_age_s), ("watch", store.watch_age_s)):
        if age_s is not None:
            yield _gauge(f"vouch_{what}_age_seconds", AGES[what], age_s)
    yield _gauge("vouch_snapshots_refused", "Published snapshots that are not served.", len(store.refused))
    yield _gauge("vouch_champions_refused", "Champions on disk that do not score.", len(store.refused_champions))
    yield _gauge("vouch_ready", "Whether there is a snapshot to answer from.", store.is_ready)
    yield _info(
        "vouch_champion_info",
        "The models that score.",
        [{"model": name, "hash": of.content_hash or ""} for name, of in store.champions.items()],
    )
    yield _by_model(
        "vouch_champion_age_seconds",
        "Time since the model that scores was promoted here.",
        {name: (now_us - at_us) / SECOND_US for name, at_us in store.promoted_us.items()},
    )
    yield from _of_runs(store, now_us)
    if store.is_ready:
        yield from _of_week(store, now_us)


def _of_runs(store: ServingState, now_us: int) -> Iterator[Metric]:
    """How the last run of each job on this host ended; nothing where jobs run on another one."""
    from prometheus_client.core import GaugeMetricFamily

    last = last_of_each(store.home)
    if not last:
        return
    age = GaugeMetricFamily("vouch_run_age_seconds", "Time since the last run of a job began.", labels=["command"])
    well = GaugeMetricFamily("vouch_run_done_age_seconds", "Time since a job that went well began.", labels=["command"])
    took = GaugeMetricFamily("vouch_run_seconds", "How long the last run of a job took.", labels=["command"])
    code = GaugeMetricFamily("vouch_run_exit_code", "How the last run of a job ended: 0 is well.", labels=["command"])
    for command, (newest, done) in sorted(last.items()):
        age.add_metric([command], _age(newest["now"], now_us))
        code.add_metric([command], newest["exit_code"])
        if "seconds" in newest:
            took.add_metric([command], newest["seconds"])
        if done is not None:
            well.add_metric([command], _age(done["now"], now_us))
    yield from (age, well, took, code)


def _of_processes(pids: Sequence[int]) -> Iterator[Metric]:
    """The client's own figures of processes, of all workers together: sums, and the latest start."""
    from prometheus_client.process_collector import ProcessCollector

    together: dict[str, Metric] = {}
    for pid in pids:
        for metric in ProcessCollector(pid=partial(int, pid), registry=None).collect():
            held = together.setdefault(metric.name, metric)
            if held is not metric:
                (one,), (other,) = held.samples, metric.samples
                join = max if metric.name.endswith("start_time_seconds") else sum
                held.samples = [one._replace(value=join((one.value, other.value)))]
    yield from together.values()
    yield _gauge("vouch_workers", "Processes that answer.", len(pids))


def _of_week(store: ServingState, now_us: int) -> Iterator[Metric]:
    portfolio = store.portfolio
    fresh, manifest = portfolio.freshness(now_us), portfolio.week.manifest
    yield _info("vouch_snapshot_info", "The week that is served.", [{"as_of": fresh["as_of"]}])
    yield _gauge("vouch_snapshot_revision", "Its revision.", fresh["revision"])
    yield _gauge("vouch_snapshot_stale", "Whether it is older than a week should be.", fresh["is_stale"])
    yield _gauge("vouch_snapshot_age_seconds", "Time since its instant.", _age(fresh["as_of"], now_us))
    yield _gauge("vouch_scored_age_seconds", "Time since it was scored.", _age(fresh["scored_at"], now_us))
    if fresh["data_through"]:
        yield _gauge("vouch_data_age_seconds", "Time since the newest fact in it.", _age(fresh["data_through"], now_us))
    counted = portfolio.populations
    yield _gauge("vouch_customers", "Customers in it, those who have left among them.", counted["everybody"])
    left = counted["left"]
    yield _gauge("vouch_customers_left", "Customers in it who have left: no band and no tier counts them.", left)
    yield _gauge("vouch_customers_opted_out", "Customers in it who object to being profiled.", counted["opted_out"])
    yield _by_population(counted)
    yield from _drift(manifest.get("drift") or {})


def _drift(answers: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    """Drift of each model against the rows that it was trained on, where the week tells it."""
    from prometheus_client.core import GaugeMetricFamily

    moved = GaugeMetricFamily("vouch_drift_features", "Features that have drifted.", labels=["model", "level"])
    for model, of in sorted(answers.items()):
        for level in LEVELS:
            if of.get(level) is not None:
                moved.add_metric([model, level], of[level])
    scores = {model: of["score"]["index"] for model, of in answers.items() if of.get("score")}
    yield _by_model("vouch_drift_score", "Population stability index of a model's scores.", scores)
    yield moved


def _age(text: str, now_us: int) -> float:
    return (now_us - parse_instant(text)) / SECOND_US


def _by_population(counted: Mapping[str, int]) -> Metric:
    """Customers by the names that the page, the report and the API call them by."""
    from prometheus_client.core import GaugeMetricFamily

    metric = GaugeMetricFamily("vouch_population", "Customers in each named population.", labels=["population"])
    for name, number in counted.items():
        metric.add_metric([name], number)
    return metric


def _gauge(name: str, meaning: str, value: float) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(name, meaning, value=float(value))


def _by_model(name: str, meaning: str, values: Mapping[str, float]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    metric = GaugeMetricFamily(name, meaning, labels=["model"])
    for model, value in sorted(values.items()):
        metric.add_metric([model], value)
    return metric


def _info(name: str, meaning: str, rows: Iterable[Mapping[str, str]]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    listed = list(rows)
    metric = GaugeMetricFamily(name, meaning, labels=list(listed[0]) if listed else [])
    for row in listed:
        metric.add_metric(list(row.values()), 1.0)
    return metric
