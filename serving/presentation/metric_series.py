"""A metric week by week as page and report show it: its trend, its change, and whether that is more than noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vouch.features.charts.bars import whisker
from vouch.features.charts.series import WeekValue, spark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.features.charts.bars import Whisker
    from vouch.features.charts.series import Trend

FULL_SCALE = {"percent": (0.0, 100.0), "probability": (0.0, 1.0)}


@dataclass(frozen=True)
class Series:
    """One metric of the company as a whole, week by week, and how it is drawn."""

    metric_id: str
    newest: Mapping[str, Any]
    points: tuple[WeekValue, ...]
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


def _half(point: WeekValue) -> float | None:
    """Half of the width of an interval."""
    return None if point.low is None or point.high is None else (point.high - point.low) / 2


def metric_series(metric_id: str, rows: Sequence[Mapping[str, Any]]) -> Series:
    """Return a metric from its rows, one per week, the newest last."""
    points = tuple(WeekValue(row["as_of"], row["value"], row["ci_low"], row["ci_high"]) for row in rows)
    newest = rows[-1]
    value, span = newest["value"], FULL_SCALE.get(newest["unit"], _span(points))
    shown = value is not None and newest["ci_low"] is not None
    return Series(
        metric_id,
        newest,
        points,
        spark(points),
        whisker(value, newest["ci_low"], newest["ci_high"], span) if shown else None,
    )


def _span(points: Sequence[WeekValue]) -> tuple[float, float]:
    """The range of a metric that has no scale of its own: from 0, or from its lowest bound, to its highest."""
    held = [end for point in points for end in (point.low, point.value, point.high) if end is not None]
    return min([0.0, *held]), max([0.0, *held])
