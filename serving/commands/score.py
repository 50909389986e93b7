"""`vouch score`: the weekly batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vouch.features.errors import StoreError, UsageError
from vouch.features.instants import mondays
from vouch.serving.batch.summary import telling
from vouch.serving.commands.options import AsOf, CommandRun, Data, Engine, EngineOption, Now, project, typed_instant
from vouch.serving.output import Format, FormatOption, progress, warn

if TYPE_CHECKING:
    from vouch.features.project import Project

app = typer.Typer()


@app.command()
def score(
    ctx: typer.Context,
    data: Data = None,
    as_of: AsOf = None,
    first: Annotated[str | None, typer.Option("--from", metavar="WHEN", help="First Monday of a back-fill.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="WHEN", help="Last Monday of a back-fill.")] = None,
    revision: Annotated[
        bool, typer.Option("--revision", help="Publish a week again whose inputs changed, beside the earlier one.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be done, and do not do it.")] = False,
    despite: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Publish although guards refuse; the reason is kept.")
    ] = None,
    wait: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="Wait so long for another run to end.")] = 0,
    engine: EngineOption = Engine.DUCKDB,
    now: Now = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Publish the weekly snapshot: scores, reasons and metrics of every customer. A published week is left alone.

    Example: vouch score ./company --as-of 2026-11-16
    """
    from vouch.serving.batch import run as weekly
    from vouch.serving.monitoring.tracking import log_weeks

    run: CommandRun = ctx.obj
    now_us = run.now_us(now)
    options: dict[str, Any] = {"is_revision": revision, "engine": engine.value, "wait_s": wait}
    with telling(form, "score", now_us) as summary, progress() as step:
        where, instants = project(data), _instants(as_of, first, last)
        if plan:
            planned = weekly.plan_weeks(where, instants, now_us, progress=step, **options)
            summary.rows = [week.as_dict() for week in planned]
        else:
            weeks = weekly.score_weeks(where, instants, now_us, despite=despite, progress=step, **options)
            summary.weeks = [week.as_dict() for week in weeks]
            step("logging drift")
            for reason in log_weeks(where, weeks):
                warn(f"warning: drift was not logged: {reason}")
            step("loading the serving store")
            _load(where, run.clock_us)


def _load(where: Project, now_us: int) -> None:
    """Load what was published into the store, so that services on other hosts see it; theirs looks for itself too."""
    from vouch.serving.store.connection import Database
    from vouch.serving.store.digests import drop_damaged
    from vouch.serving.store.weeks import bring

    database = Database(where.home, where.store)
    try:
        database.check()
        if damaged := drop_damaged(database):
            warn(f"warning: {damaged:,} weeks in the serving store were damaged, and are brought again from the disk")
        refused = bring(database, where.home, now_us)
    except StoreError as error:
        refused = [str(error)]
    for reason in refused:
        warn(f"warning: not in the serving store: {reason}")


def _instants(as_of: str | None, first: str | None, last: str | None) -> list[int] | None:
    """The weeks that were asked for, None for the newest."""
    if (first is None) != (last is None) or (first is not None and as_of is not None):
        raise UsageError("Give --as-of for one week, or both --from and --to for several")
    if first is None or last is None:
        single = typed_instant(as_of)
        return None if single is None else [single]
    weeks = mondays(typed_instant(first) or 0, typed_instant(last) or 0)
    if not weeks:
        raise UsageError(f"There is no Monday from {first} to {last}")
    return weeks
