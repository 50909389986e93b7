"""`vouch score`: the weekly batch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vouch.features.errors import UsageError
from vouch.features.instants import mondays
from vouch.serving.batch.summary import telling
from vouch.serving.commands.options import AsOf, CommandRun, Data, Engine, EngineOption, Now, project, typed_instant
from vouch.serving.output import Format, FormatOption, progress, show, warn

app = typer.Typer()
TOP = 20
"""Rows of a flat table that fit on a screen."""


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
    engine: EngineOption = Engine.AUTO,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Score a flat table instead, by the model that --model names.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="With --table: as in `vouch train NAME`.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --table: write all rows, as Parquet or .csv; else 20."),
    ] = None,
    now: Now = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Publish the weekly snapshot: scores, reasons and metrics of every customer. A published week is left alone.

    With --table the rows of a flat table are scored and ranked, and nothing is published.

    Example: vouch score ./company --as-of 2026-11-16
    """
    from vouch.serving.batch.run import plan_weeks
    from vouch.serving.weekly_run import run_weekly

    run: CommandRun = ctx.obj
    now_us = run.now_us(now)
    if table is not None or model is not None:
        _check_alone(data, as_of, first, last, despite, is_weekly=revision or plan)
        _score_table(table, model, out, now_us, form)
        return
    if out is not None:
        raise UsageError("--out is for a flat table: name it with --table FILE. A week is published in VOUCH_HOME")
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


def _check_alone(*typed: str | None, is_weekly: bool) -> None:
    """Refuse what is for a published week beside a flat table."""
    if is_weekly or any(one is not None for one in typed):
        raise UsageError("With --table nothing is published: leave out DATA and the options of a week")


def _score_table(table: Path | None, model: str | None, out: Path | None, now_us: int, form: Format) -> None:
    """Score the rows of a flat table, the highest first; all of them into a file, else those that fit on a screen."""
    from vouch.features.discovery.flat import read_flat_rows
    from vouch.features.project import Project, home
    from vouch.serving.exports.vectors_file import write_table_scores
    from vouch.serving.scoring.flat_scores import columns, flat_champion, scored_rows

    if table is None or model is None:
        raise UsageError("--table FILE and --model NAME go together")
    where = Project(home(), None)
    predictor = flat_champion(where.home, model)
    keys = predictor.manifest["table"]
    with progress() as step:
        step(f"scoring {table}")
        read = read_flat_rows(where, table, columns(predictor), keys["id"], keys["time"])
        rows = scored_rows(predictor, read.frame, read.ids, with_reasons=True)
    rows.sort(key=lambda row: (-row["probability"], row["id"]))
    if out is not None:
        write_table_scores(where.home, rows, now_us, out)
        warn(f"{len(rows):,} rows in {out}")
        return
    shown = rows if form is not Format.TABLE else rows[:TOP]
    show([{"rank": rank, **row, "reasons": _brief(row["reasons"])} for rank, row in enumerate(shown, 1)], form, rows)


def _brief(reasons: list[dict[str, Any]]) -> list[str]:
    """The columns that move a score most, with their values."""
    signs = [f"{'+' if of['contribution'] > 0 else '-'} {of['column']}: {of['value']}" for of in reasons]
    return signs[:3]


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
