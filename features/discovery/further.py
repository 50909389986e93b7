"""Further columns and tables of a proposal: what the contract has no place for feeds features by itself.

A table that is read as it is gives its further columns without a word; a query must select them. Files that no table
of the contract is made of may be tables of their own. What becomes of each column is known once the tables were read,
for only their figures tell a leak; until then a verdict is a guess.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vouch.features.contract.casts import quoted
from vouch.features.contract.tables import TABLES
from vouch.features.discovery.cells import Cell
from vouch.features.discovery.left_out import Verdict
from vouch.features.ingest.own.kinds import TAKEN, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vouch.features.discovery.cells import TableProposal
    from vouch.features.discovery.proposal import Proposal
    from vouch.features.ingest.own.proposed import ProposedTable
    from vouch.features.ingest.own.tables import OwnTables

    Pair = tuple[str, str]
    """A source and a column of it."""

NOWHERE = "its file leads to no customer and no time within two steps"
_LOWEST = 0.7
"""How surely a column that nobody named is meant to feed."""


def with_columns(tables: Sequence[TableProposal], verdicts: Sequence[Verdict]) -> tuple[TableProposal, ...]:
    """Return tables whose queries select the columns that the contract has no place for, each once."""
    rest = [(verdict.source, verdict.column) for verdict in verdicts if not verdict.is_settled]
    plain = {table.source for table in tables if table.is_plain}
    chosen = {table.table: table for table in tables}
    for source, column in rest:
        if source in plain:
            continue
        table = _taker(chosen, source)
        if table is not None:
            taken = TAKEN | TABLES[table.table].columns.keys() | table.cells.keys() | table.further.keys()
            at = f"{quoted(source)}.{quoted(column)}"
            cell = Cell(f"max({at})" if table.around else at, ((source, column),), _LOWEST)
            chosen[table.table] = replace(table, further={**table.further, name_of(column, taken): cell})
    return tuple(chosen.values())


def _taker(tables: Mapping[str, TableProposal], source: str) -> TableProposal | None:
    """The table whose query selects the columns of a source: that which is made of it, else one that is joined to it.

    What a file says of customers has no time, whatever else is made of it.
    """
    able = [table for table in tables.values() if table.query is None and TABLES[table.table].customer]
    able.sort(key=lambda table: table.table != "customers")
    made = [table for table in able if table.source == source and not table.around]
    about = [table for table in able if table.around and f"join {quoted(source)} on" in table.around[1]]
    joined = [table for table in able if any(join.target == source for join in table.joins)]
    return next(iter([*made, *about, *joined]), None)


def with_tables(proposal: Proposal, own: Mapping[str, ProposedTable]) -> Proposal:
    """Return the proposal with the further tables that were found among the files beside."""
    return replace(proposal, own=dict(own))


def with_fates(proposal: Proposal, own: OwnTables) -> Proposal:
    """Return the proposal with what became of each further column when the tables were read."""
    places = dict(_places(proposal))
    fates: dict[Pair, list[Verdict]] = {}
    for of in own.verdicts:
        pair = places.get((of.table, of.origin))
        if pair is not None and of.column:
            of_rows = Verdict(*pair, "used", f"features of {of.table}")
            fates.setdefault(pair, []).append(of_rows if of.is_taken else Verdict(*pair, "left out", of.told))
    roles = dict(_roles(proposal.own or {}))
    return replace(proposal, verdicts=tuple(_settled(proposal, one, fates, roles) for one in proposal.verdicts))


def _settled(
    proposal: Proposal, verdict: Verdict, fates: Mapping[Pair, list[Verdict]], roles: Mapping[Pair, str]
) -> Verdict:
    pair = (verdict.source, verdict.column)
    if verdict.fate != "left out":
        return verdict
    if pair in fates:
        return next((one for one in fates[pair] if one.fate == "used"), fates[pair][0])
    if pair in roles:
        return Verdict(*pair, "used", roles[pair])
    if not verdict.is_settled and verdict.source in proposal.beside:
        return replace(verdict, reason=NOWHERE)
    return verdict


def _places(proposal: Proposal) -> Iterator[tuple[Pair, Pair]]:
    """Where a column of a table, as its relation calls it, stands in the files."""
    for table in proposal.tables:
        if table.is_plain:
            yield from (((table.table, name), (table.source, name)) for name in proposal.sources[table.source].columns)
        yield from (((table.table, name), cell.reads[0]) for name, cell in table.further.items())
    for name, further in (proposal.own or {}).items():
        source = further.mapping.source or name
        yield from (((name, column), (source, column)) for column in proposal.sources[source].columns)
        for target in further.mapping.parents.values():
            parent = target.rpartition(".")[0]
            yield from (((name, f"{parent}.{column}"), (parent, column)) for column in proposal.sources[parent].columns)


def _roles(own: Mapping[str, ProposedTable]) -> Iterator[tuple[Pair, str]]:
    """The columns by which further tables lead to a customer, a time and their parents."""
    for name, further in own.items():
        mapping, source = further.mapping, further.mapping.source or name
        for at in [*mapping.parents, *mapping.columns.values(), *([mapping.key] if mapping.key else [])]:
            parent, _, column = at.rpartition(".")
            yield (parent or source, column), f"to make {name}"
        for target in mapping.parents.values():
            parent, _, key = target.rpartition(".")
            yield (parent, key), f"to make {name}"
