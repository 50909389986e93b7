"""Conversion of one batch of vectors, profiles or metrics to the form of a snapshot's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute

from vouch.features.health import UNKNOWN
from vouch.features.metrics.catalogue import chosen_metrics
from vouch.features.metrics.evaluate import envelopes_of
from vouch.features.metrics.splits import SEGMENTS
from vouch.serving.snapshots import schema as columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.metrics.context import MetricContext
    from vouch.serving.batch.histories import Histories
    from vouch.serving.scoring.score import Scored


def score_table(
    schema: pa.Schema,
    batch: pa.Table,
    as_of_us: int,
    scored: Mapping[str, Scored],
    tier: Mapping[str, str],
    values: Mapping[str, pa.Array],
) -> pa.Table:
    """Return one batch of `scores.parquet` from vectors with health, scores, tiers and lifetime values.

    Who has left has no health: a score over what is left of a customer would turn green. Nor has who objects to being
    profiled. Of whom too little is known for a band there is no score either, but its bounds.
    """
    rows, customers = len(batch), batch["customer_id"]
    cells: dict[str, Any] = {"customer_id": customers, "as_of": columns.repeated(as_of_us, rows)}
    for name, of_model in scored.items():
        cells |= {f"{name}_{part}": column for part, column in vars(of_model).items()}
    cells["advocacy_score"] = pa.compute.multiply(scored["advocacy"].probability, 100.0)
    cells["advocate_tier"] = pa.array([tier.get(customer, "none") for customer in customers.to_pylist()])
    has_left = pa.compute.equal(scored["churn"].status, "churned")
    is_out = pa.compute.is_in(scored["churn"].status, pa.array([columns.OPTED_OUT, "churned"]))
    for name in columns.HEALTH_BOUNDS:
        cells[name] = pa.compute.if_else(is_out, None, batch[name])
    is_unknown = pa.compute.or_(is_out, pa.compute.equal(batch["health_band"], UNKNOWN))
    cells["health_score"] = pa.compute.if_else(is_unknown, None, batch["health_score"])
    cells["health_band"] = pa.compute.if_else(has_left, UNKNOWN, batch["health_band"])
    cells |= values
    return pa.table(cells).select(schema.names).cast(schema)


def profile_table(profile: pa.Table, batch: pa.Table, past: Histories, is_out: pa.Array) -> pa.Table:
    """Return one batch of `customers.parquet` from profiles, the vectors of the same customers, and their past.

    `is_out` says who objects to being profiled: nothing that rules conclude is told of them.
    """
    cells = {name: profile[name] for name in profile.column_names}
    for name in ("last_asked", "renewal"):
        cells[f"{name}_at"] = profile[f"{name}_us"].cast(pa.timestamp("us", tz="UTC"))
    cells |= {name: batch[name] for name in ("tenure_days", "nps_last")}
    cells["silent_days"] = batch["days_since_activity"]
    profiled = pa.compute.if_else(is_out, None, profile["customer_id"])
    cells |= past.of(profiled.to_pylist())
    return pa.table(cells).select(columns.CUSTOMERS.names).cast(columns.CUSTOMERS)


def envelope_table(context: MetricContext) -> pa.Table:
    """Return all metrics at an instant as `metrics.parquet` holds them: the company as a whole, then its segments.

    A segment of too few customers to be named is pooled with its like.
    """
    metrics, splits = chosen_metrics(None), (None, *SEGMENTS)
    envelopes = envelopes_of(context, metrics, splits, everything=True, bootstraps=True, is_published=True)
    rows = [envelope.as_dict() for envelope in envelopes]
    schema = columns.metrics_schema(context.as_of_us)
    plain = schema.remove(schema.get_field_index("as_of"))
    table = pa.Table.from_pylist([{name: row[name] for name in plain.names} for row in rows], schema=plain)
    as_of = columns.repeated(context.as_of_us, len(table))
    return table.append_column("as_of", as_of).select(schema.names).cast(schema)
