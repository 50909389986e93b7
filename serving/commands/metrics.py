"""`vouch metrics`: metrics by themselves, over time, what changed, which segments stand out, where sources disagree."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vouch.features.errors import UsageError
from vouch.features.instants import instant_text
from vouch.serving.commands.options import AsOf, CommandRun, Data, Engine, EngineOption, Now, project, typed_instant
from vouch.serving.output import Format, progress, say, show

if TYPE_CHECKING:
    from vouch.serving.metric_queries import Answer

app = typer.Typer()

BRIEF = {
    "metrics": ("metric_id", "segment", "value", "ci_low", "ci_high", "unit", "n", "status", "reason"),
    "changes": (
        "metric_id", "segment", "value_before", "value", "difference", "ci_low", "ci_high", "p", "q", "contribution",
        "verdict", "status", "reason",
    ),
    "findings": ("metric_id", "by", "segment", "value", "value_of_rest", "difference", "n", "p", "q", "stands_out"),
    "readings": ("topic", "metric_id", "reading", "value", "ci_low", "ci_high", "unit", "n", "difference", "reason"),
    "audit": (
        "measure", "group", "n", "coverage", "auc", "auc_low", "auc_high", "trend_z", "is_monotone", "weight",
        "suggested_weight", "suggested_low", "suggested_high",
    ),
}  # fmt: skip
"""What fits on a screen; JSON and CSV hold all columns."""
START = "start"
NAMES = "names"


class Shape(StrEnum):
    """How metrics are printed; Markdown is for the catalogue."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


@app.command()
def metrics(
    ctx: typer.Context,
    data: Data = None,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Metrics to show; all without.")] = None,
    by: Annotated[str | None, typer.Option(metavar="COLUMN", help="A column of customers to break down by.")] = None,
    as_of: AsOf = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Week by week from then on; `start` for all that the data hold.")
    ] = None,
    against: Annotated[str | None, typer.Option(metavar="WHEN", help="What changed since then, and the test.")] = None,
    scan: Annotated[bool, typer.Option("--scan", help="Which segments stand out, over all splits or --by.")] = False,
    sensitivity: Annotated[bool, typer.Option("--sensitivity", help="Both readings where sources disagree.")] = False,
    listing: Annotated[
        str | None, typer.Option("--list", metavar="NAME", help="A list behind the figures; `names` tells which.")
    ] = None,
    audit: Annotated[bool, typer.Option("--audit", help="The health rules against who left.")] = False,
    bootstraps: Annotated[bool, typer.Option(help="Intervals that are bootstraps; without them it is quicker.")] = True,
    describe: Annotated[bool, typer.Option("--describe", help="Print the catalogue of metrics.")] = False,
    engine: EngineOption = Engine.AUTO,
    now: Now = None,
    shape: Annotated[
        Shape, typer.Option("--format", help="json is one document and nothing else; markdown is for --describe.")
    ] = Shape.TABLE,
) -> None:
    """Compute rule-based metrics with their intervals, as known at an instant.

    Example: vouch metrics ./company nps retention_rate --by segment
    """
    from vouch.serving.metric_queries import Question, answered, catalogue, catalogue_text, list_meanings

    if describe:
        say(catalogue_text().rstrip()) if shape is Shape.MARKDOWN else show(catalogue(), Format(shape))
        return
    if shape is Shape.MARKDOWN:
        raise UsageError("Markdown is for the catalogue: add --describe, or choose another --format")
    form = Format(shape)
    if sum((since is not None, against is not None, scan, sensitivity, listing is not None, audit)) > 1:
        raise UsageError("Ask for one of --since, --against, --scan, --sensitivity, --list and --audit at a time")
    if listing == NAMES:
        show(list_meanings(), form)
        return
    data, ids = _data_and_ids(data, ids or [])
    run: CommandRun = ctx.obj
    asked = Question(
        ids=ids or None, by=by, as_of_us=typed_instant(as_of), from_start=since == START, scan=scan,
        sensitivity=sensitivity, since_us=None if since == START else typed_instant(since),
        against_us=typed_instant(against), bootstraps=bootstraps, listing=listing, audit=audit,
    )  # fmt: skip
    with progress() as step:
        answer = answered(project(data), asked, run.now_us(now), engine.value, step)
    _tell(answer, form, answer.name != "metrics" or by is not None, asked.is_series)


def _data_and_ids(data: str | None, ids: list[str]) -> tuple[str | None, list[str]]:
    """Where the data are, and the metrics: the first word is a metric where it names one, and nothing lies there."""
    from vouch.features.metrics.catalogue import load_metrics

    is_metric = data in load_metrics() and not Path(data or "").exists()
    return (None, [data, *ids]) if data and is_metric else (data, ids)


def _tell(answer: Answer, form: Format, has_segments: bool, is_series: bool) -> None:
    shown = BRIEF.get(answer.name, tuple(answer.rows[0]) if answer.rows else ())
    names = [name for name in shown if name != "segment" or has_segments]
    brief = [{name: row[name] for name in (["as_of", *names] if is_series else names)} for row in answer.rows]
    document = {"as_of": instant_text(answer.as_of_us), answer.name: answer.rows}
    show(brief if form is Format.TABLE else answer.rows, form, document)
