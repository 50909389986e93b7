"""Staging of a request's rows, in memory: the same check and the same form as for staged tables.

Statements are prepared once per thread and table, since planning them costs more than running them on a handful of
rows. A request is a transaction that is rolled back: nothing of it stays. References are left alone, because what they
point to need not be in the request.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import duckdb
import narwhals as nw
import polars as pl

from vouch.features.asof import Tables
from vouch.features.contract.casts import literal, quoted
from vouch.features.contract.checks import Input, check_sql, checked_columns
from vouch.features.contract.tables import TABLES
from vouch.features.engines import OWN
from vouch.features.errors import DataError, MissingTable, UsageError, did_you_mean
from vouch.features.ingest.files import ROW
from vouch.features.ingest.stage_table import TEXTS, accepted, contract_form, parsed
from vouch.features.ingest.texts.learned_tone import known_at
from vouch.features.sentiment.polarity import polarity, polarity_from_rating

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from vouch.features.contract.tables import Table
    from vouch.features.ingest.texts.learned_tone import Learned

ROWS_ENGINES = ("polars", "duckdb")
_INSTANT = f"{OWN}.moment"
_NO_ROWS = "[]"
_FIGURES = ("rows", "quarantined", "cells", "repaired", "duplicates", "orphans")
_THREAD = threading.local()


def tables_from_rows(
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    now_us: int,
    engine: str = "polars",
    columns: Mapping[str, frozenset[str]] | None = None,
    learned: Learned | None = None,
    own: Mapping[str, Table] | None = None,
) -> tuple[Tables, dict[str, Any]]:
    """Check rows in canonical form as if a company had handed them over, and return them with the report.

    Args:
        rows: rows by table; texts, numbers, true, false and null as JSON has them, times as ISO 8601.
        now_us: the moment of the request.
        engine: `polars` or `duckdb`.
        columns: the contract columns that count as handed over, by table. By default those that any row names, and
            all of them for a table without rows.
        learned: the models of texts that the company's tables were staged with; without them the lexicon judges.
        own: the company's own tables, and those of the contract to which it adds columns, as they were staged.

    Returns:
        The tables, and the figures by table as for `vouch check`; a row that breaks the contract is left out, and
        counted.

    Raises:
        MissingTable: without `customers`.
        UsageError: for a table or engine that is none of ours.
        DataError: for a text that is not Unicode.
    """
    known = {**TABLES, **(own or {})}
    for name in rows:
        if name not in known:
            raise UsageError(f"There is no table {name!r} in the contract{did_you_mean(name, known)}")
    if "customers" not in rows:
        raise MissingTable("There are no rows of 'customers'")
    if engine not in ROWS_ENGINES:
        raise UsageError(f"Rows are opened on {' or '.join(ROWS_ENGINES)}, not on {engine!r}")
    texts = {name: _as_json(rows[name]) for name in sorted(rows, key=_order)}
    given = {name: _columns(known[name], rows[name], columns) for name in texts}
    if not hasattr(_THREAD, "statements") or _THREAD.statements.tables != known:
        _THREAD.statements = _Statements(known)
    formed, figures = _THREAD.statements.run(texts, now_us)
    formed = {name: _judged(name, form, learned) for name, form in formed.items()}
    fingerprint = hashlib.sha256(json.dumps([texts, now_us]).encode()).hexdigest()
    frames = _frames(formed, engine)
    tables = Tables(frames=frames, columns=given, fingerprint=fingerprint, engine=engine, own=own or {})
    return tables, {"tables": figures}


def _order(name: str) -> tuple[bool, str]:
    """Customers first: the rows of the others are held against them."""
    return name != "customers", name


def _columns(
    table: Table, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, frozenset[str]] | None
) -> frozenset[str]:
    contract = table.columns.keys()
    if columns is not None:
        return frozenset(columns[table.name])
    return frozenset(contract & set().union(*rows)) if rows else frozenset(contract)


def _as_json(rows: Sequence[Mapping[str, Any]]) -> str:
    try:
        text = json.dumps([{key: _plain(value) for key, value in row.items()} for row in rows], ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError("A text of the request holds half a surrogate pair, which is not Unicode") from error
    return text


def _plain(value: Any) -> Any:
    """A value as JSON can hold it; what JSON does not know stands as its text, and the check judges that."""
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)


def _frames(tables: Mapping[str, pa.Table], engine: str) -> dict[str, nw.LazyFrame[Any]]:
    if engine == "polars":
        return {name: nw.from_native(pl.DataFrame(table).lazy()) for name, table in tables.items()}
    connection = duckdb.connect(":memory:", config={"threads": 1})
    return {name: nw.from_native(connection.from_arrow(table)) for name, table in tables.items()}


class _Statements:
    """The engine of one thread, with what it has prepared so far for these tables."""

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self.tables = tables
        self.connection = duckdb.connect(":memory:", config={"threads": 1, "python_enable_replacements": False})
        self.connection.execute("SET TimeZone = 'UTC'")
        # Otherwise every run of a prepared statement plans it again, at ten times the cost of running it; and so does
        # a parameter that stands deep inside, hence the table that holds the moment of the request.
        self.connection.execute("PRAGMA disable_optimizer")
        self.connection.execute("SET enable_external_access = false")
        self.connection.execute(f"CREATE SCHEMA {OWN}")
        self.connection.execute(f"CREATE TABLE {_INSTANT} (now_us BIGINT)")
        # A change of the catalogue makes every statement that was prepared before it plan itself anew: tables first.
        for table in tables.values():
            self.connection.execute(f"CREATE TEMP TABLE {parsed(table.name)} ({checked_columns(table)})")
        self.prepared: set[str] = set()
        self.empty: dict[str, pa.Table] = {}

    def run(self, texts: Mapping[str, str], now_us: int) -> tuple[dict[str, pa.Table], dict[str, Any]]:
        """Check and form the tables of one request; `texts` holds the rows of each as JSON, customers first."""
        for name in texts:
            self._prepare(name)
        self.connection.execute("BEGIN")
        try:
            self.connection.execute(f"INSERT INTO {_INSTANT} VALUES ({now_us})")
            for name, text in texts.items():
                if text != _NO_ROWS:
                    self.connection.execute(f"EXECUTE read_{name}({literal(text)})")
            return self._formed(texts)
        finally:
            self.connection.execute("ROLLBACK")

    def _formed(self, texts: Mapping[str, str]) -> tuple[dict[str, pa.Table], dict[str, Any]]:
        formed: dict[str, pa.Table] = {}
        figures: dict[str, Any] = {}
        for name, text in texts.items():
            if text == _NO_ROWS:
                formed[name], figures[name] = self._nothing(name), {**dict.fromkeys(_FIGURES, 0), "reasons": {}}
                continue
            rows, refused, repaired, problems, repeats = self.connection.execute(f"EXECUTE count_{name}").fetchall()[0]
            formed[name] = self._form(name, bool(repeats))
            known = set(formed["customers"]["customer_id"].to_pylist())
            owner = self.tables[name].customer
            owners = formed[name][owner].drop_null().to_pylist() if owner else []
            counts = (
                rows,
                refused,
                sum(problem["scope"] == "cell" for problem in problems or []),
                repaired,
                rows - refused - formed[name].num_rows,
                sum(customer not in known for customer in owners),
            )
            reasons = Counter(problem["reason"] for problem in problems or [])
            figures[name] = {**dict(zip(_FIGURES, counts, strict=True)), "reasons": dict(sorted(reasons.items()))}
        return formed, figures

    def _form(self, name: str, repeats: bool) -> pa.Table:
        statement = f"versions_{name}" if repeats else f"form_{name}"
        return self.connection.sql(f"EXECUTE {statement}").to_arrow_table()

    def _nothing(self, name: str) -> pa.Table:
        """A table without rows, made once."""
        if name not in self.empty:
            self.empty[name] = self._form(name, repeats=False)
        return self.empty[name]

    def _prepare(self, name: str) -> None:
        """Prepare what checks rows of JSON, what counts the outcome, and what gives contract form."""
        if name in self.prepared:
            return
        table = self.tables[name]
        structure = literal(json.dumps([dict.fromkeys(table.columns, "VARCHAR")]))
        items = f"(SELECT from_json(CAST($1 AS VARCHAR), {structure}) AS items)"
        numbered = f"unnest(range(len(items))) AS {quoted(ROW)}"
        source = f"(SELECT {numbered}, unnest(items, recursive := true) FROM {items})"
        inputs = {column: Input(quoted(column), "VARCHAR") for column in table.columns}
        query = check_sql(table, inputs, source, quoted(ROW), f"(SELECT now_us FROM {_INSTANT})")
        self.connection.execute(f"PREPARE read_{name} AS INSERT INTO {parsed(name)} {query}")
        key = quoted(table.key) if table.key else "NULL"
        repeats = f"count({key}) FILTER (NOT is_refused) > count(DISTINCT {key}) FILTER (NOT is_refused)"
        self.connection.execute(
            f"PREPARE count_{name} AS SELECT count(*), count(*) FILTER (is_refused), "
            "count(*) FILTER (is_repaired AND NOT is_refused), "
            f"flatten(list(problems) FILTER (problems IS NOT NULL)), {repeats} FROM {parsed(name)}"
        )
        rows = f"(SELECT * FROM {accepted(name)})"
        form = contract_form(table, rows, repeated=None, targets={}, has_polarity=False)
        self.connection.execute(f"PREPARE form_{name} AS {form}")
        if table.key:
            keys = f"(SELECT {quoted(table.key)} AS key FROM {accepted(name)})"
            versions = contract_form(table, rows, repeated=keys, targets={}, has_polarity=False)
            self.connection.execute(f"PREPARE versions_{name} AS {versions}")
        self.prepared.add(name)


def _judged(name: str, form: pa.Table, learned: Learned | None) -> pa.Table:
    """Add the polarity of texts, and of the ratings that win over them."""
    if name not in TEXTS:
        return form
    frame = pl.DataFrame(form)
    texts = frame[TEXTS[name]]
    judged = pl.Series([None] * len(frame), dtype=pl.Int64)
    if name == "feedback":
        judged = polarity_from_rating(frame["rating"], frame["rating_max"]).cast(pl.Int64)
        texts = pl.select(pl.when(judged.is_null()).then(texts)).to_series()
    if texts.count():
        tones = learned.polarity(texts, frame.select(known_at(name)).to_series()) if learned else polarity(texts)
        judged = pl.select(pl.coalesce(judged, tones.cast(pl.Int64))).to_series()
    return frame.with_columns(judged.alias("polarity")).to_arrow()
