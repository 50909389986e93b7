"""What each route answers: a request that was checked, and the store, in; plain data out. No HTTP here."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from features.words import words
from serving.advocates import EXCLUSIONS, Filters, Place, page
from serving.columns import MODELS
from serving.measuring import catalogue
from serving.problems import Problem
from serving.store import now_us

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pandas as pd

    from serving.schemas import AdvocatesSearch, AtRiskSearch, CustomerGet, MetricsCatalogue, MetricsQuery
    from serving.store import Portfolio, Store

TOP_REASONS = 5
"""Families told per row of a list; one customer shows all."""
PARTS = ("status", "probability", "base", "raw", "model")
PROFILE = ("segment", "region", "country", "language", "plan", "contact_consent", "advocacy_consent", "mrr")


def search_advocates(store: Store, request: AdvocatesSearch) -> dict[str, Any]:
    """A page of ranked candidates."""
    filters = Filters(
        segments=tuple(request.segment),
        regions=tuple(request.region),
        languages=tuple(request.language),
        tiers=tuple(request.tier),
        minimum_score=request.minimum_score,
        include_ineligible=request.include_ineligible,
    )
    portfolio = store.portfolio
    rows, rest = _page(portfolio, portfolio.candidates, filters, request.limit, request.cursor)
    return {**rest, "candidates": [_candidate(row) for row in rows]}


def search_at_risk(store: Store, request: AtRiskSearch) -> dict[str, Any]:
    """A page of those at risk."""
    filters = Filters(
        segments=tuple(request.segment),
        regions=tuple(request.region),
        languages=tuple(request.language),
        bands=tuple(request.band),
    )
    portfolio = store.portfolio
    rows, rest = _page(portfolio, portfolio.at_risk, filters, request.limit, request.cursor)
    return {**rest, "customers": [_endangered(row) for row in rows]}


def _page(
    portfolio: Portfolio, frame: pd.DataFrame, filters: Filters, limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of a page, each with its rank and all that the snapshot holds, and what the answer says about the page."""
    seal = hashlib.sha256(repr(filters).encode()).hexdigest()[:16]
    found = page(frame, filters, limit, _place(cursor, seal) if cursor else None)
    chosen = frame.iloc[found.rows]
    places = chosen["row"].to_numpy()
    held = ((portfolio.scores.at(row), portfolio.customers.at(row)) for row in places)
    ranks = [_plain(row) for row in chosen[["value", "exclusion"]].to_dict("records")]
    rows = [
        {**scores, **profile, **ranked, "rank": rank}
        for rank, (ranked, (scores, profile)) in enumerate(zip(ranks, held, strict=True), found.first_place)
    ]
    end = None if found.is_last else _cursor(seal, rows[-1]["value"], rows[-1]["customer_id"])
    return rows, {**portfolio.freshness(now_us()), "total": found.total, "next_cursor": end}


def _cursor(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def _place(cursor: str, seal: str) -> Place:
    """The place that a cursor stands for; it goes with the filters that it was made for."""
    try:
        given, value, customer_id = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError) as error:
        raise Problem("invalid_value", "The cursor is none of ours", "cursor") from error
    if given != seal or not isinstance(customer_id, str) or not (value is None or isinstance(value, float)):
        raise Problem("invalid_value", "The cursor goes with other filters", "cursor")
    return Place(value, customer_id)


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """The same with null where pandas has its own ways to say so."""
    return {str(name): None if value is None or value != value else value for name, value in row.items()}


CANDIDATE = (
    "rank", "customer_id", "advocacy_status", "advocacy_probability", "advocacy_score", "churn_status",
    "churn_probability", "value", "advocate_tier", "segment", "region", "language", "advocacy_model", "churn_model",
)  # fmt: skip
AT_RISK = (
    "rank", "customer_id", "churn_status", "churn_probability", "churn_band", "value", "mrr", "segment", "region",
    "language", "churn_model",
)  # fmt: skip


def _candidate(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: row[name] for name in CANDIDATE},
        **_exclusion(row["exclusion"]),
        "reasons": told(row["advocacy_reasons"], TOP_REASONS) or [],
        "last_asked_at": _instant(row["last_asked_at"]),
    }


def _endangered(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**{name: row[name] for name in AT_RISK}, "reasons": told(row["churn_reasons"], TOP_REASONS) or []}


