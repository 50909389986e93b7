"""A model of five features that tests write by hand, and vectors for it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from vouch.models.predictor import write_bundle
from vouch.models.scoring.calibration import Calibrator
from vouch.models.scoring.effects import Effects, KindEffect, QiniCurve
from vouch.models.scoring.feature_matrix import Column
from vouch.models.scoring.formulas import PointsMeasure

COLUMNS = (
    Column("active_days_28d", "usage"),
    Column("usage_growth_28d", "usage"),
    Column("orders_90d", "purchases"),
    Column("plan", "profile", ("basic", "plus", "pro")),
    Column("nps_last", "satisfaction"),
)


def vectors(rows, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(rows)],
            "as_of_us": 0,
            "active_days_28d": rng.integers(0, 28, rows).astype(float),
            "usage_growth_28d": rng.normal(size=rows),
            "orders_90d": rng.poisson(2, rows).astype(float),
            "plan": pd.Series(rng.choice(["basic", "plus", "pro", "unheard of"], rows), dtype="str"),
            "nps_last": np.where(rng.random(rows) < 0.6, np.nan, rng.integers(0, 11, rows)),
        }
    )
    frame.loc[rng.random(rows) < 0.1, "plan"] = None
    return frame


LOGISTIC = {
    "base": -1.5,
    "terms": [
        {"fill": 10.0, "centre": 2.0, "scale": 0.8, "weight": -0.7, "missing_weight": 0.0, "mean": 0.0},
        {"fill": 0.0, "centre": 0.0, "scale": 0.6, "weight": -0.4, "missing_weight": 0.3, "mean": 0.1},
        {"fill": 1.0, "centre": 1.0, "scale": 0.5, "weight": 0.0, "missing_weight": 0.0, "mean": 0.0},
        {"weights": [0.3, 0.1, -0.4, 0.05], "mean": 0.02},
        {"fill": 7.0, "centre": 2.0, "scale": 0.3, "weight": -0.2, "missing_weight": 0.5, "mean": 0.25},
    ],
}
RULES = {
    "base": -2.0,
    "slope": -0.04,
    "parts": [
        PointsMeasure("active_days_28d", 0.7, (0.0, 10.0, 28.0), (0.0, 60.0, 100.0)).as_json(),
        None,
        None,
        None,
        PointsMeasure("nps_last", 0.3, (0.0, 10.0), (0.0, 100.0)).as_json(),
    ],
}
ISOTONIC = Calibrator("isotonic", raw=(-3.0, -1.0, 2.0), probability=(0.01, 0.2, 0.9))
KNOWN = KindEffect("review", 400, 120, 0.3, 0.5, 0.0, 0.2, 0.3, 0.02, 0.25, 0.15, 0.35)
UNSURE = KindEffect("beta", 90, 40, 0.0, 0.1, 0.0, 0.2, 0.3, 0.02, 0.05, -0.02, 0.12)
UNTRIED = KindEffect("referral", 60, 0, -0.2, 0.3, 0.0, 0.0, 0.3)
"""One that trials have shown to add something, one that they have not, one that was never tried at random."""
QINI = QiniCurve(0.02, 0.01, 0.03, 0.025, ((0.0, 0.0, 0.0), (1.0, 0.2, 0.2)))
EFFECTS = Effects((KNOWN, UNSURE, UNTRIED), 0.5, LOGISTIC, QINI)


def written(folder, kind, content, calibrator=ISOTONIC, **more):
    return write_bundle(
        folder,
        model="churn",
        target="contract",
        kind=kind,
        content=content,
        columns=COLUMNS,
        calibrator=calibrator,
        golden=vectors(16, seed=9),
        facts={"data_fingerprint": "d"},
        **more,
    )
