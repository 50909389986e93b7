"""Usage: how often, how widely and how regularly a customer works with the product, and whether that changes."""

from __future__ import annotations

import narwhals as nw

from vouch.features.facts import sessions as session
from vouch.features.vectors.declare import (
    PREVIOUS,
    Aggregate,
    Rows,
    Vector,
    column,
    count,
    days_since,
    days_since_first,
    derived,
    distinct,
    feature,
    growth,
    mean,
    ratio,
    share,
    spread,
    total,
)


@feature("usage_events", days=(7, 28, 90, 365, None), unit="events")
def usage_events(rows: Rows) -> Aggregate:
    """Usage events in the {days} days before."""
    return count()


@feature("usage_events", days=(7, 28, 90, 365), unit="days")
def active_days(rows: Rows) -> Aggregate:
    """Days with usage in the {days} days before."""
    return distinct(rows.day)


@feature("usage_events", unit="days")
def days_since_usage(rows: Rows) -> Aggregate:
    """Days since the latest usage event."""
    return days_since(rows.own_us)


@feature("usage_events", unit="days")
def days_since_first_usage(rows: Rows) -> Aggregate:
    """Days since the first usage event."""
    return days_since_first(rows.own_us)


@feature("usage_events", days=(7, 28, 90), unit="log ratio")
def usage_growth(rows: Rows) -> Aggregate:
    """Change of usage events in the {days} days before against the same span before them."""
    return growth(count(), count(window=PREVIOUS))


@feature("usage_events", days=(28,), unit="log ratio")
def active_days_growth(rows: Rows) -> Aggregate:
    """Change of days with usage in the {days} days before against the same span before them."""
    return growth(distinct(rows.day), distinct(rows.day, window=PREVIOUS))


@feature("usage_events", days=(28,), unit="events per day")
def events_per_active_day(rows: Rows) -> Aggregate:
    """Usage events per day with usage in the {days} days before."""
    return count() / distinct(rows.day)


@feature("usage_events", days=(90,), unit="days")
def usage_gap_mean(rows: Rows) -> Aggregate:
    """Mean days between days with usage in the {days} days before."""
    return mean(rows.day_gap, rows.day_gap > 0)


@feature("usage_events", days=(90,), unit="days")
def usage_gap_spread(rows: Rows) -> Aggregate:
    """Standard deviation of the days between days with usage in the {days} days before."""
    return spread(rows.day_gap, rows.day_gap > 0)


@feature("usage_events", days=(90,), unit="share")
def usage_weekend_share(rows: Rows) -> Aggregate:
    """Share of usage events on a Saturday or Sunday in the {days} days before."""
    return share((rows.day + 3) % 7 >= 5)


@feature("usage_events", days=(28, 90), unit="features")
def features_used(rows: Rows) -> Aggregate:
    """Features of the product used in the {days} days before."""
    return distinct(rows.feature)


@feature("usage_events", days=(28,), unit="kinds")
def event_kinds(rows: Rows) -> Aggregate:
    """Kinds of usage event in the {days} days before."""
    return distinct(rows.event)


@feature("usage_events", days=(28,), unit="users")
def users(rows: Rows) -> Aggregate:
    """Users of the customer with usage in the {days} days before."""
    return distinct(rows.user_id)


@feature("usage_events", days=(28,), unit="log ratio")
def users_growth(rows: Rows) -> Aggregate:
    """Change of users with usage in the {days} days before against the same span before them."""
    return growth(distinct(rows.user_id), distinct(rows.user_id, window=PREVIOUS))


@feature("usage_events", days=(90,), unit="value")
def usage_value(rows: Rows) -> Aggregate:
    """Value of usage events in the {days} days before, added up."""
    return total(rows.value)


@feature("usage_events", days=(90,), unit="channels")
def usage_channels(rows: Rows) -> Aggregate:
    """Channels of usage in the {days} days before."""
    return distinct(rows.channel)


@feature("usage_events", days=(90,), each=("web", "app", "email", "api"), unit="share")
def usage_share(rows: Rows, channel: str) -> Aggregate:
    """Share of usage events by {each} in the {days} days before."""
    return share(rows.channel == channel)


@column("sessions")
def is_visit(rows: Rows) -> nw.Expr:
    """Whether a person, not a bot, made the session."""
    return session.is_visit(rows.optional("is_bot"))


@column("sessions")
def visit_us(rows: Rows) -> nw.Expr:
    """Engaged time in microseconds; where it is not known, the duration up to half an hour."""
    return session.engaged_us(rows.own_us, rows.ended_us, rows.optional("engaged_s"))


@feature("sessions", days=(28, 90), unit="sessions")
def sessions(rows: Rows) -> Aggregate:
    """Sessions in the {days} days before."""
    return count(rows.is_visit)


@feature("sessions", days=(28,), unit="minutes")
def session_minutes(rows: Rows) -> Aggregate:
    """Engaged minutes of sessions in the {days} days before."""
    return total(rows.visit_us, rows.is_visit) / 60_000_000.0


@feature("sessions", days=(90,), unit="minutes")
def minutes_per_session(rows: Rows) -> Aggregate:
    """Engaged minutes per session in the {days} days before."""
    return mean(rows.visit_us, rows.is_visit) / 60_000_000.0


@feature("sessions", days=(28,), unit="log ratio")
def sessions_growth(rows: Rows) -> Aggregate:
    """Change of sessions in the {days} days before against the same span before them."""
    return growth(count(rows.is_visit), count(rows.is_visit, PREVIOUS))


@feature("sessions", unit="days")
def days_since_session(rows: Rows) -> Aggregate:
    """Days since the latest session."""
    return days_since(rows.own_us, rows.is_visit)


@derived(unit="events per session")
def events_per_session_90d(vector: Vector) -> nw.Expr:
    """Usage events per session in the 90 days before."""
    return ratio(vector.usage_events_90d, vector.sessions_90d)


@derived(unit="days")
def days_since_activity(vector: Vector) -> nw.Expr:
    """Days since the latest usage event or transaction."""
    return nw.min_horizontal(vector.days_since_usage, vector.days_since_transaction)
