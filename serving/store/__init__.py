"""The serving store: published weeks, asks, overrides, keys and the audit log, through SQLAlchemy on SQLite or
PostgreSQL."""
