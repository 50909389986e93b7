"""`vouch train`: fit a model, judge it out of time, register it, and gate it.

With `vouch demo` and the library, the one place where serving and training meet, inside the command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vouch.features.errors import Refused
from vouch.serving.commands.options import AsOf, CommandRun, Data, Now, project, typed_instant
from vouch.serving.output import Format, FormatOption, progress, say, show

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer()


@app.command()
def train(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A definition under models/, or `all`.")],
    data: Data = None,
    as_of: AsOf = None,
    now: Now = None,
    trials: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Search for parameters by so many trials."),
    ] = 0,
    seconds: Annotated[
        float | None, typer.Option(metavar="S", min=0, help="End the search then; such a run cannot be reproduced.")
    ] = None,
    origins: Annotated[int, typer.Option(metavar="N", min=0, help="Moments of the rolling evaluation.")] = 4,
    evaluation: Annotated[
        bool,
        typer.Option(
            "--evaluation/--no-evaluation",
            help="Judge it out of time and gate it. Without, only the preferred candidate is fitted and registered; "
            "it cannot become the champion.",
        ),
    ] = True,
    form: FormatOption = Format.TABLE,
) -> None:
    """Fit a model on what was known before an instant, judge it out of time, register it, and gate it.

    Example: vouch train churn ./company
    """
    from vouch.serving.batch.run_records import recording
    from vouch.serving.snapshots.files import lock
    from vouch.training.run import train as fit
    from vouch.training.tuning import Tuning

    run: CommandRun = ctx.obj
    where, tuning = project(data), Tuning(trials, seconds)
    with recording(where.home, "train", run.now_us(now)) as record:
        with progress() as step, lock(where.home, "train"):
            step(f"training {model}")
            reports = fit(where, model, typed_instant(as_of), run.now_us(now), 0, tuning, origins, evaluation)
        record.figures = {"models": [{"model": report.model, "is_refused": report.is_refused} for report in reports]}
        tell_reports(reports, form)


def tell_reports(reports: Sequence[Any], form: Format) -> None:
    """Show what training found; raises Refused where the gate let a model not pass, or one could not be fitted."""
    if form is Format.TABLE:
        say("\n\n".join(report.text() for report in reports))
    else:
        rows = [row for report in reports for row in report.figure_rows()]
        show(rows, form, document={"models": [report.as_json() for report in reports]})
    refused = [report.model for report in reports if report.is_refused]
    if refused:
        raise Refused(f"Not promoted: {', '.join(refused)}; see why above. The champion of before stays.")
