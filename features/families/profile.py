"""Profile: who a customer is, as the customers table says it. Such columns carry no time and are taken as given."""

from __future__ import annotations

from vouch.features.vectors.declare import Aggregate, Rows, count, days_since, feature, largest


@feature("customers", unit="days")
def tenure_days(rows: Rows) -> Aggregate:
    """Days since the customer was created."""
    return days_since(rows.own_us)


@feature("customers", unit="category")
def country(rows: Rows) -> Aggregate:
    """Country of the customer."""
    return largest(rows.country)


@feature("customers", unit="category")
def region(rows: Rows) -> Aggregate:
    """Region of the customer."""
    return largest(rows.region)


@feature("customers", unit="category")
def language(rows: Rows) -> Aggregate:
    """Language of the customer."""
    return largest(rows.language)


@feature("customers", unit="category")
def segment(rows: Rows) -> Aggregate:
    """Segment of the customer."""
    return largest(rows.segment)


@feature("customers", unit="category")
def plan(rows: Rows) -> Aggregate:
    """Plan that the customers table names."""
    return largest(rows.plan)


@feature("customers", unit="category")
def industry(rows: Rows) -> Aggregate:
    """Industry of the customer."""
    return largest(rows.industry)


@feature("customers", unit="category")
def acquisition_source(rows: Rows) -> Aggregate:
    """Where the customer came from."""
    return largest(rows.acquisition_source)


@feature("customers", unit="flag")
def has_contact_consent(rows: Rows) -> Aggregate:
    """Agreed to be contacted."""
    return count(rows.contact_consent) > 0


@feature("customers", unit="flag")
def has_advocacy_consent(rows: Rows) -> Aggregate:
    """Agreed to be asked to speak up."""
    return count(rows.advocacy_consent) > 0


@feature("customers", unit="flag")
def was_referred(rows: Rows) -> Aggregate:
    """Came by a referral of another customer."""
    return count(~rows.referred_by.is_null()) > 0


@feature("customers", unit="year", sensitive=True)
def birth_year(rows: Rows) -> Aggregate:
    """Year of birth."""
    return largest(rows.birth_year)


@feature("customers", unit="category", sensitive=True)
def gender(rows: Rows) -> Aggregate:
    """Gender of the customer."""
    return largest(rows.gender)
