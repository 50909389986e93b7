"""Units of analysis of metrics at one instant: each metric's parts per unit, and the segment of each unit.

Metrics over the same items are one pass; what a metric needs and the company does not have is Absent with a reason.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute

from vouch.features.contract.tables import ACTIVITY_TABLES, DAY_US
from vouch.features.metrics.catalogue import Absent
from vouch.features.metrics.context import collected
from vouch.features.metrics.splits import BANDS, RELATIONAL, TOUCHPOINT, UNKNOWN
from vouch.features.statistics.few import pooled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from vouch.features.metrics.catalogue import Items, Metric
    from vouch.features.metrics.context import MetricContext
    from vouch.features.metrics.estimators import Floats, Parts


@dataclass(frozen=True)
class Segment:
    """Part of the units: its name (None for all) and their positions (None for all)."""

    name: str | None
    rows: NDArray[np.int64] | None = None

    def of(self, values: Floats) -> Floats:
        """The values of the segment's units."""
        return values if self.rows is None else values[self.rows]


@dataclass(frozen=True)
class Lost:
    """How many units would be other than they are if every row could be read: at most one a row; and those here."""

    count: int
    units: int
    here: NDArray[np.int64]
    are_all: bool = True
    """Whether no other unit could be another: rows whose kind nobody can read may cancel out in a customer."""

    def spares(self, segment: Segment, size: int) -> NDArray[np.bool_]:
        """Which of the units of a segment are what they are for certain."""
        return np.isin(np.arange(size) if segment.rows is None else segment.rows, self.here, invert=True)

    def but_for(self, missing: int) -> Lost:
        """The same without units that count as missing anyway."""
        units = max(self.units - missing, 0)
        return replace(self, count=min(self.count, units), units=units)


_NONE = np.empty(0, np.int64)
NONE_LOST = Lost(0, 0, _NONE)


@dataclass(frozen=True)
class Counted:
    """The units of some items with the parts of all their metrics, ordered by unit."""

    parts: Mapping[str, Floats]
    units: pa.ChunkedArray
    customers: pa.ChunkedArray | None
    context: MetricContext
    touchpoints: pa.ChunkedArray | None = None
    """The touchpoint of each unit, where the units are surveys."""
    refused: int = 0
    """How many rows were refused for a value alone that these units would have been made from, too."""
    with_refused: tuple[Counted, ...] = ()
    """The same with such rows, as if they could be read, once for each thing that they may say."""
    has_unread_kinds: bool = False
    """Whether of some of these rows it is not known what kind they are of."""
    is_of_revenue: bool = False
    """Whether money counts whoever paid it."""

    def can_split(self, by: str) -> bool:
        """Whether the units belong to what this splits by."""
        return (self.touchpoints if by == TOUCHPOINT else self.customers) is not None

    def lost(self, metric: Metric, segment: Segment | None, others: Sequence[Segment | None]) -> Lost:
        """Units of a segment that would be others, would be there or would not, if every row could be read.

        `others` are the same segment of each `with_refused`; None where it has no such segment.
        """
        units, here = [], []
        for other, of in zip(self.with_refused, others, strict=True):
            changed, gone = self._changed(metric, other)
            if of is not None:
                chosen = np.flatnonzero(changed >= -1) if of.rows is None else of.rows[changed[of.rows] >= -1]
                units.append(other.units.take(pa.array(chosen)))
                here.append(changed[chosen][changed[chosen] >= 0])
            if segment is not None:
                missing = np.flatnonzero(gone) if segment.rows is None else segment.rows[gone[segment.rows]]
                units.append(self.units.take(pa.array(missing)))
                here.append(missing)
        count = len(
            pa.compute.unique(pa.chunked_array([chunk for of in units for chunk in of.chunks], self.units.type))
        )
        are_all = not (self.has_unread_kinds and metric.items is not None and metric.items.counts == "customers")
        return Lost(min(count, self.refused), count, np.unique(np.concatenate([*here, _NONE])), are_all)

    def _changed(self, metric: Metric, other: Counted) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """For each unit of another count its place here, -1 without one, -2 where both are alike; which of ours lack.

        A unit that stands there in several ways, because its kind could not be read, is one.
        """
        at = pa.compute.index_in(other.units, value_set=self.units)
        rows = np.asarray(at.fill_null(-1).to_numpy(), np.int64)
        is_other = rows < 0
        for name in metric.parts:
            ours, theirs = (of.parts[_column(metric, name)] for of in (self, other))
            if len(ours):
                is_other |= ~((ours[rows] == theirs) | (np.isnan(ours[rows]) & np.isnan(theirs)))
        gone = np.isin(np.arange(len(self.units)), rows, invert=True)
        return np.where(is_other, rows, -2), gone

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """The place of each unit's customer among the people of the context; one after the last for unknown ones."""
        people = self.context.people["customer_id"]
        places = pa.compute.index_in(self.customers, value_set=people).fill_null(len(people))
        return np.asarray(places.to_numpy(), np.int64)

    def size(self, segment: Segment) -> int:
        """How many units a segment has."""
        return len(self.units) if segment.rows is None else len(segment.rows)

    def listed(self, segment: Segment) -> NDArray[np.bool_] | None:
        """Which units of a segment n may count, where money counts whoever paid it; None for all of them."""
        if not self.is_of_revenue:
            return None
        is_listed = self.places < len(self.context.people)
        return is_listed if segment.rows is None else is_listed[segment.rows]

    def of(self, metric: Metric, segment: Segment) -> Parts:
        """The parts of one metric, of the units of a segment."""
        return {name: segment.of(self.parts[_column(metric, name)]) for name in metric.parts}

    def clusters(self, segment: Segment) -> pa.ChunkedArray:
        """What was drawn independently: the customer of each unit of a segment, else the unit itself."""
        alone = pa.compute.binary_join_element_wise("unit", self.units.cast(pa.string()), "\n")
        keys = alone if self.customers is None else pa.compute.coalesce(self.customers.cast(pa.string()), alone)
        return keys if segment.rows is None else keys.take(pa.array(segment.rows))


