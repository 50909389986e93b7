"""Loyalty: membership of the loyalty programme, and points earned, redeemed, expired and left."""

from __future__ import annotations

import narwhals as nw

from vouch.features.facts.spans import is_on
from vouch.features.vectors.declare import (
    PREVIOUS,
    Aggregate,
    Rows,
    column,
    count,
    days_since,
    days_since_first,
    feature,
    growth,
    largest,
    total,
)


@column("loyalty_members")
def is_member(rows: Rows) -> nw.Expr:
    """Whether the member has not left before the instant."""
    return is_on(rows.optional("left_us"), rows.as_of_us)


@column("loyalty_ledger")
def balance_change(rows: Rows) -> nw.Expr:
    """Points with the sign of their kind; an adjustment keeps its own."""
    return nw.when(rows.kind.is_in(("redeem", "expire"))).then(-rows.points).otherwise(rows.points)


@feature("loyalty_members", unit="flag")
def is_loyalty_member(rows: Rows) -> Aggregate:
    """Is a member of the loyalty programme."""
    return count(rows.is_member) > 0


@feature("loyalty_members", unit="flag")
def has_left_loyalty(rows: Rows) -> Aggregate:
    """Has left the loyalty programme."""
    return count(~rows.is_member) > 0


@feature("loyalty_members", unit="days")
def loyalty_days(rows: Rows) -> Aggregate:
    """Days since the member joined the loyalty programme."""
    return days_since_first(rows.own_us, rows.is_member)


@feature("loyalty_members", unit="category")
def loyalty_tier(rows: Rows) -> Aggregate:
    """Tier in the loyalty programme."""
    return largest(rows.tier, rows.is_member)


@feature("loyalty_ledger", days=(90, 365), unit="points")
def points_earned(rows: Rows) -> Aggregate:
    """Loyalty points earned in the {days} days before."""
    return total(rows.points, rows.kind == "earn")


@feature("loyalty_ledger", days=(365,), unit="points")
def points_redeemed(rows: Rows) -> Aggregate:
    """Loyalty points redeemed in the {days} days before."""
    return total(rows.points, rows.kind == "redeem")


@feature("loyalty_ledger", days=(365,), unit="points")
def points_expired(rows: Rows) -> Aggregate:
    """Loyalty points that expired in the {days} days before."""
    return total(rows.points, rows.kind == "expire")


@feature("loyalty_ledger", unit="points")
def points_balance(rows: Rows) -> Aggregate:
    """Loyalty points left."""
    return total(rows.balance_change)


@feature("loyalty_ledger", unit="share")
def points_redeemed_share(rows: Rows) -> Aggregate:
    """Loyalty points redeemed as a share of those earned."""
    return total(rows.points, rows.kind == "redeem") / total(rows.points, rows.kind == "earn")


@feature("loyalty_ledger", days=(90,), unit="log ratio")
def points_earned_growth(rows: Rows) -> Aggregate:
    """Change of loyalty points earned in the {days} days before against the same span before them."""
    return growth(total(rows.points, rows.kind == "earn"), total(rows.points, rows.kind == "earn", PREVIOUS))


@feature("loyalty_ledger", each=("earn", "redeem"), unit="days")
def days_since_points(rows: Rows, kind: str) -> Aggregate:
    """Days since the latest entry of the kind {each}."""
    return days_since(rows.own_us, rows.kind == kind)
