"""Model settings of a project file: what a company decides about the question of a model, by section.

`[churn] horizon = 28, inactive_after = 180` are decisions of the company, not of the code. What changes the question
makes another target, with a name of its own; bands and costs do not.
"""

from __future__ import annotations

import re
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
    "outcome": dict,
}
LONGEST_DAYS = 3650
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
_IS_VALUE = re.compile(r"[^\x00-\x1f]{0,200}\Z")


@dataclass(frozen=True)
class OutcomeRows:
    """Rows that say that an outcome came true: all of a table, those with a value in a column, or with this value.

    A column of yes and no counts where it says yes.
    """

    table: str
    column: str | None = None
    equals: str | None = None

    @property
    def text(self) -> str:
        """What is in brackets in the name of a target.

        >>> OutcomeRows("calls", "reason", "cancel").text, OutcomeRows("returns").text
        ('calls.reason=cancel', 'returns')
        """
        column = "" if self.column is None else f".{self.column}"
        return f"{self.table}{column}" if self.equals is None else f"{self.table}{column}={self.equals}"

    @classmethod
    def of(cls, text: str) -> OutcomeRows:
        """The rows that a name tells.

        >>> OutcomeRows.of("calls.reason=a.b=c")
        OutcomeRows(table='calls', column='reason', equals='a.b=c')
        """
        place, is_told, equals = text.partition("=")
        table, _, column = place.partition(".")
        return cls(table, column or None, equals if is_told else None)


@dataclass(frozen=True)
class ModelSettings:
    """What is set for one model; None is as its definition has it.

    `horizon_days`, `lead_days` and `gap_days` are of its targets, `inactive_days` is how long a customer without a
    contract may be silent and still be with us, `eligible` names whom it is asked of, `bands` says by name where a band
    begins, `action` and `gain` are what an action costs and wins, in the reporting currency. `outcome` are rows of the
    company that say what comes true, in place of the rule of the definition.
    """

    horizon_days: int | None = None
    lead_days: int | None = None
    gap_days: int | None = None
    inactive_days: int | None = None
    eligible: str | None = None
    bands: Mapping[str, float] = field(default_factory=dict)
    action: float | None = None
    gain: float | None = None
    outcome: OutcomeRows | None = None


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
        outcome=_outcome(Part(path, f"[{name}.outcome]", given["outcome"])) if "outcome" in given else None,
    )


def _outcome(part: Part) -> OutcomeRows:
    given = part.only({"table": str, "column": str, "equals": str}).raw
    if "table" not in given:
        raise ConfigurationError(f'{part.where} needs `table = "..."`, whose rows say what came true')
    if "equals" in given and "column" not in given:
        raise ConfigurationError(f"{part.where}: `equals` goes with a column")
    for key in ("table", "column"):
        if not _NAME.match(given.get(key, key)):
            raise ConfigurationError(f"{part.where}: {key!r} is lower-case letters, digits and underscores")
    if not _IS_VALUE.match(given.get("equals", "")):
        raise ConfigurationError(f"{part.where}: 'equals' is one line of at most 200 signs")
    return OutcomeRows(**given)
