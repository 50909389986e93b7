"""Watching of calibration with late outcomes: an e-process, valid at every look, and the offset that answers it.

A week is bet on by outcomes that have become final: against the hypothesis that published probabilities hold (but for
`TOLERATED` on the logit), on each of some shifts from each week on. A bet wins exp(log-likelihood with the shift less
that with what is tolerated); with fair probabilities its expectation is at most 1 whatever came before, and so is that
of the mixture over shifts and over weeks of change. So it passes 1 / `FALSE_ALARMS` with a chance of at most
`FALSE_ALARMS` in the whole life of a watch, however often one looks (Ville 1939; Ramdas, Gruenwald, Vovk & Shafer 2023,
Statistical Science 38:576-601; mixtures over the time of change as in Shin, Ramdas & Rinaldo 2024).

Windows of one customer overlap from week to week, and would be counted many times. So a customer is looked at once in
the length of a window, each in a turn of their own: what counts is as good as independent.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.instants import WEEK_US
from vouch.features.statistics.newton import maximum
from vouch.models.scoring.calibration import log_odds, sigmoid, softplus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vouch.models.scoring.trees import Numbers

FALSE_ALARMS = 0.05
"""Chance of an alarm in the whole life of a watch where probabilities hold."""
LIMIT = 1 / FALSE_ALARMS
TOLERATED = 0.03
"""Shift of the logit that is none: no calibration is true to the last digit."""
SHIFTS = (-1.0, -0.6, -0.35, -0.2, 0.2, 0.35, 0.6, 1.0)
"""Shifts of the logit that are bet on, with equal shares."""
EVERY_WEEK = 1 / 78
"""Chance, week by week, with which the mixture begins to bet."""
LARGEST = 5.0
"""Log-odds that no prior moves by: an offset is at most that."""
PULL = 20.0
"""Rows' worth of information that draws an offset to none: a few weeks do not tell a shift to the last digit."""


@dataclass(frozen=True)
class Batch:
    """The outcomes of one published week that count: how many, how many came true and were expected, and what was won.

    `gains` are the logarithms of what the bet on each of `SHIFTS` won.
    """

    as_of_us: int
    model: str
    n: int
    came_true: int
    expected: float
    gains: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values, as a manifest keeps them."""
        return {**vars(self), "gains": list(self.gains)}


@dataclass(frozen=True)
class Evidence:
    """What a watch says: its wealth (1 at the start), and from which week on the shift that wins most is likeliest."""

    wealth: float
    changed_us: int | None

    @property
    def is_alarm(self) -> bool:
        """Whether the probabilities do not hold."""
        return self.wealth >= LIMIT


def in_turn(customers: Sequence[Any], as_of_us: int, horizon_days: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whose turn it is in a week: each customer's comes once in so many weeks as a window touches."""
    weeks = -(-horizon_days // 7)
    turns = np.array([zlib.crc32(str(customer).encode()) % weeks for customer in customers], dtype=np.int64)
    return np.asarray(turns == (as_of_us // WEEK_US) % weeks)


def batch_of(as_of_us: int, model: str, probability: Numbers, label: Numbers) -> Batch:
    """The bets of one week on rows whose outcomes are final; `label` is 1 where it came true."""
    odds, shift = log_odds(probability), np.array(SHIFTS)
    against = np.sign(shift) * TOLERATED
    gains = _likelihood(odds, label, shift) - _likelihood(odds, label, against)
    rounded = tuple(float(f"{gain:.9g}") for gain in gains)
    return Batch(as_of_us, model, len(label), int(label.sum()), round(float(probability.sum()), 6), rounded)


def _likelihood(odds: Numbers, label: Numbers, shifts: Numbers) -> Numbers:
    """Log-likelihood of outcomes with each of some shifts of the log-odds."""
    return np.array([np.sum(label * (odds + shift) - softplus(odds + shift)) for shift in shifts])


def evidence(batches: Sequence[Batch]) -> Evidence:
    """The wealth after all weeks, the oldest first."""
    if not batches:
        return Evidence(1.0, None)
    gains = np.array([of.gains for of in batches])
    run = np.cumsum(gains[::-1], axis=0)[::-1]
    """What each bet has won that began with each week: weeks by shifts."""
    began = np.arange(len(batches))
    chance = np.log(EVERY_WEEK) + began * np.log1p(-EVERY_WEEK)
    won = run + chance[:, None] - np.log(len(SHIFTS))
    most = max(float(won.max()), 0.0)
    waiting = len(batches) * np.log1p(-EVERY_WEEK)
    wealth = np.exp(most) * (np.exp(won - most).sum() + np.exp(waiting - most)) if most < 700 else np.inf
    return Evidence(float(wealth), batches[int(np.argmax(run.max(axis=1)))].as_of_us)


def offset(probability: Numbers, label: Numbers) -> float:
    """The shift of the log-odds with which probabilities would have held: most likely, drawn to none (`PULL`).

    Corrects a prior that has moved, where the model still ranks (Saerens, Latinne & Decaestecker 2002).
    """
    odds = log_odds(probability)
    pull = PULL * float(np.mean(probability * (1 - probability)))

    def look(fit: Numbers) -> tuple[Numbers, Numbers]:
        predicted = sigmoid(odds + fit[0])
        return np.array([np.sum(label - predicted) - pull * fit[0]]), np.array(
            [[np.sum(predicted * (1 - predicted)) + pull]]
        )

    return round(float(np.clip(maximum(look, np.zeros(1)).at[0], -LARGEST, LARGEST)), 6)
