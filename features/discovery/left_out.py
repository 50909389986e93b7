"""Verdicts on columns: mapped, used on the way, or left out, each with what it is or the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vouch.features.contract.casts import quoted
from vouch.features.discovery.links import normal
from vouch.features.naming.words import phrase_of_reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.features.discovery.cells import TableProposal
    from vouch.features.discovery.columns import ColumnProfile, Source
    from vouch.features.discovery.links import Customer, Join
    from vouch.features.engines import Connection

COPIED = 0.95
"""Share of the rows of a file that stand in another from which it is a copy."""
FURTHER = "the contract has no place for it"


@dataclass(frozen=True)
class Verdict:
    """What becomes of one column: `mapped` to what, `used` for what, or `left out` for what reason."""

    source: str
    column: str
    fate: Literal["mapped", "used", "left out"]
    reason: str

    @property
    def is_settled(self) -> bool:
        """Whether there is more to say than that nobody knows what to do with it."""
        return self.reason != FURTHER


def copies(connection: Connection, sources: Mapping[str, Source], customer: Customer) -> dict[str, str]:
    """Files whose rows stand in another, larger file with the same columns: name -> why it is left out."""
    originals: dict[str, str] = {}
    for small in sources.values():
        for large in sources.values():
            if small is large or small.rows >= large.rows or large.name in originals:
                continue
            mine = {normal(name): name for name in small.columns if name not in customer.columns.values()}
            theirs = {normal(name): name for name in large.columns if name not in customer.columns.values()}
            same = [name for name in theirs if name in mine]
            if len(same) < 3 or len(same) < len(theirs):
                continue
            ours = ", ".join(f"CAST({quoted(mine[name])} AS VARCHAR)" for name in same)
            of_large = ", ".join(f"CAST({quoted(theirs[name])} AS VARCHAR)" for name in same)
            (share,) = connection.execute(
                f"SELECT avg((({ours}) IN (SELECT ({of_large}) FROM {large.sql}))::INT) FROM {small.sql}"
            ).fetchall()[0]
            if share is not None and share >= COPIED:
                originals[small.name] = f"a part of {large.name}: {share:.1%} of its rows stand there"
    return originals


def verdicts(
    sources: Mapping[str, Source],
    tables: Sequence[TableProposal],
    joins: Sequence[Join],
    customer: Customer,
    home: Source | None,
    dropped: Mapping[str, str],
) -> tuple[Verdict, ...]:
    """What becomes of every column of every file."""
    mapped: dict[tuple[str, str], str] = {}
    used: dict[tuple[str, str], str] = {}
    for proposal in tables:
        for name, cell in proposal.cells.items():
            for pair in cell.reads:
                mapped.setdefault(pair, f"{proposal.table}.{name}")
        for pair in proposal.reads:
            used.setdefault(pair, f"to make {proposal.table}")
    read = {proposal.source for proposal in tables} | {source for source, _ in {*mapped, *used}}
    judged = []
    for source in sources.values():
        for column in source.columns.values():
            pair = (source.name, column.name)
            if pair in mapped:
                judged.append(Verdict(*pair, "mapped", mapped[pair]))
            elif pair in used:
                judged.append(Verdict(*pair, "used", used[pair]))
            else:
                why = dropped.get(source.name) or _why(
                    source, column, source is home, source.name in read, joins, customer
                )
                judged.append(Verdict(*pair, "left out", why))
    return tuple(judged)


def _why(
    source: Source, column: ColumnProfile, is_home: bool, is_read: bool, joins: Sequence[Join], customer: Customer
) -> str:
    """Why a column is left out, the gravest reason first."""
    if not column.filled:
        return "it is empty"
    if not is_read and (leak := phrase_of_reason(source.name, "leak")):
        return f"a leak: by its name ({leak}) the file is about those who left"
    if (leak := phrase_of_reason(column.name, "leak")) and (
        is_home or not source.holding("time") or column.holds == "boolean"
    ):
        return f"a leak: by its name ({leak}) it says what became of the customer, and no time says since when"
    if (sensitive := phrase_of_reason(column.name, "sensitive")) and is_home:
        return f"sensitive, by its name ({sensitive}); it may be taken in by name"
    if (personal := phrase_of_reason(column.name, "personal")) and (is_home or source.name in customer.columns):
        return f"personal, by its name ({personal})"
    if column.distinct == 1:
        return "it has one value throughout"
    if column.is_unique and column.holds in {"text", "integer"}:
        return "a number of the row, that nothing else refers to"
    if any((join.source, join.column) == (source.name, column.name) for join in joins):
        return "a key of another file, that no table needs"
    if not is_read:
        return _why_unread(source, customer)
    return FURTHER


def _why_unread(source: Source, customer: Customer) -> str:
    if source.name not in customer.columns and not source.holding("time"):
        return "its file names no customer and no time"
    if not source.holding("time"):
        return "its file has no time: figures of today say nothing of an earlier day"
    return FURTHER
