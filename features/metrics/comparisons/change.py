"""Change of metrics between two instants: its test against chance, and what each segment adds to it.

The test is paired as far as the same customers are in both periods (see `linearisation`); over all rows of one call the
false discovery rate is told (`q`). The contributions of the segments of one split add up to the change of the company:
a segment adds by its own change (`contribution_own`) and by its weight (`contribution_mix`), so that a score which
falls everywhere while the whole rises, or the other way round, explains itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from scipy.special import ndtr

from vouch.features.instants import instant_text
from vouch.features.metrics.catalogue import Absent, chosen_metrics
from vouch.features.metrics.comparisons.linearisation import Linear, linear
from vouch.features.metrics.context import NO_SETTINGS, MetricContext
from vouch.features.metrics.envelopes import plain
from vouch.features.metrics.evaluate import Measurer
from vouch.features.metrics.splits import check_split
from vouch.features.metrics.units import all_counted
from vouch.features.statistics.false_discovery import adjusted
from vouch.features.statistics.intervals import Z

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vouch.features.asof import Frame, Tables
    from vouch.features.metrics.catalogue import Metric
    from vouch.features.metrics.context import Settings
    from vouch.features.metrics.envelopes import Envelope
    from vouch.features.metrics.estimators import Floats
    from vouch.features.metrics.units import Counted, Segment

SMALL = "small segments together"
"""Stands for the segments that are too small to be shown: their contributions in one sum."""
LEVEL = 0.05


@dataclass(frozen=True)
class Change:
    """One metric at two instants. `verdict`: `better`, `worse`, `moved` (neither end is better) or `unclear`."""

    metric_id: str
    code: str
    by: str | None
    segment: str | None
    unit: str
    as_of_before: str
    as_of: str
    value_before: float | None
    value: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    test: str | None
    p: float | None
    q: float | None
    n_before: int
    n: int
    n_in_both: int | None
    contribution: float | None
    contribution_own: float | None
    contribution_mix: float | None
    higher_is_better: bool | None
    verdict: str | None
    status: str
    reason: str | None

    def as_dict(self) -> dict[str, Any]:
        """The columns by name, numbers to ten significant digits."""
        return plain(asdict(self))


def metric_changes(
    tables: Tables,
    before_us: int,
    as_of_us: int,
    ids: Iterable[str] | None = None,
    by: str | None = None,
    *,
    scores: tuple[Frame | None, Frame | None] = (None, None),
    settings: Settings = NO_SETTINGS,
) -> list[Change]:
    """Compare the metrics of two instants, each as known just before it.

    Args:
        tables: the company's tables.
        before_us: the earlier instant.
        as_of_us: the later one.
        ids: metrics; all that have a value at either instant where None.
        by: a split, with what each segment contributes; the company as a whole where None.
        scores: published scores of the two instants, for the metrics that rest on a model.
        settings: what the company has set for its metrics.

    Returns:
        One row per metric, or per metric and segment, in the order of the catalogue.
    """
    if by is not None:
        check_split(tables, by)
    metrics = chosen_metrics(ids)
    moments = [MetricContext(tables, at, of, settings) for at, of in zip((before_us, as_of_us), scores, strict=True)]
    periods = [_Period(context, metrics, by) for context in moments]
    changes: list[Change] = []
    for metric in metrics:
        rows = _compared(metric, *periods)
        has_any = any(row.value is not None or row.value_before is not None for row in rows)
        changes += rows if has_any or ids is not None else []
    return _with_verdicts(changes)


class _Period:
    """All metrics at one of the two instants."""

    def __init__(self, context: MetricContext, metrics: Sequence[Metric], by: str | None) -> None:
        self.context, self.by = context, by
        self.measurer = Measurer(context, by, bootstraps=False)
        self.whole = Measurer(context, None, bootstraps=False)
        self.counted = all_counted(context, metrics)

    def side(self, metric: Metric) -> dict[str | None, _Side]:
        """What there is of each segment, or of the company under None."""
        counted = self.counted[metric.id]
        if isinstance(counted, Absent) or (self.by is not None and counted.customers is None):
            return {None: _Side(self.measurer.envelopes(metric, counted)[0], None, None)}
        return {
            segment.name: _Side(self.measurer.measured(metric, segment, counted)[0], counted, segment)
            for segment in self.measurer.splitter.segments(counted)
        }


@dataclass(frozen=True)
class _Side:
    """One segment at one instant: its envelope and its units."""

    envelope: Envelope
    counted: Counted | None
    segment: Segment | None

    def linear(self, metric: Metric) -> tuple[Linear, pa.ChunkedArray] | None:
        """The linear form, and the customer (else the unit) of each unit."""
        if self.counted is None or self.segment is None or metric.kind is None:
            return None
        linearised = linear(metric.kind, self.counted.of(metric, self.segment))
        return None if linearised is None else (linearised, self.counted.clusters(self.segment))


def _compared(metric: Metric, before: _Period, now: _Period) -> list[Change]:
    sides = before.side(metric), now.side(metric)
    names = sorted({*sides[0], *sides[1]}, key=lambda name: (name is None, name or ""))
    rows = []
    for name in names:
        pair = tuple(side.get(name) for side in sides)
        rows.append(_row(metric, name, pair, before, now))
    return rows if now.by is None or names == [None] else _with_contributions(metric, rows, sides)


def _row(metric: Metric, segment: str | None, pair: tuple[_Side | None, ...], before: _Period, now: _Period) -> Change:
    first, second = (None if side is None else side.envelope for side in pair)
    values = [None if envelope is None else envelope.value for envelope in (first, second)]
    worst = next((e for e in (second, first) if e is not None and e.status not in {"ok", "low_n"}), None)
    low_n = next((e for e in (second, first) if e is not None and e.status == "low_n"), None)
    flag = worst or low_n or second or first
    assert flag is not None
    row = Change(
        metric_id=metric.id, code=metric.code, by=now.by, segment=segment, unit=metric.unit,
        as_of_before=instant_text(before.context.as_of_us), as_of=instant_text(now.context.as_of_us),
        value_before=values[0], value=values[1], difference=None, ci_low=None, ci_high=None, test=None, p=None, q=None,
        n_before=0 if first is None else first.n, n=0 if second is None else second.n, n_in_both=None,
        contribution=None, contribution_own=None, contribution_mix=None,
        higher_is_better=metric.higher_is_better, verdict=None, status=flag.status, reason=flag.reason,
    )  # fmt: skip
    if values[0] is None or values[1] is None:
        return row
    assert first is not None, "a value was measured"
    assert second is not None, "a value was measured"
    row = replace(row, difference=values[1] - values[0])
    forms = [None if side is None else side.linear(metric) for side in pair]
    if forms[0] is not None and forms[1] is not None:
        return replace(row, **_tested(forms[0], forms[1], values[1] - values[0]))
    return replace(row, **_by_intervals(first, second))


def _tested(
    before: tuple[Linear, pa.ChunkedArray], now: tuple[Linear, pa.ChunkedArray], difference: float
) -> dict[str, Any]:
    """Clustered z of the difference; where nobody differs from anybody, there is no p unless nothing moved."""
    error, common = standard_error(before, now)
    if error == 0:
        return {"test": "z_clustered", "p": 1.0 if difference == 0 else None, "n_in_both": common}
    z = difference / error
    return {
        "ci_low": difference - Z * error,
        "ci_high": difference + Z * error,
        "test": "z_clustered",
        "p": float(2 * ndtr(-abs(z))),
        "n_in_both": common,
    }


def standard_error(first: tuple[Linear, pa.ChunkedArray], second: tuple[Linear, pa.ChunkedArray]) -> tuple[float, int]:
    """Standard error of a difference of two linear forms, and how many customers are in both."""
    keys = pa.chunked_array([*first[1].chunks, *second[1].chunks], pa.string())
    codes = pa.compute.dictionary_encode(keys).unify_dictionaries().combine_chunks().indices.to_numpy()
    size = int(codes.max(initial=-1)) + 1
    parts = codes[: len(first[1])], codes[len(first[1]) :]
    sums = [np.bincount(code, form.influence, size) for code, (form, _) in zip(parts, (first, second), strict=True)]
    present = [np.bincount(code, minlength=size) > 0 for code in parts]
    return float(np.sqrt(((sums[1] - sums[0]) ** 2).sum())), int(np.count_nonzero(present[0] & present[1]))


def _by_intervals(first: Envelope, second: Envelope) -> dict[str, Any]:
    """Interval of the difference from the two intervals. Source: Zou & Donner 2008, Statistics in Medicine 27:1693."""
    ends = first.ci_low, first.ci_high, second.ci_low, second.ci_high
    if first.value is None or second.value is None or any(end is None for end in ends):
        return {"reason": "a change without a test: the metric has no interval"}
    low1, high1, low2, high2 = (float(end) for end in ends if end is not None)
    difference = second.value - first.value
    return {
        "ci_low": difference - float(np.hypot(second.value - low2, high1 - first.value)),
        "ci_high": difference + float(np.hypot(high2 - second.value, first.value - low1)),
        "test": "intervals",
    }


def _with_contributions(
    metric: Metric, rows: Sequence[Change], sides: tuple[dict[str | None, _Side], dict[str | None, _Side]]
) -> list[Change]:
    """Add what each segment contributes, what is too small to be shown in one sum."""
    sums = [_weights(metric, side) for side in sides]
    if sums[0] is None or sums[1] is None:
        return list(rows)
    added = segment_contributions(sums[0], sums[1])
    shown, hidden = [], []
    for row in rows:
        own, mix = added.get(row.segment or "", (0.0, 0.0))
        if "suppressed" in {side[row.segment].envelope.status for side in sides if row.segment in side}:
            hidden.append((own, mix))
            shown.append(row)
        else:
            shown.append(replace(row, contribution=own + mix, contribution_own=own, contribution_mix=mix))
    if hidden:
        own, mix = (sum(pair[place] for pair in hidden) for place in (0, 1))
        blank = replace(rows[0], segment=SMALL, n=0, n_before=0, n_in_both=None, status="suppressed")
        nothing: dict[str, Any] = dict.fromkeys(_FIGURES)
        blank = replace(blank, **nothing, reason=f"{len(hidden)} segments are too small to be shown")
        shown.append(replace(blank, contribution=own + mix, contribution_own=own, contribution_mix=mix))
    return shown


_FIGURES = ("value_before", "value", "difference", "ci_low", "ci_high", "test", "p")
Sums = dict[str, tuple[float, float]]


def _weights(metric: Metric, side: dict[str | None, _Side]) -> Sums | None:
    """Top and bottom of each segment, both times the scale over the company's bottom; None where nothing adds up."""
    weights: Sums = {}
    for name, of_segment in side.items():
        form = of_segment.linear(metric)
        if form is None:
            weights[name or ""] = (0.0, 0.0)
        elif form[0].top is None:
            return None
        else:
            below = form[0].bottom
            top = form[0].scale * float(form[0].top.sum())
            weights[name or ""] = (top, float("nan") if below is None else float(below.sum()))
    whole = sum(bottom for _, bottom in weights.values())
    if np.isnan(whole):
        return {name: (top, float("nan")) for name, (top, _) in weights.items()}
    return {name: (top / whole, bottom / whole) for name, (top, bottom) in weights.items()} if whole else None


