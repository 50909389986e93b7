"""The audit of the health rules finds what tells, what does not, and what is the wrong way round."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from vouch.features.errors import DataError
from vouch.features.health import health_rules
from vouch.features.ingest.stage import open_tables
from vouch.features.simulation.parameters import LAST_INSTANT_US
from vouch.models.quality.health_audit import audit, is_monotone, suggested, trend


@pytest.fixture(scope="module")
def judged(staged):
    tables = open_tables(staged, "polars")
    return audit(tables, staged.default_as_of_us(LAST_INSTANT_US))


def test_every_measure_is_judged_beside_the_score_as_a_whole(judged):
    assert [one.measure for one in judged] == [
        "health_score",
        *(measure.feature for measure in health_rules().measures),
    ]
    assert sum(one.weight for one in judged[1:]) == pytest.approx(1)
    assert sum(one.suggested_weight for one in judged[1:]) == pytest.approx(1)
    for one in judged[1:]:
        assert one.suggested_low <= one.suggested_weight <= one.suggested_high
        assert sum(tier.n for tier in one.tiers) == one.n
        if one.auc is not None:
            assert one.auc_low <= one.auc <= one.auc_high


def test_the_score_tells_who_leaves_better_than_chance(judged):
    assert judged[0].auc > 0.5
    assert judged[0].n > 1000


def law(rows=4000, seed=1):
    """Points of four measures: telling, telling less, telling nothing, and the wrong way round."""
    draw = np.random.default_rng(seed)
    points = draw.choice([0.0, 50.0, 100.0], (rows, 4))
    odds = -2.5 + 3 * (1 - points[:, 0] / 100) + 1.5 * (1 - points[:, 1] / 100) - 2 * (1 - points[:, 3] / 100)
    return points, (draw.random(rows) < 1 / (1 + np.exp(-odds))).astype(float)


def test_suggested_weights_are_those_of_the_law_and_never_negative():
    points, left = law()
    low, middle, high = suggested(points, left, np.arange(len(left)))
    assert middle[0] == pytest.approx(2 / 3, abs=0.08)
    assert middle[1] == pytest.approx(1 / 3, abs=0.08)
    assert middle[2] < 0.05
    assert middle[3] == 0
    assert (low <= middle).all()
    assert (middle <= high).all()
    assert low[0] > high[2]


def test_a_missing_measure_is_no_reason_for_a_weight():
    points, left = law()
    points[:, 1] = np.nan
    _, middle, _ = suggested(points, left, np.arange(len(left)))
    assert middle[1] == 0


def test_the_trend_is_that_of_a_linear_by_linear_association():
    points, left = law()
    r = stats.pearsonr(points[:, 0], left).statistic
    assert trend(points[:, 0], left) == pytest.approx(r * np.sqrt(len(left)))
    assert trend(points[:, 0], left) < -10
    assert trend(points[:, 3], left) > 10
    assert trend(np.full(len(left), 50.0), left) is None


def test_tiers_the_wrong_way_round_are_found():
    from vouch.models.quality.health_audit import _tiers

    points, left = law()
    assert is_monotone(_tiers(points[:, 0], left))
    assert not is_monotone(_tiers(points[:, 3], left))


def test_too_few_who_left_are_no_audit(staged):
    tables = open_tables(staged, "polars")
    early_us = LAST_INSTANT_US - 57 * 7 * 86_400_000_000
    with pytest.raises(DataError, match="at least 20"):
        audit(tables, early_us)
