"""Asks carry who asked, how and why, and every version of them stays; actions and objections are recorded too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
_IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_OF_AN_ASK = ("ask_id", "customer_id", "kind", "asked_us", "outcome", "outcome_us", "propensity", "is_randomised")


def upgrade() -> None:
    """Add columns and tables; asks of before get the versions that they have had."""
    for name, kind in (("note", sa.Text()), ("channel", sa.Text()), ("asked_by", sa.Text())):
        op.add_column("asks", sa.Column(name, kind, nullable=True))
    for name in ("corrected_us", "withdrawn_us"):
        op.add_column("asks", sa.Column(name, sa.BigInteger(), nullable=True))
    op.create_table(
        "ask_versions",
        sa.Column("version_id", _IDENTITY, primary_key=True),
        sa.Column("ask_id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.Text()),
        sa.Column("actor", sa.Text()),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("kind", sa.Text()),
        sa.Column("asked_us", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text()),
        sa.Column("outcome_us", sa.BigInteger()),
        sa.Column("propensity", sa.Double()),
        sa.Column("is_randomised", sa.Boolean()),
        sa.Column("note", sa.Text()),
        sa.Column("channel", sa.Text()),
        sa.Column("asked_by", sa.Text()),
    )
    op.create_index(op.f("ix_ask_versions_ask_id"), "ask_versions", ["ask_id"])
    op.create_index(op.f("ix_ask_versions_customer_id"), "ask_versions", ["customer_id"])
    _of_before()
    _table("actions", ("given_id", "kind", "note", "done_by"), "done_us")
    op.create_index(op.f("ix_actions_given_id"), "actions", ["given_id"], unique=True)
    _table("objections", ("recorded_by",), "objected_us")


def _table(name: str, texts: tuple[str, ...], when: str) -> None:
    op.create_table(
        name,
        sa.Column(f"{name.removesuffix('s')}_id", _IDENTITY, primary_key=True),
        sa.Column("customer_id", sa.Text(), nullable=False),
        *(sa.Column(text, sa.Text(), nullable=text in {"note", "done_by"}) for text in texts),
        sa.Column(when, sa.BigInteger(), nullable=False),
        sa.Column("recorded_us", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.Text()),
        sa.Column("withdrawn_us", sa.BigInteger()),
        sa.Column("withdrawn_by", sa.Text()),
    )
    op.create_index(op.f(f"ix_{name}_customer_id"), name, ["customer_id"])


def _of_before() -> None:
    """Write down, of each ask that is there, that it was made and what came of it."""
    names = (*_OF_AN_ASK, "recorded_us", "outcome_recorded_us", "key_id")
    asks = sa.table("asks", *map(sa.column, names))
    versions = sa.table("ask_versions", *map(sa.column, (*_OF_AN_ASK, "at_us", "key_id", "action")))
    connection = op.get_bind()
    for row in connection.execute(sa.select(asks).order_by(asks.c.recorded_us, asks.c.ask_id)).mappings().all():
        fields = {name: row[name] for name in (*_OF_AN_ASK, "key_id")}
        made = {**fields, "outcome": None, "outcome_us": None, "at_us": row["recorded_us"], "action": "asked"}
        connection.execute(sa.insert(versions).values(made))
        if row["outcome_recorded_us"] is not None:
            came = {**fields, "at_us": row["outcome_recorded_us"], "action": "answered"}
            connection.execute(sa.insert(versions).values(came))
