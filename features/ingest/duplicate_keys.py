"""Duplicate keys in the files of a table: found slice by slice, in bounded memory however many keys there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.features.contract.casts import place
from vouch.features.engines import OWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vouch.features.ingest.staging_context import StagingContext

KEYS_AT_ONCE = 8_000_000
"""Keys of new files that are compared with one another at a time: about half a gigabyte."""


def rows_of(paths: Iterable[Any]) -> str:
    """The rows of some Parquet files as what stands behind FROM, each with the name of its file."""
    return f"read_parquet([{', '.join(map(place, paths))}], filename = true, hive_partitioning = false)"


def find_repeated(staging: StagingContext, key: str, old: Sequence[str], new: Sequence[str]) -> None:
    """Make `repeated`, keys of new files that occur again, and `hits`, the old files that hold them.

    `key` is the quoted name of the column.
    """
    fresh, hits, repeated = f"{OWN}.fresh", f"{OWN}.hits", f"{OWN}.repeated"
    staging.rows(f"CREATE OR REPLACE TABLE {hits} (key VARCHAR, filename VARCHAR)")
    staging.rows(f"CREATE OR REPLACE TABLE {repeated} (key VARCHAR)")
    rows = staging.row(f"SELECT count(*) FROM {rows_of(new)}")[0] if new else 0
    slices = -(-rows // KEYS_AT_ONCE)
    for number in range(slices):
        inside = f"{key} IS NOT NULL" + (f" AND hash({key}) % {slices} = {number}" if slices > 1 else "")
        staging.rows(f"CREATE OR REPLACE TABLE {fresh} AS SELECT {key} AS key FROM {rows_of(new)} WHERE {inside}")
        if old:
            held = f"FROM {rows_of(old)} WHERE {inside} AND {key} IN (FROM {fresh})"
            staging.rows(f"INSERT INTO {hits} SELECT {key}, filename {held}")
        staging.rows(f"INSERT INTO {repeated} SELECT key FROM {fresh} GROUP BY key HAVING count(*) > 1")
    staging.rows(f"DROP TABLE IF EXISTS {fresh}")
    staging.rows(f"INSERT INTO {repeated} SELECT DISTINCT key FROM {hits} WHERE key NOT IN (FROM {repeated})")
