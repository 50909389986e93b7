"""What the models know of what can be known, on a simulated company; and what `vouch train` costs over bare LightGBM.

The yardstick is LightGBM on the same features, fitted on an independent company ten times as large
(`features/simulation/reference.json`). Shares are of the ROC-AUC above 0.5 on the test cutoff.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import lightgbm
from measuring import FOLDER, Row

from features.project import Project
from features.simulate import simulate
from features.simulation.parameters import LAST_INSTANT_US
from features.sources import stage
from models.quality import calibration_fit
from training import run
from training.learners import PATIENCE, ROUNDS, TREES, lightgbm_data, lightgbm_parameters, validation
from training.truth import captured

IS_LONG = True
CUSTOMERS, WEEKS, SEED = 5_000, 78, 0
MODELS = ("churn", "advocacy")


def company() -> Project:
    """The company, simulated once."""
    folder = FOLDER / "simulated" / f"{CUSTOMERS}-{WEEKS}-{SEED}"
    if not (folder / "company" / "truth" / "parameters.json").exists():  # written last
        simulate(folder / "company", CUSTOMERS, WEEKS, SEED)
    return Project(folder, str(folder / "company"))


def bare(data) -> float:
    """Seconds that LightGBM takes by itself: rounds found by early stopping, then a fit of that many on all rows."""
    start = time.process_time()
    parameters = lightgbm_parameters(data, 0, TREES[data.model.learners[0]], {})
    fit, held = validation(data.train, data.target.matured_days, 0)
    first = lightgbm_data(data, data.train.take(fit), parameters)
    valid = lightgbm_data(data, data.train.take(held), parameters, first)
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    early = lightgbm.train(parameters, first, ROUNDS, valid_sets=[valid], callbacks=[stop])
    lightgbm.train(parameters, lightgbm_data(data, data.train, parameters), max(early.best_iteration, 1))
    return time.process_time() - start


def run_of(trained: run.Trained, is_judged: bool) -> float:
    """Seconds that `vouch train` takes from the same matrix on: fit, judge, write the bundle, log, and register.

    Into a home where something was registered before, so that making MLflow's database is not counted again and again.
    """
    home = Project(FOLDER / "simulated" / "home")
    if not (home.home / "mlflow").exists():
        run.store(home, trained, {}, LAST_INSTANT_US)
    start = time.process_time()
    made = run.fit_and_judge(trained.data, LAST_INSTANT_US, 0, "benchmark", is_judged=is_judged)
    run.store(home, made, {}, LAST_INSTANT_US).text()
    return time.process_time() - start


def rows() -> Iterator[Row]:
    """Both models, one after another."""
    project = company()
    tables = run._opened(project, stage(project, LAST_INSTANT_US))
    for name, trained in run.train_on(tables, MODELS, LAST_INSTANT_US).items():
        assert isinstance(trained, run.Trained), trained
        data, best = trained.data, trained.found.challenger
        yield from known(project, name, trained)
        figures, pooled = best.figures, trained.found.rolled
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
        yield from costs(name, trained)


def known(project: Project, name: str, trained: run.Trained) -> Iterator[Row]:
    """How much of what can be known the model knows."""
    found = captured(project, name, trained.data.test.scored(trained.found.challenger.probability))
    note = f"ROC-AUC {found['roc_auc']:.4f}, truth {found['roc_auc_of_truth']:.4f}, {found['rows']} rows"
    share = found["share_of_reference"]
    yield Row(f"{name}: gain of ROC-AUC over 0.5", "LightGBM on a company ten times as large", share, at_least=0.9,
              note=note)  # fmt: skip


def costs(name: str, trained: run.Trained) -> Iterator[Row]:
    """Processor time over bare LightGBM on the same matrix, without and with the evaluation."""
    data, reference = trained.data, bare(trained.data)
    note = f"{reference:.1f} s on {len(data.train)} rows by {len(data.columns)} features"
    runs = (("--no-evaluation", False, 1.3), ("all candidates, four origins, gate", True, None))
    for told, is_judged, at_most in runs:
        ratio = run_of(trained, is_judged) / reference
        yield Row(f"{name}: vouch train from the matrix on, {told}", "LightGBM by itself", ratio, at_most, note=note)
