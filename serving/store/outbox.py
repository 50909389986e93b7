"""The outbox: messages that are to be sent, each once, with what became of every try.

A message is written under an id that follows from what it tells and to whom, so that whoever announces the same again
writes nothing. It leaves the outbox as delivered or, after too many tries, as dead; a message names a week, a revision
and an owner, and no customer: who is told of is read when it is sent.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select, update

from vouch.features.contract.tables import DAY_US
from vouch.serving.store.audit import noted
from vouch.serving.store.tables import outbox, paused_destinations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from vouch.serving.store.callers import Caller
    from vouch.serving.store.connection import Database

MOST_TRIES = 12
FIRST_WAIT_US, LONGEST_WAIT_US = 30_000_000, 6 * 3_600 * 1_000_000
"""Pauses between tries double, from half a minute to six hours: about a day in all."""
DIGEST, DIGESTS_A_WEEK = "owner.digest", 5
DELIVERED_DAYS = 90
"""So long what was delivered, or is dead, stays to be looked at, and keeps the same from being announced again."""


@dataclass(frozen=True)
class Message:
    """One message to one destination."""

    destination: str
    kind: str
    as_of_us: int
    revision: int | None = None
    owner: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 0

    @property
    def message_id(self) -> str:
        """What it tells and to whom, as one id; the same whenever it is made."""
        content = [self.destination, self.kind, self.as_of_us, self.revision, self.owner]
        if self.revision is None:  # nothing was published: what was refused or failed tells runs apart
            content.append(self.figures.get("run"))
            content += [self.figures["command"]] if "command" in self.figures else []
        return f"msg_{hashlib.sha256(json.dumps(content).encode()).hexdigest()[:40]}"


def announce(database: Database, messages: Sequence[Message], now_us: int) -> int:
    """Write messages that are not there yet, all or none; return how many are new.

    An owner has at most five digests in seven days at one destination: further ones are not written.
    """
    with database.writing() as connection:
        ids = [message.message_id for message in messages]
        known = set(connection.execute(select(outbox.c.message_id).where(outbox.c.message_id.in_(ids))).scalars())
        rows = [
            {
                **{name: getattr(message, name) for name in ("message_id", "destination", "kind", "as_of_us")},
                **{"revision": message.revision, "owner": message.owner, "figures": json.dumps(dict(message.figures))},
                **{"created_us": now_us, "next_us": now_us, "attempts": 0},
            }
            for message in messages
            if message.message_id not in known and not _is_too_many(connection, message, now_us)
        ]
        if rows:
            connection.execute(insert(outbox), rows)
        old = outbox.c.created_us < now_us - DELIVERED_DAYS * DAY_US
        ended = outbox.c.delivered_us.is_not(None) | outbox.c.dead_us.is_not(None)
        connection.execute(delete(outbox).where(old, ended))
        return len(rows)


def _is_too_many(connection: Connection, message: Message, now_us: int) -> bool:
    if message.kind != DIGEST:
        return False
    same = (outbox.c.kind == DIGEST, outbox.c.owner == message.owner, outbox.c.destination == message.destination)
    lately = select(func.count()).where(*same, outbox.c.created_us > now_us - 7 * DAY_US)
    return int(connection.execute(lately).scalar_one()) >= DIGESTS_A_WEEK


def due(database: Database, now_us: int) -> list[Message]:
    """Return what is to be tried now, the earliest first; nothing of a destination that rests."""
    waits = (outbox.c.delivered_us.is_(None), outbox.c.dead_us.is_(None), outbox.c.next_us <= now_us)
    rests = select(paused_destinations.c.destination)
    query = select(outbox).where(*waits, outbox.c.destination.not_in(rests))
    with database.reading() as connection:
        rows = connection.execute(query.order_by(outbox.c.created_us, outbox.c.message_id)).all()
    return [
        Message(row.destination, row.kind, row.as_of_us, row.revision, row.owner, json.loads(row.figures), row.attempts)
        for row in rows
    ]


def delivered(database: Database, message: Message, now_us: int) -> None:
    """Write down that a message has arrived."""
    _write(database, message, {"delivered_us": now_us, "attempts": message.attempts + 1, "trouble": None})


def failed(database: Database, message: Message, trouble: str, now_us: int, *, is_final: bool = False) -> bool:
    """Write down that a try has failed; return whether the message is dead by that."""
    tries = message.attempts + 1
    is_dead = is_final or tries >= MOST_TRIES
    wait_us = min(FIRST_WAIT_US * 2 ** (tries - 1), LONGEST_WAIT_US)
    ended = {"dead_us": now_us} if is_dead else {"next_us": now_us + wait_us}
    _write(database, message, {"attempts": tries, "trouble": trouble, **ended})
    return is_dead


def drop(database: Database, message: Message) -> None:
    """Take out a message of which nothing is left to say: it is no trouble, and nobody has to mend it."""
    with database.writing() as connection:
        connection.execute(delete(outbox).where(outbox.c.message_id == message.message_id))


def _write(database: Database, message: Message, values: Mapping[str, Any]) -> None:
    with database.writing() as connection:
        connection.execute(update(outbox).where(outbox.c.message_id == message.message_id).values(values))


def revive(database: Database, now_us: int) -> int:
    """Let all dead messages be tried again; return how many those are."""
    with database.writing() as connection:
        again = {"dead_us": None, "attempts": 0, "next_us": now_us}
        return int(connection.execute(update(outbox).where(outbox.c.dead_us.is_not(None)).values(again)).rowcount)


def standing_of_destinations(connection: Connection) -> list[dict[str, Any]]:
    """Return how many messages of each destination wait, arrived and are dead, a trouble, and who lets it rest."""
    counted = select(
        outbox.c.destination,
        func.sum((outbox.c.delivered_us.is_(None) & outbox.c.dead_us.is_(None)).cast(outbox.c.attempts.type)),
        func.sum(outbox.c.delivered_us.is_not(None).cast(outbox.c.attempts.type)),
        func.sum(outbox.c.dead_us.is_not(None).cast(outbox.c.attempts.type)),
        func.max(outbox.c.trouble),
    ).group_by(outbox.c.destination)
    names = ("destination", "waiting", "delivered", "dead", "trouble")
    rows = {row[0]: dict(zip(names, row, strict=True)) for row in connection.execute(counted)}
    paused = {row.destination: row.paused_by for row in connection.execute(select(paused_destinations))}
    for name in paused.keys() - rows.keys():
        rows[name] = {"destination": name, "waiting": 0, "delivered": 0, "dead": 0, "trouble": None}
    return [{**row, "paused_by": paused.get(name)} for name, row in sorted(rows.items())]


def set_paused(database: Database, destination: str, paused: bool, caller: Caller, now_us: int) -> bool:
    """Let a destination rest, or send to it again, and tell the audit log; return whether that is new."""
    with database.writing() as connection:
        at = paused_destinations.c.destination == destination
        is_paused = connection.execute(select(paused_destinations.c.destination).where(at)).first() is not None
        if is_paused == paused:
            return False
        if paused:
            row = {"destination": destination, "paused_us": now_us, "paused_by": caller.name}
            connection.execute(insert(paused_destinations).values(row))
        else:
            connection.execute(delete(paused_destinations).where(at))
        action = f"{'paused' if paused else 'resumed'} a receiver"
        noted(connection, now_us, caller.name, action, key_id=caller.key_id, rows=0)
        return True
