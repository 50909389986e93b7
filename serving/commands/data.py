"""`vouch simulate`, `vouch check`, `vouch features`: a company's tables, and what becomes of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vouch.features.errors import Refused, UsageError
from vouch.serving.commands.options import AsOf, CommandRun, Data, Engine, EngineOption, Now, project, typed_instant
from vouch.serving.output import Format, FormatOption, progress, say, show, warn

if TYPE_CHECKING:
    from vouch.features.ingest.stage import Staged
    from vouch.features.project import Project

app = typer.Typer()


@app.command()
def simulate(
    out: Annotated[Path, typer.Option(metavar="DIR", help="A folder to write the tables into.")],
    customers: Annotated[int, typer.Option(metavar="N", help="How many customers.")] = 20_000,
    weeks: Annotated[int, typer.Option(metavar="W", help="How many weeks of history.")] = 78,
    seed: Annotated[int, typer.Option(metavar="S", help="The same seed gives the same company.")] = 0,
    world: Annotated[
        int | None, typer.Option(metavar="S", min=0, help="Draw the coefficients by this seed, within stated ranges.")
    ] = None,
    has_signal: Annotated[
        bool, typer.Option("--signal/--no-signal", help="Whether anything tells who leaves or speaks up.")
    ] = True,
    prior_shift: Annotated[
        float | None, typer.Option(metavar="FACTOR", help="Both hazards, so many times as large from then on.")
    ] = None,
    shifted: Annotated[int, typer.Option(metavar="W", help="Weeks before the end from which they are.")] = 26,
) -> None:
    """Write the canonical tables of a simulated company with known truth.

    Example: vouch simulate --out ./company --customers 2000 --weeks 78 --seed 7 --world 3
    """
    from vouch.features.simulation.company import PARAMETERS
    from vouch.features.simulation.company import simulate as make
    from vouch.features.simulation.worlds import with_prior_shift, without_signal
    from vouch.features.simulation.worlds import world as drawn

    law = PARAMETERS if world is None else drawn(world)
    law = law if has_signal else without_signal(law)
    law = law if prior_shift is None else with_prior_shift(law, prior_shift, shifted)
    with progress() as step:
        step(f"simulating {customers:,} customers by {weeks} weeks")
        made = make(out, customers, weeks, seed, law)
    say(f"{customers:,} customers by {weeks} weeks in {made}; the truth is in {made / 'truth'}")


@app.command()
def check(
    ctx: typer.Context,
    data: Data = None,
    describe: Annotated[bool, typer.Option("--describe", help="Print the contract: every table and column.")] = False,
    now: Now = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Check a company's tables against the contract: what is there, what it feeds, what is in quarantine and why.

    It warns of a champion that reads a feature which is defined otherwise by now, before the week cannot be scored.
    Exits with 4 where a guard would not let a week of these tables be published.

    Example: vouch check ./company
    """
    from vouch.features.contract.described import contract_rows
    from vouch.features.ingest.proposed_settings import delivery_notes, proposed_settings
    from vouch.features.ingest.stage import stage
    from vouch.features.metrics.feeds import contract_report
    from vouch.models import check_named
    from vouch.models.registry.champions import retrains_due
    from vouch.serving.monitoring.guards import contract_figures, judge, load_guards

    if describe:
        show(contract_rows(), form)
        return
    run: CommandRun = ctx.obj
    where = project(data)
    check_named(where.models)
    with progress() as step:
        step("reading and checking the tables")
        staged = stage(where, run.now_us(now))
        step("looking at what the tables support")
        proposed = proposed_settings(staged, where.models.get("churn")).warnings
        ready = readiness_rows(where, staged, run.now_us(now))
    report = contract_report(staged)
    warnings = [*report["warnings"], *retrains_due(where.home), *delivery_notes(staged), *proposed]
    report = {**report, "warnings": warnings, "readiness": ready}
    show(checked_rows(report, form), form, document=report)
    if form is Format.TABLE:
        tell_check(report, where.home)
    findings = judge(load_guards(where.home), contract_figures(staged.counted))
    if hard := [f"{finding.guard} of {finding.thing}" for finding in findings if finding.level == "hard"]:
        raise Refused(f"No week of these tables would be published: {', '.join(hard)} above the hard limit")


