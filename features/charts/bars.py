"""Bars as places in a drawing: histograms, stacks week by week, rows by size, and values on a short line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vouch.features.charts.series import BOTTOM, HEIGHT, LEFT, RIGHT, SPARK_WIDTH, TOP, WIDTH, Tick, ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

ROW_HEIGHT, EDGE = 38.0, 6.0


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
    width: float = WIDTH


@dataclass(frozen=True)
class Whisker:
    """A value with its interval on a line: places from 0 to `width`."""

    width: float
    low: float
    value: float
    high: float
    zero: float | None


@dataclass(frozen=True)
class Entry:
    """One thing in rows by size: its value, where it began or its interval where there is one, and both as text."""

    name: str
    value: float
    text: str
    start: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class LabelledRow:
    """An entry as it stands in a drawing: its name above, and places from left to right on the line below."""

    y: float
    entry: Entry
    start: float
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class LabelledRows:
    """Rows on one scale, with the place of zero where that lies inside; `is_bars` where a row begins at zero."""

    rows: tuple[LabelledRow, ...]
    height: float
    zero: float | None
    is_bars: bool
    width: float = WIDTH


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


def labelled_rows(entries: Sequence[Entry], span: tuple[float, float] | None = None) -> LabelledRows | None:
    """Return things by name on one scale, in the order given; None without any.

    What has a start is drawn from there to its value, what has an interval as a point in it, all else as a bar from 0.
    The name stands above its line, so that none is too long.
    """
    if not entries:
        return None
    is_bars = all(entry.start is None and entry.low is None for entry in entries)
    held = [end for of in entries for end in (of.value, of.start, of.low, of.high) if end is not None]
    first, last = span or (min([*held, 0.0] if is_bars else held), max([*held, 0.0] if is_bars else held))
    first, last = (first, last) if last > first else (first - 0.5, last + 0.5)
    left, room = EDGE, WIDTH - 2 * EDGE

    def place(number: float) -> float:
        return left + (min(max(number, first), last) - first) / (last - first) * room

    def at(number: float | None) -> float | None:
        return None if number is None else place(number)

    drawn = tuple(
        LabelledRow(ROW_HEIGHT * number, of, place(min(max(0.0, first), last) if of.start is None else of.start),
            place(of.value), at(of.low), at(of.high))
        for number, of in enumerate(entries)
    )  # fmt: skip
    return LabelledRows(drawn, ROW_HEIGHT * len(entries) + 4, place(0.0) if first < 0 < last else None, is_bars)
