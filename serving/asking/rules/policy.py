"""The candidate policy as data: the file that comes with vouch, and what the company's own file changes."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Literal

from pydantic import Field, FiniteFloat, model_validator

from vouch.features.company_files import Section, read_settings
from vouch.features.contract.tables import ACT_KINDS
from vouch.features.facts.tickets import HIGH_PRIORITIES
from vouch.serving.snapshots.schema import ASK_DAYS, TIERS

if TYPE_CHECKING:
    from pathlib import Path

FILE = "policy.toml"
Consent = Literal["advocacy_consent", "contact_consent"]
Days = Field(ge=0, le=ASK_DAYS)


class Eligibility(Section):
    """Who may be asked at all."""

    consents: tuple[Consent, ...] = Field(strict=False)
    minimum_health: FiniteFloat = Field(ge=0, le=100)
    maximum_churn: FiniteFloat = Field(ge=0, le=1)
    ticket_priorities: tuple[str, ...] = Field(HIGH_PRIORITIES, strict=False)
    repair_first: bool


class Caps(Section):
    """How often somebody is asked."""

    asks_in_30_days: int = Field(ge=0)
    asks_in_90_days: int = Field(ge=0)
    open_asks: int = Field(ge=0)
    open_days: int = Days
    rest_days_after_refusal: int = Days

    @property
    def windows(self) -> tuple[tuple[int, int], ...]:
        """Days, and how many asks they may hold."""
        return ((30, self.asks_in_30_days), (90, self.asks_in_90_days))


class Quotas(Section):
    """How the asks are spread over groups of customers."""

    columns: tuple[Literal["segment", "region"], ...] = Field(strict=False)
    days: int = Days
    times_its_share: FiniteFloat = Field(ge=1)
    free_asks: int = Field(ge=0)


class Value(Section):
    """How a customer's own acts weigh against those of all."""

    own_acts: FiniteFloat = Field(gt=0)


class Exploration(Section):
    """How many take a place at random."""

    share: FiniteFloat = Field(ge=0, le=1)


class Offers(Section):
    """Which share of those whom a retention offer would pay for is held out by chance."""

    holdout: FiniteFloat = Field(ge=0, lt=1)


class Limits(Section):
    """How much one key may ask of the service."""

    requests_per_minute: int = Field(ge=1)


class ActKind(Section):
    """What one kind of act is worth, and who could do it. One that is worth nothing is never asked for.

    One that is `public` (others publish it: a review, a rating) is drawn among all who may be asked, not ranked.
    """

    value: FiniteFloat = Field(ge=0)
    minimum_tenure_days: FiniteFloat = Field(0.0, ge=0)
    minimum_nps: FiniteFloat | None = Field(None, ge=0, le=10)
    tiers: tuple[Literal[TIERS], ...] | None = Field(None, strict=False)  # type: ignore[valid-type]  # the names are data
    rest_days: int = Field(0, ge=0)
    public: bool = False

    @model_validator(mode="after")
    def _is_fair(self) -> ActKind:
        if self.public and (self.minimum_nps is not None or self.tiers is not None):
            raise ValueError("a public kind takes everybody: minimum_nps and tiers go with public = false")
        return self


class Policy(Section):
    """The whole policy."""

    version: int
    eligibility: Eligibility
    caps: Caps
    quotas: Quotas
    value: Value
    exploration: Exploration
    offers: Offers
    limits: Limits
    disclosure: dict[Literal["en", "ko", "ro"], str]
    kinds: dict[Literal[ACT_KINDS], ActKind]  # type: ignore[valid-type]  # the names are data

    @property
    def ranked_kinds(self) -> tuple[str, ...]:
        """Kinds that are asked for by rank."""
        return tuple(name for name, kind in self.kinds.items() if kind.value > 0 and not kind.public)

    def is_drawn(self, kind: str) -> bool:
        """Whether those to be asked for a kind are drawn."""
        return kind in self.kinds and self.kinds[kind].public


def load_policy(home: Path | None = None) -> Policy:
    """Return the policy of a home, by default the one that comes with vouch.

    Raises ConfigurationError where the company's file names something that is not there, or holds what cannot be.
    """
    shipped = resources.files("vouch.serving.asking.rules").joinpath(FILE)
    return read_settings(Policy, shipped, None if home is None else home / FILE)
