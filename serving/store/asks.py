"""Asks in the store, with their outcomes: recorded idempotently, within the caps, and fed to the weekly batch.

What was recorded wrongly is corrected or withdrawn; every version stays, with who made it, and is what the batch reads.
Whether somebody may be asked is decided in the transaction that writes it, over the asks of the week's data and those
recorded here as one. All who record wait for one another there, on every host.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, insert, select, union_all, update

from vouch.features.contract.tables import DAY_US
from vouch.serving.asking.rules.caps import QUOTA, Ask, newly_broken, resting, standing_asks, united
from vouch.serving.asking.rules.quotas import Groups
from vouch.serving.store.audit import noted
from vouch.serving.store.overrides import standing as overrides_of
from vouch.serving.store.tables import ask_versions, asks, known_asks, marks, snapshots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from vouch.serving.asking.rules.policy import Policy
    from vouch.serving.store.callers import Caller
    from vouch.serving.store.connection import Database

UNKNOWN, CONFLICT, WITHDRAWN = "unknown_ask", "conflict", "withdrawn"
IDS_AT_ONCE = 500
"""As many ids stand in one query."""
_OF_AN_ASK = ("ask_id", "customer_id", "kind", "asked_us", "outcome", "outcome_us")
_BY_HAND = ("note", "channel", "asked_by", "corrected_us", "withdrawn_us")
_OF_A_VERSION = (*_OF_AN_ASK, "note", "channel", "asked_by")


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
    asked_us: int | None = None
    """When it was made; None for now."""
    note: str | None = None
    channel: str | None = None
    asked_by: str | None = None


@dataclass(frozen=True)
class AskResult:
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
) -> AskResult:
    """Record an ask where the policy lets it be made; the same ask again is told as it stands."""
    with database.writing("asks") as connection:
        return record_within(connection, wanted, policy, sizes, caller, now_us)


def record_within(
    connection: Connection,
    wanted: Wanted,
    policy: Policy,
    sizes: Mapping[str, Mapping[str, int]],
    caller: Caller,
    now_us: int,
) -> AskResult:
    """Record an ask as `store_ask` does, in a transaction that writes more than the ask."""
    known = _by_id(connection, wanted.ask_id)
    if known is not None:
        is_same = (known.customer_id, known.kind) == (wanted.customer_id, wanted.kind)
        return AskResult(known) if is_same and known.withdrawn_us is None else AskResult(None, why=CONFLICT)
    by_hand = (wanted.note, wanted.channel, wanted.asked_by)
    asked_us = now_us if wanted.asked_us is None else wanted.asked_us
    made = Ask(wanted.ask_id, wanted.customer_id, wanted.kind, asked_us, None, None, *by_hand)
    why = wanted.standing or _by_hand(connection, wanted, policy, now_us)
    why = why or _breaks(of_customer(connection, wanted.customer_id), made, policy, now_us)
    if why is None and _is_over_quota(connection, wanted, policy, sizes, now_us):
        why = QUOTA
    if why is not None:
        return AskResult(None, why=why)
    chance = {"propensity": wanted.propensity, "is_randomised": wanted.is_randomised}
    _write(connection, {**_row(made), **wanted.groups, **chance, "recorded_us": now_us, "key_id": caller.key_id})
    _keep_version(connection, made, "asked", caller, now_us)
    return AskResult(made, is_new=True)


def _breaks(held: list[Ask], made: Ask, policy: Policy, now_us: int) -> str | None:
    """Which cap an ask breaks: where it was made earlier, those of the asks after it count too."""
    why = resting(held, policy.caps, now_us) if made.asked_us >= now_us else None
    return why or newly_broken(held, [*held, made], policy.caps)


def _by_hand(connection: Connection, wanted: Wanted, policy: Policy, now_us: int) -> str | None:
    """Why a health score that somebody has just set keeps a customer out; a kind that is drawn takes everybody."""
    if policy.is_drawn(wanted.kind):
        return None
    override = overrides_of(connection, now_us, wanted.customer_id).get(wanted.customer_id)
    return "low_health" if override is not None and override.score < policy.eligibility.minimum_health else None


def set_outcome(
    database: Database,
    ask_id: str,
    outcome: str,
    caller: Caller,
    now_us: int,
    at_us: int | None = None,
    of: str | None = None,
) -> AskResult:
    """Record what came of an ask; the same outcome again is told as it stands, another one is refused.

    `at_us` is when it came, by default now; `of` is the customer where the ask must be of that one.
    """
    with database.writing("asks") as connection:
        known = _by_id(connection, ask_id)
        if known is None or known.withdrawn_us is not None or of not in (None, known.customer_id):
            return AskResult(None, why=WITHDRAWN if known is not None and known.withdrawn_us is not None else UNKNOWN)
        if known.outcome is not None:
            return AskResult(known) if known.outcome == outcome else AskResult(None, why=CONFLICT)
        came_us = now_us if at_us is None else min(max(at_us, known.asked_us), now_us)
        answered = replace(known, outcome=outcome, outcome_us=came_us)
        _change(connection, answered, caller, now_us, {"outcome_recorded_us": now_us})
        _keep_version(connection, answered, "answered", caller, now_us)
        return AskResult(answered, is_new=True)


def correct_ask(
    database: Database,
    ask_id: str,
    changes: Mapping[str, Any],
    policy: Policy,
    caller: Caller,
    now_us: int,
    reason: str | None = None,
) -> AskResult:
    """Put right what was recorded of an ask (outcome, asked_us, note, channel, asked_by); every version stays.

    What an answer was is a fact, and always taken. A time, and an answer that was none, is refused where it would break
    a cap that is kept now.
    """
    with database.writing("asks") as connection:
        known = _by_id(connection, ask_id)
        if known is None or known.withdrawn_us is not None:
            return AskResult(None, why=UNKNOWN if known is None else WITHDRAWN)
        right = _answered(replace(known, **changes), known, now_us)
        if right == known:
            return AskResult(known)
        right = replace(right, corrected_us=now_us)
        if right.asked_us != known.asked_us or (right.outcome is None and known.outcome is not None):
            held = of_customer(connection, known.customer_id)
            why = newly_broken(held, [right if ask.ask_id == ask_id else ask for ask in held], policy.caps)
            if why is not None:
                return AskResult(None, why=why)
        _change(connection, right, caller, now_us)
        _keep_version(connection, right, "corrected", caller, now_us, reason)
        return AskResult(right, is_new=True)


def _answered(right: Ask, known: Ask, now_us: int) -> Ask:
    """The ask with the time of its answer: as it was, now where there was none, and none where there is no answer."""
    if right.outcome is None:
        return replace(right, outcome_us=None)
    came_us = known.outcome_us if known.outcome_us is not None else now_us if known.outcome is None else known.asked_us
    return replace(right, outcome_us=max(came_us, right.asked_us))


def withdraw_ask(database: Database, ask_id: str, caller: Caller, now_us: int, reason: str | None = None) -> AskResult:
    """Take back an ask that was never made; it counts nowhere any more, and its versions stay.

    One that was answered was made: its answer has to be put right first, within the caps, or a refusal would be gone
    and the customer be asked again.
    """
    with database.writing("asks") as connection:
        known = _by_id(connection, ask_id)
        if known is None:
            return AskResult(None, why=UNKNOWN)
        if known.withdrawn_us is not None:
            return AskResult(known)
        if known.outcome is not None:
            return AskResult(None, why=CONFLICT)
        gone = replace(known, withdrawn_us=now_us)
        _change(connection, gone, caller, now_us)
        _keep_version(connection, gone, "withdrawn", caller, now_us, reason)
        return AskResult(gone, is_new=True)


def _row(ask: Ask) -> dict[str, Any]:
    return {name: getattr(ask, name) for name in (*_OF_AN_ASK, *_BY_HAND)}


def _change(
    connection: Connection, ask: Ask, caller: Caller, now_us: int, more: Mapping[str, Any] | None = None
) -> None:
    """Write an ask anew; one that only the data know is written down here first."""
    if connection.execute(select(asks.c.ask_id).where(asks.c.ask_id == ask.ask_id)).first() is None:
        of_week = and_(known_asks.c.snapshot_id == _served(), known_asks.c.ask_id == ask.ask_id)
        groups = connection.execute(select(known_asks.c.segment, known_asks.c.region).where(of_week)).one()
        who = {"recorded_us": now_us, "key_id": caller.key_id}
        _write(connection, {**_row(ask), **groups._mapping, **who, **(more or {})})
        return
    values = {**_row(ask), **(more or {}), "version": _version(connection)}
    connection.execute(update(asks).where(asks.c.ask_id == ask.ask_id).values(values))


def _keep_version(
    connection: Connection, ask: Ask, action: str, caller: Caller, now_us: int, reason: str | None = None
) -> None:
    """Keep how an ask stands from now on, and tell the audit log."""
    fields = {name: getattr(ask, name) for name in _OF_A_VERSION}
    chance = connection.execute(
        select(asks.c.propensity, asks.c.is_randomised).where(asks.c.ask_id == ask.ask_id)
    ).one()
    who = {"at_us": now_us, "key_id": caller.key_id, "actor": caller.name, "action": action, "reason": reason}
    connection.execute(insert(ask_versions).values(**fields, **chance._mapping, **who))
    _note(connection, caller, _AUDITED[action], ask.customer_id, now_us)


_AUDITED = {"asked": "asked", "answered": "outcome", "corrected": "corrected an ask", "withdrawn": "withdrew an ask"}
"""What the audit log calls what was done to an ask."""


def versions_of(connection: Connection, ask_id: str) -> list[dict[str, Any]]:
    """Return every version of an ask, the first one first."""
    query = select(ask_versions).where(ask_versions.c.ask_id == ask_id).order_by(ask_versions.c.version_id)
    return [dict(row._mapping) for row in connection.execute(query)]


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
    return asks_by_id(connection, [ask_id]).get(ask_id)


def asks_by_id(connection: Connection, ask_ids: Sequence[str]) -> dict[str, Ask]:
    """Return asks by their ids, whoever knows of them, those that were withdrawn among them."""
    by_id: dict[str, Ask] = {}
    for start in range(0, len(ask_ids), IDS_AT_ONCE):
        ids = ask_ids[start : start + IDS_AT_ONCE]
        of_week = and_(known_asks.c.snapshot_id == _served(), known_asks.c.ask_id.in_(ids))
        here = select(*_columns(asks)).where(asks.c.ask_id.in_(ids))
        known = select(*_columns(known_asks)).where(of_week)
        by_id |= united(_asks(connection, known), _asks(connection, here))
    return by_id


def of_customer(connection: Connection, customer_id: str) -> list[Ask]:
    """Return all asks of one customer that stand, whoever knows of them."""
    of_week = and_(known_asks.c.snapshot_id == _served(), known_asks.c.customer_id == customer_id)
    known = select(*_columns(known_asks)).where(of_week)
    here = select(*_columns(asks)).where(asks.c.customer_id == customer_id)
    return standing_asks(united(_asks(connection, known), _asks(connection, here)).values())


def _columns(table: Any) -> list[Any]:
    return [table.c[name] for name in (*_OF_AN_ASK, *_BY_HAND) if name in table.c]


def _asks(connection: Connection, query: Any) -> list[Ask]:
    return [Ask(**row._mapping) for row in connection.execute(query)]


def _is_over_quota(
    connection: Connection, wanted: Wanted, policy: Policy, sizes: Mapping[str, Mapping[str, int]], now_us: int
) -> bool:
    """Whether a group of the customer was asked enough in the days of the quota."""
    if not policy.quotas.columns:
        return False
    since_us = now_us - policy.quotas.days * DAY_US
    counts_here = and_(asks.c.asked_us > since_us, asks.c.withdrawn_us.is_(None))
    here = select(asks.c.ask_id, asks.c.segment, asks.c.region).where(counts_here)
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
    """Return the asks that were written after a version of the mark, those that were withdrawn among them."""
    return _asks(connection, select(*_columns(asks)).where(asks.c.version > version))
