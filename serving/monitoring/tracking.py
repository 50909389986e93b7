"""Logging of each published week to the tracking server: drift, outcomes of scores, and the models of how texts sound.

The figures stand in the week's manifest; here data scientists find them beside the runs that made the models. A server
that does not answer stops nothing: the week is published, and the reason comes back.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vouch.features.errors import TrackingError
from vouch.features.ingest.texts.learned_tone import fits_of
from vouch.serving.snapshots.files import open_revision

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vouch.features.project import Project
    from vouch.serving.batch.outcome import WeekOutcome

SHOWN = ("calibration_error", "calibration_slope", "brier_skill", "log_loss", "roc_auc", "observed", "expected")
"""What is logged of how a model held, as metrics; the files hold all of it."""


def log_weeks(project: Project, weeks: Sequence[WeekOutcome]) -> list[str]:
    """Log the weeks that a run published, where models are tracked; returns why some were not."""
    from vouch.models.registry import versions
    from vouch.models.registry.connection import is_tracked

    published = [week for week in weeks if week.outcome == "published" and week.folder is not None]
    if not is_tracked(project.home, project.tracking):
        return []
    try:
        for week in published:
            assert week.folder is not None, "chosen for it"
            manifest = open_revision(week.folder).manifest
            fared = {"drift": manifest["drift"], "came_true": manifest["came_true"]}
            fits = fits_of(project.home)
            files = {**fared, **({"sentiment": fits} if fits else {})}
            if fits or any(of["reason"] != "no_model" for of in fared["drift"].values()):
                name, tags = f"week {week.as_dict()['as_of']}", {"as_of": week.as_dict()["as_of"]}
                versions.log_week(
                    project.home, name, {**tags, "revision": str(week.revision)},
                    dict((*as_metrics(**fared), *sentiment_metrics(fits))),
                    {f"{part}.json": json.dumps(of, indent=1).encode() for part, of in files.items()},
                    project.tracking,
                )  # fmt: skip
    except TrackingError as error:
        return [str(error)]
    return []


def as_metrics(drift: Mapping[str, Any], came_true: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    """Figures by model: how far scores and features have moved, and how each look-back held that is final."""
    for model, of in drift.items():
        if of["reason"] is None:
            yield f"{model}.score_drift", of["score"]["index"] if of["score"] else float("nan")
            yield from ((f"{model}.features_{level}", of[level]) for level in ("moderate", "major"))
    for model, entries in came_true.items():
        for entry in entries:
            where = f"{model}.{entry['look_back'].replace(' ', '_')}"
            yield from ((f"{where}.{name}", entry[name]) for name in SHOWN if entry.get(name) is not None)


def sentiment_metrics(fits: Sequence[Mapping[str, Any]]) -> Iterable[tuple[str, float]]:
    """How the newest model of how texts sound did on texts that it was not fitted on; nothing where none is in use."""
    in_use = [fit for fit in fits if fit["digest"]]
    if in_use:
        yield from ((f"sentiment.{name}", float(value)) for name, value in in_use[-1]["figures"].items())
