"""The contract check, as SQL made from the contract: which rows are accepted or refused, which cells nulled.

One query per table reads raw rows and gives every row back in contract form, with `is_refused`, the list of its
`problems` and, where there are any, the raw row as JSON. Nothing is dropped here: what becomes of a row is decided by
who reads the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vouch.features.contract.casts import (
    LABELLED,
    STAGED_TYPES,
    endless,
    family_of,
    literal,
    null_word,
    other_unit,
    quoted,
    raw,
    sql_texts,
    value,
    why_unreadable,
)
from vouch.features.contract.tables import DAY_US, NO_END_US

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vouch.features.contract.casts import Family
    from vouch.features.contract.tables import Column, Table


Scope = Literal["row", "cell", "repair", "count"]
"""What a problem is of: a row is refused, a cell emptied, a row repaired, or something merely counted."""
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
class RowRule:
    """A condition on a whole row: over columns in contract form where it refuses the row, over values where it mends.

    `repair` is the value that a mended column takes.
    """

    column: str
    reason: str
    condition: str
    repair: str = ""


def row_rules(table: Table, now_us: str) -> list[RowRule]:
    """Rules of a table's rows. `now_us` is an SQL expression."""
    clock = table.clock[0]
    rules = [
        RowRule(clock, "before_1970", "own_us < 0"),
        RowRule(clock, "after_ingestion", f"own_us - {DAY_US} > ingested_us"),
        RowRule(clock, "in_the_future", f"own_us - {DAY_US} > {now_us}"),
    ]
    if not table.columns[clock].is_required:
        rules.insert(0, RowRule(clock, "missing_time", "own_us IS NULL"))
    rules += [RowRule(c.name, "time_runs_backwards", f"{quoted(c.staged)} < own_us") for c in table.dates()]
    if table.name == "surveys":
        rules += [
            RowRule("scale_min", "scale_empty", "scale_min >= scale_max"),
            RowRule("score", "outside_scale", "scale_min < scale_max AND (score < scale_min OR score > scale_max)"),
            RowRule("score", "answered_without_score", "status = 'answered' AND score IS NULL"),
        ]
    return rules


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
        cases.append(f"WHEN {read} NOT IN ({sql_texts(column.values)}) THEN 'unknown_value'")
    limits = [f"{read} < {column.minimum:g}"] if column.minimum is not None else []
    limits += [f"{read} > {column.maximum:g}"] if column.maximum is not None else []
    if limits:
        cases.append(f"WHEN {' OR '.join(limits)} THEN 'out_of_range'")
    if column.kind == "probability":
        cases.append(f"WHEN {read} NOT BETWEEN 0 AND 1 THEN 'out_of_range'")
    if (table.name, column.name) == ("feedback", "rating"):
        cases.append(f"WHEN {read} > {quoted('value rating_max')} THEN 'outside_scale'")
    return f"CASE {' '.join(cases)} END"


def repairs(table: Table, inputs: Mapping[str, Input]) -> list[RowRule]:
    """What is mended in a table's rows, where the value that is meant is certain. Conditions never are null."""
    rules = [
        RowRule(c.name, "no_end", f"{_value(c)} >= {NO_END_US}", f"CAST(NULL AS {STAGED_TYPES['time']})")
        for c in table.open_dates()
        if c.name in inputs
    ]
    for name, given in inputs.items():
        column, cell = table.columns[name], quoted(f"raw {name}")
        if column.kind == "time" and given.epoch:
            is_other = f"{_value(column)} IS NOT NULL AND {other_unit(cell, given.family, given.epoch)}"
            rules.append(RowRule(name, "epoch_unit", is_other, _value(column)))
        if (table.name, name) in LABELLED and given.family in {"text", "bytes"}:
            is_read = f"{_value(column)} IS NOT NULL AND TRY_CAST({cell} AS DOUBLE) IS NULL"
            rules.append(RowRule(name, "label_read", is_read, _value(column)))
    return [*rules, *_of_what_went_back()] if table.name == "transactions" else rules


