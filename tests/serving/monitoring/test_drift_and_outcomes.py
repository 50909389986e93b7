"""Drift of a week's scores: of what the model says, whatever offset answers a prior that has moved."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.small_model import COLUMNS, LOGISTIC, vectors
from vouch.models import load
from vouch.models.predictor import encode, write_bundle
from vouch.models.quality.drift import MAJOR, reference
from vouch.models.scoring.calibration import Calibrator
from vouch.serving.monitoring.drift_and_outcomes import drift_of_week
from vouch.serving.scoring.score import Champion

ROWS = 800


@pytest.mark.parametrize("offset", [-1.5, 0.7, 2.5])
def test_an_offset_in_force_is_no_drift_of_the_scores(tmp_path, offset):
    rows = vectors(ROWS)
    made = write_bundle(
        tmp_path / "bundle", model="churn", target="contract", kind="logistic", content=LOGISTIC, columns=COLUMNS,
        calibrator=Calibrator(), golden=vectors(16), facts={},
    )  # fmt: skip
    tested = reference(COLUMNS, encode(rows, COLUMNS), made.score(rows).probability)
    served = replace(made, reference=tuple(tested)).shifted(offset)
    week, scores = tmp_path / "vectors.parquet", tmp_path / "scores.parquet"
    rows.to_parquet(week)
    rows[["customer_id"]].assign(churn_probability=served.score(rows).probability).to_parquet(scores)

    def index(of: float) -> float:
        champion = Champion("churn", load("churn").targets[0], served.shifted(of))
        return drift_of_week(week, scores, {"churn": champion})["churn"]["score"]["index"]

    assert index(offset) < 0.01
    assert index(0.0) > MAJOR, "taken as it was published it would be one"
