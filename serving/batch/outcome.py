"""What is to be done about a week, and what became of it: what the batch tells people and schedulers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from vouch.features.instants import spoken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vouch.serving.monitoring.guards import Finding
    from vouch.serving.snapshots.files import Snapshot

Outcome = Literal["published", "left_alone", "inputs_changed", "refused"]
Action = Literal["publish", "take_up", "revise", "leave_alone", "inputs_changed"]


@dataclass(frozen=True)
class Plan:
    """What is to be done about one week, and why."""

    as_of_us: int
    action: Action
    why: str
    standing: Snapshot | None = None

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler to read."""
        return {
            "as_of": spoken(self.as_of_us),
            "action": self.action,
            "why": self.why,
            "revision": None if self.standing is None else self.standing.revision,
        }


@dataclass(frozen=True)
class Week:
    """What became of one week: the snapshot that stands now, and whether this run made it."""

    as_of_us: int
    revision: int | None
    outcome: Outcome
    folder: Path | None
    customers: int
    statuses: Mapping[str, Mapping[str, int]]
    warnings: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    difference: Mapping[str, Any] | None = None
    because: Sequence[str] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    taken_up: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler to read."""
        return {
            "as_of": spoken(self.as_of_us),
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
