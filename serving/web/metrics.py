"""The metric pages: all of a week by chapter, and one of them with its trend, its segments and what it means."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from vouch.features.charts.bars import whisker
from vouch.features.charts.series import WeekValue, spark, trend
from vouch.features.metrics.splits import SEGMENTS
from vouch.serving.api.handlers import read
from vouch.serving.api.problems import Problem
from vouch.serving.api.schemas import MetricsQuery
from vouch.serving.presentation.metric_series import FULL_SCALE
from vouch.serving.presentation.names import catalogue_by_id
from vouch.serving.web.overview import series_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import pyarrow as pa

    from vouch.features.charts.bars import Whisker
    from vouch.features.charts.series import Trend
    from vouch.serving.api.state import ServingState
    from vouch.serving.presentation.metric_series import Series


YEAR_WEEKS = 53
"""Published weeks that segments are told over: a year."""
FAVOURITES = "favourites"
"""The chapter of what somebody has marked."""


@dataclass(frozen=True)
class Chapter:
    """Metrics that belong together."""

    name: str
    series: Sequence[Series]


@dataclass(frozen=True)
class SegmentRow:
    """One segment of a metric."""

    row: Mapping[str, Any]
    whisker: Whisker | None
    spark: Trend | None
    """The value week by week over a year."""


@dataclass(frozen=True)
class Measured:
    """One metric with all that is known of it."""

    entry: Mapping[str, Any]
    series: Series
    trend: Trend | None
    by: str | None
    splits: Sequence[str]
    """What the company can be split by, of this metric."""
    parts: Sequence[SegmentRow]
    weeks: Sequence[tuple[str, Mapping[str, Mapping[str, Any]]]]
    """Over a year, the newest first: the week, and the row of each segment that it has."""


def chapters(
    store: ServingState, is_wanted: Callable[[str], bool], favourites: Collection[str], as_of: str | None = None
) -> list[Chapter]:
    """Return the metrics of a week that are found, those without a value last in each chapter.

    Favourites stand in a chapter of their own before all others, and in theirs.
    """
    by_name = {name: of for name, of in series_of(store, list(catalogue_by_id()), as_of).items() if is_wanted(name)}
    named: dict[str, list[Series]] = {}
    if marked := [by_name[name] for name in favourites if name in by_name]:
        named[FAVOURITES] = marked
    for metric_id, series in by_name.items():
        named.setdefault(catalogue_by_id()[metric_id]["chapter"], []).append(series)
    return [Chapter(name, sorted(of, key=lambda series: not series.is_shown)) for name, of in named.items()]


def is_match(text: str, name: str, metric_id: str) -> bool:
    """Whether each word of a text stands in the name, the id or the code of a metric, whatever its case and accents.

    >>> is_match("promoter NET", "Net promoter score", "nps"), is_match("m01", "x", "nps"), is_match("zz", "x", "nps")
    (True, True, False)
    """
    entry = catalogue_by_id().get(metric_id, {})
    held = _plain_letters(f"{name} {metric_id} {entry.get('code', '')} {entry.get('name', '')}")
    return all(word in held for word in _plain_letters(text).split())


def _plain_letters(text: str) -> str:
    parted = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in parted if not unicodedata.combining(letter))


def toggled(favourites: Sequence[str], metric_id: str) -> list[str]:
    """Return the favourites with a metric more, or without it; of those that there are.

    >>> toggled(["nps"], "csat"), toggled(["nps", "csat"], "nps"), toggled([], "none such")
    (['nps', 'csat'], ['csat'], [])
    """
    others = [name for name in favourites if name in catalogue_by_id() and name != metric_id]
    is_new = metric_id in catalogue_by_id() and metric_id not in favourites
    return [*others, metric_id] if is_new else others


def measured(store: ServingState, metric_id: str, by: str, as_of: str | None = None) -> Measured:
    """Return one metric of a week; raises the problem `unknown_route` where there is none of that name."""
    by_name = series_of(store, [metric_id], as_of) if metric_id in catalogue_by_id() else {}
    if metric_id not in by_name:
        raise Problem("unknown_route")
    splits = splits_of(store.week_of(as_of).metrics, metric_id)
    split = by if by in splits else next(iter(splits), None)
    asked = MetricsQuery.model_validate({"metric_ids": [metric_id], "by": split, "weeks": YEAR_WEEKS, "as_of": as_of})
    rows = [] if split is None else read.query_metrics(store, asked)["metrics"]
    weeks = _by_week(rows)
    return Measured(
        entry=catalogue_by_id()[metric_id],
        series=by_name[metric_id],
        trend=trend(by_name[metric_id].points),
        by=split,
        splits=splits,
        parts=_parts(weeks),
        weeks=weeks[::-1],
    )


def splits_of(metrics: pa.Table, metric_id: str) -> list[str]:
    """What a metric is split by in a week, in the order of the definitions."""
    splits = metrics.filter(pc.equal(metrics["metric_id"], metric_id))["by"].drop_null().unique().to_pylist()
    return [by for by in SEGMENTS if by in splits]


def _by_week(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, dict[str, Mapping[str, Any]]]]:
    """The rows of each week by segment, the newest week last."""
    weeks: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        weeks.setdefault(row["as_of"], {})[row["segment"]] = row
    return list(weeks.items())


def _parts(weeks: Sequence[tuple[str, Mapping[str, Mapping[str, Any]]]]) -> list[SegmentRow]:
    """Segments of the newest week on one common scale, the highest value first."""
    rows = list(weeks[-1][1].values()) if weeks else []
    ends = [
        end for row in rows for end in (row["ci_low"], row["value"], row["ci_high"]) if row["value"] is not None and end
    ]
    span = FULL_SCALE.get(rows[0]["unit"], (min([0.0, *ends]), max([0.0, *ends]))) if rows else (0.0, 1.0)
    ordered = sorted(rows, key=lambda row: (row["value"] is None, -(row["value"] or 0.0), row["segment"]))
    return [
        SegmentRow(
            row,
            None if row["value"] is None else whisker(row["value"], row["ci_low"], row["ci_high"], span),
            spark([WeekValue(week, of.get(row["segment"], {}).get("value")) for week, of in weeks]),
        )
        for row in ordered
    ]
