"""Frequency caps on asks, pure: whether somebody was asked so often, or answered so, that the next must wait."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    note: str | None = None
    channel: str | None = None
    asked_by: str | None = None
    corrected_us: int | None = None
    """Set where somebody has put it right here: then it stands as it is, whatever the data of a week say."""
    withdrawn_us: int | None = None
    """Set where it was never made."""

    def as_of(self, instant_us: int) -> Ask:
        """The ask as it stood at a moment after it was made: an answer that came later is none yet."""
        is_later = self.outcome_us is not None and self.outcome_us > instant_us
        return replace(self, outcome=None, outcome_us=None) if is_later else self


def is_open(ask: Ask, caps: Caps, now_us: int) -> bool:
    """Whether an ask may still be answered: it has no outcome, and the time that the policy gives is not over."""
    return ask.outcome is None and ask.asked_us > now_us - caps.open_days * DAY_US


def resting(asks: Iterable[Ask], caps: Caps, now_us: int) -> str | None:
    """Return why a customer with these asks must not be asked now (one of CODES), or None."""
    held = list(asks)
    if sum(is_open(ask, caps, now_us) for ask in held) >= caps.open_asks:
        return OPEN
    since_us = now_us - caps.rest_days_after_refusal * DAY_US
    if any(ask.outcome == "declined" and (ask.outcome_us or ask.asked_us) > since_us for ask in held):
        return REFUSED
    for days, most in caps.windows:
        if sum(ask.asked_us > now_us - days * DAY_US for ask in held) >= most:
            return ASKED
    return None


def rests_until(asks: Iterable[Ask], caps: Caps, now_us: int) -> int | None:
    """Return when a customer with these asks may be asked again, if nothing more is recorded; None for never."""
    held = list(asks)
    days = {caps.open_days, caps.rest_days_after_refusal, *(days for days, _ in caps.windows)}
    ends = {start + of * DAY_US for ask in held for start in (ask.asked_us, ask.outcome_us or 0) for of in days}
    return next((end for end in sorted(ends) if end > now_us and resting(held, caps, end) is None), None)


def broken(asks: Iterable[Ask], caps: Caps) -> dict[str, str]:
    """Return the asks that those before them left no room for, as they stood then, each with one of CODES."""
    order = sorted(asks, key=lambda ask: (ask.asked_us, ask.ask_id))
    refused = {}
    for place, ask in enumerate(order):
        why = resting((other.as_of(ask.asked_us) for other in order[:place]), caps, ask.asked_us)
        if why is not None:
            refused[ask.ask_id] = why
    return refused


def newly_broken(before: Iterable[Ask], after: Iterable[Ask], caps: Caps) -> str | None:
    """Return which cap a change of the asks would break that they keep now (one of CODES), or None."""
    stood, stands = broken(before, caps), broken(after, caps)
    return next((why for ask_id, why in stands.items() if ask_id not in stood), None)


def united(*sources: Iterable[Ask]) -> dict[str, Ask]:
    """Return asks of several sources by their ids, the last source wins.

    An outcome is taken from whichever source has one, unless the last was put right by hand.
    """
    by_id: dict[str, Ask] = {}
    for source in sources:
        for ask in source:
            before = by_id.get(ask.ask_id)
            is_open_here = before is not None and before.outcome and not ask.outcome and ask.corrected_us is None
            by_id[ask.ask_id] = before if before is not None and is_open_here else ask
    return by_id


def standing_asks(asks: Iterable[Ask]) -> list[Ask]:
    """Return those that were not withdrawn, the latest last."""
    return sorted((ask for ask in asks if ask.withdrawn_us is None), key=lambda ask: (ask.asked_us, ask.ask_id))
