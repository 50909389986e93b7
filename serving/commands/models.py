"""`vouch models`, `vouch promote`, `vouch rollback`: what is registered, and which version is the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vouch.serving.output import Format, FormatOption, say, show, warn

if TYPE_CHECKING:
    from vouch.serving.commands.options import CommandRun

app = typer.Typer()

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Name of a definition under models/.")]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept.")]


@app.command()
def models(form: FormatOption = Format.TABLE) -> None:
    """List registered versions with aliases, gate results and key figures.

    Example: vouch models
    """
    from vouch.features.project import home, tracking
    from vouch.models.registry.versions import list_models

    listed = list_models(home(), tracking())
    show(listed, form)
    if not listed:
        warn("No version is registered yet: `vouch train all DATA` makes some")


@app.command()
def promote(
    ctx: typer.Context,
    model: Model,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="Registered version to make the champion.")],
    reason: Why,
) -> None:
    """Make a registered version the champion by hand; the reason is kept.

    Example: vouch promote churn 3 --reason "reviewed with the CS team"
    """
    from vouch.features.project import home, tracking
    from vouch.models.registry import versions

    run: CommandRun = ctx.obj
    versions.promote(home(), model, version, reason, run.clock_us, tracking())
    say(f"Version {version} is the champion of {model}")


@app.command()
def rollback(ctx: typer.Context, model: Model, reason: Why) -> None:
    """Give the alias back to the champion before this one; the reason is kept.

    Example: vouch rollback churn --reason "alerts doubled after the release"
    """
    from vouch.features.project import home, tracking
    from vouch.models.registry import versions

    run: CommandRun = ctx.obj
    version = versions.rollback(home(), model, reason, run.clock_us, tracking())
    say(f"Version {version} is the champion of {model} again")
