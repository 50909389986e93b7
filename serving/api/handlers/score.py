"""Handler of scoring: vectors, or raw rows in canonical form, by the same code as the weekly batch."""

from __future__ import annotations

import array
import itertools
import math
import operator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vouch.features.contract.tables import TABLES
from vouch.features.errors import DataError, UsageError
from vouch.features.ingest.request_rows import tables_from_rows
from vouch.features.ingest.texts.learned_tone import learned_of
from vouch.features.instants import instant_text, parse_instant
from vouch.features.vectors.build import vectors
from vouch.features.vectors.declare import OWN, load_families
from vouch.features.vectors.lines import registered_tables
from vouch.models.scoring.feature_matrix import FeatureMatrix
from vouch.serving.api.problems import Problem
from vouch.serving.api.speaking import worded_reasons
from vouch.serving.api.state import now_us
from vouch.serving.scoring.score import score
from vouch.serving.snapshots.schema import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vouch.features.contract.tables import Table
    from vouch.features.ingest.texts.learned_tone import Learned
    from vouch.features.vectors.declare import Feature
    from vouch.serving.api.schemas import ScoreRequest, Vector
    from vouch.serving.api.state import ServingState
    from vouch.serving.scoring.score import Champion, Scored

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Objects = np.ndarray[Any, np.dtype[np.object_]]
FEW_VECTORS = 8
"""So many vectors without reasons take less time than handing them to a thread."""


def is_heavy(_: ServingState, request: ScoreRequest) -> bool:
    """Whether others should be answered meanwhile."""
    return request.vectors is None or request.reasons or len(request.vectors) > FEW_VECTORS


def score_request(store: ServingState, request: ScoreRequest) -> dict[str, Any]:
    """Scores of the vectors of a request, in their order; of rows, by customer."""
    as_of_us, broken = None, None
    frame: pa.Table | FeatureMatrix
    if request.vectors is not None:
        customers = [vector.customer_id for vector in request.vectors]
        frame = block_of(request.vectors)
        frame = vectors_table(frame, customers) if request.reasons else frame
    else:
        assert request.rows is not None, "the schema sees to it"
        assert request.as_of is not None, "the schema sees to it"
        as_of_us = _as_of_us(request.as_of)
        frame, broken = rows_table(request.rows, as_of_us, store.company_columns, learned_of(store.home))
        customers = frame["customer_id"].to_pylist()
    champions = {name: store.champions[name] for name in MODELS if name in request.models}
    scored = {name: score(champion, frame, request.reasons) for name, champion in champions.items()}
    columns = {name: _columns(name, of_model) for name, of_model in scored.items()}
    names = ("customer_id", *(key for of in columns.values() for key in of))
    rows = zip(customers, *(values for of in columns.values() for values in of.values()), strict=True)
    return {
        "as_of": None if as_of_us is None else instant_text(as_of_us),
        "broken": broken,
        "empty_own_features": None
        if request.rows is None
        else {name: own_features_of(of, request.rows) for name, of in champions.items()},
        "models": {name: champion.content_hash for name, champion in champions.items()},
        "kinds": {name: of.predictor.kind if of.predictor else None for name, of in champions.items()},
        "scores": [dict(zip(names, row, strict=True)) for row in rows],
    }


