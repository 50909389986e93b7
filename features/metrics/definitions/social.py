"""Metrics of public voice: counts, reach, share of voice, tone (M50 to M54, M61).

Posts about the brand carry `is_brand_mention`. The author is what was drawn independently.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.facts.voices import is_about_us
from vouch.features.metrics.catalogue import Example, Row, items, metric
from vouch.features.metrics.estimators import NOT_BELOW_0, Ratio, Total, Trinomial
from vouch.features.sentiment.polarity import NEGATIVE_FROM, POSITIVE_FROM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

Definition = Callable[[Row], "Mapping[str, nw.Expr]"]
COUNTS = ("likes", "shares", "comments")
NUMBERS = (*COUNTS, "impressions", "reach", "followers")


def posts(context: MetricContext) -> Frame:
    """Posts of the last 90 days, with `is_brand` and `sign` of the tone: 1, 0 or -1, null where it is not known."""
    tone = nw.when(nw.col("polarity") >= POSITIVE_FROM).then(nw.lit(1, nw.Int64)).otherwise(nw.lit(0, nw.Int64))
    sign = nw.when(nw.col("polarity") <= NEGATIVE_FROM).then(nw.lit(-1, nw.Int64)).otherwise(tone)
    return context.rows("social_posts", 90).select(
        "author", "customer_id", *NUMBERS, unit=nw.col("post_id"),
        is_brand=is_about_us(nw.col("is_brand_mention")).cast(nw.Int64),
        is_rival=(~nw.col("competitor").is_null()).cast(nw.Int64),
        sign=nw.when(~nw.col("polarity").is_null()).then(sign),
    )  # fmt: skip


@items("social_posts", "social_posts.is_brand_mention")
def brand_posts(context: MetricContext, days: int | None) -> Frame:
    """Posts about the brand, by external customers and by others."""
    return context.keep(posts).filter(nw.col("is_brand") == 1)


def _post(author: str, likes: int, shares: int, comments: int, **more: object) -> dict[str, object]:
    return {
        "author": author, "platform": "x", "occurred_at": -9, "likes": likes, "shares": shares, "comments": comments,
        "is_brand_mention": True, **more,
    }  # fmt: skip


_WALL = {
    "social_posts": [
        *(_post(f"u{n}", n, 1, 1, impressions=100, reach=50, followers=200, polarity=tone)
          for n, tone in enumerate((80, 30, 0, 20, -20))),
        _post("rival", 99, 9, 9, is_brand_mention=False, competitor="Northwind", polarity=-90, reach=70),
    ]
}  # fmt: skip


def _count(name: str, meaning: str, value: float, *needs: str) -> Callable[[Definition], Definition]:
    return metric(
        "M50", name, items=brand_posts, kind=Total(), days=90, unit=name.lower(), better="higher", needs=needs,
        source="Count, as the platform reports it", formula=meaning,
        example=Example(f"5 posts about the brand, one about a competitor: {value:g}", _WALL, value),
    )  # fmt: skip


@_count("Likes", "sum of likes of posts about the brand", 10.0, "social_posts.likes")
def likes(post: Row) -> Mapping[str, nw.Expr]:
    """Likes of posts about the brand."""
    return {"amount": post.likes}


@_count("Shares", "sum of shares of posts about the brand", 5.0, "social_posts.shares")
def shares(post: Row) -> Mapping[str, nw.Expr]:
    """Shares of posts about the brand."""
    return {"amount": post.shares}


@_count("Comments", "sum of comments on posts about the brand", 5.0, "social_posts.comments")
def comments(post: Row) -> Mapping[str, nw.Expr]:
    """Comments on posts about the brand."""
    return {"amount": post.comments}


@_count("Mentions", "count of posts about the brand", 5.0)
def mentions(post: Row) -> Mapping[str, nw.Expr]:
    """Posts about the brand."""
    return {"amount": post.is_brand}


@items("social_posts", "social_posts.is_brand_mention")
def brand_authors(context: MetricContext, days: int | None) -> Frame:
    """Authors of posts about the brand, external customers and others; a post without a number is left out of it."""
    rows = context.keep(posts).filter(nw.col("is_brand") == 1)
    reactions = nw.col("likes").fill_null(0) + nw.col("shares").fill_null(0) + nw.col("comments").fill_null(0)
    sums = [nw.col("shares").sum(), (~nw.col("shares").is_null()).cast(nw.Int64).sum().alias("posts")]
    made = rows.with_columns(reactions=reactions)
    for name in ("impressions", "reach", "followers"):
        flag = nw.when(~nw.col(name).is_null())
        made = made.with_columns(flag.then(nw.col("reactions")).alias(f"reactions_{name}"))
        count = (~nw.col(name).is_null()).cast(nw.Int64).sum().alias(f"posts_{name}")
        sums += [nw.col(f"reactions_{name}").sum(), nw.col(name).sum(), count]
    by_tone = nw.when(~nw.col("sign").is_null()).then(nw.col("reach"))
    praise = nw.when((nw.col("sign") == 1) & ~nw.col("customer_id").is_null()).then(nw.col("reach")).otherwise(0)
    made = made.with_columns(toned_reach=by_tone, tone_reach=nw.col("sign") * nw.col("reach"), praise=praise)
    sums += [nw.col(name).sum() for name in ("toned_reach", "tone_reach", "praise")]
    return made.group_by("author").agg(nw.col("customer_id").max(), *sums).with_columns(unit=nw.col("author"))


def _engagement(below: str, value: float) -> Callable[[Definition], Definition]:
    return metric(
        "M51", f"Engagement rate by {below}", items=brand_authors, kind=Ratio(limits=NOT_BELOW_0), days=90,
        unit="ratio", better="higher", when_zero="empty_denominator", counts="posts",
        needs=(f"social_posts.{below}", "social_posts.likes|social_posts.shares|social_posts.comments"),
        source=f"Engagement rate over {below}, as platforms report it; the denominator is part of the name",
        formula=f"sum(likes + comments + shares) / sum({below}) of posts about the brand that have it, by author",
        example=Example(f"20 reactions on 5 posts: {value:g}", _WALL, value),
    )  # fmt: skip


@_engagement("impressions", 0.04)
def engagement_rate_by_impressions(author: Row) -> Mapping[str, nw.Expr]:
    """Reactions for each time that a post about the brand was shown."""
    return {"top": author.reactions_impressions, "bottom": author.impressions, "items": author.posts_impressions}


@_engagement("reach", 0.08)
def engagement_rate_by_reach(author: Row) -> Mapping[str, nw.Expr]:
    """Reactions for each person whom posts about the brand reached."""
    return {"top": author.reactions_reach, "bottom": author.reach, "items": author.posts_reach}


@_engagement("followers", 0.02)
def engagement_rate_by_followers(author: Row) -> Mapping[str, nw.Expr]:
    """Reactions for each follower of those who post about the brand."""
    return {"top": author.reactions_followers, "bottom": author.followers, "items": author.posts_followers}


@metric(
    "M52", "Shares per post", items=brand_authors, kind=Ratio(limits=NOT_BELOW_0), days=90, unit="shares per post",
    better="higher", when_zero="empty_denominator", needs=("social_posts.shares",),
    source="Kaushik: amplification rate",
    formula="sum(shares) / posts about the brand, by author",
    counts="posts",
    example=Example("5 shares of 5 posts: 1", _WALL, 1.0),
)  # fmt: skip
def shares_per_post(author: Row) -> Mapping[str, nw.Expr]:
    """How often a post about the brand is shared."""
    return {"top": author.shares, "bottom": author.posts, "items": author.posts}


@metric(
    "M52", "Amplification by customers", items=brand_authors, kind=Ratio(limits=(0, 1)), days=90, unit="ratio",
    better="higher", when_zero="empty_denominator",
    needs=("social_posts.reach", "social_posts.text", "social_posts.customer_id"),
    published=False, source="Our definition: reach of praise by customers over all reach",
    formula="reach of positive posts about the brand by known customers / reach of all posts about the brand",
    counts="posts",
    example=Example("2 of 5 posts, alike in reach, are praise by customers: 0.4",
                    {"social_posts": [_post(f"u{n}", 0, 0, 0, reach=50, text="so", polarity=tone, customer_id=c)
                                      for n, (tone, c) in enumerate(((80, "a"), (20, "b"), (80, None), (0, "c"),
                                                                     (-50, "d")))]}, 0.4),
)  # fmt: skip
def amplification(author: Row) -> Mapping[str, nw.Expr]:
    """Share of the brand's reach that is praise by customers."""
    return {"top": author.praise, "bottom": author.reach, "items": author.posts_reach}


