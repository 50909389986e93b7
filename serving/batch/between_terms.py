"""Customers between two terms: who would read as gone in a company whose ends are last days, and may yet go on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute

from vouch.features.facts.last_days import between_terms
from vouch.features.facts.rows import counted
from vouch.features.facts.subscriptions import running

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from vouch.features.asof import Frame, Tables
    from vouch.serving.scoring.score import Scored

STATUS = "between_terms"


def customers_between_terms(tables: Tables, as_of_us: int) -> frozenset[str]:
    """Customers whose last term ended less than the gap before an instant; nobody where ends are no last days."""
    if "subscriptions" not in tables:
        return frozenset()
    rows = counted(tables, "subscriptions", as_of_us)
    going_on = between_terms(rows, as_of_us)
    return frozenset() if going_on is rows else _running(going_on, as_of_us) - _running(rows, as_of_us)


def _running(rows: Frame, as_of_us: int) -> frozenset[str]:
    customers = running(rows, as_of_us).select("customer_id").unique().collect("pyarrow")
    return frozenset(customers["customer_id"].to_list())


def with_terms(scored: Mapping[str, Scored], customers: pa.ChunkedArray, between: Collection[str]) -> dict[str, Scored]:
    """Scores whose status says of these customers that they are between two terms, and not that they have left."""
    if not between:
        return dict(scored)
    is_between = pa.compute.is_in(customers, value_set=pa.array(sorted(between), pa.string())).combine_chunks()
    return {name: replace(scores, status=_status(scores.status, is_between)) for name, scores in scored.items()}


def _status(status: pa.Array, is_between: pa.Array) -> pa.Array:
    is_gone = pa.compute.and_(pa.compute.equal(status, "churned"), is_between)
    return pa.compute.if_else(is_gone, STATUS, status)
