"""Training by name: the models of definitions, the value model beside them, or all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vouch.features.errors import NoOutcome, Refused
from vouch.models.value.predictor import NAME
from vouch.training import run
from vouch.training.cutoffs import ORIGINS
from vouch.training.report import TrainingReport
from vouch.training.value.report import QUESTION
from vouch.training.value.train import train_value

if TYPE_CHECKING:
    from vouch.features.project import Project
    from vouch.models.registry.versions import RunLabels
    from vouch.training.recipes.tuning import Tuning
    from vouch.training.value.report import ValueReport


def train_named(
    project: Project,
    name: str,
    as_of_us: int | None,
    now_us: int,
    seed: int = 0,
    tuning: Tuning = run.UNTUNED,
    origins: int = ORIGINS,
    is_judged: bool = True,
    labels: RunLabels | None = None,
) -> list[TrainingReport | ValueReport]:
    """Train a model by its name, the value model, or `all` of them; one report each.

    The rest is as `vouch.training.run.train` takes it, and but for `labels` not for the value model. Of `all`, a value
    model that cannot be fitted on so little is left out; where it is named, that is Refused.
    """
    if name == NAME:
        return [train_value(project, as_of_us, now_us, seed, labels)]
    scored = run.train(project, name, as_of_us, now_us, seed, tuning, origins, is_judged, labels)
    reports: list[TrainingReport | ValueReport] = [*scored]
    if name == run.ALL:
        try:
            reports.append(train_value(project, as_of_us, now_us, seed, labels))
        except (NoOutcome, Refused) as why:
            known_us = reports[0].as_of_us
            reports.append(TrainingReport(NAME, QUESTION, known_us, refusal=str(why), is_applicable=False))
    return reports