@items("social_posts", "social_posts.is_brand_mention", "social_posts.competitor")
def voices(context: MetricContext, days: int | None) -> Frame:
    """Authors of posts about the brand or a competitor."""
    rows = context.keep(posts).filter((nw.col("is_brand") == 1) | (nw.col("is_rival") == 1))
    sums = [nw.col(name).sum() for name in ("is_brand", "is_rival")]
    authors = rows.group_by("author").agg(nw.col("customer_id").max(), *sums)
    return authors.with_columns(unit=nw.col("author"))


@metric(
    "M53", "Share of voice", items=voices, kind=Ratio(100.0, is_share=True, limits=(0, 100)), days=90, unit="percent",
    better="higher", source="Share of voice, textbook",
    formula="100 posts about the brand / (posts about the brand + about competitors)",
    counts="posts",
    example=Example("5 posts about the brand, 1 about a competitor: 83.333", _WALL, 83.3333),
)  # fmt: skip
def share_of_voice(author: Row) -> Mapping[str, nw.Expr]:
    """Share of the talk about the brand and its competitors that is about the brand."""
    return {"top": author.is_brand, "bottom": author.is_brand + author.is_rival}


@items("social_posts|feedback")
def texts(context: MetricContext, days: int | None) -> Frame:
    """Posts about the brand, reviews and remarks; by external customers and by others."""
    parts = []
    if context.has("social_posts"):
        rows = context.keep(posts).filter(nw.col("is_brand") == 1)
        parts.append(rows.select("customer_id", "sign", unit=nw.concat_str(nw.lit("post "), nw.col("unit"))))
    if context.has("feedback"):
        parts.append(context.keep(remarks).select("customer_id", "sign", "unit"))
    return nw.concat(parts)


