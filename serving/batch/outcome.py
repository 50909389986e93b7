"""Plan and outcome of one week of the batch: what is to be done, what came of it, for people and schedulers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from vouch.features.instants import instant_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vouch.serving.monitoring.guards import GuardFinding
    from vouch.serving.snapshots.files import Snapshot

Outcome = Literal["published", "left_alone", "inputs_changed", "refused"]
Action = Literal["publish", "take_up", "revise", "leave_alone", "inputs_changed"]


@dataclass(frozen=True)
class WeekPlan:
    """What is to be done about one week, and why."""

    as_of_us: int
    action: Action
    why: str
    standing: Snapshot | None = None

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler to read."""
        return {
            "as_of": instant_text(self.as_of_us),
            "action": self.action,
            "why": self.why,
            "revision": None if self.standing is None else self.standing.revision,
        }


@dataclass(frozen=True)
class WeekOutcome:
    """What became of one week: the snapshot that stands now, and whether this run made it."""

    as_of_us: int
    revision: int | None
    outcome: Outcome
    folder: Path | None
    customers: int
    statuses: Mapping[str, Mapping[str, int]]
    warnings: Sequence[str] = ()
    findings: Sequence[GuardFinding] = ()
    difference: Mapping[str, Any] | None = None
    because: Sequence[str] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    taken_up: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler to read."""
        return {
            "as_of": instant_text(self.as_of_us),
            "revision": self.revision,
            "outcome": self.outcome,
            "folder": None if self.folder is None else str(self.folder),
            "customers": self.customers,
            "statuses": {model: dict(counts) for model, counts in self.statuses.items()},
            "warnings": list(self.warnings),
            "guards": [finding.as_dict() for finding in self.findings],
            "difference": self.difference,
            "inputs_changed": list(self.because),
            "seconds": dict(self.seconds),
            "taken_up": list(self.taken_up),
        }
