"""Data subjects: whom a search, an erasure or an answer is about, and what is found of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vouch.serving.lifecycle.spelling import Spelling

if TYPE_CHECKING:
    from pathlib import Path

    from vouch.features.project import Project


@dataclass(frozen=True)
class Subject:
    """Customers, by their ids in contract form, in the home of a project at an instant."""

    project: Project
    customer_ids: frozenset[str]
    now_us: int
    left: list[str] = field(default_factory=list, compare=False)
    """What has to be looked through by hand, as far as it was met."""

    @property
    def home(self) -> Path:
        """Where vouch keeps its own files."""
        return self.project.home

    @cached_property
    def spelling(self) -> Spelling:
        """How they may stand in a text."""
        return Spelling(self.customer_ids)

    def leave(self, path: Path, why: str) -> None:
        """Note that somebody has to look through a file."""
        line = f"{self.place(path)}: {why}, look through it by hand"
        if line not in self.left:
            self.left.append(line)

    def place(self, path: Path) -> str:
        """A path as it is told: within the home without the home."""
        return str(path.relative_to(self.home)) if path.is_relative_to(self.home) else str(path)


@dataclass(frozen=True)
class Held:
    """One row, line or mark that is held on a customer, where it stands, and what erasing does to it.

    `customer_id` is None for what nobody can search and goes for that reason. Where `is_sure` is false it may be a
    figure and no customer; what `stays` is there because somebody was erased.
    """

    customer_id: str | None
    place: str
    row: Any
    how: str
    is_sure: bool = True
    stays: bool = False