def segment_contributions(before: Sums, now: Sums) -> dict[str, tuple[float, float]]:
    """What each segment adds to the change of the whole: by its own change, and by its weight.

    Each side holds, by segment, its part of the whole figure and its weight in it (NaN where the figure is a plain
    sum). The parts add up exactly. Source: Marshall-Edgeworth weights of the shift-share decomposition.

    >>> added = segment_contributions({"a": (50.0, 0.5), "b": (0.0, 0.5)}, {"a": (30.0, 0.25), "b": (7.5, 0.75)})
    >>> {name: tuple(round(part, 3) for part in parts) for name, parts in added.items()}
    {'a': (7.5, -16.562), 'b': (6.25, -9.688)}
    >>> round(sum(sum(parts) for parts in added.values()), 9)
    -12.5
    """
    wholes = [sum(part for part, _ in side.values()) for side in (before, now)]
    centre = sum(wholes) / 2
    contributions = {}
    for name in dict.fromkeys([*before, *now]):
        (part1, weight1), (part2, weight2) = before.get(name, (0.0, 0.0)), now.get(name, (0.0, 0.0))
        if np.isnan(weight1) or np.isnan(weight2):
            contributions[name] = (part2 - part1, 0.0)
            continue
        value1, value2 = (part / weight if weight else None for part, weight in ((part1, weight1), (part2, weight2)))
        known1 = value1 if value1 is not None else value2
        known2 = value2 if value2 is not None else value1
        if known1 is None or known2 is None:
            contributions[name] = (0.0, 0.0)
            continue
        own = (known2 - known1) * (weight1 + weight2) / 2
        contributions[name] = (own, (weight2 - weight1) * ((known1 + known2) / 2 - centre))
    return contributions


def _with_verdicts(rows: Sequence[Change]) -> list[Change]:
    """Add the false discovery rate over all rows, and what to make of each."""
    q: Floats = adjusted([np.nan if row.p is None else row.p for row in rows])
    return [
        replace(row, q=None if np.isnan(rate) else float(rate), verdict=_verdict(row, float(rate)))
        for row, rate in zip(rows, q, strict=True)
    ]


def _verdict(row: Change, q: float) -> str | None:
    if row.difference is None:
        return None
    is_sure = q <= LEVEL if row.p is not None else _leaves_out_zero(row)
    if not is_sure:
        return "unclear"
    if row.higher_is_better is None:
        return "moved"
    return "better" if (row.difference > 0) == row.higher_is_better else "worse"


def _leaves_out_zero(row: Change) -> bool:
    """Whether the interval of the difference leaves out 0."""
    return row.ci_low is not None and row.ci_high is not None and (row.ci_low > 0 or row.ci_high < 0)
