"""Messages that wait to be sent, or were; and destinations that rest."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add both tables."""
    op.create_table(
        "outbox",
        sa.Column("message_id", sa.String(64), primary_key=True),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("as_of_us", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer()),
        sa.Column("owner", sa.Text()),
        sa.Column("figures", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("next_us", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("delivered_us", sa.BigInteger()),
        sa.Column("dead_us", sa.BigInteger()),
        sa.Column("trouble", sa.Text()),
    )
    op.create_index(op.f("ix_outbox_next_us"), "outbox", ["next_us"])
    op.create_table(
        "paused_destinations",
        sa.Column("destination", sa.Text(), primary_key=True),
        sa.Column("paused_us", sa.BigInteger(), nullable=False),
        sa.Column("paused_by", sa.Text(), nullable=False),
    )
