"""Drift and outcomes of the champions, week by week: of what they read and say, and of what came true.

Plain data for the manifest of a snapshot and for the tracking server. Nothing here stops a run: where there is nothing
to compare with, the entry is null with a reason.
"""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Any

import narwhals as nw

from vouch import models
from vouch.features.contract.tables import DAY_US
from vouch.features.errors import SnapshotError
from vouch.features.instants import WEEK_US, instant_text
from vouch.models.quality.drift import drift
from vouch.models.quality.monitoring import LEARNED_LATER, CameTrue, came_true, has_learned_later, look_backs
from vouch.models.unmet import alike, gone, unmet
from vouch.serving.snapshots.files import published, read_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vouch.features.asof import Tables
    from vouch.models.targets import Target
    from vouch.serving.scoring.score import Champion
    from vouch.serving.snapshots.files import Snapshot


NEWEST = "newest final"


def drift_of_week(vectors: Path, scores: Path, champions: Mapping[str, Champion]) -> dict[str, dict[str, Any]]:
    """Drift of each model against the newest rows of its training run, by model; see `models.quality.drift`.

    `vectors` and `scores` are the files of the week, published or still a draft.
    """
    return {name: _drift(vectors, scores, champion) for name, champion in champions.items()}


def _drift(vectors: Path, scores: Path, champion: Champion) -> dict[str, Any]:
    if champion.predictor is None:
        return {"reason": "no_model"}
    if not champion.predictor.reference:
        return {"reason": "no_reference"}
    column = f"{champion.name}_probability"
    published = nw.scan_parquet(str(scores), backend="polars", glob=False)
    tested = published.select("customer_id", _as_tested(column, champion.offset).alias("probability"))
    rows = nw.scan_parquet(str(vectors), backend="polars", glob=False).drop("probability", strict=False)
    scored = rows.join(tested.filter(~nw.col("probability").is_null()), on="customer_id", how="inner")
    reference = champion.predictor.reference
    strange = {"unmet": unmet(reference, scored), "gone": gone(reference, scored), "alike": alike(scored)}
    return {"reason": None, **drift(reference, scored), **strange}


def _as_tested(column: str, offset: float) -> nw.Expr:
    """A published probability as the model said it when it was tested: an offset that answers a shift is no drift."""
    score = nw.col(column)
    return score if offset == 0 else score / (score + (1 - score) * exp(offset))


def came_true_by_week(home: Path, tables: Tables, known_us: int) -> dict[str, list[dict[str, Any]]]:
    """What was predicted weeks before `known_us`, once that is final, and at the newest instant whose outcome is.

    One list per model; see `vouch.models.quality.monitoring.came_true`. A snapshot counts for an instant where it
    is of that week; its own target says what was predicted, whatever model is the champion today.
    """
    return {name: _by_week(home, tables, name, known_us) for name in models.names()}


def _by_week(home: Path, tables: Tables, name: str, known_us: int) -> list[dict[str, Any]]:
    instants, judged = published(home), set()
    rows: list[dict[str, Any]] = []
    target = latest_target(home, instants, name)
    usual = target or models.load(name).targets[0]
    wanted = {f"{weeks} weeks": known_us - weeks * WEEK_US for weeks in look_backs(usual)}
    if target is not None:
        wanted[NEWEST] = known_us - target.matured_days * DAY_US
    for label, latest_us in wanted.items():
        earliest_us = 0 if label == NEWEST else latest_us - WEEK_US + 1
        instant = max((instant for instant in instants if earliest_us <= instant <= latest_us), default=None)
        if instant is None:
            rows.append({"look_back": label, "as_of": None, "reason": "no_snapshot"})
        elif instant not in judged:
            judged.add(instant)
            figures = _of_week(home, tables, name, instant, known_us)
            rows.append({"look_back": label, "as_of": instant_text(instant), **figures})
    return rows


def latest_target(home: Path, instants: list[int], name: str) -> Target | None:
    """Return the target of a model in the newest week that was scored by it; None where none was."""
    for instant in reversed(instants):
        try:
            facts = read_snapshot(home, instant, tables=()).manifest["models"].get(name)
        except SnapshotError:
            continue
        if facts:
            return models.load(name).target_named(facts["target"])
    return None


def _of_week(home: Path, tables: Tables, name: str, as_of_us: int, known_us: int) -> dict[str, Any]:
    try:
        snapshot = read_snapshot(home, as_of_us, tables={"scores"})
    except SnapshotError:
        return {"reason": "damaged_snapshot"}
    facts = snapshot.manifest["models"].get(name)
    if facts is None:
        return {"reason": "no_model"}
    if has_learned_later(facts, as_of_us):
        return {"reason": LEARNED_LATER, "model": facts["content_hash"]}
    figures = _judged(tables, models.load(name).target_named(facts["target"]), snapshot, name, known_us)
    return {**figures.as_dict(), "model": facts["content_hash"]}


def _judged(tables: Tables, target: Target, snapshot: Snapshot, name: str, known_us: int) -> CameTrue:
    column = f"{name}_probability"
    scores = snapshot.table("scores", ["customer_id", column]).to_pandas()
    return came_true(tables, target, snapshot.as_of_us, known_us, scores.rename(columns={column: "probability"}))