def remarks(context: MetricContext) -> Frame:
    """Feedback of the last 90 days by tone: 1, 0 or -1, null where it is not known."""
    tone = nw.when(nw.col("polarity") >= POSITIVE_FROM).then(nw.lit(1, nw.Int64)).otherwise(nw.lit(0, nw.Int64))
    sign = nw.when(nw.col("polarity") <= NEGATIVE_FROM).then(nw.lit(-1, nw.Int64)).otherwise(tone)
    return context.rows("feedback", 90).select(
        "customer_id",
        sign=nw.when(~nw.col("polarity").is_null()).then(sign),
        unit=nw.concat_str(nw.lit("feedback "), nw.col("feedback_id")),
    )


def _by_tone(positive: int, neutral: int, negative: int) -> dict[str, list[dict[str, object]]]:
    tones = [100] * positive + [0] * neutral + [-100] * negative
    return {"feedback": [{"source": "own_site", "occurred_at": -9, "polarity": tone} for tone in tones]}


@metric(
    "M54", "Net sentiment", items=texts, kind=Trinomial(), days=90, unit="points", better="higher",
    source="Net sentiment with the neutral in the denominator: BlackBox, Symanto, AllEars",
    formula="100 (positive - negative) / (positive + neutral + negative); positive from 0.2, negative from -0.2",
    example=Example("80 positive, 100 neutral, 20 negative: 30", _by_tone(80, 100, 20), 30.0),
)  # fmt: skip
def net_sentiment(text: Row) -> Mapping[str, nw.Expr]:
    """Share of what is said that is positive less share that is negative."""
    return {"up": text.sign == 1, "down": text.sign == -1}


@metric(
    "M54", "Net sentiment ratio", items=texts, kind=Trinomial(), days=90, unit="points", better="higher",
    source="Net sentiment without the neutral: YouScan",
    formula="100 (positive - negative) / (positive + negative)",
    example=Example("1000 positive, 150 negative: 73.913", _by_tone(1000, 40, 150), 73.9130),
)  # fmt: skip
def net_sentiment_ratio(text: Row) -> Mapping[str, nw.Expr]:
    """Positive less negative, over what takes a side."""
    takes_side = (text.sign != 0).cast(nw.Int64).fill_null(1)
    return {"up": text.sign == 1, "down": text.sign == -1, "base": takes_side}


@metric(
    "M61", "Reputation", items=brand_authors, kind=Ratio(100.0, limits=(-100, 100)), days=90, unit="points",
    better="higher", when_zero="empty_denominator", needs=("social_posts.reach",), published=False,
    source="Our definition: net sentiment weighted by reach",
    formula="100 sum(reach of positive - reach of negative posts) / sum(reach) of posts about the brand, by author",
    counts="posts",
    example=Example("3 positive, 1 neutral, 1 negative of the same reach: 40", _WALL, 40.0),
)  # fmt: skip
def reputation(author: Row) -> Mapping[str, nw.Expr]:
    """How the brand is spoken of, by how many people hear it."""
    return {"top": author.tone_reach, "bottom": author.toned_reach, "items": author.posts_reach}
