"""Envelopes: the one form in which every metric comes, a value or null with a reason, and what it rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from vouch.features.instants import instant_text
from vouch.features.metrics.estimators import finite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.metrics.catalogue import Metric
    from vouch.features.metrics.estimators import Estimate
    from vouch.features.statistics.intervals import Interval


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
    n_items: int
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
        """The columns by name, numbers to ten significant digits; each is a plain value."""
        return plain(vars(self))


def is_shown(estimate: Estimate) -> bool:
    """Whether the value of an estimate may be told."""
    return (estimate.status or "ok") in {"ok", "low_n"}


def enveloped(
    metric: Metric,
    as_of_us: int,
    by: str | None,
    segment: str | None,
    estimate: Estimate,
    interval: Interval | None = None,
) -> Envelope:
    """The envelope of an estimate: its value where it may be told, with its interval where there is one."""
    status = estimate.status or "ok"
    ci_low, ci_high = (None, None) if interval is None else (finite(float(interval.low)), finite(float(interval.high)))
    low, high = _within(metric, estimate.bounds) if estimate.bounds and status != "suppressed" else (None, None)
    return Envelope(
        metric_id=metric.id,
        code=metric.code,
        by=by,
        segment=segment,
        value=estimate.value if is_shown(estimate) else None,
        unit=metric.unit,
        n=estimate.n,
        n_items=estimate.n if estimate.n_items is None else estimate.n_items,
        n_missing=estimate.n_missing,
        coverage=_coverage(estimate),
        ci_low=ci_low,
        ci_high=ci_high,
        ci_method=None if interval is None or ci_low is ci_high is None else interval.method,
        bound_low=low,
        bound_high=high,
        value_shrunk=None,
        window_days=metric.window_days,
        as_of=instant_text(as_of_us),
        population=metric.population,
        definition_version=metric.version,
        definition_source=metric.definition_source,
        higher_is_better=metric.higher_is_better,
        status=status,
        reason=estimate.reason,
    )


def _coverage(estimate: Estimate) -> float | None:
    if estimate.coverage is not None:
        return estimate.coverage
    seen = estimate.n + estimate.n_missing
    return estimate.n / seen if seen else None


def _within(metric: Metric, bounds: tuple[float, float]) -> tuple[float | None, float | None]:
    """Bounds cut to what is possible; nothing for an end that is no number."""
    assert metric.kind is not None
    least, most = metric.kind.limits
    low, high = (finite(min(max(bound, least), most)) for bound in bounds)
    return low, high


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its numbers to ten significant digits; what is no finite number is none.

    The last bits of a float depend on the engine and on the order of its rows; no n supports that many digits, and
    what is published must be the same bytes for the same inputs.
    """
    return {name: _plain_number(value) if isinstance(value, float | Decimal) else value for name, value in row.items()}


def _plain_number(value: float | Decimal) -> float | None:
    return float(f"{value:.10g}") + 0.0 if math.isfinite(value) else None  # added to 0, what comes out as -0 is 0
