"""Metrics by themselves, for `vouch metrics`: from where the data are to envelopes as plain rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from features.catalogue import catalogue_rows
from features.measures import measure
from features.sources import open_tables, stage
from serving.instants import spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from features.project import Project


def measured(
    project: Project,
    ids: Sequence[str] | None,
    by: str | None,
    as_of_us: int | None,
    now_us: int,
    engine: str,
    progress: Callable[[str], None],
) -> tuple[int, list[dict[str, Any]]]:
    """Return the instant and the envelopes of metrics, all of them where none are named."""
    progress("reading and checking the tables")
    staged = stage(project, now_us)
    tables = open_tables(staged, engine, memory_limit=project.memory_limit, threads=project.threads)
    instant = staged.default_as_of_us(now_us) if as_of_us is None else as_of_us
    progress(f"{spoken(instant)}: metrics")
    return instant, [envelope.as_dict() for envelope in measure(tables, instant, ids or None, by)]


def catalogue() -> list[dict[str, Any]]:
    """The catalogue of metrics, one row each."""
    return [{"metric_id": row["id"], **{name: row[name] for name in row if name != "id"}} for row in catalogue_rows()]
