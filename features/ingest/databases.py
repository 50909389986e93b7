"""Database sources: tables of a DuckDB file or a PostgreSQL schema as relations, read without changing anything there.

A PostgreSQL schema is copied in batches into Parquet files of the run, in one read-only transaction, so that all tables
are seen at one moment. The order of rows in a database means nothing: its digest does not depend on it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import duckdb
import pyarrow.parquet as pq

from vouch.features.contract.casts import literal, quoted
from vouch.features.engines import Connection, first_line
from vouch.features.errors import MissingExtra, SourceUnreadable
from vouch.features.ingest.files import FileSource
from vouch.features.shown import redacted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

COMPANY = "company"
"""Name under which a company's DuckDB file is attached."""
_MAGIC = b"DUCK"
_DEFAULT_SCHEMA = "main"
_PLAIN_TYPES = {
    "int2",
    "int4",
    "int8",
    "float4",
    "float8",
    "bool",
    "text",
    "varchar",
    "date",
    "timestamp",
    "timestamptz",
}
"""PostgreSQL types that arrive as what they are; all others are read as their text."""
_COLUMNS_QUERY = """
SELECT c.relname, a.attname, t.typname
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE n.nspname = $1 AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
ORDER BY c.relname, a.attnum
"""


def is_duckdb_file(path: Path) -> bool:
    """Whether a file begins as DuckDB's do."""
    with path.open("rb") as file:
        return file.read(12)[8:] == _MAGIC


def attach(connection: Connection, path: Path) -> dict[str, str]:
    """Attach a DuckDB file read-only. Returns its tables and views: name, with its schema where that is not `main`,
    and what stands behind FROM. Raises SourceUnreadable.
    """
    try:
        connection.execute(f"ATTACH {literal(str(path))} AS {COMPANY} (READ_ONLY)")
        rows = connection.execute(
            f"SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = '{COMPANY}' UNION ALL "
            f"SELECT schema_name, view_name FROM duckdb_views() WHERE database_name = '{COMPANY}' AND NOT internal "
            "ORDER BY ALL"
        ).fetchall()
    except duckdb.Error as error:
        hint = " Close the program that writes to it." if "lock" in str(error) else ""
        raise SourceUnreadable(f"{path}: cannot be opened as a DuckDB file: {first_line(error)}.{hint}") from error
    return {
        table if schema == _DEFAULT_SCHEMA else f"{schema}.{table}": f"{COMPANY}.{quoted(schema)}.{quoted(table)}"
        for schema, table in rows
    }


def relation_digest(connection: Connection, sql: str, columns: Mapping[str, str]) -> str:
    """Digest of the rows of a relation with their columns and types, whatever their order; equal rows count twice."""
    cells = ", ".join(f"coalesce(CAST({quoted(name)} AS VARCHAR), chr(30))" for name in columns)
    counted = connection.execute(
        "SELECT count(*), sum(CAST(md5_number_lower(cells) AS HUGEINT)), sum(CAST(md5_number_upper(cells) AS HUGEINT)) "
        f"FROM (SELECT concat_ws(chr(31), {cells}) AS cells FROM {sql})"
    ).fetchone()
    return hashlib.sha256(json.dumps([dict(columns), counted]).encode()).hexdigest()


@dataclass(frozen=True)
class Schema:
    """One schema of a PostgreSQL server: the URL without our own parameter, and the name; None is the server's own."""

    url: str
    name: str | None

    @classmethod
    def parse(cls, url: str) -> Schema:
        """Read a `postgresql://` URL; `?schema=NAME` names the schema."""
        parts = urlsplit(url)
        given = parse_qsl(parts.query)
        schema = next((value for key, value in given if key == "schema"), None)
        rest = urlencode([(key, value) for key, value in given if key != "schema"])
        return cls(parts._replace(query=rest).geturl(), schema)

    def __repr__(self) -> str:
        return f"Schema({redacted(self.url)!r}, {self.name!r})"


def copy_schema(
    schema: Schema, is_wanted: Callable[[str], bool], folder: Path
) -> tuple[dict[str, FileSource], list[str]]:
    """Copy those tables and views of a PostgreSQL schema that are wanted into Parquet files under a new folder.

    Returns their sources, and the names of the others.

    Raises MissingExtra where the driver is not installed, SourceUnreadable where the server says no.
    """
    try:
        from adbc_driver_manager import Error
        from adbc_driver_postgresql import dbapi
    except ImportError as error:
        raise MissingExtra("PostgreSQL needs its driver: pip install 'vouch[postgres]'") from error
    place = redacted(schema.url)
    folder.mkdir()
    try:
        with dbapi.connect(schema.url, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            name = schema.name or _rows(cursor, "SELECT current_schema()")[0][0]
            tables: dict[str, list[str]] = {}
            for table, column, kind in _rows(cursor, _COLUMNS_QUERY, [name]):
                tables.setdefault(table, []).append(_as_read(column, kind))
            if not tables:
                raise SourceUnreadable(f"{place}: the schema {name!r} is not there, or holds no tables")
            copies = {
                table: _copy(cursor, f"{quoted(name)}.{quoted(table)}", columns, table, folder)
                for table, columns in tables.items()
                if is_wanted(table)
            }
            return copies, [table for table in tables if table not in copies]
    except Error as error:
        raise SourceUnreadable(f"{place}: cannot be read: {str(error).strip().splitlines()[0]}") from error


def _rows(cursor: Any, query: str, parameters: list[str] | None = None) -> list[tuple[Any, ...]]:
    cursor.execute(query, parameters)
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _as_read(column: str, kind: str) -> str:
    name = quoted(column)
    return name if kind in _PLAIN_TYPES else f"CAST({name} AS text) AS {name}"


def _copy(cursor: Any, relation: str, columns: list[str], name: str, folder: Path) -> FileSource:
    """Copy one relation, batch after batch, so that memory does not grow with it."""
    path = folder / f"{len(list(folder.iterdir()))}.parquet"
    cursor.execute(f"SELECT {', '.join(columns)} FROM {relation}")
    reader = cursor.fetch_record_batch()
    with pq.ParquetWriter(path, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    return FileSource(name, path, (path,), is_csv=False)
