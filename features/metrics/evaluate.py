"""Evaluation of metrics at an instant: counts in the engine, one row per unit; values and intervals here.

Every metric comes in the same envelope: a value, or null with a reason, and what it rests on. A count over a table that
is there but holds no rows is 0; a mean or a share of nothing is null.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vouch.features.instants import instant_text
from vouch.features.metrics.catalogue import HIDDEN_BELOW, Absent, chosen_metrics, metric_definition_lines
from vouch.features.metrics.context import NO_SETTINGS, MetricContext
from vouch.features.metrics.envelopes import enveloped, is_shown
from vouch.features.metrics.estimators import FEW, Estimate, finite
from vouch.features.metrics.estimators.foreseen import OUT_OF_TIME
from vouch.features.metrics.populations.named_segments import segment_labels
from vouch.features.metrics.splits import SENSITIVE, TOUCHPOINT, can_split, check_split
from vouch.features.metrics.units import NONE_LOST, Splitter, counted_together
from vouch.features.sentiment.learned import SENTIMENT_VERSION
from vouch.features.statistics.shrinkage import shrunk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from vouch.features.asof import Frame, Tables
    from vouch.features.metrics.catalogue import Metric
    from vouch.features.metrics.context import Record, Settings
    from vouch.features.metrics.envelopes import Envelope
    from vouch.features.metrics.estimators import Parts
    from vouch.features.metrics.units import Counted, Lost, Segment
    from vouch.features.statistics.intervals import Interval

COVERAGE = "coverage"
"""A part of this name is the share of the inputs that is there, the same for all units."""
ITEMS = "items"
"""A part of this name says how many things were counted of each unit."""
MOST_SEGMENTS = 500
"""A split into more segments is made where it is asked for by itself."""
DUST = 1e-9
"""What rounding may put a value beyond its limits."""


def measure(
    tables: Tables,
    as_of_us: int,
    ids: Iterable[str] | None = None,
    by: str | None = None,
    scores: Frame | None = None,
    *,
    bootstraps: bool = True,
    settings: Settings = NO_SETTINGS,
    record: Record | None = None,
) -> list[Envelope]:
    """Measure the company at an instant, as known just before it.

    Args:
        tables: the company's tables.
        as_of_us: the instant, microseconds since 1970 UTC.
        ids: metrics to compute; all where None.
        by: what to split by, one of `vouch.features.metrics.splits.SPLITS`; the company as a whole where None.
        scores: a published snapshot's scores of that instant, for the metrics that rest on a model.
        bootstraps: whether to compute the intervals that are bootstraps; they take most of the time.
        settings: what the company has set for its metrics.
        record: the weeks that were published before.

    Returns:
        One envelope per metric, or per metric and segment, in the order of the catalogue. Split, and without ids,
        what cannot be had or split is left out.

    Raises:
        UsageError: for an unknown id, or something that customers cannot be split by.
    """
    if by is not None:
        check_split(tables, by)
    return measure_by(tables, as_of_us, [by], ids, scores, bootstraps=bootstraps, settings=settings, record=record)


def measure_by(
    tables: Tables,
    as_of_us: int,
    bys: Sequence[str | None],
    ids: Iterable[str] | None = None,
    scores: Frame | None = None,
    *,
    bootstraps: bool = True,
    settings: Settings = NO_SETTINGS,
    is_published: bool = False,
    record: Record | None = None,
) -> list[Envelope]:
    """Measure as `measure` does, for several splits at the cost of one pass over the tables.

    A split by a column that the company did not hand over is left out, and one into more than `MOST_SEGMENTS`. In what
    is to be published, segments that only a few customers have in common are pooled.
    """
    metrics = chosen_metrics(ids)
    context = MetricContext(tables, as_of_us, scores, settings, record)
    everything = ids is None
    return envelopes_of(context, metrics, bys, everything=everything, bootstraps=bootstraps, is_published=is_published)


def envelopes_of(
    context: MetricContext,
    metrics: Sequence[Metric],
    bys: Sequence[str | None],
    *,
    everything: bool,
    bootstraps: bool,
    is_published: bool = False,
) -> list[Envelope]:
    """Envelopes of metrics at an instant; with `everything`, what cannot be had or split is left out of a split."""
    bys = [by for by in bys if by is None or can_split(context.tables, by)]
    runs = [Measurer(context, by, bootstraps, is_published) for by in bys]
    if len(bys) > 1:
        runs = [run for run in runs if run.splitter.count <= MOST_SEGMENTS]
        bys = [run.by for run in runs]
    made: dict[tuple[str | None, str], list[Envelope]] = {}
    for members, counted in counted_together(context, metrics):
        for run in runs:
            made |= {(run.by, metric.id): run.envelopes(metric, counted) for metric in members}
            run.splitter.forget()
        del counted  # units of one pass at a time: a large company has millions
    ordered = ((by, made[by, metric.id]) for by in bys for metric in metrics)
    return [
        envelope
        for by, envelopes in ordered
        for envelope in envelopes
        if by is None or not everything or envelope.segment is not None
    ]


def definition_fingerprint(settings: Settings = NO_SETTINGS) -> str:
    """SHA-256 of all definitions and of what a company sets; moves with a window or a formula, not with wording."""
    lines = [SENTIMENT_VERSION, f"{settings}", *metric_definition_lines()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class Measurer:
    """One split at one instant."""

    def __init__(self, context: MetricContext, by: str | None, bootstraps: bool, is_published: bool = False) -> None:
        self.context, self.by, self.bootstraps = context, by, bootstraps
        self.splitter = Splitter(segment_labels(context, by), by, is_published)

    def envelopes(self, metric: Metric, counted: Counted | Absent) -> list[Envelope]:
        """One envelope per segment; one without a segment where there is nothing to split."""
        if isinstance(counted, Absent):
            absent = Estimate(None, 0, bounds=counted.bounds, status=counted.status, reason=counted.reason)
            return [enveloped(metric, self.context.as_of_us, self.by, None, absent)]
        if self.by is not None and not counted.can_split(self.by):
            what = "by touchpoint: it counts no answers" if self.by == TOUCHPOINT else "by customers"
            company = Estimate(None, 0, status="not_applicable", reason=f"company_level: cannot be split {what}")
            return [enveloped(metric, self.context.as_of_us, self.by, None, company)]
        lost = self._lost(metric, counted)
        measured = [
            self.measured(metric, segment, counted, lost.get(segment.name, NONE_LOST))
            for segment in self.splitter.segments(counted)
        ]
        return [envelope for envelope, _ in measured] if self.by is None else _with_shrunk(measured)

    def _lost(self, metric: Metric, counted: Counted) -> dict[str | None, Lost]:
        """By segment, which units are not certain because of rows or cells that could not be read."""
        if not counted.with_refused:
            return {}
        ours, *others = (
            {of.name: of for of in self.splitter.segments(one)} for one in (counted, *counted.with_refused)
        )
        names = dict.fromkeys(name for segments in (ours, *others) for name in segments)
        return {name: counted.lost(metric, ours.get(name), [of.get(name) for of in others]) for name in names}

    def measured(
        self, metric: Metric, segment: Segment, counted: Counted, lost: Lost = NONE_LOST
    ) -> tuple[Envelope, Estimate]:
        """The envelope of one segment, and the estimate behind it; `lost` units could not be measured, besides."""
        assert metric.kind is not None
        chosen = counted.of(metric, segment)
        figure = metric.kind.estimate(chosen) if counted.size(segment) else metric.kind.of_nothing
        if COVERAGE in chosen and figure.value is not None:
            figure = replace(figure, coverage=float(np.nanmax(chosen[COVERAGE])))
        if ITEMS in chosen:
            figure = replace(figure, n_items=round(float(np.nansum(chosen[ITEMS]))))
        if (listed := counted.listed(segment)) is not None and not listed.all():
            of_listed = {name: values[listed] for name, values in chosen.items()}
            figure = replace(figure, n=metric.kind.estimate(of_listed).n if listed.any() else 0)
        lost = lost.but_for(self._missing_of(metric, chosen, figure, lost.spares(segment, counted.size(segment))))
        missing, figure = figure.n_missing + lost.units, _short_of(figure, lost)
        if figure.bounds is None and missing and figure.value is not None and lost.are_all:
            is_certain = lost.spares(segment, counted.size(segment))
            certain = {name: values[is_certain] for name, values in chosen.items()}
            figure = replace(figure, bounds=metric.kind.bounds(certain, missing) if is_certain.any() else None)
        estimate = self._with_status(metric, figure)
        if self._names_people(metric, segment, estimate):
            reason = "a cell of few people in a sensitive split"
            estimate = replace(estimate, value=None, status="suppressed", reason=reason)
        ends = self._ends(metric, segment, chosen, estimate.value) if is_shown(estimate) else None
        return enveloped(metric, self.context.as_of_us, self.by, segment.name, estimate, ends), estimate

    def _ends(self, metric: Metric, segment: Segment, chosen: Parts, value: float | None) -> Interval | None:
        """The interval that holds a value; None where there is none, or it would call the value certain."""
        assert metric.kind is not None
        if value is None or not (self.bootstraps or metric.kind.interval != "bootstrap"):
            return None
        is_finite = segment.name is None and metric.items is not None and metric.items.is_sample
        interval = metric.kind.ends(chosen, self.context.settings.population if is_finite else None)
        if interval is None:
            return None
        interval = interval.holding(value)
        is_known = interval.method == OUT_OF_TIME or (is_finite and self.context.settings.population)
        # where all were alike, that does not say that the others are
        return None if _has_no_width(interval) and not is_known else interval

    @staticmethod
    def _missing_of(metric: Metric, chosen: Parts, figure: Estimate, is_certain: NDArray[np.bool_]) -> int:
        """How many of the units that are not certain the estimate counts as missing by itself."""
        assert metric.kind is not None
        if not figure.n_missing or is_certain.all():
            return 0
        certain = {name: values[is_certain] for name, values in chosen.items()}
        return figure.n_missing - (metric.kind.estimate(certain).n_missing if is_certain.any() else 0)

    def _names_people(self, metric: Metric, segment: Segment, estimate: Estimate) -> bool:
        """Whether a cell of a sensitive split is so small that even a count would tell of somebody."""
        if self.by not in SENSITIVE:
            return False
        people = self.splitter.people(segment.name)
        hidden_below = least_shown(metric, self.context.settings)
        return estimate.n < hidden_below or (people is not None and people < hidden_below)

    def _with_status(self, metric: Metric, estimate: Estimate) -> Estimate:
        """Say whether the value stands, is weak, or cannot be shown."""
        assert metric.kind is not None
        if estimate.value is None or not math.isfinite(estimate.value):
            status = estimate.status or metric.when_zero
            reason = estimate.reason or self._unknown(metric)
            reason = reason or ("nothing_to_measure" if status == "empty" else "denominator_is_zero")
            return replace(estimate, value=None, status=status, reason=reason)
        least, most = metric.kind.limits
        if not least - DUST <= estimate.value <= most + DUST:
            reason = f"not possible: {estimate.value:g} is not within {least:g} and {most:g}"
            return replace(estimate, value=None, status="not_applicable", reason=reason)
        estimate = replace(estimate, value=min(max(estimate.value, least), most))
        if metric.kind.is_amount or estimate.status:
            return estimate
        hidden_below = least_shown(metric, self.context.settings)
        if estimate.n < hidden_below:
            return replace(estimate, status="suppressed", reason=f"n is below {hidden_below}")
        if estimate.n < FEW:
            known = f"; {estimate.reason}" if estimate.reason else ""
            return replace(estimate, status="low_n", reason=f"n is below {FEW}{known}")
        return estimate

    def _unknown(self, metric: Metric) -> str | None:
        """That a table which the metric reads has rows, and that the company knew none of them at the instant."""
        for table in dict.fromkeys(way.split(".")[0] for need in metric.inputs for way in need.split("|")):
            if (first_us := self.context.unknown_until_us(table)) is not None:
                return f"nothing of {table} is known before {instant_text(first_us)}"
        return None


def _has_no_width(interval: Interval) -> bool:
    """Whether an interval is a point, but for rounding: it would call a value certain that nobody knows to be."""
    low, high = finite(float(interval.low)), finite(float(interval.high))
    return low is not None and high is not None and math.isclose(low, high, rel_tol=1e-9, abs_tol=1e-12)


def _short_of(estimate: Estimate, lost: Lost) -> Estimate:
    """The estimate where so many units more are missing; bounds that do not know of these hold no longer."""
    if not lost.units:
        return estimate
    share = estimate.n / (estimate.n + lost.count) if estimate.n else 0.0
    coverage = None if estimate.coverage is None else estimate.coverage * share
    return replace(estimate, n_missing=estimate.n_missing + lost.count, coverage=coverage, bounds=None)


def least_shown(metric: Metric, settings: Settings) -> int:
    """Least observations that are shown: what the company has set, unless the metric asks for more than is usual."""
    if settings.hidden_below is None or metric.hidden_below > HIDDEN_BELOW:
        return metric.hidden_below
    return settings.hidden_below


def _with_shrunk(measured: Sequence[tuple[Envelope, Estimate]]) -> list[Envelope]:
    """Add the shrunk values of a split; a suppressed segment helps to find the centre, and stays suppressed."""
    estimates = [estimate for _, estimate in measured]
    if all(estimate.variance is None for estimate in estimates):
        return [envelope for envelope, _ in measured]
    values = [math.nan if e.value is None or e.variance is None else e.value for e in estimates]
    variances = [math.nan if e.variance is None else e.variance for e in estimates]
    results = shrunk(values, [e.n for e in estimates], variances)
    return [
        envelope if envelope.value is None else replace(envelope, value_shrunk=finite(float(result)))
        for (envelope, _), result in zip(measured, results, strict=True)
    ]
