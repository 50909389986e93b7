"""Every metric computes its worked example, on every engine, and says where its definition comes from."""

from __future__ import annotations

import pytest

from support.rows.metric_examples import one
from vouch.features.metrics.catalogue import METRICS, load_metrics
from vouch.features.metrics.estimators import Custom, Figure
from vouch.serving.docs.metric_catalogue import catalogue_page

load_metrics()
STATUSES = {
    "ok", "low_n", "suppressed", "empty", "empty_denominator", "not_applicable", "insufficient_history",
}  # fmt: skip


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
@pytest.mark.parametrize("metric", METRICS.values(), ids=str)
def test_a_metric_computes_its_worked_example(metric, engine):
    envelope = one(metric.example.tables, metric.id, engine=engine)
    expected = metric.example.value if metric.example.value is None else pytest.approx(metric.example.value, abs=1e-4)
    assert envelope.value == expected, envelope
    if metric.example.status:
        assert envelope.status == metric.example.status
    assert envelope.status in STATUSES
    assert (envelope.value is not None) == (envelope.status in {"ok", "low_n"})
    assert envelope.value is not None or envelope.reason
    assert (envelope.ci_method is None) == (envelope.ci_low is None and envelope.ci_high is None)
    assert envelope.value is None or metric.kind.interval is None or envelope.ci_method is not None or envelope.n < 6
    assert envelope.n >= 0
    assert envelope.n_missing >= 0
    for name in ("unit", "as_of", "population", "definition_version", "definition_source"):
        assert getattr(envelope, name), name


@pytest.mark.parametrize("metric", METRICS.values(), ids=str)
def test_the_page_says_everything_of_a_metric(metric):
    page = catalogue_page()
    entry = page[page.index(f'<a id="{metric.id}"></a>') :].split("\n### ")[0]
    for text in (metric.code, metric.name, metric.description, metric.formula, metric.unit, metric.source,
                 metric.example.text, metric.population, metric.n_counts, *metric.null_where):  # fmt: skip
        assert text in entry
    assert all(part in entry for need in metric.inputs for part in need.split("|"))


def test_what_is_our_own_says_so():
    ours = {metric.id for metric in METRICS.values() if not metric.is_published}
    assert {metric_id for metric_id in ours if METRICS[metric_id].definition_source != "project"} == set()
    assert {"ces_operational", "cai", "emotional_loyalty", "engagement_benchmark", "clv_per_capex", "care_index",
            "cultural_relevance", "cxi_four_component", "health_score"} <= ours  # fmt: skip


COMPOSITES = (
    "ces_operational", "cai", "emotional_loyalty", "cxi_four_component", "cxi_forrester3", "care_index",
    "engagement_benchmark", "health_score",
)  # fmt: skip


@pytest.mark.parametrize("metric_id", COMPOSITES)
def test_a_composite_comes_with_bounds(metric_id):
    kind = METRICS[metric_id].kind
    assert isinstance(kind, Custom | Figure)
    found = one(METRICS[metric_id].example.tables, metric_id)
    assert found.bound_low is not None
    if found.value is not None:
        assert found.bound_low - 1e-9 <= found.value <= found.bound_high + 1e-9
