"""How soon: the law that made the outcomes is found again, horizons rise, and the churn score stands within."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.rows.datasets import PLAN, dataset
from support.small_model import COLUMNS, LOGISTIC, vectors
from vouch.features.contract.tables import DAY_US
from vouch.features.errors import BundleError, UsageError
from vouch.models.predictor import Predictor, write_bundle
from vouch.models.scoring.calibration import Calibrator
from vouch.models.scoring.hazard import WEEKS, Hazard, hazard_from_json
from vouch.training.hazard import Followed, fit_hazard, follow, judge_hazard

LAW = Hazard(4, (-1.4, -1.6, -1.7, -1.9), (1.0, 0.9, 0.8, 0.6), (0.0, 2.0), WEEKS)


def followed(rows=20_000, weeks=WEEKS, seed=0):
    """Rows that LAW makes: a probability for four weeks, an annual renewal for some, and when each one left."""
    rng = np.random.default_rng(seed)
    probability = rng.beta(1, 19, rows)
    annual = np.where(rng.random(rows) < 0.4, rng.integers(0, 180, rows).astype(float), np.nan)
    due = (np.full(rows, np.nan), annual)
    left = LAW.by_week(probability, due) > rng.random(rows)[:, None]
    first = np.where(left.any(axis=1), left.argmax(axis=1) + 1, 0)
    seen = np.full(rows, weeks)
    return Followed(probability, due, np.arange(rows), seen, np.where(first <= weeks, first, 0))


def test_the_law_that_made_the_outcomes_is_found_again():
    rows = followed(40_000)
    found = fit_hazard(rows, 4)
    said, true = (law.by_week(rows.probability, rows.due) for law in (found, LAW))
    for weeks in (1, 4, 8, 13, 26):
        assert np.abs(said[:, weeks - 1] - true[:, weeks - 1]).mean() < 0.01
    assert found.due[1] == pytest.approx(2.0, abs=0.3)
    judged = judge_hazard(rows, 4, 0)
    assert [row["weeks"] for row in judged] == [4, 13, 26]
    for row in judged:
        assert row["expected"] == pytest.approx(row["came_true"], abs=0.01)
        assert row["roc_auc"] > 0.6


def test_who_was_followed_for_less_time_counts_for_that_time_alone():
    short = fit_hazard(followed(40_000, weeks=10), 4)
    rows = followed(2000, seed=1)
    said, true = (law.by_week(rows.probability, rows.due)[:, 9] for law in (short, LAW))
    assert np.abs(said - true).mean() < 0.01
    assert short.observed_weeks == 10


@given(
    probability=st.lists(st.floats(0, 1), min_size=1, max_size=20),
    numbers=st.lists(st.floats(-3, 3), min_size=10, max_size=10),
    anchor=st.integers(1, WEEKS),
    days=st.one_of(st.just(float("nan")), st.floats(0, 400)),
)
def test_a_longer_horizon_is_never_less_probable_and_the_own_horizon_is_the_score(probability, numbers, anchor, days):
    hazard = Hazard(anchor, tuple(numbers[:4]), tuple(numbers[4:8]), tuple(numbers[8:]), WEEKS)
    given = np.array(probability)
    found = hazard.by_week(given, [np.full(len(given), days)] * 2)
    assert found.shape == (len(given), WEEKS)
    assert (np.diff(found, axis=1) >= 0).all()
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_allclose(found[:, anchor - 1], given, atol=2e-6)


def test_too_few_outcomes_give_no_hazard():
    assert fit_hazard(followed(60), 4) is None
    assert judge_hazard(followed(60), 4, 0) == []


def test_rows_are_followed_to_their_first_outcome_after_the_instant_and_no_longer_than_is_final():
    data = dataset(customers=4, plan=PLAN)
    test = data.newest
    instant = int(test.as_of_us[0])
    moments = pd.DataFrame(
        {
            "customer_id": ["c00000", "c00000", "c00001", "c00002"],
            "moment_us": [instant - DAY_US, instant + 8 * DAY_US, instant + 300 * DAY_US, instant],
        }
    )
    rows = follow(replace(data, moments=moments), [(test, np.full(4, 0.1))], instant + (70 + 14) * DAY_US)
    assert rows.weeks.tolist() == [10] * 4
    assert rows.outcome.tolist() == [2, 0, 1, 0]


def test_a_bundle_says_how_soon_and_agrees_with_its_score(tmp_path):
    options = {
        "model": "churn", "target": "contract", "kind": "logistic", "content": LOGISTIC, "columns": COLUMNS,
        "calibrator": Calibrator(), "golden": vectors(16, seed=9), "facts": {},
    }  # fmt: skip
    write_bundle(tmp_path / "with", **options, hazard=LAW)
    loaded, frame = Predictor.load(tmp_path / "with"), vectors(50)
    assert loaded.hazard == LAW
    np.testing.assert_array_equal(loaded.within(frame, 4), loaded.score(frame).probability)
    assert (loaded.within(frame, 26) > loaded.within(frame, 1)).all()
    with pytest.raises(UsageError, match="1 to 26 weeks, not 27"):
        loaded.within(frame, 27)
    with pytest.raises(UsageError, match="does not say how soon"):
        write_bundle(tmp_path / "without", **options).by_week(frame)
    with pytest.raises(BundleError, match="hazard"):
        hazard_from_json({**LAW.as_json(), "slopes": [1.0]})
