"""Asks of the week: those that wait for an answer, and what was asked and answered since an instant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.contract.tables import DAY_US
from vouch.serving.asking.rules.caps import Ask, is_open, standing_asks, united
from vouch.serving.asking.waiting import OF_AN_ASK

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from vouch.serving.asking.waiting import Asking

Chosen = np.ndarray[Any, np.dtype[np.bool_]]


def open_asks(asking: Asking, now_us: int) -> list[Ask]:
    """Return the asks that are open at a moment, as the log of asks has them, the one that waits longest first."""
    since_us = now_us - asking.policy.caps.open_days * DAY_US

    def may_be_open(frame: pd.DataFrame) -> Chosen:
        is_unanswered = (frame["outcome"].isna() | (frame["outcome_us"] > now_us)).to_numpy(dtype=bool)
        mask: Chosen = is_unanswered & (frame["asked_us"] > since_us).to_numpy()
        return mask

    asks = [ask.as_of(now_us) for ask in _asks(asking, may_be_open) if ask.asked_us <= now_us]
    return [ask for ask in asks if is_open(ask, asking.policy.caps, now_us) and not _objects(asking, ask.customer_id)]


def _objects(asking: Asking, customer_id: str) -> bool:
    """Whether a customer objects to being profiled, and so is in no list."""
    row = asking.ids.row_of(customer_id)
    return row is not None and asking.ranked.is_opted_out(int(asking.ranked.place_of[row]))


def asks_between(asking: Asking, since_us: int, until_us: int) -> tuple[list[Ask], list[Ask]]:
    """Return the asks that were made from one instant to another, and those that were answered then."""

    def is_recent(frame: pd.DataFrame) -> Chosen:
        mask: Chosen = ((frame["asked_us"] >= since_us) | (frame["outcome_us"] >= since_us)).to_numpy(dtype=bool)
        return mask

    asks = _asks(asking, is_recent)
    made = [ask for ask in asks if since_us <= ask.asked_us <= until_us]
    return made, [ask for ask in asks if ask.outcome and since_us <= (ask.outcome_us or -1) <= until_us]


def _asks(asking: Asking, wanted: Callable[[pd.DataFrame], Chosen]) -> list[Ask]:
    """Asks of the data that are wanted and all that were recorded and stand, as one, the earliest first."""
    places, frame = asking.of_data
    recorded = [ask for held in list(asking.recorded.values()) for ask in list(held.values())]
    chosen = wanted(frame) | frame["ask_id"].isin([ask.ask_id for ask in recorded]).to_numpy(dtype=bool)
    rows = frame.loc[chosen, list(OF_AN_ASK)].to_dict("records")
    people = [asking.ranked.customer_id(int(place)) for place in places[chosen]]
    known = [_ask(customer_id, row) for customer_id, row in zip(people, rows, strict=True)]
    return standing_asks(united(known, recorded).values())


def _ask(customer_id: str, row: dict[Any, Any]) -> Ask:
    """One ask of the data; what a frame has as NaN is none."""
    known: dict[str, Any] = {name: None if value is None or value != value else value for name, value in row.items()}
    answered = known["outcome_us"]
    return Ask(
        ask_id=str(known["ask_id"]),
        customer_id=customer_id,
        kind=known["kind"],
        asked_us=int(known["asked_us"]),
        outcome=known["outcome"],
        outcome_us=None if answered is None else int(answered),
    )
