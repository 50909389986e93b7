"""Eligibility for scoring, as model definitions share it: statuses from the numbers of a vector.

Vectors are whatever gives a column by its name: a frame, an Arrow table, or the block of a request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from vouch.features.facts.activity import ACTIVE_DAYS

if TYPE_CHECKING:
    from collections.abc import Sequence

COLD_DAYS = 28
"""Customers younger than this are scored on little history."""
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Statuses = np.ndarray[Any, np.dtype[np.object_]]


class Vectors(Protocol):
    """What gives the values of one feature, one per vector."""

    def __getitem__(self, name: str, /) -> Any:
        """The values of a feature; raises KeyError where there is none of that name."""


def number(vectors: Vectors, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return a feature as numbers, NaN where it is null."""
    return np.asarray(vectors[name], dtype=np.float64)


def first_that_holds(rules: Sequence[tuple[str, Flags]], otherwise: str) -> Statuses:
    """Return the status of the first rule that holds for each vector."""
    return np.select([holds for _, holds in rules], [status for status, _ in rules], otherwise).astype(object)


def is_set(vectors: Vectors, name: str) -> Flags:
    """Whether a 0/1 feature is 1; unknown is no."""
    return number(vectors, name) > 0


def is_known(vectors: Vectors, name: str) -> Flags:
    """Whether a feature is not null."""
    known: Flags = ~np.isnan(number(vectors, name))
    return known


def is_new(vectors: Vectors) -> Flags:
    """Whether there is little history to score on."""
    return number(vectors, "tenure_days") < COLD_DAYS


def is_active(vectors: Vectors, days: int = ACTIVE_DAYS) -> Flags:
    """Whether there was usage or a transaction lately enough."""
    return number(vectors, "days_since_activity") <= days


@dataclass(frozen=True)
class InactivityStatus:
    """Eligible: usage or a transaction in the last so many days."""

    who: ClassVar[str] = "active"
    days: int = ACTIVE_DAYS

    def after(self, days: int) -> InactivityStatus:
        """The same with another number of days."""
        return InactivityStatus(days)

    def __call__(self, vectors: Vectors) -> Statuses:
        """One status per vector."""
        active = is_active(vectors, self.days)
        return first_that_holds(
            [
                ("cold_start", active & is_new(vectors)),
                ("ok", active),
                ("churned", ~active & is_known(vectors, "days_since_activity")),
            ],
            "not_eligible",
        )


ELIGIBLE = ("subscribed", "bought", "active", "everybody")
"""Whom a company may have eligible: with a running subscription, ever bought, active lately, or whoever is known."""


@dataclass(frozen=True)
class ChosenStatus:
    """Eligible: those whom a company names, one of `ELIGIBLE`; `days` is what lately means."""

    who: str
    days: int = ACTIVE_DAYS

    def after(self, days: int) -> ChosenStatus:
        """The same with another number of days."""
        return ChosenStatus(self.who, days)

    def __call__(self, vectors: Vectors) -> Statuses:
        """One status per vector."""
        if self.who == "subscribed":
            return subscriber_status(vectors)
        if self.who == "active":
            return InactivityStatus(self.days)(vectors)
        everybody = np.ones(len(number(vectors, "tenure_days")), dtype=bool)
        eligible = is_set(vectors, "has_ever_bought") if self.who == "bought" else everybody
        return first_that_holds([("cold_start", eligible & is_new(vectors)), ("ok", eligible)], "not_eligible")


def subscriber_status(vectors: Vectors) -> Statuses:
    """Eligible: a running subscription and no announced end."""
    running = is_set(vectors, "is_subscribed")
    return first_that_holds(
        [
            ("leaving", running & is_set(vectors, "is_leaving")),
            ("cold_start", running & is_new(vectors)),
            ("ok", running),
            ("churned", is_set(vectors, "has_ever_subscribed")),
        ],
        "not_eligible",
    )
