"""Reference requests, and who was asked for each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
_IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add both tables."""
    op.create_table(
        "reference_requests",
        sa.Column("request_id", sa.Text(), primary_key=True),
        sa.Column("deal", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("industry", sa.Text()),
        sa.Column("company_size", sa.BigInteger()),
        sa.Column("region", sa.Text()),
        sa.Column("language", sa.Text()),
        sa.Column("use_case", sa.Text()),
        sa.Column("persona", sa.Text()),
        sa.Column("needed_by_us", sa.BigInteger()),
        sa.Column("requested_by", sa.Text()),
        sa.Column("requested_us", sa.BigInteger(), nullable=False),
        sa.Column("recorded_us", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.Text()),
        sa.Column("done_us", sa.BigInteger()),
        sa.Column("withdrawn_us", sa.BigInteger()),
        sa.Column("deal_outcome", sa.String(16)),
        sa.Column("deal_us", sa.BigInteger()),
    )
    op.create_table(
        "reference_matches",
        sa.Column("match_id", _IDENTITY, primary_key=True),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("ask_id", sa.Text(), nullable=False),
        sa.Column("matched_us", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.Text()),
    )
    for name in ("request_id", "customer_id"):
        op.create_index(op.f(f"ix_reference_matches_{name}"), "reference_matches", [name])
    op.create_index(op.f("ix_reference_matches_ask_id"), "reference_matches", ["ask_id"], unique=True)
