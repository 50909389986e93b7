"""A champion of 300 trees over 150 features that were drawn at random, and vectors for it."""

from __future__ import annotations

from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd

from vouch.features.vectors.declare import load_families
from vouch.models.predictor import Predictor, champion_folder, write_bundle
from vouch.models.scoring.calibration import Calibrator
from vouch.models.scoring.feature_matrix import Column

FEATURES, TREES = 150, 300


def columns() -> list[Column]:
    """The first features that are numbers, those that say who is scored among them."""
    families = load_families()
    numbers = [name for name, feature in families.items() if not feature.is_category]
    return [Column(name, families[name].family) for name in numbers[:FEATURES]]


def frame(rows: int, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame({column.name: random.normal(5, 3, rows).round(3) for column in columns()})


def booster(names: list[str]) -> lgb.Booster:
    given = frame(20_000, seed=1)[names]
    chance = 1 / (1 + np.exp(-(given.to_numpy()[:, :10].sum(axis=1) - 50) / 9))
    label = (np.random.default_rng(2).random(len(given)) < chance).astype(int)
    settings = {"objective": "binary", "num_leaves": 31, "num_threads": 1, "verbose": -1, "seed": 0}
    return lgb.train(settings, lgb.Dataset(given.to_numpy(), label), num_boost_round=TREES)


def write_champion(home: Path) -> Predictor:
    names = [column.name for column in columns()]
    return write_bundle(
        champion_folder(home, "churn") / "bundle",
        model="churn",
        target="contract",
        kind="lightgbm",
        content=booster(names).model_to_string(),
        columns=columns(),
        calibrator=Calibrator(),
        golden=frame(16, seed=9),
        facts={},
    )


def vectors(rows: int, seed: int = 0) -> list[dict]:
    """Vectors as a request holds them, of customers who are with the company."""
    found = frame(rows, seed).assign(is_subscribed=1.0, is_leaving=0.0, tenure_days=400.0)
    return [{"customer_id": f"c{place}", "features": row} for place, row in enumerate(found.to_dict("records"))]
