"""Details of customers that a CRM holds: consents and owners, each change as a version with its time.

What stands is the newest version of a detail. A consent that was taken back counts at once; whatever else changed
counts from the next week on, of which it is data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select, tuple_

from vouch.serving.store.audit import noted
from vouch.serving.store.tables import customer_details

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from vouch.serving.store.callers import Caller
    from vouch.serving.store.connection import Database

CONSENT_NAMES = ("contact_consent", "advocacy_consent")
NAMES = (*CONSENT_NAMES, "owner", "owner_email")
"""Columns of `customers` that can come from a CRM."""
GIVEN = "true"
AT_ONCE = 500


@dataclass(frozen=True)
class Detail:
    """One detail of a customer as a CRM holds it; None where it is empty there."""

    customer_id: str
    name: str
    """One of NAMES."""
    value: str | None
    changed_us: int


def store_details(database: Database, details: Sequence[Detail], caller: Caller, now_us: int) -> dict[str, int]:
    """Record what differs from what stands; return how many versions are new, by name.

    What was never told and is empty is no version.
    """
    new = dict.fromkeys(NAMES, 0)
    for start in range(0, len(details), AT_ONCE):
        of_now = details[start : start + AT_ONCE]
        with database.writing("asks") as connection:  # under the mark of asks: who may be asked moves with it
            stands = _standing(connection, {one.customer_id for one in of_now})
            rows = []
            for one in of_now:
                key = (one.customer_id, one.name)
                if stands.get(key) != one.value:
                    stands[key] = one.value
                    new[one.name] += 1
                    rows.append({**vars(one), "recorded_us": now_us, "recorded_by": caller.name})
            if rows:
                connection.execute(insert(customer_details), rows)
                noted(connection, now_us, caller.name, "details", key_id=caller.key_id, rows=len(rows))
    return new


def _standing(connection: Connection, customers: Iterable[str]) -> dict[tuple[str, str], str | None]:
    """The newest value of each detail of some customers."""
    of = customer_details.c
    newest = select(func.max(of.detail_id)).where(of.customer_id.in_(customers)).group_by(of.customer_id, of.name)
    rows = connection.execute(select(of.customer_id, of.name, of.value).where(of.detail_id.in_(newest)))
    return {(row.customer_id, row.name): row.value for row in rows}


def withdrawn_consents(connection: Connection, since_us: int) -> dict[str, frozenset[str]]:
    """Return by customer the consents that stand as taken back, recorded at or after an instant."""
    of = customer_details.c
    is_no = of.value.is_distinct_from(GIVEN)
    moved = select(of.customer_id, of.name).where(of.recorded_us >= since_us, of.name.in_(CONSENT_NAMES), is_no)
    newest = select(func.max(of.detail_id)).where(tuple_(of.customer_id, of.name).in_(moved))
    newest = newest.group_by(of.customer_id, of.name)
    rows = connection.execute(select(of.customer_id, of.name, of.value).where(of.detail_id.in_(newest)))
    found: dict[str, frozenset[str]] = {}
    for row in rows:
        if row.value != GIVEN:
            found[row.customer_id] = found.get(row.customer_id, frozenset()) | {row.name}
    return found
