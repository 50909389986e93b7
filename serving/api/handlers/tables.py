"""Handler of scoring for flat tables: rows with the columns of the table that a model was trained on."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BaseModel, Field

from vouch.features.discovery.flat import CATEGORY, DAYS
from vouch.features.errors import BundleError, UsageError
from vouch.serving.api.answer_types import ModelKind
from vouch.serving.api.problems import Problem
from vouch.serving.api.schemas import Cell, Request, Text
from vouch.serving.scoring.flat_scores import columns, flat_champion, scored_rows

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from vouch.models.predictor import Predictor
    from vouch.serving.api.state import ServingState

MAX_ROWS = 1_000


class TableRow(Request):
    """One row: its cells by the names of the table's columns. What is left out is null."""

    id: Text | None = None
    cells: Annotated[dict[Text, Cell], Field(min_length=1, max_length=2_000)]


class TableScore(Request):
    """Rows of a flat table, to be scored by the champion that was trained on it."""

    model: Annotated[Text, Field(description="As in `vouch train NAME --table`.", max_length=63)]
    rows: Annotated[list[TableRow], Field(min_length=1, max_length=MAX_ROWS)]
    reasons: bool = True


class ColumnReason(BaseModel):
    """The part of one column in a score, in log-odds."""

    column: str
    value: str
    contribution: float


class ScoredRow(BaseModel):
    """The score of one row, in the order of the request; `id` as it was given, else the number of the row."""

    id: str
    probability: float
    low: float | None
    high: float | None
    base: float | None
    reasons: list[ColumnReason] | None


class TableScores(BaseModel):
    """Scores for the rows of a request, by the champion of now."""

    model: str
    content_hash: str
    kind: ModelKind
    positive: Annotated[str, Field(description="What stands in the label where what is predicted came true.")]
    scores: list[ScoredRow]


def score_table_rows(store: ServingState, request: TableScore) -> dict[str, Any]:
    """Scores of the rows of a request, in their order."""
    predictor = _champion(store.home, request.model)
    frame = _frame(predictor, request.rows)
    ids = np.array([row.id or str(number) for number, row in enumerate(request.rows)], dtype=object)
    return {
        "model": predictor.name,
        "content_hash": predictor.content_hash,
        "kind": predictor.kind,
        "positive": predictor.manifest["table"]["positive"],
        "scores": scored_rows(predictor, frame, ids, with_reasons=request.reasons),
    }


def _champion(home: Path, name: str) -> Predictor:
    try:
        bundle = (home / "champions" / name / "bundle").resolve()
        return _loaded(home, name, str(bundle))
    except (UsageError, BundleError, OSError, ValueError) as error:
        raise Problem("invalid_value", "There is no champion of a table of that name", "model") from error


@lru_cache(maxsize=8)
def _loaded(home: Path, name: str, _: str) -> Predictor:
    """A champion, verified once per bundle that the name points to."""
    return flat_champion(home, name)


def _frame(predictor: Predictor, rows: list[TableRow]) -> pd.DataFrame:
    """The cells of a request as the model reads them; raises the problem of one that it cannot read."""
    import pandas as pd

    known = {column.column: column for column in columns(predictor)}
    for number, row in enumerate(rows):
        for name, value in row.cells.items():
            where = f"rows.{number}.cells"
            if name not in known:
                raise Problem("invalid_value", "A name is no column that the model reads", where)
            if known[name].kind == DAYS and isinstance(value, str):
                raise Problem("invalid_value", "A date is given as days before the time of the row", where)
            is_text = isinstance(value, str)
            if value is not None and is_text != (known[name].kind == CATEGORY) and not isinstance(value, bool):
                wanted = "a text" if known[name].kind == CATEGORY else "a number"
                raise Problem("invalid_value", f"A cell is not {wanted}, as its column is", where)
    made: dict[str, Any] = {}
    for name, column in known.items():
        values = [row.cells.get(name) for row in rows]
        if column.kind == CATEGORY:
            made[column.name] = np.array([None if value is None else _text(value) for value in values], dtype=object)
        else:
            made[column.name] = np.array([np.nan if value is None else float(value) for value in values])
    return pd.DataFrame(made)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
