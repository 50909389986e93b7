"""API keys and sessions in the store: shown once, stored as hashes, revoked at once for everybody."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, insert, select, update

from vouch.features.errors import UsageError
from vouch.features.instants import HOUR_US, instant_text
from vouch.serving.store.audit import COMMAND_LINE, noted
from vouch.serving.store.tables import keys, sessions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from vouch.serving.store.connection import Database

SCOPES = ("read", "write", "admin")
"""Each may what those before it may."""
SESSION_US = 12 * HOUR_US
_FORM = re.compile(r"vouch_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class Key:
    """One key, without its secret."""

    key_id: str
    name: str
    scope: str
    secret_hash: str
    created_us: int
    revoked_us: int | None

    def as_dict(self) -> dict[str, Any]:
        """What a list of keys shows."""
        return {
            "key_id": self.key_id,
            "name": self.name,
            "scope": self.scope,
            "created_at": instant_text(self.created_us),
            "revoked_at": None if self.revoked_us is None else instant_text(self.revoked_us),
        }


def create(database: Database, name: str, scope: str, now_us: int, actor: str = COMMAND_LINE) -> str:
    """Make a key and return it: the only time that it can be seen. Raises UsageError where the name is taken."""
    if scope not in SCOPES:
        raise UsageError(f"A scope is one of {', '.join(SCOPES)}")
    if not name.strip() or not name.isprintable() or len(name) > 100:
        raise UsageError("A name has 1 to 100 printable characters")
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    row = {"key_id": key_id, "name": name, "scope": scope, "secret_hash": hashed(secret), "created_us": now_us}
    with database.writing("keys") as connection:
        if any(key.name == name and key.revoked_us is None for key in everyone(connection).values()):
            raise UsageError(f"There is a key of the name {name!r}. Revoke it, or take another name.")
        connection.execute(insert(keys).values(row))
        noted(connection, now_us, actor, "key_created", key_id=key_id)
    return f"vouch_{key_id}_{secret}"


def revoke(database: Database, name: str, now_us: int, actor: str = COMMAND_LINE) -> Key:
    """Revoke a key by its name or id, with all that was signed in with it; raises UsageError where there is none."""
    with database.writing("keys") as connection:
        named = [key for key in everyone(connection).values() if name in {key.name, key.key_id}]
        live = [key for key in named if key.revoked_us is None]
        if not live:
            raise UsageError(f"There is no key {name!r} to revoke. `vouch keys list` shows them.")
        of_key = keys.c.key_id == live[0].key_id
        connection.execute(update(keys).where(of_key).values(revoked_us=now_us))
        connection.execute(delete(sessions).where(sessions.c.key_id == live[0].key_id))
        noted(connection, now_us, actor, "key_revoked", key_id=live[0].key_id)
    return live[0]


def everyone(connection: Connection) -> dict[str, Key]:
    """Return all keys by their ids, revoked ones too, the oldest first."""
    rows = connection.execute(select(keys).order_by(keys.c.created_us, keys.c.key_id))
    return {row.key_id: Key(**row._mapping) for row in rows}


def hashed(secret: str) -> str:
    """The hash that is stored: secrets are random and long, so that a plain one is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def verified(text: str, known: Mapping[str, Key]) -> Key | None:
    """Return the key that a text is, None where it is none of ours or revoked; takes the same time either way."""
    form = _FORM.fullmatch(text)
    key_id, secret = form.groups() if form else ("", text)
    key = known.get(key_id)
    is_right = hmac.compare_digest(hashed(secret), key.secret_hash if key else hashed("nobody"))
    return key if key and is_right and key.revoked_us is None else None


def sign_in(database: Database, key: Key, now_us: int) -> str:
    """Open a session for a key and return its token; those that have ended are swept."""
    token = secrets.token_urlsafe(32)
    row = {
        "session_hash": hashed(token),
        "key_id": key.key_id,
        "created_us": now_us,
        "expires_us": now_us + SESSION_US,
    }
    with database.writing() as connection:
        connection.execute(delete(sessions).where(sessions.c.expires_us <= now_us))
        connection.execute(insert(sessions).values(row))
        noted(connection, now_us, key.name, "signed_in", key_id=key.key_id)
    return token


def session_key_id(database: Database, token: str, now_us: int) -> str | None:
    """Return the id of the key that a session was opened with, None where it has ended."""
    live = and_(sessions.c.session_hash == hashed(token), sessions.c.expires_us > now_us)
    with database.reading() as connection:
        key_id: str | None = connection.execute(select(sessions.c.key_id).where(live)).scalar()
    return key_id


def sign_out(database: Database, token: str) -> None:
    """End a session."""
    with database.writing() as connection:
        connection.execute(delete(sessions).where(sessions.c.session_hash == hashed(token)))
