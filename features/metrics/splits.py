"""Splits of metrics: columns of customers, bands of what customers are and do, and the touchpoint of a survey.

Every text column of customers that the contract has is a split, but for what names a person. A split is of customers,
except for the touchpoint, which is of answers. Of sensitive splits (gender, age) no cell of a few people is shown, not
even as a count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vouch.features.contract.tables import TABLES
from vouch.features.errors import UsageError, did_you_mean
from vouch.features.instants import as_datetime

if TYPE_CHECKING:
    from vouch.features.asof import Tables

OF_PERSONS = ("customer_id", "referred_by", "name", "account_name", "owner", "owner_email", "crm_url")
"""Columns that name somebody, and are split by nowhere."""
TENURE, AGE, LOYALTY, TOUCHPOINT = "tenure_band", "age_band", "loyalty_tier", "touchpoint"
BUYERS, USERS = "buyer_segment", "use_band"
COLUMNS = tuple(
    name
    for name, column in TABLES["customers"].columns.items()
    if column.kind == "text" and name not in OF_PERSONS
)  # fmt: skip
"""Columns of customers that metrics can be split by."""
ACCOUNT = "account_id"
SPLITS = (*COLUMNS, TENURE, AGE, LOYALTY, BUYERS, USERS, TOUCHPOINT)
SEGMENTS = tuple(by for by in SPLITS if by != ACCOUNT)
"""Splits that every published week has: all but accounts, which are as many as a company has customers."""
BANDS = (TENURE, AGE, BUYERS, USERS)
"""Splits whose segments are ours, and name nobody however few they hold."""
SENSITIVE = ("gender", AGE)
UNKNOWN = "unknown"
"""Segment of rows whose customer, or whose customer's value, is not known."""
NO_MEMBER, NO_TIER = "not a member", "no tier"
RELATIONAL = "relational"
TENURE_BANDS: tuple[tuple[int, str], ...] = (
    (0, "under 90 days"),
    (90, "90 to 364 days"),
    (365, "1 to 2 years"),
    (1095, "3 years and more"),
)
"""Bands of days since `created_at`: from inclusive, to the next exclusive; a year is 365 days."""
AGE_BANDS: tuple[tuple[int, str], ...] = (
    (0, "under 25"), (25, "25 to 34"), (35, "35 to 44"), (45, "45 to 54"), (55, "55 to 64"), (65, "65 and over"),
)  # fmt: skip
"""Bands of the age that is reached in the year of the instant."""
OLDEST = 120
NO_PURCHASE = "no purchase in a year"
BUYER_SEGMENTS = (
    ("dormant", "fading", "not to be lost"),
    ("occasional", "regular", "loyal"),
    ("recent", "promising", "champions"),
)
"""Of buyers of a year, by the third of their last purchase (the longest ago first), each by how often and dear."""
USE_DAYS = 28
USE_BANDS: tuple[tuple[int, str], ...] = (
    (0, "no use in 4 weeks"), (1, "used on 1 to 3 days"), (4, "used weekly"), (12, "used on most workdays"),
)  # fmt: skip
"""Bands of days with use in four weeks: from inclusive, to the next exclusive."""
_NEEDS = {TENURE: ("customers", "created_at"), AGE: ("customers", "birth_year"), LOYALTY: ("loyalty_members", "tier"),
          BUYERS: ("transactions", "amount"), USERS: ("usage_events", "occurred_at"),
          TOUCHPOINT: ("surveys", "touchpoint")}  # fmt: skip


def can_split(tables: Tables, by: str) -> bool:
    """Whether the company handed over what this splits by. Raises UsageError where nobody's customers can be split."""
    if by not in SPLITS:
        raise UsageError(f"Metrics cannot be split by {by!r}{did_you_mean(by, SPLITS)}: {', '.join(SPLITS)}")
    table, column = _NEEDS.get(by, ("customers", by))
    return by == TENURE or tables.has(table, column)


def check_split(tables: Tables, by: str) -> None:
    """Raise UsageError where the company's customers cannot be split by this."""
    if not can_split(tables, by):
        needed = ".".join(_NEEDS.get(by, ("customers", by)))
        raise UsageError(f"The data hold no {needed}: metrics cannot be split by it")


def tenure_band(days: int) -> str:
    """Name of the band of so many days.

    >>> tenure_band(89), tenure_band(90), tenure_band(4000)
    ('under 90 days', '90 to 364 days', '3 years and more')
    """
    return [name for start, name in TENURE_BANDS if days >= start][-1]


def age_band(birth_year: int | None, as_of_us: int) -> str:
    """Name of the band of the age that is reached in the year of an instant; unknown for what nobody's age is.

    >>> [age_band(year, 1_794_787_200_000_000) for year in (2001, 2002, 1900, None, 2030)]  # in 2026
    ['25 to 34', 'under 25', 'unknown', 'unknown', 'unknown']
    """
    if birth_year is None:
        return UNKNOWN
    age = as_datetime(as_of_us).year - birth_year
    return [name for start, name in AGE_BANDS if age >= start][-1] if 0 <= age <= OLDEST else UNKNOWN


def buyer_segment(recency: int, frequency: int, spend: int) -> str:
    """Name of the segment of a buyer, from thirds of 1 to 3, where 3 is the best.

    >>> buyer_segment(3, 3, 3), buyer_segment(3, 1, 2), buyer_segment(1, 3, 2), buyer_segment(2, 1, 3)
    ('champions', 'recent', 'not to be lost', 'regular')
    """
    both = frequency + spend
    return BUYER_SEGMENTS[recency - 1][(both >= 4) + (both >= 5)]


def use_band(days: int) -> str:
    """Name of the band of so many days with use in four weeks.

    >>> [use_band(days) for days in (0, 3, 4, 28)]
    ['no use in 4 weeks', 'used on 1 to 3 days', 'used weekly', 'used on most workdays']
    """
    return [name for start, name in USE_BANDS if days >= start][-1]
