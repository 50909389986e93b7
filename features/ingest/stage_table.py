"""Staging of one table through the engine: every row read once, checked, counted, written in contract form."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl

from vouch.features.contract.casts import WANTED, literal, place, quoted
from vouch.features.contract.checks import UNREADABLE, check_sql, staged_columns
from vouch.features.contract.tables import DAY_US
from vouch.features.engines import OWN, OWN_APART, first_line, unreadable
from vouch.features.errors import DataError, WrongType
from vouch.features.ingest import erased as tombstones
from vouch.features.ingest.counts import warnings
from vouch.features.ingest.customer_changes import apply_changes
from vouch.features.ingest.figures import ADDED, counted_across, figures, full_figures, row_tallies
from vouch.features.ingest.files import ROW
from vouch.features.ingest.refused import FILE as REFUSED
from vouch.features.ingest.refused import join_refused, refused_sql
from vouch.features.sentiment.polarity import polarity, polarity_from_rating
from vouch.features.shown import shape

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping
    from pathlib import Path

    import pyarrow as pa

    from vouch.features.contract.tables import Table
    from vouch.features.ingest.mapping import TablePlan
    from vouch.features.ingest.staging_context import StagingContext

TEXTS = {"surveys": "verbatim", "feedback": "text", "social_posts": "text"}
"""Tables whose rows carry a text, and so a polarity."""
FEW = 2
"""So many unreadable values, and no readable one, tell of a wrong type and not of a broken row."""
_TEXTS_AT_ONCE = 100_000
REFERRED = ("customers", "asks", "loyalty_ledger")
"""Tables that others refer to; they are read first."""


@dataclass(frozen=True)
class Outcome:
    """What became of the rows of one table: the figures of the report, and the instants that bound its validity."""

    report: dict[str, Any]
    accepted_until_us: int | None
    future_from_us: int | None
    columns: tuple[str, ...]
    warnings: tuple[str, ...]
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Digest and facts of each file, where the table is a folder of several."""
    parts: tuple[str, ...] = ()
    """Names of the parts that it was put together from."""


def parsed(table: str) -> str:
    """The relation that holds all rows of a table as `check_sql` gives them, known to one cursor."""
    return f"{OWN_APART}_parsed_{table}"


def parse(staging: StagingContext, plan: TablePlan) -> int:
    """Make the relation `parsed` of a table: every row of its source, judged.

    Rows of erased customers are left out; returns how many.
    """
    query = check_sql(plan.table, plan.inputs, plan.relation.sql, quoted(ROW), str(staging.now_us))
    try:
        staging.rows(f"CREATE TEMP TABLE {parsed(plan.table.name)} AS {query}")
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise _column_unreadable(staging, plan, error) from error
    if plan.recorded is not None and plan.table.name == "customers":
        apply_changes(staging, parsed(plan.table.name), plan.recorded.relation.sql, plan.recorded.inputs)
    elif plan.recorded is not None:  # numbered downwards from -1, so that no number stands for two rows
        also, row = plan.recorded, f"-1 - {quoted(ROW)}"
        query = check_sql(also.table, also.inputs, also.relation.sql, row, str(staging.now_us))
        staging.rows(f"INSERT INTO {parsed(plan.table.name)} BY NAME {query}")
    return tombstones.leave_out(staging.connection, plan.table, parsed(plan.table.name)) if staging.erased else 0


def _column_unreadable(staging: StagingContext, plan: TablePlan, error: duckdb.Error) -> DataError:
    """The error of a source that names the first column which alone cannot be read, where it is that of a column."""
    if plan.relation.is_csv:
        return unreadable(plan.relation.place, error)
    for name, given in plan.inputs.items():
        try:
            staging.rows(f"SELECT max(hash({given.expression})) FROM {plan.relation.sql}")
        except duckdb.Error as of_column:
            return unreadable(f"{plan.relation.place}, column {name!r}", of_column)
    return DataError(f"{plan.relation.place}: cannot be staged: {first_line(error)}")


