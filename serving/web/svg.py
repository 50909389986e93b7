"""Geometry of SVG charts: numbers in, places in a drawing out; the templates draw them.

The page draws for each request, so this is plain arithmetic (matplotlib would cost a second to import and a tenth to
draw). Every chart has a table of the same figures beside it in the page.
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
_TOPS = (0.02, 0.04, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    value: float


@dataclass(frozen=True)
class Point:
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
    point: Point


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


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram or a stack."""

    x: float
    y: float
    width: float
    height: float
    name: str
    count: float
    share: float | None = None


@dataclass(frozen=True)
class Bars:
    """Bars with the ticks of the vertical axis; `labels` stand below, `value` is their place in what was given."""

    bars: tuple[Bar, ...]
    y_ticks: tuple[Tick, ...]
    labels: tuple[Tick, ...]


@dataclass(frozen=True)
class Whisker:
    """A value with its interval on a line: places from 0 to `width`."""

    width: float
    low: float
    value: float
    high: float
    zero: float | None


@dataclass(frozen=True)
class Dot:
    """A bin of a calibration plot."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Square:
    """A calibration plot: dots with whiskers, and ticks for both axes."""

    dots: tuple[Dot, ...]
    ticks: tuple[Tick, ...]


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


def trend(points: Sequence[Point], from_zero: bool = False) -> Trend | None:
    """Return a line with axes; None where no point has a value."""
    held = _heights(points)
    if not held:
        return None
    steps = ticks(min([*held, 0.0] if from_zero else held), max(held))
    marks = _marks(points, (LEFT, WIDTH - RIGHT), (TOP, HEIGHT - BOTTOM), (steps[0], steps[-1]))
    below, above = HEIGHT - BOTTOM, TOP
    rise = (above - below) / (steps[-1] - steps[0])
    y_ticks = tuple(Tick(below + (step - steps[0]) * rise, step) for step in steps)
    return Trend(
        WIDTH, HEIGHT, _line(marks), _band(marks, below, steps[0], rise), tuple(mark for mark in marks if mark),
        y_ticks, _labelled(points),
    )  # fmt: skip


def spark(points: Sequence[Point]) -> Trend | None:
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


def _heights(points: Sequence[Point]) -> list[float]:
    """All that the vertical axis must span."""
    shown = [point for point in points if point.value is not None]
    return [value for point in shown for value in (point.value, point.low, point.high) if value is not None]


def _across(points: Sequence[Point], edges: tuple[float, float]) -> list[float]:
    left, right = edges
    gap = (right - left) / max(1, len(points) - 1)
    return [left + gap * place for place in range(len(points))] if len(points) > 1 else [(left + right) / 2]


def _marks(
    points: Sequence[Point], x_edges: tuple[float, float], y_edges: tuple[float, float], span: tuple[float, float]
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


def _labelled(points: Sequence[Point]) -> tuple[Mark, ...]:
    """Where labels stand below: the first, the last, and as many between as there is room for."""
    every = max(1, math.ceil((len(points) - 1) / 4)) if len(points) > 1 else 1
    places = _across(points, (LEFT, WIDTH - RIGHT))
    last = len(points) - 1
    return tuple(
        Mark(places[place], HEIGHT - 8, points[place])
        for place in range(len(points))
        if place == last or (place % every == 0 and last - place >= every)
    )


def histogram_bars(counts: Sequence[int]) -> Bars | None:
    """Return bars of counts over equal parts of 0 to 1, the labels at quarters; None where all are empty."""
    if not sum(counts):
        return None
    steps = ticks(0, max(counts))
    below, rise = HEIGHT - BOTTOM, (HEIGHT - BOTTOM - TOP) / steps[-1]
    width = (WIDTH - LEFT - RIGHT) / len(counts)
    bars = tuple(
        Bar(LEFT + place * width + 1, below - count * rise, width - 2, count * rise, str(place), count)
        for place, count in enumerate(counts)
    )
    quarters = tuple(Tick(LEFT + part * (WIDTH - LEFT - RIGHT), part) for part in (0.0, 0.25, 0.5, 0.75, 1.0))
    return Bars(bars, tuple(Tick(below - step * rise, step) for step in steps), quarters)


def stacks(weeks: Sequence[Sequence[tuple[str, int]]]) -> Bars | None:
    """Return one bar per week, split by name in shares; None where there is nothing to show."""
    if not any(count for week in weeks for _, count in week):
        return None
    below, height = HEIGHT - BOTTOM, HEIGHT - BOTTOM - TOP
    room = (WIDTH - LEFT - RIGHT) / len(weeks)
    width = min(34.0, room * 0.72)
    bars = []
    for place, week in enumerate(weeks):
        whole, reached = sum(count for _, count in week), 0.0
        for name, count in week if whole else ():
            share = count / whole
            top = below - (reached + share) * height
            x = LEFT + (place + 0.5) * room - width / 2
            bars.append(Bar(x, top, width, share * height, name, count, share))
            reached += share
    labels = tuple(Tick(LEFT + (place + 0.5) * room, place) for place in range(len(weeks)))
    quarters = tuple(Tick(below - part * height, part) for part in (0.0, 0.25, 0.5, 0.75, 1.0))
    return Bars(tuple(bars), quarters, labels)


def whisker(value: float, low: float | None, high: float | None, span: tuple[float, float]) -> Whisker:
    """Return a value and its interval as places on a short line that spans a range."""
    width, edge = SPARK_WIDTH, 5.0
    start, end = span if span[1] > span[0] else (span[0] - 1.0, span[0] + 1.0)

    def place(number: float) -> float:
        return edge + (min(max(number, start), end) - start) / (end - start) * (width - 2 * edge)

    zero = place(0.0) if start < 0 < end else None
    return Whisker(
        width, place(value if low is None else low), place(value), place(value if high is None else high), zero
    )


def calibration(bins: Sequence[tuple[float, float, float, float]], side: float = 300.0) -> Square | None:
    """Return a calibration plot of (predicted, observed, low, high) in a square; None without bins.

    Both axes are of square roots, for most probabilities are small; a promise that is kept stays on the diagonal.
    """
    if not bins:
        return None
    top = next(share for share in _TOPS if share >= max(max(predicted, high) for predicted, _, _, high in bins))
    room = side - LEFT - RIGHT

    def right(share: float) -> float:
        return LEFT + math.sqrt(max(share, 0.0) / top) * room

    def up(share: float) -> float:
        return RIGHT + room - math.sqrt(max(share, 0.0) / top) * room

    dots = tuple(Dot(right(predicted), up(observed), up(low), up(high)) for predicted, observed, low, high in bins)
    return Square(dots, tuple(Tick(right(top * part), top * part) for part in (0.0, 0.1, 0.25, 0.5, 1.0)))
