"""The overview page: the figures that a week begins with, each beside the weeks before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.charts.bars import histogram_bars, stacks
from vouch.serving.api.handlers import read
from vouch.serving.api.schemas import MetricsQuery
from vouch.serving.presentation.metric_series import metric_series
from vouch.serving.web.weeks import SHOWN, week_counts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.features.charts.bars import Bars
    from vouch.serving.api.state import ServingState
    from vouch.serving.presentation.metric_series import Series
    from vouch.serving.web.weeks import WeekCounts

HEADLINES = ("revenue_at_risk", "churn_rate_monthly", "nps", "health_score")
"""Metrics that stand large at the top, beside the number of customers."""
FRIENDS = (
    "nps", "csat", "ces_easy", "trust", "cai", "emotional_loyalty", "care_index", "retention_rate",
    "net_revenue_retention", "gross_revenue_retention", "say_do_rate", "advocacy_participation",
    "referral_conversion_rate", "advocacy_revenue_share", "net_sentiment", "closed_loop_rate",
)  # fmt: skip
"""NPS and its friends: what the portfolio lists with interval and trend. The page of metrics has all."""
BINS = 20


@dataclass(frozen=True)
class Overview:
    """All that the portfolio shows."""

    as_of: str
    weeks: Sequence[WeekCounts]
    headlines: Sequence[Series]
    friends: Sequence[Series]
    risk: Bars | None
    risk_counts: Sequence[int]
    stacks: Mapping[str, Bars | None]

    @property
    def newest(self) -> WeekCounts | None:
        """The week that is served."""
        return self.weeks[-1] if self.weeks else None

    @property
    def before(self) -> WeekCounts | None:
        """The week before it."""
        return self.weeks[-2] if len(self.weeks) > 1 else None


def overview(store: ServingState, as_of: str | None = None) -> Overview:
    """Return the portfolio of a week, by default of the newest.

    Raises the problem `no_snapshot` where there is none, `week_gone` where that one is no longer kept.
    """
    portfolio = store.week_of(as_of)
    weeks = week_counts(store, last=portfolio)
    known = series_of(store, [*HEADLINES, *FRIENDS], as_of)
    counts = binned(portfolio.candidates["churn_probability"].to_numpy())
    return Overview(
        as_of=str(portfolio.week.manifest["as_of"]),
        weeks=weeks,
        headlines=[known[name] for name in HEADLINES if name in known],
        friends=[known[name] for name in FRIENDS if name in known],
        risk=histogram_bars(counts),
        risk_counts=counts,
        stacks={name: stacks([week.of(name) for week in weeks]) for name in ("health_band", "churn_band")},
    )


def binned(probabilities: np.ndarray[Any, np.dtype[np.float64]]) -> list[int]:
    """How many probabilities lie in each of BINS equal parts of 0 to 1, the last one closed."""
    counts, _ = np.histogram(probabilities[~np.isnan(probabilities)], bins=BINS, range=(0.0, 1.0))
    return [int(count) for count in counts]


def series_of(store: ServingState, wanted: Sequence[str], as_of: str | None = None) -> dict[str, Series]:
    """Return metrics by id, those that the snapshot has; the whole company, week by week up to one."""
    known = store.week_of(as_of).metric_ids
    ids = [name for name in dict.fromkeys(wanted) if name in known]
    if not ids:
        return {}
    answer = read.query_metrics(store, MetricsQuery(metric_ids=ids, weeks=SHOWN, as_of=as_of))
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in answer["metrics"]:
        rows.setdefault(row["metric_id"], []).append(row)
    return {name: metric_series(name, of) for name, of in rows.items()}
