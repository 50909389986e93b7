"""Instants: parsing and formatting, names of folders, Mondays and weeks.

The only place that turns text into microseconds.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from vouch.features.contract.tables import DAY_US
from vouch.features.errors import UsageError

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
WEEK_US = 7 * DAY_US
FIRST_MONDAY_US = 4 * DAY_US  # 1970-01-05
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STAMP = "%Y-%m-%dT%H%M%S.%fZ"


def parse_instant(text: str) -> int:
    """Return microseconds since 1970 UTC of an ISO date (midnight UTC) or instant (UTC where it names no offset).

    Raises UsageError where the text is neither.

    >>> parse_instant("1970-01-02"), parse_instant("1970-01-01T02:00:00+01:00")
    (86400000000, 3600000000)
    """
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"Cannot read {text!r} as a date (2026-11-23) or an instant (2026-11-23T06:30:00Z)") from error
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return microseconds(aware)


def microseconds(instant: datetime) -> int:
    """Return an aware datetime as microseconds since 1970 UTC."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def as_datetime(instant_us: int) -> datetime:
    """Return an instant as an aware datetime."""
    return _EPOCH + timedelta(microseconds=instant_us)


def is_midnight(instant_us: int) -> bool:
    """Whether an instant is 00:00 UTC."""
    return instant_us % DAY_US == 0


def instant_text(instant_us: int) -> str:
    """Return a date where the instant is midnight UTC, else an ISO instant that ends in Z.

    >>> instant_text(0), instant_text(1_500_000)
    ('1970-01-01', '1970-01-01T00:00:01.500000Z')
    """
    instant = as_datetime(instant_us)
    return str(instant.date()) if is_midnight(instant_us) else iso_text(instant)


def iso_text(value: date) -> str:
    """Return a date, or an aware datetime (UTC), as ISO text, which ends in Z where it has a time.

    >>> iso_text(as_datetime(0)), iso_text(as_datetime(0).date())
    ('1970-01-01T00:00:00Z', '1970-01-01')
    """
    return value.isoformat().replace("+00:00", "Z")


def file_stamp(instant_us: int) -> str:
    """Return an instant as it stands in the name of a file: in order, and without colons.

    >>> file_stamp(1_500_000)
    '1970-01-01T000001.500000Z'
    """
    return as_datetime(instant_us).strftime(_STAMP)


def from_file_stamp(text: str) -> int | None:
    """Return the instant of a stamp, or None where the text is none.

    >>> from_file_stamp("1970-01-01T000001.500000Z"), from_file_stamp("soon")
    (1500000, None)
    """
    try:
        return microseconds(datetime.strptime(text, _STAMP).replace(tzinfo=UTC))
    except ValueError:
        return None


def folder_name(instant_us: int) -> str:
    """Return the name of a snapshot's folder; raises UsageError for an instant between two seconds.

    >>> folder_name(0), folder_name(3_600_000_000)
    ('as_of=1970-01-01', 'as_of=1970-01-01T010000Z')
    """
    if instant_us % SECOND_US:
        raise UsageError(f"A snapshot stands at a whole second, not at {instant_text(instant_us)}")
    instant = as_datetime(instant_us)
    return f"as_of={instant.date()}" if is_midnight(instant_us) else instant.strftime("as_of=%Y-%m-%dT%H%M%SZ")


def from_folder_name(name: str) -> int | None:
    """Return the instant of a snapshot's folder, or None where the name is none.

    >>> from_folder_name("as_of=1970-01-01T010000Z"), from_folder_name("as_of=soon")
    (3600000000, None)
    """
    try:
        instant_us = parse_instant(name.removeprefix("as_of="))
    except UsageError:
        return None
    return instant_us if instant_us % SECOND_US == 0 and folder_name(instant_us) == name else None


def mondays(first_us: int, last_us: int) -> list[int]:
    """Return the Mondays, 00:00 UTC, from the first instant to the last, both inclusive.

    >>> [instant_text(monday) for monday in mondays(parse_instant("2026-11-10"), parse_instant("2026-11-23"))]
    ['2026-11-16', '2026-11-23']
    """
    start = first_us + (FIRST_MONDAY_US - first_us) % WEEK_US
    return list(range(start, last_us + 1, WEEK_US))
