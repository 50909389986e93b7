"""Published scores as a population: who has a score in the snapshot of an instant, or why nobody has.

There may be no week, no model, or nobody to score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.metrics.catalogue import Absent
from vouch.features.metrics.context import collected

if TYPE_CHECKING:
    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

NO_MODEL = "no_model"
"""The status of who would be scored, had the snapshot a model; and the reason of a metric that rests on one."""


def scored_by(context: MetricContext, model: str, value: str) -> Frame | Absent:
    """Rows of the published scores that have a value of a model, with `unit`.

    Without a model the snapshot says so, in the status of who would have been scored; with one there may be nobody.
    """
    if context.scores is None:
        return Absent("not_applicable", f"{NO_MODEL}: no week is published as of this instant")
    rows = context.scores.collect("polars").lazy()
    scored = rows.filter(~nw.col(value).is_null())
    if len(collected(scored.select("customer_id").head(1))):
        return scored.with_columns(unit=nw.col("customer_id"))
    status = f"{model}_status"
    has_status = status in rows.collect_schema().names()
    if has_status and len(collected(rows.filter(nw.col(status) != NO_MODEL).select("customer_id").head(1))):
        lacks = collected(rows.filter(nw.col(status) == NO_MODEL).select("customer_id").head(1))
        if not len(lacks):
            return Absent("empty", "nobody_scored: there is nobody to score")
    return Absent("not_applicable", NO_MODEL)
