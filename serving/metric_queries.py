"""Metric queries for `vouch metrics`: from where the data are to envelopes as plain rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals as nw

from vouch.features.errors import UsageError
from vouch.features.facts.act_weights import act_weights
from vouch.features.health.adopted import adopted_rules
from vouch.features.health.rules import FILE, check_features
from vouch.features.ingest.stage import opened, stage
from vouch.features.instants import instant_text
from vouch.features.metrics.catalogue import catalogue_rows
from vouch.features.metrics.comparisons.change import metric_changes
from vouch.features.metrics.comparisons.history import history
from vouch.features.metrics.comparisons.readings import sensitivity
from vouch.features.metrics.comparisons.segments import scan
from vouch.features.metrics.context import MetricContext, Settings
from vouch.features.metrics.evaluate import measure
from vouch.features.metrics.lists.lists import list_meanings as meanings_of_lists
from vouch.features.metrics.lists.lists import list_rows
from vouch.features.metrics.splits import SEGMENTS
from vouch.models.quality.health_audit import audit
from vouch.serving.docs.metric_catalogue import catalogue_page
from vouch.serving.monitoring.alerts import JUDGED
from vouch.serving.snapshots.files import published, read_snapshot
from vouch.serving.snapshots.read import record_of

__all__ = [
    "Answer",
    "Question",
    "answered",
    "catalogue",
    "catalogue_text",
    "list_meanings",
    "published_scores",
    "settings",
]

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vouch.features.asof import Frame, Tables
    from vouch.features.project import Project


@dataclass(frozen=True)
class Question:
    """What is asked of a company's tables: metrics at an instant, or one of the looks at them."""

    ids: Sequence[str] | None = None
    by: str | None = None
    as_of_us: int | None = None
    since_us: int | None = None
    from_start: bool = False
    against_us: int | None = None
    scan: bool = False
    sensitivity: bool = False
    listing: str | None = None
    audit: bool = False
    bootstraps: bool = True

    @property
    def is_series(self) -> bool:
        """Whether it is asked week by week."""
        return self.from_start or self.since_us is not None


@dataclass(frozen=True)
class Answer:
    """Rows under the name that they have in a document, and the instant."""

    as_of_us: int
    name: str
    rows: list[dict[str, Any]]


def answered(
    project: Project, asked: Question, now_us: int, engine: str, progress: Callable[[str], None] = lambda _: None
) -> Answer:
    """Answer a question from a company's tables; metrics that rest on a model take the published scores."""
    progress("reading and checking the tables")
    staged = stage(project, now_us)
    tables = opened(project, staged, engine)
    as_of_us = staged.default_as_of_us(now_us) if asked.as_of_us is None else asked.as_of_us
    progress(f"{instant_text(as_of_us)}: metrics")
    name, metric_rows = _looked(tables, project, asked, as_of_us)
    rows = [one if isinstance(one, dict) else one.as_dict() for one in metric_rows]
    if asked.listing is not None:  # who has come to object since the instant is in no list, either
        objecting = MetricContext(tables, now_us).objecting
        rows = [row for row in rows if row.get("customer_id") not in objecting]
    return Answer(as_of_us, name, rows)


def _looked(tables: Tables, project: Project, asked: Question, as_of_us: int) -> tuple[str, Sequence[Any]]:
    """The name of the rows, and the rows: envelopes, changes, findings, readings, or plain rows of a list."""
    chosen, ids, by = settings(project), asked.ids, asked.by
    if asked.is_series:
        since_us, bootstraps = asked.since_us, asked.bootstraps and asked.ids is not None
        weeks = history(tables, as_of_us, ids, by, since_us=since_us, bootstraps=bootstraps, settings=chosen)
        return "metrics", weeks
    scores, record = published_scores(project.home, as_of_us), record_of(project.home, as_of_us)
    if asked.against_us is not None:
        both = published_scores(project.home, asked.against_us), scores
        return "changes", metric_changes(tables, asked.against_us, as_of_us, ids, by, scores=both, settings=chosen)
    if asked.scan:
        splits = SEGMENTS if by is None else (by,)
        return "findings", scan(tables, as_of_us, ids, splits, scores=scores, settings=chosen)
    if asked.audit:
        return "audit", audit(tables, as_of_us, chosen.health)
    if asked.listing == ALERTS:
        return ALERTS, alerts(project.home, as_of_us)
    if asked.listing is not None:
        return asked.listing, list_rows(MetricContext(tables, as_of_us, scores, chosen), asked.listing)
    if asked.sensitivity:
        return "readings", sensitivity(tables, as_of_us, scores=scores, settings=chosen, bootstraps=asked.bootstraps)
    return "metrics", measure(
        tables, as_of_us, ids, by, scores, bootstraps=asked.bootstraps, settings=chosen, record=record
    )


def settings(project: Project) -> Settings:
    """What the project file sets for metrics, and the rules of health that hold in the home; for tables that are open.

    Raises ConfigurationError where the rules of health are not sound, or not those that were adopted.
    """
    rules = adopted_rules(project.home)
    check_features(rules, str(project.home / FILE))
    return Settings(
        population=project.population,
        feedback_sources=project.feedback_sources,
        hidden_below=project.hidden_below,
        attribution=project.attribution,
        counts_voices=project.counts_voices,
        act_weights=act_weights(project.act_weights),
        discount=project.discount,
        health=rules,
    )


ALERTS = "alerts"
"""The list that a published week holds already, and that is not made anew from the tables."""


def list_meanings() -> list[dict[str, str]]:
    """Names and meanings of all lists."""
    holds = (
        "whom the models flagged 6 and 13 weeks before: how many (k), precision at k, median days until it came true"
    )
    return [*meanings_of_lists(), {"list": ALERTS, "holds": holds, "needs": "a published week"}]


def alerts(home: Path, as_of_us: int) -> list[dict[str, Any]]:
    """How good the alerts of earlier weeks were, as the week of an instant says; see `monitoring.alerts`."""
    if as_of_us not in published(home):
        raise UsageError(
            f"The list {ALERTS!r} needs a published week: run `vouch score` as of {instant_text(as_of_us)} first"
        )
    entries = read_snapshot(home, as_of_us, tables=()).manifest.get("flagged", [])
    names = ("model", "weeks", "as_of", "flagged", *JUDGED, "reason")
    return [{name: entry.get(name) for name in names} for entry in entries]


def published_scores(home: Path, as_of_us: int) -> Frame | None:
    """The scores of the snapshot that is published for an instant; None where none is."""
    if as_of_us not in published(home):
        return None
    snapshot = read_snapshot(home, as_of_us, tables=("scores",))
    scores: Frame = nw.from_native(snapshot.table("scores"), eager_only=True).lazy("polars")
    return scores


def catalogue() -> list[dict[str, Any]]:
    """The catalogue of metrics, one row each."""
    return [{"metric_id": row["id"], **{name: row[name] for name in row if name != "id"}} for row in catalogue_rows()]


def catalogue_text() -> str:
    """The catalogue of metrics as a page in Markdown."""
    return catalogue_page()
