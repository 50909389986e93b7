"""The mapping of relations to tables of the contract: which column feeds what, settled before a row is read.

Whatever is certainly wrong is told here, so that a run does not stop after an hour: a missing table or column, a type
that cannot be meant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vouch.features.contract.casts import WANTED, literal, quoted, readable
from vouch.features.contract.checks import Input
from vouch.features.contract.tables import ACTIVITY_TABLES, TABLES
from vouch.features.errors import ConfigurationError, MissingColumn, MissingTable, WrongType, did_you_mean
from vouch.features.table_settings import TableMapping

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from vouch.features.contract.tables import Table
    from vouch.features.ingest.files import Relation
    from vouch.features.project import Project


@dataclass(frozen=True)
class TablePlan:
    """How one table is read: from which relation, each column from what; and what was said on the way."""

    table: Table
    relation: Relation
    inputs: Mapping[str, Input]
    warnings: tuple[str, ...] = ()
    recorded: TablePlan | None = None
    """Rows of the same table that the service has recorded; they are read beside the company's own."""
    further: tuple[str, ...] = ()
    """Columns of the relation that the contract does not know."""

    @property
    def columns(self) -> list[str]:
        """Columns of the contract that are handed over, by the company or by the service."""
        given = {*self.inputs, *(self.recorded.inputs if self.recorded else ())}
        return [name for name in self.table.columns if name in given]


def with_recorded(planned: Mapping[str, TablePlan], relations: Mapping[str, Relation]) -> dict[str, TablePlan]:
    """Return the plans with what the service has recorded, in relations that are named like the tables."""
    also = {name: _plan(TABLES[name], TableMapping(), relation) for name, relation in relations.items()}
    both = {name: replace(plan, recorded=also.get(name)) for name, plan in planned.items()}
    return {name: both.get(name) or also[name] for name in TABLES if name in both or name in also}


def plans(
    project: Project,
    relations: Mapping[str, Relation],
    ask: Callable[[str, str], Relation],
    beside: Collection[str] = (),
) -> dict[str, TablePlan]:
    """Say how each table that is there is read.

    `ask(table, query)` gives the relation of a query; `beside` names what lies there and feeds no table.
    Raises MissingTable, MissingColumn, WrongType and ConfigurationError.
    """
    planned = {}
    for name, table in TABLES.items():
        mapping = project.tables.get(name)
        relation = _relation(name, mapping, relations, ask)
        if relation is not None:
            planned[name] = _plan(table, mapping or TableMapping(), relation)
    if "customers" not in planned:
        told = _listed({*relations, *beside})
        mend = "`vouch init` proposes how they feed the tables" if beside else "Add it, or map it in vouch.toml"
        raise MissingTable(f"There is no table 'customers'{told}. {mend}.")
    if not any(name in planned for name in ACTIVITY_TABLES):
        wanted = " nor ".join(map(repr, ACTIVITY_TABLES))
        raise MissingTable(f"There is neither a table {wanted}{_listed({*relations, *beside})}. One of them is needed.")
    return planned


def _listed(names: Collection[str]) -> str:
    return f" (there are: {', '.join(sorted(names))})" if names else " (there is nothing that can be read)"


def _relation(
    name: str, mapping: TableMapping | None, relations: Mapping[str, Relation], ask: Callable[[str, str], Relation]
) -> Relation | None:
    if mapping is None:
        return _named(name, relations)
    if mapping.query is not None:
        return ask(name, mapping.query)
    source = mapping.source or name
    relation = _named(source, relations)
    if relation is None:
        raise ConfigurationError(f"[tables.{name}] from = {source!r}: no such source{did_you_mean(source, relations)}")
    return relation


def _named(name: str, relations: Mapping[str, Relation]) -> Relation | None:
    """The relation of that name, else the one whose name differs by the case of letters alone."""
    if name in relations:
        return relations[name]
    alike = [relation for other, relation in relations.items() if other.lower() == name.lower()]
    return alike[0] if len(alike) == 1 else None


def _plan(table: Table, mapping: TableMapping, relation: Relation) -> TablePlan:
    inputs: dict[str, Input] = {}
    warnings: list[str] = []
    used: set[str] = set()
    for column in table.columns.values():
        given = _input(table, column.name, mapping, relation, used)
        if given is None and column.is_required:
            raise MissingColumn(table.name, column.name, relation.columns)
        if given is None:
            continue
        if given.family not in readable(column, given.epoch):
            if column.is_required:
                raise WrongType(table.name, column.name, WANTED[column.kind], f"type {given.physical}")
            warnings.append(
                f"{table.name}.{column.name} is left out: type {given.physical} is not {WANTED[column.kind]}"
            )
            continue
        inputs[column.name] = given
    if not any(name in inputs for name in table.clock):
        raise MissingColumn(table.name, table.clock[0], relation.columns)
    further = tuple(name for name in relation.columns if name not in used)
    return TablePlan(table, relation, inputs, tuple(warnings), further=further)


def input_of(table: Table, column: str, mapping: TableMapping, relation: Relation) -> Input:
    """What feeds one column that is there. Raises MissingColumn where nothing does."""
    given = _input(table, column, mapping, relation, set())
    if given is None:
        raise MissingColumn(table.name, column, relation.columns)
    return given


def _input(table: Table, column: str, mapping: TableMapping, relation: Relation, used: set[str]) -> Input | None:
    """What feeds one column: a constant, the column that the mapping names, else the column of its own name."""
    epoch = mapping.epoch.get(column)
    if column in mapping.constants:
        return Input(*_constant(mapping.constants[column]), epoch=epoch)
    wanted = mapping.columns.get(column, column)
    source_column = relation.find(wanted)
    if source_column is None:
        if column in mapping.columns:
            raise ConfigurationError(
                f"[tables.{table.name}] columns: {relation.place} has no column {wanted!r}"
                f"{did_you_mean(wanted, relation.columns)}; there are: {', '.join(relation.columns)}"
            )
        return None
    used.add(source_column)
    physical, expression = relation.columns[source_column], quoted(source_column)
    if words := mapping.values.get(column):
        physical, expression = "VARCHAR", _meant(expression, words)
    return Input(expression, physical, epoch=epoch, is_csv=relation.is_csv)


def _meant(expression: str, words: Mapping[str, str]) -> str:
    """SQL for a value in the contract's words; one that is not listed stays as it is. Case of letters means nothing."""
    text = f"CAST({expression} AS VARCHAR)"
    cases = " ".join(f"WHEN {literal(word.strip().lower())} THEN {literal(meant)}" for word, meant in words.items())
    return f"CASE lower(trim({text})) {cases} ELSE {text} END" if cases else text


def _constant(constant: Any) -> tuple[str, str]:
    """SQL and physical type of a value that stands in the project file."""
    if isinstance(constant, bool):
        return str(constant).lower(), "BOOLEAN"
    return literal(str(constant)), "VARCHAR"
