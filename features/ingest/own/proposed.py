"""Proposals of further tables: what leads to a customer within two steps and has a time, found from names and values.

Ids that are digits mean a customer only where their name says so, too: numbers from 1 on agree with anything.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vouch.features.contract.casts import quoted
from vouch.features.contract.checks import Input
from vouch.features.contract.tables import TABLES
from vouch.features.engines import connect
from vouch.features.ingest.inputs import prepare_inputs
from vouch.features.ingest.own.joined import text_key
from vouch.features.ingest.own.kinds import held_columns, is_key_name, name_of
from vouch.features.ingest.own.later import instant_of
from vouch.features.naming.words import (
    IN_CONTEXT,
    column_phrases,
    name_likeness,
    phrase_of_reason,
    tokens,
    vocabulary,
)
from vouch.features.table_settings import TableMapping

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from vouch.features.engines import Connection
    from vouch.features.ingest.files import Relation
    from vouch.features.ingest.mapping import TablePlan
    from vouch.features.ingest.own.kinds import Held
    from vouch.features.project import Project

LEAST_SHARED = 0.5
"""Share of the distinct values of a column that must be keys on the other side."""
_IDS = '"own ids"'
_BARE = ({"id"}, {"key"}, {"no"}, {"code"})
_ONLY_TIME = 0.8
"""How surely the only time of a relation, or the earliest of several, is when its rows happened."""


@dataclass(frozen=True)
class ProposedTable:
    """How a relation is a further table, how surely, and the evidence."""

    mapping: TableMapping
    confidence: float
    evidence: tuple[str, ...]


def sources_of_proposed(proposed: Mapping[str, ProposedTable]) -> list[str]:
    """Return the sources of some further tables, those of their parents among them."""
    mappings = [one.mapping for one in proposed.values()]
    named = [of for m in mappings for of in (m.source, *(to.rpartition(".")[0] for to in m.parents.values()))]
    return sorted({of for of in named if of})


def further_tables(project: Project) -> dict[str, ProposedTable]:
    """Return the further tables that are made of what a company hands over and nobody declared, by name.

    Raises the errors of `vouch.features.errors.DataError` where the tables cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        connection = connect(project, Path(folder))
        try:
            inputs = prepare_inputs(connection, project, [Path(folder)])
            if not inputs.free:
                return {}
            proposer = Proposer(connection, inputs.relations, inputs.planned["customers"])
            return proposer.all(inputs.free, project.tables.keys(), project.features.leave_out)
        finally:
            connection.close()


