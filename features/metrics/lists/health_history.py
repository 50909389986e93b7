"""The history of the health score: overrides by hand that expire, and the last score of who has left.

An override never changes the score: it stands beside it, with who set it and until when. Who has left keeps the score
of the Monday before; a score over what is left of a customer would turn green.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals as nw

from vouch.features.asof import view
from vouch.features.contract.tables import DAY_US
from vouch.features.facts.spans import has_ended
from vouch.features.health import HealthRules, health_at, health_rules
from vouch.features.health.score import by_segment
from vouch.features.metrics.comparisons.history import mondays_after
from vouch.features.metrics.context import collected
from vouch.features.metrics.populations.customers import stays
from vouch.features.vectors.build import narrow_vectors

if TYPE_CHECKING:
    from vouch.features.asof import Frame, Tables
    from vouch.features.metrics.context import MetricContext

FROZEN_DAYS = 28
"""How far back the last scores of those who left are told."""


def overrides(tables: Tables, as_of_us: int, using: HealthRules | None = None) -> Frame:
    """Overrides that stand at an instant, the latest per customer: `score`, `band`, `reason`, `set_by`, `set_us`.

    An override runs from `set_at` up to `expires_at` (`expires_us`), exclusive. The band is that of the rules, of the
    customer's segment where these set it apart.
    """
    rows = view(tables, "health_overrides", as_of_us).filter(nw.col("expires_us") > as_of_us)
    rows = rows.select(
        "customer_id", "reason", "set_by", "expires_us",
        set_us=nw.col("own_us"), score=nw.col("score").cast(nw.Float64),
    ).collect("polars").lazy()  # fmt: skip
    order = ["set_us", "score", "expires_us", "set_by"]
    number = nw.lit(1, nw.Int64).alias("one")
    rows = rows.with_columns(number).with_columns(
        place=nw.col("one").cum_sum(reverse=True).over("customer_id", order_by=order)
    )
    chosen, newest = using or health_rules(), rows.filter(nw.col("place") == 1)
    if chosen.segments:
        of_segment = narrow_vectors(tables, as_of_us, ["segment"]).select("customer_id", "segment")
        newest = newest.join(of_segment.collect("polars").lazy(), on="customer_id", how="left")
    newest = newest.with_columns(band=by_segment(chosen, _band))
    return newest.select("customer_id", "score", "band", "reason", "set_by", "set_us", "expires_us")


def _band(rules: HealthRules) -> nw.Expr:
    band: nw.Expr = nw.lit(rules.bands[0][0])
    for name, start in rules.bands[1:]:
        band = nw.when(nw.col("score") >= start).then(nw.lit(name)).otherwise(band)
    return band


def frozen(context: MetricContext, days: int = FROZEN_DAYS) -> list[dict[str, Any]]:
    """Who left in so many days, with the health of the last Monday before: as it was known then."""
    ends = context.keep(stays).group_by("customer_id").agg(left_us=nw.col("end_us").max())
    gone = ends.filter(has_ended(nw.col("left_us"), context.as_of_us), nw.col("left_us") >= context.before(days))
    left = {row["customer_id"]: row["left_us"] for row in collected(gone).to_pylist()}
    scored: list[dict[str, Any]] = []
    for scored_us in mondays_after(context.before(days + 8), context.as_of_us):
        until_us = scored_us + 7 * DAY_US
        names = [customer for customer, left_us in left.items() if scored_us <= left_us < until_us]
        if names:
            scores = health_at(context.tables, scored_us, context.settings.health).select(
                "customer_id", "health_score", "health_band"
            )
            rows = collected(scores.filter(nw.col("customer_id").is_in(names))).to_pylist()
            scored += [{**row, "left_us": left[row["customer_id"]], "scored_us": scored_us} for row in rows]
    return sorted(scored, key=lambda row: (row["left_us"], row["customer_id"]))
