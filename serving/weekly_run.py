"""The weekly run: weeks scored and published, their drift logged where models are tracked, and brought into the store.

`vouch score` and every scheduler's example call this one function, so that none of them leaves out a part: a week that
lies on the disk alone is not seen by services on other hosts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vouch.features.errors import StoreError
from vouch.features.project import lineage_place
from vouch.serving.batch.run import score_weeks
from vouch.serving.monitoring.lineage import LineageRun
from vouch.serving.monitoring.tracking import log_weeks
from vouch.serving.store.connection import Database
from vouch.serving.store.digests import drop_damaged
from vouch.serving.store.weeks import bring

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vouch.features.project import Project
    from vouch.serving.batch.outcome import WeekOutcome


@dataclass(frozen=True)
class WeeklyRun:
    """What became of each week, and what did not go as it should without stopping the run."""

    weeks: list[WeekOutcome]
    warnings: list[str]


def run_weekly(
    project: Project,
    instants: Sequence[int] | None,
    now_us: int,
    clock_us: int,
    *,
    progress: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> WeeklyRun:
    """Score weeks (by default the latest that the data reach), log their drift, and load the store.

    `now_us` is the time of the run, `clock_us` that of the clock, in microseconds; further options and the errors that
    are raised are those of `score_weeks`. What is published stays so where tracking server or store do not answer.
    """
    lineage = LineageRun(project, lineage_place(), clock_us)
    lineage.start()
    try:
        weeks = score_weeks(project, instants, now_us, progress=progress, **options)
    except BaseException as error:
        lineage.fail(error)
        raise
    lineage.complete(weeks)
    progress("logging drift")
    warnings = [f"drift was not logged: {reason}" for reason in log_weeks(project, weeks)]
    progress("loading the serving store")
    return WeeklyRun(weeks, [*lineage.warnings, *warnings, *_loaded(project, clock_us)])


def _loaded(project: Project, clock_us: int) -> list[str]:
    """Load what is published into the store; return what went wrong."""
    database = Database(project.home, project.store)
    warnings = []
    try:
        database.check()
        if damaged := drop_damaged(database):
            warnings.append(f"{damaged:,} weeks in the serving store were damaged, and are brought again from the disk")
        return warnings + [f"not in the serving store: {reason}" for reason in bring(database, project.home, clock_us)]
    except StoreError as error:
        return [*warnings, f"not in the serving store: {error}"]
