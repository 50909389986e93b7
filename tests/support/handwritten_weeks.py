"""Weeks published by hand through the store of snapshots: a few customers with plain figures, so that tests need no
model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from vouch.features.contract.tables import DAY_US
from vouch.features.instants import parse_instant
from vouch.models.quality.readiness import ASKING
from vouch.serving.snapshots import schema as columns
from vouch.serving.snapshots.files import Snapshot, drafting

BEFORE, MONDAY = map(parse_instant, ("2026-11-09", "2026-11-16"))
HOSTILE = '<script>alert("x")</script>'
REASON = {"family": "usage", "feature": "active_days_28d", "value": "3", "contribution": 0.75}
SECOND = {"family": "surveys", "feature": "nps_last", "value": "unknown", "contribution": -0.25}


def customer(customer_id: str, churn: float | None = 0.1, advocacy: float | None = 0.2, **other: Any) -> dict[str, Any]:
    """One customer's row of scores and profile; whose probability is None has left, unless told otherwise."""
    return {
        "customer_id": customer_id,
        "churn_status": "churned" if churn is None else "ok",
        "advocacy_status": "churned" if advocacy is None else "ok",
        "churn_probability": churn,
        "advocacy_probability": advocacy,
        "advocacy_score": None if advocacy is None else 100 * advocacy,
        "churn_band": None if churn is None else "low" if churn < 0.2 else "watch" if churn < 0.5 else "high",
        "churn_reasons": None if churn is None else [REASON, SECOND],
        "advocacy_reasons": None if advocacy is None else [SECOND, REASON],
        "churn_model": None if churn is None else "c" * 64,
        "advocacy_model": None if advocacy is None else "a" * 64,
        "advocate_tier": "none",
        "health_score": 50.0,
        "health_band": "watch",
        "contact_consent": True,
        "advocacy_consent": True,
        "mrr": 100.0,
        "tenure_days": 400.0,
        **other,
    }


WEEK = (
    customer(HOSTILE, 0.7, 0.95),
    customer("c1", 0.6, 0.1, mrr=300.0, health_band="at_risk", health_score=20.0),
    customer("c2", 0.3, 0.8, advocate_tier="active"),
    customer("c3", 0.05, 0.9, advocate_tier="influential", health_band="healthy", health_score=90.0),
    customer("c4", 0.55, 0.7, contact_consent=False, advocacy_consent=None),
    customer("c5", None, None, health_band="unknown", health_score=None),
)
EARLIER = (customer("c0", 0.1, 0.1), customer("c1", 0.1, 0.1, mrr=300.0), *WEEK[2:5], customer("c5", 0.4, 0.1))


def known_ask(ask_id: str, days: float, outcome: str | None = None) -> dict[str, Any]:
    """An ask that the company's own data hold, made so many days before MONDAY and answered a day later."""
    asked_us = round(MONDAY - days * DAY_US)
    row = {"ask_id": ask_id, "kind": "review", "asked_us": asked_us, "outcome": outcome}
    return {**row, "outcome_us": None if outcome is None else asked_us + DAY_US, "is_randomised": False}


def metric(metric_id: str, value: float | None, **other: Any) -> dict[str, Any]:
    """One envelope of a metric."""
    return {
        "metric_id": metric_id,
        "code": "M00",
        "value": value,
        "unit": "percent",
        "n": 40,
        "n_items": 40,
        "n_missing": 0,
        "coverage": 1.0,
        "ci_low": None if value is None else value - 5,
        "ci_high": None if value is None else value + 5,
        "ci_method": "wilson",
        "window_days": 90,
        "population": "everybody",
        "definition_version": "1",
        "definition_source": "published",
        "higher_is_better": True,
        "status": "ok",
        **other,
    }


METRICS = (
    metric("nps", 41.5, unit="points"),
    metric("retention_rate", 91.25, n=12, status="low_n"),
    metric("retention_rate", 55.0, by="region", segment="EMEA"),
    metric("csat", None, n=3, status="suppressed", reason="fewer than five"),
)


NEEDS = tuple(
    {"customer_id": name, "respect": None, "gratitude": 0.0, "access": 0.5, "listening": None, "recognition": 1.0,
     "presence": None, "care": 50.0, "first_unmet_need": "gratitude"} for name in ("c2", HOSTILE)
)  # fmt: skip
OPEN = (
    {"feedback_id": "f1", "customer_id": None, "source": "google", "topic": HOSTILE, "said_at": "2026-11-01T10:00:00Z",
     "days_open": 14, "tone": -0.5, "is_overdue": True},
)  # fmt: skip
LISTS = {"care_needs": NEEDS, "open_feedback": OPEN}
"""Lists behind the figures: of some customers, and of nobody."""


def rows_of_lists(lists: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The rows of `lists.parquet`."""
    return [
        {"list": name, "rank": rank, "customer_id": row.get("customer_id"), "row": json.dumps(row, ensure_ascii=False)}
        for name, rows in lists.items()
        for rank, row in enumerate(rows, 1)
    ]


def publish(
    home: Path, as_of_us: int = MONDAY, people=WEEK, metrics=METRICS, movers=(), lists=LISTS, **manifest: Any
) -> Snapshot:
    """Publish one week; the rows may lack columns, which are null then."""
    tables = {
        "scores": (columns.scores_schema(as_of_us), people),
        "customers": (columns.CUSTOMERS, people),
        "metrics": (columns.metrics_schema(as_of_us), metrics),
        **(
            {"changes": (columns.changes_schema(as_of_us), people)}
            if any("churn_changes" in row for row in people)
            else {}
        ),
        **({"movers": (columns.movers_schema(as_of_us), movers)} if movers else {}),
        **({"lists": (columns.LISTS, rows_of_lists(lists))} if lists else {}),
    }
    with drafting(home, as_of_us) as draft:
        for name, (schema, rows) in tables.items():
            when = columns.repeated(as_of_us, 1)[0].as_py() if "as_of" in schema.names else None
            known = [{column: row.get(column) for column in schema.names} for row in rows]
            filled = [{**row, "as_of": when} if "as_of" in row else row for row in known]
            with draft.table(name, schema) as writer:
                writer.write_table(pa.Table.from_pylist(filled, schema))
        return draft.publish(
            {
                "now": "2026-11-16T06:00:00Z",
                "data_through": "2026-11-15T21:30:00Z",
                "engine": "duckdb",
                "code_version": "0.1.0",
                "inputs": "i" * 64,
                "input_fingerprint": "f" * 64,
                "definition_fingerprint": "d" * 64,
                "metrics_fingerprint": "m" * 64,
                "models": {
                    "churn": {"content_hash": "c" * 64, "kind": "logistic", "target": "contract"},
                    "advocacy": {"content_hash": "a" * 64, "kind": "logistic", "target": "organic"},
                },
                "rows_in": {"customers": 6, "usage_events": 1200},
                "quarantined": {"customers": 0, "usage_events": 7},
                "rows_out": {name: len(rows) for name, (_, rows) in tables.items()},
                "statuses": {},
                **({"lists": {name: {"total": len(rows)} for name, rows in lists.items()}} if lists else {}),
                "warnings": ["The data end early."],
                "readiness": [
                    {"output": "churn", "ready": True, "why": "546 days of activity; it came true for 9 of 400"},
                    {"output": "advocacy", "ready": False, "why": "the table advocacy_acts or referrals is absent"},
                    {
                        "output": ASKING,
                        "ready": False,
                        "why": "none of 400 customers has consented",
                        "code": "no_consent",
                        "figures": {"total": 400},
                    },
                ],
                **manifest,
            }
        )
