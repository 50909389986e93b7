"""The contract check as SQL made from the contract: which rows are accepted, which are refused, which cells are nulled.

One query per table reads raw rows and gives every row back in contract form, with `is_refused`, the list of its
`problems` and, where there are any, the raw row as JSON. Nothing is dropped here: what becomes of a row is decided by
who reads the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vouch.features.contract.casts import STAGED_TYPES, family_of, literal, quoted, raw, value, why_unreadable, words
from vouch.features.contract.tables import DAY_US

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.contract.casts import Family
    from vouch.features.contract.tables import Column, Table

Scope = Literal["row", "cell", "repair", "count"]
LARGEST = "100000000000000"
"""Money and numbers are below this: they stand as DECIMAL(18,4)."""


@dataclass(frozen=True)
class Reason:
    """Why a row was refused or a cell nulled, or what was repaired or merely counted.

    The scope of an unreadable cell is `cell` where the column is optional, and `row` where it is required.
    """

    code: str
    scope: Scope
    message: str


_REASONS = [
    Reason("missing", "row", "A required value, or the key, is missing"),
    Reason("missing_time", "row", "None of the columns that give the own time holds a time"),
    Reason("before_1970", "row", "The own time lies before 1970"),
    Reason("after_ingestion", "row", "The own time lies more than a day after ingested_at"),
    Reason("in_the_future", "row", "The own time lies more than a day after the run's now"),
    Reason("time_runs_backwards", "row", "A later date lies before the own time"),
    Reason("scale_empty", "row", "scale_min is not below scale_max"),
    Reason("outside_scale", "row", "The value lies outside its scale"),
    Reason("answered_without_score", "row", "The status is answered, and there is no score"),
    Reason("not_text", "cell", "Cannot be read as text"),
    Reason("not_a_time", "cell", "Cannot be read as a time"),
    Reason("not_a_number", "cell", "Cannot be read as a number"),
    Reason("not_a_whole_number", "cell", "Is not a whole number"),
    Reason("not_a_boolean", "cell", "Is not one of true/false, t/f, yes/no, 1/0"),
    Reason("not_finite", "cell", "Is not a finite number"),
    Reason("too_large", "cell", f"Is not below {LARGEST} in size"),
    Reason("nul_character", "cell", "Holds a NUL character"),
    Reason("unknown_value", "cell", "Is not one of the values that the contract knows"),
    Reason("out_of_range", "cell", "Lies outside what is possible"),
    Reason("refund_negated", "repair", "A refund with a positive amount was negated"),
    Reason("dangling_reference", "count", "Points to nothing, and was nulled"),
    Reason("tied_versions", "count", "Another version of the key has the same ingested_at; ordered by content"),
    Reason("before_created_at", "count", "Lies before the customer was created"),
    Reason("other_scale", "count", "An nps answer on another scale than 0 to 10; stays out of NPS"),
]
REASONS: Mapping[str, Reason] = {reason.code: reason for reason in _REASONS}
UNREADABLE = ("not_text", "not_a_time", "not_a_number", "not_a_boolean", "unknown_value")
"""Reasons that tell of a wrong type when no value of a column can be read."""


@dataclass(frozen=True)
class Input:
    """One contract column as the source gives it: an SQL expression, its physical type, the unit of epoch numbers."""

    expression: str
    physical: str
    epoch: str | None = None
    is_csv: bool = False

    @property
    def family(self) -> Family:
        """What sort of physical type it is."""
        return family_of(self.physical)


@dataclass(frozen=True)
class Rule:
    """A condition on a whole row, over columns in contract form, that makes it refused."""

    column: str
    reason: str
    condition: str


def rules(table: Table, now_us: str) -> list[Rule]:
    """Rules of a table's rows. `now_us` is an SQL expression."""
    clock = table.clock[0]
    found = [
        Rule(clock, "before_1970", "own_us < 0"),
        Rule(clock, "after_ingestion", f"own_us - {DAY_US} > ingested_us"),
        Rule(clock, "in_the_future", f"own_us - {DAY_US} > {now_us}"),
    ]
    if not table.columns[clock].is_required:
        found.insert(0, Rule(clock, "missing_time", "own_us IS NULL"))
    found += [Rule(c.name, "time_runs_backwards", f"{quoted(c.staged)} < own_us") for c in table.dates()]
    if table.name == "surveys":
        found += [
            Rule("scale_min", "scale_empty", "scale_min >= scale_max"),
            Rule("score", "outside_scale", "scale_min < scale_max AND (score < scale_min OR score > scale_max)"),
            Rule("score", "answered_without_score", "status = 'answered' AND score IS NULL"),
        ]
    return found


