"""Cultural relevance by region and language together, with the parts that it is the mean of.

Answers of different cultures are not compared here: people in some places give the ends of a scale more readily, so
levels of satisfaction differ between countries for reasons that have nothing to do with the company.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from vouch.features.metrics.catalogue import METRICS, Absent
from vouch.features.metrics.context import collected
from vouch.features.metrics.definitions.company import CULTURE, RELEVANCE, cultures, primary_language, relevance_parts
from vouch.features.metrics.estimators import finite
from vouch.features.metrics.evaluate import least_shown
from vouch.features.metrics.splits import UNKNOWN

if TYPE_CHECKING:
    from vouch.features.metrics.context import MetricContext
    from vouch.features.metrics.estimators import Floats, Parts


def by_culture(context: MetricContext) -> list[dict[str, Any]]:
    """One row per region and language of who was asked in 90 days: answers, relevance with its interval, its parts.

    Fewer answers on culture than the metric asks for are told as a number, and nothing else is.
    """
    metric = METRICS["cultural_relevance"]
    frame = cultures.prepare(context, metric.window_days)
    assert not isinstance(frame, Absent)
    where = ("region", "language")
    people = context.customers().select("customer_id", "region", language=primary_language("language"))
    both = frame.collect("polars").lazy().join(people, on="customer_id", how="left")
    both = both.with_columns(nw.col(*where).fill_null(UNKNOWN)).select("customer_id", *where, *CULTURE)
    table = collected(both).sort_by([(name, "ascending") for name in (*where, "customer_id")])
    parts = {name: table[name].to_numpy().astype(np.float64) for name in CULTURE}
    parts["tell"] = parts["fit_n"]
    places: dict[tuple[str, str], list[int]] = {}
    for row, place in enumerate(zip(*(table[name].to_pylist() for name in where), strict=True)):
        places.setdefault(place, []).append(row)
    least = least_shown(metric, context.settings)
    return [
        {"region": region, "language": language, "asked": len(rows),
         **_shown({name: column[rows] for name, column in parts.items()}, least)}
        for (region, language), rows in places.items()
    ]  # fmt: skip


def _shown(parts: Parts, least: int) -> dict[str, Any]:
    kind = METRICS["cultural_relevance"].kind
    assert kind is not None
    estimate = kind.estimate(parts)
    answered = {"answers": estimate.n}
    names = ("relevance", "ci_low", "ci_high", *RELEVANCE)
    if estimate.n < least:
        return {**answered, **dict.fromkeys(names), "reason": f"n is below {least}"}
    with np.errstate(divide="ignore", invalid="ignore"):
        of_means = relevance_parts(np.array([[parts[name].mean() for name in CULTURE]]))[0]
    ends = None if estimate.value is None else kind.ends(parts)
    low, high = (None, None) if ends is None else (finite(ends.low), finite(ends.high))
    figures = (estimate.value, low, high, *(finite(part) for part in of_means))
    return {**answered, **dict(zip(names, figures, strict=True)), "reason": estimate.reason or _missing(of_means)}


def _missing(of_means: Floats) -> str | None:
    """Which part is not known, where one is not: then there is no mean of them either."""
    unknown = [name for name, part in zip(RELEVANCE, of_means, strict=True) if not np.isfinite(part)]
    return f"not known: {', '.join(unknown)}" if unknown else None
