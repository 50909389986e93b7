"""The watch: few false alarms in years of looking every week, a shift found soon, and most of its loss regained."""

from __future__ import annotations

import numpy as np
import pytest

from vouch.features.instants import WEEK_US
from vouch.models.quality.watch import (
    EVERY_WEEK,
    LARGEST,
    LIMIT,
    SHIFTS,
    TOLERATED,
    batch_of,
    evidence,
    in_turn,
    offset,
)
from vouch.models.registry.offsets import Offset
from vouch.models.scoring.calibration import log_odds, sigmoid

CUSTOMERS, WEEKS, WINDOW = 5_000, 156, 13
CUSTOMER_IDS = [f"c{number:05}" for number in range(CUSTOMERS)]
TURNS = np.array([in_turn(CUSTOMER_IDS, week * WEEK_US, WINDOW * 7) for week in range(WINDOW)])


class Stream:
    """Three years of a company: weekly scores, and outcomes of the 13 weeks after each, so that windows overlap.

    What was said from week `changed` on comes true `times` as often as was said.
    """

    def __init__(self, seed: int, changed: int = WEEKS, times: float = 1.0) -> None:
        rng = np.random.default_rng(seed)
        self.said = rng.beta(1.2, 4.8, CUSTOMERS)
        self.true = np.minimum(self.said * times, 0.99)
        before, after = (self._windows(rng, of) for of in (self.said, self.true))
        self.label = np.vstack([before[:changed], after[changed:]])

    @staticmethod
    def _windows(rng: np.random.Generator, probability: np.ndarray) -> np.ndarray:
        """Whether anything happened in the weeks after each week, at an even rate."""
        happened = rng.random((WEEKS + WINDOW, CUSTOMERS)) < 1 - (1 - probability) ** (1 / WINDOW)
        total = np.cumsum(np.vstack([np.zeros(CUSTOMERS, bool), happened]).astype(int), axis=0)
        return (total[WINDOW:-1] > total[: -WINDOW - 1]).astype(float)

    def batch(self, week: int):
        turn = TURNS[week % WINDOW]
        return batch_of(week * WEEK_US, "model", self.said[turn], self.label[week, turn])

    def alarmed(self, weeks: int = WEEKS) -> int | None:
        """The first week at which somebody who looks every week is alarmed."""
        batches = []
        for week in range(weeks):
            batches.append(self.batch(week))
            if evidence(batches).is_alarm:
                return week
        return None


def false_alarms(streams: int) -> float:
    return float(np.mean([Stream(seed).alarmed() is not None for seed in range(streams)]))


def after_a_shift(streams: int, changed: int = 78) -> tuple[np.ndarray, np.ndarray]:
    """Weeks of labels until the alarm, and share of the lost log loss that the offset of the eighth week regains."""
    waited, regained = [], []
    for seed in range(streams):
        stream = Stream(1_000 + seed, changed, 1.3)
        at = stream.alarmed()
        assert at is not None
        waited.append(at - changed + 1)
        eighth = max(at, changed + 7)
        since = evidence([stream.batch(week) for week in range(eighth + 1)]).changed_us // WEEK_US
        turns = [(week, TURNS[week % WINDOW]) for week in range(since, eighth + 1)]
        said = np.concatenate([stream.said[turn] for _, turn in turns])
        shift = offset(said, np.concatenate([stream.label[week, turn] for week, turn in turns]))
        mended = sigmoid(log_odds(stream.said) + shift)
        lost = loss(stream.said, stream.true) - loss(stream.true, stream.true)
        regained.append((loss(stream.said, stream.true) - loss(mended, stream.true)) / lost)
    return np.array(waited), np.array(regained)


def loss(said: np.ndarray, true: np.ndarray) -> float:
    """Expected log loss of what was said where `true` is the chance."""
    return float(-np.mean(true * np.log(said) + (1 - true) * np.log1p(-said)))


@pytest.mark.parametrize("streams", [12, pytest.param(200, marks=pytest.mark.nightly)])
def test_years_of_looking_every_week_hardly_ever_alarm_without_a_change(streams):
    assert false_alarms(streams) <= 0.05


@pytest.mark.parametrize("streams", [8, pytest.param(200, marks=pytest.mark.nightly)])
def test_a_prior_that_rises_by_a_third_is_found_within_eight_weeks_and_most_of_its_loss_regained(streams):
    waited, regained = after_a_shift(streams)
    print(f"\nweeks {np.quantile(waited, [0, 0.5, 0.95, 1])}, regained {np.quantile(regained, [0, 0.05, 0.5])}")
    assert (waited >= 1).all()
    assert np.mean(waited <= 8) >= 0.95
    assert regained.mean() >= 0.8


def test_a_bet_is_fair_where_probabilities_hold_and_within_what_is_tolerated():
    rng = np.random.default_rng(0)
    said = rng.beta(1.2, 4.8, 40)
    for moved in (0.0, TOLERATED, -TOLERATED):
        chance = sigmoid(log_odds(said) + moved)
        won = [np.exp(batch_of(0, "m", said, (rng.random(40) < chance).astype(float)).gains) for _ in range(4_000)]
        assert (np.mean(won, axis=0) <= 1 + 4 * np.std(won, axis=0) / np.sqrt(len(won))).all()


def test_the_wealth_is_that_of_the_mixture_of_all_bets():
    rng = np.random.default_rng(1)
    batches = [batch_of(week, "m", *(np.full(30, 0.2), (rng.random(30) < 0.3).astype(float))) for week in range(6)]
    gains = np.array([of.gains for of in batches])
    by_hand = (1 - EVERY_WEEK) ** 6 + sum(
        EVERY_WEEK * (1 - EVERY_WEEK) ** began * np.exp(gains[began:].sum(axis=0)).mean() for began in range(6)
    )
    assert evidence(batches).wealth == pytest.approx(by_hand)
    assert gains.shape == (6, len(SHIFTS))
    assert evidence([]).wealth == 1


def test_overwhelming_evidence_is_an_alarm_and_no_overflow():
    batches = [batch_of(0, "m", np.full(40_000, 0.1), np.ones(40_000))]
    assert evidence(batches).wealth > LIMIT


def test_everybody_has_one_turn_in_a_window():
    turns = np.array([in_turn(CUSTOMER_IDS, week * WEEK_US, 90) for week in range(13)])
    assert (turns.sum(axis=0) == 1).all()
    assert turns.sum(axis=1).min() > 0.8 * CUSTOMERS / 13


def test_an_offset_is_the_shift_that_makes_probabilities_hold_and_little_evidence_moves_little():
    rng = np.random.default_rng(2)
    said = rng.beta(1.2, 4.8, 50_000)
    label = (rng.random(50_000) < sigmoid(log_odds(said) + 0.4)).astype(float)
    assert offset(said, label) == pytest.approx(0.4, abs=0.04)
    assert 0 < offset(said[:20], np.ones(20)) < offset(said[:2000], np.ones(2000))


@pytest.mark.parametrize("said", [1e-9, 1 - 1e-9, 0.5])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_no_offset_is_larger_than_what_may_be_written_down(said, label):
    found = offset(np.full(5_000, said), np.full(5_000, label))
    assert abs(found) <= LARGEST
    Offset(content_hash="0" * 64, as_of_us=1, offset=found, changed_us=0, n=5_000, came_true=0, expected=0.0)
