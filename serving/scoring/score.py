"""Scoring of vectors into the columns of scores: the same code for the weekly batch and for a request.

Who is scored is said by the model's definition; what a champion says of those stands beside the statuses of the rest.
Without a champion the statuses are there all the same, and who would be scored reads `no_model`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vouch import models
from vouch.features.errors import MissingTable
from vouch.models.definition import SCORED
from vouch.models.predictor import encode, load_champion
from vouch.models.registry.offsets import in_force, offsets
from vouch.models.scoring.feature_matrix import FeatureMatrix
from vouch.serving.snapshots.schema import EFFECTS, MODELS, NO_MODEL, REASONS, WITHIN, WITHIN_WEEKS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from vouch.features.asof import Tables
    from vouch.features.model_settings import ModelSettings
    from vouch.models.predictor import Predictor
    from vouch.models.registry.offsets import Offset
    from vouch.models.scoring.trees import Numbers
    from vouch.models.targets import Target


@dataclass(frozen=True)
class Champion:
    """One model as it is used: its target, where there is one that can be told, and its predictor, where one passed."""

    name: str
    target: Target | None
    predictor: Predictor | None
    offsets: tuple[Offset, ...] = ()
    """Offsets of this model, the oldest first (`vouch.models.registry.offsets`)."""

    @property
    def offset(self) -> float:
        """Shift of the log-odds that is in force; 0 where there is none."""
        return self.predictor.calibrator.shift if self.predictor else 0.0

    def at(self, as_of_us: int | None = None) -> Champion:
        """The same with the offset that holds in a week, by default today's."""
        if self.predictor is None:
            return self
        offset = in_force(self.offsets, self.predictor.content_hash, as_of_us)
        return replace(self, predictor=self.predictor.shifted(offset.offset if offset else 0.0))

    @property
    def content_hash(self) -> str | None:
        """Hash of the bundle, null without one."""
        return self.predictor.content_hash if self.predictor else None


@dataclass(frozen=True)
class Scored:
    """The columns of one model, one entry per vector; all null but the status for who is not scored."""

    status: pa.Array
    probability: pa.Array
    low: pa.Array
    high: pa.Array
    band: pa.Array
    raw: pa.Array
    base: pa.Array
    model: pa.Array
    reasons: pa.Array
    within: pa.Array
    """How soon: the probability of each of `WITHIN_WEEKS`; null where the model does not say."""
    effects: pa.Array
    """What each kind of treatment does; null where the model does not say."""


def champions(
    home: Path, tables: Tables | None = None, settings: Mapping[str, ModelSettings] | None = None
) -> dict[str, Champion]:
    """Return the champions of all models that scores have columns for; raises BundleError for a damaged bundle."""
    return {name: champion(home, name, tables, (settings or {}).get(name)) for name in MODELS}


def champion(home: Path, name: str, tables: Tables | None = None, settings: ModelSettings | None = None) -> Champion:
    """Return the champion of one model, verified as it is loaded, with the offset that holds today.

    Without one, the target is that which the tables feed, as the company has set it. Raises BundleError for a damaged
    bundle.
    """
    predictor = load_champion(home, name)
    return Champion(name, _target(name, predictor, tables, settings), predictor, offsets(home, name)).at()


def _target(
    name: str, predictor: Predictor | None, tables: Tables | None, settings: ModelSettings | None
) -> Target | None:
    model = models.load(name)
    if predictor:
        return model.target_of(predictor.manifest)
    try:
        return model.configured(settings).target(tables) if tables else None
    except MissingTable:
        return None


