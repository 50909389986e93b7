"""Training on a flat table: cross-fit, choose, calibrate, judge, register and gate a model of one row per customer.

There is no history to roll over. Folds stand in place of instants: each is judged by fits on the others (where the
table has a time, on the earlier ones alone), and all else is done as for a model with a definition.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from vouch import models
from vouch.features.errors import Refused, UsageError
from vouch.features.shown import markdown
from vouch.models.definition import LEARNERS, Gate, Model
from vouch.models.predictor import encode, write_bundle
from vouch.models.quality.drift import reference
from vouch.models.registry import versions
from vouch.models.scoring.feature_matrix import Column
from vouch.models.scoring.flat_table import described
from vouch.models.targets import Target
from vouch.training.cutoffs import cross_fit_plan
from vouch.training.dataset import Dataset, DatasetPart, made_up_rows
from vouch.training.evaluate import evaluate
from vouch.training.gate import judge
from vouch.training.incumbent import Incumbent
from vouch.training.recipes.learners import BASELINES
from vouch.training.registration import Gated, register
from vouch.training.run import code_fingerprint
from vouch.training.trained import GOLDEN_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from vouch.features.discovery.flat import FlatTable
    from vouch.features.project import Project
    from vouch.models.scoring.trees import Numbers
    from vouch.training.gate import Verdict
    from vouch.training.recipes.learners import Fitted
    from vouch.training.served import Served

FOLDS = 5
LEAST = 50
"""Rows of the rarer outcome that are needed to learn from."""
INTERVALS = ("roc_auc", "log_loss", "brier_skill")
TRIED = tuple(name for name in LEARNERS if name != "lightgbm_family")
"""Candidates: a column of a flat table is a family of its own."""
SHOWN = ("roc_auc", "pr_auc", "log_loss", "brier_skill", "calibration_error", "lift_at_5", "lift_at_10")


@dataclass(frozen=True)
class FlatReport(Gated):
    """One training run on a flat table: what was measured, what the gate said, what was left out."""

    model: str
    source: str
    rows: int
    positives: int
    positive: str
    columns: tuple[str, ...]
    sensitive: tuple[str, ...]
    left_out: Mapping[str, str]
    chosen: str
    calibration: str
    figures: Mapping[str, Mapping[str, float]]
    intervals: Mapping[str, tuple[float, float]]
    verdict: Verdict
    equal_rows: int = 0
    """Rows that equal another in all that is learned from: they may stand on both sides of a fold."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    version: int | None = None

    def figure_rows(self) -> list[dict[str, Any]]:
        """One row per candidate with its key figures on rows that it was not fitted on, the chosen one first."""
        order = sorted(self.figures, key=lambda name: (name != self.chosen, self.figures[name]["log_loss"]))
        return [
            {"model": self.model, "candidate": name, **{of: round(self.figures[name][of], 4) for of in SHOWN}}
            for name in order
        ]

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        plain = {name: value for name, value in vars(self).items() if name != "verdict"}
        return {**plain, "passed": self.verdict.passed, "rules": self.verdict.rows()}

    def text(self) -> str:
        """What a data scientist needs to see, as lines of text."""
        lines = [
            f"{self.model}: {self.rows:,} rows of {self.source}, {self.positives:,} with the label {self.positive!r}",
            f"  learned from {len(self.columns)} columns: {', '.join(self.columns)}",
        ]
        if self.sensitive:
            lines.append(f"  sensitive ones among them, to be left out with --leave-out: {', '.join(self.sensitive)}")
        if self.equal_rows:
            lines.append(f"  {self.equal_rows:,} rows equal another in every column: the figures are kinder for that")
        lines += [f"  left out {name}: {why}" for name, why in self.left_out.items()]
        ends = ", ".join(f"{name} {low:.4f} to {high:.4f}" for name, (low, high) in self.intervals.items())
        lines += ["", "  on rows that a candidate was not fitted on:"]
        lines += [
            "  " + ", ".join(f"{name} {value}" for name, value in row.items() if name != "model")
            for row in self.figure_rows()
        ]
        lines += [f"  {self.chosen}, calibration {self.calibration}; 95 % intervals: {ends}", ""]
        return "\n".join([*lines, *self.gate_lines(self.version)])


