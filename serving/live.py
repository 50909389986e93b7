"""Scores for what a request holds: vectors, or raw rows in canonical form, by the same code as the weekly batch."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from features.contract import TABLES
from features.define import load_families
from features.errors import DataError, UsageError
from features.rows import tables_from_rows
from features.vectors import vectors
from serving.columns import MODELS
from serving.instants import parse_instant, spoken
from serving.problems import Problem
from serving.scoring import score
from serving.speaking import told
from serving.store import now_us

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from features.define import Feature
    from serving.schemas import ScoreRequest, Vector
    from serving.scoring import Scored
    from serving.store import Store


def score_request(store: Store, request: ScoreRequest) -> dict[str, Any]:
    """Scores of the vectors of a request, in their order; of rows, by customer."""
    as_of_us, broken = None, None
    if request.vectors is not None:
        frame = vectors_table(request.vectors)
    else:
        assert request.rows is not None, "the schema sees to it"
        assert request.as_of is not None, "the schema sees to it"
        as_of_us = _as_of_us(request.as_of)
        frame, broken = rows_table(request.rows, as_of_us, store.company_columns)
    champions = {name: store.champions[name] for name in MODELS if name in request.models}
    scored = {name: score(champion, frame, request.reasons) for name, champion in champions.items()}
    columns = {name: _columns(name, of_model) for name, of_model in scored.items()}
    rows = range(len(frame))
    return {
        "as_of": None if as_of_us is None else spoken(as_of_us),
        "broken": broken,
        "models": {name: champion.content_hash for name, champion in champions.items()},
        "scores": [
            {"customer_id": customer, **{key: values[row] for of in columns.values() for key, values in of.items()}}
            for row, customer in zip(rows, frame["customer_id"].to_pylist(), strict=True)
        ],
    }


def _columns(name: str, scored: Scored) -> dict[str, list[Any]]:
    """The columns of one model as they stand in an answer."""
    probability = scored.probability.to_pylist()
    found = {
        f"{name}_status": scored.status.to_pylist(),
        f"{name}_probability": probability,
        f"{name}_base": scored.base.to_pylist(),
        f"{name}_raw": scored.raw.to_pylist(),
        f"{name}_reasons": [told(reasons) for reasons in scored.reasons.to_pylist()],
        f"{name}_model": scored.model.to_pylist(),
    }
    if name == "advocacy":
        found["advocacy_score"] = [None if value is None else 100.0 * value for value in probability]
    else:
        found[f"{name}_band"] = scored.band.to_pylist()
    return found


def vectors_table(given: Sequence[Vector]) -> pa.Table:
    """Return vectors of a request as the builder of vectors would give them; what was left out is null."""
    features = _features()
    for place, vector in enumerate(given):
        for name, value in vector.features.items():
            where = f"vectors.{place}.features"
            if name not in features:
                raise Problem("invalid_value", "A name is no feature. `vouch features --describe` lists them.", where)
            if value is not None and isinstance(value, str) != features[name].is_category:
                wanted = "a text" if features[name].is_category else "a number"
                raise Problem("invalid_value", f"The feature is {wanted}", f"{where}.{name}")
    columns = {"customer_id": pa.array([vector.customer_id for vector in given], pa.string())}
    for name, feature in features.items():
        kind = pa.string() if feature.is_category else pa.float64()
        columns[name] = pa.array([vector.features.get(name) for vector in given], kind)
    return pa.table(columns)


@cache
def _features() -> Mapping[str, Feature]:
    """The register, without looking for files again in each request."""
    return load_families()


def rows_table(
    rows: Mapping[str, Sequence[Mapping[str, Any]]], as_of_us: int, company: Mapping[str, frozenset[str]]
) -> tuple[pa.Table, dict[str, dict[str, int]]]:
    """Return the vectors of the customers that raw rows tell of, seen from an instant, and what was left out and why.

    `company` holds the columns that the company hands over, by table: what the request does not name of them is there
    and empty, as it is for a customer of the batch, so that both come to the same vectors.
    """
    _check_names(rows)
    named = {name: frozenset().union(*of) & TABLES[name].columns.keys() for name, of in rows.items()}
    columns = {name: company.get(name, named.get(name, frozenset())) for name in {*company, *rows}}
    try:
        tables, report = tables_from_rows({**dict.fromkeys(company, ()), **rows}, now_us(), columns=columns)
    except (DataError, UsageError) as error:
        # The text of the error may hold values of the request.
        raise Problem("invalid_value", f"The rows are not as the contract says: {error.code}", "rows") from error
    table: pa.Table = vectors(tables, as_of_us).collect("pyarrow").to_native()
    broken = {name: dict(of["reasons"]) for name, of in report["tables"].items() if of["quarantined"] or of["cells"]}
    return table.sort_by("customer_id"), broken


def _check_names(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    if "customers" not in rows:
        raise Problem("invalid_value", "Rows of customers say whom to score", "rows")
    for name, given in rows.items():
        if name not in TABLES:
            raise Problem("invalid_value", f"A table is none of the contract's: {', '.join(TABLES)}", "rows")
        known = TABLES[name].columns
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
