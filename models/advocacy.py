"""The advocacy model: will a customer speak up for us unasked and unrewarded in the next 90 days?

Asked acts (`prompted`) and rewarded ones (`incentivised`) do not count: the score is about affinity, not about what a
campaign bought.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.facts.activity import ACTIVE_DAYS
from vouch.features.facts.orders import is_of_order
from vouch.models.definition import Band, Model, Target
from vouch.models.eligibility import first_that_holds, is_active, is_known, is_new, is_set
from vouch.models.outcomes import label_advocacy

if TYPE_CHECKING:
    from vouch.features.asof import Frame, Tables
    from vouch.models.eligibility import Statuses, Vectors


def advocate_status(vectors: Vectors) -> Statuses:
    """Eligible: a running subscription, or has bought and has none.

    Where nothing is known of either, whoever was active lately is.
    """
    has_neither = ~is_known(vectors, "is_subscribed") & ~is_known(vectors, "has_ever_bought")
    eligible = is_set(vectors, "is_subscribed") | is_set(vectors, "has_ever_bought")
    eligible |= has_neither & is_active(vectors)
    return first_that_holds(
        [
            ("cold_start", eligible & is_new(vectors)),
            ("ok", eligible),
            ("churned", is_set(vectors, "has_ever_subscribed")),
        ],
        "not_eligible",
    )


@dataclass(frozen=True)
class UserStatus:
    """Eligible: whoever was active in the last so many days; nobody of a company without contracts has left."""

    days: int = ACTIVE_DAYS

    def after(self, days: int) -> UserStatus:
        """The same with another number of days."""
        return UserStatus(days)

    def __call__(self, vectors: Vectors) -> Statuses:
        """One status per vector."""
        active = is_active(vectors, self.days)
        return first_that_holds([("cold_start", active & is_new(vectors)), ("ok", active)], "not_eligible")


def sells(tables: Tables) -> bool:
    """Whether the company's data hold a subscription or a purchase: a table of either may be there and empty."""
    held = {name: tables.frames[name] for name in ("subscriptions", "transactions") if name in tables}
    if "transactions" in held:
        held["transactions"] = held["transactions"].filter(is_of_order(nw.col("kind")))
    return any(_has_rows(rows) for rows in held.values())


def _has_rows(rows: Frame) -> bool:
    return bool(len(rows.head(1).select("ingested_us").collect("pyarrow")))


ORGANIC = Target(
    name="organic",
    any_of=("advocacy_acts", "referrals"),
    label=label_advocacy,
    status=advocate_status,
    horizon_days=90,
    bands=(Band("low", 0.0), Band("likely", 0.2), Band("high", 0.4)),
    max_calibration_error=0.03,
    is_for=sells,
    is_for_chosen=True,
)
MODEL = Model(
    name="advocacy",
    question="Will this customer recommend us, unasked and unrewarded, within 90 days?",
    targets=(ORGANIC, replace(ORGANIC, name="organic_of_users", status=UserStatus(), is_for=None)),
    recency=("days_since_act", "days_since_activity"),
)
