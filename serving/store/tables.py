"""The tables of the serving store, and which of them hold customers. A change needs a revision under migrations/."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

HEAD = "0009"
"""The revision of the schema that this code is written for."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
IDENTITY = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself for INTEGER alone

snapshots = Table(
    "snapshots",
    metadata,
    Column("snapshot_id", IDENTITY, primary_key=True),
    Column("as_of_us", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("version", Integer, nullable=False),  # moves when rows are erased
    Column("is_whole", Boolean, nullable=False),  # readers see whole ones alone
    Column("has_customers", Boolean, nullable=False),  # old weeks keep their metrics alone
    Column("manifest", Text, nullable=False),
    Column("digest", String(64)),  # of all that the week holds, once it is whole
    Column("loaded_us", BigInteger, nullable=False),
    Index("ix_snapshots_as_of_us", "as_of_us", "revision"),
)
batches = Table(
    "batches",
    metadata,
    Column("snapshot_id", ForeignKey("snapshots.snapshot_id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(32), primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("rows", Integer, nullable=False),
    Column("first_customer", Text),
    Column("last_customer", Text),
    Column("digest", String(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
)
known_asks = Table(
    "known_asks",
    metadata,
    Column("snapshot_id", ForeignKey("snapshots.snapshot_id", ondelete="CASCADE"), primary_key=True),
    Column("ask_id", Text, primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("segment", Text),
    Column("region", Text),
    Column("kind", Text),
    Column("asked_us", BigInteger, nullable=False),
    Column("outcome", Text),
    Column("outcome_us", BigInteger),
    Index("ix_known_asks_customer_id", "snapshot_id", "customer_id"),
    Index("ix_known_asks_asked_us", "snapshot_id", "asked_us"),
)
mapped_files = Table(
    "mapped_files",
    metadata,
    Column("name", String(64), primary_key=True),  # of a file that services map into memory; it says what it holds
    Column("digest", String(64), nullable=False),
)
asks = Table(
    "asks",
    metadata,
    Column("ask_id", Text, primary_key=True),
    Column("customer_id", Text, nullable=False, index=True),
    Column("segment", Text),
    Column("region", Text),
    Column("kind", Text, nullable=False),
    Column("asked_us", BigInteger, nullable=False, index=True),
    Column("recorded_us", BigInteger, nullable=False),
    Column("outcome", Text),
    Column("outcome_us", BigInteger),
    Column("outcome_recorded_us", BigInteger),
    Column("propensity", Double),
    Column("is_randomised", Boolean),
    Column("key_id", Text),
    Column("version", BigInteger, nullable=False, index=True, default=0),  # the mark when it was written last
    Column("note", Text),
    Column("channel", Text),
    Column("asked_by", Text),
    Column("corrected_us", BigInteger),  # set: what stands here is right, whatever the data of a week say
    Column("withdrawn_us", BigInteger),
)
ask_versions = Table(
    "ask_versions",
    metadata,
    Column("version_id", IDENTITY, primary_key=True),
    Column("ask_id", Text, nullable=False, index=True),
    Column("customer_id", Text, nullable=False, index=True),
    Column("at_us", BigInteger, nullable=False),
    Column("key_id", Text),
    Column("actor", Text),
    Column("action", String(16), nullable=False),  # asked, answered, corrected, withdrawn
    Column("reason", Text),
    Column("kind", Text),
    Column("asked_us", BigInteger, nullable=False),
    Column("outcome", Text),
    Column("outcome_us", BigInteger),
    Column("propensity", Double),
    Column("is_randomised", Boolean),
    Column("note", Text),
    Column("channel", Text),
    Column("asked_by", Text),
)
actions = Table(
    "actions",
    metadata,
    Column("action_id", IDENTITY, primary_key=True),
    Column("customer_id", Text, nullable=False, index=True),
    Column("given_id", Text, nullable=False, index=True, unique=True),
    Column("kind", Text, nullable=False),  # called, thanked, put_right
    Column("note", Text),
    Column("done_by", Text),
    Column("done_us", BigInteger, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
    Column("key_id", Text),
    Column("withdrawn_us", BigInteger),
    Column("withdrawn_by", Text),
)
reference_requests = Table(
    "reference_requests",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("deal", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("industry", Text),
    Column("company_size", BigInteger),
    Column("region", Text),
    Column("language", Text),
    Column("use_case", Text),
    Column("persona", Text),
    Column("needed_by_us", BigInteger),
    Column("requested_by", Text),
    Column("requested_us", BigInteger, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
    Column("key_id", Text),
    Column("done_us", BigInteger),
    Column("withdrawn_us", BigInteger),
    Column("deal_outcome", String(16)),
    Column("deal_us", BigInteger),
)
reference_matches = Table(
    "reference_matches",
    metadata,
    Column("match_id", IDENTITY, primary_key=True),
    Column("request_id", Text, nullable=False, index=True),
    Column("customer_id", Text, nullable=False, index=True),
    Column("ask_id", Text, nullable=False, index=True, unique=True),
    Column("matched_us", BigInteger, nullable=False),
    Column("key_id", Text),
)
objections = Table(
    "objections",
    metadata,
    Column("objection_id", IDENTITY, primary_key=True),
    Column("customer_id", Text, nullable=False, index=True),
    Column("recorded_by", Text, nullable=False),
    Column("objected_us", BigInteger, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
    Column("key_id", Text),
    Column("withdrawn_us", BigInteger),
    Column("withdrawn_by", Text),
)
customer_details = Table(
    "customer_details",
    metadata,
    Column("detail_id", IDENTITY, primary_key=True),
    Column("customer_id", Text, nullable=False, index=True),
    Column("name", String(32), nullable=False),  # a column of customers: a consent, or who looks after them
    Column("value", Text),  # null where the CRM has emptied it
    Column("changed_us", BigInteger, nullable=False),  # there
    Column("recorded_us", BigInteger, nullable=False, index=True),
    Column("recorded_by", Text, nullable=False),
)
overrides = Table(
    "overrides",
    metadata,
    Column("override_id", IDENTITY, primary_key=True),
    Column("customer_id", Text, nullable=False, index=True),
    Column("score", Double, nullable=False),
    Column("reason", Text, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("set_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
    Column("given_id", Text, index=True, unique=True),
    Column("key_id", Text),  # whose it is to withdraw
    Column("withdrawn_us", BigInteger),
    Column("withdrawn_by", Text),
)
keys = Table(
    "keys",
    metadata,
    Column("key_id", String(32), primary_key=True),
    Column("name", Text, nullable=False),
    Column("scope", String(16), nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("revoked_us", BigInteger),
)
sessions = Table(
    "sessions",
    metadata,
    Column("session_hash", String(64), primary_key=True),
    Column("key_id", ForeignKey("keys.key_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
)
audit = Table(
    "audit",
    metadata,
    Column("entry_id", IDENTITY, primary_key=True),
    Column("at_us", BigInteger, nullable=False, index=True),
    Column("key_id", Text),
    Column("actor", Text, nullable=False),
    Column("action", String(32), nullable=False),
    Column("route", Text),
    Column("customer_id", Text, index=True),
    Column("rows", Integer),
    Column("status", Integer),
)
marks = Table(
    "marks",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("version", BigInteger, nullable=False),
)
secrets = Table(
    "secrets",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("message_id", String(64), primary_key=True),
    Column("destination", Text, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("as_of_us", BigInteger, nullable=False),
    Column("revision", Integer),
    Column("owner", Text),  # whose customers it tells of; it names no customer
    Column("figures", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("next_us", BigInteger, nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("delivered_us", BigInteger),
    Column("dead_us", BigInteger),
    Column("trouble", Text),
)
paused_destinations = Table(
    "paused_destinations",
    metadata,
    Column("destination", Text, primary_key=True),
    Column("paused_us", BigInteger, nullable=False),
    Column("paused_by", Text, nullable=False),
)

MARKS = ("asks", "keys", "snapshots")
"""What a process keeps in memory; a write moves the mark, so that the others read again."""
ROWS_OF_A_CUSTOMER = (
    asks, ask_versions, known_asks, overrides, actions, objections, reference_matches, customer_details,
)  # fmt: skip
"""Tables whose rows go when a customer is erased."""
NAMES_A_CUSTOMER = (audit,)
"""Tables whose rows stay, without the name of the customer: that something was done stays known."""
BATCHES_WITH_CUSTOMERS = ("scores", "customers", "changes")
"""Tables of a snapshot whose batches are written anew without the customer."""
STATES = "states"
"""Batches of where each customer stood, which outlive those of the whole week."""