def train_flat(
    project: Project, name: str, table: FlatTable, source: Path, now_us: int, settings: Mapping[str, Any],
    seed: int = 0,
    labels: versions.RunLabels | None = None,
) -> FlatReport:  # fmt: skip
    """Train a model on a flat table, register it, and make it the champion where the gate lets it.

    `settings` are the names of label, id and time, as they were given: they are kept in the bundle, for scoring.
    Raises UsageError for a name that is a definition's, Refused where there is too little to learn from.
    """
    if name in models.names():
        raise UsageError(f"{name!r} is a model with a definition of its own: give the model of a table another name")
    data = _dataset(name, table, seed)
    with threadpool_limits(1):
        evaluation = evaluate(data, seed)
    verdict = judge(evaluation, {}, _incumbent(project, name), seed)
    shown = [of for of in evaluation.judged if of == evaluation.chosen or of not in BASELINES]
    report = FlatReport(
        name, source.name, len(data.train), data.train.positives, table.positive,
        tuple(column.column for column in table.columns),
        tuple(column.column for column in table.columns if column.is_sensitive), table.left_out,
        evaluation.chosen, evaluation.served.calibrated.calibrator.method,
        {of: evaluation.judged[of].figures for of in shown},
        {of: evaluation.intervals[of] for of in INTERVALS}, verdict,
        len(data.train) - len(np.unique(data.train.matrix, axis=0, equal_nan=True)),
        {"data_fingerprint": table.digest, "code_fingerprint": code_fingerprint(), "seed": seed, **settings},
    )  # fmt: skip
    return _stored(project, report, data, table, evaluation.served, settings, now_us, labels)


def _incumbent(project: Project, name: str) -> Incumbent | None:
    """The champion of before, where there is one: not met, for nothing tells which rows it has learned from."""
    if versions.champion_version(project.home, name) is None:
        return None
    return Incumbent("", why="no time tells which of these rows the champion has learned from")


def _dataset(name: str, table: FlatTable, seed: int) -> Dataset:
    """The table as learners take it, sorted by folds, which stand in place of instants."""
    import pandas as pd

    target = Target("label", _no_label, _everybody, horizon_days=1)
    gate = Gate(minimum_positives=LEAST, suspicious_auc=1.0)  # leaks are left out before anything is fitted
    model = Model(name, f"What is {table.positive!r} in the label?", (target,), learners=TRIED, gate=gate)
    columns = tuple(Column(column.name, column.name, column.categories) for column in table.columns)
    fold = folds(table.label, table.times, seed)
    order = np.argsort(fold, kind="stable")
    rows = DatasetPart(encode(table.frame, columns), table.label, table.ids, fold).take(order)
    rarer = min(rows.positives, len(rows) - rows.positives)
    if rarer < LEAST:
        raise Refused(
            f"Model {name!r}: too few outcomes to learn from. {len(rows)} rows hold {rows.positives} with the label "
            f"{table.positive!r}; at least {LEAST} of each kind are needed."
        )
    varies = np.array([len(np.unique(rows.matrix[:, place])) > 1 for place in range(len(columns))])
    varying = tuple(column for column, does_vary in zip(columns, varies, strict=True) if does_vary)
    rows = replace(rows, matrix=rows.matrix[:, varies])
    plan = cross_fit_plan(FOLDS, in_order=table.times is not None)
    test = rows.take(np.isin(rows.as_of_us, [of.test for of in plan.judged]))
    frame = pd.DataFrame({"customer_id": test.customers})  # a column of its own is no attribute that slices know
    return Dataset(model, target, plan, varying, rows, test, frame)


def _no_label(*_: Any) -> pd.DataFrame:
    raise NotImplementedError("the label of a flat table stands in it")


def _everybody(vectors: Any) -> Any:
    return np.full(len(vectors), "ok", dtype=object)


