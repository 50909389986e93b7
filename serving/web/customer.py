"""The customer page: what the scores are, why, how they went, and what was asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vouch.features.charts.series import WeekValue, trend
from vouch.serving.api.handlers import read
from vouch.serving.api.schemas import CustomerGet
from vouch.serving.snapshots.schema import EXTRA, MODELS, NO_MODEL
from vouch.serving.web.weeks import history

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.features.charts.series import Trend
    from vouch.serving.api.state import ServingState

REASON_WIDTH = 180.0


@dataclass(frozen=True)
class ReasonBar:
    """One reason as a bar to the right of the middle where it raises the score, to the left where it lowers it."""

    reason: Mapping[str, Any]
    x: float
    width: float

    @property
    def raises(self) -> bool:
        """Whether it raises the score."""
        return bool(self.reason["contribution"] > 0)


@dataclass(frozen=True)
class Profile:
    """All that the page of one customer shows."""

    answer: Mapping[str, Any]
    reasons: Mapping[str, Sequence[ReasonBar]]
    changes: Mapping[str, Sequence[ReasonBar]]
    extra: Sequence[str]
    """Further models that say something of this customer."""
    weeks: Sequence[Mapping[str, Any]]
    trends: Mapping[str, Trend | None]


def profile(store: ServingState, customer_id: str, as_of: str | None = None) -> Profile:
    """Return one customer, as of a past week where one is named; raises the problems of `/v1/customers/get`."""
    answer = read.get_customer(store, CustomerGet(customer_id=customer_id, as_of=as_of))
    weeks = history(store, customer_id, last=store.week_of(as_of))
    return Profile(
        answer=answer,
        reasons={model: bars(answer[f"{model}_reasons"] or []) for model in MODELS},
        changes={model: bars(answer[f"{model}_changes"] or []) for model in MODELS},
        extra=[model for model in EXTRA if answer.get(f"{model}_status") not in {None, NO_MODEL}],
        weeks=weeks,
        trends={
            "churn": _trend(weeks, "churn_probability", 100.0),
            "advocacy": _trend(weeks, "advocacy_probability", 100.0),
            "health": _trend(weeks, "health_score", 1.0),
        },
    )


def _trend(weeks: Sequence[Mapping[str, Any]], column: str, times: float) -> Trend | None:
    values = [None if week[column] is None else times * week[column] for week in weeks]
    points = [WeekValue(week["as_of"], value) for week, value in zip(weeks, values, strict=True)]
    return trend(points, (0.0, max((value for value in values if value is not None), default=0.0)))


def bars(reasons: Sequence[Mapping[str, Any]]) -> list[ReasonBar]:
    """Return reasons as bars about the middle, the longest as wide as half of the drawing; no bars for nothing."""
    longest = max((abs(reason["contribution"]) for reason in reasons), default=0.0)
    if not longest:
        return []
    middle = REASON_WIDTH / 2
    widths = [(reason, abs(reason["contribution"]) / longest * (middle - 2)) for reason in reasons]
    return [
        ReasonBar(reason, middle if reason["contribution"] > 0 else middle - width, max(width, 1.0))
        for reason, width in widths
        if reason["contribution"]
    ]
