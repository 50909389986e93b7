"""`StagingContext`: where the tables of one run are brought into contract form.

Every step of staging works with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb


@dataclass(frozen=True)
class StagingContext:
    """Where the tables of one run are worked on: the connection, the folder to write into, and now."""

    connection: duckdb.DuckDBPyConnection
    folder: Path
    now_us: int
    published: Path
    """Where folders of tables that were staged before stand."""
    shelf: Path
    """Where parts of tables that were read before are kept."""
    erased: str | None = None
    """Digest of the tombstones of erased customers, whose rows are left out."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement of ours and return what it gives."""
        return self.connection.execute(sql).fetchall()

    def row(self, sql: str) -> tuple[Any, ...]:
        """Run a statement of ours that gives one row."""
        return self.rows(sql)[0]
