"""Registration of a version that was judged: into the registry, then the champion's place, or the reason why not.

However a model is trained, there is one way from its bundle to a champion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vouch.models.registry import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vouch.features.project import Project
    from vouch.training.gate import Verdict


def register(
    project: Project,
    run: versions.TrainingRun,
    verdict: Verdict | None,
    card: Callable[[versions.Registered], str],
    record: Mapping[str, Any],
    labels: versions.RunLabels | None = None,
) -> versions.Registered:
    """Register the bundle of a run as a version, and promote it where its gate let it.

    What was not judged has no verdict and is registered, no more. `record` is what the gate's history keeps beside
    what the verdict says; `card` writes the model card of the version.
    """
    registered = versions.register(project.home, run, project.tracking, labels)
    if verdict is None:
        return registered
    entry = {**verdict.as_entry(), "run_id": registered.run_id, **record}
    if verdict.passed:
        versions.promote_version(
            project.home, run.model, registered.version, run.bundle, card(registered), entry, project.tracking
        )
    else:
        versions.refuse(project.home, run.model, registered.version, entry)
    return registered


class Gated:
    """A report of a version that met the gate."""

    verdict: Verdict

    @property
    def is_refused(self) -> bool:
        """Whether the gate did not let the new version become the champion."""
        return not self.verdict.passed

    @property
    def is_promoted(self) -> bool:
        """Whether the new version is the champion."""
        return self.verdict.passed

    def gate_lines(self, version: int | None) -> list[str]:
        """What the gate said and what became of the version, as lines of text."""
        state = "the champion" if self.verdict.passed else "registered, not promoted"
        return [*self.verdict.lines(), f"  version {version}: {state}"]
