"""Handlers of the reading routes: a checked request and the store in, plain data out. No HTTP here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from vouch.features.health import band_of
from vouch.serving.api.handlers.actions import actions_answer
from vouch.serving.api.handlers.asks import ask_row
from vouch.serving.api.handlers.health_parts import band_reason_answer, health_answer
from vouch.serving.api.handlers.lists import excluded, exclusion, first, search_advocates, search_at_risk, to_do
from vouch.serving.api.handlers.overrides import override_answer
from vouch.serving.api.problems import Problem
from vouch.serving.api.speaking import called, iso_instant, worded_changes, worded_reasons
from vouch.serving.api.state import now_us
from vouch.serving.metric_queries import catalogue
from vouch.serving.snapshots.schema import ENDS, EXTRA, HEALTH_BOUNDS, MODELS, VALUES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from vouch.features.health import HealthRules
    from vouch.serving.api.schemas import CustomerGet, MetricsCatalogue, MetricsQuery
    from vouch.serving.api.state import ServingState
    from vouch.serving.api.week import ServedWeek
    from vouch.serving.store.overrides import Override

__all__ = ["get_customer", "metrics_catalogue", "query_metrics", "search_advocates", "search_at_risk"]
PARTS = ("status", "probability", "low", "high", "within", "base", "raw", "model")
PROFILE = ("segment", "region", "country", "language", "plan", "contact_consent", "advocacy_consent", "mrr")
FIGURES = ("mrr", "tenure_days", "nps_last", "open_tickets", "acts")


def get_customer(store: ServingState, request: CustomerGet) -> dict[str, Any]:
    """Everything on one customer; of one who objects to being profiled only what they told and were asked."""
    portfolio = store.week_of(request.as_of)
    row = portfolio.row_of(request.customer_id)
    scores, profile = portfolio.scores_at(row), portfolio.profile_at(row)
    place = int(portfolio.ranked.place_of[row])
    is_out = portfolio.ranked.is_opted_out(place)
    asks = [ask_row(ask) for ask in portfolio.asking.of(request.customer_id, row, profile)]
    override = None if is_out else store.override_of(request.customer_id)
    stale = portfolio.are_changes_stale
    changes = portfolio.changes.at(row) if portfolio.changes and not (is_out or stale) else {}
    rules = portfolio.health_rules.of(profile["segment"])
    to_ask = {"ask_for": None, "is_randomised": False, "propensity": None}
    return {
        **portfolio.freshness(now_us()),
        **called(request.customer_id, profile),
        **{f"{model}_{part}": scores.get(f"{model}_{part}") for model in MODELS for part in PARTS},
        **{f"{model}_reasons": worded_reasons(scores.get(f"{model}_reasons")) for model in MODELS},
        **{f"{model}_changes": worded_changes(changes.get(f"{model}_changes")) for model in MODELS},
        "changes_stale": stale,
        **{f"{model}_band": scores.get(f"{model}_band") for model in EXTRA},
        **{name: scores[name] for name in ("advocacy_score", "churn_band", "advocate_tier")},
        **{name: scores[name] for name in ("health_score", "health_band")},
        **{name: scores.get(name) for name in HEALTH_BOUNDS},
        **{name: scores.get(name) for name in (*VALUES, "clv_status", "clv_way")},
        "health_override": None if override is None else override_answer(override),
        "health_counts": counting_health(scores, override, rules),
        "health_band_reason": band_reason_answer(scores, rules),
        "health_parts": health_answer(store.home, portfolio, request.customer_id, scores["churn_status"]),
        **excluded(exclusion(portfolio, place)),
        **(to_ask if is_out else to_do(portfolio, portfolio.ranked, place, profile)),
        "first": None if is_out else first(portfolio, row),
        "profile": {name: profile[name] for name in PROFILE},
        "metrics": {name: _figure(None if is_out else profile.get(name)) for name in FIGURES},
        "asks": asks,
        "last_ask": asks[-1] if asks else None,
        "resting_until": iso_instant(portfolio.asking.until_us(place)),
        "actions": actions_answer(store, request.customer_id),
        "previous": None if is_out else _previous(portfolio, request.customer_id),
    }


def counting_health(scores: Mapping[str, Any], override: Override | None, rules: HealthRules) -> dict[str, Any]:
    """The health that counts: the lower of what the rules say and what somebody set by hand, with its band."""
    score, band = scores["health_score"], scores["health_band"]
    if override is None or (score is not None and score <= override.score):
        return {"score": score, "band": band, "is_by_hand": False}
    return {"score": override.score, "band": band_of(override.score, rules), "is_by_hand": True}


def _figure(value: Any) -> Any:
    """A figure of one customer; acts with the instant of the latest."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [{"kind": act["kind"], "n": act["n"], "latest_at": iso_instant(act["last_us"])} for act in value]
    return value


def _previous(portfolio: ServedWeek, customer_id: str) -> dict[str, Any] | None:
    """The probabilities of the week before."""
    before = portfolio.before.of(customer_id) if portfolio.before else None
    if portfolio.before is None or before is None:
        return None
    names = (f"{model}_{part}" for model in MODELS for part in ("probability", *ENDS))
    probabilities = {name: before.get(name) for name in names}
    return {"as_of": portfolio.before.week.manifest["as_of"], **probabilities}


def query_metrics(store: ServingState, request: MetricsQuery) -> dict[str, Any]:
    """Envelopes of metrics, week after week."""
    portfolio = store.week_of(request.as_of)
    _refuse_unknown(request.metric_ids, portfolio.metric_ids)
    weeks = store.metrics_of_weeks(request.weeks, portfolio)
    rows = [row for week in weeks for row in _narrowed(week, request).to_pylist() if _is_wanted(row, request)]
    for row in rows:
        row["as_of"] = iso_instant(row["as_of"])
        row.setdefault("n_items", None)  # weeks of older versions do not say it
    return {**portfolio.freshness(now_us()), "metrics": rows}


def _narrowed(week: pa.Table, request: MetricsQuery) -> pa.Table:
    """The rows of the wanted metrics, before any of them becomes Python's."""
    if not request.metric_ids:
        return week
    return week.filter(pc.is_in(week["metric_id"], pa.array(request.metric_ids, pa.string())))


def metrics_catalogue(store: ServingState, request: MetricsCatalogue) -> dict[str, Any]:
    """What each metric means."""
    entries = catalogue()
    known = {entry["metric_id"] for entry in entries}
    _refuse_unknown(request.metric_ids, known)
    return {
        "metrics": [entry for entry in entries if not request.metric_ids or entry["metric_id"] in request.metric_ids]
    }


def _refuse_unknown(asked: Sequence[str], known: Collection[str]) -> None:
    if set(asked) - set(known):
        raise Problem("unknown_metric", f"A metric is none of: {', '.join(sorted(known))}", "metric_ids")


def _is_wanted(row: Mapping[str, Any], request: MetricsQuery) -> bool:
    return (
        row["by"] == request.by
        and (not request.metric_ids or row["metric_id"] in request.metric_ids)
        and (not request.segment or row["segment"] in request.segment)
    )
