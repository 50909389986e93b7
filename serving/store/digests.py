"""Integrity digests of weeks in the store: one of each batch, and one of all that a week holds.

So a week is found to be what was published. A database tells of pages that it cannot read, and not of a value that has
changed on disk.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from sqlalchemy import column, delete, insert, select, table, update

from vouch.serving.store.tables import batches, mapped_files, snapshots

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Connection

    from vouch.serving.store.connection import Database

_WEEK = table("snapshots", *map(column, ("snapshot_id", "as_of_us", "revision", "manifest")))
"""What the digest of a week covers, whatever else later revisions of the schema add."""


def digest_of_week(connection: Connection, snapshot_id: int) -> str:
    """Digest of what a week says of itself, and of the digests of its batches."""
    return _digests(connection, [snapshot_id])[snapshot_id]


def seal(connection: Connection, snapshot_id: int) -> None:
    """Note the digest of a week that has been written, or whose rows were changed on purpose."""
    digest = digest_of_week(connection, snapshot_id)
    connection.execute(update(snapshots).where(snapshots.c.snapshot_id == snapshot_id).values(digest=digest))


def unsound(connection: Connection, snapshot_ids: Collection[int]) -> set[int]:
    """Return the weeks that do not hold what they were sealed with; their batches are not opened."""
    stored = select(snapshots.c.snapshot_id, snapshots.c.digest).where(snapshots.c.snapshot_id.in_(snapshot_ids))
    computed = _digests(connection, snapshot_ids)
    return {row.snapshot_id for row in connection.execute(stored) if row.digest != computed[row.snapshot_id]}


def is_whole(digest: Any, body: Any) -> bool:
    """Whether the bytes of a batch are those that were written."""
    return isinstance(body, bytes) and hashlib.sha256(body).hexdigest() == digest


def digests_of_files(connection: Connection) -> dict[str, str]:
    """Return the digests of files that were written to be mapped, by their names."""
    return {row.name: row.digest for row in connection.execute(select(mapped_files))}


def keep_digests(database: Database, digests: Mapping[str, str]) -> None:
    """Keep the digests of the files that are mapped now, and no others."""
    with database.reading() as connection:
        if digests_of_files(connection) == digests:
            return
    with database.writing() as connection:
        connection.execute(delete(mapped_files))
        connection.execute(insert(mapped_files), [{"name": name, "digest": of} for name, of in digests.items()])


def drop_damaged(database: Database) -> int:
    """Delete weeks that are not what was published, so that they are brought again from the disk; return how many."""
    with database.reading() as connection:
        ids = set(connection.execute(select(snapshots.c.snapshot_id).where(snapshots.c.is_whole)).scalars())
        bodies = select(batches.c.snapshot_id, batches.c.digest, batches.c.body).execution_options(yield_per=1)
        broken = {row.snapshot_id for row in connection.execute(bodies) if not is_whole(row.digest, row.body)}
        damaged = (broken & ids) | unsound(connection, ids)
    if damaged:
        with database.writing("snapshots") as connection:
            connection.execute(delete(snapshots).where(snapshots.c.snapshot_id.in_(damaged)))
    return len(damaged)


def _digests(connection: Connection, snapshot_ids: Collection[int]) -> dict[int, str]:
    """The digests of weeks as they are now."""
    weeks = select(_WEEK).where(_WEEK.c.snapshot_id.in_(snapshot_ids))
    parts = select(batches.c.snapshot_id, batches.c.name, batches.c.place, batches.c.rows, batches.c.digest)
    held: dict[int, list[str]] = {row.snapshot_id: [repr(tuple(row))] for row in connection.execute(weeks)}
    for part in connection.execute(parts.where(batches.c.snapshot_id.in_(snapshot_ids))):
        held[part.snapshot_id].append(repr(tuple(part)))
    return {number: hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest() for number, lines in held.items()}