def _column(metric: Metric, part: str) -> str:
    return f"{metric.id}__{part}"


def all_counted(context: MetricContext, metrics: Sequence[Metric]) -> dict[str, Counted | Absent]:
    """The units of each metric, or why there are none; metrics over the same items are one pass."""
    return {metric.id: counted for members, counted in counted_together(context, metrics) for metric in members}


def counted_together(
    context: MetricContext, metrics: Sequence[Metric]
) -> Iterator[tuple[Sequence[Metric], Counted | Absent]]:
    """Give the units of metrics over the same items, and these metrics: one pass after another, none of them kept."""
    together: dict[tuple[str, int | None], list[Metric]] = defaultdict(list)
    for metric in metrics:
        absent = _absent(context, metric)
        if absent is not None or metric.items is None:
            yield [metric], absent or Absent("not_applicable", "no_input")
        else:
            together[metric.items.name, metric.window_days].append(metric)
    for (_, days), members in together.items():
        assert members[0].items is not None
        yield members, _with_refused(context, members[0].items, days, members)


def _absent(context: MetricContext, metric: Metric) -> Absent | None:
    """What the metric needs and the company does not have."""
    if metric.unavailable:
        return Absent("not_applicable", metric.unavailable)
    for need in metric.inputs:
        alternatives = [alternative.partition(".") for alternative in need.split("|")]
        if any(context.has(table, *([column] if column else [])) for table, _, column in alternatives):
            continue
        lacks_table = not any(context.has(table) for table, _, _ in alternatives)
        names = [table if lacks_table else f"{table}.{column}" for table, _, column in alternatives]
        return Absent("not_applicable", f"{'no_table' if lacks_table else 'no_column'}: {' or '.join(names)}")
    return _too_early(context, metric)


def _too_early(context: MetricContext, metric: Metric) -> Absent | None:
    """That the data begin after the metric begins to look: what it counts would seem to rise from nothing.

    They begin as use and transactions do; what reads neither has begun, too, where its own tables had rows by then.
    """
    days = metric.reach_days
    since_us, begins_us = context.before(days), context.begins_us if days else None
    if begins_us is None or begins_us <= since_us:
        return None
    needs = [{way.partition(".")[0] for way in need.split("|")} - {"customers"} for need in metric.inputs]
    if not set().union(*needs) & set(ACTIVITY_TABLES):
        begun = [min((context.table_begins_us(name) for name in ways), default=begins_us) for ways in needs if ways]
        if begun and max(begun) <= since_us:
            return None
    seen = (context.as_of_us - begins_us) / DAY_US
    return Absent("insufficient_history", f"{days} days are looked at, and the data begin {seen:.0f} days before")


