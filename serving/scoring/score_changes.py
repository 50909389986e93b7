"""Attribution of score changes since the snapshot before: exact parts by family, model and definition version.

The raw log-odds of then and now differ by the sum of three steps. The new model is put in the place of the old one on
the vector of then (`model`). Features whose definition changed go from what they said then to what they say now
(`definition`), and all others from their old value to their new one (`feature`, merged by family, each family with the
feature that moved it most). The last two come from one game (`models.scoring.shapley_change`), so that no order is
preferred and a feature that stayed has no part.

A snapshot keeps for the next one what this takes: `vectors.parquet`, the features that models may read (float32, as
models read them), each column marked with the fingerprint of its feature; the old score itself is in `scores.parquet`,
so that the old model need not be there any more. Sensitive features are not kept unless a model reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from vouch import models
from vouch.features.errors import SnapshotError
from vouch.features.vectors.declare import load_families
from vouch.features.vectors.fingerprints import feature_fingerprints
from vouch.models.predictor import encode
from vouch.models.scoring.reasons import as_text, take
from vouch.serving.snapshots import schema as columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vouch.models.predictor import Predictor
    from vouch.models.scoring.trees import Numbers
    from vouch.serving.scoring.score import Champion, Scored
    from vouch.serving.snapshots.files import Snapshot

MARK = b"definition"
NEAR = 1e-9
"""How far the same model may be from the score that it gave then."""
SHOWN_HASH = 12


def stored_schema() -> pa.Schema:
    """Columns of `vectors.parquet`, each marked with the fingerprint of its feature."""
    definitions, fingerprints = [models.load(name) for name in models.names()], feature_fingerprints()
    fields = [pa.field("customer_id", pa.string())]
    for feature in load_families().values():
        if any(definition.uses(feature) for definition in definitions):
            kind = pa.string() if feature.is_category else pa.float32()
            fields.append(pa.field(feature.name, kind, metadata={MARK: fingerprints[feature.name].encode()}))
    return pa.schema(fields)


def stored_vectors(vectors: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return one batch of `vectors.parquet`."""
    return vectors.select(schema.names).cast(schema)


@dataclass(frozen=True)
class Before:
    """Rows of the snapshot before: stored vectors, and of each model the raw score and the model that gave it."""

    vectors: pa.Table
    raw: Mapping[str, pa.Array]
    model: Mapping[str, pa.Array]

    def take(self, places: pa.Array) -> Before:
        """Rows by place."""
        return Before(
            self.vectors.take(places),
            {name: column.take(places) for name, column in self.raw.items()},
            {name: column.take(places) for name, column in self.model.items()},
        )


def rows_before(snapshot: Snapshot, first: str, last: str) -> Before | None:
    """Read what a snapshot kept of the customers from one to another; None where it kept no vectors."""
    if "vectors.parquet" not in snapshot.manifest["files"]:
        return None
    within = [("customer_id", ">=", first), ("customer_id", "<=", last)]
    names = pq.read_schema(snapshot.path("scores")).names
    parts = [(name, f"{name}_raw", f"{name}_model") for name in columns.MODELS if f"{name}_raw" in names]
    listed = [column for _, raw, model in parts for column in (raw, model)]
    vectors = _read(snapshot, "vectors", None, within)
    scores = _read(snapshot, "scores", ["customer_id", *listed], within)
    if not vectors["customer_id"].equals(scores["customer_id"]):
        raise SnapshotError(f"{snapshot.folder} keeps other customers in vectors than in scores. Score the week again.")
    return Before(
        vectors,
        {name: scores[raw].combine_chunks() for name, raw, _ in parts},
        {name: scores[model].combine_chunks() for name, _, model in parts},
    )


