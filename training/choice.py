"""Choice of what serves: by evidence where there is some, else the mean of what the evidence does not tell apart.

The rule is fixed beforehand. Candidates are compared by log loss on the rows of all judged origins, paired by
customer; those that are not surely worse than the best are finalists. The best is joined by each other candidate, the
nearest first, that does not say the same and lowers the loss of their mean in log-odds (Caruana et al. 2004). That mean
serves, unless the simplest finalist alone has no greater loss: then that one serves. Where a rule that anybody could
set up has no greater loss than that, or nothing else could be taught, the rule serves, calibrated. So the noise of a
comparison picks no maximum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vouch.models.quality.figures import log_loss, paired_bootstrap
from vouch.training.recipes.learners import BASELINES, DEEP, LINE, SUBSPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vouch.models.scoring.trees import Numbers
    from vouch.training.dataset import DatasetPart

MEAN = "mean"
SIMPLEST = (*BASELINES, LINE, "lightgbm_feature", "lightgbm_family", "lightgbm", SUBSPACE, DEEP)
"""From the simplest to the freest; what is not here is freer still."""
ALIKE = 0.99
"""Correlation of log-odds from which a finalist adds nothing to a better one."""
MOST_MEMBERS = 4
RESAMPLES = 500


@dataclass(frozen=True)
class Choice:
    """What serves: one recipe or the mean of several, and why."""

    members: tuple[str, ...]
    why: str

    @property
    def name(self) -> str:
        """Name of the one, or `mean`."""
        return self.members[0] if len(self.members) == 1 else MEAN


def finalists(
    rows: DatasetPart, probability: Mapping[str, Numbers], learned: Sequence[str], seed: int
) -> tuple[str, ...]:
    """Candidates that are not surely worse than the best, by rising loss."""
    losses = {name: log_loss(rows.label, probability[name]) for name in learned}
    order = sorted(learned, key=lambda name: losses[name])
    best = probability[order[0]]
    return tuple(
        name
        for name in order
        if name == order[0]
        or not paired_bootstrap(
            rows.customers, rows.label, probability[name], best, "log_loss", RESAMPLES, seed
        ).a_is_worse
    )  # fmt: skip


def join(
    rows: DatasetPart, order: Sequence[str], raw: Mapping[str, Numbers], say: Callable[[Sequence[str]], Numbers]
) -> tuple[tuple[str, ...], Numbers | None]:
    """The best of candidates in `order` of their losses, with each that lowers the loss of the mean; what that says.

    `raw` holds the log-odds of each, `say` gives the probabilities of the mean of some. None where the best is alone.
    """
    taken, predicted = [order[0]], None
    least = log_loss(rows.label, say(taken))
    for name in order[1:]:
        if len(taken) == MOST_MEMBERS or any(_correlation(raw[name], raw[other]) > ALIKE for other in taken):
            continue
        tried = say([*taken, name])
        if log_loss(rows.label, tried) < least:
            taken, predicted, least = [*taken, name], tried, log_loss(rows.label, tried)
    return tuple(taken), predicted


def _correlation(a: Numbers, b: Numbers) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) > 0 and np.ptp(b) > 0 else 1.0


def simplest(names: Sequence[str]) -> str:
    """The simplest of some candidates."""
    return min(names, key=lambda name: SIMPLEST.index(name) if name in SIMPLEST else len(SIMPLEST))


def decide(
    rows: DatasetPart,
    probability: Mapping[str, Numbers],
    finalists: Sequence[str],
    mean: tuple[tuple[str, ...], Numbers] | None,
) -> Choice:
    """Apply the rule to the finalists, their mean (its members and what it says), and the rules."""
    losses = {name: log_loss(rows.label, predicted) for name, predicted in probability.items()}
    rule = min(BASELINES, key=lambda name: losses[name])
    if not finalists:
        return Choice((rule,), f"there are too few outcomes to teach more than a rule: {rule}, calibrated")
    plain, of = simplest(finalists), f"{len(finalists)} that the evidence does not tell apart"
    why = "alone stands out" if len(finalists) == 1 else f"is the simplest of {of}"
    choice, loss = Choice((plain,), f"{plain} {why}"), losses[plain]
    if mean and log_loss(rows.label, mean[1]) < loss:
        loss = log_loss(rows.label, mean[1])
        choice = Choice(mean[0], f"the mean of {', '.join(mean[0])} says more than {plain}, the simplest of {of}")
    if losses[rule] <= loss:
        return Choice((rule,), f"no candidate says more than a rule that anybody could set up: {rule}, calibrated")
    return choice
