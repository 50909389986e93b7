"""Distributed scoring on Spark: Arrow batches of vectors in, the columns of scores out, in their order.

Champions are loaded once per worker process, from the folder that the home holds them in; so the home, with the vectors
of the week, must lie where all workers reach it. What comes back is what one machine computes, bit by bit, since a
row's score hangs on nothing but the row.
"""

from __future__ import annotations

import dataclasses
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from vouch import models
from vouch.models.predictor import load_champion
from vouch.serving.scoring.score import Champion, Scored, score
from vouch.serving.snapshots.arrow_streams import stored_batches
from vouch.serving.snapshots.schema import EFFECTS, REASONS, WITHIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vouch.features.asof import Tables

Targets = tuple[tuple[str, str | None, float], ...]
"""Model, target and offset in force of each champion."""
PARTS = tuple(part.name for part in dataclasses.fields(Scored))
_TYPES = {
    **{part: (pa.string(), "string") for part in ("status", "band", "model")},
    **{part: (pa.float64(), "double") for part in ("probability", "low", "high", "raw", "base")},
    "effects": (EFFECTS, "array<struct<kind: string, treated: double, untreated: double, effect: double>>"),
    "within": (WITHIN, "array<struct<weeks: bigint, probability: double>>"),
    "reasons": (REASONS, "array<struct<family: string, feature: string, value: string, contribution: double>>"),
}


def scored_on_workers(
    tables: Tables, home: Path, champions: Mapping[str, Champion], vectors: Path, scratch: Path
) -> Iterator[dict[str, Scored]]:
    """Score stored vectors on the engine that holds the tables; gives the columns of each model, batch by batch.

    Batches are those of `stored_batches(vectors)`. `scratch` is a new folder, gone afterwards.
    """
    targets = tuple((name, of.target.name if of.target else None, of.offset) for name, of in champions.items())
    session = tables.frames["customers"].to_native().sparkSession
    fields = [f"{_place(name, part)} {_TYPES[part][1]}" for name, _, _ in targets for part in PARTS]
    scores = session.read.parquet(str(vectors)).mapInArrow(
        partial(_score, str(home), targets), f"customer_id string, {', '.join(fields)}"
    )
    scores.sort("customer_id").write.parquet(str(scratch))
    for batch in stored_batches(scratch):
        yield {name: Scored(**{part: _column(batch, name, part) for part in PARTS}) for name, _, _ in targets}


def _place(name: str, part: str) -> str:
    return f"{name}_{part}"


def _column(batch: pa.Table, name: str, part: str) -> pa.Array:
    return batch[_place(name, part)].combine_chunks().cast(_TYPES[part][0])


def _score(home: str, targets: Targets, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What a worker does with its share of the vectors."""
    champions = _champions(home, targets)
    for batch in batches:
        rows = pa.Table.from_batches([batch])
        columns: dict[str, pa.Array] = {"customer_id": rows["customer_id"].combine_chunks()}
        for name, champion in champions.items():
            scored = score(champion, rows)
            columns |= {_place(name, part): getattr(scored, part) for part in PARTS}
        yield pa.RecordBatch.from_pydict(columns)


@cache
def _champions(home: str, targets: Targets) -> dict[str, Champion]:
    """The champions, verified as they are loaded: once in a worker's life."""
    champions = {}
    for name, target, offset in targets:
        model, predictor = models.load(name), load_champion(Path(home), name)
        predictor = predictor.shifted(offset) if predictor else None
        named = model.target_named(target) if target else None
        champions[name] = Champion(name, model.target_of(predictor.manifest) if predictor else named, predictor)
    return champions
