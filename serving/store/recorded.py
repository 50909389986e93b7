"""Recorded asks, overrides, thanks, objections and details of customers as rows of the contract, for the batch to read.

Each version of an ask is known from the moment at which it was recorded, so that a week of the past sees no more than
was known then. Notes stay in the store. An override that was withdrawn ends at that moment, and stood before it. The
same rows give the same bytes, which are part of the fingerprint of the input.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import select

from vouch.features.durable import replacing
from vouch.serving.store.actions import THANKED
from vouch.serving.store.connection import FILE, FOLDER, Database
from vouch.serving.store.details import CONSENT_NAMES, GIVEN
from vouch.serving.store.tables import actions, ask_versions, asks, customer_details, objections, overrides

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from vouch.features.project import Project

RECORDED = "recorded"
_TIME = pa.timestamp("us", tz="UTC")
SCHEMAS = {
    "asks": pa.schema(
        [
            ("ask_id", pa.string()),
            ("customer_id", pa.string()),
            ("asked_at", _TIME),
            ("kind", pa.string()),
            ("outcome", pa.string()),
            ("outcome_at", _TIME),
            ("propensity", pa.float64()),
            ("is_randomised", pa.bool_()),
            ("ingested_at", _TIME),
            ("is_deleted", pa.bool_()),
        ]
    ),
    "recognitions": pa.schema(
        [("customer_id", pa.string()), ("occurred_at", _TIME), ("kind", pa.string()), ("ingested_at", _TIME)]
    ),
    "customers": pa.schema(
        [
            ("customer_id", pa.string()),
            ("created_at", _TIME),
            ("is_opted_out", pa.bool_()),
            ("contact_consent", pa.bool_()),
            ("advocacy_consent", pa.bool_()),
            ("owner", pa.string()),
            ("owner_email", pa.string()),
            ("ingested_at", _TIME),
        ]
    ),
    "health_overrides": pa.schema(
        [
            ("customer_id", pa.string()),
            ("score", pa.float64()),
            ("reason", pa.string()),
            ("set_by", pa.string()),
            ("set_at", _TIME),
            ("expires_at", _TIME),
            ("ingested_at", _TIME),
        ]
    ),
}


def recorded_rows(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Return what was recorded, by table of the contract."""
    versions = connection.execute(select(ask_versions).order_by(ask_versions.c.version_id))
    standing = connection.execute(select(overrides).order_by(overrides.c.override_id))
    is_thanks = (actions.c.kind == THANKED, actions.c.withdrawn_us.is_(None))
    thanks = connection.execute(select(actions).where(*is_thanks).order_by(actions.c.action_id))
    against = connection.execute(select(objections).order_by(objections.c.objection_id))
    details = connection.execute(select(customer_details).order_by(customer_details.c.detail_id))
    return {
        "asks": [*(_ask(row) for row in versions), *_without_versions(connection)],
        "health_overrides": [_override(row) for row in standing],
        "recognitions": [_thanks(row) for row in thanks],
        "customers": [*(change for row in against for change in _objection(row)), *(_detail(row) for row in details)],
    }


def _ask(row: Any) -> dict[str, Any]:
    return {
        "ask_id": row.ask_id,
        "customer_id": row.customer_id,
        "asked_at": row.asked_us,
        "kind": row.kind,
        "outcome": row.outcome,
        "outcome_at": row.outcome_us,
        "propensity": row.propensity,
        "is_randomised": row.is_randomised,
        "ingested_at": row.at_us,
        "is_deleted": row.action == "withdrawn",
    }


def _without_versions(connection: Connection) -> Iterator[dict[str, Any]]:
    """Asks that came into the store from elsewhere, without their versions: as they stand."""
    rows = select(asks).where(asks.c.ask_id.not_in(select(ask_versions.c.ask_id))).order_by(asks.c.ask_id)
    for row in connection.execute(rows):
        known_us = row.recorded_us if row.outcome_recorded_us is None else row.outcome_recorded_us
        fields = {name: getattr(row, name) for name in ("ask_id", "customer_id", "kind", "outcome")}
        times = {"asked_at": row.asked_us, "outcome_at": row.outcome_us, "ingested_at": known_us}
        chance = {"propensity": row.propensity, "is_randomised": row.is_randomised}
        yield {**fields, **times, **chance, "is_deleted": row.withdrawn_us is not None}


def _thanks(row: Any) -> dict[str, Any]:
    fields = {"customer_id": row.customer_id, "occurred_at": row.done_us, "kind": "thanks"}
    return {**fields, "ingested_at": row.recorded_us}


def _objection(row: Any) -> Iterator[dict[str, Any]]:
    """Each change of mind; only these columns count, the others are the company's to say."""
    for at_us, objects in ((row.objected_us, True), (row.withdrawn_us, False)):
        if at_us is not None:
            fields = {"customer_id": row.customer_id, "created_at": at_us, "is_opted_out": objects}
            yield {**fields, "ingested_at": at_us}


def _detail(row: Any) -> dict[str, Any]:
    """A consent or an owner as a CRM told it: an empty owner is an empty text, for null says nothing of it."""
    value = row.value == GIVEN if row.name in CONSENT_NAMES else row.value or ""
    times = {"created_at": row.changed_us, "ingested_at": row.recorded_us}
    return {"customer_id": row.customer_id, row.name: value, **times}


def _override(row: Any) -> dict[str, Any]:
    return {
        "customer_id": row.customer_id,
        "score": row.score,
        "reason": row.reason,
        "set_by": row.set_by,
        "set_at": row.set_us,
        "expires_at": row.expires_us if row.withdrawn_us is None else min(row.withdrawn_us, row.expires_us),
        "ingested_at": row.recorded_us,
    }


def with_recorded(project: Project) -> Project:
    """Return the project with what its service has recorded; the same one where there is no store, or nothing in it."""
    if project.store is None and not (project.home / FOLDER / FILE).exists():
        return project
    database = Database(project.home, project.store)
    with database.reading() as connection:
        tables = recorded_rows(connection)
    database.close()
    return replace(project, recorded={name: str(_written(project.home, name, of)) for name, of in tables.items() if of})


def _written(home: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    path = home / RECORDED / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(list(rows), SCHEMAS[name])
    if name == "customers":  # a column of which nothing was recorded is none that was handed over
        table = table.select([column for column in table.column_names if table[column].null_count < len(table)])
    with replacing(path) as draft:
        pq.write_table(table, draft, compression="zstd")
    return path
