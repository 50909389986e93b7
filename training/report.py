"""The training report: what a run has measured, as data, as text for people, and as the model card."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.instants import instant_text
from vouch.features.shown import aligned, markdown, markdown_table
from vouch.training.effects.text import effect_lines, effect_section

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from vouch.models.quality.figures import Difference
    from vouch.models.scoring.effects import Effects
    from vouch.training.evaluate import Evaluation
    from vouch.training.gate import Verdict
    from vouch.training.incumbent import Incumbent

SHOWN = (
    "roc_auc", "pr_auc", "log_loss", "brier_skill", "calibration_error", "calibration_slope", "lift_at_5", "lift_at_10",
)  # fmt: skip
FITTED = (
    "Every instant whose outcome was final, calibrated by what the recipe said out of time at the origins below. No "
    "later outcome is known that could judge it: all figures are those of the recipe, fitted anew at the origins with "
    "the history of that time."
)
OTHER_FITS = {
    "another_seed": "the same recipe with another seed",
    "one_cutoff_less": "the same recipe without its newest training cutoff",
    "champion": "the champion of before",
}
JUDGED_BESIDE = "is judged beside the others and cannot serve: only text and numbers are stored, and it is neither"
UNJUDGED = "it was not evaluated, so it cannot become the champion; train it with its evaluation for that."


@dataclass(frozen=True)
class TrainingReport:
    """One model's training run. `refusal` says why nothing was fitted; all but the names is empty then.

    `figures` holds the figures of all candidates and baselines on the rows of all judged origins, `intervals` 95 %
    intervals of the chosen one over customers, `comparisons` the chosen one less each other, `rows` the rows and
    positives that were fitted on and that were judged, `origins` the chosen one at each origin.
    """

    model: str
    question: str
    as_of_us: int
    target: str = ""
    refusal: str | None = None
    is_applicable: bool = True
    """False where the company has no table that this model could learn from: no failure, where others were trained."""
    cutoffs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    rows: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    features: int = 0
    chosen: str = ""
    members: tuple[str, ...] = ()
    why: str = ""
    """Why it was chosen."""
    kind: str = ""
    calibration: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    comparisons: Mapping[str, Mapping[str, Difference]] = field(default_factory=dict)
    strongest_features: tuple[tuple[str, float], ...] = ()
    slices: tuple[Mapping[str, Any], ...] = ()
    origins: tuple[Mapping[str, Any], ...] = ()
    instability: Mapping[str, float] = field(default_factory=dict)
    """Share of customers whose band is another by another fit; see `vouch.training.served.instability`."""
    statistics: Mapping[str, Any] = field(default_factory=dict)
    how_soon: tuple[Mapping[str, Any], ...] = ()
    effects: Effects | None = None
    verdict: Verdict | None = None
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    champion_version: int | None = None
    """The champion that it was met with; None where there was none."""
    drift: Mapping[str, Any] | None = None
    """How far the newest rows have moved from those that the champion was tested on."""
    version: int | None = None
    run_id: str | None = None
    content_hash: str | None = None
    is_promoted: bool = False
    test_rows: pd.DataFrame | None = field(default=None, repr=False, compare=False)
    """`customer_id`, `as_of_us`, `label`, `probability` (of the chosen one) at the newest origin; not in the JSON."""

    @property
    def passed(self) -> bool:
        """Whether the gate let the new version become the champion."""
        return self.verdict is not None and self.verdict.passed

    @property
    def is_judged(self) -> bool:
        """Whether the new version met the gate at all."""
        return self.verdict is not None

    @property
    def is_refused(self) -> bool:
        """Whether a model that the company could have did not come of it as wanted."""
        return self.is_applicable and not self.passed and (self.is_judged or self.refusal is not None)

    def figure_rows(self) -> list[dict[str, Any]]:
        """One row per candidate or baseline with its key figures, the chosen one first."""
        order = sorted(self.figures, key=lambda name: (name != self.chosen, self.figures[name]["log_loss"]))
        return [
            {
                "model": self.model,
                "candidate": name,
                "calibration": self.calibration[name],
                **{figure: _number(self.figures[name][figure], 5 if figure == "log_loss" else 4) for figure in SHOWN},
            }
            for name in order
        ]

    def comparison_rows(self) -> list[dict[str, Any]]:
        """One row per other candidate and figure: the chosen one less the other, with its interval over customers."""
        return [
            {
                "model": self.model,
                "figure": figure,
                self.chosen: _number(difference.a, 5),
                "other": name,
                "value": _number(difference.b, 5),
                "difference": _number(difference.difference, 5),
                "low": _number(difference.low, 5),
                "high": _number(difference.high, 5),
                "better": difference.a_is_better,
            }
            for name, of in self.comparisons.items()
            for figure, difference in of.items()
        ]

    def origin_rows(self) -> list[dict[str, Any]]:
        """One row per origin of the rolling evaluation with the key figures of the chosen one."""
        return [
            {
                "origin": instant_text(of["as_of_us"]),
                "training cutoffs": of["train"],
                **_key_figures(of),
            }
            for of in self.origins
        ]

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values; what does not exist is null."""
        plain: dict[str, Any] = _plain(
            {
                "model": self.model,
                "question": self.question,
                "as_of": instant_text(self.as_of_us),
                "target": self.target,
                "refusal": self.refusal,
                "cutoffs": {part: [instant_text(us) for us in instants] for part, instants in self.cutoffs.items()},
                "rows": {part: {"rows": rows, "positives": true} for part, (rows, true) in self.rows.items()},
                "features": self.features,
                "chosen": self.chosen,
                "members": self.members,
                "why": self.why,
                "kind": self.kind,
                "calibration": self.calibration,
                "figures": self.figures,
                "intervals": self.intervals,
                "comparisons": {n: {f: vars(d) for f, d in of.items()} for n, of in self.comparisons.items()},
                "strongest_features": dict(self.strongest_features),
                "slices": self.slices,
                "origins": [{**of, "as_of": instant_text(of["as_of_us"])} for of in self.origins],
                "instability": self.instability,
                "statistics": self.statistics,
                "how_soon": self.how_soon,
                "effects": self.effects.summary() if self.effects else None,
                "passed": self.passed,
                "rules": self.verdict.rows() if self.verdict else [],
                "notes": self.notes,
                "facts": self.facts,
                "champion_version": self.champion_version,
                "drift": self.drift,
                "version": self.version,
                "run_id": self.run_id,
                "content_hash": self.content_hash,
                "is_promoted": self.is_promoted,
            }
        )
        return plain

    def text(self) -> str:
        """What a data scientist needs to see, as lines of text."""
        return "\n".join(_lines(self))


