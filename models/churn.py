"""The churn model: will a customer who is with us now have left four weeks on?

Contractual where the company has subscriptions that can end, else by inactivity. Whose end is announced already is not
predicted: those customers are listed apart (`leaving`).
"""

from __future__ import annotations

from vouch.features.facts.stays import GAP_DAYS
from vouch.models.definition import Band, Costs, Model, Target
from vouch.models.eligibility import InactivityStatus, subscriber_status
from vouch.models.outcomes import churn_moments, label_churn, label_inactivity, offer_trials

MODEL = Model(
    name="churn",
    question="Will this customer, who is with us now, have left by the end of the horizon?",
    targets=(
        Target(
            name="contract",
            needs={"subscriptions": ("ended_at",)},
            label=label_churn,
            status=subscriber_status,
            horizon_days=28,
            gap_days=GAP_DAYS,
            bands=(Band("low", 0.0), Band("watch", 0.05), Band("high", 0.15)),
            max_calibration_error=0.02,
            moments=churn_moments,
            trials=offer_trials,
        ),
        Target(
            name="inactivity",
            any_of=("usage_events", "transactions"),
            label=label_inactivity,
            status=InactivityStatus(),
            is_for_chosen=True,
            horizon_days=90,
            bands=(Band("low", 0.0), Band("watch", 0.4), Band("high", 0.7)),
            max_calibration_error=0.03,
        ),
    ),
    left_out=frozenset({"is_leaving"}),
    recency=("days_since_activity", "days_since_usage"),
    costs=Costs(action=10.0, gain=120.0),
)
