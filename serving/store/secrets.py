"""Secrets of one store, drawn once and known to it alone."""

from __future__ import annotations

import secrets as random
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from vouch.serving.store.tables import secrets

if TYPE_CHECKING:
    from vouch.serving.store.connection import Database


def secret(database: Database, name: str) -> str:
    """Return a secret of the store by its name, drawn where there is none yet."""
    named = select(secrets.c.value).where(secrets.c.name == name)
    with database.reading() as connection:
        value: str | None = connection.execute(named).scalar()
    if value is not None:
        return value
    with database.alone("secrets"), database.writing() as connection:  # two who draw wait for one another
        value = connection.execute(named).scalar()
        if value is None:
            value = random.token_hex(16)
            connection.execute(insert(secrets).values(name=name, value=value))
    return value
