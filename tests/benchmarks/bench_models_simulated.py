"""What the models know of what can be known, on a simulated company, and whether their probabilities hold out of time.

The yardstick is LightGBM on the same features, fitted on an independent company ten times as large
(`features/simulation/reference.json`). Shares are of the ROC-AUC above 0.5 on the test cutoff.
"""

from __future__ import annotations

from collections.abc import Iterator

from measuring import FOLDER, Row

from vouch.features.ingest.stage import stage
from vouch.features.project import Project
from vouch.features.simulation.company import simulate
from vouch.features.simulation.parameters import LAST_INSTANT_US
from vouch.models.quality.figures import calibration_fit
from vouch.training import run
from vouch.training.simulated_truth import captured

IS_LONG = True
CUSTOMERS, WEEKS, SEED = 5_000, 78, 0
MODELS = ("churn", "advocacy")


def company(customers: int = CUSTOMERS) -> Project:
    """A company, simulated once."""
    folder = FOLDER / "simulated" / f"{customers}-{WEEKS}-{SEED}"
    if not (folder / "company" / "truth" / "parameters.json").exists():  # written last
        simulate(folder / "company", customers, WEEKS, SEED)
    return Project(folder, str(folder / "company"))


def rows() -> Iterator[Row]:
    """Both models, one after another."""
    project = company()
    tables = run._opened(project, stage(project, LAST_INSTANT_US))
    for name, trained in run.train_on(tables, MODELS, LAST_INSTANT_US).items():
        assert isinstance(trained, run.Trained), trained
        data, best = trained.data, trained.evaluation.challenger
        yield from known(project, name, trained)
        figures, pooled = best.figures, trained.evaluation.rolled
        error, skill = figures["calibration_error"], figures["brier_skill"]
        note = f"{error:.4f}; Brier skill {skill:.3f}; {best.name}, {best.calibrated.calibrator.method}"
        yield Row(f"{name}: calibration error, 20 bins of equal mass", "0.02", error / 0.02, at_most=1.0, note=note)
        yield Row(f"{name}: Brier skill", "0", skill, at_least=0.0, note="above 0")
        fit = calibration_fit(data.test.label, best.probability, data.test.customers)
        for where, (low, high), slope in (
            ("test cutoff", (fit.low, fit.high), fit.slope),
            ("all origins", pooled.intervals["calibration_slope"], pooled.pooled["calibration_slope"]),
        ):
            off = max(low - 1, 1 - high, 0.0)
            note = f"slope {slope:.3f} ({low:.3f} to {high:.3f})"
            yield Row(f"{name}: slope's interval from 1, {where}", "1", off, at_most=0.0, note=note)
        note = f"{pooled.pooled['calibration_error']:.4f} over {len(pooled.each)} origins"
        ratio = pooled.pooled["calibration_error"] / 0.03
        yield Row(f"{name}: calibration error, all origins", "0.03", ratio, at_most=1.0, note=note)


def known(project: Project, name: str, trained: run.Trained) -> Iterator[Row]:
    """How much of what can be known the model knows."""
    found = captured(project, name, trained.data.test.scored(trained.evaluation.challenger.probability))
    note = f"ROC-AUC {found['roc_auc']:.4f}, truth {found['roc_auc_of_truth']:.4f}, {found['rows']} rows"
    share = found["share_of_reference"]
    yield Row(f"{name}: gain of ROC-AUC over 0.5", "LightGBM on a company ten times as large", share, at_least=0.9,
              note=note)  # fmt: skip
