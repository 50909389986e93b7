"""The overview page: the figures that a week begins with, each beside the weeks before it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.serving.api.handlers import read
from vouch.serving.api.schemas import MetricsQuery
from vouch.serving.web import svg
from vouch.serving.web.weeks import SHOWN, week_counts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.serving.api.state import ServingState
    from vouch.serving.web.svg import Bars, Point, Trend, Whisker
    from vouch.serving.web.weeks import WeekCounts

HEADLINES = ("revenue_at_risk", "churn_rate_monthly", "nps", "health_score")
"""Metrics that stand large at the top, beside the number of customers."""
FRIENDS = (
    "nps", "csat", "ces_easy", "trust", "cai", "emotional_loyalty", "care_index", "retention_rate",
    "net_revenue_retention", "gross_revenue_retention", "say_do_rate", "advocacy_participation",
    "referral_conversion_rate", "advocacy_revenue_share", "net_sentiment", "closed_loop_rate",
)  # fmt: skip
"""NPS and its friends: what the portfolio lists with interval and trend. The page of metrics has all."""
FULL_SCALE = {"percent": (0.0, 100.0), "probability": (0.0, 1.0)}
BINS = 20


@dataclass(frozen=True)
class Series:
    """One metric of the company as a whole, week by week, and how it is drawn."""

    metric_id: str
    newest: Mapping[str, Any]
    points: tuple[Point, ...]
    spark: Trend | None
    whisker: Whisker | None

    @property
    def is_shown(self) -> bool:
        """Whether there is a value to show."""
        return self.newest["value"] is not None

    @property
    def change(self) -> float | None:
        """How much more than the week before."""
        if len(self.points) < 2 or self.points[-1].value is None or self.points[-2].value is None:
            return None
        return self.points[-1].value - self.points[-2].value

    @property
    def is_real(self) -> bool | None:
        """Whether the change is more than noise: outside the interval of a difference of two estimates.

        Both count as independent, which they are not where windows overlap: a change is called real too seldom rather
        than too often. None where an interval is missing.
        """
        if self.change is None:
            return None
        halves = [_half(point) for point in self.points[-2:]]
        known = [half for half in halves if half is not None]
        return None if len(known) < len(halves) else abs(self.change) > math.hypot(*known)

    @property
    def is_better(self) -> bool | None:
        """Whether the change is for the better; None where the metric has no better, or nothing changed."""
        better = self.newest.get("higher_is_better")
        return None if better is None or not self.change else (self.change > 0) == better


@dataclass(frozen=True)
class Overview:
    """All that the portfolio shows."""

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


def _half(point: Point) -> float | None:
    """Half of the width of an interval."""
    return None if point.low is None or point.high is None else (point.high - point.low) / 2


def overview(store: ServingState) -> Overview:
    """Return the portfolio of the snapshot that is served; raises the problem `no_snapshot` where there is none."""
    portfolio = store.portfolio
    weeks = week_counts(store)
    known = series_of(store, [*HEADLINES, *FRIENDS])
    counts = binned(portfolio.candidates["churn_probability"].to_numpy())
    return Overview(
        weeks=weeks,
        headlines=[known[name] for name in HEADLINES if name in known],
        friends=[known[name] for name in FRIENDS if name in known],
        risk=svg.histogram_bars(counts),
        risk_counts=counts,
        stacks={name: svg.stacks([week.of(name) for week in weeks]) for name in ("health_band", "churn_band")},
    )


def binned(probabilities: np.ndarray[Any, np.dtype[np.float64]]) -> list[int]:
    """How many probabilities lie in each of BINS equal parts of 0 to 1, the last one closed."""
    counts, _ = np.histogram(probabilities[~np.isnan(probabilities)], bins=BINS, range=(0.0, 1.0))
    return [int(count) for count in counts]


def series_of(store: ServingState, wanted: Sequence[str]) -> dict[str, Series]:
    """Return metrics by id, those that the snapshot has; the whole company, week by week."""
    known = store.portfolio.metric_ids
    ids = [name for name in dict.fromkeys(wanted) if name in known]
    if not ids:
        return {}
    answer = read.query_metrics(store, MetricsQuery(metric_ids=ids, weeks=SHOWN))
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in answer["metrics"]:
        rows.setdefault(row["metric_id"], []).append(row)
    return {name: _series(name, of) for name, of in rows.items()}


def _series(metric_id: str, rows: Sequence[Mapping[str, Any]]) -> Series:
    points = tuple(svg.Point(row["as_of"], row["value"], row["ci_low"], row["ci_high"]) for row in rows)
    newest = rows[-1]
    value, span = newest["value"], FULL_SCALE.get(newest["unit"], _span(points))
    shown = value is not None and newest["ci_low"] is not None
    return Series(
        metric_id,
        newest,
        points,
        svg.spark(points),
        svg.whisker(value, newest["ci_low"], newest["ci_high"], span) if shown else None,
    )


def _span(points: Sequence[Point]) -> tuple[float, float]:
    """The range of a metric that has no scale of its own: from 0, or from its lowest bound, to its highest."""
    held = [end for point in points for end in (point.low, point.value, point.high) if end is not None]
    return min([0.0, *held]), max([0.0, *held])
