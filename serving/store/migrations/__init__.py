"""Revisions of the schema of the store, applied by Alembic when the store is opened."""
