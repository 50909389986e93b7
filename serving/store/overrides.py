"""Health overrides in the store: idempotent, with an end, withdrawn by whose they are, fed to the weekly batch.

One that is withdrawn stays, and ends at that moment: a week before it saw it, and the audit log tells who it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from vouch.features.contract.tables import DAY_US
from vouch.serving.store.audit import noted
from vouch.serving.store.tables import overrides

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from vouch.serving.store.callers import Caller
    from vouch.serving.store.connection import Database


UNKNOWN, FOREIGN = "unknown_override", "of_another_key"
_GIVEN = ("given_id", "customer_id", "score", "reason", "set_by")


@dataclass(frozen=True)
class Override:
    """A health score that somebody set by hand, and why; it stands for so many days."""

    given_id: str | None
    customer_id: str
    score: float
    reason: str
    days: int
    set_by: str
    set_us: int
    key_id: str | None = None
    withdrawn_us: int | None = None
    withdrawn_by: str | None = None

    @property
    def expires_us(self) -> int:
        """From when on it stands no longer, unless it is withdrawn."""
        return self.set_us + self.days * DAY_US

    def says_the_same(self, other: Override) -> bool:
        """Whether two say the same of the same customer, whoever set them and when."""
        fields = ("given_id", "customer_id", "score", "reason", "days")
        return all(getattr(self, name) == getattr(other, name) for name in fields)


def store_override(database: Database, wanted: Override, caller: Caller) -> tuple[Override | None, bool]:
    """Record an override: as it stands and whether it is new, or None where its id stands for another one."""
    with database.writing("asks") as connection:  # under the mark of asks, whose writers wait for one another
        known = _by_id(connection, wanted.given_id)
        if known is not None:
            return known if known.says_the_same(wanted) else None, False
        row = {name: getattr(wanted, name) for name in _GIVEN}
        times = {"set_us": wanted.set_us, "expires_us": wanted.expires_us, "recorded_us": wanted.set_us}
        connection.execute(insert(overrides).values(**row, **times, key_id=caller.key_id))
        who = {"key_id": caller.key_id, "customer_id": wanted.customer_id}
        noted(connection, wanted.set_us, caller.name, "overrode", **who, rows=1)
        return wanted, True


def withdraw(database: Database, given_id: str, caller: Caller, now_us: int) -> tuple[Override | None, str | bool]:
    """Withdraw an override: as it stands and whether that is new, or None and why not (UNKNOWN, FOREIGN)."""
    with database.writing("asks") as connection:
        known = _by_id(connection, given_id)
        if known is None:
            return None, UNKNOWN
        is_own = known.key_id is not None and known.key_id == caller.key_id
        if not (is_own or caller.may("admin")):
            return None, FOREIGN
        if known.withdrawn_us is not None:
            return known, False
        ended = replace(known, withdrawn_us=now_us, withdrawn_by=caller.name)
        values = {"withdrawn_us": ended.withdrawn_us, "withdrawn_by": ended.withdrawn_by}
        connection.execute(update(overrides).where(overrides.c.given_id == given_id).values(**values))
        who = {"key_id": caller.key_id, "customer_id": known.customer_id}
        noted(connection, now_us, caller.name, "withdrew", **who, rows=1)
        return ended, True


def _by_id(connection: Connection, given_id: str | None) -> Override | None:
    row = connection.execute(select(overrides).where(overrides.c.given_id == given_id)).first()
    return None if row is None else _read(row)


def standing(connection: Connection, now_us: int, customer_id: str | None = None) -> dict[str, Override]:
    """Return the overrides that have not ended, the latest of each customer, as `health_history` has it."""
    order = (overrides.c.set_us, overrides.c.score, overrides.c.expires_us, overrides.c.set_by)
    stands = (overrides.c.expires_us > now_us, overrides.c.withdrawn_us.is_(None))
    of_whom = () if customer_id is None else (overrides.c.customer_id == customer_id,)
    rows = connection.execute(select(overrides).where(*stands, *of_whom).order_by(*order))
    return {row.customer_id: _read(row) for row in rows}


def _read(row: Row[Any]) -> Override:
    fields = {name: getattr(row, name) for name in (*_GIVEN, "set_us", "key_id", "withdrawn_us", "withdrawn_by")}
    return Override(days=(row.expires_us - row.set_us) // DAY_US, **fields)
