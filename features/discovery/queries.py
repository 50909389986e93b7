"""Queries of a proposal, as DuckDB SQL that a person reads: one column a line, joins by their keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vouch.features.contract.casts import literal, quoted
from vouch.features.discovery.links import key_value
from vouch.features.naming.words import vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vouch.features.discovery.cells import TableProposal
    from vouch.features.discovery.columns import Source
    from vouch.features.discovery.links import Join

_SAFE = re.compile(r'"([a-z_][a-z0-9_]*)"')
_SAME = re.compile(r"(^select |^ +|\.)(\w+) as \2(?=,?$)", re.MULTILINE)


def query_of(proposal: TableProposal, sources: Mapping[str, Source]) -> str:
    """The query that makes a table of the contract of a file and what it is joined to."""
    if proposal.query is not None:
        return plainly(proposal.query)
    cells = [(cell.sql, column) for column, cell in proposal.cells.items()]
    cells += [(_constant(value), column) for column, value in proposal.constants.items()]
    cells += [(cell.sql, column) for column, cell in proposal.further.items()]
    if proposal.around is not None:
        before, after = proposal.around
        return plainly(f"{before}select {_listed(cells)}{after}")
    return plainly(select(cells, proposal.source, proposal.joins, proposal.where, sources))


def _constant(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else literal(str(value))


def select(
    cells: Iterable[tuple[str, str]],
    source: str,
    joins: Sequence[Join],
    where: Sequence[str],
    sources: Mapping[str, Source],
) -> str:
    """A SELECT of some expressions under names, from a file and what it leads to; of one file its name is not said."""
    text = f"select {_listed(cells)}\nfrom {quoted(source)}"
    for join in dict.fromkeys(joins):
        text += f"\nleft join {quoted(join.target)} on {on(join, sources)}"
    text += f"\nwhere {' and '.join(where)}" if where else ""
    return text if joins else text.replace(f"{quoted(source)}.", "")


def _listed(cells: Iterable[tuple[str, str]]) -> str:
    return ",\n       ".join(sql if sql == name else f"{sql} as {name}" for sql, name in cells)


def needed(joins: Sequence[Join], texts: Iterable[str]) -> list[Join]:
    """Those of some joins, in order, that expressions read from, and those that lead to them."""
    text = " ".join(texts)
    needs: list[Join] = []
    for join in reversed(joins):
        if f"{quoted(join.target)}." in text or any(join.target == other.source for other in needs):
            needs.append(join)
    return needs[::-1]


def plainly(query: str) -> str:
    """A query with names bare that need no quotes.

    >>> plainly('select "a"."Customer ID", "order" from "a"')
    'select a."Customer ID", "order" from a'
    """
    reserved = vocabulary()["names"]["reserved"]
    bare = _SAFE.sub(lambda match: match[0] if match[1] in reserved else match[1], query)
    return _SAME.sub(r"\1\2", bare)


def on(join: Join, sources: Mapping[str, Source]) -> str:
    """The condition of a join: keys as they are where both are of one kind, else as texts."""
    here, target = sources[join.source], sources[join.target]
    ours, theirs = here.columns[join.column], target.columns[join.key]
    if ours.physical == theirs.physical and not ours.is_padded and not theirs.is_padded:
        return f"{quoted(here.name)}.{quoted(ours.name)} = {quoted(target.name)}.{quoted(theirs.name)}"
    return f"{key_value(here, ours.name, quoted(here.name))} = {key_value(target, theirs.name, quoted(target.name))}"
