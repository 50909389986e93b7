"""The first page: whom to call, thank and wait for this week, from the same answer as `/v1/week`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vouch.features.health import UNKNOWN
from vouch.serving.api.handlers.this_week import this_week
from vouch.serving.api.schemas import WeekGet
from vouch.serving.asking.by_rules import MODEL
from vouch.serving.web.overview import series_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.serving.api.state import ServingState
    from vouch.serving.api.week import ServedWeek
    from vouch.serving.presentation.metric_series import Series

ROWS = 8
"""Customers in each list of the page."""
STANDS = ("revenue_at_risk", "churn_rate_monthly", "nps")
"""Metrics that say how the company stands."""


@dataclass(frozen=True)
class WeekPage:
    """All that the first page shows."""

    answer: Mapping[str, Any]
    headlines: Sequence[Series]
    owners: Sequence[str]
    """Who looks after customers, to choose from."""
    owner: str
    """Who was chosen; empty for everybody."""
    knows_danger: bool
    """Whether anything is known by which somebody is in danger: a model, or of anybody a band of health."""
    knows_renewals: bool
    """Whether of anybody the next renewal is known: of nobody is not none."""

    @property
    def rows(self) -> int:
        """How many customers are shown."""
        answer = self.answer
        named = (answer[name]["customers"] for name in ("call_first", "renewals", "new_advocates", "to_thank"))
        return sum(map(len, named)) + len(answer["asks_waiting"]["asks"])


def week_page(store: ServingState, owner: str, as_of: str | None = None) -> WeekPage:
    """Return a week, by default the newest; raises the problems of `/v1/week`."""
    answer = this_week(store, WeekGet(limit=ROWS, owner=[owner] if owner else [], as_of=as_of))
    known, week = series_of(store, STANDS, as_of), store.week_of(as_of)
    bands = {str(band) for band in week.scores.column("health_band").unique()}
    return WeekPage(
        answer,
        [known[name] for name in STANDS if name in known],
        owners_of(week),
        owner,
        knows_danger=answer["call_first"]["ranked_by"] == MODEL or bool(bands - {UNKNOWN, "None"}),
        knows_renewals=bool((week.standing.renewal_us >= 0).any()),
    )


def owners_of(week: ServedWeek) -> Sequence[str]:
    """Who looks after customers of a week, in the order of the alphabet."""
    return sorted(week.at_risk.categories.get("owner", []))