def score(champion: Champion, vectors: pa.Table | FeatureMatrix, with_reasons: bool = True) -> Scored:
    """Return the columns of one model for vectors, as `vouch.features.vectors.build.vectors` makes them.

    A block of vectors has no reasons: they tell what stood in a table.
    """
    status = _status(champion, vectors)
    if champion.predictor is None or champion.target is None:
        nothing = {name: pa.nulls(len(status), kind) for name, kind in _KINDS.items()}
        return Scored(status=pa.array(status, pa.string()), **nothing)
    is_scored = np.isin(status, list(SCORED))
    mask = is_scored if isinstance(vectors, FeatureMatrix) else pa.array(is_scored)
    chosen = vectors if is_scored.all() else vectors.filter(mask)
    if with_reasons:
        (raw, probability), reasons = champion.predictor.explained(chosen)
    else:
        (raw, probability), reasons = champion.predictor.score(chosen), None
    spread, (low, high) = _spread(is_scored), champion.predictor.interval(raw)
    return Scored(
        status=pa.array(status, pa.string()),
        probability=spread(pa.array(probability)),
        low=spread(pa.array(low, from_pandas=True)),
        high=spread(pa.array(high, from_pandas=True)),
        band=spread(pa.array(champion.target.bands_of(probability), pa.string())),
        raw=spread(pa.array(raw)),
        base=spread(pa.array(np.full(len(raw), reasons.base))) if reasons else pa.nulls(len(status), pa.float64()),
        model=spread(pa.array([champion.content_hash] * len(raw), pa.string())),
        reasons=spread(reasons.as_arrow(chosen).cast(REASONS)) if reasons else pa.nulls(len(status), REASONS),
        within=spread(_within(champion.predictor, chosen, probability)),
        effects=spread(_effects(champion.predictor, chosen, probability)),
    )


def _within(predictor: Predictor, vectors: pa.Table | FeatureMatrix, probability: Numbers) -> pa.Array:
    """How soon, as columns hold it."""
    if predictor.hazard is None:
        return pa.nulls(len(probability), WITHIN)
    probabilities = predictor.by_week(vectors, probability)[:, np.array(WITHIN_WEEKS) - 1]
    weeks = pa.array(np.tile(WITHIN_WEEKS, len(probabilities)), pa.int64())
    parts = pa.StructArray.from_arrays([weeks, pa.array(probabilities.reshape(-1))], fields=list(WITHIN.value_type))
    starts = np.arange(0, probabilities.size + 1, len(WITHIN_WEEKS), dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(starts), parts, type=WITHIN)


def _effects(predictor: Predictor, vectors: pa.Table | FeatureMatrix, probability: Numbers) -> pa.Array:
    """What each kind of treatment does, as columns hold it."""
    if predictor.effects is None:
        return pa.nulls(len(probability), EFFECTS)
    kinds = [of.kind for of in predictor.effects.kinds]
    chances = predictor.effects.chances(encode(vectors, predictor.columns), probability)
    cells = [pa.array(np.tile(np.array(kinds, dtype=object), len(probability)), pa.string())]
    cells += [pa.array(of.reshape(-1), from_pandas=True) for of in chances]
    parts = pa.StructArray.from_arrays(cells, fields=list(EFFECTS.value_type))
    starts = np.arange(0, len(probability) * len(kinds) + 1, len(kinds), dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(starts), parts, type=EFFECTS)


_KINDS: Mapping[str, pa.DataType] = {
    "probability": pa.float64(),
    "low": pa.float64(),
    "high": pa.float64(),
    "band": pa.string(),
    "raw": pa.float64(),
    "base": pa.float64(),
    "model": pa.string(),
    "reasons": REASONS,
    "within": WITHIN,
    "effects": EFFECTS,
}


def _status(champion: Champion, vectors: pa.Table | FeatureMatrix) -> np.ndarray[Any, np.dtype[np.object_]]:
    if champion.target is None:
        return np.full(len(vectors), NO_MODEL, dtype=object)
    status = champion.target.status(vectors)
    if champion.predictor is None:
        status[np.isin(status, list(SCORED))] = NO_MODEL
    return status


def _spread(is_scored: np.ndarray[Any, np.dtype[np.bool_]]) -> Callable[[pa.Array], pa.Array]:
    """A function that puts values of the scored rows in their places among all rows, null elsewhere."""
    if is_scored.all():
        return lambda values: values
    places = pa.array(np.cumsum(is_scored) - 1, mask=~is_scored)
    return lambda values: values.take(places)
