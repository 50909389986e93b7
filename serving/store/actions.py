"""Actions in the store: what people did for a customer (a call, thanks, something put right), and who objects.

Recorded once by the id that whoever records them gave, withdrawn where that was a mistake, and told as they stand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, update

from vouch.features.contract.tables import DAY_US
from vouch.serving.snapshots.schema import REPAIR, THANK
from vouch.serving.store.audit import noted
from vouch.serving.store.tables import actions, objections

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from vouch.serving.store.callers import Caller
    from vouch.serving.store.connection import Database

CALLED, THANKED, PUT_RIGHT = "called", "thanked", "put_right"
ACTION_KINDS = (CALLED, THANKED, PUT_RIGHT)
CARES_FOR = {THANKED: THANK, PUT_RIGHT: REPAIR}
"""What is due before an ask, by the action that does it."""
CARE_DAYS = 30
"""For so long what was ticked off is not due again, whatever a week says that does not know of it yet."""
_GIVEN = ("given_id", "customer_id", "kind", "note", "done_by", "done_us")


@dataclass(frozen=True)
class Action:
    """What somebody did for a customer."""

    given_id: str
    customer_id: str
    kind: str
    """One of ACTION_KINDS."""
    done_us: int
    note: str | None = None
    done_by: str | None = None
    withdrawn_us: int | None = None
    withdrawn_by: str | None = None

    def says_the_same(self, other: Action) -> bool:
        """Whether two say the same of the same customer."""
        return (self.given_id, self.customer_id, self.kind) == (other.given_id, other.customer_id, other.kind)


def store_action(database: Database, wanted: Action, caller: Caller, now_us: int) -> tuple[Action | None, bool]:
    """Record an action: as it stands and whether it is new, or None where its id stands for another one."""
    with database.writing("asks") as connection:  # under the mark of asks: what is due before one moves with it
        known = _by_id(connection, wanted.given_id)
        if known is not None:
            return (known if known.says_the_same(wanted) and known.withdrawn_us is None else None), False
        row = {name: getattr(wanted, name) for name in _GIVEN}
        connection.execute(insert(actions).values(**row, recorded_us=now_us, key_id=caller.key_id))
        _note(connection, caller, wanted.kind, wanted.customer_id, now_us)
        return wanted, True


def withdraw_action(database: Database, given_id: str, caller: Caller, now_us: int) -> tuple[Action | None, bool]:
    """Withdraw an action: as it stands and whether that is new, or None where there is none of the id."""
    with database.writing("asks") as connection:
        known = _by_id(connection, given_id)
        if known is None or known.withdrawn_us is not None:
            return known, False
        gone = replace(known, withdrawn_us=now_us, withdrawn_by=caller.name)
        values = {"withdrawn_us": now_us, "withdrawn_by": caller.name}
        connection.execute(update(actions).where(actions.c.given_id == given_id).values(values))
        _note(connection, caller, f"withdrew {known.kind}", known.customer_id, now_us)
        return gone, True


def actions_of(connection: Connection, customer_id: str) -> list[Action]:
    """Return what was done for a customer and stands, the latest last."""
    stands = (actions.c.customer_id == customer_id, actions.c.withdrawn_us.is_(None))
    return [_read(row) for row in connection.execute(_in_order().where(*stands))]


def actions_since(connection: Connection, since_us: int) -> list[Action]:
    """Return what was done since a moment and stands, the latest last."""
    stands = (actions.c.done_us >= since_us, actions.c.withdrawn_us.is_(None))
    return [_read(row) for row in connection.execute(_in_order().where(*stands))]


def care_since(connection: Connection, since_us: int) -> dict[str, frozenset[str]]:
    """Return by customer what is due no longer, because somebody has done it since a moment."""
    care: dict[str, frozenset[str]] = {}
    for action in actions_since(connection, since_us - CARE_DAYS * DAY_US):
        if action.kind in CARES_FOR:
            care[action.customer_id] = care.get(action.customer_id, frozenset()) | {CARES_FOR[action.kind]}
    return care


def _in_order() -> Any:
    return select(actions).order_by(actions.c.done_us, actions.c.action_id)


def _by_id(connection: Connection, given_id: str) -> Action | None:
    row = connection.execute(select(actions).where(actions.c.given_id == given_id)).first()
    return None if row is None else _read(row)


def _read(row: Any) -> Action:
    return Action(**{name: getattr(row, name) for name in (*_GIVEN, "withdrawn_us", "withdrawn_by")})


def set_objection(database: Database, customer_id: str, objects: bool, caller: Caller, now_us: int) -> bool:
    """Record that a customer objects to being profiled, or objects no longer; return whether that is new."""
    with database.writing("asks") as connection:
        stands = (objections.c.customer_id == customer_id, objections.c.withdrawn_us.is_(None))
        is_standing = connection.execute(select(objections.c.objection_id).where(*stands)).first() is not None
        if is_standing == objects:
            return False
        if objects:
            who = {"recorded_by": caller.name, "key_id": caller.key_id, "recorded_us": now_us}
            connection.execute(insert(objections).values(customer_id=customer_id, objected_us=now_us, **who))
        else:
            ended = {"withdrawn_us": now_us, "withdrawn_by": caller.name}
            connection.execute(update(objections).where(*stands).values(ended))
        _note(connection, caller, "objected" if objects else "objects no longer", customer_id, now_us)
        return True


def objectors(connection: Connection) -> frozenset[str]:
    """Return who objects, as it was recorded here."""
    stands = objections.c.withdrawn_us.is_(None)
    return frozenset(connection.execute(select(objections.c.customer_id).where(stands)).scalars())


def mark_of_objections(connection: Connection) -> str:
    """Return what moves with each objection that is recorded or ends; it names nobody."""
    of = objections.c
    query = select(func.count(), func.count(of.withdrawn_us), func.max(of.objection_id), func.max(of.recorded_us))
    return ".".join(str(value or 0) for value in connection.execute(query).one())


def count_objectors(connection: Connection) -> int:
    """Return how many object, as it was recorded here."""
    stands = objections.c.withdrawn_us.is_(None)
    number: int = connection.execute(select(func.count(objections.c.customer_id.distinct())).where(stands)).scalar_one()
    return number


def _note(connection: Connection, caller: Caller, action: str, customer_id: str, now_us: int) -> None:
    noted(connection, now_us, caller.name, action, key_id=caller.key_id, customer_id=customer_id, rows=1)