def _column_problem(table: Table, column: Column, family: Family) -> str:
    """SQL for the reason why one cell is broken, null where it is not."""
    given, read = quoted(f"raw {column.name}"), quoted(f"value {column.name}")
    cases = []
    if column.is_required:
        cases.append(f"WHEN {given} IS NULL THEN 'missing'")
    cases.append(f"WHEN {given} IS NOT NULL AND {read} IS NULL THEN {why_unreadable(column, given, family)}")
    if column.kind == "text":
        cases.append(f"WHEN contains({read}, chr(0)) THEN 'nul_character'")
    if column.values:
        cases.append(f"WHEN {read} NOT IN ({words(column.values)}) THEN 'unknown_value'")
    limits = [f"{read} < {column.minimum:g}"] if column.minimum is not None else []
    limits += [f"{read} > {column.maximum:g}"] if column.maximum is not None else []
    if limits:
        cases.append(f"WHEN {' OR '.join(limits)} THEN 'out_of_range'")
    if column.kind == "probability":
        cases.append(f"WHEN {read} NOT BETWEEN 0 AND 1 THEN 'out_of_range'")
    if (table.name, column.name) == ("feedback", "rating"):
        cases.append(f"WHEN {read} > {quoted('value rating_max')} THEN 'outside_scale'")
    return f"CASE {' '.join(cases)} END"


def staged_columns(table: Table) -> list[str]:
    """Names of a table's own columns in contract form."""
    return [column.staged for column in table.columns.values() if column.name not in {"ingested_at", "is_deleted"}]


def checked_columns(table: Table) -> str:
    """Names and types of what `check_sql` gives, as in CREATE TABLE."""
    staged = [(c.staged, STAGED_TYPES[c.kind]) for c in table.columns.values() if c.staged in staged_columns(table)]
    added = [
        *[("own_us", "BIGINT"), ("ingested_us", "BIGINT")],
        *[(name, "BOOLEAN") for name in ("is_stated", "is_deleted", "is_repaired", "is_refused")],
        *[("problems", 'STRUCT(scope VARCHAR, "column" VARCHAR, reason VARCHAR)[]'), ("raw", "VARCHAR")],
    ]
    return ", ".join(f"{quoted(name)} {kind}" for name, kind in [("row", "BIGINT"), *staged, *added])


def _staged_value(table: Table, column: Column) -> str:
    kept = f"CASE WHEN {quoted(f'problem {column.name}')} IS NULL THEN {quoted(f'value {column.name}')} END"
    if table.name == "transactions" and column.name in {"amount", "gross_margin"}:
        kept = f"CASE WHEN {_POSITIVE_REFUND} THEN -abs({kept}) ELSE {kept} END"
    return f"{kept} AS {quoted(column.staged)}"


_POSITIVE_REFUND = """"value kind" = 'refund' AND "value amount" > 0"""


