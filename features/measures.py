"""Metrics of a company at an instant: counts in the engine, one row per unit; values and intervals here.

Every metric comes in the same envelope: a value, or null with a reason, and what it rests on. A count over a table that
is there but holds no rows is 0; a mean or a share of nothing is null.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute

from features.catalogue import Absent, chosen_metrics, definition_lines
from features.contract import DAY_US
from features.kinds import FEW, Estimate
from features.language import LEXICON_VERSION
from features.moment import UNKNOWN, Moment, can_split, check_split, collected
from features.shrinkage import shrunk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from features.asof import Frame, Tables
    from features.catalogue import Items, Metric
    from features.kinds import Floats, Parts

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Envelope:
    """One row of `metrics.parquet`: a metric for the company, or for one segment of it."""

    metric_id: str
    code: str
    by: str | None
    segment: str | None
    value: float | None
    unit: str
    n: int
    n_missing: int
    coverage: float | None
    ci_low: float | None
    ci_high: float | None
    ci_method: str | None
    bound_low: float | None
    bound_high: float | None
    value_shrunk: float | None
    window_days: int | None
    as_of: str
    population: str
    definition_version: str
    definition_source: str
    higher_is_better: bool | None
    status: str
    reason: str | None

    def as_dict(self) -> dict[str, Any]:
        """The columns by name, numbers to ten significant digits.

        The last bits of a float depend on the engine and on the order of its rows; no n supports that many digits, and
        what is published must be the same bytes for the same inputs.
        """
        return {name: _rounded(value) if isinstance(value, float) else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Counted:
    """The units of some items with the parts of all their metrics, ordered by unit."""

    parts: Mapping[str, Floats]
    customers: pa.ChunkedArray | None

    def of(self, metric: Metric) -> Parts:
        """The parts of one metric."""
        return {name: self.parts[_column(metric, name)] for name in metric.parts}


@dataclass(frozen=True)
class Segment:
    """Part of the units: its name (None for all) and their positions."""

    name: str | None
    rows: slice | np.ndarray[Any, np.dtype[np.int64]]


def measure(
    tables: Tables,
    as_of_us: int,
    ids: Iterable[str] | None = None,
    by: str | None = None,
    scores: Frame | None = None,
    *,
    bootstraps: bool = True,
) -> list[Envelope]:
    """Measure the company at an instant, as known just before it.

    Args:
        tables: the company's tables.
        as_of_us: the instant, microseconds since 1970 UTC.
        ids: metrics to compute; all where None.
        by: what to split by, one of `features.moment.SEGMENTS`; the company as a whole where None.
        scores: a published snapshot's scores of that instant, for the metrics that rest on a model.
        bootstraps: whether to compute the intervals that are bootstraps; they take most of the time.

    Returns:
        One envelope per metric, or per metric and segment, in the order of the catalogue. Split, and without ids,
        what cannot be had or split is left out.

    Raises:
        UsageError: for an unknown id, or something that customers cannot be split by.
    """
    if by is not None:
        check_split(tables, by)
    return measure_by(tables, as_of_us, [by], ids, scores, bootstraps=bootstraps)


def measure_by(
    tables: Tables,
    as_of_us: int,
    bys: Sequence[str | None],
    ids: Iterable[str] | None = None,
    scores: Frame | None = None,
    *,
    bootstraps: bool = True,
) -> list[Envelope]:
    """Measure as `measure` does, for several splits at the cost of one pass over the tables.

    A split by a column that the company did not hand over is left out.
    """
    metrics = chosen_metrics(ids)
    moment = Moment(tables, as_of_us, scores)
    bys = [by for by in bys if by is None or can_split(tables, by)]
    labels = {by: None if by is None else moment.labels(by) for by in bys}
    counted = _all_counted(moment, metrics)
    found = []
    for by in bys:
        run = _Run(moment, by, labels[by], bootstraps)
        for metric in metrics:
            envelopes = run.envelopes(metric, counted[metric.id])
            if by is None or ids is not None or envelopes[0].segment is not None:
                found += envelopes
    return found


def series(
    tables: Tables,
    instants: Sequence[int],
    ids: Iterable[str] | None = None,
    by: str | None = None,
    *,
    bootstraps: bool = False,
) -> list[Envelope]:
    """Measure at several instants, each as known just before it; envelopes in the order of the instants."""
    chosen = None if ids is None else list(ids)
    return [found for instant in instants for found in measure(tables, instant, chosen, by, bootstraps=bootstraps)]


def definition_fingerprint() -> str:
    """SHA-256 of all definitions of metrics; moves with a window or a formula, not with wording."""
    return hashlib.sha256("\n".join([f"lexicon {LEXICON_VERSION}", *definition_lines()]).encode()).hexdigest()


def _column(metric: Metric, part: str) -> str:
    return f"{metric.id}__{part}"


def _all_counted(moment: Moment, metrics: Sequence[Metric]) -> dict[str, Counted | Absent]:
    """The units of each metric, or why there are none; metrics over the same items are one pass."""
    found: dict[str, Counted | Absent] = {}
    together: dict[tuple[str, int | None], list[Metric]] = defaultdict(list)
    for metric in metrics:
        absent = _absent(moment, metric)
        if absent is not None or metric.items is None:
            found[metric.id] = absent or Absent("not_applicable", "no_input")
        else:
            together[metric.items.name, metric.window_days].append(metric)
    for (_, days), members in together.items():
        assert members[0].items is not None
        counted = _counted(moment, members[0].items, days, members)
        found |= {metric.id: counted for metric in members}
    return found


def _absent(moment: Moment, metric: Metric) -> Absent | None:
    """What the metric needs and the company does not have."""
    if metric.unavailable:
        return Absent("not_applicable", metric.unavailable)
    for need in metric.inputs:
        alternatives = [alternative.partition(".") for alternative in need.split("|")]
        if any(moment.has(table, *([column] if column else [])) for table, _, column in alternatives):
            continue
        lacks_table = not any(moment.has(table) for table, _, _ in alternatives)
        names = [table if lacks_table else f"{table}.{column}" for table, _, column in alternatives]
        return Absent("not_applicable", f"{'no_table' if lacks_table else 'no_column'}: {' or '.join(names)}")
    return None


def _counted(moment: Moment, items: Items, days: int | None, metrics: Sequence[Metric]) -> Counted | Absent:
    frame = items.prepare(moment, days)
    if isinstance(frame, Absent):
        return frame
    keys = ["unit", *(["customer_id"] if "customer_id" in frame.collect_schema().names() else [])]
    parts = {_column(metric, name): part for metric in metrics for name, part in metric.parts.items()}
    table = collected(frame.select(*keys, **{name: part.cast(nw.Float64) for name, part in parts.items()}))
    table = table.sort_by("unit")
    arrays = {name: table[name].to_numpy().astype(np.float64) for name in parts}
    return Counted(arrays, table["customer_id"] if "customer_id" in keys else None)


class _Run:
    """One split of one moment."""

    def __init__(self, moment: Moment, by: str | None, labels: Sequence[str] | None, bootstraps: bool) -> None:
        self.moment, self.by, self.bootstraps = moment, by, bootstraps
        self.labels = labels
        self._segments: dict[int, list[Segment]] = {}

    def envelopes(self, metric: Metric, counted: Counted | Absent) -> list[Envelope]:
        """One envelope per segment; one without a segment where there is nothing to split."""
        if isinstance(counted, Absent):
            return [self._enveloped(metric, None, Estimate(None, 0, status=counted.status, reason=counted.reason))]
        if self.labels is not None and counted.customers is None:
            company = Estimate(None, 0, status="not_applicable", reason="company_level: cannot be split by customers")
            return [self._enveloped(metric, None, company)]
        parts = counted.of(metric)
        found = [self._measured(metric, segment, parts) for segment in self._split(counted)]
        return [envelope for envelope, _ in found] if self.by is None else _with_shrunk(found)

    def _split(self, counted: Counted) -> list[Segment]:
        """The segments of the units; each segment that a customer has is there, with or without units."""
        if self.labels is None:
            return [Segment(None, slice(None))]
        if id(counted) not in self._segments:
            self._segments[id(counted)] = list(self._positions(counted))
        return self._segments[id(counted)]

    def _positions(self, counted: Counted) -> Iterator[Segment]:
        assert self.labels is not None
        people = self.moment.people["customer_id"]
        place = pa.compute.index_in(counted.customers, value_set=people).fill_null(len(people)).to_numpy()
        names, codes = np.unique(np.array([*self.labels, UNKNOWN], dtype=object).astype(str), return_inverse=True)
        code = codes[place]
        has_unknown = UNKNOWN in self.labels
        for position, name in enumerate(names):
            rows = np.flatnonzero(code == position)
            if name != UNKNOWN or has_unknown or len(rows):
                yield Segment(str(name), rows)

    def _measured(self, metric: Metric, segment: Segment, parts: Parts) -> tuple[Envelope, Estimate]:
        assert metric.kind is not None
        chosen = {name: values[segment.rows] for name, values in parts.items()}
        estimate = _with_status(metric, metric.kind.estimate(chosen))
        envelope = self._enveloped(metric, segment.name, estimate)
        if envelope.value is None or not (self.bootstraps or metric.kind.interval != "bootstrap"):
            return envelope, estimate
        interval = metric.kind.ends(chosen)
        if interval is None:
            return envelope, estimate
        low, high = _number(float(interval.low)), _number(float(interval.high))
        method = None if low is None and high is None else interval.method
        return replace(envelope, ci_low=low, ci_high=high, ci_method=method), estimate

    def _enveloped(self, metric: Metric, segment: str | None, estimate: Estimate) -> Envelope:
        status = estimate.status or "ok"
        shows = status in {"ok", "low_n"}
        low, high = estimate.bounds if estimate.bounds and status != "suppressed" else (None, None)
        return Envelope(
            metric_id=metric.id,
            code=metric.code,
            by=self.by,
            segment=segment,
            value=estimate.value if shows else None,
            unit=metric.unit,
            n=estimate.n,
            n_missing=estimate.n_missing,
            coverage=_coverage(estimate),
            ci_low=None,
            ci_high=None,
            ci_method=None,
            bound_low=low,
            bound_high=high,
            value_shrunk=None,
            window_days=metric.window_days,
            as_of=_spoken(self.moment.as_of_us),
            population=metric.population,
            definition_version=metric.version,
            definition_source=metric.definition_source,
            higher_is_better=metric.higher_is_better,
            status=status,
            reason=estimate.reason,
        )


def _rounded(value: float) -> float:
    return float(f"{value:.10g}")


def _coverage(estimate: Estimate) -> float | None:
    if estimate.coverage is not None:
        return estimate.coverage
    seen = estimate.n + estimate.n_missing
    return estimate.n / seen if seen else None


def _with_status(metric: Metric, estimate: Estimate) -> Estimate:
    """Say whether the value stands, is weak, or cannot be shown."""
    assert metric.kind is not None
    if estimate.value is None or not math.isfinite(estimate.value):
        status = estimate.status or metric.when_zero
        reason = estimate.reason or ("nothing_to_measure" if status == "empty" else "denominator_is_zero")
        return replace(estimate, value=None, status=status, reason=reason)
    if metric.kind.is_amount or estimate.status:
        return estimate
    if estimate.n < metric.hidden_below:
        return replace(estimate, status="suppressed", reason=f"n is below {metric.hidden_below}")
    if estimate.n < FEW:
        known = f"; {estimate.reason}" if estimate.reason else ""
        return replace(estimate, status="low_n", reason=f"n is below {FEW}{known}")
    return estimate


def _with_shrunk(found: Sequence[tuple[Envelope, Estimate]]) -> list[Envelope]:
    """Add the shrunk values of a split; a suppressed segment helps to find the centre, and stays suppressed."""
    estimates = [estimate for _, estimate in found]
    if all(estimate.variance is None for estimate in estimates):
        return [envelope for envelope, _ in found]
    values = [math.nan if e.value is None or e.variance is None else e.value for e in estimates]
    variances = [math.nan if e.variance is None else e.variance for e in estimates]
    results = shrunk(values, [e.n for e in estimates], variances)
    return [
        envelope if envelope.value is None else replace(envelope, value_shrunk=_number(float(result)))
        for (envelope, _), result in zip(found, results, strict=True)
    ]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _spoken(instant_us: int) -> str:
    """A date where the instant is midnight UTC, else an ISO instant that ends in Z."""
    moment = _EPOCH + timedelta(microseconds=instant_us)
    return str(moment.date()) if instant_us % DAY_US == 0 else moment.isoformat().replace("+00:00", "Z")