def accepted(table: str) -> str:
    """The accepted rows of a table that was parsed, as what stands behind FROM, up to more conditions."""
    return f"{parsed(table)} WHERE NOT is_refused"


def remembered(table: str) -> tuple[str, str]:
    """Name and SQL of the relation with a column `key` that references into a parsed table must point into."""
    if table == "customers":
        grouped = f"SELECT customer_id AS key, min(created_us) AS created_us FROM {accepted(table)} GROUP BY ALL"
        return f"{OWN}.known", grouped
    if table == "asks":
        return f"{OWN}.asks", f"SELECT DISTINCT ask_id AS key FROM {accepted(table)}"
    earned = f"{accepted(table)} AND kind = 'earn'"
    lots = f"SELECT entry_id AS key FROM {earned} UNION SELECT lot_id FROM {earned} AND lot_id IS NOT NULL"
    return f"{OWN}.lots", lots


def references(table: Table, columns: Container[str], present: Container[str]) -> dict[str, str]:
    """For each reference that was handed over, and whose target is there, the relation that it must point into."""
    return {
        column: remembered(target)[0]
        for column, (target, _) in table.references.items()
        if column in columns and target in present
    }


def contract_form(
    table: Table, rows: str, *, repeated: str | None, targets: Mapping[str, str], has_polarity: bool
) -> str:
    """SQL that turns accepted rows into contract form.

    Args:
        table: the table of the contract.
        rows: relation of accepted rows, as `check_sql` gives them.
        repeated: relation with a column `key`: keys that occur more than once; None where there are none.
        targets: for a reference column, the relation with a column `key` that it must point into.
        has_polarity: whether the polarity of texts and ratings stands in `texts` and `ratings`.
    """
    content = ", ".join(map(quoted, [*staged_columns(table), *ADDED]))
    plain = f"SELECT {content}, CAST(NULL AS BIGINT) AS superseded_us FROM {rows}"
    if repeated and table.key:
        key = quoted(table.key)
        versions = f"SELECT DISTINCT {content} FROM {rows} WHERE {key} IN (SELECT key FROM {repeated})"
        order = f"PARTITION BY {key} ORDER BY ingested_us, {tie_order(table)}"
        plain = (
            f"{plain} WHERE {key} IS NULL OR {key} NOT IN (SELECT key FROM {repeated}) UNION ALL "
            f"SELECT {content}, lead(ingested_us) OVER ({order}) AS superseded_us FROM ({versions})"
        )
    nulled = ", ".join(
        f"CASE WHEN {quoted(column)} IN (SELECT key FROM {target}) THEN {quoted(column)} END AS {quoted(column)}"
        for column, target in targets.items()
    )
    fields = f"content.*{f' REPLACE ({nulled})' if nulled else ''}, own_us // {DAY_US} AS day"
    if not has_polarity:
        return f"SELECT {fields} FROM ({plain}) content"
    text = f"LEFT JOIN {OWN}.texts texts ON texts.key = content.{quoted(TEXTS[table.name])}"
    if table.name != "feedback":
        return f"SELECT {fields}, texts.polarity FROM ({plain}) content {text}"
    rating = f"LEFT JOIN {OWN}.ratings ratings USING (rating, rating_max)"
    polarity = "coalesce(ratings.polarity, texts.polarity) AS polarity"
    return f"SELECT {fields}, {polarity} FROM ({plain}) content {text} {rating}"


def tie_order(table: Table) -> str:
    """Content in an order that lets no fact of a later date decide a tie before that date: an open date counts as last.

    First what a row says of its own time, then the later dates, then what comes with them.
    """
    later = [table.columns[date].staged for date in table.later]
    facts = [fact for of in table.later.values() for fact in of]
    first = [column for column in [*staged_columns(table), *ADDED] if column not in {*later, *facts}]
    return ", ".join(f"{quoted(column)} NULLS LAST" for column in [*first, *later, *facts])