def _of_what_went_back() -> list[RowRule]:
    """A refund and a credit note, a purchase below 0, take off money and margin, whatever the signs of either."""
    kind, amount, margin = ('"value kind"', '"value amount"', '"value gross_margin"')
    is_refunded = f"coalesce({kind} = 'refund' AND {amount} > 0, false)"
    is_credited = f"coalesce({kind} = 'purchase' AND {amount} < 0, false)"
    is_back = f"(coalesce({kind} = 'refund', false) OR {is_credited})"
    return [
        RowRule("amount", "refund_negated", is_refunded, f"-{amount}"),
        RowRule("gross_margin", "margin_negated", f"{is_back} AND coalesce({margin} > 0, false)", f"-{margin}"),
        RowRule("kind", "credit_note", is_credited, "'refund'"),
    ]


def _value(column: Column) -> str:
    return quoted(f"value {column.name}")


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
        ("notes", 'STRUCT("column" VARCHAR, reason VARCHAR, "value" VARCHAR)[]'),
    ]
    return ", ".join(f"{quoted(name)} {kind}" for name, kind in [("row", "BIGINT"), *staged, *added])


def _staged_value(table: Table, column: Column, mended: Sequence[RowRule]) -> str:
    """A cell as it is staged: nulled where it is broken, mended where what is meant is certain, else as it was read."""
    as_read = f"CASE WHEN {quoted(f'problem {column.name}')} IS NULL THEN {_value(column)} END"
    if (table.name, column.name) == ("surveys", "item"):
        as_read = f"regexp_replace(lower({as_read}), '[\\s_-]+', '_', 'g')"
    cases = " ".join(f"WHEN {rule.condition} THEN {rule.repair}" for rule in mended if rule.column == column.name)
    return f"{f'CASE {cases} ELSE {as_read} END' if cases else as_read} AS {quoted(column.staged)}"


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
        `is_repaired`, `is_refused`, `problems` (a list of scope, column, reason; null without any), `raw` (JSON) and
        `notes` (a list of column, reason, value: what was mended, and words that were read as nothing).
    """
    columns = list(table.columns.values())
    absent = Input("NULL", '"NULL"')
    given = {c.name: inputs.get(c.name, absent) for c in columns}
    raws = [f"{raw(i.expression, i.family, is_csv=i.is_csv, name=n)} AS {quoted(f'raw {n}')}" for n, i in given.items()]
    worded = {n: null_word(i.expression, i.family, is_csv=i.is_csv, name=n) for n, i in given.items()}
    raws += [f"{word} AS {quoted(f'word {name}')}" for name, word in worded.items() if word]
    values = [f"{_read(table, c, given[c.name])} AS {_value(c)}" for c in columns]
    mended = repairs(table, inputs)
    problems = [
        f"{_column_problem(table, c, given[c.name].family)} AS {quoted(f'problem {c.name}')}"
        for c in columns
        if c.name in inputs
    ]
    problems += [f"CAST(NULL AS VARCHAR) AS {quoted(f'problem {c.name}')}" for c in columns if c.name not in inputs]
    staged = [_staged_value(table, c, mended) for c in columns]
    clock = ", ".join(quoted(table.columns[name].staged) for name in table.clock)
    layers = [
        f"SELECT {row} AS row, {', '.join(raws)} FROM {source}",
        f"SELECT *, {', '.join(values)} FROM (@)",
        f"SELECT *, {', '.join(problems)} FROM (@)",
        f"SELECT *, {', '.join(staged)}, {_any(rule.condition for rule in mended)} AS is_repaired FROM (@)",
        f"SELECT * REPLACE (coalesce(is_deleted, false) AS is_deleted), coalesce({clock}) AS own_us FROM (@)",
        f"SELECT *, {_judgement(table, now_us)} FROM (@)",
        _answer(table, inputs, now_us, _notes(mended, [name for name, word in worded.items() if word])),
    ]
    query = layers[0]
    for layer in layers[1:]:
        query = layer.replace("@", f"\n{query}\n", 1)
    return query


def _read(table: Table, column: Column, given: Input) -> str:
    is_labelled = (table.name, column.name) in LABELLED
    cell = quoted(f"raw {column.name}")
    read = value(column, cell, given.family, given.epoch, is_labelled=is_labelled)
    is_endless = endless(cell, given.family) if column in table.open_dates() else None
    return f"CASE WHEN {is_endless} THEN {NO_END_US} ELSE {read} END" if is_endless else read


def _any(conditions: Iterable[str]) -> str:
    return " OR ".join(f"({condition}) IS TRUE" for condition in conditions) or "false"


def _notes(mended: Sequence[RowRule], worded: Sequence[str]) -> str:
    """The list of what was mended and of words that were read as nothing, null without any."""
    notes = [(rule.condition, rule.column, rule.reason, quoted(f"raw {rule.column}")) for rule in mended if rule.reason]
    words_of = {name: quoted(f"word {name}") for name in worded}
    notes += [(f"{word} IS NOT NULL", name, "null_word", word) for name, word in words_of.items()]
    if not notes:
        return "NULL"
    listed = ", ".join(
        f"CASE WHEN ({condition}) IS TRUE THEN "
        f"{{'column': {literal(name)}, 'reason': {literal(reason)}, 'value': CAST({cell} AS VARCHAR)}} END"
        for condition, name, reason, cell in notes
    )
    listed = f"list_filter([{listed}], lambda note: note IS NOT NULL)"
    return f"CASE WHEN {_any(condition for condition, *_ in notes)} THEN {listed} END"


def _judgement(table: Table, now_us: str) -> str:
    """Flags per row: one per rule, whether the row is refused, whether any optional cell is broken."""
    required = [f"{quoted(f'problem {c.name}')} IS NOT NULL" for c in table.required()]
    conditions = [f"({rule.condition}) IS TRUE" for rule in row_rules(table, now_us)]
    optional = [f"{quoted(f'problem {c.name}')} IS NOT NULL" for c in table.columns.values() if not c.is_required]
    refused = " OR ".join([*required, *conditions])
    return f"({refused}) AS is_refused, ({' OR '.join(optional)}) AS is_nulled"


def _answer(table: Table, inputs: Mapping[str, Input], now_us: str, notes: str) -> str:
    problems = [
        f"CASE WHEN {quoted(f'problem {c.name}')} IS NOT NULL THEN "
        f"{_problem('row' if c.is_required else 'cell', c.name, quoted(f'problem {c.name}'))} END"
        for c in table.columns.values()
    ]
    problems += [
        f"CASE WHEN {rule.condition} THEN {_problem('row', rule.column, literal(rule.reason))} END"
        for rule in row_rules(table, now_us)
    ]
    listed = f"list_filter([{', '.join(problems)}], lambda problem: problem IS NOT NULL)"
    as_handed_over = ", ".join(f"{quoted(name)} := {_json_value(name, i.family)}" for name, i in inputs.items())
    columns = ", ".join(quoted(name) for name in staged_columns(table))
    return (
        f"SELECT row, {columns}, own_us, coalesce(ingested_us, own_us) AS ingested_us, "
        "ingested_us IS NOT NULL AS is_stated, is_deleted, is_repaired, is_refused, "
        f"CASE WHEN is_refused OR is_nulled THEN {listed} END AS problems, "
        f"CASE WHEN is_refused OR is_nulled THEN CAST(to_json(struct_pack({as_handed_over})) AS VARCHAR) END AS raw, "
        f"{notes} AS notes FROM (@)"
    )


def _json_value(name: str, family: Family) -> str:
    """A raw value for JSON, which knows no NaN and no infinity: they stand as text."""
    given = quoted(f"raw {name}")
    if family != "float":
        return given
    return f"CASE WHEN isfinite({given}) THEN to_json({given}) ELSE to_json(CAST({given} AS VARCHAR)) END"


def _problem(scope: Scope, column: str, reason: str) -> str:
    return f"{{'scope': {literal(scope)}, 'column': {literal(column)}, 'reason': {reason}}}"
