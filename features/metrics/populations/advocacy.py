"""Populations of advocacy metrics: valid referrals, acts of speaking up, public complaints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.contract.tables import DAY_US
from vouch.features.facts.act_weights import weight_of_kind
from vouch.features.facts.acts import COLUMNS, ORGANIC, listed_acts, unlisted
from vouch.features.facts.acts import acts as acts_of
from vouch.features.facts.referrals import invitations as valid_invitations
from vouch.features.facts.referrals import referrals
from vouch.features.facts.surveys import PROMOTER
from vouch.features.facts.voices import PUBLIC_SOURCES, is_about_us
from vouch.features.metrics.context import collected
from vouch.features.metrics.populations.surveys import answers_nps, asked, latest_answers
from vouch.features.sentiment.polarity import NEGATIVE_FROM, POSITIVE_FROM

if TYPE_CHECKING:
    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

CONVERSION_DAYS = 30
"""A referral has converted if the prospect became a customer within so many days of the invitation."""
TIERS = ("influential", "active", "potential")
"""Tiers of advocates by rank."""
TIER_DAYS = 180
"""Acts and answers of so many days decide the tier of an advocate."""
HALF_LIFE_DAYS = 90
"""Influence of an act halves in so many days."""
TOP_SHARE = 10
"""One in so many of those with influence, rounded up, is influential."""


def invitations(context: MetricContext) -> Frame:
    """Valid invitations by external customers, repeated ones too; as `vouch.features.facts.referrals` has them."""
    return valid_invitations(context.rows("referrals"))


def valid_referrals(context: MetricContext) -> Frame:
    """Valid referrals, one row per sender and prospect, as `vouch.features.facts.referrals` has them.

    `converted_us` is set on the invitation that has the prospect's conversion: the first one that lies at most 30 days
    before it, whoever sent it. `ever_converted_us` is the conversion on any row of the pair, whenever it was.
    """
    pairs = referrals(invitations(context)).with_columns(ever_converted_us=nw.col("converted_us"))
    pairs = pairs.with_columns(prospect_converted_us=nw.col("converted_us").min().over("prospect_id"))
    lag = nw.col("prospect_converted_us") - nw.col("invited_us")
    in_time = (lag >= 0) & (lag <= CONVERSION_DAYS * DAY_US)
    pairs = pairs.with_columns(in_time=in_time.fill_null(False).cast(nw.Int64))
    turn = nw.col("in_time").cum_sum().over("prospect_id", order_by=["invited_us", "referral_id"])
    pairs = pairs.with_columns(turn=turn)
    has_it = (nw.col("in_time") == 1) & (nw.col("turn") == 1)
    return pairs.with_columns(converted_us=nw.when(has_it).then(nw.col("prospect_converted_us")))


def acts(context: MetricContext) -> Frame:
    """Acts of speaking up by external customers, as `vouch.features.facts.acts` has them.

    Praise in public counts too where the company has set that.
    """
    recorded = (
        listed_acts(context.rows("advocacy_acts")).collect("polars").lazy() if context.has("advocacy_acts") else None
    )
    organic = acts_of(recorded, context.keep(valid_referrals) if context.has("referrals") else None)
    return nw.concat([organic, *_voices_as_acts(context, organic)]) if context.settings.counts_voices else organic


def _voices_as_acts(context: MetricContext, recorded: Frame) -> list[Frame]:
    """Positive public reviews and posts about the brand by known customers, but for acts of the same kind and day."""
    praised = (nw.col("polarity") >= POSITIVE_FROM) & ~nw.col("customer_id").is_null()
    voices_as_rows = []
    for table, key, kind in (("feedback", "feedback_id", "review"), ("social_posts", "post_id", "social_share")):
        if not context.has(table):
            continue
        rows = context.rows(table).filter(praised)
        if table == "feedback":
            rows = rows.filter(nw.col("source").is_in(PUBLIC_SOURCES)).with_columns(reach=nw.lit(None, nw.Int64))
        else:
            rows = rows.filter(is_about_us(nw.col("is_brand_mention")))
        made = rows.select(
            "customer_id", "own_us", "day", "reach", kind=nw.lit(kind), sort=nw.lit(ORGANIC),
            unit=nw.concat_str(nw.lit(f"{table} "), nw.col(key)),
        ).collect("polars").lazy()  # fmt: skip
        voices_as_rows.append(unlisted(made.select(*COLUMNS), kind, recorded))
    return voices_as_rows


def negative_voices(context: MetricContext) -> Frame:
    """Negative public reviews and posts about the brand by known customers: `customer_id`, `own_us`."""
    bad = nw.col("polarity") <= NEGATIVE_FROM
    parts = []
    if context.has("feedback"):
        parts.append(context.rows("feedback").filter(bad, nw.col("source").is_in(PUBLIC_SOURCES)))
    if context.has("social_posts"):
        parts.append(context.rows("social_posts").filter(bad, is_about_us(nw.col("is_brand_mention"))))
    rows = nw.concat([part.select("customer_id", "own_us") for part in parts])
    return rows.filter(~nw.col("customer_id").is_null())


def promoters(context: MetricContext, days: float) -> Frame:
    """Customers whose latest relational answer to the NPS question in so many days is 9 or 10."""
    rows = asked(context, days, "nps").filter(nw.col("is_relational"), answers_nps())
    answered = nw.when(~nw.col("answered_us").is_null()).then(nw.col("score"))
    return latest_answers(rows.with_columns(score=answered)).filter(nw.col("score") >= PROMOTER).select("customer_id")


def influence(context: MetricContext) -> Frame:
    """What each customer's acts and converted referrals weigh: `customer_id`, `influence` in whole billionths.

    Sum over acts of the weight of the kind times ln(1 + reach), halved every 90 days, rewarded acts too, plus 1 for
    each converted valid referral. Whole numbers, so that the order of the acts does not matter.
    """
    age_days = (context.as_of_us - nw.col("own_us")).cast(nw.Float64) / DAY_US
    reach = (nw.col("reach").fill_null(0).cast(nw.Float64) + 1.0).log() * weight_of_kind(context.settings.act_weights)
    weight = (reach * (age_days * (-0.6931471805599453 / HALF_LIFE_DAYS)).exp() * 1e9).round().cast(nw.Int64)
    parts = [context.keep(acts).select("customer_id", influence=weight)]
    if context.has("referrals"):
        won = context.keep(valid_referrals).filter(
            ~nw.col("ever_converted_us").is_null(), ~nw.col("advocate_id").is_null()
        )
        one = nw.lit(1_000_000_000, nw.Int64)
        parts.append(won.select(customer_id=nw.col("advocate_id"), influence=one))
    return nw.concat(parts).group_by("customer_id").agg(nw.col("influence").sum())


def tiers(context: MetricContext) -> Frame:
    """Customers with the tier that they have as advocates: `customer_id`, `rank` in TIERS, the first that holds.

    Influential: the top tenth, rounded up, of those with influence; ties by customer. It counts every act, rewarded or
    not, for it is about reach. Active: an organic act in 180 days. Potential: a promoter of the last 180 days, so that
    somebody who spoke up years ago and still gives a 10 is one again.
    """
    known = context.customers().select("customer_id")
    marks: dict[str, Frame] = {"nothing": known.head(0)}
    if context.has("advocacy_acts") or context.has("referrals"):
        organic = context.keep(acts).filter(nw.col("sort") == ORGANIC, nw.col("own_us") >= context.before(TIER_DAYS))
        marks |= {"influential": _most_influential(context, known), "active": organic.select("customer_id").unique()}
    if context.has("surveys"):
        marks["potential"] = promoters(context, TIER_DAYS)
    ranks = {tier: rank for rank, tier in enumerate((*TIERS, "nothing"))}
    ranked = [rows.with_columns(rank=nw.lit(ranks[tier], nw.Int64)) for tier, rows in marks.items()]
    best = nw.concat(ranked).group_by("customer_id").agg(nw.col("rank").min())
    return best.join(known, on="customer_id", how="semi")


def _most_influential(context: MetricContext, known: Frame) -> Frame:
    weighed = influence(context).filter(nw.col("influence") > 0).join(known, on="customer_id", how="semi")
    ordered = collected(weighed).sort_by([("influence", "descending"), ("customer_id", "ascending")])
    top = ordered["customer_id"].to_pylist()[: -(-len(ordered) // TOP_SHARE)]
    return known.filter(nw.col("customer_id").is_in(top))
