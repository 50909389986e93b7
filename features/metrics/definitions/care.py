"""Advocate care: how well the company looks after those who speak up for it (M44).

Our own definition. Six needs in the order of the list; a need about which nothing is known (no ticket, no post) is left
out, not met.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.contract.tables import DAY_US
from vouch.features.facts.acts import ORGANIC
from vouch.features.facts.voices import is_about_us
from vouch.features.metrics.catalogue import Example, Row, items, metric
from vouch.features.metrics.definitions.contacts import AT_ONCE, BAD_S, GOOD_S
from vouch.features.metrics.definitions.indices import first_hundred, second_hundred, third_hundred
from vouch.features.metrics.estimators import Figure
from vouch.features.metrics.populations.advocacy import TIER_DAYS, acts
from vouch.features.metrics.populations.surveys import whole_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

NEEDS = ("respect", "gratitude", "access", "listening", "recognition", "presence")
"""In order: own issues resolved in time, thanks, quick answers, feedback acted on, recognition, posts reacted to."""
THANKS = ("thanks", "public", "gift")
"""Kinds of recognition that say thank you."""
PROMISED_DAYS = 7
"""Within so many days a ticket is to be resolved and feedback acted on."""
WINDOW_DAYS = 90


def _in_time(until: str) -> nw.Expr:
    lag = nw.col(until) - nw.col("own_us")
    return (lag <= PROMISED_DAYS * DAY_US).fill_null(False).cast(nw.Int64).cast(nw.Float64)


def _means(rows: Frame, **columns: nw.Expr) -> Frame:
    """Mean of each column (0 to 1) by customer, from whole millionths: the same in any order of rows."""
    whole = {name: (column * 1e6).round().cast(nw.Int64) for name, column in columns.items()}
    made = rows.filter(~nw.col("customer_id").is_null()).with_columns(**whole)
    means = made.group_by("customer_id").agg(whole_mean(nw.col(name), 1e6).alias(name) for name in columns)
    return means.collect("polars").lazy()


def _from_tickets(context: MetricContext) -> Frame:
    rows = context.rows("tickets", WINDOW_DAYS)
    waited = nw.coalesce(
        nw.col("wait_s").cast(nw.Float64), (nw.col("first_response_us") - nw.col("own_us")).cast(nw.Float64) / 1e6
    )
    at_once = nw.col("first_channel").fill_null("").str.to_lowercase().is_in(AT_ONCE)
    slow, quick = ((BAD_S[i] - waited) / (BAD_S[i] - GOOD_S[i]) for i in (0, 1))
    ease = nw.when(at_once).then(quick).otherwise(slow)
    is_due = nw.col("own_us") < context.before(PROMISED_DAYS)
    return _means(rows, respect=nw.when(is_due).then(_in_time("resolved_us")), access=ease.clip(0.0, 1.0))


def _from_recognitions(context: MetricContext, cared: Frame) -> Frame:
    rows = context.rows("recognitions", TIER_DAYS)
    is_recent = nw.col("own_us") >= context.before(WINDOW_DAYS)
    thanked = (is_recent & nw.col("kind").is_in(THANKS)).cast(nw.Int64).max().cast(nw.Float64)
    seen = nw.col("kind").is_in(("public", "tier")).cast(nw.Int64).max().cast(nw.Float64)
    given = rows.group_by("customer_id").agg(thanked.alias("gratitude"), seen.alias("recognition"))
    recognised = cared.join(given.collect("polars").lazy(), on="customer_id", how="left")
    return recognised.with_columns(nw.col("gratitude", "recognition").fill_null(0.0))


def _known_needs(context: MetricContext, cared: Frame) -> Frame:
    """Share (0 to 1) to which each need of each advocate is met, null where nothing is known."""
    parts: list[Frame] = []
    if context.has("tickets"):
        parts.append(_from_tickets(context))
    if context.has("recognitions"):
        parts.append(_from_recognitions(context, cared))
    if context.has("feedback", "acted_on_at"):
        rows = context.rows("feedback", WINDOW_DAYS).filter(nw.col("own_us") < context.before(PROMISED_DAYS))
        parts.append(_means(rows, listening=_in_time("acted_on_us")))
    if context.has("social_posts", "brand_reacted_at"):
        rows = context.rows("social_posts", WINDOW_DAYS).filter(is_about_us(nw.col("is_brand_mention")))
        reacted = (~nw.col("brand_reacted_us").is_null()).cast(nw.Int64).cast(nw.Float64)
        parts.append(_means(rows, presence=reacted))
    for part in parts:
        cared = cared.join(part, on="customer_id", how="left")
    columns = cared.collect_schema().names()
    return cared.with_columns(nw.lit(None, nw.Float64).alias(name) for name in NEEDS if name not in columns)


@items("advocacy_acts|referrals", "tickets|recognitions|feedback|social_posts", counts="customers")
def cared_for(context: MetricContext, days: int | None) -> Frame:
    """External customers with an organic act in 180 days."""
    organic = context.keep(acts).filter(nw.col("sort") == ORGANIC, nw.col("own_us") >= context.before(TIER_DAYS))
    people = _known_needs(context, organic.select("customer_id").unique())
    given = nw.sum_horizontal(*((~nw.col(name).is_null()).cast(nw.Int64) for name in NEEDS))
    total = nw.col(NEEDS[0]).fill_null(0.0)
    for name in NEEDS[1:]:
        total = total + nw.col(name).fill_null(0.0)
    people = people.with_columns(given=given, total=total, unit=nw.col("customer_id"))
    return people.with_columns(
        index=nw.when(nw.col("given") > 0).then(nw.col("total") / nw.col("given")),
        lowest=nw.col("total") / len(NEEDS),
        highest=(nw.col("total") + (len(NEEDS) - nw.col("given"))) / len(NEEDS),
        first_unmet=_first_unmet(),
    )


def _first_unmet() -> nw.Expr:
    """Name of the first need of the list that is not wholly met; null where all that is known is."""
    name: nw.Expr = nw.lit(None, nw.String)
    for need in reversed(NEEDS):
        name = nw.when((nw.col(need) < 1).fill_null(False)).then(nw.lit(need)).otherwise(name)
    return name


@metric(
    "M44", "Advocate care index", items=cared_for, days=WINDOW_DAYS, reaches=TIER_DAYS, unit="points", better="higher",
    published=False,
    kind=Figure(("index", "lowest", "highest"), first_hundred, second_hundred, third_hundred, limits=(0, 100)),
    source="Our definition: six needs of advocates, equal weights",
    formula="mean over advocates of 100 mean over what is known of: own tickets resolved in 7 days, thanked in 90 "
    "days, ease of the first wait, own feedback acted on in 7 days, public or tier recognition in 180 days, own brand "
    "posts reacted to",
    version="2",
    example=Example(
        "5 advocates, 2 thanked and seen, 1 thanked, 2 neither: 50",
        {"advocacy_acts": [{"customer_id": c, "occurred_at": -30, "kind": "review"} for c in "abcde"],
         "recognitions": [*({"customer_id": c, "occurred_at": -20, "kind": k} for c in "ab" for k in
                            ("thanks", "public")), {"customer_id": "c", "occurred_at": -20, "kind": "thanks"}]}, 50.0),
)  # fmt: skip
def care_index(advocate: Row) -> Mapping[str, nw.Expr]:
    """How far the needs of those who speak up are met."""
    has_it = (advocate.given > 0).cast(nw.Int64)
    return {"index": advocate.index, "lowest": advocate.lowest, "highest": advocate.highest, "n": has_it}