def _with_refused(
    context: MetricContext, items: Items, days: int | None, metrics: Sequence[Metric]
) -> Counted | Absent:
    """The units, and where rows could not be read that would have fed them, the units as if they could as well."""
    units = _counted(context, items, days, metrics)
    if isinstance(units, Absent) or not context.tables.refused:
        return units
    named = {way.partition(".")[0] for need in items.needs for way in need.split("|")}
    read = context.tables_read(lambda watched: items.prepare(watched, days)) | named
    refused = {table: context.refused(table) for table in context.tables.refused if table in read}
    if not any(refused.values()):
        return units
    counted = [_counted(as_if_read, items, days, metrics) for as_if_read in context.with_refused]
    others = tuple(other for other in counted if not isinstance(other, Absent))
    has_unread = any(context.has_unread_kinds(table) for table, count in refused.items() if count)
    return replace(units, refused=sum(refused.values()), with_refused=others, has_unread_kinds=has_unread)


def _counted(context: MetricContext, items: Items, days: int | None, metrics: Sequence[Metric]) -> Counted | Absent:
    frame = items.prepare(context, days)
    if isinstance(frame, Absent):
        return frame
    columns = frame.collect_schema().names()
    keys = ["unit", *(name for name in ("customer_id", TOUCHPOINT) if name in columns)]
    parts = {_column(metric, name): part for metric in metrics for name, part in metric.parts.items()}
    table = collected(frame.select(*keys, **{name: part.cast(nw.Float64) for name, part in parts.items()}))
    table = table.sort_by("unit")
    if items.counts == "customers":
        table = table.filter(pa.compute.is_in(table["customer_id"], value_set=context.people["customer_id"]))
    arrays = {name: table[name].to_numpy().astype(np.float64) for name in parts}
    customers, touchpoints = (table[name] if name in keys else None for name in ("customer_id", TOUCHPOINT))
    return Counted(arrays, table["unit"], customers, context, touchpoints, is_of_revenue=items.counts == "revenue")


class Splitter:
    """Finds the segments of units, for one split of a moment; without a split all units are one segment.

    `labels` are the segments of the customers of the moment; None where segments are not of customers.
    In what is to be published, segments that only a few customers have in common are pooled.
    """

    def __init__(self, labels: list[str] | None, by: str | None, is_published: bool = False) -> None:
        self.by, self.is_published = by, is_published
        self.labels = labels
        if is_published and self.labels is not None and by not in BANDS:
            self.labels = pooled(self.labels, named=(UNKNOWN,))
        self._found: dict[int, list[Segment]] = {}

    def forget(self) -> None:
        """Let go of the segments that were found so far."""
        self._found.clear()

    def segments(self, counted: Counted) -> list[Segment]:
        """The segments of the units; each segment that a customer has is there, with or without units."""
        if self.by is None:
            return [Segment(None)]
        if id(counted) not in self._found:
            self._found[id(counted)] = list(self._positions(counted))
        return self._found[id(counted)]

    def people(self, name: str | None) -> int | None:
        """How many customers a segment has; None where segments are not of customers."""
        return None if self.labels is None else self._people[str(name)]

    @property
    def count(self) -> int:
        """How many segments of customers there are."""
        return len(self._people)

    @cached_property
    def _people(self) -> Counter[str]:
        return Counter(self.labels or ())

    def _positions(self, counted: Counted) -> Iterator[Segment]:
        if self.by == TOUCHPOINT:
            assert counted.touchpoints is not None, "what cannot be split so is left out before"
            named = [name or RELATIONAL for name in counted.touchpoints.to_pylist()]
            named = pooled(named, named=(RELATIONAL,)) if self.is_published else named
            marks = np.array(named, dtype=object).astype(str)
            yield from (Segment(str(name), np.flatnonzero(marks == name)) for name in np.unique(marks))
            return
        names, codes, has_unknown = self._coded
        code = codes[counted.places]
        for position, name in enumerate(names):
            rows = np.flatnonzero(code == position)
            if name != UNKNOWN or has_unknown or len(rows):
                yield Segment(name, rows)

    @cached_property
    def _coded(self) -> tuple[list[str], NDArray[np.int64], bool]:
        """Names of the segments, the place of each customer's among them, and whether a customer's is not known."""
        assert self.labels is not None
        names, codes = np.unique(np.array([*self.labels, UNKNOWN], dtype=object).astype(str), return_inverse=True)
        return [str(name) for name in names], codes, UNKNOWN in self.labels
