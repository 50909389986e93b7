"""Plans of own tables: further tables and further columns as tables in contract form, with the lines made of them.

Nothing of it is read in another way than the contract's tables: each becomes a `Table` and a plan, is checked,
quarantined and staged like any other, and its features are made of lines.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from vouch.features.contract.casts import quoted
from vouch.features.contract.checks import Input
from vouch.features.contract.tables import TABLES, Column, Table
from vouch.features.errors import ConfigurationError, did_you_mean
from vouch.features.feature_settings import FeatureLine
from vouch.features.ingest.mapping import TablePlan, input_of
from vouch.features.ingest.own.chosen import OwnColumn, why_left_out
from vouch.features.ingest.own.derive import MOST_COLUMNS, lines_of_column, lines_of_customers, lines_of_rows
from vouch.features.ingest.own.joined import joined_query
from vouch.features.ingest.own.kinds import TAKEN, held_columns, name_of
from vouch.features.ingest.own.later import instant_of, later_dates
from vouch.features.ingest.own.outcome import Leavers, columns_revealing_dates, for_leavers
from vouch.features.ingest.own.proposed import Proposer, sources_of_proposed
from vouch.features.table_settings import NEEDED, TableMapping
from vouch.features.vectors.lines import own_features
from vouch.features.vectors.outcome_rows import check_outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from vouch.features.engines import Connection
    from vouch.features.ingest.files import Relation
    from vouch.features.ingest.own.kinds import Held
    from vouch.features.ingest.own.proposed import ProposedTable
    from vouch.features.project import Project

_ROLES: Mapping[str, Column] = {
    "customer_id": Column("customer_id", "text", True),
    "occurred_at": Column("occurred_at", "time", True),
    "ingested_at": Column("ingested_at", "time", False),
    "is_deleted": Column("is_deleted", "boolean", False),
}


@dataclass(frozen=True)
class OwnTables:
    """What was made of a company's own columns: the tables, the lines of their features, and what became of each."""

    tables: Mapping[str, Table] = field(default_factory=dict)
    lines: tuple[FeatureLine, ...] = ()
    verdicts: tuple[OwnColumn, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    """Where further tables were read from."""
    sources: tuple[str, ...] = ()
    """Sources of the company that further tables are made of."""

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON keeps it."""
        return {
            "tables": [
                {**asdict(table), "columns": [asdict(column) for column in table.columns.values()]}
                for table in self.tables.values()
            ],
            "lines": [line.as_dict() for line in self.lines],
            "verdicts": [verdict.as_dict() for verdict in self.verdicts],
            "places": dict(self.places),
            "sources": [*self.sources],
        }

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> OwnTables:
        """What JSON kept."""
        return cls(
            tables={table["name"]: _table_of(table) for table in raw["tables"]},
            lines=tuple(map(FeatureLine.of, raw["lines"])),
            verdicts=tuple(map(OwnColumn.of, raw["verdicts"])),
            places=raw["places"],
            sources=tuple(raw["sources"]),
        )


def _table_of(raw: Mapping[str, Any]) -> Table:
    columns = [Column(**{**column, "values": tuple(column["values"])}) for column in raw["columns"]]
    return Table(
        **{
            **raw,
            "clock": tuple(raw["clock"]),
            "columns": {column.name: column for column in columns},
            "later": {date: tuple(of) for date, of in raw["later"].items()},
            "undated": tuple(raw["undated"]),
            "free": tuple(raw["free"]),
            "references": {column: tuple(of) for column, of in raw["references"].items()},
        }
    )


def own_tables(
    connection: Connection,
    project: Project,
    planned: Mapping[str, TablePlan],
    relations: Mapping[str, Relation],
    ask: Callable[[str, str], Relation],
    free: Collection[str] = (),
) -> tuple[dict[str, TablePlan], OwnTables]:
    """Return the plans with own columns and tables, and what was made of them.

    `ask(table, query)` gives the relation of a query; `free` are relations that no table is made of.

    Raises ConfigurationError for settings that cannot be meant.
    """
    plans, made = dict(planned), _Made(connection, project, planned)
    for name, plan in planned.items():
        plans[name] = made.extended(plan)
    for name, mapping in project.tables.items():
        if name not in TABLES:
            plans[name] = made.further(name, mapping, relations, ask)
    proposed = made.proposed(free, relations, planned["customers"]) if free and project.features.own else {}
    for name, one in proposed.items():
        plans[name] = made.further(name, one.mapping, relations, ask)
    lines = (*made.lines, *project.features.lines)
    own_features(lines, made.tables)  # refuses what cannot be meant before a row is read
    counted = [_counted(verdict, [line for line in lines if _is_of(line, verdict)]) for verdict in made.verdicts]
    _check_named(project, made.verdicts, plans)
    check_outcomes(project.models, made.tables)
    return plans, OwnTables(made.tables, lines, tuple(counted), made.places, tuple(sources_of_proposed(proposed)))


def _is_of(line: FeatureLine, verdict: OwnColumn) -> bool:
    return line.table == verdict.table and (line.value or "") == verdict.column


def _counted(verdict: OwnColumn, lines: Sequence[FeatureLine]) -> OwnColumn:
    return replace(verdict, features=sum(len(line.days) or 1 for line in lines))


def _check_named(project: Project, verdicts: Sequence[OwnColumn], plans: Mapping[str, TablePlan]) -> None:
    """Raise ConfigurationError where `take` or `leave_out` names what is not there."""
    known = {f"{verdict.table}.{verdict.column}" for verdict in verdicts if verdict.column} | plans.keys()
    for key in ("take", "leave_out"):
        for named in getattr(project.features, key):
            if named not in known:
                raise ConfigurationError(f"[features] {key}: there is no {named!r}{did_you_mean(named, known)}")


class _Made:
    """What has been made of own columns so far."""

    def __init__(self, connection: Connection, project: Project, planned: Mapping[str, TablePlan]) -> None:
        self.connection, self.project, self.planned = connection, project, planned
        self.tables: dict[str, Table] = {}
        self.lines: list[FeatureLine] = []
        self.verdicts: list[OwnColumn] = []
        self.places: dict[str, str] = {}
        self.unfed: set[tuple[str, str]] = set()
        """Columns that are read because an outcome stands there, and feed nothing."""

    def proposed(
        self, free: Collection[str], relations: Mapping[str, Relation], customers: TablePlan
    ) -> dict[str, ProposedTable]:
        """The further tables that nobody declared, by name."""
        proposer = Proposer(self.connection, relations, customers)
        return proposer.all(free, self.tables.keys(), self.project.features.leave_out)

    def extended(self, plan: TablePlan) -> TablePlan:
        """The plan of a table of the contract with its further columns, where any is taken."""
        table, relation = plan.table, plan.relation
        if not plan.further:
            return plan
        if not self.project.features.own or not table.customer:
            return replace(plan, warnings=(*plan.warnings, _not_read(table.name, plan.further)))
        mapping = self.project.tables.get(table.name) or TableMapping()
        is_dated = table.name not in {"customers", "loyalty_members"}
        held = held_columns(self.connection, relation, dict.fromkeys(plan.further))
        dates = {date: instant_of(plan.inputs[date], date) for date in table.later if date in plan.inputs}
        customer, key = (plan.inputs.get(name or "") for name in (table.customer, table.key))
        outcomes, odd = self._outcomes(relation, customer, held, dates, key, is_dated=is_dated)
        others = {*table.columns}
        taken = self._taken(table.name, held, mapping, is_dated=is_dated, others=others, outcomes=outcomes)
        warnings = [*plan.warnings]
        if left := [name for name in plan.further if name not in taken.values()]:
            warnings.append(_not_read(table.name, left))
        if not taken:
            return replace(plan, warnings=tuple(warnings))
        columns = {name: Column(name, held[of].kind, False) for name, of in taken.items()}
        free = tuple(name for name, column in columns.items() if column.kind == "time")
        whole = replace(table, columns={**table.columns, **columns}, free=free)
        inputs = {name: input_of(whole, name, _naming(mapping, taken), relation) for name in taken}
        whole = replace(whole, later=self._later(plan, whole, inputs))
        words = {name: mapping.words[of] for name, of in taken.items() if of in mapping.words}
        for column in (of for of in columns.values() if (table.name, of.name) not in self.unfed):
            word = words.get(column.name)
            self.lines += (lines_of_column if is_dated else lines_of_customers)(table.name, column, word)
            if "ingested_at" not in plan.inputs and not is_dated:
                warnings.append(
                    f"{table.name}: without ingested_at {column.name} is today's value, at earlier instants too"
                )
        warnings += for_leavers(whole, odd, taken)
        self.tables[table.name] = whole
        return replace(plan, table=whole, inputs={**plan.inputs, **inputs}, warnings=tuple(warnings))

    @cached_property
    def _leavers(self) -> Leavers:
        return Leavers(self.connection, self.planned)

    def _outcomes(
        self,
        relation: Relation,
        customer: Input | None,
        held: Mapping[str, Held],
        dates: Mapping[str, str],
        key: Input | None,
        *,
        is_dated: bool,
    ) -> tuple[dict[str, str], list[str]]:
        """The columns that tell what came later, and how; and those that may, since they are filled for leavers alone.

        `dates` gives SQL for the later dates of the rows, `key` what versions of a row share.
        """
        given = {
            name: Input(quoted(name), relation.columns[name], is_csv=relation.is_csv)
            for name, of in held.items()
            if of.filled and not (of.kind == "text" and of.names_row)
        }
        revealing, waiting = columns_revealing_dates(self.connection, relation, dates, given, key)
        if customer is None:
            return revealing, []
        given = {name: of for name, of in given.items() if name not in waiting}
        of_leavers, odd = self._leavers.revealing_columns(relation, customer, given, is_dated=is_dated)
        return of_leavers | revealing, odd

    def _later(self, plan: TablePlan, whole: Table, inputs: Mapping[str, Input]) -> dict[str, tuple[str, ...]]:
        """The later dates of a table with what comes with them: what the contract says, and what the rows say."""
        own = {name: given for name, given in inputs.items() if whole.columns[name].kind == "time"}
        known = {date: plan.inputs[date] for date in whole.later if date in plan.inputs}
        clock = next((instant_of(plan.inputs[name], name) for name in whole.clock if name in plan.inputs), None)
        if clock is None:
            return dict(whole.later)
        later = later_dates(self.connection, plan.relation, clock, {**known, **own}, inputs)
        staged = {name: whole.columns[name].staged for name in inputs}
        coming = {date: tuple(staged[name] for name in of if name in staged) for date, of in later.items()}
        return {date: (*whole.later.get(date, ()), *coming.get(date, ())) for date in {**whole.later, **coming}}

    def further(
        self, name: str, mapping: TableMapping, relations: Mapping[str, Relation], ask: Callable[[str, str], Relation]
    ) -> TablePlan:
        """The plan of a table that is none of the contract's."""
        relation, keys = self._relation(name, mapping, relations, ask)
        self.places[name] = PurePath(relation.place).name
        key, named, roles = None, mapping, dict(_ROLES)
        if mapping.key:
            key = name_of(mapping.key, TAKEN)
            roles[key] = Column(key, "text", True)
            named = replace(mapping, columns={**mapping.columns, key: mapping.key})
        table = Table(name, key, ("occurred_at",), roles)
        present = [column for column in roles if column in NEEDED or column in named.columns or relation.find(column)]
        inputs = {column: input_of(table, column, named, relation) for column in present}
        roled = {relation.find(named.columns.get(column, column)) for column in present} - {None}
        rest = [column for column in relation.columns if column not in roled]
        held = held_columns(self.connection, relation, {column: mapping.epoch.get(column) for column in rest})
        held = {of: replace(one, kind="text") if of in keys else one for of, one in held.items()}
        clock = instant_of(inputs["occurred_at"], "occurred_at")
        dates = {
            name: Input(quoted(name), relation.columns[name], mapping.epoch.get(name), is_csv=relation.is_csv)
            for name, of in held.items()
            if of.kind == "time"
        }
        moments = {
            name: instant_of(dates[name], name) for name in later_dates(self.connection, relation, clock, dates, {})
        }
        outcomes, odd = self._outcomes(
            relation, inputs["customer_id"], held, moments, inputs.get(key or ""), is_dated=True
        )
        parents = frozenset(target.rpartition(".")[0] for target in mapping.parents.values())
        known: dict[str, Any] = {"keys": keys, "parents": parents, "outcomes": outcomes}
        taken = self._taken(name, held, mapping, is_dated=True, others=set(table.columns), **known)
        columns = {own: Column(own, held[of].kind, False) for own, of in taken.items()}
        table = replace(table, columns={**table.columns, **columns})
        own_inputs = {own: input_of(table, own, _naming(mapping, taken), relation) for own in taken}
        dates = {own: given for own, given in own_inputs.items() if columns[own].kind == "time"}
        later = later_dates(self.connection, relation, clock, dates, own_inputs)
        table = replace(
            table,
            later={date: tuple(columns[of].staged for of in with_it) for date, with_it in later.items()},
            meaning=f"Rows of {relation.place}.",
            free=tuple(dates),
        )
        self.tables[name] = table
        self._lines(name, columns, {own: mapping.words[of] for own, of in taken.items() if of in mapping.words})
        return TablePlan(table, relation, {**inputs, **own_inputs}, for_leavers(table, odd, taken))

    def _relation(
        self, name: str, mapping: TableMapping, relations: Mapping[str, Relation], ask: Callable[[str, str], Relation]
    ) -> tuple[Relation, frozenset[str]]:
        if mapping.query is not None:
            return ask(name, mapping.query), frozenset()
        source = mapping.source or name
        if source not in relations:
            raise ConfigurationError(
                f"[tables.{name}] from = {source!r}: no such source{did_you_mean(source, relations)}"
            )
        if not mapping.parents:
            return relations[source], frozenset()
        query, keys = joined_query(name, source, mapping.parents, relations)
        joined = ask(name, query)
        is_csv = any(relations[of].is_csv for of in (source, *(t.rpartition(".")[0] for t in mapping.parents.values())))
        return replace(joined, place=relations[source].place, is_csv=is_csv), keys

    def _taken(
        self,
        table: str,
        held: Mapping[str, Held],
        mapping: TableMapping,
        *,
        is_dated: bool,
        others: set[str],
        outcomes: Mapping[str, str],
        keys: Collection[str] = (),
        parents: Collection[str] = (),
    ) -> dict[str, str]:
        """The columns that are taken, as they are called in contract form; what becomes of each is kept."""
        taken: dict[str, str] = {}
        for column, of in held.items():
            own = name_of(column, TAKEN | others | taken.keys())
            why = why_left_out(
                table,
                own,
                of,
                self.project.features,
                is_dated=is_dated,
                is_key=column in keys,
                is_of_parent=column.rpartition(".")[0] in parents,
                outcome=outcomes.get(column),
            )
            if column in mapping.leave_out:
                why = "left out in vouch.toml"
            elif why is None and len(taken) >= MOST_COLUMNS:
                why = f"the table has more than {MOST_COLUMNS} columns, of which the first feed"
            if why is not None and (model := self._outcome_of(table, own)):
                why, taken[own] = f"{why}; read as the outcome of {model} alone", column
                self.unfed.add((table, own))
            elif why is None:
                taken[own] = column
            kind = f"{of.kind}, from {column!r}" if own != column else of.kind
            self.verdicts.append(OwnColumn(table, own, why is None, why or kind, origin=column))
        return taken

    def _outcome_of(self, table: str, column: str) -> str | None:
        """The model whose outcome a column says, None where none does."""
        outcomes = ((name, of.outcome) for name, of in self.project.models.items() if of.outcome)
        return next((name for name, of in outcomes if (of.table, of.column) == (table, column)), None)

    def _lines(self, name: str, columns: Mapping[str, Column], words: Mapping[str, str]) -> None:
        if not self.project.features.own or name in self.project.features.leave_out:
            return
        self.verdicts.append(OwnColumn(name, "", True, "its rows"))
        self.lines += lines_of_rows(name)
        for column in columns.values():
            if (name, column.name) not in self.unfed:
                self.lines += lines_of_column(name, column, words.get(column.name))


def _naming(mapping: TableMapping, taken: Mapping[str, str]) -> TableMapping:
    """A mapping that says from which column each own column is read."""
    return replace(mapping, columns={**mapping.columns, **taken}, constants={}, values={})


def _not_read(table: str, columns: Iterable[str]) -> str:
    return f"{table}: columns that the contract does not know are not read: {', '.join(sorted(columns))}"
