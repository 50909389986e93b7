"""Overrides carry the key that recorded them, and when and by whom they were withdrawn."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns; those that were recorded before are of no key, so that `admin` alone withdraws them."""
    for name, kind in (("key_id", sa.Text()), ("withdrawn_us", sa.BigInteger()), ("withdrawn_by", sa.Text())):
        op.add_column("overrides", sa.Column(name, kind, nullable=True))
