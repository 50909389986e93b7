"""The serving store: published weeks, asks, overrides, keys and the audit log, in SQLite or PostgreSQL.

`connection` opens it and brings it up to date (`migrations`), `tables` has its schema. Weeks (`weeks`, `digests`,
`mapped`); what people record (`asks`, `actions`, `overrides`, `references`; `recorded` gives it back to the batch);
messages that wait (`outbox`); who may and did (`keys`, `callers`, `secrets`, `audit`).
"""
