"""Usage: how often, how widely and how regularly a customer works with the product, and whether that changes."""

from __future__ import annotations

from features.define import PREVIOUS, Aggregate, Rows, count, days_since, distinct, feature, growth

WINDOWS = (7, 28, 90, 365, None)


@feature("usage_events", days=WINDOWS, unit="events")
def usage_events(rows: Rows) -> Aggregate:
    """Usage events in the {days} days before."""
    return count()


@feature("usage_events", days=WINDOWS, unit="days")
def active_days(rows: Rows) -> Aggregate:
    """Days with usage in the {days} days before."""
    return distinct(rows.day)


@feature("usage_events", unit="days")
def days_since_usage(rows: Rows) -> Aggregate:
    """Days since the latest usage event."""
    return days_since(rows.own_us)


@feature("usage_events", days=(7, 28, 90), unit="log ratio")
def usage_growth(rows: Rows) -> Aggregate:
    """Change of usage events in the {days} days before against the same span before them."""
    return growth(count(), count(window=PREVIOUS))
