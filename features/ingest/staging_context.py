"""`StagingContext`: where the tables of one run are brought into contract form; and what interrupted runs left.

Every step of staging works with it, and files of one table are worked on side by side.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import duckdb

Item = TypeVar("Item")
Done = TypeVar("Done")
BUILDING = ".building-"
"""Begin of the name of a folder that is not finished; the number of the process that builds it follows."""
AT_ONCE = 4
"""So many files are worked on at a time at most: each holds its rows in memory until they are written."""


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

    def side_by_side(self, work: Callable[[StagingContext, Item], Done], items: Iterable[Item]) -> list[Done]:
        """Do the same with each of several files, each with a cursor of its own; what that gives, in their order.

        What a cursor makes under `vouch.features.engines.OWN_APART` goes with it.
        """

        def one(item: Item) -> Done:
            with closing(self.connection.cursor()) as cursor:
                return work(replace(self, connection=cursor), item)

        (threads,) = self.row("SELECT current_setting('threads')")
        with ThreadPoolExecutor(min(threads, AT_ONCE)) as pool:
            return list(pool.map(one, items))


def sweep_unfinished(home: Path) -> list[Path]:
    """Remove what interrupted runs left of staging: folders of processes that are gone. Returns what went."""
    left = [path for path in home.glob(f"{BUILDING}*") if not _is_running(path.name.removeprefix(BUILDING))]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return left


def _is_running(name: str) -> bool:
    """Whether the process whose number a name begins with is there."""
    number = name.partition("-")[0]
    if not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's
        return True
    return True
