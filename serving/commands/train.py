"""`vouch train`: fit a model, judge it out of time, register it, and gate it.

With `vouch demo` and the library, the one place where serving and training meet, inside the command.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vouch.features.errors import Refused, UsageError
from vouch.serving.commands.options import AsOf, CommandRun, Data, Now, project, typed_instant
from vouch.serving.output import Format, FormatOption, progress, say, show

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vouch.models.registry.versions import RunLabels

app = typer.Typer()
VALUE = "value"
"""The model of lifetime values, which stands beside the definitions."""
TableFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A table of one row per customer to learn from, in place of DATA."),
]
LabelColumn = Annotated[str | None, typer.Option(metavar="COLUMN", help="With --table: what came true, a yes or no.")]
IdColumn = Annotated[
    str | None, typer.Option("--id", metavar="COLUMN", help="With --table: the customer; else the number of the row.")
]
TimeColumn = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="With --table: when a row was known; judged on later rows then.")
]
Taken = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="With --table: take a column although it looks like a leak."),
]
Experiment = Annotated[str, typer.Option(metavar="NAME", help="Experiment of MLflow to log the run in.")]
RunTags = Annotated[
    list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="Say this of the run in MLflow; several times.")
]
LeftOut = Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="With --table: leave a column out.")]


@app.command()
def train(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A definition under models/, `value`, or `all`.")],
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
    origins: Annotated[int, typer.Option(metavar="N", min=1, help="Moments of the rolling evaluation, at least.")] = 4,
    evaluation: Annotated[
        bool,
        typer.Option(
            "--evaluation/--no-evaluation",
            help="Judge it out of time and gate it. Without, only the preferred candidate is fitted and registered; "
            "it cannot become the champion.",
        ),
    ] = True,
    table: TableFile = None,
    label: LabelColumn = None,
    key: IdColumn = None,
    time: TimeColumn = None,
    take: Taken = None,
    leave_out: LeftOut = None,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="The same seed gives the same model.")] = 0,
    experiment: Experiment = "vouch",
    tag: RunTags = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Fit a model on what was known before an instant, judge it out of time, register it, and gate it.

    With --table a model is made of a table that has a label already, one row per customer.

    Example: vouch train churn ./company
    """
    weekly = {"DATA": data, "--as-of": as_of, "--trials": trials or None, "--seconds": seconds}
    flat = {"--label": label, "--id": key, "--time": time, "--take": take, "--leave-out": leave_out}
    labels = partial(_labels, experiment, tag or [])
    if table is not None:
        _refuse({**weekly, "--no-evaluation": None if evaluation else False}, "goes without --table")
        _train_table(
            ctx.obj, model, FlatOptions(table, label, key, time, take or [], leave_out or [], seed), now, labels, form
        )
        return
    _refuse(flat, "is for a flat table: give --table FILE")
    from vouch.training.recipes.tuning import Tuning
    from vouch.training.value.named import train_named as fit

    _refuse(_not_of_value(model, trials, seconds, evaluation), "is for models that give a probability")
    where, now_us = project(data), ctx.obj.now_us(now)
    more = (seed, Tuning(trials, seconds), origins, evaluation, labels())
    _train_company(where.home, model, partial(fit, where, model, typed_instant(as_of), now_us, *more), now_us, form)


def _not_of_value(model: str, trials: int, seconds: float | None, evaluation: bool) -> dict[str, object]:
    """What was typed that the value model does not know."""
    if model != VALUE:
        return {}
    return {"--trials": trials or None, "--seconds": seconds, "--no-evaluation": None if evaluation else False}


def _train_company(home: Path, model: str, work: Callable[[], Sequence[Any]], now_us: int, form: Format) -> None:
    """Train alone, keep a record of it, and tell what came of it."""
    from vouch.serving.batch.run_records import recording
    from vouch.serving.snapshots.files import lock

    with recording(home, "train", now_us) as record:
        with progress() as step, lock(home, "train"):
            step(f"training {model}")
            reports = work()
        record.figures = {"models": [{"model": report.model, "is_refused": report.is_refused} for report in reports]}
        tell_reports(home, reports, form)


def _labels(experiment: str, tags: Sequence[str]) -> RunLabels:
    """What was typed of the run itself; raises UsageError for a tag that is none."""
    from vouch.models.registry.versions import RunLabels

    if wrong := [text for text in tags if not text.partition("=")[0].strip() or "=" not in text]:
        raise UsageError(f"--tag {wrong[0]}: a tag is NAME=VALUE")
    pairs = (text.partition("=") for text in tags)
    return RunLabels(experiment, {name.strip(): value for name, _, value in pairs})


def _refuse(given: Mapping[str, object], why: str) -> None:
    """Refuse what was typed and would be passed over in silence."""
    if named := [name for name, value in given.items() if value is not None]:
        raise UsageError(f"{', '.join(named)}: this {why}")


@dataclass(frozen=True)
class FlatOptions:
    """What was typed of a flat table."""

    table: Path
    label: str | None
    key: str | None
    time: str | None
    take: list[str]
    leave_out: list[str]
    seed: int


def _train_table(
    run: CommandRun, model: str, asked: FlatOptions, now: str | None, labels: Callable[[], RunLabels], form: Format
) -> None:
    from vouch.features.discovery.flat import read_flat
    from vouch.features.project import Project, home, tracking
    from vouch.serving.batch.run_records import recording
    from vouch.serving.snapshots.files import lock
    from vouch.training.flat import train_flat

    if asked.label is None:
        raise UsageError("--table needs --label COLUMN: the column that says what came true")
    where = Project(home(), None, tracking=tracking())
    with recording(where.home, "train", run.now_us(now)) as record:
        with progress() as step, lock(where.home, "train"):
            step(f"reading {asked.table}")
            flat = read_flat(
                where, asked.table, label=asked.label, key=asked.key, time=asked.time, taken=asked.take,
                left_out=asked.leave_out,
            )  # fmt: skip
            step(f"training {model}")
            settings = {"label": asked.label, "id": asked.key, "time": asked.time}
            report = train_flat(where, model, flat, asked.table, run.now_us(now), settings, asked.seed, labels())
        record.figures = {"models": [{"model": report.model, "is_refused": report.is_refused}]}
        tell_reports(where.home, [report], form)


def tell_reports(home: Path, reports: Sequence[Any], form: Format) -> None:
    """Show what training found; raises Refused where the gate let a model not pass, or one could not be fitted."""
    if form is Format.TABLE:
        say("\n\n".join(report.text() for report in reports))
    else:
        rows = [row for report in reports for row in report.figure_rows()]
        names = dict.fromkeys(name for row in rows for name in row)
        rows = [{name: row.get(name) for name in names} for row in rows]
        show(rows, form, document={"models": [report.as_json() for report in reports]})
    if message := refusal(home, reports):
        raise Refused(message)


def refusal(home: Path, reports: Sequence[Any]) -> str:
    """What is to be known where the gate held a model back: whose champion stays, who has none, who was promoted."""
    from vouch.models.predictor import champion_folder

    refused = [report.model for report in reports if report.is_refused]
    if not refused:
        return ""
    stays = [name for name in refused if (champion_folder(home, name) / "bundle").exists()]
    parts = {
        "The champion of before stays: {}.": stays,
        "There is no champion yet: {}.": [name for name in refused if name not in stays],
        "Promoted: {}.": [report.model for report in reports if report.is_promoted],
    }
    reasons = [text.format(", ".join(names)) for text, names in parts.items() if names]
    return " ".join([f"Not promoted: {', '.join(refused)}; see why above.", *reasons])
