"""Scores of flat tables: rows of one customer each, by the model that was trained on a table of their columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.features.errors import UsageError, did_you_mean
from vouch.models.predictor import CHAMPIONS, load_champion
from vouch.models.scoring.bundle import TABLE
from vouch.models.scoring.flat_table import columns_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import pandas as pd

    from vouch.features.discovery.flat import FlatColumn
    from vouch.models.predictor import Predictor


def flat_champion(home: Path, name: str) -> Predictor:
    """The champion of a flat table; raises UsageError where there is none, BundleError for a damaged one."""
    predictor = load_champion(home, name)
    if predictor is None or TABLE not in predictor.manifest:
        present = sorted(path.name for path in (home / CHAMPIONS).glob("*") if (path / "bundle").exists())
        raise UsageError(
            f"There is no champion of a table called {name!r}{did_you_mean(name, present)}. "
            f"Make one: vouch train {name} --table FILE --label COLUMN"
        )
    return predictor


def columns(predictor: Predictor) -> tuple[FlatColumn, ...]:
    """The columns that a champion of a flat table reads, by their names in the table."""
    return columns_of(predictor.manifest, predictor.columns)


def scored_rows(
    predictor: Predictor, frame: pd.DataFrame, ids: np.ndarray[Any, Any], *, with_reasons: bool
) -> list[dict[str, Any]]:
    """One row per row of the frame (as `vouch.features.discovery.flat` makes it), in its order.

    `id`, `probability` with the ends of its 95 % interval (null where none is kept), `base`, and `reasons`: all columns
    with their parts of the log-odds, the largest first; with the base they add up to the raw score.
    """
    named = {column.name: column.column for column in columns(predictor)}
    reasons = None
    if with_reasons:
        (raw, probability), reasons = predictor.explained(frame)
    else:
        raw, probability = predictor.score(frame)
    low, high = predictor.interval(raw)
    reasons_by_row = reasons.as_arrow(frame).to_pylist() if reasons else [[]] * len(frame)
    return [
        {
            "id": str(ids[row]),
            "probability": float(probability[row]),
            "low": _number(low[row]),
            "high": _number(high[row]),
            "base": reasons.base if reasons else None,
            "reasons": None if reasons is None else [_reason(named, of) for of in reasons_by_row[row]],
        }
        for row in range(len(frame))
    ]


def _reason(named: Mapping[str, str], of: Mapping[str, Any]) -> dict[str, Any]:
    """A reason by the column of the table."""
    return {"column": named[of["feature"]], "value": of["value"], "contribution": of["contribution"]}


def _number(value: float) -> float | None:
    return float(value) if value == value else None  # NaN is no number
