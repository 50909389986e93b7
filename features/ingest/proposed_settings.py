"""Settings that a company's own figures propose for the churn of customers without contracts: window and horizon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vouch.features.facts.cadence import cadences
from vouch.features.facts.pauses import USUAL, enough_days, pauses
from vouch.features.ingest.stage import open_tables
from vouch.features.instants import WEEK_US

if TYPE_CHECKING:
    from vouch.features.ingest.stage import Staged
    from vouch.features.model_settings import ModelSettings

SHORTER = 28
WEEK_DAYS = 7


@dataclass(frozen=True)
class ProposedSettings:
    """Lines of `[churn]` in a project file, each with its evidence; empty where the usual ones fit."""

    lines: tuple[tuple[str, int, str], ...]

    @property
    def warnings(self) -> list[str]:
        """What is proposed, as warnings."""
        return [f"[churn] {key} = {value} would fit this company better: {why}" for key, value, why in self.lines]


def proposed_settings(staged: Staged, given: ModelSettings | None = None) -> ProposedSettings:
    """Propose what is not set yet; nothing for a company whose contracts end, for then nobody goes by silence."""
    if "ended_at" in staged.columns.get("subscriptions", frozenset()):
        return ProposedSettings(())
    known = pauses(open_tables(staged, "polars"))
    if known is None:
        return ProposedSettings(())
    lines = []
    if (given is None or given.inactive_days is None) and known.window != USUAL:
        lines.append(("inactive_after", known.window, known.evidence))
    if (given is None or given.horizon_days is None) and known.history_days < enough_days(USUAL):
        why = (
            f"the history has {known.history_days} days, and a horizon of {USUAL} needs about {enough_days(USUAL)}; "
            f"one of {SHORTER} needs {enough_days(SHORTER)}"
        )
        lines.append(("horizon", SHORTER, why))
    return ProposedSettings(tuple(lines))


def delivery_notes(staged: Staged) -> list[str]:
    """Say which tables come by deliveries more than a week apart, and what follows from it; empty where none does."""
    if staged.data_through_us is None:
        return []
    known = cadences(open_tables(staged, "polars"), staged.data_through_us + WEEK_US)
    listed = [f"{name} (up to {days} days)" for name, days in known.items() if days > WEEK_DAYS and name != "customers"]
    told = (
        f"by deliveries, on single days so far apart, come {', '.join(listed)}: no model is taught a window below "
        "that, and guards wait that long for the next delivery"
    )
    return [told] if listed else []
