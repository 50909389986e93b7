"""Records that the examples of answers are made of: one customer, an ask, an override, as the API tells them."""

from __future__ import annotations

FRESH = {
    "as_of": "2026-11-16",
    "revision": 1,
    "scored_at": "2026-11-16T06:00:00Z",
    "data_through": "2026-11-15T21:30:00Z",
    "is_stale": False,
}
MODELS = {"churn_model": "3f" * 32, "advocacy_model": "a9" * 32}
USAGE = {
    "family": "usage",
    "feature": "active_days_28d",
    "value": "3",
    "contribution": 1.5,
    "words": "Used on 3 days in 4 weeks",
}
SURVEYS = {
    "family": "surveys",
    "feature": "nps_last",
    "value": "10",
    "contribution": 1.0,
    "words": "Answered 10 of 10 to whether to recommend",
}
CALLED = {
    "customer_id": "C000001",
    "name": "Mona Samplewood",
    "account_id": "A0000017",
    "account_name": "North Energy Example",
    "owner": "Ines Demo",
    "currency": "EUR",
    "crm_url": "https://crm.example/customers/C000001",
}
CHURN = {"churn_status": "ok", "churn_probability": 0.18242552380635635, "churn_band": "low"}
ADVOCACY = {"advocacy_status": "ok", "advocacy_probability": 0.2689414213699951, "advocacy_score": 26.89414213699951}
SCORES = {
    **CHURN,
    "churn_low": 0.11,
    "churn_high": 0.27,
    "churn_within": [{"weeks": 1, "probability": 0.05}, {"weeks": 4, "probability": 0.18242552380635635}],
    "churn_base": -3.0,
    "churn_raw": -1.5,
    "churn_reasons": [USAGE],
    **ADVOCACY,
    "advocacy_low": 0.19,
    "advocacy_high": 0.36,
    "advocacy_within": None,
    "advocacy_base": -2.0,
    "advocacy_raw": -1.0,
    "advocacy_reasons": [SURVEYS],
    **MODELS,
}
GROUPS = {"segment": "smb", "region": "KR-11", "language": "ko-KR"}
SUGGESTED = {
    "is_eligible": True,
    "exclusion": None,
    "exclusion_words": None,
    "ask_for": {
        "kind": "referral",
        "value": 5.0,
        "share": 0.4,
        "own_acts": 2,
        "words": "referral: has done this unasked 2 times, of what this customer could do",
        "uplift": None,
        "ranked_by": "response",
        "if_asked": 0.31,
        "if_not_asked": 0.04,
        "adds": None,
    },
    "first": None,
    "is_randomised": False,
    "propensity": None,
    "resting_until": None,
}
ASK = {
    "ask_id": "crm-2026-000123",
    "asked_at": "2026-11-17T09:30:00Z",
    "kind": "referral",
    "outcome": None,
    "outcome_at": None,
    "channel": "phone",
    "asked_by": "crm",
    "note": None,
}
ACTION = {
    "action_id": "crm-2026-000031",
    "customer_id": "C000001",
    "kind": "called",
    "done_at": "2026-11-17T09:30:00Z",
    "done_by": "crm",
    "note": "will renew",
    "withdrawn_at": None,
}
ACCEPTED = {**ASK, "outcome": "accepted", "outcome_at": "2026-11-19T14:05:00Z"}
CANDIDATE = {
    "rank": 1,
    **CALLED,
    **{name: value for name, value in {**CHURN, **ADVOCACY}.items() if name != "churn_band"},
    "value": 0.4397592834066955,
    "advocate_tier": "active",
    "health_score": 62.0,
    "nps_last": 9.0,
    "reasons": [SURVEYS],
    **GROUPS,
    "contact_consent": True,
    "advocacy_consent": True,
    "last_asked_at": None,
    **MODELS,
    **SUGGESTED,
}
AT_RISK = {
    "rank": 1,
    **CALLED,
    **CHURN,
    "health_score": 62.0,
    "health_band": "watch",
    "churn_low": 0.11,
    "churn_high": 0.27,
    "before": 0.05,
    "change": 0.13242552380635635,
    "renewal_at": "2026-12-01T00:00:00Z",
    "value": 21.891062856762762,
    "value_reason": None,
    "mrr": 120.0,
    "reasons": [USAGE],
    **GROUPS,
    "contact_consent": True,
    "churn_model": MODELS["churn_model"],
}
OVERRIDE = {
    "override_id": "crm-2026-000007",
    "customer_id": "C000001",
    "score": 35.0,
    "reason": "their sponsor left",
    "set_by": "crm",
    "set_at": "2026-11-17T09:30:00Z",
    "expires_at": "2026-12-17T09:30:00Z",
    "withdrawn_at": None,
    "withdrawn_by": None,
}
CUSTOMER = {
    **CALLED,
    **SCORES,
    "churn_changes": [{**USAGE, "cause": "feature", "before": "9"}],
    "advocacy_changes": None,
    "changes_stale": False,
    "advocate_tier": "active",
    "health_score": 62.0,
    "health_band": "watch",
    "health_override": OVERRIDE,
    "health_parts": {
        "parts": [
            {"feature": "nps_last", "group": "feedback", "value": 10.0, "points": 100.0, "weight": 0.15},
            {"feature": "csat_mean_365d", "group": "feedback", "value": None, "points": None, "weight": 0.1},
        ],
        "coverage": 0.9,
        "lowest": 55.8,
        "highest": 65.8,
        "explanation": None,
    },
    "health_counts": {"score": 35.0, "band": "at_risk", "is_by_hand": True},
    "clv_margin": 1840.5,
    "clv_margin_low": 912.3,
    "clv_margin_high": 2705.1,
    "clv_margin_so_far": 610.2,
    "clv_revenue": 2480.0,
    "clv_status": "ok",
    "clv_way": "contract",
    **SUGGESTED,
    "profile": {
        **GROUPS,
        "country": "KR",
        "plan": "team",
        "contact_consent": True,
        "advocacy_consent": True,
        "mrr": 120.0,
    },
    "metrics": {
        "mrr": 120.0,
        "tenure_days": 410.0,
        "nps_last": 10.0,
        "open_tickets": ["low"],
        "acts": [{"kind": "referral", "n": 2, "latest_at": "2026-08-03T10:00:00Z"}],
    },
    "asks": [ACCEPTED],
    "last_ask": ACCEPTED,
    "resting_until": "2026-12-17T09:30:00Z",
    "actions": [ACTION],
    "previous": {"as_of": "2026-11-09", "churn_probability": 0.05, "advocacy_probability": 0.27},
}
REFERENCE = {
    "request_id": "desk-2026-000017",
    "deal": "OPP-4711",
    "kind": "reference_call",
    "state": "requested",
    "industry": "retail",
    "company_size": 300,
    "region": None,
    "language": None,
    "use_case": None,
    "persona": None,
    "needed_by": None,
    "requested_at": "2026-11-17T09:00:00Z",
    "requested_by": "crm",
    "done_at": None,
    "withdrawn_at": None,
    "deal_outcome": None,
    "deal_at": None,
    "asked": [],
}
ASKED_FOR = {
    **REFERENCE,
    "state": "asked",
    "asked": [{**ASK, "ask_id": "crm-2026-000125", "kind": "reference_call", "customer_id": "C000002"}],
}
NOT_NEEDED = {**ASKED_FOR, "state": "withdrawn", "withdrawn_at": "2026-11-19T15:00:00Z"}
