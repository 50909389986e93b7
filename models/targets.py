"""Targets: what comes true, in which window, for whom; and how a company has one otherwise than its definition."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.errors import ConfigurationError, did_you_mean
from vouch.features.model_settings import OutcomeRows
from vouch.models.eligibility import ELIGIBLE, ChosenStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from vouch.features.asof import Tables
    from vouch.models.eligibility import Statuses, Vectors

Labels = Callable[["Tables", "Sequence[int]", int, "Target"], "pd.DataFrame"]
"""Tables, instants, what is known (all in microseconds), the target -> `customer_id`, `as_of_us`, `label`."""
Moments = Callable[["Tables", int, "Target"], "pd.DataFrame"]
"""Tables, what is known (in microseconds), the target -> `customer_id`, `moment_us`: each time it came true."""
TrialRows = Callable[["Tables", "Sequence[int]", int, "Target"], "Trials"]
"""The same -> what was done to customers, and what came of it with and without: what an effect is known by."""
Eligibility = Callable[["Vectors"], "Statuses"]
"""Vectors (whatever gives a feature by its name) -> one of `STATUSES` for each; see `vouch.models.eligibility`."""
WINDOW = ("lead", "horizon", "gap")
"""The days that a target has itself; its eligibility may have `inactive` days beside them."""
_DAYS = (*WINDOW, "inactive")
_NAMED = re.compile(
    r"(?P<base>.+?)(\((?P<outcome>.+)\))?"
    + "".join(rf"(_{part}(?P<{part}>\d+))?" for part in _DAYS)
    + rf"(_of_those_(?P<eligible>{'|'.join(ELIGIBLE)}))?",
    re.DOTALL,
)


@dataclass(frozen=True)
class Variant:
    """What a company has otherwise in a target than its definition; None is as it is there.

    The name of a target is that of its definition with what differs behind it: it is kept in bundles, and read again.
    """

    outcome: OutcomeRows | None = None
    lead: int | None = None
    horizon: int | None = None
    gap: int | None = None
    inactive: int | None = None
    eligible: str | None = None

    def named(self, base: str) -> str:
        """The name of a target of the definition that differs so.

        >>> Variant(OutcomeRows("calls", "reason", "cancel"), lead=7, eligible="active").named("contract")
        'contract(calls.reason=cancel)_lead7_of_those_active'
        """
        rows = "" if self.outcome is None else f"({self.outcome.text})"
        days = "".join(f"_{part}{value}" for part in _DAYS if (value := getattr(self, part)) is not None)
        return f"{base}{rows}{days}" + ("" if self.eligible is None else f"_of_those_{self.eligible}")

    @classmethod
    def of(cls, name: str) -> tuple[str, Variant]:
        """The name in the definition, and what differs.

        >>> Variant.of("inactivity_horizon56_inactive180")[1].inactive
        180
        """
        match = _NAMED.fullmatch(name)
        if match is None:
            return name, cls()
        told = match.groupdict()
        days = {part: int(told[part]) for part in _DAYS if told[part] is not None}
        outcome = None if told["outcome"] is None else OutcomeRows.of(told["outcome"])
        return told["base"], cls(outcome, **days, eligible=told["eligible"])


def _other(wanted: int | None, now: int | None) -> int | None:
    return None if wanted == now else wanted


@dataclass(frozen=True)
class Trials:
    """What was done to customers and what came of it, beside customers to whom it was not done.

    `treated` has a row per instant and treatment of its window: `customer_id`, `as_of_us`, `kind`, `outcome` (0 or 1,
    NaN while it is not final), `is_random`, and `propensity`, NaN where nobody noted it. `untreated` has a row per
    instant and customer who could have been treated and was not: `customer_id`, `as_of_us`, and for each kind whether
    the outcome came by itself.
    """

    treated: pd.DataFrame
    untreated: pd.DataFrame
    beside: pd.DataFrame | None = None
    """`customer_id`, `as_of_us`, `label` of all: what is known in plenty and goes with both arms (who speaks up)."""
    beside_days: int = 0
    """Days until such a label is final."""
    is_of_all: bool = False
    """Whether the model is of all customers, treated or not; else it is of the treated alone."""
    is_unwanted: bool = False
    """Whether the outcome is what a treatment should prevent."""


@dataclass(frozen=True)
class Band:
    """A named range of the probability: from `at_least` (inclusive) to where the next band begins."""

    name: str
    at_least: float


@dataclass(frozen=True)
class Target:
    """One way to say what comes true: the window of the outcome, its label, and who is eligible.

    The outcome is looked for in `[T + lead, T + lead + horizon)`; it is final `gap` days after that. `needs` names the
    tables and columns without which this way cannot be taken; the first target of a model whose needs are met is used.
    """

    name: str
    label: Labels
    status: Eligibility
    horizon_days: int
    lead_days: int = 0
    gap_days: int = 0
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    any_of: tuple[str, ...] = ()
    is_for: Callable[[Tables], bool] | None = None
    """Which companies it is for, by what their tables hold; None where for all that have them."""
    bands: tuple[Band, ...] = ()
    max_calibration_error: float = 0.03
    is_for_chosen: bool = False
    """Whether a company may say who is eligible: where the outcome can come true for anybody."""
    moments: Moments | None = None
    """Where the outcome is a moment: what makes `how soon` answerable (see `vouch.models.scoring.hazard`)."""
    trials: TrialRows | None = None
    """Where the outcome answers something that was done: what tells its effect (see `vouch.models.scoring.effects`)."""

    @property
    def matured_days(self) -> int:
        """Days from an instant until its outcome is final."""
        return self.lead_days + self.horizon_days + self.gap_days

    def is_fed(self, tables: Tables) -> bool:
        """Whether the company handed over what this target is made of."""
        has_any = not self.any_of or any(name in tables for name in self.any_of)
        has_all = has_any and all(tables.has(name, *columns) for name, columns in self.needs.items())
        return has_all and (self.is_for is None or self.is_for(tables))

    def configured(self, wanted: Variant) -> Target:
        """The target as a company has it; its name says what differs, so that no other is taken for it.

        A gap is for a target that has one, `inactive` days for one whose eligibility goes by them, `eligible` for one
        whose outcome does not say itself whom it can come true for. What the outcome is, is not looked at here.
        """
        is_chosen = self.is_for_chosen and wanted.eligible not in {None, getattr(self.status, "who", None)}
        status = ChosenStatus(str(wanted.eligible)) if is_chosen else self.status
        after = getattr(status, "after", None)
        differs = Variant(
            lead=_other(wanted.lead, self.lead_days),
            horizon=_other(wanted.horizon, self.horizon_days),
            gap=_other(wanted.gap, self.gap_days) if self.gap_days else None,
            inactive=_other(wanted.inactive, getattr(status, "days", None)) if after else None,
            eligible=wanted.eligible if is_chosen else None,
        )
        if differs == Variant():
            return self
        days = {f"{part}_days": value for part in WINDOW if (value := getattr(differs, part)) is not None}
        status = after(differs.inactive) if after and differs.inactive is not None else status
        return replace(self, name=differs.named(self.name), status=status, **days)

    def band(self, probability: float) -> str:
        """Name of the band of a probability."""
        return self.bands_of([probability])[0]

    def bands_of(self, probabilities: Sequence[float] | np.ndarray[Any, Any]) -> list[str]:
        """Names of the bands of many probabilities."""
        starts = [band.at_least for band in self.bands]
        names = np.array([band.name for band in self.bands], dtype=object)
        return list(names[np.searchsorted(starts, probabilities, side="right") - 1])


def with_bands(target: Target, starts: Mapping[str, float]) -> Target:
    """A target whose bands begin elsewhere. Raises ConfigurationError for a band that it does not have, or a fall."""
    if not starts:
        return target
    names = [band.name for band in target.bands]
    for name in starts:
        if name not in names[1:]:
            raise ConfigurationError(f"bands: {name!r} is none of {', '.join(names[1:])}{did_you_mean(name, names)}")
    bands = tuple(Band(band.name, float(starts.get(band.name, band.at_least))) for band in target.bands)
    if [band.at_least for band in bands] != sorted({band.at_least for band in bands}):
        raise ConfigurationError(f"bands: they must rise: {', '.join(f'{of.name} {of.at_least:g}' for of in bands)}")
    return replace(target, bands=bands)
