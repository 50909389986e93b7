"""Judgement against the simulated truth: how much of what can be known a model knows.

Only the simulator has these probabilities. Two yardsticks. The true probabilities are out of reach: they rest on a
state that no table holds. The reference is not: LightGBM on the same features, fitted on an independent company ten
times as large. It is fitted once (`vouch.training.simulated.reference`), and kept with the simulator's parameters as
its share of what the truth allows.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vouch.features.errors import UsageError
from vouch.features.simulation.parameters import VERSION
from vouch.models.quality.figures import roc_auc
from vouch.training.report import TrainingReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from vouch.features.project import Project
    from vouch.training.value.report import ValueReport

COLUMNS = {"churn": "churn_28d", "advocacy": "advocacy_90d"}
"""True probabilities by model; a model that is not here has none."""
REFERENCE = "reference.json"


def against_truth(
    project: Project, reports: Sequence[TrainingReport | ValueReport], now_us: int
) -> list[dict[str, Any]]:
    """Compare each model that was fitted with the truth beside the simulated tables; one row per model.

    Shares are of the ROC-AUC above 0.5 on the test rows. Raises UsageError where the data are not a simulated company.
    """
    rows = []
    for report in reports:
        if isinstance(report, TrainingReport) and report.test_rows is not None and report.model in COLUMNS:
            rows.append({"model": report.model, **captured(project, report.model, report.test_rows)})
    return rows


def captured(project: Project, model: str, test_rows: pd.DataFrame) -> dict[str, Any]:
    """ROC-AUC of the model and of the truth on the same rows, and the share of the gain over 0.5 that the model has."""
    import numpy as np

    probability = true_probability(project, model, test_rows)
    known = np.isfinite(probability)
    label = test_rows["label"].to_numpy()[known]
    of_model = roc_auc(label, test_rows["probability"].to_numpy()[known])
    of_truth = roc_auc(label, probability[known])
    share = (of_model - 0.5) / (of_truth - 0.5)
    reference = reference_shares(law_of(project)).get(model)
    return {
        "roc_auc": round(of_model, 4),
        "roc_auc_of_truth": round(of_truth, 4),
        "share_of_truth": round(share, 3),
        "share_of_reference": round(share / reference, 3) if reference else None,
        "rows": int(known.sum()),
    }


def true_probability(project: Project, model: str, rows: pd.DataFrame) -> Any:
    """The simulator's probability of each row (`customer_id`, `as_of_us`), NaN where it has none."""
    import pandas as pd

    path = Path(project.location or "") / "truth" / "weekly.parquet"
    if not path.exists():
        raise UsageError(f"There is no truth beside these data: {path} is not there. Only `vouch simulate` writes it.")
    instants = [int(instant) for instant in rows["as_of_us"].unique()]
    columns = ["customer_id", "as_of_us", COLUMNS[model]]
    truth = pd.read_parquet(path, columns=columns, filters=[("as_of_us", "in", instants)])
    joined = rows[["customer_id", "as_of_us"]].merge(truth, how="left", on=["customer_id", "as_of_us"])
    return joined[COLUMNS[model]].to_numpy()


def law_of(project: Project) -> dict[str, Any]:
    """The constants that a simulated company follows, as they stand beside its truth."""
    path = Path(project.location or "") / "truth" / "parameters.json"
    law: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return law


def reference_shares(law: Mapping[str, Any]) -> dict[str, float]:
    """Share of the truth's gain that the reference of a world reaches, by model; empty where none was measured in it.

    Without signal, or where the prior moves, there is none: the yardstick is of worlds that stay as they are.
    """
    path = resources.files("vouch.features").joinpath("simulation", REFERENCE)
    if not path.is_file():
        return {}
    reference = json.loads(path.read_text(encoding="utf-8"))
    if reference["version"] != VERSION or not law.get("has_signal", True) or law.get("prior_shift", 1.0) != 1.0:
        return {}
    world = law.get("world")
    measured = reference if world is None else reference.get("worlds", {}).get(str(world), {"models": {}})
    return {name: float(of["share_of_truth"]) for name, of in measured["models"].items()}
