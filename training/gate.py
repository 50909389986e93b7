"""The promotion gate: named rules, each with its figure and limit; all must hold.

May the challenger become the champion? All rules look at the rows of all judged origins together, and refuse what is
surely worse (`Difference.a_is_worse`), not what is not surely better. `contract`: the data that it was trained on kept
the contract. `positives`: the rows hold enough outcomes to judge by. `skill`: it beats the base rate (Brier skill above
0) and, but for one chance in a thousand, a coin (ROC-AUC above 0.5). `baseline`: it is not surely worse than the best
of the rules and the logistic regression by log loss. `calibration`: its error stays within the limit, or within what
true probabilities would show on so few rows. `leak`: no single feature tells the outcome by itself. `champion`: it is
not surely worse than the champion's recipe at the same origins, nor than the champion itself on rows that came after
it. `slices`: on no part of the customers that a company plans by (segment, region, tenure, language) is it surely worse
than that, by more than a margin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.statistics.intervals import Z
from vouch.models.quality.figures import paired_bootstrap
from vouch.training.slices import GATED, slices

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vouch.models.quality.figures import Difference
    from vouch.training.dataset import Dataset
    from vouch.training.evaluate import Evaluation
    from vouch.training.incumbent import Incumbent

RESAMPLES = 500
SURELY = 3.09
"""Standard errors that leave one chance in a thousand on one side."""


@dataclass(frozen=True)
class GateRule:
    """One rule of the gate: whether it held, and the figures that say why."""

    name: str
    passed: bool
    why: str
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What the gate said: all rules, whether they held or not."""

    rules: tuple[GateRule, ...]

    @property
    def passed(self) -> bool:
        """Whether the challenger may be promoted."""
        return all(rule.passed for rule in self.rules)

    @property
    def refusals(self) -> tuple[GateRule, ...]:
        """The rules that did not hold."""
        return tuple(rule for rule in self.rules if not rule.passed)

    def rows(self) -> list[dict[str, Any]]:
        """The rules as plain values; a figure that does not exist is null."""
        return [{**vars(rule), "value": _plain(rule.value), "limit": _plain(rule.limit)} for rule in self.rules]

    def as_entry(self) -> dict[str, Any]:
        """What the gate's history keeps of it."""
        why = "; ".join(f"{rule.name}: {rule.why}" for rule in self.refusals)
        return {
            "action": "pass" if self.passed else "refuse",
            "reason": why or "the gate passed",
            "rules": self.rows(),
        }

    def lines(self) -> list[str]:
        """The rules as lines of text."""
        return [f"  {'held  ' if rule.passed else 'FAILED'} {rule.name:12} {rule.why}" for rule in self.rules]

    @property
    def sentence(self) -> str:
        """Whether it passed, in words."""
        return "The gate passed." if self.passed else "The gate refused it."

    @property
    def tags(self) -> dict[str, str]:
        """Whether it passed, and what refused it, as tags of a run."""
        return {
            "gate": "passed" if self.passed else "refused",
            "refused_by": ", ".join(rule.name for rule in self.refusals),
        }


def _plain(figure: float | None) -> float | None:
    return float(figure) if figure is not None and np.isfinite(figure) else None


def judge(evaluation: Evaluation, report: Mapping[str, Any], incumbent: Incumbent | None, seed: int) -> Verdict:
    """Apply all rules; `report` is what the contract check said (`vouch.features.ingest.stage.Staged.counted`)."""
    data = evaluation.data
    return Verdict(
        (
            contract(report, data.model.gate.maximum_quarantined),
            _positives(data),
            _skill(evaluation),
            _baseline(evaluation),
            _calibration(data, evaluation),
            _leak(data, evaluation),
            *_champion(data, evaluation, incumbent, seed),
            _slices(data, evaluation, incumbent, seed),
        )
    )


def contract(report: Mapping[str, Any], limit: float) -> GateRule:
    """Whether the data kept the contract: no table has more of its rows in quarantine than the limit (a share)."""
    shares = {
        name: table["quarantined"] / table["rows"] for name, table in report.get("tables", {}).items() if table["rows"]
    }
    worst = max(shares, key=lambda name: shares[name], default=None)
    if worst is None:
        return GateRule("contract", True, "no report of a check came with the data")
    value = shares[worst]
    why = f"{value:.2%} of {worst} is in quarantine, the most of all tables (limit {limit:.0%})"
    return GateRule("contract", value <= limit, why, value, limit)


def _positives(data: Dataset) -> GateRule:
    rows, positives = len(data.test), data.test.positives
    rarer, limit = min(positives, rows - positives), data.model.gate.minimum_positives
    why = f"{positives} of {rows} judged rows came true (at least {limit} of each kind)"
    return GateRule("positives", rarer >= limit, why, float(rarer), float(limit))


def _skill(evaluation: Evaluation) -> GateRule:
    figures, (low, high) = evaluation.challenger.figures, evaluation.intervals["roc_auc"]
    skill, least = figures["brier_skill"], figures["roc_auc"] - SURELY * (high - low) / (2 * Z)
    why = (
        f"Brier skill {skill:.4f} (above 0), ROC-AUC {figures['roc_auc']:.3f}, at least {least:.3f} but for one chance "
        f"in a thousand (above 0.5; stricter than an interval, for what is judged was chosen from several)"
    )
    return GateRule("skill", skill > 0 and least > 0.5, why, skill, 0.0)


