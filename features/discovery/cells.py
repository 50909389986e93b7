"""Cells: what feeds one column of the contract; and a table of the contract, made of cells of one file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vouch.features.contract.casts import FALSE_WORDS, TRUE_WORDS, quoted
from vouch.features.naming.words import name_likeness, truth_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vouch.features.discovery.columns import ColumnProfile, Holds, Source
    from vouch.features.discovery.links import Join

SURE = 0.6
"""A name that says a column less surely than this is not taken for it."""


@dataclass(frozen=True)
class Cell:
    """What feeds one column of the contract: SQL over the files, the columns it reads, and how surely it is meant."""

    sql: str
    reads: tuple[tuple[str, str], ...]
    confidence: float
    plain: str | None = None
    """Name of the column, where it is one of the file itself as it stands."""


@dataclass(frozen=True)
class TableProposal:
    """One table of the contract from one file and what it is joined to."""

    table: str
    source: str
    cells: Mapping[str, Cell]
    constants: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    joins: tuple[Join, ...] = ()
    where: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    confidence: float = 0.0
    query: str | None = None
    reads: tuple[tuple[str, str], ...] = ()
    """Columns that are read beside those of the cells: to join, to filter."""
    epoch: Mapping[str, str] = field(default_factory=dict)
    further: Mapping[str, Cell] = field(default_factory=dict)
    """Columns that the contract does not know and the query selects."""
    around: tuple[str, str] | None = None
    """What stands before and after the columns, where the query is more than a file and its joins."""

    @property
    def is_plain(self) -> bool:
        """Whether it is renames and constants only."""
        is_single = not self.joins and not self.where and self.query is None and self.around is None
        return is_single and all(cell.plain for cell in self.cells.values())


def cell(source: Source, column: str, confidence: float) -> Cell:
    """A column of a file as it stands."""
    return Cell(f"{quoted(source.name)}.{quoted(column)}", ((source.name, column),), confidence, column)


def words_for_booleans(source: Source, cells: Mapping[str, Cell]) -> dict[str, dict[str, str]]:
    """By column of the contract, which words of a company mean true and false, where the contract reads others."""
    words = {}
    for name, fed in cells.items():
        at, column = fed.reads[0] if fed.reads else ("", "")
        held = source.columns[column] if at == source.name else None
        if held is not None and held.is_text and held.holds == "boolean":
            is_read = {value.lower() for value in held.values} <= {*TRUE_WORDS, *FALSE_WORDS}
            words[name] = {} if is_read else truth_words(held.values)
    return {name: of for name, of in words.items() if of}


def best_column(
    source: Source, phrases: Iterable[str], holds: Sequence[Holds], used: Iterable[str | None] = ()
) -> tuple[ColumnProfile | None, float]:
    """The column whose name says one of some phrases most surely, and how surely."""
    phrases, used = tuple(phrases), set(used)
    free = [column for column in source.holding(*holds) if column.name not in used]
    scored = [(name_likeness(column.name, phrases, source.context), column) for column in free]
    sure, column = max(scored, key=lambda pair: (pair[0], pair[1].filled), default=(0.0, None))
    return (column, sure) if sure else (None, 0.0)
