"""Companies of other worlds: how much of what can be known is known there, and nothing where nothing is.

With signal both models are served; the observable gain is the gain of ROC-AUC over 0.5 as a share of that of LightGBM
on the same vectors of an independent company of the same world of 50,000 customers. That stands in `reference.json`,
measured by `python -m vouch.training.simulated.reference --world SEED`, and is a target for companies large enough.
Without signal each is refused, or has no skill. `VOUCH_WORLDS=SIZES:WORLDS`, such as `5000:1,2`, runs some of them.
"""

from __future__ import annotations

import os
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
from vouch.training.trained import Trained

IS_LONG = True
SIZES, WITH_SIGNAL, WITHOUT = (1_000, 2_000, 5_000), (1, 2, 3, 4, 5), (1, 2, 3, 4, 5)
LARGEST_ERROR = 0.02
"""Calibration error that companies large enough may have; smaller ones no more than true probabilities show."""
SMALL = 0.02
"""Gain of ROC-AUC over 0.5 that is no skill."""


def rows() -> Iterator[Row]:
    """World by world."""
    chosen, _, among = os.environ.get("VOUCH_WORLDS", "").partition(":")
    sizes = [int(size) for size in chosen.split(",") if size] or SIZES
    worlds = [int(seed) for seed in among.split(",") if seed] or WITH_SIGNAL
    for customers in sizes:
        for seed in worlds:
            yield from _with_signal(seed, customers, company(customers, world(seed), seed))
    for seed in set(worlds) & {*WITHOUT}:
        yield from _without(seed, company(min(sizes), without_signal(world(seed)), seed))


def _trained(project: Project) -> dict[str, Trained | Refused]:
    staged = stage(project, LAST_INSTANT_US)
    return run.train_on(run.opened_by_size(project, staged), MODELS, LAST_INSTANT_US)


def _refusals(trained: Trained | Refused) -> str:
    if isinstance(trained, Refused):
        return str(trained)
    return "; ".join(f"{rule.name}: {rule.why}" for rule in judge(trained.evaluation, {}, None, trained.seed).refusals)


def _with_signal(seed: int, customers: int, project: Project) -> Iterator[Row]:
    for name, trained in _trained(project).items():
        why, of_world = _refusals(trained), f"world {seed}, {customers:,} customers, {name}"
        yield Row(f"{of_world}: served", "yes", float(not why), at_least=1.0, note=why or "every rule held")
        if isinstance(trained, Refused):
            continue
        found, test = trained.evaluation, trained.data.test
        of = captured(project, name, test.scored(found.challenger.probability))
        note = f"ROC-AUC {of['roc_auc']:.4f}, truth {of['roc_auc_of_truth']:.4f}; {', '.join(found.choice.members)}"
        yield Row(f"{of_world}: share of the truth", "truth", of["share_of_truth"], note=note)
        if of["share_of_reference"] is not None:
            least = LEAST_GAIN[name] if customers >= ENOUGH else None
            gain = of["share_of_reference"]
            yield Row(f"{of_world}: observable gain", "50,000 customers", gain, at_least=least)
        error, by_chance = found.challenger.figures["calibration_error"], found.calibration_by_chance
        note = f"{error:.4f}, true probabilities {by_chance:.4f}"
        limit, against = (LARGEST_ERROR, "0.02") if customers >= ENOUGH else (by_chance, "by chance")
        yield Row(f"{of_world}: calibration error", against, error / limit, at_most=1.0, note=note)


def _without(seed: int, project: Project) -> Iterator[Row]:
    for name, trained in _trained(project).items():
        why = _refusals(trained)
        figures = None if isinstance(trained, Refused) else trained.evaluation.challenger.figures
        gain = 0.0 if why or figures is None else figures["roc_auc"] - 0.5
        yield Row(f"world {seed} without signal, {name}: skill", "none", gain, at_most=SMALL, note=why or "served")


if __name__ == "__main__":  # the figures by themselves
    for row in rows():
        print(row, file=sys.stdout, flush=True)
