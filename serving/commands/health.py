"""`vouch health`: a company's own rules of the health score, shown, checked against what came true, and adopted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vouch.features.errors import Refused, UsageError
from vouch.serving.commands.options import CommandRun, Data, Now, Wait, alone, project
from vouch.serving.output import Format, FormatOption, progress, say, show, warn

if TYPE_CHECKING:
    from vouch.serving.monitoring.health_check import HealthCheck

app = typer.Typer()
health = typer.Typer(name="health", help="Rules of the health score: shown, checked, adopted.", no_args_is_help=True)
app.add_typer(health)

Rules = Annotated[
    Path | None, typer.Option("--rules", metavar="FILE", help="Rules to look at; without it, VOUCH_HOME/health.toml.")
]
SHOWN = ("measure", "group", "n", "coverage", "auc", "auc_low", "auc_high", "is_monotone", "weight", "suggested_weight")
"""What of the audit fits on a screen."""


@health.command(name="show")
def show_rules(form: FormatOption = Format.TABLE) -> None:
    """Show the rules that hold, one row per measure and segment, and when they were adopted.

    Example: vouch health show --format json
    """
    from vouch.features.health.adopted import adopted_rules, adoptions
    from vouch.features.project import home

    rules, held = adopted_rules(home()), adoptions(home())
    since = f", adopted {held[-1].adopted_at}" if held else ""
    document = {
        "version": rules.version,
        "digest": rules.digest,
        "rules": rules.as_dict(),
        "adoptions": [one.model_dump() for one in held],
    }
    if form is Format.TABLE:
        say(f"version {rules.version} ({rules.digest[:12]}{since})")
    show(_rows(rules.as_dict()), form, document)


def _rows(plain: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per measure, and one more per segment that sets it apart."""
    rows = []
    for one in plain["measures"]:
        of_all = {"weight": one["weight"], "tiers": _tiers(one["tiers"])}
        rows.append({"measure": one["feature"], "group": one["group"], "segment": "all", **of_all})
        for segment, own in plain["segments"].items():
            apart = {"weight": own["weights"][one["feature"]], "tiers": _tiers(own["tiers"][one["feature"]])}
            if apart != of_all:
                rows.append({"measure": one["feature"], "group": one["group"], "segment": segment, **apart})
    return rows


def _tiers(tiers: list[dict[str, float]]) -> str:
    """`0 below 1, 30 from 1, 60 from 4`."""
    return ", ".join(
        f"{tier['points']:g}" + (f" from {tier['from']:g}" if "from" in tier and place else "")
        for place, tier in enumerate(tiers)
    )


@health.command()
def check(
    ctx: typer.Context, data: Data = None, rules: Rules = None, now: Now = None, form: FormatOption = Format.TABLE
) -> None:
    """Check rules, and audit them against what came true: each measure, and the score beside that of those that hold.

    Nothing is changed. Exit code 4 where they would not be adopted.

    Example: vouch health check ./company --rules draft.toml
    """
    checked = _checked(ctx, data, rules, now, form)
    if checked.objection is not None:
        raise Refused(f"The rules would not be adopted: {checked.objection}")


@health.command()
def adopt(
    ctx: typer.Context,
    data: Data = None,
    rules: Rules = None,
    shipped: Annotated[bool, typer.Option("--shipped", help="Take the rules that come with vouch again.")] = False,
    despite: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Adopt although the audit speaks against it; the reason is kept.")
    ] = None,
    wait: Wait = 0,
    now: Now = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Check and audit rules, and let them hold from the next `vouch score` on.

    Example: vouch health adopt ./company --rules draft.toml
    """
    from vouch.features.health.adopted import adopt_rules
    from vouch.features.project import home

    run: CommandRun = ctx.obj
    if shipped and rules is not None:
        raise UsageError("--shipped takes the rules that come with vouch: leave out --rules")
    if shipped:
        with alone(home(), wait, "score"):
            made = adopt_rules(home(), None, run.now_us(now), None, despite)
        say(f"The rules that come with vouch (version {made.version}) hold again")
        return
    checked = _checked(ctx, data, rules, now, form)
    if checked.objection is not None and despite is None:
        raise Refused(f"The rules are not adopted: {checked.objection}. Change them, or give a reason with --despite")
    with alone(home(), wait, "score"):
        made = adopt_rules(home(), checked.text, run.now_us(now), checked.figures, despite)
    warn(f"Version {made.version} of the rules holds from the next `vouch score` on")


def _checked(ctx: typer.Context, data: str | None, rules: Path | None, now: str | None, form: Format) -> HealthCheck:
    """Check rules on a company's data, and print what was found."""
    from vouch.serving.monitoring.health_check import check_rules

    run: CommandRun = ctx.obj
    with progress() as step:
        checked = check_rules(project(data), rules, run.now_us(now), step)
    rows = (
        [{name: row[name] for name in SHOWN} for row in checked.measures] if form is Format.TABLE else checked.measures
    )
    show(rows, form, checked.as_dict())
    if form is Format.TABLE:
        say(checked.summary)
    for warning in checked.warnings:
        warn(f"warning: {warning}")
    return checked
