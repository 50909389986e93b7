"""`vouch score`: the weekly batch."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from vouch.features.errors import UsageError
from vouch.features.instants import mondays
from vouch.serving.batch.summary import telling
from vouch.serving.commands.options import AsOf, CommandRun, Data, Engine, EngineOption, Now, project, typed_instant
from vouch.serving.output import Format, FormatOption, progress, warn

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
    from vouch.serving.batch.run import plan_weeks
    from vouch.serving.weekly_run import run_weekly

    run: CommandRun = ctx.obj
    now_us = run.now_us(now)
    options: dict[str, Any] = {"is_revision": revision, "engine": engine.value, "wait_s": wait}
    with telling(form, "score", now_us) as summary, progress() as step:
        where, instants = project(data), _instants(as_of, first, last)
        if plan:
            planned = plan_weeks(where, instants, now_us, progress=step, **options)
            summary.rows = [week.as_dict() for week in planned]
        else:
            done = run_weekly(where, instants, now_us, run.clock_us, despite=despite, progress=step, **options)
            summary.weeks = [week.as_dict() for week in done.weeks]
            for warning in done.warnings:
                warn(f"warning: {warning}")


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
