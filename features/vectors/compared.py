"""Comparisons with the span before: null where the data begin within it, or everybody would seem to rise from nothing.

Training keeps to cutoffs that have their history behind them, so it meets none of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.asof import view
from vouch.features.contract.tables import ACTIVITY_TABLES, DAY_US
from vouch.features.facts.beginning import beginning_us
from vouch.features.vectors.declare import load_families

if TYPE_CHECKING:
    from vouch.features.asof import Frame, Tables

MOST_OF_IT = 0.75
"""The least share of the span before that must be there."""


def compared_days() -> dict[str, float]:
    """How far the data must go back for each feature that holds a span against the one before, in days."""
    return {
        declared.name: declared.window_days * (1 + MOST_OF_IT)
        for declared in load_families().values()
        if declared.aggregate is not None and declared.aggregate.operation == "growth" and declared.window_days
    }


def without_early_comparisons(vectors: Frame, tables: Tables, as_of_us: int) -> Frame:
    """Vectors of an instant, null in each comparison with a span that the company's data do not hold."""
    begins_us = beginning_us(view(tables, name, as_of_us) for name in ACTIVITY_TABLES if name in tables)
    days = 0.0 if begins_us is None else (as_of_us - begins_us) / DAY_US
    present = set(vectors.collect_schema().names())
    early = [name for name, needed in compared_days().items() if name in present and days < needed]
    return vectors.with_columns(nw.lit(None, nw.Float64).alias(name) for name in early) if early else vectors
