"""An example of each route's answer, for the OpenAPI document; tests hold each to its type and to what is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.serving.api.document.example_records import (
    ACCEPTED,
    ACTION,
    ASK,
    ASKED_FOR,
    AT_RISK,
    CALLED,
    CANDIDATE,
    CHURN,
    CUSTOMER,
    FRESH,
    MODELS,
    NOT_NEEDED,
    OVERRIDE,
    REFERENCE,
    SCORES,
    USAGE,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_MEANT = {
    "metric_id": "nps",
    "code": "M01",
    "unit": "points",
    "population": "external customers asked the NPS question (0 to 10) about the company as a whole; "
    "latest answer of each",
    "window_days": 90,
    "definition_version": "2",
    "definition_source": "published",
    "higher_is_better": True,
}
_METRIC = {
    **_MEANT,
    "by": "segment",
    "segment": "smb",
    "value": 51.61290322580645,
    "n": 31,
    "n_items": 31,
    "n_missing": 12,
    "coverage": 0.7209302325581395,
    "ci_low": 24.1,
    "ci_high": 71.9,
    "ci_method": "adjusted_wald",
    "bound_low": None,
    "bound_high": None,
    "value_shrunk": None,
    "as_of": "2026-11-16",
    "status": "ok",
    "reason": None,
}
_ENTRY = {
    **_MEANT,
    "chapter": "satisfaction",
    "name": "Net promoter score",
    "description": "Share of customers who would recommend the company less share of those who would not, in points.",
    "formula": "100 (promoters - detractors) / answers; promoters 9 and 10, detractors 0 to 6, whole numbers on a scale"
    " of 0 to 10",
    "source": "Reichheld 2003, Harvard Business Review 81(12); interval: Rocks 2016, J. Mod. Appl. Stat. Methods 15(1)",
    "inputs": ["surveys"],
    "looks_back_days": 90,
    "n_counts": "external customers asked the NPS question (0 to 10) about the company as a whole, those with a value",
    "null_where": [
        "`not_applicable`: without surveys",
        "`insufficient_history`: the data go back less than 90 days",
        "`empty`: there is nothing to count, or to divide by",
        "`suppressed`: n is below 5",
    ],
    "interval": "adjusted_wald",
    "needs": None,
    "example": "18 promoters, 11 passives, 2 detractors give 51.613",
    "example_value": 51.6129,
}
_PERSON = {**CALLED, "segment": "smb", "mrr": 120.0, "contact_consent": True}
_RENEWAL = "2026-12-01T00:00:00Z"
_WEEK = {
    "previous_as_of": "2026-11-09",
    "horizon_days": 28,
    "currency": "EUR",
    "populations": {
        "everybody": 5,
        "left": 1,
        "customers": 4,
        "opted_out": 0,
        "high_risk": 1,
        "watched": 1,
        "at_risk": 2,
        "unhealthy": 1,
        "potential_advocates": 1,
        "active_advocates": 1,
        "influential_advocates": 0,
    },
    "call_first": {
        "ranked_by": "model",
        "total": 1,
        "newly_high": 1,
        "rose": 0,
        "high": 3,
        "no_longer_high": 1,
        "mrr": 120.0,
        "customers": [
            {
                **_PERSON,
                "why": "newly_high",
                "value": 62.4,
                "value_reason": None,
                "health_score": 31.0,
                "churn_probability": 0.52,
                "churn_low": 0.41,
                "churn_high": 0.63,
                "churn_band": "high",
                "before": 0.32,
                "renewal_at": _RENEWAL,
                "has_moved": True,
                "reasons": [
                    {**USAGE, "cause": "feature", "before": "9", "words": "Used on 3 days in 4 weeks (before: 9 days)"}
                ],
            }
        ],
    },
    "renewals": {
        "days": 30,
        "total": 1,
        "in_danger": 1,
        "customers": [
            {
                **_PERSON,
                "renewal_at": _RENEWAL,
                "churn_probability": 0.52,
                "churn_low": 0.41,
                "churn_high": 0.63,
                "churn_band": "high",
            }
        ],
    },
    "new_advocates": {
        "total": 1,
        "customers": [{**_PERSON, "advocate_tier": "active", "act": "referral", "act_at": "2026-11-12T10:00:00Z"}],
    },
    "to_thank": {
        "total": 1,
        "customers": [{**_PERSON, "advocate_tier": "active", "act": "referral", "act_at": "2026-11-12T10:00:00Z"}],
    },
    "asks_waiting": {
        "total": 1,
        "asks": [{**_PERSON, "ask_id": "crm-2026-000123", "kind": "referral", "asked_at": "2026-11-02T09:30:00Z"}],
    },
    "last_week": {
        "since": "2026-11-09",
        "asks": 4,
        "accepted": 1,
        "declined": 1,
        "ignored": 0,
        "overrides": 1,
        "became": {"flagged": 9, "still_high": 5, "lower": 3, "left": 1},
        "judged": [{"as_of": "2026-10-05", "weeks": 6, "flagged": 11, "precision": 0.27, "base_rate": 0.04}],
    },
    "messages_given_up": 0,
    "run": {
        "at": "2026-11-23T06:00:00Z",
        "outcome": "refused",
        "as_of": "2026-11-23",
        "code": "refused",
        "refused_by": [
            {
                "guard": "customers_change",
                "thing": "customers",
                "value": 0.694,
                "limit": 0.3,
                "meaning": "change of the number of customers",
            }
        ],
    },
}
_PERSON = {**CALLED, "segment": "smb", "mrr": 120.0, **CHURN}
_ACCOUNT = {
    **{name: CALLED[name] for name in ("account_id", "account_name", "owner", "currency")},
    "customers": 2,
    "silent": 1,
    "high": 1,
    "mrr": 160.0,
    "at_risk": 30.0,
    "mean": 0.1875,
    "concentration": 0.75,
    "most_endangered": _PERSON,
}
ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "/v1/week": {**FRESH, **_WEEK},
    "/v1/customers/find": {**FRESH, "total": 1, "customers": [_PERSON]},
    "/v1/accounts": {**FRESH, "total": 1, "next_cursor": None, "accounts": [_ACCOUNT]},
    "/v1/accounts/get": {**FRESH, **_ACCOUNT, "people": [{**_PERSON, "silent_days": 31.5}]},
    "/v1/advocates/search": {
        **FRESH,
        "total": 1,
        "ranked_by": "response",
        "exploration": {
            "share": 0.0,
            "asks_needed": 640,
            "asks_a_week": 41.5,
            "proposed_share": 0.5,
            "weeks": 31,
        },
        "draw": None,
        "candidates": [CANDIDATE],
        "next_cursor": None,
    },
    "/v1/customers/get": {**FRESH, **CUSTOMER},
    "/v1/customers/at_risk": {
        **FRESH,
        "total": 1,
        "ranked_by": "model",
        "sort": "value",
        "horizon_days": 28,
        "customers": [AT_RISK],
        "next_cursor": None,
    },
    "/v1/asks/record": {"ask": ASK, "is_new": True},
    "/v1/asks/outcome": {"ask": ACCEPTED, "is_new": True},
    "/v1/asks/correct": {"ask": {**ACCEPTED, "outcome": "declined"}, "is_new": True},
    "/v1/asks/versions": {
        "versions": [{**ASK, "at": "2026-11-17T09:30:00Z", "by": "crm", "action": "asked", "reason": None}]
    },
    "/v1/asks/search": {
        **FRESH,
        "total": 1,
        "counts": {"open": 0, "waiting": 0, "resting": 1, "done": 1},
        "asks": [
            {
                **ACCEPTED,
                "customer_id": "C000001",
                "state": "done",
                "exclusion": "asked_lately",
                "resting_until": "2026-12-17T09:30:00Z",
            }
        ],
        "next_after": None,
    },
    "/v1/asks/withdraw": {"ask": ASK, "is_new": True},
    "/v1/actions/record": {"action": ACTION, "is_new": True},
    "/v1/webhooks": {
        "receivers": [{"name": "hub", "waiting": 1, "delivered": 41, "dead": 0, "paused_by": "operations"}]
    },
    "/v1/webhooks/pause": {"name": "hub", "is_paused": True, "is_new": True},
    "/v1/webhooks/resume": {"name": "hub", "is_paused": False, "is_new": True},
    "/v1/actions/withdraw": {"action": {**ACTION, "withdrawn_at": "2026-11-17T10:00:00Z"}, "is_new": True},
    "/v1/objections/record": {"customer_id": "C000001", "objects": True, "is_new": True, "objections": 1},
    "/v1/objections/withdraw": {"customer_id": "C000001", "objects": False, "is_new": True, "objections": 0},
    "/v1/overrides/search": {**FRESH, "total": 1, "overrides": [OVERRIDE], "next_after": None},
    "/v1/overrides/record": {"override": OVERRIDE, "is_new": True},
    "/v1/overrides/withdraw": {
        "override": {**OVERRIDE, "withdrawn_at": "2026-11-20T08:00:00Z", "withdrawn_by": "crm"},
        "is_new": True,
    },
    "/v1/references/record": {"reference": REFERENCE, "is_new": True},
    "/v1/references/match": {
        **FRESH,
        "reference": REFERENCE,
        "total": 37,
        "unused": [],
        "advocates": [
            {
                **CALLED,
                "customer_id": "C000002",
                "rank": 1,
                "value": 0.3,
                "fit": 0.75,
                "acceptance": 0.4,
                "rest": 1.0,
                "last_asked_at": None,
                "industry": "retail",
                "company_size": 170,
                "region": None,
                "language": None,
                "use_case": "reporting",
                "persona": "it",
            }
        ],
    },
    "/v1/references/ask": {"reference": ASKED_FOR, "is_new": True},
    "/v1/references/close": {"reference": NOT_NEEDED, "is_new": True},
    "/v1/references/deal": {
        "reference": {**NOT_NEEDED, "deal_outcome": "won", "deal_at": "2026-12-02T10:00:00Z"},
        "is_new": True,
    },
    "/v1/references/search": {
        **FRESH,
        "total": 1,
        "counts": {"requested": 1, "asked": 0, "accepted": 0, "done": 9, "withdrawn": 2},
        "with_reference": {"won": 6, "n": 9, "value": 0.6666666666666666, "low": 0.3542, "high": 0.8794},
        "without_reference": {"won": 0, "n": 0, "value": None, "low": None, "high": None},
        "references": [REFERENCE],
        "next_after": None,
    },
    "/v1/score": {
        "as_of": None,
        "broken": None,
        "empty_own_features": None,
        "models": {"churn": MODELS["churn_model"], "advocacy": MODELS["advocacy_model"]},
        "kinds": {"churn": "logistic", "advocacy": "lightgbm"},
        "scores": [{"customer_id": "what-if", **SCORES}],
    },
    "/v1/tables/score": {
        "model": "leavers",
        "content_hash": MODELS["churn_model"],
        "kind": "lightgbm",
        "positive": "Yes",
        "scores": [
            {
                "id": "C000001",
                "probability": 0.2689414213699951,
                "low": 0.21,
                "high": 0.33,
                "base": -1.2,
                "reasons": [
                    {"column": "Contract", "value": "One year", "contribution": 0.3},
                    {"column": "tenure", "value": "12", "contribution": -0.1},
                ],
            }
        ],
    },
    "/v1/metrics/query": {**FRESH, "metrics": [_METRIC]},
    "/v1/metrics/catalogue": {"metrics": [_ENTRY]},
    "/v1/lists/get": {
        **FRESH,
        "list": "care_needs",
        "holds": "needs of advocates, and the first that is not met",
        "total": 1,
        "reason": None,
        "rows": [
            {
                "rank": 1,
                "customer_id": "C000001",
                "respect": None,
                "gratitude": 0.0,
                "access": 0.5,
                "listening": None,
                "recognition": 1.0,
                "presence": None,
                "care": 50.0,
                "first_unmet_need": "gratitude",
            }
        ],
        "next_after": None,
    },
    "/v1/lists/catalogue": {
        **FRESH,
        "lists": [
            {
                "list": "care_needs",
                "holds": "needs of advocates, and the first that is not met",
                "total": 1,
                "reason": None,
            },
        ],
    },
}
"""By the path of the route."""
