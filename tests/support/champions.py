"""Handwritten champions: formulas of a few features with plain numbers, so that tests need no training."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from vouch.features.discovery.flat import CATEGORY, NUMBER, FlatColumn
from vouch.features.vectors.declare import load_families
from vouch.models import load, names
from vouch.models.predictor import Predictor, champion_folder, write_bundle
from vouch.models.scoring.calibration import Calibrator
from vouch.models.scoring.feature_matrix import Column
from vouch.models.scoring.flat_table import described
from vouch.models.scoring.hazard import Hazard

# Weight per standard unit, where a number is centred at `centre` after sign(x) log(1 + |x|).
CHURN = {"days_since_activity": (0.8, 1.5), "tenure_days": (-0.4, 5.5), "nps_last": (-0.9, 2.0)}
ADVOCACY = {"nps_last": (1.2, 2.0), "active_days_28d": (0.5, 1.5), "tickets_open": (-0.6, 0.2)}
SOON = Hazard(4, (-4.5, -4.6, -4.7, -4.8), (0.9, 0.8, 0.7, 0.6), (0.3, 0.2), 26)
TARGETS = {"churn": ("contract", -3.0, CHURN), "advocacy": ("organic", -1.5, ADVOCACY)}


def write_champion(home: Path, name: str, base: float | None = None) -> Predictor:
    """A champion in the place where promotion puts it; another `base` makes another model."""
    target, usual, weights = TARGETS.get(name) or (load(name).targets[0].name, -2.0, ADVOCACY)
    families = load_families()
    terms = [
        {"fill": 0.0, "centre": centre, "scale": 1.0, "weight": weight, "missing_weight": 0.1, "mean": 0.0}
        for weight, centre in weights.values()
    ]
    return write_bundle(
        champion_folder(home, name) / "bundle",
        model=name,
        target=target,
        kind="logistic",
        content={"base": usual if base is None else base, "terms": terms},
        columns=[Column(feature, families[feature].family) for feature in weights],
        calibrator=Calibrator(),
        golden=pd.DataFrame([dict.fromkeys(weights, 1.0), dict.fromkeys(weights, float("nan"))]),
        facts={},
        hazard=SOON if name == "churn" else None,
    )


def write_champions(home: Path) -> dict[str, Predictor]:
    """Champions of all models that a company is missing something without."""
    others = [name for name in names() if name not in TARGETS and not load(name).is_optional]
    return {name: write_champion(home, name) for name in [*TARGETS, *others]}


def write_flat_champion(home: Path, name: str) -> Predictor:
    """A champion of a flat table with a category, `Contract`, and a number, `tenure`."""
    known = (
        FlatColumn("contract", "Contract", CATEGORY, ("One year", "Two year")),
        FlatColumn("tenure", "tenure", NUMBER),
    )
    columns = [Column(column.name, column.name, column.categories) for column in known]
    tenure = {"fill": 12.0, "centre": 2.5, "scale": 1.0, "weight": -0.7, "missing_weight": 0.1, "mean": 0.0}
    settings = {"label": "Churn", "id": "customerID", "time": None}
    return write_bundle(
        champion_folder(home, name) / "bundle",
        model=name,
        target="label",
        kind="logistic",
        content={"base": -1.0, "terms": [{"weights": [0.4, -0.3, 0.0], "mean": 0.0}, tenure]},
        columns=columns,
        calibrator=Calibrator(),
        golden=pd.DataFrame({"contract": ["One year", None], "tenure": [3.0, float("nan")]}),
        facts={"table": described(known, columns, "Yes", settings)},
    )
