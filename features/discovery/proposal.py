"""A proposal as data: sources, tables, joins, what becomes of each column, and what only people know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.discovery.cells import TableProposal
    from vouch.features.discovery.columns import Source
    from vouch.features.discovery.left_out import Verdict
    from vouch.features.discovery.links import Customer, Join
    from vouch.features.ingest.own.proposed import ProposedTable


@dataclass(frozen=True)
class Question:
    """What only people know: its name for an answer, what is asked, what is proposed, and what else it may be."""

    name: str
    asked: str
    proposed: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class Proposal:
    """All that is proposed for a company's files."""

    sources: Mapping[str, Source]
    tables: tuple[TableProposal, ...]
    customer: Customer
    joins: tuple[Join, ...]
    verdicts: tuple[Verdict, ...]
    questions: tuple[Question, ...]
    unread: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    """Files that no table of the contract is made of, and that may be tables of their own."""
    own: Mapping[str, ProposedTable] | None = None
    """Which of them are, by name; None where nobody has looked yet."""

    @property
    def accounted(self) -> float:
        """Share of the columns that are mapped, used, or left out with a reason of their own."""
        return sum(verdict.is_settled for verdict in self.verdicts) / max(len(self.verdicts), 1)