def remember(staging: StagingContext, name: str) -> None:
    """Make the relation that references into a parsed table are held against."""
    relation, sql = remembered(name)
    staging.rows(f"CREATE TABLE {relation} AS {sql}")


def finish(staging: StagingContext, plan: TablePlan, present: Container[str]) -> Outcome:
    """Write one parsed table and its quarantine, and count what happened to its rows."""
    table, name = plan.table, plan.table.name
    empty = _columns_of_wrong_type(staging, plan)
    repeated = _repeated(staging, table)
    targets = references(table, plan.columns, present)
    if name in TEXTS:
        judge_texts(staging.connection, table, f"(SELECT * FROM {accepted(name)})")
    query = contract_form(
        table,
        f"(SELECT * FROM {accepted(name)})",
        repeated=repeated,
        targets=targets,
        has_polarity=name in TEXTS,
    )
    path = literal(str(staging.folder / f"{name}.parquet"))
    ordered = f"SELECT * FROM ({query}) staged ORDER BY {row_order(table, 'staged')}"
    (written,) = staging.row(f"COPY ({ordered}) TO {path} (FORMAT parquet)")
    rows = f"read_parquet({place(staging.folder / f'{name}.parquet')}, hive_partitioning = false)"
    counted = figures(staging, parsed(name)) | {"written": written}
    if counted["quarantined"] or counted["cells"]:
        write_quarantine(staging, name, staging.folder / "quarantine" / f"{name}.parquet")
        refused = f"({refused_sql(table, parsed(name), has_polarity=name in TEXTS)})"
        join_refused(staging, table, [refused], rows, staging.folder / REFUSED / f"{name}.parquet")
    tallies = row_tallies(staging, table, parsed(name))
    across = counted_across(staging, table, accepted(name), repeated, targets)
    people = f"(SELECT * FROM {accepted(name)})"
    named = f"SELECT count({quoted(table.customer)}) FROM {people}" if table.customer else ""
    report = full_figures(staging, plan, counted, tallies, across, rows, people, named, targets)
    accepted_until_us, future_from_us = staging.row(
        f"SELECT max(own_us) FILTER (NOT is_refused), min(own_us) FILTER (own_us - {DAY_US} > {staging.now_us}) "
        f"FROM {parsed(name)}"
    )
    columns = tuple(column for column in plan.columns if column not in empty)
    warned = (*plan.warnings, *(left_out(table, column) for column in empty), *warnings(table, columns, report))
    return Outcome(report, accepted_until_us, future_from_us, columns, warned)


def row_order(table: Table, relation: str) -> str:
    """The one order of the rows of a table in contract form, for ORDER BY."""
    key = [quoted(table.key)] if table.key else []
    return ", ".join(["own_us", *key, "ingested_us", f"hash({relation})"])


def left_out(table: Table, column: str) -> str:
    """What is said of a column that cannot be used."""
    wanted = WANTED[table.columns[column].kind]
    return f"{table.name}.{column} is left out: not one of its values can be read as {wanted}"


def _columns_of_wrong_type(staging: StagingContext, plan: TablePlan) -> list[str]:
    name, table = plan.table.name, plan.table
    broken = broken_columns(staging, name)
    readable = {}
    for column, _, _ in broken:
        (readable[column],) = staging.row(f"SELECT count({quoted(table.columns[column].staged)}) FROM {parsed(name)}")
    return unusable_columns(table, broken, readable)


