"""Model settings of a project file: what a company decides about the question of a model, by section.

`[churn] horizon = 28, inactive_after = 180` are decisions of the company, not of the code. What changes the question
makes another target, with a name of its own; bands and costs do not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vouch.features.errors import ConfigurationError, did_you_mean
from vouch.features.settings import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

KEYS: Mapping[str, type] = {
    "horizon": int,
    "lead": int,
    "gap": int,
    "inactive_after": int,
    "eligible": str,
    "bands": dict,
    "costs": dict,
}
LONGEST_DAYS = 3650


@dataclass(frozen=True)
class ModelSettings:
    """What is set for one model; None is as its definition has it.

    `horizon_days`, `lead_days` and `gap_days` are of its targets, `inactive_days` is how long a customer without a
    contract may be silent and still be with us, `eligible` names whom it is asked of, `bands` says by name where a band
    begins, `action` and `gain` are what an action costs and wins, in the reporting currency.
    """

    horizon_days: int | None = None
    lead_days: int | None = None
    gap_days: int | None = None
    inactive_days: int | None = None
    eligible: str | None = None
    bands: Mapping[str, float] = field(default_factory=dict)
    action: float | None = None
    gain: float | None = None


def is_settings(name: str, raw: Any, others: Iterable[str]) -> bool:
    """Whether a section of a project file is about a model, and not another section whose name is misspelt."""
    return isinstance(raw, dict) and not did_you_mean(name, others)


def parse_model_settings(path: Path, name: str, raw: Any) -> ModelSettings:
    """Read the section of one model. Raises ConfigurationError."""
    part = Part(path, f"[{name}]", raw).only(KEYS)
    given = part.raw
    for key, least in (("horizon", 1), ("lead", 0), ("gap", 0), ("inactive_after", 1)):
        if not least <= given.get(key, least) <= LONGEST_DAYS:
            raise ConfigurationError(f"{part.where}: {key!r} must be from {least} to {LONGEST_DAYS} days")
    bands = Part(path, f"[{name}.bands]", given.get("bands", {}))
    bands.only(dict.fromkeys(bands.raw, float))
    for band, start in bands.raw.items():
        if not 0 < start < 1:
            raise ConfigurationError(f"{bands.where}: {band!r} must lie between 0 and 1")
    costs = Part(path, f"[{name}.costs]", given.get("costs", {})).only({"action": float, "gain": float}).raw
    if any(value < 0 for value in costs.values()):
        raise ConfigurationError(f"{path}: [{name}.costs] must not be negative")
    return ModelSettings(
        horizon_days=given.get("horizon"),
        lead_days=given.get("lead"),
        gap_days=given.get("gap"),
        inactive_days=given.get("inactive_after"),
        eligible=given.get("eligible"),
        bands={band: float(start) for band, start in bands.raw.items()},
        action=costs.get("action"),
        gain=costs.get("gain"),
    )
