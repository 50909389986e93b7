"""Health overrides in the store: recorded once, with an end, and told to the weekly batch as its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from vouch.features.contract.tables import DAY_US
from vouch.serving.store.audit import noted
from vouch.serving.store.tables import overrides

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from vouch.serving.store.callers import Caller
    from vouch.serving.store.connection import Database


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

    @property
    def expires_us(self) -> int:
        """From when on it stands no longer."""
        return self.set_us + self.days * DAY_US

    def says_the_same(self, other: Override) -> bool:
        """Whether two say the same of the same customer, whoever set them and when."""
        said = ("given_id", "customer_id", "score", "reason", "days")
        return all(getattr(self, name) == getattr(other, name) for name in said)


def record(database: Database, wanted: Override, caller: Caller) -> tuple[Override | None, bool]:
    """Record an override: as it stands and whether it is new, or None where its id stands for another one."""
    with database.writing("asks") as connection:  # under the mark of asks, whose writers wait for one another
        known = _by_id(connection, wanted.given_id)
        if known is not None:
            return known if known.says_the_same(wanted) else None, False
        row = {name: getattr(wanted, name) for name in ("given_id", "customer_id", "score", "reason", "set_by")}
        times = {"set_us": wanted.set_us, "expires_us": wanted.expires_us, "recorded_us": wanted.set_us}
        connection.execute(insert(overrides).values(**row, **times))
        who = {"key_id": caller.key_id, "customer_id": wanted.customer_id}
        noted(connection, wanted.set_us, caller.name, "overrode", **who, rows=1)
        return wanted, True


def _by_id(connection: Connection, given_id: str | None) -> Override | None:
    row = connection.execute(select(overrides).where(overrides.c.given_id == given_id)).first()
    return None if row is None else _read(row)


def standing(connection: Connection, now_us: int) -> dict[str, Override]:
    """Return the overrides that have not ended, the latest of each customer, as `health_history` has it."""
    order = (overrides.c.set_us, overrides.c.score, overrides.c.expires_us, overrides.c.set_by)
    rows = connection.execute(select(overrides).where(overrides.c.expires_us > now_us).order_by(*order))
    return {row.customer_id: _read(row) for row in rows}


def _read(row: Row[Any]) -> Override:
    days = (row.expires_us - row.set_us) // DAY_US
    return Override(row.given_id, row.customer_id, row.score, row.reason, days, row.set_by, row.set_us)
