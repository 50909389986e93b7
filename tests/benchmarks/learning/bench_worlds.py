"""Small companies of other worlds: how much of what can be known is known there, and nothing where nothing is.

With signal both models are served; the observable gain is the gain of ROC-AUC over 0.5 as a share of that of LightGBM
on the same vectors of an independent company of the same world ten times as large. That stands in `reference.json` once
`python -m vouch.training.simulated.reference --world SEED` has measured it, and is a target for companies large enough.
Without signal each is refused, or has no skill.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from bench_models_simulated import CUSTOMERS as ENOUGH
from bench_models_simulated import LEAST_GAIN, MODELS, company
from measuring import Row

from vouch.features.errors import Refused
from vouch.features.ingest.stage import stage
from vouch.features.project import Project
from vouch.features.simulation.parameters import LAST_INSTANT_US
from vouch.features.simulation.worlds import without_signal, world
from vouch.training import run
from vouch.training.gate import judge
from vouch.training.simulated.truth import captured

IS_LONG = True
CUSTOMERS = 1_000
WITH_SIGNAL, WITHOUT = (1, 2, 3), (1, 2)
SMALL = 0.02
"""Gain of ROC-AUC over 0.5 that is no skill."""


def rows() -> Iterator[Row]:
    """World by world."""
    for seed in WITH_SIGNAL:
        yield from _with_signal(seed, company(CUSTOMERS, world(seed), seed))
    for seed in WITHOUT:
        yield from _without(seed, company(CUSTOMERS, without_signal(world(seed)), seed))


def _trained(project: Project) -> dict[str, run.Trained | Refused]:
    staged = stage(project, LAST_INSTANT_US)
    return run.train_on(run.opened_by_size(project, staged), MODELS, LAST_INSTANT_US)


def _refusals(trained: run.Trained | Refused) -> str:
    if isinstance(trained, Refused):
        return str(trained)
    return "; ".join(f"{rule.name}: {rule.why}" for rule in judge(trained.evaluation, {}, None, trained.seed).refusals)


def _with_signal(seed: int, project: Project) -> Iterator[Row]:
    for name, trained in _trained(project).items():
        why = _refusals(trained)
        yield Row(f"world {seed}, {name}: served", "yes", float(not why), at_least=1.0, note=why or "every rule held")
        if isinstance(trained, Refused):
            continue
        found, test = trained.evaluation, trained.data.test
        of = captured(project, name, test.scored(found.challenger.probability))
        note = f"ROC-AUC {of['roc_auc']:.4f}, truth {of['roc_auc_of_truth']:.4f}; {', '.join(found.choice.members)}"
        yield Row(f"world {seed}, {name}: share of the truth", "truth", of["share_of_truth"], note=note)
        if of["share_of_reference"] is not None:
            least = LEAST_GAIN[name] if CUSTOMERS >= ENOUGH else None
            gain = of["share_of_reference"]
            yield Row(f"world {seed}, {name}: observable gain", "ten times as large", gain, at_least=least)
        error = found.challenger.figures["calibration_error"]
        yield Row(f"world {seed}, {name}: calibration error", "by chance", error / found.calibration_by_chance,
                  at_most=1.0, note=f"{error:.4f}, true probabilities {found.calibration_by_chance:.4f}")  # fmt: skip


def _without(seed: int, project: Project) -> Iterator[Row]:
    for name, trained in _trained(project).items():
        why = _refusals(trained)
        figures = None if isinstance(trained, Refused) else trained.evaluation.challenger.figures
        gain = 0.0 if why or figures is None else figures["roc_auc"] - 0.5
        yield Row(f"world {seed} without signal, {name}: skill", "none", gain, at_most=SMALL, note=why or "served")


if __name__ == "__main__":  # the figures by themselves
    for row in rows():
        print(row, file=sys.stdout, flush=True)
