"""Tracked runs: parameters, figures, tags and files that the tracking server keeps of one training."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.instants import instant_text
from vouch.models.quality.card_charts import card_pictures
from vouch.models.registry import versions
from vouch.training.effects.text import effect_figures
from vouch.training.report import TrainingReport, card

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from vouch.training.trained import Trained


def tracked_run(trained: Trained, report: TrainingReport, bundle: Path) -> versions.TrainingRun:
    """What the tracking server keeps of a run."""
    figures = report.figures.get(report.chosen, {})
    pictures = card_pictures(report.statistics["drawn"], report.model) if report.is_judged else {}
    files = {
        "card.md": card(report).encode(),
        "report.json": json.dumps(report.as_json(), indent=1, ensure_ascii=False).encode(),
        **({"drift.json": json.dumps(report.drift, indent=1).encode()} if report.drift else {}),
        "gate.json": json.dumps(_gate(report), indent=1, ensure_ascii=False).encode(),
        **{f"{name}.svg": of.svg.encode() for name, of in pictures.items()},
    }
    return versions.TrainingRun(
        model=trained.name,
        bundle=bundle,
        example=trained.golden,
        parameters=dict(_parameters(trained, report)),
        metrics=dict(_metrics(report)),
        trials=trained.trials,
        tags={
            **{name: str(value) for name, value in report.facts.items()},
            **(report.verdict.tags if report.verdict else {"gate": versions.NOT_JUDGED, "refused_by": ""}),
            "champion_then": str(report.champion_version or ""),
            "figures": json.dumps({name: round(figures[name], 6) for name in versions.FIGURES if figures}),
        },
        files=files,
        name=f"{trained.name} {instant_text(trained.as_of_us)} {trained.evaluation.chosen}",
        description=_described(report),
        learned_from=_learned_from(trained),
    )


def _described(report: TrainingReport) -> str:
    """What a person reads first of a run."""
    if report.verdict is None:
        return f"{report.question}\n\nNot judged: it cannot become the champion."
    return f"{report.question}\n\n{report.verdict.sentence} {report.why or ''}".rstrip()


def _learned_from(trained: Trained) -> dict[str, Any]:
    """The rows that a run learned from and was judged on, by their instants."""
    data = trained.data
    return {
        "digest": trained.facts["data_fingerprint"],
        "rows": len(data.train),
        "positives": data.train.positives,
        "instants": [instant_text(int(at)) for at in np.unique(data.train.as_of_us)],
        "judged_at": [instant_text(int(at)) for at in np.unique(data.test.as_of_us)],
        "features": len(data.columns),
    }


def _gate(report: TrainingReport) -> dict[str, Any]:
    """The verdict, and the version that was met; the registry knows the version of the run itself."""
    plain = report.as_json()
    return {"passed": report.passed, "champion_version": report.champion_version, "rules": plain["rules"]}


def _parameters(trained: Trained, report: TrainingReport) -> Iterable[tuple[str, Any]]:
    fitted, target = trained.evaluation.served.fitted, trained.data.target
    yield from {"candidate": report.chosen, "calibration": report.calibration[report.chosen]}.items()
    yield from {f"{name}_days": getattr(target, f"{name}_days") for name in ("lead", "horizon", "gap")}.items()
    yield from {"features": report.features, "seed": trained.seed, **fitted.facts}.items()
    for part, instants in report.cutoffs.items():
        yield f"cutoffs_{part}", " ".join(instant_text(instant) for instant in instants)
        yield f"rows_{part}", report.rows[part][0]
        yield f"positives_{part}", report.rows[part][1]
    yield from ((name, value) for name, value in fitted.parameters.items() if name != "seed")


def _metrics(report: TrainingReport) -> Iterable[tuple[str, float]]:
    yield from (*report.figures.get(report.chosen, {}).items(), *effect_figures(report.effects))
    for figure, (low, high) in report.intervals.items():
        yield from {f"{figure}_low": low, f"{figure}_high": high}.items()
    yield from ((f"instability.{name}", value) for name, value in report.instability.items())
    for name, figures in report.figures.items():
        yield from ((f"{name}.{figure}", value) for figure, value in figures.items() if name != report.chosen)
