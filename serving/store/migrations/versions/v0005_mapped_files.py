"""Files that services map into memory have a digest, so that only what was written is served."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the table; files of before are written anew."""
    op.create_table(
        "mapped_files",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
    )
