"""The inputs of a run: a company's relations on the engine, how they feed the tables, and the digest of all of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from vouch.features.contract.casts import family_of, quoted, raw
from vouch.features.contract.tables import CONTRACT_VERSION, TABLES
from vouch.features.engines import OWN, Connection, close_off, first_line, unreadable
from vouch.features.errors import ConfigurationError, SourceUnreadable, VouchError
from vouch.features.ingest.databases import Schema, attach, copy_schema, is_duckdb_file, relation_digest
from vouch.features.ingest.files import (
    ROW,
    Relation,
    folder_sources,
    further_sources,
    inspected,
    named_sources,
    numbered,
)
from vouch.features.ingest.lakes.objects import copy_objects
from vouch.features.ingest.lakes.tables import lake_sources
from vouch.features.ingest.mapping import plans, with_recorded
from vouch.features.ingest.rewritten import rewritten
from vouch.features.project import POSTGRES, S3
from vouch.features.sentiment.learned import SENTIMENT_VERSION
from vouch.features.shown import redacted

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from vouch.features.ingest.files import FileSource
    from vouch.features.ingest.mapping import TablePlan
    from vouch.features.project import Project

FORM = 9
"""Moves when what is staged is laid out in another way; what stands in the old one is not used."""
LARGE_BYTES = 64 * 2**20
"""A single file from this size on is kept by week of ingestion, like a source of several files."""


@dataclass(frozen=True)
class Inputs:
    """How each table is read, the digest of all that is read and of how, and what lies there and is not read.

    `relations` are all that the company has, by name.
    """

    planned: dict[str, TablePlan]
    base: str
    unread: tuple[str, ...]
    relations: Mapping[str, Relation]
    free: tuple[str, ...] = ()
    """Relations that no table is made of so far."""
    place: str = ""
    left: tuple[str, ...] = ()
    """Relations of the database at `place` that no table of the contract is made of."""

    def not_read(self, used: Collection[str]) -> tuple[str, ...]:
        """What lies there and is not read, as warnings; `used` are the sources of further tables."""
        lines = [line for line in self.unread if not any(f"is made of {name!r}" in line for name in used)]
        if left := [name for name in self.left if name not in used]:
            lines.append(f"{self.place}: not read, because no table is made of them: {', '.join(left)}")
        return tuple(lines)


def prepare_inputs(connection: Connection, project: Project, folders: Sequence[Path]) -> Inputs:
    """Make the company's relations, close the connection to everything else, say how each table is read.

    `folders` are our own: the first is that of the run.
    """
    wanted = _Wanted(project)
    tables: dict[str, str] = {}
    copies: dict[str, FileSource] = {}
    files = named_sources(project.sources, project.readers)
    unread: list[str] = []
    left: list[str] = []
    if project.location and project.location.startswith(POSTGRES):
        copies, left = copy_schema(Schema.parse(project.location), wanted.__contains__, folders[0] / "copies")
    elif project.location and (project.location.startswith(S3) or Path(project.location).is_dir()):
        present, unread = _in_folder(project.location, wanted, folders[0])
        named = {name.lower() for name in files}
        files |= {name: source for name, source in present.items() if name.lower() not in named}
    elif project.location:
        tables = _duckdb_tables(connection, Path(project.location))
        left = [name for name in tables if name not in wanted]
    read, digests = {}, {}
    for name in sorted(filter(wanted.__contains__, files)):
        read[name], digests[name] = inspected(rewritten(files[name], folders[0] / "rewritten"))
    further = _further(files, project, folders[0], wanted)
    recorded = {name: inspected(source) for name, source in named_sources(project.recorded).items()}
    digests |= {f"recorded {name}": digest for name, (_, digest) in recorded.items()}
    others = [source for source, _ in (*further.values(), *recorded.values())]
    sources = [*read.values(), *copies.values(), *others]
    parts = [part for source in sources for part in source.parts]
    close_off(connection, parts, folders)
    relations = {
        name: _table_relation(connection, project, name, sql) for name, sql in tables.items() if name in wanted
    }
    relations |= {
        name: replace(file_relation(connection, source), place=f"{redacted(str(project.location))}, table {name!r}")
        for name, source in copies.items()
    }
    digests |= {name: _digest(connection, relation) for name, relation in relations.items() if name not in read}
    relations |= {name: file_relation(connection, source) for name, source in read.items()}
    beside = {name: tables[name] for name in tables.keys() - relations} if project.features.own else {}
    free, more = _free(connection, project, further, beside)
    digests |= more
    for name, relation in {**relations, **free}.items():
        _show(connection, name, relation)
    planned = plans(project, relations, lambda table, query: query_relation(connection, table, query), (*free, *left))
    here = {name: file_relation(connection, source) for name, (source, _) in recorded.items()}
    rest = (tuple(unread), {**relations, **free}, tuple(free), redacted(str(project.location)), tuple(sorted(left)))
    return Inputs(with_recorded(planned, here), _base(project, digests), *rest)


def _further(
    files: Mapping[str, FileSource], project: Project, folder: Path, wanted: _Wanted
) -> dict[str, tuple[FileSource, str]]:
    """Files that no table is made of so far, with their digests: single ones, that can be read."""
    if not project.features.own:
        return {}
    beside = further_sources(Path(project.location)) if project.location and Path(project.location).is_dir() else {}
    further = {}
    for name, source in {**beside, **files}.items():
        if name in wanted or name in further:
            continue
        with suppress(VouchError, OSError):  # nobody asked for it
            further[name] = inspected(rewritten(source, folder / "rewritten"))
    return further


def _free(
    connection: Connection,
    project: Project,
    further: Mapping[str, tuple[FileSource, str]],
    tables: Mapping[str, str],
) -> tuple[dict[str, Relation], dict[str, str]]:
    """Relations of files and tables that no table is made of so far, with their digests: those that can be read."""
    relations: dict[str, Relation] = {}
    digests: dict[str, str] = {}
    for name in sorted({*further, *tables}):
        with suppress(VouchError, duckdb.Error):  # nobody asked for it
            if name in tables:
                relation = _table_relation(connection, project, name, tables[name])
                digest = _digest(connection, relation)
            else:
                source, digest = further[name]
                relation = file_relation(connection, source)
                connection.execute(f"SELECT count(COLUMNS(*)) FROM {relation.sql}")
            if len(relation.columns) > 1:  # else it says nothing of what it names
                relations[name], digests[f"further {name}"] = relation, digest
    return relations, digests


def _in_folder(location: str, wanted: _Wanted, own: Path) -> tuple[dict[str, FileSource], list[str]]:
    """The sources of a folder, or of what lies under an address, which is brought into one first."""
    folder, left = Path(location), []
    if location.startswith(S3):
        folder = own / "objects"
        left = copy_objects(location, wanted, folder)
    sources, unread = folder_sources(folder, wanted)
    of_lakes, others = lake_sources(folder, wanted, own / "lakes", sources)
    return sources | of_lakes, [*left, *unread, *others]


class _Wanted(Container[object]):
    """Names of relations that feed a table: by its own name, by the mapping, or by a query that speaks of them."""

    def __init__(self, project: Project) -> None:
        self.names = {name for name in TABLES if name not in project.tables}
        for name, mapping in project.tables.items():
            self.names |= {(mapping.source or name).lower()} if mapping.query is None else set()
            self.names |= {target.rpartition(".")[0].lower() for target in mapping.parents.values()}
        self.queries = "\n".join(mapping.query for mapping in project.tables.values() if mapping.query).lower()

    def __contains__(self, relation: object) -> bool:
        name = str(relation)
        last = re.escape(name.lower().rpartition(".")[2])
        return name.lower() in self.names or bool(re.search(rf"(?<!\w){last}(?!\w)", self.queries))


def _duckdb_tables(connection: Connection, path: Path) -> dict[str, str]:
    if not is_duckdb_file(path):
        raise SourceUnreadable(f"{path}: neither a folder nor a DuckDB file")
    return attach(connection, path)


def _described(connection: Connection, place: str, sql: str, *, is_csv: bool = False) -> Relation:
    try:
        described = connection.execute(f"DESCRIBE FROM {sql}").fetchall()
    except duckdb.Error as error:
        raise unreadable(place, error) from error
    columns = {name: physical for name, physical, *_ in described if name != ROW}
    return Relation(place, sql, columns, is_csv)


def _table_relation(connection: Connection, project: Project, name: str, sql: str) -> Relation:
    return _described(connection, f"{project.location}, table {name!r}", numbered(sql))


def _digest(connection: Connection, relation: Relation) -> str:
    try:
        return relation_digest(connection, relation.sql, relation.columns)
    except duckdb.PermissionException as error:
        reason = "it is a view that reads a file outside of the database: make it a table"
        raise SourceUnreadable(f"{relation.place}: cannot be read: {reason}") from error
    except duckdb.Error as error:
        raise unreadable(relation.place, error) from error


def file_relation(connection: Connection, source: FileSource) -> Relation:
    """All files of a source as one relation; its parts too, where they are several, or large, and read alike."""
    place = str(source.place)
    whole = _described(connection, place, source.rows(), is_csv=source.is_csv)
    is_large = sum(part.stat().st_size for part in source.parts) >= LARGE_BYTES
    parts = source.single_parts() if len(source.parts) > 1 or is_large else ()
    if not source.is_csv and any(_described(connection, place, part.sql).columns != whole.columns for part in parts):
        parts = ()
    return replace(whole, parts=tuple(parts))


def _show(connection: Connection, name: str, relation: Relation) -> None:
    """Make a relation a view of its own name, for queries of the project file."""
    schema, _, table = name.rpartition(".")
    if schema:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
    view = f"{quoted(schema)}.{quoted(table)}" if schema else quoted(table)
    columns = ", ".join(
        f"{raw(quoted(column), family_of(physical), is_csv=True, name=column)} AS {quoted(column)}"
        if relation.is_csv
        else quoted(column)
        for column, physical in relation.columns.items()
    )
    connection.execute(f"CREATE VIEW {view} AS SELECT {columns} FROM {relation.sql}")


def query_relation(connection: Connection, table: str, query: str) -> Relation:
    """A query of the project file as a relation: one SELECT, and nothing else."""
    place = f"[tables.{table}] query"
    try:
        statements = connection.extract_statements(query)
    except duckdb.Error as error:
        raise ConfigurationError(f"{place}: {first_line(error)}") from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise ConfigurationError(f"{place}: must be one SELECT, and nothing else")
    view = f"{OWN}.{quoted(f'query {table}')}"
    try:
        connection.execute(f"CREATE VIEW {view} AS {query}")
    except duckdb.Error as error:
        raise ConfigurationError(f"{place}: {first_line(error)}{_candidates(error)}") from error
    return _described(connection, place, numbered(view))


def _candidates(error: duckdb.Error) -> str:
    """The columns that the engine would have known in place of one that is not there."""
    match = re.search(r"^(Candidate bindings: .*)$", str(error), re.MULTILINE)
    return f". {match[1]}" if match else ""


def _base(project: Project, digests: Mapping[str, str]) -> str:
    """Digest of the input, the mapping, and what the reading of both depends on."""
    mapping = {
        name: [
            m.source, dict(m.columns), {k: str(v) for k, v in m.constants.items()}, m.query, dict(m.epoch),
            {column: dict(words) for column, words in m.values.items()},
            m.key, list(m.parents.items()), m.leave_out, dict(m.words),
        ]
        for name, m in project.tables.items()
    }  # fmt: skip
    mapping |= {f"source {name}": [repr(reader)] for name, reader in project.readers.items()}
    outcomes = [f"{name}: {of.outcome.text}" for name, of in project.models.items() if of.outcome]
    mapping["own features"] = [repr(project.features), *outcomes]
    content = [FORM, CONTRACT_VERSION, repr(TABLES), SENTIMENT_VERSION, dict(digests), mapping]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