def describe(evaluation: Evaluation, incumbent: Incumbent | None) -> dict[str, Any]:
    """Fields of a report that come from the evaluation, and from the champion that it met."""
    data = evaluation.data
    newest = data.test.as_of_us == data.test.as_of_us.max()
    changed = {"champion": incumbent.changed_bands} if incumbent and incumbent.changed_bands is not None else {}
    return {
        "target": data.target.name,
        "cutoffs": {"fitted": data.plan.instants, "judged": tuple(np.unique(data.test.as_of_us).tolist())},
        "rows": {name: (len(part), part.positives) for name, part in (("fitted", data.train), ("judged", data.test))},
        "features": len(data.columns),
        "chosen": evaluation.chosen,
        "members": evaluation.choice.members,
        "why": evaluation.choice.why,
        "kind": evaluation.served.fitted.kind,
        "calibration": {
            **{name: judged.method for name, judged in evaluation.judged.items()},
            evaluation.chosen: evaluation.served.calibrated.calibrator.method,
        },
        "figures": {name: judged.figures for name, judged in evaluation.judged.items()},
        "intervals": evaluation.intervals,
        "comparisons": evaluation.comparisons,
        "strongest_features": evaluation.strongest_features[:10],
        "slices": evaluation.slices,
        "origins": evaluation.origins,
        "instability": {**evaluation.instability, **changed},
        "statistics": evaluation.statistics,
        "how_soon": evaluation.how_soon,
        "effects": evaluation.effects,
        "notes": (*data.plan.notes, *(f"{name} {JUDGED_BESIDE}" for name in evaluation.judged_only)),
        "test_rows": (
            data.test.take(newest).scored(evaluation.challenger.probability[newest]) if evaluation.is_judged else None
        ),
    }


def card(report: TrainingReport) -> str:
    """The model's card in Markdown (sections after Mitchell et al. 2019)."""
    return "\n".join(
        [
            f"# {markdown(report.model)}, version {report.version or 'unregistered'}",
            "",
            f"**Question.** {markdown(report.question)}",
            "",
            f"**What it is.** {_named(report)}, calibration `{report.calibration[report.chosen]}`, "
            f"{report.features} features, target `{report.target}`, bundle `{report.content_hash}`.",
            "",
            f"**Why this.** {markdown(report.why)}.",
            "",
            f"**What was fitted.** {FITTED}",
            "",
            "**Meant for** ranking and planning by people. The probability is advisory: no decision about a person "
            "should rest on it alone. It holds for the population that it was tested on, as known at "
            f"{instant_text(report.as_of_us)}.",
            "",
            "**Not tested:** other populations and times, and whether acting on a score changes what comes.",
            "",
            "## Data",
            *markdown_table([{"part": name, **row} for name, row in _parts(report).items()]),
            *[f"- {markdown(note)}" for note in report.notes],
            "",
            *(_quality(report) if report.is_judged else ["## Quality", f"Unknown: {UNJUDGED}", ""]),
            "## Where it comes from",
            *[f"- {markdown(name)}: {markdown(str(value))}" for name, value in report.facts.items()],
            "",
        ]
    )


def _named(report: TrainingReport) -> str:
    """What was chosen, with the members of a mean."""
    if len(report.members) > 1:
        return f"the mean of {', '.join(report.members)}, in log-odds"
    return f"{report.chosen}, a rule and no learned model" if report.kind == "rules" else report.chosen