def _baseline(evaluation: Evaluation) -> GateRule:
    other = evaluation.best_baseline
    difference = evaluation.comparisons[other.name]["log_loss"]
    why = (
        f"log loss {difference.a:.5f} against {difference.b:.5f} of {other.name}, the best baseline: "
        f"{_as_text(difference)} (surely worse where all of it is above 0)"
    )
    return GateRule("baseline", not difference.a_is_worse, why, difference.difference, 0.0)


def _calibration(data: Dataset, evaluation: Evaluation) -> GateRule:
    value, stated = evaluation.challenger.figures["calibration_error"], data.target.max_calibration_error
    limit = float(np.hypot(stated, evaluation.calibration_by_chance))
    why = (
        f"calibration error {value:.4f} over 20 bins (limit {limit:.4f}: {stated:.3f}, and what true probabilities "
        f"would show on so many rows, {evaluation.calibration_by_chance:.4f}, added as independent errors are)"
    )
    return GateRule("calibration", value <= limit, why, value, limit)


def _leak(data: Dataset, evaluation: Evaluation) -> GateRule:
    limit = data.model.gate.suspicious_auc
    name, value = evaluation.strongest_features[0] if evaluation.strongest_features else ("none", 0.5)
    why = f"the strongest single feature is {name}: ROC-AUC {value:.3f} by itself (a leak from {limit:.2f})"
    return GateRule("leak", value < limit, why, value, limit)


def _champion(data: Dataset, evaluation: Evaluation, incumbent: Incumbent | None, seed: int) -> Iterable[GateRule]:
    if incumbent is None:
        yield GateRule("champion", True, "there is no champion yet")
        return
    if incumbent.is_of_another_target:
        why = f"not compared: the champion cannot score these rows: {incumbent.why}"
        yield GateRule("champion", False, f"{why}. Make it the champion by hand: vouch promote")
        return
    rules = list(_against(data, evaluation, incumbent, seed))
    if not rules:
        why = incumbent.why or "its recipe is none of today's, and it has learned from all that came true so far"
        yield GateRule("champion", True, f"not compared: {why}")
        return
    passed, statement = (
        not any(difference.a_is_worse for _, difference in rules),
        "; ".join(
            f"log loss {difference.a:.5f} against {difference.b:.5f} of {whom}: {_as_text(difference)}"
            for whom, difference in rules
        ),
    )
    yield GateRule("champion", passed, statement, max(difference.difference for _, difference in rules), 0.0)


def _against(
    data: Dataset, evaluation: Evaluation, incumbent: Incumbent, seed: int
) -> Iterable[tuple[str, Difference]]:
    """The challenger against the champion's recipe on all judged rows, and against itself on those that came after."""
    if incumbent.probability is None:
        return
    everywhere, unseen = np.ones(len(data.test), dtype=bool), incumbent.unseen(data.test)
    for whom, theirs, where in (
        ("the champion's recipe at the same origins", incumbent.recipe, everywhere),
        ("the champion on rows that came after it", incumbent.probability, unseen),
    ):
        rows = data.test.take(where)
        if theirs is not None and len(np.unique(rows.label)) == 2:
            mine = evaluation.challenger.probability[where]
            yield (
                whom,
                paired_bootstrap(rows.customers, rows.label, mine, theirs[where], "log_loss", RESAMPLES, seed),
            )


def _slices(data: Dataset, evaluation: Evaluation, incumbent: Incumbent | None, seed: int) -> GateRule:
    """Against the champion where all rows came after it, else its recipe; else against the best baseline."""
    test, gate = data.test, data.model.gate
    theirs, name = evaluation.best_baseline.probability, evaluation.best_baseline.name
    if incumbent is not None and incumbent.probability is not None and incumbent.unseen(test).all():
        theirs, name = incumbent.probability, "the champion"
    elif incumbent is not None and incumbent.recipe is not None:
        theirs, name = incumbent.recipe, "the champion's recipe"
    worst, looked_at = None, 0
    for of in slices(data.test_frame):
        rows = test.take(of.rows)
        if of.by not in GATED or min(rows.positives, len(rows) - rows.positives) < gate.slice_positives:
            continue
        looked_at += 1
        mine, other = evaluation.challenger.probability[of.rows], theirs[of.rows]
        difference = paired_bootstrap(rows.customers, rows.label, mine, other, "log_loss", RESAMPLES, seed)
        excess = difference.difference / difference.b
        if difference.a_is_worse and (worst is None or excess > worst[0]):
            worst = (excess, of, difference)
    if worst is None:
        why = f"on none of {looked_at} slices with {gate.slice_positives} outcomes is it surely worse than {name}"
        return GateRule("slices", True, why, 0.0, gate.slice_margin)
    excess, of, difference = worst
    why = (
        f"log loss {difference.a:.5f} against {difference.b:.5f} of {name} where {of.by} is {of.value}: "
        f"{_as_text(difference)}, {excess:.1%} worse (limit {gate.slice_margin:.0%})"
    )
    return GateRule("slices", excess <= gate.slice_margin, why, excess, gate.slice_margin)


def _as_text(difference: Difference) -> str:
    return f"{difference.difference:+.5f}, 95 % interval {difference.low:+.5f} to {difference.high:+.5f}"
