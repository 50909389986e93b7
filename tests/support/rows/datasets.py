"""Synthetic datasets with a known law, for learners and the gate; no tables behind them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from vouch import models
from vouch.features.contract.tables import DAY_US
from vouch.models.predictor import encode
from vouch.models.scoring.calibration import sigmoid
from vouch.models.scoring.feature_matrix import Column
from vouch.training.cutoffs import CutoffPlan, OriginPlan
from vouch.training.dataset import Dataset, DatasetPart

COLUMNS = (
    Column("active_days_28d", "usage"),
    Column("days_since_activity", "usage"),
    Column("tickets_open", "support"),
    Column("nps_last", "satisfaction"),
    Column("plan", "profile", ("basic", "plus", "pro")),
    Column("noise", "usage"),
)


def plan(days, tests):
    """Instants, and origins among them: each is fitted on all that are final before, and calibrated by those before."""
    at = tuple(day * DAY_US for day in days)

    def final(places, test):
        return tuple(place * DAY_US for place in places if place + 42 <= test)

    origins = [OriginPlan(test * DAY_US, final(days, test), final(tests, test)) for test in tests]
    return CutoffPlan(at, tuple(origins))


PLAN = plan((100, 142, 184, 226, 268), (184, 226, 268))


def rows(customers, instant_us, seed, interaction=1.5):
    """Vectors and outcomes at one instant; the law holds an interaction that no linear model can have."""
    rng = np.random.default_rng([seed, instant_us // DAY_US])
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{number:05}" for number in range(customers)],
            "active_days_28d": rng.integers(0, 28, customers).astype(float),
            "days_since_activity": rng.exponential(10, customers),
            "tickets_open": rng.poisson(0.4, customers).astype(float),
            "nps_last": np.where(rng.random(customers) < 0.5, np.nan, rng.integers(0, 11, customers)),
            "plan": pd.Series(rng.choice(["basic", "plus", "pro"], customers), dtype="str"),
            "noise": rng.normal(size=customers),
        }
    )
    activity, tickets = frame["active_days_28d"] / 14 - 1, frame["tickets_open"] - 0.4
    cross = np.sign(activity) * np.where(frame["plan"] == "pro", -1, 1)
    odds = -1.5 - 0.8 * activity + 0.6 * tickets - interaction * cross
    label = (rng.random(customers) < sigmoid(odds.to_numpy())).astype(float)
    return frame, label


def part(instants, customers, seed, columns=COLUMNS, **law):
    """Rows of one part of a dataset."""
    made = [(*rows(customers, instant, seed, **law), instant) for instant in instants]
    frame = pd.concat([frame for frame, _, _ in made], ignore_index=True) if made else rows(1, 0, 0)[0].iloc[:0]
    found = DatasetPart(
        encode(frame, columns),
        np.concatenate([label for _, label, _ in made]) if made else np.empty(0),
        frame["customer_id"].to_numpy(dtype=object),
        np.repeat([instant for _, _, instant in made], customers).astype(np.int64),
    )
    return found, frame


def dataset(customers=1500, seed=0, plan=PLAN, model=None, columns=COLUMNS, **law):
    """A whole dataset."""
    model = model or models.load("churn")
    every, frame = part(plan.instants, customers, seed, columns, **law)
    is_judged = np.isin(every.as_of_us, [of.test for of in plan.judged])
    judged = frame.loc[is_judged].reset_index(drop=True)
    return Dataset(model, model.targets[0], plan, columns, every, every.take(is_judged), judged)
