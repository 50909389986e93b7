"""Segment scan: each segment against the rest, over every split, with the false discovery rate held.

A hundred segments hold five that differ at the 5 % level though nothing is behind it; `q` is the least false discovery
rate at which a segment stands out among all that were looked at.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr

from vouch.features.metrics.catalogue import Absent, chosen_metrics
from vouch.features.metrics.comparisons.change import standard_error
from vouch.features.metrics.comparisons.linearisation import linear
from vouch.features.metrics.context import NO_SETTINGS, MetricContext
from vouch.features.metrics.envelopes import plain
from vouch.features.metrics.evaluate import Measurer
from vouch.features.metrics.splits import SEGMENTS, can_split
from vouch.features.metrics.units import Segment, all_counted
from vouch.features.statistics.false_discovery import adjusted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vouch.features.asof import Frame, Tables
    from vouch.features.metrics.catalogue import Metric
    from vouch.features.metrics.context import Settings
    from vouch.features.metrics.envelopes import Envelope
    from vouch.features.metrics.units import Counted

LEVEL = 0.05


@dataclass(frozen=True)
class SegmentFinding:
    """One segment of one metric, against everybody else. `difference` is the segment's value less that of the rest."""

    metric_id: str
    code: str
    by: str
    segment: str
    value: float
    value_shrunk: float | None
    value_of_rest: float
    difference: float
    n: int
    p: float
    q: float
    stands_out: bool
    higher_is_better: bool | None

    def as_dict(self) -> dict[str, Any]:
        """The columns by name, numbers to ten significant digits."""
        return plain(asdict(self))


def scan(
    tables: Tables,
    as_of_us: int,
    ids: Iterable[str] | None = None,
    bys: Sequence[str] = SEGMENTS,
    *,
    scores: Frame | None = None,
    settings: Settings = NO_SETTINGS,
) -> list[SegmentFinding]:
    """Compare every segment that can be shown with the rest of the company; the surest findings first."""
    metrics = chosen_metrics(ids)
    context = MetricContext(tables, as_of_us, scores, settings)
    counted = all_counted(context, metrics)
    findings: list[SegmentFinding] = []
    for by in bys:
        if can_split(tables, by):
            measurer = Measurer(context, by, bootstraps=False)
            for metric in metrics:
                findings += _against_the_rest(measurer, metric, counted[metric.id])
    q = adjusted([finding.p for finding in findings])
    rated = [replace(one, q=float(rate), stands_out=bool(rate <= LEVEL)) for one, rate in zip(findings, q, strict=True)]
    return sorted(rated, key=lambda one: (one.q, one.p, one.metric_id, one.by, one.segment))


def _against_the_rest(measurer: Measurer, metric: Metric, counted: Counted | Absent) -> list[SegmentFinding]:
    """Each segment of enough observations, where both it and the rest have a figure that can be tested."""
    if (
        isinstance(counted, Absent)
        or not counted.can_split(measurer.by or "")
        or metric.kind is None
        or metric.kind.is_amount
    ):
        return []
    envelopes = {envelope.segment: envelope for envelope in measurer.envelopes(metric, counted)}
    findings = []
    for segment in measurer.splitter.segments(counted):
        envelope = envelopes[segment.name]
        if envelope.status != "ok" or segment.rows is None:
            continue
        others = Segment(None, np.delete(np.arange(len(counted.units)), segment.rows))
        pair = [linear(metric.kind, counted.of(metric, part)) for part in (others, segment)]
        if pair[0] is None or pair[1] is None:
            continue
        error, _ = standard_error((pair[0], counted.clusters(others)), (pair[1], counted.clusters(segment)))
        if error > 0:
            difference = pair[1].value - pair[0].value
            p = float(2 * ndtr(-abs(difference / error)))
            findings.append(_finding(metric, measurer.by or "", envelope, pair[0].value, difference, p))
    return findings


def _finding(
    metric: Metric, by: str, envelope: Envelope, of_rest: float, difference: float, p: float
) -> SegmentFinding:
    assert envelope.value is not None, "only what has a value is tested"
    assert envelope.segment is not None, "only segments are tested"
    return SegmentFinding(
        metric_id=metric.id,
        code=metric.code,
        by=by,
        segment=envelope.segment,
        value=envelope.value,
        value_shrunk=envelope.value_shrunk,
        value_of_rest=of_rest,
        difference=difference,
        n=envelope.n,
        p=p,
        q=1.0,
        stands_out=False,
        higher_is_better=metric.higher_is_better,
    )