def get_customer(store: Store, request: CustomerGet) -> dict[str, Any]:
    """Everything on one customer."""
    portfolio = store.portfolio
    row = portfolio.ids.row_of(request.customer_id)
    if row is None:
        raise Problem("unknown_customer", "The snapshot holds no such customer", "customer_id")
    scores, profile = portfolio.scores.at(row), portfolio.customers.at(row)
    exclusion = _plain({"code": portfolio.candidates["exclusion"].iloc[portfolio.place_of[row]]})["code"]
    asked_at = _instant(profile["last_asked_at"])
    ask = {"asked_at": asked_at, "kind": profile["last_ask_kind"], "outcome": profile["last_ask_outcome"]}
    return {
        **portfolio.freshness(now_us()),
        "customer_id": request.customer_id,
        **{f"{model}_{part}": scores[f"{model}_{part}"] for model in MODELS for part in PARTS},
        **{f"{model}_reasons": told(scores[f"{model}_reasons"]) for model in MODELS},
        **{name: scores[name] for name in ("advocacy_score", "churn_band", "advocate_tier")},
        **{name: scores[name] for name in ("health_score", "health_band", "clv_margin")},
        **_exclusion(exclusion),
        "profile": {name: profile[name] for name in PROFILE},
        "last_ask": ask if asked_at else None,
        "previous": _previous(portfolio, request.customer_id),
    }


def _previous(portfolio: Portfolio, customer_id: str) -> dict[str, Any] | None:
    """The probabilities of the week before."""
    before = portfolio.before.of(customer_id) if portfolio.before else None
    if portfolio.before is None or before is None:
        return None
    probabilities = {f"{model}_probability": before[f"{model}_probability"] for model in MODELS}
    return {"as_of": portfolio.before.week.manifest["as_of"], **probabilities}


def query_metrics(store: Store, request: MetricsQuery) -> dict[str, Any]:
    """Envelopes of metrics, week after week."""
    portfolio = store.portfolio
    _refuse_unknown(request.metric_ids, portfolio.metric_ids)
    weeks = store.metrics_of_weeks(request.weeks)
    found = [row for week in weeks for row in _narrowed(week, request).to_pylist() if _is_wanted(row, request)]
    for row in found:
        row["as_of"] = _instant(row["as_of"])
    return {**portfolio.freshness(now_us()), "metrics": found}


def _narrowed(week: pa.Table, request: MetricsQuery) -> pa.Table:
    """The rows of the wanted metrics, before any of them becomes Python's."""
    if not request.metric_ids:
        return week
    return week.filter(pc.is_in(week["metric_id"], pa.array(request.metric_ids, pa.string())))


def metrics_catalogue(store: Store, request: MetricsCatalogue) -> dict[str, Any]:
    """What each metric means."""
    entries = catalogue()
    known = {entry["metric_id"] for entry in entries}
    _refuse_unknown(request.metric_ids, known)
    return {
        "metrics": [entry for entry in entries if not request.metric_ids or entry["metric_id"] in request.metric_ids]
    }


def _refuse_unknown(asked: Sequence[str], known: Collection[str]) -> None:
    if set(asked) - set(known):
        raise Problem("invalid_value", f"A metric is none of: {', '.join(sorted(known))}", "metric_ids")


def _is_wanted(row: Mapping[str, Any], request: MetricsQuery) -> bool:
    return (
        row["by"] == request.by
        and (not request.metric_ids or row["metric_id"] in request.metric_ids)
        and (not request.segment or row["segment"] in request.segment)
    )


def told(reasons: Sequence[Mapping[str, Any]] | None, limit: int | None = None) -> list[dict[str, Any]] | None:
    """Reasons with their words, the largest first."""
    if reasons is None:
        return None
    return [{**reason, "words": words(reason["feature"], reason["value"])} for reason in reasons[:limit]]


def _exclusion(code: str | None) -> dict[str, Any]:
    return {"is_eligible": code is None, "exclusion": code, "exclusion_words": EXCLUSIONS[code] if code else None}


def _instant(value: Any) -> str | None:
    """A date or timestamp as ISO text."""
    if value is None:
        return None
    text: str = value.isoformat()
    return text.replace("+00:00", "Z")
