"""Metric history, a backfill week by week from the beginning of the data.

The tables are read once, and looked at from every Monday. Every week is measured as known just before it, so a late
correction changes no earlier week. Where a week's window reaches back to before the data begin, a count or a rate would
tell of a rise that never was: it is null with the status `insufficient_history`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.contract.tables import ACTIVITY_TABLES, TABLES
from vouch.features.instants import mondays
from vouch.features.metrics.catalogue import chosen_metrics
from vouch.features.metrics.context import NO_SETTINGS, MetricContext, collected
from vouch.features.metrics.estimators import Rate, Total
from vouch.features.metrics.evaluate import envelopes_of
from vouch.features.metrics.splits import check_split

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vouch.features.asof import Frame, Tables
    from vouch.features.metrics.catalogue import Metric
    from vouch.features.metrics.context import Settings
    from vouch.features.metrics.envelopes import Envelope


class _Held(Mapping[str, "Frame"]):
    """Frames that stay in memory from the first look on."""

    def __init__(self, frames: Mapping[str, Frame]) -> None:
        self._frames = frames
        self._kept: dict[str, Frame] = {}

    def __getitem__(self, name: str) -> Frame:
        if name not in self._kept:
            self._kept[name] = self._frames[name].collect("polars").lazy()
        return self._kept[name]

    def __contains__(self, name: object) -> bool:
        return name in self._frames

    def __iter__(self) -> Iterator[str]:
        return iter(self._frames)

    def __len__(self) -> int:
        return len(self._frames)


def held(tables: Tables) -> Tables:
    """The same tables, each read once and kept in memory, for many looks at them."""
    return replace(tables, frames=_Held(tables.frames))


def mondays_after(since_us: int, until_us: int) -> list[int]:
    """Mondays 00:00 UTC after one instant and up to another.

    >>> day_us = 86_400_000_000
    >>> [instant // day_us for instant in mondays_after(4 * day_us, 20 * day_us)]
    [11, 18]
    """
    return mondays(since_us + 1, until_us)


def series(
    tables: Tables,
    instants: Sequence[int],
    ids: Iterable[str] | None = None,
    by: str | None = None,
    *,
    bootstraps: bool = False,
    settings: Settings = NO_SETTINGS,
) -> list[Envelope]:
    """Measure at several instants, each as known just before it; envelopes in the order of the instants.

    Raises UsageError for an unknown id, or something that customers cannot be split by.
    """
    if by is not None:
        check_split(tables, by)
    metrics = chosen_metrics(ids)
    source = tables if len(instants) < 2 else held(tables)
    begins = _Beginnings(source)
    points = []
    for instant in instants:
        context = MetricContext(source, instant, None, settings)
        envelopes = envelopes_of(context, metrics, [by], everything=ids is None, bootstraps=bootstraps)
        meant = {metric.id: metric for metric in metrics}
        points += [begins.flagged(meant[envelope.metric_id], envelope, context) for envelope in envelopes]
    return points


def history(
    tables: Tables,
    as_of_us: int,
    ids: Iterable[str] | None = None,
    by: str | None = None,
    *,
    since_us: int | None = None,
    bootstraps: bool = False,
    settings: Settings = NO_SETTINGS,
) -> list[Envelope]:
    """Measure at every Monday from the beginning of the data (or from `since_us` on) up to an instant.

    The beginning is the earliest own time of use and transactions. The company as a whole, or one split.
    """
    begin_us = _Beginnings(tables).of([table for table in ACTIVITY_TABLES if table in tables])
    if begin_us is None:
        return []
    first_us = begin_us if since_us is None else max(begin_us, since_us - 1)
    return series(tables, mondays_after(first_us, as_of_us), ids, by, bootstraps=bootstraps, settings=settings)


class _Beginnings:
    """When each table begins."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self._begins: dict[str, int | None] = {}

    def of(self, names: Iterable[str]) -> int | None:
        """The earliest own time in these tables, of whatever is a fact at any time; None where they hold nothing."""
        for name in names:
            if name not in self._begins:
                rows = self.tables.frames[name].filter(~nw.col("is_deleted"))
                earliest = collected(rows.select(nw.col("own_us").min()))["own_us"][0]
                self._begins[name] = earliest.as_py()
        known = [begins for name in names if (begins := self._begins[name]) is not None]
        return min(known) if known else None

    def flagged(self, metric: Metric, envelope: Envelope, context: MetricContext) -> Envelope:
        """The envelope, without its value where that is a count or a rate over a window that the data do not fill."""
        if envelope.value is None or metric.window_days is None or not isinstance(metric.kind, Total | Rate):
            return envelope
        names = {need.partition(".")[0] for needs in metric.inputs for need in needs.split("|")}
        begin_us = self.of(sorted(name for name in names if name in self.tables and _has_events(name)))
        if begin_us is None or begin_us <= context.before(metric.window_days):
            return envelope
        return replace(
            envelope, value=None, ci_low=None, ci_high=None, ci_method=None, value_shrunk=None,
            status="insufficient_history", reason="the data begin within the window",
        )  # fmt: skip


def _has_events(table: str) -> bool:
    """Whether the table's rows are events, not the state of customers."""
    return table not in {"customers", "subscriptions", "licences", "loyalty_members"} and table in TABLES
