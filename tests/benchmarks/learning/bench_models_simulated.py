"""What the models know of what can be known, on a simulated company, and whether their probabilities hold out of time.

The yardstick is LightGBM on the same features, fitted on an independent company ten times as large
(`features/simulation/reference.json`). Shares are of the ROC-AUC above 0.5 at the newest origin.
"""

from __future__ import annotations

from collections.abc import Iterator

from measuring import FOLDER, Row

from vouch.features.ingest.stage import stage
from vouch.features.project import Project
from vouch.features.simulation.company import simulate
from vouch.features.simulation.parameters import LAST_INSTANT_US, PARAMETERS, Parameters
from vouch.training import run
from vouch.training.simulated.truth import captured
from vouch.training.trained import Trained

IS_LONG = True
CUSTOMERS, WEEKS, SEED = 5_000, 78, 0
MODELS = ("churn", "advocacy")
LEAST_GAIN = {"churn": 0.93, "advocacy": 0.97}
"""Share of what a company ten times as large teaches that 5,000 customers must teach."""


def company(customers: int = CUSTOMERS, law: Parameters = PARAMETERS, seed: int = SEED) -> Project:
    """A company, simulated once."""
    of_law = "" if law == PARAMETERS else f"-world-{law.world}{'' if law.has_signal else '-without-signal'}"
    folder = FOLDER / "simulated" / f"{customers}-{WEEKS}-{seed}{of_law}"
    if not (folder / "company" / "truth" / "parameters.json").exists():  # written last
        simulate(folder / "company", customers, WEEKS, seed, law)
    return Project(folder, str(folder / "company"))


def rows() -> Iterator[Row]:
    """Both models, one after another."""
    project = company()
    tables = run.opened_by_size(project, stage(project, LAST_INSTANT_US))
    for name, trained in run.train_on(tables, MODELS, LAST_INSTANT_US).items():
        assert isinstance(trained, Trained), trained
        yield from known(project, name, trained)
        found = trained.evaluation
        figures, (low, high) = found.challenger.figures, found.intervals["calibration_slope"]
        error, skill, slope = (figures[of] for of in ("calibration_error", "brier_skill", "calibration_slope"))
        note = (
            f"{error:.4f} over {len(found.origins)} origins; Brier skill {skill:.3f}; {', '.join(found.choice.members)}"
        )
        yield Row(f"{name}: calibration error, 20 bins of equal mass", "0.02", error / 0.02, at_most=1.0, note=note)
        yield Row(f"{name}: Brier skill", "0", skill, at_least=0.0, note="above 0")
        off = max(low - 1, 1 - high, 0.0)
        note = f"slope {slope:.3f} ({low:.3f} to {high:.3f})"
        yield Row(f"{name}: slope's interval from 1, all origins", "1", off, at_most=0.0, note=note)


def known(project: Project, name: str, trained: Trained) -> Iterator[Row]:
    """How much of what can be known the model knows."""
    test, said = trained.data.test, trained.evaluation.challenger.probability
    newest = test.as_of_us == test.as_of_us.max()
    found = captured(project, name, test.take(newest).scored(said[newest]))
    note = f"ROC-AUC {found['roc_auc']:.4f}, truth {found['roc_auc_of_truth']:.4f}, {found['rows']} rows"
    share = found["share_of_reference"]
    yield Row(f"{name}: gain of ROC-AUC over 0.5", "LightGBM on a company ten times as large", share,
              at_least=LEAST_GAIN[name], note=note)  # fmt: skip
