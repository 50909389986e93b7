"""Series over time as places in a drawing: lines with their intervals, with axes or as small as a word.

Every chart has a table of the same figures beside it in the page.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, HEIGHT = 440.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 12.0, 12.0, 26.0
SPARK_WIDTH, SPARK_HEIGHT, SPARK_EDGE = 120.0, 32.0, 4.0
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    value: float


@dataclass(frozen=True)
class WeekValue:
    """One value over time; null where there is none."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Mark:
    """A point as it stands in a drawing, with what it shows."""

    x: float
    y: float
    point: WeekValue


@dataclass(frozen=True)
class Trend:
    """A line over time with its band: path data for SVG, the marks, and the ticks of both axes."""

    width: float
    height: float
    line: str
    band: str
    marks: tuple[Mark, ...]
    y_ticks: tuple[Tick, ...]
    x_ticks: tuple[Mark, ...]


def ticks(low: float, high: float, wanted: int = 4) -> tuple[float, ...]:
    """Return round numbers that span a range, at least two.

    >>> ticks(0, 37), ticks(-3, 8), ticks(5, 5)
    ((0.0, 10.0, 20.0, 30.0, 40.0), (-5.0, 0.0, 5.0, 10.0), (5.0, 5.25, 5.5, 5.75, 6.0))
    """
    if high <= low:
        high = low + 1.0
    raw = (high - low) / wanted
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(scale * step for step in _STEPS if scale * step >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(place * step, 12) for place in range(first, max(last, first + 1) + 1))


def trend(
    points: Sequence[WeekValue],
    span: tuple[float, float] | None = None,
    size: tuple[float, float] = (WIDTH, HEIGHT),
) -> Trend | None:
    """Return a line with axes, over a span that others share where it is given; None where no point has a value."""
    held = _heights(points)
    if not held:
        return None
    width, height = size
    steps = ticks(*(span or (min(held), max(held))), 4 if height >= HEIGHT else 2)
    marks = _marks(points, (LEFT, width - RIGHT), (TOP, height - BOTTOM), (steps[0], steps[-1]))
    below, above = height - BOTTOM, TOP
    rise = (above - below) / (steps[-1] - steps[0])
    y_ticks = tuple(Tick(below + (step - steps[0]) * rise, step) for step in steps)
    return Trend(
        width, height, _line(marks), _band(marks, below, steps[0], rise), tuple(mark for mark in marks if mark),
        y_ticks, _labelled(points, size),
    )  # fmt: skip


def spark(points: Sequence[WeekValue]) -> Trend | None:
    """Return a small line without axes; None where fewer than two points have a value."""
    held = _heights(points)
    if sum(point.value is not None for point in points) < 2:
        return None
    low, high = min(held), max(held)
    low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
    below, above = SPARK_HEIGHT - SPARK_EDGE, SPARK_EDGE
    marks = _marks(points, (SPARK_EDGE, SPARK_WIDTH - SPARK_EDGE), (above, below), (low, high))
    band = _band(marks, below, low, (above - below) / (high - low))
    return Trend(SPARK_WIDTH, SPARK_HEIGHT, _line(marks), band, tuple(mark for mark in marks if mark), (), ())


def _heights(points: Sequence[WeekValue]) -> list[float]:
    """All that the vertical axis must span."""
    shown = [point for point in points if point.value is not None]
    return [value for point in shown for value in (point.value, point.low, point.high) if value is not None]


def _across(points: Sequence[WeekValue], edges: tuple[float, float]) -> list[float]:
    left, right = edges
    gap = (right - left) / max(1, len(points) - 1)
    return [left + gap * place for place in range(len(points))] if len(points) > 1 else [(left + right) / 2]


def _marks(
    points: Sequence[WeekValue], x_edges: tuple[float, float], y_edges: tuple[float, float], span: tuple[float, float]
) -> list[Mark | None]:
    above, below = y_edges
    rise = (above - below) / (span[1] - span[0])
    return [
        None if point.value is None else Mark(x, below + (point.value - span[0]) * rise, point)
        for x, point in zip(_across(points, x_edges), points, strict=True)
    ]


def _runs(marks: Sequence[Mark | None]) -> list[list[Mark]]:
    """Marks that follow each other without a gap."""
    runs: list[list[Mark]] = [[]]
    for mark in marks:
        if mark is None:
            runs.append([])
        else:
            runs[-1].append(mark)
    return [run for run in runs if run]


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def _line(marks: Sequence[Mark | None]) -> str:
    return "".join(_path([(mark.x, mark.y) for mark in run]) for run in _runs(marks) if len(run) > 1)


def _band(marks: Sequence[Mark | None], below: float, low: float, rise: float) -> str:
    """The area between the ends of the intervals."""
    whole = [mark if mark and mark.point.low is not None and mark.point.high is not None else None for mark in marks]
    parts = []
    for run in _runs(whole):
        if len(run) > 1:
            upper = [(mark.x, below + ((mark.point.high or 0.0) - low) * rise) for mark in run]
            lower = [(mark.x, below + ((mark.point.low or 0.0) - low) * rise) for mark in reversed(run)]
            parts.append(f"{_path([*upper, *lower])}Z")
    return "".join(parts)


def _labelled(points: Sequence[WeekValue], size: tuple[float, float]) -> tuple[Mark, ...]:
    """Where labels stand below: the first, the last, and as many between as there is room for."""
    width, height = size
    every = max(1, math.ceil((len(points) - 1) / (4 if width >= WIDTH else 1))) if len(points) > 1 else 1
    places = _across(points, (LEFT, width - RIGHT))
    last = len(points) - 1
    return tuple(
        Mark(places[place], height - 8, points[place])
        for place in range(len(points))
        if place == last or (place % every == 0 and last - place >= every)
    )
