"""`vouch backup` and `vouch restore`: a home in use as one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vouch.serving.commands.options import CommandRun, Now, Wait, alone
from vouch.serving.output import Format, FormatOption, progress, say, show, warn

app = typer.Typer()


@app.command()
def backup(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write, a tar.")],
    wait: Wait = 0,
    now: Now = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Write all that cannot be made again into one file, whole or not at all; the service may go on.

    Weeks, champions, store, tracking database, runs, erasures and the company's own settings are in it.
    Example: vouch backup --out vouch-backup.tar
    """
    from vouch.features.project import home, store_url, version
    from vouch.serving.lifecycle.backup import back_up

    run: CommandRun = ctx.obj
    where = home()
    with progress() as step, alone(where, wait, "score"):
        done = back_up(where, out, run.now_us(now), version(), is_shared=store_url() is not None, step=step)
    show(done.parts, form, document=done.as_dict())
    for warning in done.warnings:
        warn(f"warning: {warning}")
    if form is Format.TABLE:
        say(f"{len(done.files):,} files are in {done.path}")


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `vouch backup` wrote.")],
    into: Annotated[
        Path | None, typer.Option("--into", metavar="HOME", help="The empty home; by default VOUCH_HOME.")
    ] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Put a back-up into an empty home, after every file in it was checked.

    Example: vouch restore vouch-backup.tar --into restored
    """
    from vouch.features.project import home_place
    from vouch.serving.lifecycle.restore import restore as put_back

    where = into.resolve() if into else home_place()
    with progress() as step:
        manifest = put_back(where, source, step)
    restored = {"home": str(where), "made_at": manifest.made_at, "files": len(manifest.files)}
    show([restored], form, document=restored)
    warn(f"warning: whoever was erased after {manifest.made_at} is back: erase them again")
    if manifest.is_shared:
        warn(
            "warning: the store was a PostgreSQL database, and is not in the file: restore it as its administrator does"
        )
