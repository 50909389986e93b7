"""The Alembic environment: it applies revisions on the connection that `vouch.serving.store.connection` hands over."""

from __future__ import annotations

from alembic import context

from vouch.serving.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
context.run_migrations()