def check_sql(table: Table, inputs: Mapping[str, Input], source: str, row: str, now_us: str) -> str:
    """SQL that reads the rows of one table from `source` and judges each.

    Args:
        table: the table of the contract.
        inputs: the contract columns that are there; the others are null throughout.
        source: what stands behind FROM.
        row: SQL expression of the 0-based number of a row in its source.
        now_us: SQL expression of the run's now, in microseconds.

    Returns:
        A SELECT of `row`, the columns in contract form, `own_us`, `ingested_us`, `is_stated`, `is_deleted`,
        `is_repaired`, `is_refused`, `problems` (a list of scope, column, reason; null without any) and `raw` (JSON).
    """
    columns = list(table.columns.values())
    absent = Input("NULL", '"NULL"')
    given = {c.name: inputs.get(c.name, absent) for c in columns}
    raws = [f"{raw(i.expression, i.family, is_csv=i.is_csv)} AS {quoted(f'raw {n}')}" for n, i in given.items()]
    values = [
        f"{value(c, quoted(f'raw {c.name}'), given[c.name].family, given[c.name].epoch)} AS {quoted(f'value {c.name}')}"
        for c in columns
    ]
    problems = [
        f"{_column_problem(table, c, given[c.name].family)} AS {quoted(f'problem {c.name}')}"
        for c in columns
        if c.name in inputs
    ]
    problems += [f"CAST(NULL AS VARCHAR) AS {quoted(f'problem {c.name}')}" for c in columns if c.name not in inputs]
    staged = [_staged_value(table, c) for c in columns]
    clock = ", ".join(quoted(table.columns[name].staged) for name in table.clock)
    layers = [
        f"SELECT {row} AS row, {', '.join(raws)} FROM {source}",
        f"SELECT *, {', '.join(values)} FROM (@)",
        f"SELECT *, {', '.join(problems)} FROM (@)",
        f"SELECT *, {', '.join(staged)}, {_repaired(table)} AS is_repaired FROM (@)",
        f"SELECT * REPLACE (coalesce(is_deleted, false) AS is_deleted), coalesce({clock}) AS own_us FROM (@)",
        f"SELECT *, {_judgement(table, now_us)} FROM (@)",
        _answer(table, inputs, now_us),
    ]
    query = layers[0]
    for layer in layers[1:]:
        query = layer.replace("@", f"\n{query}\n", 1)
    return query


def _repaired(table: Table) -> str:
    return f"coalesce({_POSITIVE_REFUND}, false)" if table.name == "transactions" else "false"


def _judgement(table: Table, now_us: str) -> str:
    """Flags per row: one per rule, whether the row is refused, whether any optional cell is broken."""
    required = [f"{quoted(f'problem {c.name}')} IS NOT NULL" for c in table.required()]
    conditions = [f"({rule.condition}) IS TRUE" for rule in rules(table, now_us)]
    optional = [f"{quoted(f'problem {c.name}')} IS NOT NULL" for c in table.columns.values() if not c.is_required]
    refused = " OR ".join([*required, *conditions])
    return f"({refused}) AS is_refused, ({' OR '.join(optional)}) AS is_nulled"


def _answer(table: Table, inputs: Mapping[str, Input], now_us: str) -> str:
    found = [
        f"CASE WHEN {quoted(f'problem {c.name}')} IS NOT NULL THEN "
        f"{_problem('row' if c.is_required else 'cell', c.name, quoted(f'problem {c.name}'))} END"
        for c in table.columns.values()
    ]
    found += [
        f"CASE WHEN {rule.condition} THEN {_problem('row', rule.column, literal(rule.reason))} END"
        for rule in rules(table, now_us)
    ]
    listed = f"list_filter([{', '.join(found)}], lambda problem: problem IS NOT NULL)"
    as_handed_over = ", ".join(f"{quoted(name)} := {_json_value(name, i.family)}" for name, i in inputs.items())
    columns = ", ".join(quoted(name) for name in staged_columns(table))
    return (
        f"SELECT row, {columns}, own_us, coalesce(ingested_us, own_us) AS ingested_us, "
        "ingested_us IS NOT NULL AS is_stated, is_deleted, is_repaired, is_refused, "
        f"CASE WHEN is_refused OR is_nulled THEN {listed} END AS problems, "
        f"CASE WHEN is_refused OR is_nulled THEN CAST(to_json(struct_pack({as_handed_over})) AS VARCHAR) END AS raw "
        "FROM (@)"
    )


def _json_value(name: str, family: Family) -> str:
    """A raw value for JSON, which knows no NaN and no infinity: they stand as text."""
    given = quoted(f"raw {name}")
    if family != "float":
        return given
    return f"CASE WHEN isfinite({given}) THEN to_json({given}) ELSE to_json(CAST({given} AS VARCHAR)) END"


def _problem(scope: Scope, column: str, reason: str) -> str:
    return f"{{'scope': {literal(scope)}, 'column': {literal(column)}, 'reason': {reason}}}"
