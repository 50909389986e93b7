"""The log of asks as a team works it: open ones, those whose answer is to be looked up, who rests, what is done.

Over the asks that the week's data know of and those recorded here, as one. An ask is `open` for as long as the policy
gives an answer time, then `waiting` until somebody records what came of it; an answered one is `done`; of each customer
who may not be asked again yet, the latest ask is `resting`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vouch.serving.asking.rules.caps import CODES, is_open, rests_until

if TYPE_CHECKING:
    from vouch.serving.asking.rules.caps import Ask
    from vouch.serving.asking.waiting import Asking

STATES = ("open", "waiting", "resting", "done")


@dataclass(frozen=True)
class LoggedAsk:
    """An ask, and whether and until when its customer rests."""

    ask: Ask
    why: str | None
    """One of CODES, or None."""
    until_us: int | None


def ask_log(asking: Asking, now_us: int) -> dict[str, list[LoggedAsk]]:
    """Return the asks by state, the latest first; resting ones by who may be asked again first."""
    by_state: dict[str, list[LoggedAsk]] = {state: [] for state in STATES}
    caps = asking.policy.caps
    for row in asking.rows_with_asks():
        customer_id, place = asking.customer_at(row), int(asking.ranked.place_of[row])
        if asking.ranked.is_opted_out(place):
            continue
        asks = asking.of(customer_id, row)
        code = int(asking.codes[place])
        why = CODES[code] if code >= 0 else None
        until_us = rests_until(asks, caps, now_us) if why is not None else None
        for ask in asks:
            state = "done" if ask.outcome is not None else "open" if is_open(ask, caps, now_us) else "waiting"
            by_state[state].append(LoggedAsk(ask, why, until_us))
        if why is not None and asks:
            by_state["resting"].append(LoggedAsk(asks[-1], why, until_us))
    for state in STATES:
        by_state[state].sort(key=lambda one: (-one.ask.asked_us, one.ask.ask_id))
    by_state["resting"].sort(key=lambda one: (one.until_us or np.inf, one.ask.ask_id))
    return by_state