def broken_columns(staging: StagingContext, name: str) -> list[tuple[str, str, int]]:
    """Columns of a parsed table with values that cannot be read: the name, what the first looks like, how many."""
    broken = staging.rows(
        "SELECT problem.column, min(row), min_by(raw, row), count(*) "
        f"FROM (SELECT row, raw, unnest(problems) AS problem FROM {parsed(name)} WHERE problems IS NOT NULL) "
        f"WHERE problem.reason IN ({', '.join(map(literal, UNREADABLE))}) GROUP BY ALL ORDER BY ALL"
    )
    return [(name, f"row {row}: {shape(json.loads(raw)[name])}", times) for name, row, raw, times in broken]


def unusable_columns(table: Table, broken: Iterable[tuple[str, str, int]], readable: Mapping[str, int]) -> list[str]:
    """Optional columns of which no value can be read. Raises WrongType for a required one."""
    empty = []
    for column, example, times in broken:
        declared = table.columns[column]
        if readable[column] or times < FEW:
            continue
        if declared.is_required:
            wanted = f"one of {', '.join(declared.values)}" if declared.values else WANTED[declared.kind]
            raise WrongType(table.name, column, wanted, example)
        empty.append(column)
    return empty


def _repeated(staging: StagingContext, table: Table) -> str | None:
    """Make the relation of keys that occur more than once; None where there are none."""
    if not table.key:
        return None
    key, relation = quoted(table.key), f"{OWN}.repeated"
    staging.rows(
        f"CREATE OR REPLACE TABLE {relation} AS SELECT {key} AS key FROM {accepted(table.name)} "
        f"AND {key} IS NOT NULL GROUP BY {key} HAVING count(*) > 1"
    )
    return relation if staging.row(f"SELECT count(*) FROM {relation}")[0] else None


def judge_texts(connection: duckdb.DuckDBPyConnection, table: Table, rows: str) -> None:
    """Make `texts` (key, polarity) and, for feedback, `ratings`: each distinct text is judged once."""
    column, unrated = quoted(TEXTS[table.name]), ""
    if table.name == "feedback":
        pairs = pl.DataFrame(
            connection.sql(
                f"SELECT DISTINCT rating, rating_max FROM {rows} WHERE rating IS NOT NULL AND rating_max IS NOT NULL"
            ).to_arrow_table()
        )
        judged = pairs.with_columns(polarity_from_rating(pairs["rating"], pairs["rating_max"]).alias("polarity"))
        _keep(connection, "ratings", judged.to_arrow())
        unrated = " AND (rating IS NULL OR rating_max IS NULL OR rating_max <= 1)"
    texts = f"SELECT DISTINCT {column} AS key FROM {rows} WHERE {column} IS NOT NULL{unrated}"
    connection.execute(f"CREATE OR REPLACE TABLE {OWN}.unjudged AS {texts}")
    connection.execute(f"CREATE OR REPLACE TABLE {OWN}.texts (key VARCHAR, polarity BIGINT)")
    reader = connection.cursor().sql(f"FROM {OWN}.unjudged").to_arrow_reader(_TEXTS_AT_ONCE)
    for batch in reader:
        part = pl.DataFrame(batch)
        judged = part.with_columns(polarity(part["key"]).cast(pl.Int64).alias("polarity"))
        connection.register("judged", judged.to_arrow())
        connection.execute(f"INSERT INTO {OWN}.texts FROM judged")
        connection.unregister("judged")


def _keep(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    connection.register("kept", table)
    connection.execute(f"CREATE OR REPLACE TABLE {OWN}.{name} AS FROM kept")
    connection.unregister("kept")


def write_quarantine(staging: StagingContext, name: str, path: Path) -> None:
    """Write what was refused or nulled of rows that hold any such, one row per problem."""
    broken = f"FROM {parsed(name)} WHERE problems IS NOT NULL"
    staging.rows(
        f'COPY (SELECT row, problem.scope AS scope, problem.column AS "column", problem.reason AS reason, raw '
        f"FROM (SELECT row, raw, unnest(problems) AS problem {broken}) "
        f'ORDER BY row, scope DESC, "column", reason) TO {literal(str(path))} (FORMAT parquet)'
    )
