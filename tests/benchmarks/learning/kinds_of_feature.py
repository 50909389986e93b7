"""Kinds of feature that are tried before one becomes a family: definitions, declared for as long as somebody asks.

Each is in the language of features (`vouch.features.vectors.declare`), so that it is point in time, runs on all engines
and can move to `features/families/` as it stands. The name of a feature begins with its kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import narwhals as nw

from vouch.features.contract.tables import DAY_US
from vouch.features.vectors.declare import (
    COLUMNS,
    FEATURES,
    Aggregate,
    Rows,
    Vector,
    column,
    count,
    days_since,
    derived,
    distinct,
    feature,
    growth,
    largest,
    load_families,
    mean,
    ratio,
    share,
)

KINDS = ("memory", "rhythm", "level")
HORIZON_DAYS = 28
LONG_DAYS = 14
"""A silence longer than this is one to come back from."""


@contextmanager
def declared() -> Iterator[tuple[str, ...]]:
    """Declare all kinds beside the families; they are gone at the end."""
    features = dict(load_families())
    columns = {table: dict(of) for table, of in COLUMNS.items()}
    try:
        for declare in (_memory, _rhythm, _level):
            declare()
        yield tuple(name for name in FEATURES if name not in features)
    finally:
        for there, before in ((FEATURES, features), (COLUMNS, columns)):
            there.clear()
            there.update(before)


def kind_of(name: str) -> str | None:
    """The kind that a feature is of, None for one of a family."""
    kind = name.partition("_")[0]
    return kind if kind in KINDS else None


def _memory() -> None:
    """A customer's own past outcomes: returns, acts by exposure with a prior, active weeks, windows that continued."""

    @feature("usage_events", days=(91, 364), unit="weeks")
    def memory_active_weeks(rows: Rows) -> Aggregate:
        """Weeks with usage in the {days} days before."""
        return distinct((rows.day + 3) // 7)

    @feature("usage_events", unit="silences")
    def memory_returns(rows: Rows) -> Aggregate:
        """Times that the customer came back from a long silence."""
        return count(rows.day_gap > LONG_DAYS)

    @feature("usage_events", unit="days")
    def memory_streak_days(rows: Rows) -> Aggregate:
        """Days since the customer last came back from a long silence."""
        return days_since(rows.own_us, rows.day_gap > LONG_DAYS)

    @feature("usage_events", unit="share")
    def memory_continued_share(rows: Rows) -> Aggregate:
        """Share of the days with usage that another followed within the horizon, drawn to nine in ten."""
        return (count(rows.day_gap <= HORIZON_DAYS) + _number(9.0)) / (count(~rows.day_gap.is_null()) + 10.0)

    @feature("advocacy_acts", days=(182,), unit="acts")
    def memory_organic_acts(rows: Rows) -> Aggregate:
        """Acts of speaking up, neither asked for nor rewarded, in the {days} days before."""
        return count(rows.is_organic_act)

    @feature("surveys", days=(365,), unit="share")
    def memory_answered_share(rows: Rows) -> Aggregate:
        """Share of surveys that were answered in the {days} days before."""
        return share(rows.status == "answered")

    @derived(unit="acts per quarter")
    def memory_organic_rate(vector: Vector) -> nw.Expr:
        """Organic acts by quarter as a customer, drawn to a tenth over a year."""
        return (vector.organic_acts_lifetime + 0.4) / (vector.tenure_days / 90.0 + 4.0)

    @derived(unit="acts per quarter")
    def memory_act_rate(vector: Vector) -> nw.Expr:
        """Acts of any kind by quarter as a customer, drawn to a tenth over a year."""
        return (vector.advocacy_acts_lifetime + 0.4) / (vector.tenure_days / 90.0 + 4.0)

    @derived(unit="resumptions per year")
    def memory_resumption_rate(vector: Vector) -> nw.Expr:
        """Subscriptions taken up again by year as a customer."""
        return (vector.resumptions + 0.1) / (vector.tenure_days / 365.0 + 1.0)

    @derived(unit="share")
    def memory_subscribed_share(vector: Vector) -> nw.Expr:
        """Share of the time as a customer with a subscription."""
        return ratio(vector.subscribed_days, vector.tenure_days)


def _rhythm() -> None:
    """Today's silence against the customer's own gaps between days with usage."""

    @column("usage_events")
    def silence(rows: Rows) -> nw.Expr:
        """Days since the latest day with usage."""
        rows.is_ordered = True
        return (rows.as_of_us - rows.own_us.max().over("customer_id", "as_of_us")) // DAY_US

    @feature("usage_events", unit="share")
    def rhythm_rank(rows: Rows) -> Aggregate:
        """Share of the own gaps that are no longer than today's silence."""
        return count(rows.day_gap <= rows.silence) / count(~rows.day_gap.is_null())

    @feature("usage_events", unit="gaps")
    def rhythm_longer(rows: Rows) -> Aggregate:
        """Own gaps that were longer than today's silence."""
        return count(rows.day_gap > rows.silence)

    @feature("usage_events", unit="share")
    def rhythm_ended_share(rows: Rows) -> Aggregate:
        """Share of the own gaps longer than today's silence that ended within the horizon, drawn to a half."""
        longer = rows.day_gap > rows.silence
        ended = count(longer & (rows.day_gap <= rows.silence + HORIZON_DAYS))
        return (ended + _number(1.0)) / (count(longer) + 2.0)

    @feature("usage_events", days=(90, 365), unit="days")
    def rhythm_longest(rows: Rows) -> Aggregate:
        """Longest gap in the {days} days before."""
        return largest(rows.day_gap)

    @derived(unit="ratio")
    def rhythm_over_mean(vector: Vector) -> nw.Expr:
        """Today's silence over the own mean gap."""
        return ratio(vector.days_since_usage, vector.usage_gap_mean_90d)

    @derived(unit="ratio")
    def rhythm_over_longest(vector: Vector) -> nw.Expr:
        """Today's silence over the own longest gap of a year."""
        return ratio(vector.days_since_usage, vector.rhythm_longest_365d)


def _level() -> None:
    """Usage of late against the customer's own usual level."""
    for days in (7, 14, 28):
        _against_usual(days)

    @feature("usage_events", days=(28, 90, 182), unit="days")
    def level_age(rows: Rows) -> Aggregate:
        """Mean age of usage events in the {days} days before."""
        return Aggregate("as_of") / float(DAY_US) - mean(rows.day)


def _against_usual(days: int) -> None:
    usual = (days + 91, days)

    @feature("usage_events", days=(days,), unit="log ratio")
    def level_events(rows: Rows) -> Aggregate:
        """Change of usage events in the {days} days before against the usual of the 91 before them."""
        return growth(count(), count(window=usual) * (days / 91))

    @feature("usage_events", days=(days,), unit="log ratio")
    def level_days(rows: Rows) -> Aggregate:
        """Change of days with usage in the {days} days before against the usual of the 91 before them."""
        return growth(distinct(rows.day), distinct(rows.day, window=usual) * (days / 91))


def _number(value: float) -> Aggregate:
    return Aggregate("number", number=value)
