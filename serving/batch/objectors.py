"""Customers who object to being profiled, in the tables of a week: their rows stand there, and say nothing of them.

They count in the metrics of the company as a whole. No vector is computed of them; where a table has one row per
customer theirs holds the id and the status `opted_out`.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute

from vouch.features.facts.customers import external_customers, objecting_customers
from vouch.features.metrics.context import collected
from vouch.serving.scoring.score import Scored
from vouch.serving.snapshots.schema import OPTED_OUT

if TYPE_CHECKING:
    from vouch.features.asof import Frame, Tables

KEYS = ("customer_id", "as_of_us")


def objectors_at(tables: Tables, as_of_us: int) -> frozenset[str]:
    """Return the external customers who object, as it was known at an instant."""
    rows = objecting_customers(tables, as_of_us).select("customer_id")
    return frozenset(collected(rows)["customer_id"].to_pylist())


def with_objectors(vectors: Frame, tables: Tables, as_of_us: int, has_objectors: bool) -> Frame:
    """Return vectors with an empty row for each who objects, so that all tables of a week have the same customers."""
    if not has_objectors:
        return vectors
    people = external_customers(tables, as_of_us).select(*KEYS)
    known = people if people.implementation.is_polars() else people.collect("polars").lazy()  # as vectors are
    return known.join(vectors, on=list(KEYS), how="left")


def without_objectors(scored: Scored, is_out: pa.Array) -> Scored:
    """Return the columns of one model with nothing but the status for who objects."""
    flags = np.asarray(is_out.to_numpy(zero_copy_only=False), dtype=bool)
    if not flags.any():
        return scored
    places = pa.array(np.arange(len(flags)), mask=flags)
    left = {field.name: getattr(scored, field.name).take(places) for field in fields(Scored)}
    return Scored(**left | {"status": pa.compute.fill_null(left["status"], OPTED_OUT)})
