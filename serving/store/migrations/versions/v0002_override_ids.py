"""Overrides carry the id that whoever records them gave, so that each is recorded once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the id; overrides that were recorded before have none."""
    op.add_column("overrides", sa.Column("given_id", sa.Text(), nullable=True))
    op.create_index(op.f("ix_overrides_given_id"), "overrides", ["given_id"], unique=True)
