"""Every metric computes its worked example, on every engine, and says where its definition comes from."""

from __future__ import annotations

import pytest
from metric_examples import one

from features.catalogue import METRICS, load_metrics

load_metrics()


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
@pytest.mark.parametrize("metric", METRICS.values(), ids=str)
def test_a_metric_computes_its_worked_example(metric, engine):
    envelope = one(metric.example.tables, metric.id, engine=engine)
    expected = metric.example.value if metric.example.value is None else pytest.approx(metric.example.value, abs=1e-4)
    assert envelope.value == expected, envelope
    if metric.example.status:
        assert envelope.status == metric.example.status