def readiness_rows(where: Project, staged: Staged, now_us: int) -> list[dict[str, Any]]:
    """For each output whether the tables support it, and what is missing; empty where there are no rows to go by."""
    from vouch.features.ingest.stage import opened
    from vouch.models.quality.readiness import readiness

    if staged.data_through_us is None:
        return []
    judged = readiness(opened(where, staged, "polars"), staged.default_as_of_us(now_us), where.models)
    return [one.as_dict() for one in judged]


def checked_rows(report: dict[str, Any], form: Format) -> list[dict[str, Any]]:
    """One row per table that is there; on a screen, what it feeds is counted."""
    counts = ("rows", "quarantined", "cells", "repaired", "duplicates", "orphans")
    return [
        {
            "table": name,
            **{count: table[count] for count in counts},
            "from": table["from"],
            "reasons": [f"{code} {times}" for code, times in table["reasons"].items()],
            "feeds": _counted(table["feeds"]) if form is Format.TABLE else table["feeds"],
        }
        for name, table in report["tables"].items()
    ]


def _counted(feeds: list[str]) -> str:
    """What a table feeds, the metrics counted: their names are in the JSON.

    >>> _counted(["support: 16 features", "metrics: ces_operational, care_index"])
    'support: 16 features, 2 metrics'
    >>> _counted([])
    'nothing by itself'
    """
    metrics = [part.count(",") + 1 for part in feeds if part.startswith("metrics: ")]
    named = [part for part in feeds if not part.startswith("metrics: ")]
    counted = [f"{number} metric{'s' * (number > 1)}" for number in metrics]
    return ", ".join([*named, *counted]) or "nothing by itself"


def tell_check(report: dict[str, Any], home: Path) -> None:
    """Tell what is absent, what to be wary of, and where the quarantine is."""
    for row in report.get("readiness", []):
        say(f"{'ready' if row['ready'] else 'NOT READY'}: {row['output']}: {row['why']}")
    for name, feeds in report["absent"].items():
        say(f"absent: {name}, would feed {_counted(feeds)}")
    for line in own_lines(report["own"]):
        say(line)
    for warning in report["warnings"]:
        say(f"warning: {warning}")
    if any(table["quarantined"] or table["cells"] for table in report["tables"].values()):
        say(f"quarantine: {home / 'quarantine'}")


def own_lines(verdicts: list[dict[str, Any]]) -> list[str]:
    """What was made of columns and tables that the contract does not know, and what was left out and why.

    >>> own_lines([{"table": "visits", "column": "minutes", "is_taken": True, "told": "number", "features": 13}])
    ['own: visits feeds 13 features: minutes 13']
    """
    lines = []
    for table in dict.fromkeys(one["table"] for one in verdicts):
        mine = [one for one in verdicts if one["table"] == table]
        taken = [f"{one['column'] or 'rows'} {one['features']}" for one in mine if one["is_taken"]]
        if taken:
            made = sum(one["features"] for one in mine)
            lines.append(f"own: {table} feeds {made} feature{'s' * (made != 1)}: {', '.join(taken)}")
        lines += [f"own: {table}.{one['column']} is left out: {one['told']}" for one in mine if not one["is_taken"]]
    return lines


@app.command()
def features(
    ctx: typer.Context,
    data: Data = None,
    as_of: AsOf = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The Parquet file to write.")] = None,
    engine: EngineOption = Engine.AUTO,
    describe: Annotated[bool, typer.Option("--describe", help="Print every feature with its definition.")] = False,
    now: Now = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Write the vectors of a company: one row per customer, one column per feature, as known at an instant.

    Example: vouch features ./company --as-of 2026-11-16 --out vectors.parquet
    """
    if describe:
        show(_dictionary(form), form)
        return
    if out is None:
        raise UsageError("Name the file to write with --out, or ask for the dictionary with --describe")
    from vouch.serving.exports.vectors_file import write_vectors

    run: CommandRun = ctx.obj
    with progress() as step:
        written = write_vectors(project(data), typed_instant(as_of), run.now_us(now), out, engine.value, step)
    warn(f"{written.customers:,} customers as of {written.as_of} in {out}")


def _dictionary(form: Format) -> list[dict[str, Any]]:
    """The dictionary of features, those of own columns at the last reading last; on a screen only what fits."""
    from vouch.features.ingest.own.own_features import register_own_features
    from vouch.features.project import home_place
    from vouch.features.vectors.build import describe

    register_own_features(home_place())
    shown = ("name", "family", "unit", "table", "description")
    return [{name: row[name] for name in shown} if form is Format.TABLE else row for row in describe()]