def folds(label: Numbers, times: np.ndarray[Any, Any] | None, seed: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The fold of each row: outcomes spread evenly; by time, where there is one, so that fold 0 is the oldest."""
    if times is not None:
        order = np.argsort(times, kind="stable")
        edges = np.quantile(times, np.linspace(0, 1, FOLDS + 1)[1:-1])
        fold: np.ndarray[Any, np.dtype[np.int64]] = np.searchsorted(edges, times, side="left")
        if len(np.unique(fold)) == FOLDS:
            return fold
        fold[order] = np.arange(len(order)) * FOLDS // len(order)
        return fold
    generator, spread = np.random.default_rng(seed), np.empty(len(label), dtype=np.int64)
    for kind in (0.0, 1.0):
        rows = generator.permutation(np.flatnonzero(label == kind))
        spread[rows] = np.arange(len(rows)) % FOLDS
    return spread


def _stored(
    project: Project,
    report: FlatReport,
    data: Dataset,
    table: FlatTable,
    served: Served,
    settings: Mapping[str, Any],
    now_us: int,
    labels: versions.RunLabels | None,
) -> FlatReport:
    golden = made_up_rows(data, GOLDEN_ROWS, int(report.facts["seed"]))
    fitted = served.fitted
    with tempfile.TemporaryDirectory() as folder:
        predictor = write_bundle(
            Path(folder) / "bundle",
            model=report.model,
            target="label",
            kind=fitted.kind,
            content=fitted.content,
            columns=data.columns,
            calibrator=served.calibrated.calibrator,
            golden=golden,
            facts={**report.facts, "table": described(table.columns, data.columns, table.positive, settings)},
            reference=reference(data.columns, data.newest.matrix, served.probability),
        )
        report = replace(report, facts={**report.facts, "content_hash": predictor.content_hash})
        run = _training_run(report, Path(folder) / "bundle", golden, fitted)
        record = {
            "at_us": now_us,
            "content_hash": predictor.content_hash,
            "chosen": report.chosen,
            "figures": report.figure_rows(),
        }
        registered = register(
            project, run, report.verdict, lambda of: flat_card(replace(report, version=of.version)), record, labels
        )
    return replace(report, version=registered.version)


def _training_run(report: FlatReport, bundle: Path, golden: pd.DataFrame, fitted: Fitted) -> versions.TrainingRun:
    """What the tracking server keeps of a run."""
    return versions.TrainingRun(
        model=report.model,
        bundle=bundle,
        example=golden,
        parameters={"candidate": report.chosen, "calibration": report.calibration, **fitted.facts},
        metrics={of: value for of, value in report.figures[report.chosen].items() if np.isfinite(value)},
        tags={
            **report.verdict.tags,
            "figures": json.dumps({of: round(report.figures[report.chosen][of], 6) for of in versions.FIGURES}),
            **{of: str(value) for of, value in report.facts.items()},
        },
        files={
            "card.md": flat_card(report).encode(),
            "report.json": json.dumps(report.as_json(), default=str).encode(),
        },
        name=f"{report.model} {report.chosen}",
        description=report.verdict.sentence,
        learned_from={
            "digest": report.facts["data_fingerprint"],
            "rows": report.rows,
            "positives": report.positives,
            "features": len(report.columns),
        },
    )


def flat_card(report: FlatReport) -> str:
    """The model's card in Markdown."""
    return "\n".join(_card(report))


def _card(report: FlatReport) -> Iterable[str]:
    yield from (f"# {markdown(report.model)}, version {report.version or 'unregistered'}", "")
    yield (
        f"**What it is.** {report.chosen}, calibration `{report.calibration}`, of {len(report.columns)} columns of "
        f"{markdown(report.source)}: {report.rows:,} rows, {report.positives:,} with the label "
        f"{markdown(report.positive)}."
    )
    yield from ("", "**Meant for** ranking and planning by people. The probability is advisory.", "", "## Quality")
    yield from (f"- {markdown(name)}: {value:.4f}" for name, value in report.figures[report.chosen].items())
    yield from ("", "## Gate")
    yield from (
        f"- {'held' if rule.passed else 'FAILED'} `{rule.name}`: {markdown(rule.why)}" for rule in report.verdict.rules
    )
    yield from ("", "## Left out")
    yield from (f"- {markdown(name)}: {markdown(why)}" for name, why in report.left_out.items())
    yield ""
