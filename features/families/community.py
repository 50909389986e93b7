"""Community: what a customer posts in public about the company, and does in its community."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vouch.features.facts.voices import is_about_us
from vouch.features.vectors.declare import (
    Aggregate,
    Rows,
    column,
    count,
    days_since,
    feature,
    latest,
    mean,
    share,
    total,
)

if TYPE_CHECKING:
    import narwhals as nw


@column("social_posts")
def is_mention(rows: Rows) -> nw.Expr:
    """Whether the post is about the company."""
    return is_about_us(rows.is_brand_mention)


@feature("social_posts", days=(90, 365), unit="posts")
def brand_mentions(rows: Rows) -> Aggregate:
    """Posts about the company in the {days} days before."""
    return count(rows.is_mention)


@feature("social_posts", days=(365,), unit="people")
def brand_mention_reach(rows: Rows) -> Aggregate:
    """People reached by posts about the company in the {days} days before."""
    return total(rows.reach, rows.is_mention)


@feature("social_posts", days=(365,), unit="reactions")
def brand_mention_engagement(rows: Rows) -> Aggregate:
    """Likes, shares and comments on posts about the company in the {days} days before."""
    return (
        total(rows.likes, rows.is_mention) + total(rows.shares, rows.is_mention) + total(rows.comments, rows.is_mention)
    )


@feature("social_posts", days=(365,), unit="polarity")
def social_polarity_mean(rows: Rows) -> Aggregate:
    """Mean tone (-1 to 1) of posts about the company in the {days} days before."""
    return mean(rows.polarity, rows.is_mention) / 100.0


@feature("social_posts", unit="polarity")
def social_polarity_last(rows: Rows) -> Aggregate:
    """Tone (-1 to 1) of the latest post about the company."""
    return latest(rows.polarity, rows.is_mention & ~rows.polarity.is_null()) / 100.0


@feature("social_posts", days=(365,), unit="share")
def brand_reaction_share(rows: Rows) -> Aggregate:
    """Share of posts about the company in the {days} days before to which it reacted."""
    return share(~rows.brand_reacted_us.is_null(), rows.is_mention)


@feature("social_posts", days=(365,), unit="posts")
def competitor_mentions(rows: Rows) -> Aggregate:
    """Posts about a competitor in the {days} days before."""
    return count(~rows.competitor.is_null())


@feature("social_posts", unit="followers")
def followers(rows: Rows) -> Aggregate:
    """Followers at the latest post."""
    return latest(rows.followers, ~rows.followers.is_null())


@feature("social_posts", unit="days")
def days_since_brand_mention(rows: Rows) -> Aggregate:
    """Days since the latest post about the company."""
    return days_since(rows.own_us, rows.is_mention)


@feature("advocacy_acts", days=(90, 365), unit="answers")
def community_answers(rows: Rows) -> Aggregate:
    """Answers given to others in the community in the {days} days before."""
    return count(rows.kind == "community_answer")


@feature("advocacy_acts", unit="days")
def days_since_community_answer(rows: Rows) -> Aggregate:
    """Days since the latest answer given to others in the community."""
    return days_since(rows.own_us, rows.kind == "community_answer")


@feature("usage_events", days=(90,), unit="events")
def community_events(rows: Rows) -> Aggregate:
    """Events in the community in the {days} days before."""
    return count(rows.channel == "community")


@feature("usage_events", unit="days")
def days_since_community_event(rows: Rows) -> Aggregate:
    """Days since the latest event in the community."""
    return days_since(rows.own_us, rows.channel == "community")
