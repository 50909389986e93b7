"""Support: how often a customer needs help, and how well it is given."""

from __future__ import annotations

import narwhals as nw

from vouch.features.facts import tickets as ticket
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
    latest,
    mean,
    share,
)

HOUR_US = 3_600_000_000.0


@column("tickets")
def is_open(rows: Rows) -> nw.Expr:
    """Whether the ticket is not resolved."""
    return ticket.is_open(rows.resolved_us, rows.as_of_us)


@column("tickets")
def resolution_us(rows: Rows) -> nw.Expr:
    """Time from opening to resolution."""
    return nw.when(~rows.is_open).then(rows.resolved_us - rows.own_us)


@feature("tickets", days=(28, 90, 365), unit="tickets")
def tickets(rows: Rows) -> Aggregate:
    """Tickets opened in the {days} days before."""
    return count()


@feature("tickets", unit="tickets")
def tickets_open(rows: Rows) -> Aggregate:
    """Tickets that are open."""
    return count(rows.is_open)


@feature("tickets", unit="days")
def oldest_open_ticket_days(rows: Rows) -> Aggregate:
    """Days since the oldest open ticket was opened."""
    return days_since_first(rows.own_us, rows.is_open)


@feature("tickets", unit="days")
def days_since_ticket(rows: Rows) -> Aggregate:
    """Days since the latest ticket was opened."""
    return days_since(rows.own_us)


@feature("tickets", days=(28,), unit="log ratio")
def tickets_growth(rows: Rows) -> Aggregate:
    """Change of tickets opened in the {days} days before against the same span before them."""
    return growth(count(), count(window=PREVIOUS))


@feature("tickets", days=(90,), unit="minutes")
def ticket_wait_minutes(rows: Rows) -> Aggregate:
    """Mean minutes of waiting, of tickets opened in the {days} days before."""
    return mean(rows.wait_s) / 60.0


@feature("tickets", days=(365,), unit="hours")
def resolution_hours(rows: Rows) -> Aggregate:
    """Mean hours to the resolution, of tickets opened in the {days} days before."""
    return mean(rows.resolution_us) / HOUR_US


@feature("tickets", days=(365,), unit="share")
def ticket_reopened_share(rows: Rows) -> Aggregate:
    """Share of tickets that were reopened, of those opened in the {days} days before."""
    return share(rows.is_reopened)


@feature("tickets", days=(365,), unit="contacts")
def contacts_per_ticket(rows: Rows) -> Aggregate:
    """Mean contacts per ticket, of those opened in the {days} days before."""
    return mean(rows.contacts)


@feature("tickets", days=(365,), unit="share")
def ticket_channel_change_share(rows: Rows) -> Aggregate:
    """Share of tickets that changed channel, of those opened in the {days} days before."""
    return share(rows.first_channel != rows.final_channel)


@feature("tickets", days=(90,), unit="tickets")
def tickets_urgent(rows: Rows) -> Aggregate:
    """Tickets of high priority opened in the {days} days before."""
    return count(ticket.is_of_high_priority(rows.priority))


@feature("tickets", days=(365,), unit="score")
def ticket_csat_mean(rows: Rows) -> Aggregate:
    """Mean satisfaction (1 to 5) with tickets opened in the {days} days before."""
    return mean(rows.csat)


@feature("tickets", unit="score")
def ticket_csat_last(rows: Rows) -> Aggregate:
    """Satisfaction (1 to 5) with the latest ticket that was rated."""
    return latest(rows.csat, ~rows.csat.is_null())


@feature("tickets", days=(365,), unit="tickets")
def tickets_badly_rated(rows: Rows) -> Aggregate:
    """Tickets rated 1 or 2 of 5, of those opened in the {days} days before."""
    return count(rows.csat <= 2)