@dataclass
class Proposer:
    """Finds how rows of a company's relations lead to a customer and a time; what was asked once is kept."""

    connection: Connection
    relations: Mapping[str, Relation]
    customers: TablePlan

    def __post_init__(self) -> None:
        self._held: dict[str, dict[str, Held]] = {}
        given = self.customers.inputs["customer_id"]
        self.called = given.expression.strip('"')
        key = text_key(given.expression, given.physical)
        self.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {_IDS} AS SELECT DISTINCT {key} AS key FROM {self.customers.relation.sql}"
        )
        self.are_digits = bool(
            self.connection.execute(f"SELECT coalesce(bool_and(regexp_full_match(key, '[0-9]+')), true) FROM {_IDS}")
            .fetchall()[0][0]
        )  # fmt: skip

    def all(self, free: Collection[str], taken: Collection[str], left_out: Collection[str]) -> dict[str, ProposedTable]:
        """Return what of some relations is a further table, by a name that is neither taken nor left out."""
        proposed: dict[str, ProposedTable] = {}
        for source in sorted(free):
            name = name_of(source, TABLES.keys() | {*taken} | proposed.keys())
            table = None if name in left_out else self.proposed(source)
            if table is not None:
                proposed[name] = table
        return proposed

    def proposed(self, name: str) -> ProposedTable | None:
        """How a relation is a further table; None where no customer, or no time, is within two steps."""
        parents: dict[str, str] = {}
        shares: dict[str, float] = {}
        for column, target, shared in self._parents(name):
            parents[column], shares[column] = target, shared
        reached = [target.rpartition(".")[0] for target in parents.values()]
        steps = [("", name), *((f"{parent}.", parent) for parent in reached)]
        whose = next(((prefix + own[0], own[1]) for prefix, of in steps if (own := self._customer(of))), None)
        when = next((prefix + clock for prefix, of in steps if (clock := self._time(of))), None)
        if whose is None or when is None:
            return None
        columns = {"customer_id": whose[0], "occurred_at": when}
        for column in self._columns(name):
            if name_likeness(column, column_phrases("ingested_at")) >= IN_CONTEXT and column != when:
                columns["ingested_at"] = column
        others = {at: to for at, to in parents.items() if at != whose[0]}
        mapping = TableMapping(source=name, columns=columns, parents=others, key=self._key(name, columns))
        joins = [
            f"{shares[at]:.1%} of {at if '.' in at else f'{name}.{at}'} stand in {to}" for at, to in others.items()
        ]
        of_time = max(_ONLY_TIME, name_likeness(when.rpartition(".")[2], column_phrases("occurred_at")))
        confidence = min([whose[1], of_time, *(shares[at] for at in others)])
        evidence = (f"{whose[1]:.1%} of {whose[0]} are customers", *joins, f"its time is {when}")
        return ProposedTable(mapping, round(confidence, 2), evidence)

    def _key(self, name: str, columns: Mapping[str, str]) -> str | None:
        """What names a row: where rows are corrected nearly, else wholly of its own in each."""
        is_corrected = "ingested_at" in columns or self.relations[name].find("ingested_at")
        for column, of in self._columns(name).items():
            is_named = of.names_row if is_corrected else of.is_unique
            if is_named and of.filled == of.rows and is_key_name(column) and column not in columns.values():
                return column
        return None

    def _columns(self, name: str) -> dict[str, Held]:
        if name not in self._held:
            relation = self.relations[name]
            self._held[name] = held_columns(self.connection, relation, dict.fromkeys(relation.columns))
        return self._held[name]

    def _customer(self, name: str) -> tuple[str, float] | None:
        """The column of a relation that holds customers, that of the surest name first; and what share of it does."""
        known = vocabulary()["customer"]
        scored = []
        for column, held in self._columns(name).items():
            if held.kind not in {"text", "integer"} or not held.filled:
                continue
            score = 2.0 * (tokens(column) == tokens(self.called)) + name_likeness(
                column, (*known["surest"], *known["likely"])
            )
            if self.are_digits and score < IN_CONTEXT:
                continue
            shared = self._shared(name, column, f"SELECT key FROM {_IDS}")
            if shared >= LEAST_SHARED:
                scored.append((-score, -shared, column))
        if not scored:
            return None
        _, share, column = min(scored)
        return column, -share

    def _time(self, name: str) -> str | None:
        """The time of a relation's rows: of those that every row has, the earliest on average."""
        relation = self.relations[name]
        whole = [
            column
            for column, held in self._columns(name).items()
            if held.kind == "time" and held.filled == held.rows > 0
            and name_likeness(column, column_phrases("ingested_at")) < IN_CONTEXT
            and not any(phrase_of_reason(column, reason) for reason in ("personal", "sensitive"))
        ]  # fmt: skip
        if not whole:
            return None
        given = {column: Input(quoted(column), relation.columns[column], is_csv=relation.is_csv) for column in whole}
        asked = ", ".join(f"avg({instant_of(of, column)})" for column, of in given.items())
        means = self.connection.execute(f"SELECT {asked} FROM {relation.sql}").fetchall()[0]
        return min(zip(means, range(len(whole)), whole, strict=True))[2]

    def _parents(self, name: str) -> Iterator[tuple[str, str, float]]:
        """By which columns rows lead to rows of other relations, a step or two away, and how many; each once."""
        reached = {name}
        first = []
        for column, parent, key, shared in self._links(name):
            if parent not in reached:
                reached.add(parent)
                first.append(parent)
                yield column, f"{parent}.{key}", shared
        for middle in first:
            for column, parent, key, shared in self._links(middle):
                if parent not in reached:
                    reached.add(parent)
                    yield f"{middle}.{column}", f"{parent}.{key}", shared

    def _links(self, name: str) -> Iterator[tuple[str, str, str, float]]:
        home = self.customers.relation.sql
        for column in self.relations[name].columns:
            if not is_key_name(column):
                continue
            for parent, relation in self.relations.items():
                if parent == name or relation.sql == home:
                    continue
                for key in relation.columns:
                    if _may_lead(column, parent, key) and self._columns(parent)[key].is_unique:
                        theirs = text_key(quoted(key), relation.columns[key])
                        shared = self._shared(name, column, f"SELECT {theirs} FROM {relation.sql}")
                        if shared >= LEAST_SHARED:
                            yield column, parent, key, shared

    def _shared(self, name: str, column: str, keys: str) -> float:
        """The share of the distinct values of a column that are among some keys."""
        ours = text_key(quoted(column), self.relations[name].columns[column])
        values = f"SELECT DISTINCT {ours} AS value FROM {self.relations[name].sql} WHERE {quoted(column)} IS NOT NULL"
        counted = self.connection.execute(f"SELECT coalesce(avg((value IN ({keys}))::INT), 0) FROM ({values})")
        return float(counted.fetchall()[0][0])


def _may_lead(column: str, parent: str, key: str) -> bool:
    """Whether names let a column point to a key: they are one, or it is the relation's name with its id."""
    ours, theirs = tokens(column), tokens(key)
    if set(theirs) in _BARE:
        return ours[:-1] == tokens(parent) and ours[-1:] == theirs
    return ours == theirs and is_key_name(key)
