"""Checks of a tree with a feature, a family, a chapter and a model more: run in the copy of `test_one_file`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from support.handwritten_weeks import MONDAY, metric, publish
from support.page_home import write_home
from support.rows.contract_rows import day, make_tables
from support.rows.metric_examples import one
from support.small_model import vectors as hand_vectors
from vouch import models
from vouch.features.metrics.catalogue import METRICS, load_metrics
from vouch.features.vectors.build import collect, vectors
from vouch.models.predictor import load_champion
from vouch.models.registry.champions import retrains_due
from vouch.serving.api.document.openapi import document
from vouch.serving.api.doors import API_ROUTES
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.state import ServingState
from vouch.serving.docs.metric_catalogue import catalogue_page
from vouch.serving.site import open_site
from vouch.serving.snapshots import schema

FEATURES = [
    "tickets_praised_90d",
    "tickets_praised_lifetime",
    "service_contacts_28d",
    "service_contacts_lifetime",
    "service_contacts_per_ticket",
]


def test_features_are_computed_and_listed(vouch):
    rows = json.loads(vouch("features", "--describe", "--format", "json")[1])
    assert set(FEATURES) <= {row["name"] for row in rows}
    tables = make_tables(
        customers=[{"customer_id": "a", "created_at": 1}],
        tickets=[{"ticket_id": str(n), "customer_id": "a", "opened_at": 95, "csat": n} for n in (4, 5)],
        touches=[
            {"touch_id": str(n), "customer_id": "a", "occurred_at": at, "kind": "service"}
            for n, at in enumerate((5, 95, 96))
        ],
    )
    found = collect(vectors(tables, day(100))).iloc[0]
    assert [found[name] for name in FEATURES] == [1.0, 1.0, 2.0, 3.0, 1.0]


@pytest.mark.parametrize("metric_id", ["service_share", "service_share_month"])
def test_metrics_are_computed_and_listed(vouch, metric_id):
    example = load_metrics()[metric_id].example
    assert one(example.tables, metric_id).value == example.value
    assert METRICS[metric_id].formula in catalogue_page()
    assert metric_id in vouch("metrics", "--describe")[1]


def test_the_model_is_found_by_all_that_asks_for_models(vouch):
    assert "speaking" in models.names()
    assert {"speaking_probability", "upgrade_probability"} <= set(schema.scores_schema(0).names)
    named = json.dumps(document(API_ROUTES)["components"]["schemas"])
    assert '"speaking"' in named


@pytest.mark.parametrize("language", ["en", "ko", "ro"])
def test_the_page_shows_all_of_them(tmp_path, language):
    write_home(tmp_path)
    publish(tmp_path, MONDAY, metrics=[metric("service_share", 50.0, unit="percent")])
    store = ServingState(tmp_path)
    store.refresh()
    site = open_site(MountedApp(), store, is_local=True)
    client = TestClient(Middleware(site, site), base_url="http://127.0.0.1")
    shown = client.get("/app/metrics", params={"lang": language})
    assert (shown.status_code, "Share of contacts for service" in shown.text, "Contacted" in shown.text) == (200, 1, 1)
    assert "speaking" in client.get("/app/models", params={"lang": language}).text


def test_champions_of_before_are_in_service_and_say_the_same():
    home = Path(os.environ["HOME_BEFORE"])
    assert retrains_due(home) == []
    for name, told in json.loads((home / "told.json").read_text()).items():
        frame = hand_vectors(50).assign(days_since_activity=3.0, tenure_days=400.0, tickets_open=1.0)
        assert load_champion(home, name).score(frame).probability.tolist() == told
