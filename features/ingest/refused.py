"""Rows refused for a value alone, or accepted with an emptied cell: kept apart, so that metrics count them as missing.

Of a refused row it is known whose it is and when it was, but not what it says. It feeds nothing; but a metric that it
would have fed must not look as if it rested on everything (labels at the ends of a scale refuse the extremes alone).
A row whose end cannot be read stands as if it had none: whatever the end would have changed is missed as well.
What a broken value would have changed is found by a value that stands in its place: see `metrics.units`.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from vouch.features.contract.casts import STAGED_TYPES, literal, place, quoted
from vouch.features.contract.checks import staged_columns
from vouch.features.contract.stand_ins import EMPTIED, STAND_IN, can_stand_in
from vouch.features.contract.tables import DAY_US
from vouch.features.engines import OWN_APART
from vouch.features.ingest.figures import ADDED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vouch.features.contract.tables import Table
    from vouch.features.ingest.staging_context import StagingContext

FILE = "refused"
"""Folder of such rows among staged tables, and name of the file of one part."""
OF_TIME = ("missing_time", "before_1970", "after_ingestion", "in_the_future", "time_runs_backwards")
"""Reasons by which it is not known when a row was."""
_STAND_INS = {"money": f"{STAND_IN}", "number": f"{STAND_IN}", "integer": f"{STAND_IN}", "probability": "0.9999"}


def refused_sql(table: Table, rows: str, *, has_polarity: bool) -> str:
    """SQL for those judged rows (behind FROM) that were refused for a value alone, or hold an emptied cell."""
    whose = [name for name in (table.key, table.customer) if name and table.columns[name].is_required]
    apart = ", ".join(map(literal, dict.fromkeys([*whose, *table.clock, "ingested_at", "is_deleted"])))
    reasons = ", ".join(map(literal, OF_TIME))
    is_complete = " AND ".join([*(f"{quoted(name)} IS NOT NULL" for name in whose), "own_us IS NOT NULL"])
    unplaced = (
        f"list_filter(problems, lambda p: p.scope = 'row' AND (p.reason IN ({reasons}) OR p.column IN ({apart})))"
    )
    broken = _of("row")
    cells = []
    for column in table.columns.values():
        if column.staged in staged_columns(table):
            nothing = f"CAST({_STAND_INS.get(column.kind, 'NULL')} AS {STAGED_TYPES[column.kind]})"
            name = quoted(column.staged)
            cells.append(
                f"CASE WHEN list_contains({broken}, {literal(column.name)}) THEN {nothing} ELSE {name} END AS {name}"
            )
    optional = [c.name for c in table.columns.values() if can_stand_in(c) and c.staged in staged_columns(table)]
    names = f"list_filter([{', '.join(map(literal, optional))}], lambda name: list_contains({_of('cell')}, name))"
    emptied = f"CASE WHEN NOT is_refused THEN ',' || array_to_string({names}, ',') || ',' END"
    is_emptied = f"NOT is_refused AND len({names}) > 0{f' AND {quoted(table.key)} IS NOT NULL' if table.key else ''}"
    latest = ""
    if table.key:
        latest = f" QUALIFY row_number() OVER (PARTITION BY {quoted(table.key)} ORDER BY ingested_us DESC, row) = 1"
    added = ", ".join([*ADDED, "CAST(NULL AS BIGINT) AS superseded_us", f"own_us // {DAY_US} AS day"])
    cells += [added, *(["CAST(NULL AS BIGINT) AS polarity"] if has_polarity else []), f"{emptied} AS {EMPTIED}"]
    return (
        f"SELECT {', '.join(cells)} FROM {rows} WHERE problems IS NOT NULL AND NOT is_deleted "
        f"AND (is_refused AND {is_complete} AND len({unplaced}) = 0 OR {is_emptied}){latest}"
    )


def _of(scope: str) -> str:
    """SQL for the names of the columns with a problem of a scope."""
    return f"list_transform(list_filter(problems, lambda p: p.scope = {literal(scope)}), lambda p: p.column)"


def join_refused(staging: StagingContext, table: Table, sources: Sequence[str], staged: str, path: Path) -> None:
    """Write such rows of all sources (behind FROM), but for those that another row of their key mends; else nothing.

    `staged` is what stands behind FROM for the accepted rows.
    """
    rows, relation = " UNION ALL ".join(f"SELECT * FROM {source}" for source in sources), f"{OWN_APART}_refused"
    if not rows:
        return
    staging.rows(f"CREATE OR REPLACE TEMP TABLE {relation} AS {rows}")
    if table.key:
        key = quoted(table.key)
        known = (
            f"SELECT {key}, max(ingested_us) AS until_us FROM {staged} WHERE {key} IN (SELECT {key} FROM {relation})"
        )
        staging.rows(
            f"DELETE FROM {relation} refused USING ({known} GROUP BY ALL) known WHERE refused.{key} = known.{key} "
            f"AND (refused.{EMPTIED} IS NULL OR refused.ingested_us < known.until_us)"
        )
    if staging.row(f"SELECT count(*) FROM {relation}")[0]:
        path.parent.mkdir(exist_ok=True)
        order = ", ".join(["own_us", *([quoted(table.key)] if table.key else []), "hash(refused)"])
        staging.rows(
            f"COPY (SELECT * FROM {relation} refused ORDER BY {order}) TO {literal(str(path))} (FORMAT parquet)"
        )


def file_of(folder: Path) -> str:
    """What stands behind FROM for the file of one part."""
    return f"read_parquet({place(folder / f'{FILE}.parquet')}, hive_partitioning = false)"


def show_quarantine(home: Path, staged: Path) -> None:
    """Make `$VOUCH_HOME/quarantine` hold what this input left there, and nothing older."""
    shown, current = home / "quarantine", staged / "quarantine"
    shown.mkdir(parents=True, exist_ok=True)
    for stale in shown.iterdir():
        if not (current / stale.name).exists():
            stale.unlink()
    for path in sorted(current.iterdir()):
        copy = shown / f".building-{path.name}"
        shutil.copyfile(path, copy)
        copy.replace(shown / path.name)
