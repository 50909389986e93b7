"""Training of the value model: fit on what was known before, judge on what customers then brought, register and gate.

The recipe is judged out of time: fitted as of an instant in the past, it values every customer, and the months since
say what each brought, beside the naive forecast (as much as in as long a time before). Where customers are valued by
purchases, boosted trees are judged beside, and serve where they were better. What serves is fitted on all that is
known.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import spearmanr

from vouch.features.contract.tables import DAY_US
from vouch.features.errors import NoOutcome, Refused
from vouch.features.ingest.stage import stage
from vouch.features.instants import instant_text
from vouch.features.metrics.context import MetricContext
from vouch.models.definition import Gate
from vouch.models.registry import versions
from vouch.models.scoring.trees import Trees
from vouch.models.value.boosted import COLUMNS, POWER, fit_boosted, matrix, spending
from vouch.models.value.histories import histories
from vouch.models.value.predictor import NAME, made_up, write_value_bundle
from vouch.models.value.valuation import PURCHASES, fit_values, valued, with_revenue
from vouch.training.gate import GateRule, Verdict, contract
from vouch.training.registration import register
from vouch.training.run import code_fingerprint, opened_by_size
from vouch.training.value.report import QUESTION, ValueReport, value_card

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.asof import Tables
    from vouch.features.project import Project
    from vouch.models.value.histories import CustomerHistories
    from vouch.models.value.repeat_purchases import Numbers
    from vouch.models.value.valuation import ValueNumbers, Values

LONGEST_DAYS, SHORTEST_DAYS = 365, 28
"""Of the time that is judged: at most a year, and at most half of what is known (a third where trees learn too)."""
LEAST_CUSTOMERS = 50
RANK_MARGIN, ERROR_MARGIN, MOST_TOTAL, COVERED = 0.05, 1.1, 0.4, (0.6, 0.95)
"""Limits of the gate: rank correlation and error against the naive forecast, how far the total may be off, and the
share of 80 % intervals that hold. They are vouch's own, for the field has no convention: few sales scatter.
"""


@dataclass(frozen=True)
class FittedValue:
    """What serves, and how the recipe did out of time: figures of each candidate by its name."""

    numbers: ValueNumbers
    boosted: str | None
    chosen: str
    days: int
    customers: int
    figures: Mapping[str, Mapping[str, float]]


def train_value(
    project: Project, as_of_us: int | None, now_us: int, seed: int = 0, labels: versions.RunLabels | None = None
) -> ValueReport:
    """Train the value model on what was known before an instant; promote it where the gate lets it.

    Raises NoOutcome where nothing is known of what is paid, Refused where too little is known.
    """
    staged = stage(project, now_us)
    known_us = staged.default_as_of_us(now_us) if as_of_us is None else as_of_us
    tables = opened_by_size(project, staged)
    fitted = fit_and_judge_value(tables, known_us, seed)
    verdict = _judged(fitted, staged.counted)
    facts = {
        "as_of": instant_text(known_us), "seed": seed, "data_fingerprint": tables.fingerprint,
        "code_fingerprint": code_fingerprint(), "candidate": fitted.chosen,
    }  # fmt: skip
    before = versions.champion_version(project.home, NAME)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        made = write_value_bundle(bundle, fitted.numbers, fitted.boosted, float(fitted.days), facts)
        report = ValueReport(
            NAME, known_us, fitted.numbers.way, fitted.chosen, fitted.days, fitted.customers, fitted.figures, verdict,
            _named_numbers(fitted.numbers), before, made.content_hash,
        )  # fmt: skip
        run, record = _run(report, bundle, facts), report.record(now_us)
        registered = register(project, run, verdict, lambda _: value_card(report), record, labels)
    return replace(report, version=registered.version, run_id=registered.run_id)


def fit_and_judge_value(tables: Tables, known_us: int, seed: int = 0) -> FittedValue:
    """Fit what serves at an instant, and judge the recipe on the time before it; nothing is stored."""
    context = MetricContext(tables, known_us)
    has_contracts = tables.has("subscriptions", "ended_at")
    if not has_contracts and "transactions" not in tables:
        raise NoOutcome(f"Model {NAME!r} needs transactions, or subscriptions with ended_at")
    begins_us = context.begins_us
    parts = 2 if has_contracts else 3
    known_days = 0 if begins_us is None else (known_us - begins_us) // DAY_US
    days = int(min(LONGEST_DAYS, known_days // parts))
    if days < SHORTEST_DAYS:
        raise Refused(f"Model {NAME!r}: {known_days} days are known, and it takes {parts * SHORTEST_DAYS} to judge it")
    now, then = histories(context), histories(MetricContext(tables, known_us - days * DAY_US))
    if len(then.customers) < LEAST_CUSTOMERS:
        raise Refused(f"Model {NAME!r}: {len(then.customers)} customers had bought {days} days before: too few")
    then_numbers, is_modified = _better(then, now, has_contracts, days)
    then_values = valued(then, then_numbers, days=days, discount=0.0)
    true = _brought_since(then, now, then_values)
    if not true.any():
        raise NoOutcome(
            f"Model {NAME!r}: nobody brought anything in the {days} days that would judge it. It needs what is paid: "
            "transactions.amount, or subscriptions.mrr above 0"
        )
    figures = {
        then_numbers.way: _figures(_central(then_values), true, then_values),
        "naive": _figures(_naive(then, then_values, days), true),
    }
    boosted, chosen = None, then_numbers.way
    if then_numbers.way == PURCHASES:
        earlier = histories(MetricContext(tables, known_us - 2 * days * DAY_US))
        text = _boosted(earlier, then, seed)
        if text is not None and then_numbers.purchases is not None:
            everybody = np.arange(len(then.customers))
            predicted = with_revenue(
                then_values, everybody, spending(Trees(text, len(COLUMNS)), matrix(then, everybody))
            )
            figures["boosted"] = _figures(_central(predicted), true, predicted)
            if figures["boosted"]["deviance"] < figures[PURCHASES]["deviance"]:
                boosted, chosen = _boosted(then, now, seed), "boosted"
    return FittedValue(fit_values(now, has_contracts, is_modified), boosted, chosen, days, len(true), figures)


def _better(
    then: CustomerHistories, now: CustomerHistories, has_contracts: bool, days: int
) -> tuple[ValueNumbers, bool]:
    """The numbers as of then, by MBG/NBD or by BG/NBD, whichever said better what came; and whether it is MBG/NBD."""
    fitted = fit_values(then, has_contracts)
    if fitted.way != PURCHASES:
        return fitted, True
    other = fit_values(then, has_contracts, is_modified=False)
    errors = []
    for numbers in (fitted, other):
        predicted = valued(then, numbers, days=days, discount=0.0)
        errors.append(_figures(_central(predicted), _brought_since(then, now, predicted))["deviance"])
    return (other, False) if errors[1] < errors[0] else (fitted, True)


def _boosted(past: CustomerHistories, since: CustomerHistories, seed: int) -> str | None:
    """Trees fitted on what customers of one instant had spent by a later one."""
    features = matrix(past, np.arange(len(past.customers)))
    return fit_boosted(features, _difference(past, since, "revenue"), seed)


def _difference(past: CustomerHistories, since: CustomerHistories, name: str) -> Numbers:
    later = dict(zip(since.customers, getattr(since, name), strict=True))
    before = np.nan_to_num(getattr(past, name))
    return np.asarray([later.get(one, was) for one, was in zip(past.customers, before, strict=True)] - before)


def _central(predicted: Values) -> Numbers:
    """Expected margin, or revenue where no margin is known."""
    return np.nan_to_num(predicted.margin if np.isfinite(predicted.margin).any() else predicted.revenue)


def _brought_since(then: CustomerHistories, now: CustomerHistories, predicted: Values) -> Numbers:
    return np.nan_to_num(_difference(then, now, "margin" if np.isfinite(predicted.margin).any() else "revenue"))


def _naive(then: CustomerHistories, predicted: Values, days: int) -> Numbers:
    """As much as in as long a time before."""
    recent = then.recent_margin if np.isfinite(predicted.margin).any() else then.recent_revenue
    return np.asarray(np.nan_to_num(recent) * days / then.recent_days)


def _figures(predicted: Numbers, true: Numbers, predicted_values: Values | None = None) -> dict[str, float]:
    """Rank correlation, mean absolute error, total over what came, Tweedie deviance, share of intervals that hold."""
    mean = np.maximum(predicted, 1e-3 * max(float(np.abs(true).mean()), 1e-9))
    positive = np.maximum(true, 0.0)
    deviance = 2 * (
        -positive * mean ** (1 - POWER) / (1 - POWER)
        + mean ** (2 - POWER) / (2 - POWER)
        + positive ** (2 - POWER) / ((1 - POWER) * (2 - POWER))
    )
    rank = spearmanr(predicted, true).statistic if np.ptp(predicted) > 0 and np.ptp(true) > 0 else 0.0
    figures = {
        "rank_correlation": float(rank),
        "mean_absolute_error": float(np.abs(predicted - true).mean()),
        "total": float(predicted.sum() / true.sum()) if true.sum() else float("nan"),
        "deviance": float(deviance.mean()),
    }
    if predicted_values is not None:
        cent = 0.01
        known = np.isfinite(predicted_values.low)
        held = (true >= predicted_values.low - cent) & (true <= predicted_values.high + cent)
        figures["covered"] = float(held[known].mean()) if known.any() else float("nan")
    return figures


def _judged(fitted: FittedValue, report: Mapping[str, Any]) -> Verdict:
    """The gate: the contract, customers enough, not worse than the naive forecast, total and intervals near the truth.

    `report` is what the contract check said of the tables.
    """
    of, naive = fitted.figures[fitted.chosen], fitted.figures["naive"]
    (low, high), covered = COVERED, of.get("covered", float("nan"))
    rank, error = naive["rank_correlation"] - RANK_MARGIN, ERROR_MARGIN * naive["mean_absolute_error"]
    return Verdict((
        contract(report, Gate().maximum_quarantined),
        GateRule("customers", fitted.customers >= LEAST_CUSTOMERS,
                 f"{fitted.customers:,} customers judge it (at least {LEAST_CUSTOMERS})",
                 fitted.customers, LEAST_CUSTOMERS),
        GateRule("ranking", of["rank_correlation"] >= rank,
                 f"rank correlation {of['rank_correlation']:.3f} (at least {rank:.3f}: that of the naive forecast less "
                 f"{RANK_MARGIN})", of["rank_correlation"], rank),
        GateRule("error", of["mean_absolute_error"] <= error,
                 f"mean absolute error {of['mean_absolute_error']:.2f} (at most {error:.2f}: {ERROR_MARGIN} times that "
                 "of the naive forecast)", of["mean_absolute_error"], error),
        GateRule("total", abs(of["total"] - 1) <= MOST_TOTAL,
                 f"all together {of['total']:.2f} times what came (from {1 - MOST_TOTAL:.2f} to {1 + MOST_TOTAL:.2f})",
                 abs(of["total"] - 1), MOST_TOTAL),
        GateRule("interval", low <= covered <= high,
                 f"{covered:.1%} of the 80 % intervals held what came (from {low:.0%} to {high:.0%})", covered, low),
    ))  # fmt: skip


def _named_numbers(numbers: ValueNumbers) -> dict[str, float]:
    """The fitted numbers by name, for the registry and the card."""
    named: dict[str, float] = {"net": numbers.net}
    if numbers.margin is not None:
        named["margin"] = numbers.margin
    if numbers.purchases is not None:
        named |= {name: getattr(numbers.purchases, name) for name in ("r", "alpha", "a", "b")}
    if numbers.spend is not None:
        named |= {f"spend_{name}": getattr(numbers.spend, name) for name in ("p", "q", "gamma")}
    if numbers.table is not None:
        named |= {"returns_per_week": numbers.table.returns, "ends_seen": float(numbers.table.ends)}
        named |= {f"ends_per_week_from_{number}": rate for number, rate in enumerate(numbers.table.monthly)}
    return named


def _run(report: ValueReport, bundle: Path, facts: Mapping[str, Any]) -> versions.TrainingRun:
    chosen = report.figures[report.chosen]
    return versions.TrainingRun(
        model=NAME,
        bundle=bundle,
        example=made_up(),
        parameters={"way": report.way, "chosen": report.chosen, "days": report.days, **report.numbers},
        metrics={
            **chosen,
            **{f"{name}.{of}": value for name, figures in report.figures.items() for of, value in figures.items()},
        },
        tags={
            **{name: str(value) for name, value in facts.items()},
            **report.verdict.tags,
            "champion_then": str(report.champion_version or ""),
        },
        files={
            "card.md": value_card(report).encode(),
            "report.json": json.dumps(report.as_json(), indent=1).encode(),
        },
        name=f"{NAME} {facts['as_of']} {report.chosen}",
        description=f"{QUESTION}\n\n{report.verdict.sentence}",
        learned_from={"digest": facts["data_fingerprint"], "customers": report.customers, "judged_days": report.days},
    )