def _quality(report: TrainingReport) -> Iterable[str]:
    """What was measured, and what the gate made of it."""
    base_rate = report.figures[report.chosen]["base_rate"]
    ends = ", ".join(f"{name} {low:.4f} to {high:.4f}" for name, (low, high) in report.intervals.items())
    yield from ("## Quality of the recipe, all origins together", *markdown_table(report.figure_rows()), "")
    yield from (f"Base rate {base_rate:.4f}. 95 % intervals over customers: {ends}.", "")
    yield from (f"### {report.chosen} against the others", *markdown_table(report.comparison_rows()), "")
    yield from _origins(report)
    yield from ("## By slice", f"Of the rows with the highest scores, a tenth is taken for selected. {_SENSITIVE}", "")
    yield from (*markdown_table(report.slices), "", "## Gate")
    yield from (
        f"- {'held' if rule.passed else 'FAILED'} `{rule.name}`: {markdown(rule.why)}" for rule in _rules(report)
    )
    yield from ("", "## Strongest single features")
    yield from (f"- `{name}`: ROC-AUC {power:.3f} by itself" for name, power in report.strongest_features)
    yield ""


_SENSITIVE = (
    "Sensitive attributes are reported on and not trained on, unless the definition says so. `is_off` marks slices "
    "whose mean probability lies outside the 95 % interval of what came true."
)


def _origins(report: TrainingReport) -> Iterable[str]:
    yield from ("## Rolling origin", "The recipe fitted anew at earlier moments, each judged on what came after.", "")
    yield from (*markdown_table(report.origin_rows()), "")
    if report.instability:
        yield from ("## Instability", "Share of the newest customers who stand in another band by another fit.", "")
        yield from (*markdown_table(_instability(report)), "")
    yield from _statistics(report.statistics) if report.statistics else ()
    if report.how_soon:
        yield from ("## How soon", "The probability within so many weeks, on customers that it was not fitted on.", "")
        yield from (*markdown_table(report.how_soon), "")
    yield from effect_section(report.effects)


def _statistics(statistics: Mapping[str, Any]) -> Iterable[str]:
    yield from ("## Calibration and sample, all origins together", "")
    yield from (f"- {name}: {value:.4g}" for name, value in statistics["summary"].items())
    for title, name in (
        ("Smooth calibration curve, with its 95 % band over customers", "smooth_calibration"),
        ("Decision curve: net benefit per customer where all from a threshold on are acted on", "decision_curve"),
    ):
        rows = [{of: f"{value:.4f}" for of, value in row.items()} for row in statistics[name]]
        yield from ("", f"### {title}", "", *markdown_table(rows))
    yield ""


def _instability(report: TrainingReport) -> list[dict[str, Any]]:
    return [{"against": OTHER_FITS[name], "other band": f"{share:.1%}"} for name, share in report.instability.items()]


def _parts(report: TrainingReport) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "cutoffs": len(instants),
            "from": instant_text(instants[0]) if instants else "",
            "to": instant_text(instants[-1]) if instants else "",
            "rows": report.rows[name][0],
            "positives": report.rows[name][1],
        }
        for name, instants in report.cutoffs.items()
    }


def _rules(report: TrainingReport) -> Sequence[Any]:
    return report.verdict.rules if report.verdict else ()


def _lines(report: TrainingReport) -> Iterable[str]:
    yield f"{report.model}: {report.question}"
    if report.refusal:
        yield f"  refused: {report.refusal}"
        return
    for name, part in _parts(report).items():
        span = f"{part['from']} to {part['to']}" if part["cutoffs"] else "none"
        yield f"  {name:10} {part['cutoffs']:3} cutoffs, {span}: {part['rows']:,} rows, {part['positives']:,} came true"
    yield from (f"  note: {note}" for note in report.notes)
    yield ""
    for rows in (report.figure_rows(), _by_log_loss(report)) if report.is_judged else ():
        yield from ("  " + line for line in aligned(rows))
        yield ""
    if report.origins:
        yield "  at each origin of the rolling evaluation:"
        yield from ("  " + line for line in aligned(report.origin_rows()))
        yield ""
    yield f"  serves: {_named(report)}: {report.why}"
    for row in _instability(report):
        yield f"  {row['other band']} of the newest customers stand in another band by {row['against']}"
    yield ""
    if report.how_soon:
        yield "  how soon, on customers that it was not fitted on:"
        yield from ("  " + line for line in aligned(report.how_soon))
        yield ""
    yield from effect_lines(report.effects)
    yield from report.verdict.lines() if report.verdict else ()
    state = "champion" if report.is_promoted else "registered, not promoted"
    yield f"  version {report.version}: {state}" if report.version else "  not registered"
    if not report.is_judged:
        yield f"  {UNJUDGED}"


def _by_log_loss(report: TrainingReport) -> list[dict[str, Any]]:
    return [row for row in report.comparison_rows() if row["figure"] == "log_loss"]


def _key_figures(figures: Mapping[str, float]) -> dict[str, Any]:
    return {
        "rows": int(figures["n"]),
        "came true": int(figures["positives"]),
        **{figure: _number(figures[figure], 5 if figure == "log_loss" else 4) for figure in SHOWN},
    }


def _number(value: float, digits: int) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None


def _plain(value: Any) -> Any:
    """A value as JSON knows it."""
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
