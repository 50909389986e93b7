"""How much of what can be known at all a model has learnt: its ROC-AUC against that of a simulated company's truth.

Two yardsticks. The true probabilities, which know the latent state that no model sees, and a reference: LightGBM on the
same features, fitted on an independent company ten times as large, whose figures `python -m training.truth` computes
once and keeps beside the simulator's parameters. Only evaluation reads the truth.
"""

from __future__ import annotations

import tempfile
import tomllib
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import models
from features.errors import DataError
from features.simulation.parameters import LAST_INSTANT_US, VERSION
from features.sources import open_tables, stage
from features.vectors import collect, vectors
from models.definition import SCORED
from models.quality import roc_auc

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from features.asof import Tables
    from features.project import Project
    from training.report import TrainingReport

TRUTH = {"churn": "churn_28d", "advocacy": "advocacy_90d"}
"""Column of the truth that a model predicts."""
REFERENCE = "reference.toml"
REFERENCE_CUSTOMERS, REFERENCE_SEED, WEEKS = 50_000, 1_000, 78


@dataclass(frozen=True)
class Against:
    """What a model, the truth and the reference reach; `captured` are shares of the ROC-AUC above 0.5."""

    model: str
    model_auc: float
    truth_auc: float
    reference_share: float | None

    @property
    def captured(self) -> float:
        """Share of the truth's gain over 0.5."""
        return (self.model_auc - 0.5) / (self.truth_auc - 0.5)

    def row(self) -> dict[str, Any]:
        """The comparison as plain values, for a table."""
        of_reference = None if self.reference_share is None else round(self.captured / self.reference_share, 3)
        return {
            "model": self.model,
            "roc_auc": round(self.model_auc, 4),
            "truth_roc_auc": round(self.truth_auc, 4),
            "captured_of_truth": round(self.captured, 3),
            "reference_captures": self.reference_share,
            "captured_of_reference": of_reference,
        }


def against_truth(project: Project, reports: Sequence[TrainingReport], now_us: int) -> list[dict[str, Any]]:
    """Compare training reports on a simulated company with its truth, one row per model that has a truth.

    Raises DataError where the company is not a simulated one.
    """
    truth = read_truth(project)
    tables = open_tables(stage(project, now_us), "polars")
    shares = reference_shares()
    found = []
    for report in reports:
        if report.model not in TRUTH or report.refusal:
            continue
        rows = _test_rows(tables, report)
        reached = report.figures[report.chosen]["roc_auc"]
        best = truth_auc(rows, truth, report.model)
        found.append(Against(report.model, reached, best, shares.get(report.model)).row())
    return found


def read_truth(project: Project) -> pd.DataFrame:
    """The true probabilities of a simulated company: `customer_id`, `as_of_us`, and one column per outcome."""
    import pandas as pd

    path = Path(project.location or "") / "truth" / "weekly.parquet"
    if not path.exists():
        raise DataError(f"{project.location} is no simulated company: it has no truth/weekly.parquet")
    return pd.read_parquet(path, columns=["customer_id", "as_of_us", *TRUTH.values()])


def truth_auc(rows: pd.DataFrame, truth: pd.DataFrame, model: str) -> float:
    """ROC-AUC of the true probability on labelled rows (`customer_id`, `as_of_us`, `label`)."""
    joined = rows.merge(truth, on=["customer_id", "as_of_us"], how="inner", validate="one_to_one")
    known = joined[joined[TRUTH[model]].notna()]
    return float(roc_auc(known["label"].to_numpy(float), known[TRUTH[model]].to_numpy(float)))


def _test_rows(tables: Tables, report: TrainingReport) -> pd.DataFrame:
    """The labelled rows that a report's test figures rest on."""
    import pandas as pd

    target = models.load(report.model).target_named(report.target)
    instants = report.cutoffs["test"]
    labels = target.label(tables, instants, report.as_of_us, target)
    frames = []
    for instant in instants:
        frame = collect(vectors(tables, instant))
        frames.append(frame.loc[target.status(frame).isin(list(SCORED)), ["customer_id", "as_of_us"]])
    rows = pd.concat(frames, ignore_index=True).merge(labels, on=["customer_id", "as_of_us"], validate="one_to_one")
    return rows[rows["label"].notna()]


def reference_shares() -> dict[str, float]:
    """Share of the truth's gain that the reference captures, by model; empty where it is of another simulator."""
    path = resources.files("features.simulation").joinpath(REFERENCE)
    if not path.is_file():
        return {}
    kept = tomllib.loads(path.read_text(encoding="utf-8"))
    if kept["simulator"] != VERSION:
        return {}
    return {name: float(of["captured"]) for name, of in kept["models"].items()}


def compute_reference(customers: int, seed: int) -> list[Against]:
    """Fit on an independent company and compare with its truth: LightGBM on the same features and cutoffs."""
    import pandas as pd

    from features.project import Project
    from features.simulate import simulate
    from training.run import Trained, train_on

    found = []
    with tempfile.TemporaryDirectory() as folder:
        project = Project(home=Path(folder) / "home", location=str(Path(folder) / "company"))
        simulate(Path(folder) / "company", customers, WEEKS, seed)
        staged = stage(project, LAST_INSTANT_US)
        outcomes = train_on(open_tables(staged, "polars"), list(TRUTH), LAST_INSTANT_US)
        truth = read_truth(project)
        for name, outcome in outcomes.items():
            assert isinstance(outcome, Trained), f"{name} could not be fitted: {outcome}"
            test = outcome.data.test
            rows = pd.DataFrame({"customer_id": test.customers, "as_of_us": test.as_of_us, "label": test.label})
            reached = outcome.found.judged["lightgbm"].figures["roc_auc"]
            against = Against(name, reached, truth_auc(rows, truth, name), None)
            found.append(replace(against, reference_share=round(against.captured, 4)))
    return found


def main() -> None:
    """Compute the reference and keep its figures beside the simulator's parameters."""
    found = compute_reference(REFERENCE_CUSTOMERS, REFERENCE_SEED)
    lines = [
        "# What LightGBM on vouch's features reaches when fitted on an independent company ten times the demo's size.",
        "# Written by `python -m training.truth`; `captured` is the share of the truth's ROC-AUC above 0.5.",
        f'simulator = "{VERSION}"',
        f"customers = {REFERENCE_CUSTOMERS}",
        f"weeks = {WEEKS}",
        f"seed = {REFERENCE_SEED}",
    ]
    for against in found:
        lines += [
            f"\n[models.{against.model}]",
            f"roc_auc = {against.model_auc:.4f}",
            f"truth_roc_auc = {against.truth_auc:.4f}",
            f"captured = {against.captured:.4f}",
        ]
    path = Path(__file__).parents[1] / "features" / "simulation" / REFERENCE
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
