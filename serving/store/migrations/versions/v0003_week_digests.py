"""Weeks carry a digest of all that they hold, so that what has changed on disk is not served."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from vouch.serving.store.digests import digest_of_week

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the digest; weeks that were loaded before get that of what they hold now."""
    op.add_column("snapshots", sa.Column("digest", sa.String(64), nullable=True))
    snapshots = sa.table("snapshots", sa.column("snapshot_id"), sa.column("digest"))
    connection = op.get_bind()
    for snapshot_id in list(connection.execute(sa.select(snapshots.c.snapshot_id)).scalars()):
        digest = digest_of_week(connection, snapshot_id)
        connection.execute(sa.update(snapshots).where(snapshots.c.snapshot_id == snapshot_id).values(digest=digest))
