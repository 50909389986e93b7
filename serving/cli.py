"""The `vouch` command: doors only. It reads the clock once per run, and turns errors into messages and exit codes.

Heavy libraries are imported inside the commands that need them, so that `vouch --help` answers at once. Training is
imported here alone, inside the commands that train: serving and training meet nowhere else.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.errors import Refused, VouchError
from serving.commands import batch, champions, data, demonstration, keeping, keys, measures, publishing, serve
from serving.instants import microseconds
from serving.options import AsOf, Data, Now, Run, instant, project
from serving.output import Format, FormatOption, progress, say, show, warn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

DEBUG = "--debug"

app = typer.Typer(
    name="vouch",
    help="Which customers are about to leave, which would speak up for you, and why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def begin(
    ctx: typer.Context,
    debug: Annotated[bool, typer.Option(DEBUG, help="Show the whole traceback of an error.")] = False,
) -> None:
    """Which customers are about to leave, which would speak up for you, and why."""
    ctx.obj = Run(microseconds(datetime.now(UTC)))


@app.command()
def demo(
    customers: Annotated[int, typer.Option(metavar="N", help="How many customers.")] = demonstration.CUSTOMERS,
    seed: Annotated[int, typer.Option(metavar="S", help="The same seed gives the same company.")] = 0,
) -> None:
    """Do the whole job on a simulated company: simulate, check, train, score, measure, and show the candidates.

    Example: vouch demo --customers 5000
    """
    from training.run import train as fit
    from training.truth import against_truth

    demonstration.run(customers, seed, fit, against_truth)


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
    from serving.batch.snapshot import lock
    from training.run import train as fit
    from training.tuning import Tuning

    run: Run = ctx.obj
    where, tuning = project(data), Tuning(trials, seconds)
    with progress() as step, lock(where.home, "train"):
        step(f"training {model}")
        reports = fit(where, model, instant(as_of), run.now_us(now), 0, tuning, origins, evaluation)
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


for part in (data, champions, batch, measures, publishing, keeping, serve, keys):
    app.add_typer(part.app)


def main() -> None:
    """Run the command line; the entry point of the distribution."""
    is_debug = DEBUG in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != DEBUG]
    try:
        app(arguments)
    except VouchError as error:
        if is_debug:
            raise
        warn(f"vouch: {error}")
        sys.exit(error.exit_code)
    finally:
        if not is_debug:
            sys.excepthook = _brief  # afterwards, because Typer sets one of its own


def _brief(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    """One line for an error that nobody foresaw."""
    warn(f"vouch: {kind.__name__}: {error} ({DEBUG} shows where)")
