"""Response types of metrics: the envelope of a value, and what the catalogue says of a metric."""

from __future__ import annotations

from pydantic import BaseModel

from vouch.serving.api.answer_types import Fresh


class MetricMeant(BaseModel):
    """What a value and its definition share."""

    metric_id: str
    code: str
    unit: str | None
    population: str | None
    window_days: int | None
    definition_version: str | None
    definition_source: str | None
    higher_is_better: bool | None


class MetricEnvelope(MetricMeant):
    """One value of a metric with what it rests on; the value is null where the status says why."""

    by: str | None
    segment: str | None
    value: float | None
    n: int | None
    n_items: int | None
    n_missing: int | None
    coverage: float | None
    ci_low: float | None
    ci_high: float | None
    ci_method: str | None
    bound_low: float | None
    bound_high: float | None
    value_shrunk: float | None
    as_of: str
    status: str
    reason: str | None


class MetricEntry(MetricMeant):
    """What a metric means, how it is computed, and where it comes from."""

    chapter: str
    name: str
    description: str
    formula: str
    source: str
    inputs: list[str]
    looks_back_days: int | None
    n_counts: str
    null_where: list[str]
    interval: str | None
    needs: str | None
    example: str
    example_value: float | None


class MetricsAnswer(Fresh):
    """Envelopes of metrics."""

    metrics: list[MetricEnvelope]


class CatalogueAnswer(BaseModel):
    """The catalogue of metrics."""

    metrics: list[MetricEntry]
