"""Asks in the store, with their outcomes: recorded idempotently, within the caps, and fed to the weekly batch.

Whether somebody may be asked is decided in the transaction that writes it, over the asks of the week's data and those
recorded here as one. All who record wait for one another there, on every host.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, insert, select, union_all, update

from vouch.features.contract.tables import DAY_US
from vouch.serving.asking.rules.caps import QUOTA, Ask, resting, united
from vouch.serving.asking.rules.quotas import Groups
from vouch.serving.store.audit import noted
from vouch.serving.store.overrides import standing as overrides_of
from vouch.serving.store.tables import asks, known_asks, marks, snapshots

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from vouch.serving.asking.rules.policy import Policy
    from vouch.serving.store.callers import Caller
    from vouch.serving.store.connection import Database

UNKNOWN, CONFLICT = "unknown_ask", "conflict"
_OF_AN_ASK = ("ask_id", "customer_id", "kind", "asked_us", "outcome", "outcome_us")


@dataclass(frozen=True)
class Wanted:
    """An ask that somebody wants to make, and what the week says of the customer."""

    ask_id: str
    customer_id: str
    kind: str
    groups: Mapping[str, str | None]
    """Segment and region."""
    standing: str | None
    """Why the customer is not asked whatever the asks are, or None."""
    propensity: float | None
    is_randomised: bool


@dataclass(frozen=True)
class Told:
    """What became of a wish: the ask as it stands, or why there is none."""

    ask: Ask | None
    is_new: bool = False
    why: str | None = None


def store_ask(
    database: Database,
    wanted: Wanted,
    policy: Policy,
    sizes: Mapping[str, Mapping[str, int]],
    caller: Caller,
    now_us: int,
) -> Told:
    """Record an ask where the policy lets it be made; the same ask again is told as it stands."""
    with database.writing("asks") as connection:
        standing = _by_id(connection, wanted.ask_id)
        if standing is not None:
            is_same = (standing.customer_id, standing.kind) == (wanted.customer_id, wanted.kind)
            return Told(standing) if is_same else Told(None, why=CONFLICT)
        why = wanted.standing or _by_hand(connection, wanted, policy, now_us)
        why = why or resting(of_customer(connection, wanted.customer_id), policy.caps, now_us)
        if why is None and _is_over_quota(connection, wanted, policy, sizes, now_us):
            why = QUOTA
        if why is not None:
            return Told(None, why=why)
        made = Ask(wanted.ask_id, wanted.customer_id, wanted.kind, now_us, None, None)
        row = {name: getattr(made, name) for name in _OF_AN_ASK}
        chance = {"propensity": wanted.propensity, "is_randomised": wanted.is_randomised}
        _write(connection, {**row, **wanted.groups, **chance, "recorded_us": now_us, "key_id": caller.key_id})
        _note(connection, caller, "asked", wanted.customer_id, now_us)
        return Told(made, is_new=True)


def _by_hand(connection: Connection, wanted: Wanted, policy: Policy, now_us: int) -> str | None:
    """Why a health score that somebody has just set keeps a customer out; a kind that is drawn takes everybody."""
    if policy.is_drawn(wanted.kind):
        return None
    found = overrides_of(connection, now_us, wanted.customer_id).get(wanted.customer_id)
    return "low_health" if found is not None and found.score < policy.eligibility.minimum_health else None


def set_outcome(database: Database, ask_id: str, outcome: str, caller: Caller, now_us: int) -> Told:
    """Record what came of an ask; the same outcome again is told as it stands, another one is refused."""
    with database.writing("asks") as connection:
        standing = _by_id(connection, ask_id)
        if standing is None:
            return Told(None, why=UNKNOWN)
        if standing.outcome is not None:
            return Told(standing) if standing.outcome == outcome else Told(None, why=CONFLICT)
        came = {"outcome": outcome, "outcome_us": now_us, "outcome_recorded_us": now_us}
        if connection.execute(select(asks.c.ask_id).where(asks.c.ask_id == ask_id)).first() is None:
            row = {name: getattr(standing, name) for name in _OF_AN_ASK}
            _write(connection, {**row, **came, "recorded_us": now_us, "key_id": caller.key_id})
        else:
            version = _version(connection)
            connection.execute(update(asks).where(asks.c.ask_id == ask_id).values(**came, version=version))
        _note(connection, caller, "outcome", standing.customer_id, now_us)
        return Told(Ask(ask_id, standing.customer_id, standing.kind, standing.asked_us, outcome, now_us), is_new=True)


def _write(connection: Connection, row: Mapping[str, Any]) -> None:
    connection.execute(insert(asks).values(**row, version=_version(connection)))


def _version(connection: Connection) -> Any:
    return connection.execute(select(marks.c.version).where(marks.c.name == "asks")).scalar_one()


def _note(connection: Connection, caller: Caller, action: str, customer_id: str, now_us: int) -> None:
    noted(connection, now_us, caller.name, action, key_id=caller.key_id, customer_id=customer_id, rows=1)


def _served() -> Any:
    """The week that is served: asks of its data count."""
    newest = select(snapshots.c.snapshot_id).where(snapshots.c.is_whole, snapshots.c.has_customers)
    return newest.order_by(snapshots.c.as_of_us.desc(), snapshots.c.revision.desc()).limit(1).scalar_subquery()


def _by_id(connection: Connection, ask_id: str) -> Ask | None:
    known = select(*_columns(known_asks)).where(known_asks.c.snapshot_id == _served(), known_asks.c.ask_id == ask_id)
    here = select(*_columns(asks)).where(asks.c.ask_id == ask_id)
    return united(_asks(connection, known), _asks(connection, here)).get(ask_id)


def of_customer(connection: Connection, customer_id: str) -> list[Ask]:
    """Return all asks of one customer, whoever knows of them."""
    of_week = and_(known_asks.c.snapshot_id == _served(), known_asks.c.customer_id == customer_id)
    known = select(*_columns(known_asks)).where(of_week)
    here = select(*_columns(asks)).where(asks.c.customer_id == customer_id)
    return list(united(_asks(connection, known), _asks(connection, here)).values())


def _columns(table: Any) -> list[Any]:
    return [table.c[name] for name in _OF_AN_ASK]


def _asks(connection: Connection, query: Any) -> list[Ask]:
    return [Ask(**row._mapping) for row in connection.execute(query)]


def _is_over_quota(
    connection: Connection, wanted: Wanted, policy: Policy, sizes: Mapping[str, Mapping[str, int]], now_us: int
) -> bool:
    """Whether a group of the customer was asked enough in the days of the quota."""
    if not policy.quotas.columns:
        return False
    since_us = now_us - policy.quotas.days * DAY_US
    here = select(asks.c.ask_id, asks.c.segment, asks.c.region).where(asks.c.asked_us > since_us)
    of_week = and_(known_asks.c.snapshot_id == _served(), known_asks.c.asked_us > since_us)
    is_new = known_asks.c.ask_id.not_in(select(asks.c.ask_id))
    known = select(known_asks.c.ask_id, known_asks.c.segment, known_asks.c.region).where(of_week, is_new)
    both = union_all(here, known).subquery()
    counts: dict[str, dict[str, int]] = {}
    for column in policy.quotas.columns:
        by_group = select(both.c[column], func.count()).group_by(both.c[column])
        counts[column] = {row[0]: row[1] for row in connection.execute(by_group)}
    groups = Groups(sizes, counts, connection.execute(select(func.count()).select_from(both)).scalar_one())
    return any(groups.is_over(column, wanted.groups.get(column), policy) for column in policy.quotas.columns)


def changed_since(connection: Connection, version: int) -> list[Ask]:
    """Return the asks that were recorded, or whose outcome was, after a version of the mark."""
    return _asks(connection, select(*_columns(asks)).where(asks.c.version > version))
