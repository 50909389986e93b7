"""Handler of `/v1/customers/find`: customers by name, account or id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.serving.api.speaking import called
from vouch.serving.api.state import now_us

if TYPE_CHECKING:
    from vouch.serving.api.schemas import CustomersFind
    from vouch.serving.api.state import ServingState
    from vouch.serving.api.week import ServedWeek

OF_SCORES = ("churn_status", "churn_probability", "churn_low", "churn_high", "churn_band")


def find_customers(store: ServingState, request: CustomersFind) -> dict[str, Any]:
    """Customers by the beginning of any word of their name, account or id."""
    week = store.week_of(request.as_of)
    rows = week.people.find(request.text)
    return {
        **week.freshness(now_us()),
        "total": len(rows),
        "customers": [person_row(week, int(row)) for row in rows[: request.limit]],
    }


def person_row(week: ServedWeek, row: int) -> dict[str, Any]:
    """A customer as lists of people tell one."""
    scores, profile = week.scores_at(row), week.profile_at(row)
    return {
        **called(scores["customer_id"], profile),
        **{name: profile[name] for name in ("segment", "mrr")},
        **{name: scores[name] for name in OF_SCORES},
    }