def own_features_of(champion: Champion, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Return the features of own columns that a champion reads, and whose table or column no row names."""
    read = champion.predictor.columns if champion.predictor else ()
    own = [OWN[column.name] for column in read if column.name in OWN]
    named = {name: frozenset().union(*of) for name, of in rows.items()}
    return sorted(feature.name for feature in own if not feature.needs <= named.get(str(feature.table), frozenset()))


def _columns(name: str, scored: Scored) -> dict[str, list[Any]]:
    """The columns of one model as they stand in an answer."""
    probability = scored.probability.to_pylist()
    columns = {
        f"{name}_status": scored.status.to_pylist(),
        f"{name}_probability": probability,
        f"{name}_low": scored.low.to_pylist(),
        f"{name}_high": scored.high.to_pylist(),
        f"{name}_within": scored.within.to_pylist(),
        f"{name}_base": scored.base.to_pylist(),
        f"{name}_raw": scored.raw.to_pylist(),
        f"{name}_reasons": _worded(scored.reasons),
        f"{name}_model": scored.model.to_pylist(),
    }
    if name == "advocacy":
        columns["advocacy_score"] = [None if value is None else 100.0 * value for value in probability]
    else:
        columns[f"{name}_band"] = scored.band.to_pylist()
    return columns


def _worded(reasons: pa.Array) -> list[Any]:
    if reasons.null_count == len(reasons):
        return [None] * len(reasons)
    return [worded_reasons(of_row) for of_row in reasons.to_pylist()]


def block_of(given: Sequence[Vector]) -> FeatureMatrix:
    """Return vectors of a request as a matrix; what was left out is null. Those that are alike go together."""
    places, categories = _places()
    numbers = np.full((len(given), len(places)), np.nan)
    texts = {name: np.full(len(given), None, dtype=object) for name in categories}
    if (alike := _alike(given)) is not None:
        held, held_texts = alike
        numbers[:, [places[name] for name in given[0].features if name in places]] = held
        return FeatureMatrix(places, numbers, texts | held_texts)
    for row, vector in enumerate(given):
        _fill(numbers[row], texts, row, vector.features)
    return FeatureMatrix(places, numbers, texts)


def _alike(given: Sequence[Vector]) -> tuple[Numbers, dict[str, Objects]] | None:
    """The numbers and the texts of vectors that all have the same features, each of its kind; None for any others."""
    places, categories = _places()
    names = list(given[0].features)
    numbers, texts = [name for name in names if name in places], [name for name in names if name in categories]
    if len(numbers) + len(texts) < len(names) or any(len(vector.features) != len(names) for vector in given):
        return None
    try:
        held = list(itertools.chain.from_iterable(_each(given, numbers)))
        try:
            packed = array.array("d", held)  # unlike NumPy it takes no text for a number
        except TypeError:
            packed = array.array("d", [math.nan if value is None else value for value in held])
        columns = {name: [vector.features[name] for vector in given] for name in texts}
    except (KeyError, TypeError):
        return None
    if any(not isinstance(value, str | None) for column in columns.values() for value in column):
        return None
    matrix = np.frombuffer(packed).reshape(len(given), len(numbers))
    return matrix, {name: np.array(column, dtype=object) for name, column in columns.items()}


def _each(given: Sequence[Vector], names: Sequence[str]) -> Iterable[tuple[Any, ...]]:
    """The values of some features, vector by vector; raises KeyError where one lacks a feature."""
    if len(names) < 2:  # an item getter of one name gives no tuple
        return (tuple(vector.features[name] for name in names) for vector in given)
    one = operator.itemgetter(*names)
    return (one(vector.features) for vector in given)


def _fill(
    numbers: Numbers,
    texts: Mapping[str, Objects],
    row: int,
    features: Mapping[str, float | str | None],
) -> None:
    """Put one vector in its place, each value where its kind belongs; raises the problem of one that does not."""
    places, categories = _places()
    for name, value in features.items():
        where = f"vectors.{row}.features"
        if name not in places and name not in categories:
            raise Problem("invalid_value", "A name is no feature. `vouch features --describe` lists them.", where)
        if value is not None and isinstance(value, str) != (name in categories):
            wanted = "a text" if name in categories else "a number"
            raise Problem("invalid_value", f"The feature is {wanted}", f"{where}.{name}")
        if name in categories:
            texts[name][row] = value
        elif value is not None:
            numbers[places[name]] = value


def vectors_table(block: FeatureMatrix, customers: Sequence[str | None]) -> pa.Table:
    """Return vectors of a request as the builder of vectors would give them."""
    columns: dict[str, pa.Array] = {"customer_id": pa.array(customers, pa.string())}
    for name, feature in _features().items():
        if feature.is_category:
            columns[name] = pa.array(block.texts[name].tolist(), pa.string())
        else:
            columns[name] = pa.array(block.numbers[:, block.places[name]], pa.float64(), from_pandas=True)
    return pa.table(columns)


def _places() -> tuple[Mapping[str, int], frozenset[str]]:
    """Where each number stands in a row, and the features that are texts."""
    return _places_of(_own())


def _own() -> tuple[tuple[str, bool], ...]:
    """The features of the company's own columns, and which are texts: what is kept of the register hangs on them."""
    return tuple((name, feature.is_category) for name, feature in OWN.items())


@lru_cache(maxsize=2)
def _places_of(_: tuple[tuple[str, bool], ...]) -> tuple[Mapping[str, int], frozenset[str]]:
    features = load_families()
    numbers = [name for name, feature in features.items() if not feature.is_category]
    return {name: place for place, name in enumerate(numbers)}, frozenset(features.keys() - set(numbers))


def _features() -> Mapping[str, Feature]:
    """The register, without looking for files again in each request."""
    return _features_of(_own())


@lru_cache(maxsize=2)
def _features_of(_: tuple[tuple[str, bool], ...]) -> Mapping[str, Feature]:
    return load_families()


def rows_table(
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    as_of_us: int,
    company: Mapping[str, frozenset[str]],
    learned: Learned | None = None,
) -> tuple[pa.Table, dict[str, dict[str, int]]]:
    """Return the vectors of the customers that raw rows tell of, seen from an instant, and what was left out and why.

    `company` holds the columns that the company hands over, by table: what the request does not name of them is there
    and empty, as it is for a customer of the batch, so that both come to the same vectors. Rows are those of the
    contract and of the company's own tables, under the names that both have there. `learned` judges its texts.
    """
    own = registered_tables()
    known = {**TABLES, **own}
    _check_names(rows, known)
    named = {name: frozenset().union(*of) & known[name].columns.keys() for name, of in rows.items()}
    company = {name: of & known[name].columns.keys() for name, of in company.items() if name in known}
    columns = {name: company.get(name, named.get(name, frozenset())) for name in {*company, *rows}}
    try:
        given = {**dict.fromkeys(company, ()), **rows}
        tables, report = tables_from_rows(given, now_us(), columns=columns, learned=learned, own=own)
    except (DataError, UsageError) as error:
        # The text of the error may hold values of the request.
        raise Problem("invalid_value", f"The rows are not as the contract says: {error.code}", "rows") from error
    table: pa.Table = vectors(tables, as_of_us).collect("pyarrow").to_native()
    broken = {name: dict(of["reasons"]) for name, of in report["tables"].items() if of["quarantined"] or of["cells"]}
    return table.sort_by("customer_id"), broken


def _check_names(rows: Mapping[str, Sequence[Mapping[str, Any]]], tables: Mapping[str, Table]) -> None:
    if "customers" not in rows:
        raise Problem("invalid_value", "Rows of customers say whom to score", "rows")
    for name, given in rows.items():
        if name not in tables:
            raise Problem("invalid_value", f"A table is none of the contract's: {', '.join(tables)}", "rows")
        known = tables[name].columns
        if any(column not in known for row in given for column in row):
            raise Problem("invalid_value", f"A column is none of: {', '.join(known)}", f"rows.{name}")


def _as_of_us(text: str) -> int:
    try:
        as_of_us = parse_instant(text)
    except UsageError as error:
        raise Problem("invalid_value", "Give an ISO date or instant", "as_of") from error
    if as_of_us > now_us():
        raise Problem("invalid_value", "The instant lies after now", "as_of")
    return as_of_us
