"""Decisions on customers, for a CRM: what to ask each for, or why not and until when, the rank, and the money.

Taken from the one list that the service, the report and the page answer from, at one instant, so that what a CRM holds
is what they would say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from vouch.features.instants import as_datetime
from vouch.serving.asking.candidates import askable_now
from vouch.serving.asking.ranking import EXCLUSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from vouch.serving.asking.candidates import Askable
    from vouch.serving.snapshots.files import Snapshot


@dataclass(frozen=True)
class CustomerDecision:
    """What is to be done about one customer; the rank is that among all who may be asked now, from 1."""

    ask_for: str | None = None
    can_be_asked: bool | None = None
    not_asked_because: str | None = None
    not_asked_until: datetime | None = None
    ask_rank: int | None = None
    ask_value: float | None = None
    ask_ranked_by: str | None = None
    """By what the ask is worth so much: `uplift`, `response` or `affinity`."""
    last_asked_at: datetime | None = None
    withdrawn: frozenset[str] = field(default=frozenset(), metadata={"is_told": False})
    """Consents that were taken back since the week was made."""


UNDECIDED = CustomerDecision()


def decisions(home: Path, store: str | None, snapshot: Snapshot, now_us: int) -> Mapping[str, CustomerDecision]:
    """Return what the service would say of each customer of a week at `now_us`, microseconds since 1970.

    Raises StoreError where the store does not answer, SnapshotError where the week is damaged.
    """
    return decided(askable_now(home, store, snapshot, now_us))


def decided(asking: Askable) -> dict[str, CustomerDecision]:
    """The decision on each customer, in the order of the list."""
    decisions, rank = {}, 0
    for place in range(len(asking.ranked)):
        why = asking.ranked.category("exclusion", place) or asking.asking.why(place)
        rank += why is None
        until_us = None if why is None else asking.asking.until_us(place)
        customer_id = asking.ranked.customer_id(place)
        last_us, value = asking.asking.last_us(place), float(asking.ranked.values[place])
        decisions[customer_id] = CustomerDecision(
            ask_for=asking.ranked.category("ask_for", place) if why is None else None,
            can_be_asked=why is None,
            not_asked_because=None if why is None else EXCLUSIONS[why],
            not_asked_until=None if until_us is None else as_datetime(until_us),
            ask_rank=rank if why is None else None,
            ask_value=None if why is not None or np.isnan(value) else value,
            ask_ranked_by=None if why is not None or np.isnan(value) else asking.ranked.category("ranked_by", place),
            last_asked_at=None if last_us is None else as_datetime(last_us),
            withdrawn=asking.lists.by_hand.withdrawn.get(customer_id, frozenset()),
        )
    return decisions


def probabilities(snapshot: Snapshot | None) -> dict[str, float | None]:
    """Return the probability of churn of each customer of a week; nobody where there is no week."""
    if snapshot is None:
        return {}
    scores = snapshot.table("scores", ["customer_id", "churn_probability"])
    return dict(zip(*(scores[name].to_pylist() for name in scores.column_names), strict=True))


def change_of(now: float | None, before: float | None) -> float | None:
    """How much a figure has moved, None where either is unknown."""
    return None if now is None or before is None else now - before


def at_risk(probability: float | None, mrr: float | None) -> float | None:
    """Monthly revenue times the probability of churn, None where either is unknown."""
    return None if probability is None or mrr is None else probability * mrr