def _read(snapshot: Snapshot, name: str, listed: list[str] | None, within: Any) -> pa.Table:
    path = snapshot.path(name)
    try:
        return pq.read_table(path, columns=listed, filters=within, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise SnapshotError(f"{path} cannot be read. Score the week again with --revision.") from error


def change_table(
    batch: pa.Table, as_of_us: int, champions: Mapping[str, Champion], scored: Mapping[str, Scored], of: Snapshot | None
) -> pa.Table:
    """Return one batch of `changes.parquet` from vectors in the order of customers, their scores, and the week before.

    Null for who was not scored at both instants.
    """
    schema, customers = columns.changes_schema(as_of_us), batch["customer_id"]
    cells: dict[str, Any] = {"customer_id": customers, "as_of": columns.repeated(as_of_us, len(batch))}
    cells |= {f"{name}_changes": pa.nulls(len(batch), columns.CHANGES) for name in columns.MODELS}
    before = rows_before(of, customers[0].as_py(), customers[-1].as_py()) if of and len(batch) else None
    if before is not None:
        places = pa.compute.index_in(customers.combine_chunks(), before.vectors["customer_id"].combine_chunks())
        for name, champion in champions.items():
            if champion.predictor is not None and name in before.raw:
                cells[f"{name}_changes"] = _of_model(champion.predictor, name, batch, scored[name], before, places)
    return pa.table(cells).select(schema.names).cast(schema)


def _of_model(
    predictor: Predictor, name: str, batch: pa.Table, scored: Scored, before: Before, places: pa.Array
) -> pa.Array:
    was_scored = before.raw[name].is_valid().take(places).fill_null(False)
    both = pa.compute.and_(was_scored, scored.raw.is_valid())
    rows = before.take(places.filter(both))
    entries = score_change_parts(
        predictor, rows.vectors, batch.filter(both), _numbers(rows.raw[name]), _numbers(scored.raw.filter(both)),
        rows.model[name].to_pylist(),
    )  # fmt: skip
    is_both = both.to_numpy(zero_copy_only=False)
    return entries.take(pa.array(np.cumsum(is_both) - 1, mask=~is_both))


def _numbers(column: pa.Array) -> Numbers:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def score_change_parts(
    predictor: Predictor,
    before: pa.Table,
    now: pa.Table,
    raw_before: Numbers,
    raw_now: Numbers,
    model_before: list[str],
) -> pa.Array:
    """Parts of `raw_now - raw_before` of each row, the largest in size first; see the module for what they mean.

    `before` holds kept vectors, marked with their definitions; `now` vectors of today's. `model_before` is the content
    hash of the model that gave `raw_before`. Raises SnapshotError where the same model now says otherwise of then.
    """
    then, is_redefined = _as_read_now(predictor, before)
    moved = predictor.moved(then, now)
    of_model = predictor.scorer.raw(encode(then, predictor.columns)) - raw_before if len(now) else np.empty(0)
    is_same = np.array([hash_before == predictor.content_hash for hash_before in model_before], dtype=bool)
    if (np.abs(of_model[is_same]) > NEAR).any():
        raise SnapshotError("The kept vectors do not give the scores of their own snapshot. Score that week again.")
    groups = _groups(predictor, moved, is_redefined, then, now)
    return _listed([*groups, _of_model_version(predictor, of_model, model_before)], len(now))


def _as_read_now(predictor: Predictor, before: pa.Table) -> tuple[pa.Table, np.ndarray[Any, np.dtype[np.bool_]]]:
    """The vectors of then with a column for all that the model reads, and which of them have another definition."""
    fingerprints, redefined = feature_fingerprints(), []
    for column in predictor.columns:
        is_present = column.name in before.column_names
        mark = (before.schema.field(column.name).metadata or {}).get(MARK, b"") if is_present else b""
        redefined.append(mark.decode() != fingerprints.get(column.name))
        if not is_present:
            empty = pa.nulls(len(before), pa.float32() if column.categories is None else pa.string())
            before = before.append_column(column.name, empty)
    return before, np.array(redefined, dtype=bool)


@dataclass(frozen=True)
class _Group:
    """One kind of part, an entry per row: what caused it, how much it moved, and from what to what."""

    cause: str
    family: str | None
    part: Numbers
    is_present: np.ndarray[Any, np.dtype[np.bool_]]
    feature: np.ndarray[Any, np.dtype[np.object_]]
    before: np.ndarray[Any, np.dtype[np.object_]]
    value: np.ndarray[Any, np.dtype[np.object_]]


def _groups(
    predictor: Predictor, moved: Numbers, is_redefined: np.ndarray[Any, Any], then: pa.Table, now: pa.Table
) -> Iterable[_Group]:
    """Features by family, those with another definition than then apart."""
    places: dict[tuple[str, str], list[int]] = {}
    for place in np.flatnonzero((moved != 0).any(axis=0)):
        cause = "definition" if is_redefined[place] else "feature"
        places.setdefault((cause, predictor.columns[place].family), []).append(int(place))
    for (cause, family), of in places.items():
        part = moved[:, of].sum(axis=1)
        leading = np.array(of)[np.argmax(moved[:, of] * np.where(part < 0, -1.0, 1.0)[:, None], axis=1)]
        texts = np.full((3, len(part)), None, dtype=object)
        for place in np.unique(leading):
            rows, name = np.flatnonzero(leading == place), predictor.names[place]
            texts[0, rows] = name
            texts[1, rows], texts[2, rows] = (as_text(take(table, name)[rows]) for table in (then, now))
        yield _Group(cause, family, part, (moved[:, of] != 0).any(axis=1), texts[0], texts[1], texts[2])


def _of_model_version(predictor: Predictor, part: Numbers, model_before: list[str]) -> _Group:
    hashes = np.array(model_before, dtype=object)
    now = np.full(len(hashes), predictor.content_hash[:SHOWN_HASH], dtype=object)
    short = np.array([hash_before[:SHOWN_HASH] for hash_before in model_before], dtype=object)
    is_other = np.array([hash_before != predictor.content_hash for hash_before in model_before], dtype=bool)
    return _Group("model", None, part, is_other, np.full(len(hashes), None, dtype=object), short, now)


def _listed(groups: list[_Group], rows: int) -> pa.Array:
    """Entries of all groups as one list per row, those that are there, the largest in size first."""
    is_present = np.stack([group.is_present for group in groups], axis=1)
    parts = np.stack([group.part for group in groups], axis=1)
    order = np.argsort(np.where(is_present, -np.abs(parts), np.inf), axis=1, kind="stable")
    row, rank = np.nonzero(np.take_along_axis(is_present, order, axis=1))
    place = (row, order[row, rank])

    def chosen(texts: list[Any]) -> pa.Array:
        return pa.array(np.stack(texts, axis=1)[place], pa.string())

    entries = pa.StructArray.from_arrays(
        [
            chosen([np.full(rows, group.cause, dtype=object) for group in groups]),
            chosen([np.full(rows, group.family, dtype=object) for group in groups]),
            chosen([group.feature for group in groups]),
            chosen([group.before for group in groups]),
            chosen([group.value for group in groups]),
            pa.array(parts[place]),
        ],
        fields=list(columns.CHANGES.value_type),
    )
    ends = np.concatenate([[0], np.cumsum(is_present.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(ends, entries)
