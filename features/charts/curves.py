"""Curves as places in a drawing: lines with bands and points over two axes, with a key of their names.

Calibration, gains, decision curves, dependence and retention are such plots.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vouch.features.charts.series import LEFT, RIGHT, WIDTH, ticks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vouch.features.vectors.numerals import Numerals

HEIGHT, ABOVE, BELOW, KEY = 230.0, 28.0, 44.0, 20.0
SIDE = 300.0
_TOPS = (0.02, 0.04, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
_PARTS = (0.0, 0.1, 0.25, 0.5, 1.0)
LOOKS = 8
"""Lines that look each their own way; after so many they begin again."""


@dataclass(frozen=True)
class Curve:
    """A line by name, as places (x, y) in order of x; `band` holds its lower and upper end at each of them."""

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float]] = ()
    is_ideal: bool = False
    """Drawn faintly: what is promised, or what anybody gets."""


@dataclass(frozen=True)
class Spot:
    """A point by itself with its interval."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Axis:
    """An axis: its title, how its numbers are written, its ends and its marks where they are not worked out."""

    title: str
    written: Callable[[float], str]
    low: float | None = None
    high: float | None = None
    marks: Sequence[float] | None = None
    is_root: bool = False
    """By square roots, for what is mostly small."""


@dataclass(frozen=True)
class Place:
    """A written place on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class DrawnCurve:
    """A curve as path data, with the class that it looks by and its place in the key."""

    name: str
    look: str
    line: str
    band: str
    key_y: float


@dataclass(frozen=True)
class Dot:
    """A spot as it stands in a drawing."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Plot:
    """Curves and spots over two axes, `right` and `below` the ends of its area; the key stands beneath."""

    width: float
    height: float
    right: float
    below: float
    x_title: str
    y_title: str
    x_places: tuple[Place, ...]
    y_places: tuple[Place, ...]
    curves: tuple[DrawnCurve, ...]
    dots: tuple[Dot, ...]
    lines: tuple[Place, ...]
    """Marked places of the horizontal axis."""


@dataclass(frozen=True)
class _Scale:
    """From numbers to places along an axis."""

    low: float
    high: float
    start: float
    end: float
    is_root: bool

    def __call__(self, number: float) -> float:
        share = (min(max(number, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + (math.sqrt(share) if self.is_root else share) * (self.end - self.start)


def plot(
    curves: Sequence[Curve],
    x: Axis,
    y: Axis,
    spots: Sequence[Spot] = (),
    lines: Sequence[tuple[float, str]] = (),
    size: tuple[float, float] = (WIDTH, HEIGHT),
) -> Plot | None:
    """Return curves and spots over two axes; None without any. `lines` are named places of the horizontal axis."""
    if not (any(curve.points for curve in curves) or spots):
        return None
    width, height = size
    right, below = width - RIGHT, height - BELOW
    across, up = _marks(x, _held(curves, spots, 0)), _marks(y, _held(curves, spots, 1))
    along = _Scale(across[0], across[-1], LEFT, right, x.is_root)
    rising = _Scale(up[0], up[-1], below, ABOVE, y.is_root)
    drawn: list[DrawnCurve] = []
    looks = 0
    for curve in curves:
        looks += not curve.is_ideal
        look = "ideal" if curve.is_ideal else f"l{(looks - 1) % LOOKS}"
        ends = [[(along(at[0]), rising(end[side])) for at, end in zip(curve.points, curve.band, strict=False)]
                for side in (0, 1)]  # fmt: skip
        band = f"{_path([*ends[0], *reversed(ends[1])])}Z" if len(ends[0]) > 1 else ""
        line = _path([(along(a), rising(b)) for a, b in curve.points])
        drawn.append(DrawnCurve(curve.name, look, line, band, height + KEY * len(drawn) + 8))
    return Plot(
        width, height + KEY * len(drawn) * (len(drawn) > 1), right, below, x.title, y.title,
        tuple(Place(along(mark), x.written(mark)) for mark in across),
        tuple(Place(rising(mark), y.written(mark)) for mark in up),
        tuple(drawn),
        tuple(Dot(along(one.x), rising(one.y), rising(one.low), rising(one.high)) for one in spots),
        tuple(Place(along(at), text) for at, text in lines if across[0] <= at <= across[-1]),
    )  # fmt: skip


def _held(curves: Sequence[Curve], spots: Sequence[Spot], side: int) -> list[float]:
    """All that an axis must span."""
    held = [point[side] for curve in curves for point in curve.points]
    if side == 0:
        return [*held, *(spot.x for spot in spots)]
    ends = [end for curve in curves for pair in curve.band for end in pair]
    return [*held, *ends, *(end for spot in spots for end in (spot.y, spot.low, spot.high))]


def _marks(axis: Axis, held: Sequence[float]) -> Sequence[float]:
    if axis.marks is not None:
        return axis.marks
    return ticks(min(held) if axis.low is None else axis.low, max(held) if axis.high is None else axis.high)


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places) if places else ""


def calibration_plot(
    bins: Sequence[Spot], smooth: Curve | None, ideal: str, x_title: str, y_title: str, written: Numerals
) -> Plot | None:
    """Return a calibration plot in a square: bins with intervals, a smooth curve with its band, and the promise.

    Both axes are of square roots, for most probabilities are small; a promise that is kept stays on the diagonal.
    """
    if not bins and smooth is None:
        return None
    held = [max(spot.x, spot.high) for spot in bins]
    held += [max(point[0], end[1]) for point, end in zip(smooth.points, smooth.band, strict=True)] if smooth else []
    top = next(share for share in _TOPS if share >= min(max(held), 1.0))
    marks = [top * part for part in _PARTS]

    def axis(title: str) -> Axis:
        return Axis(title, lambda share: written.points(100 * share), marks=marks, is_root=True)

    curves = [*([smooth] if smooth else []), Curve(ideal, [(0.0, 0.0), (top, top)], is_ideal=True)]
    return plot(curves, axis(x_title), axis(y_title), bins, size=(SIDE, SIDE - LEFT - RIGHT + ABOVE + BELOW))
