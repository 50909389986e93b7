"""The response model: will a customer who is asked to speak up accept?

It learns from the log of asks, whoever chose them: what it says is a response, and no effect. The effect of asking,
kind by kind, is known where asks were made at random (`trials`; see `vouch.models.scoring.effects`).
"""

from __future__ import annotations

from dataclasses import replace

from vouch.models.advocacy import ORGANIC, UserStatus, sells
from vouch.models.definition import Band, Model, Target
from vouch.models.outcomes import ask_trials, label_response

ACCEPTED = Target(
    name="accepted",
    needs={"asks": ("outcome",)},
    label=label_response,
    status=ORGANIC.status,
    horizon_days=28,
    gap_days=28,
    bands=(Band("low", 0.0), Band("likely", 0.2), Band("high", 0.4)),
    max_calibration_error=0.05,
    is_for=sells,
    trials=ask_trials,
)
MODEL = Model(
    name="response",
    question="Will this customer accept, if asked to speak up within 28 days?",
    targets=(ACCEPTED, replace(ACCEPTED, name="accepted_by_users", status=UserStatus(), is_for=None)),
    recency=("days_since_act", "days_since_activity"),
    is_optional=True,
)
