"""Frequency caps on asks, pure: whether somebody was asked so often, or answered so, that the next must wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vouch.features.contract.tables import DAY_US

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vouch.serving.asking.rules.policy import Caps

OPEN, REFUSED, ASKED, QUOTA = "open_ask", "refused_lately", "asked_lately", "quota"
CODES = (OPEN, REFUSED, ASKED)


@dataclass(frozen=True)
class Ask:
    """One ask, whoever knows of it."""

    ask_id: str
    customer_id: str
    kind: str | None
    asked_us: int
    outcome: str | None
    outcome_us: int | None


def resting(asks: Iterable[Ask], caps: Caps, now_us: int) -> str | None:
    """Return why a customer with these asks must not be asked now (one of CODES), or None."""
    held = list(asks)
    is_open = [ask for ask in held if ask.outcome is None and ask.asked_us > now_us - caps.open_days * DAY_US]
    if len(is_open) >= caps.open_asks:
        return OPEN
    since_us = now_us - caps.rest_days_after_refusal * DAY_US
    if any(ask.outcome == "declined" and (ask.outcome_us or ask.asked_us) > since_us for ask in held):
        return REFUSED
    for days, most in caps.windows:
        if sum(ask.asked_us > now_us - days * DAY_US for ask in held) >= most:
            return ASKED
    return None


def united(*sources: Iterable[Ask]) -> dict[str, Ask]:
    """Return asks of several sources by their ids, an outcome from whichever source has one; the last source wins."""
    found: dict[str, Ask] = {}
    for source in sources:
        for ask in source:
            before = found.get(ask.ask_id)
            found[ask.ask_id] = before if before and before.outcome and not ask.outcome else ask
    return found
