"""`vouch clean`, `vouch erase` and `vouch about`: what stays for how long, who asked to be forgotten, or to be told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from vouch.features.instants import HOUR_US
from vouch.serving.commands.options import CommandRun, Now, Wait, alone
from vouch.serving.output import Format, FormatOption, progress, say, show, warn

app = typer.Typer()


@app.command()
def clean(
    ctx: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and leave it.")] = False,
    wait: Wait = 0,
    now: Now = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Thin old snapshots by the policy, remove what interrupted runs left, and mark their runs on the tracking server.

    Example: vouch clean --dry-run
    """
    from vouch.features.project import home, tracking
    from vouch.models.registry.recovery import mark_interrupted
    from vouch.serving.batch.run_records import recording
    from vouch.serving.lifecycle.retention import clean as clean_up
    from vouch.serving.lifecycle.retention import load_retention_policy
    from vouch.serving.snapshots.arrow_streams import writing

    run: CommandRun = ctx.obj
    now_us, where = run.now_us(now), home()
    with (
        recording(where, "clean", now_us) as record,
        progress() as step,
        alone(where, wait, "score", "train"),
        writing(where),
    ):
        record.is_recorded = not dry_run
        step("looking for what may go")
        done = clean_up(where, now_us, dry_run)
        if not dry_run:
            step("marking interrupted runs")
            hours = load_retention_policy(where).tracking.hours
            done.marked = mark_interrupted(where, now_us, hours * HOUR_US, tracking())
        record.figures = {"removed": len(done.removed)}
    show(done.removed, form, document=done.as_dict())
    if form is Format.TABLE:
        say(f"{len(done.removed):,} {'would go' if dry_run else 'removed'}")
        if done.closed:
            say(f"{done.closed:,} files and folders are closed to other users now")
        if done.marked:
            say(f"marked as interrupted: {done.marked['runs']:,} runs, {done.marked['models']:,} models")
            say(f"promotions that were cut off, and are made now: {done.marked['promotions']:,}")


@app.command()
def erase(
    ctx: typer.Context,
    customer_id: Annotated[
        list[str],
        typer.Argument(metavar="CUSTOMER_ID...", help="Who is to be erased; `-` reads ids from standard input."),
    ],
    in_advance: Annotated[
        bool, typer.Option("--in-advance", help="Keep ids out that stand nowhere yet, should they come.")
    ] = False,
    wait: Wait = 0,
    now: Now = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Take customers out of snapshots, store, logs and exports for good; a receipt holds their hashes alone.

    Example: vouch erase C0000042
    """
    from vouch.features.errors import UnknownCustomer, VouchError
    from vouch.features.project import Project, home, store_url, tracking
    from vouch.models.registry.recovery import learned_since
    from vouch.serving.lifecycle.erasure import MEND
    from vouch.serving.lifecycle.erasure import erase as forget
    from vouch.serving.snapshots.arrow_streams import writing

    run: CommandRun = ctx.obj
    where = home()
    ids = [one for given in customer_id for one in (_typed() if given == "-" else [given])]
    project = Project(where, None, store=store_url(), tracking=tracking())

    def models_since(date: str | None) -> list[dict[str, object]]:
        try:
            return learned_since(where, date, tracking())
        except VouchError as error:
            warn(f"warning: the models that learned from them are not listed: {error}")
            return []

    with progress() as step, alone(where, wait, "export", "score", "train"), writing(where):
        receipt = forget(project, ids, run.now_us(now), models_since, step, in_advance=in_advance)
    show(receipt.places, form, document=receipt.as_dict())
    if form is Format.TABLE:
        for model in receipt.models:
            say(f"may have learned from them: {model['model']} version {model['version']}, as of {model['as_of']}")
        for left in receipt.left:
            warn(f"warning: {left}")
        advance = f", {receipt.in_advance:,} of them in advance" if receipt.in_advance else ""
        say(f"{len(receipt.hashes):,} erased{advance}; receipt of {receipt.at}: {receipt.path}")
    if receipt.unknown:
        raise UnknownCustomer(len(ids), receipt.unknown, MEND)


def _typed() -> list[str]:
    """Ids from standard input, one a line."""
    return [line for line in sys.stdin.read().replace("\r\n", "\n").split("\n") if line]


@app.command()
def about(
    ctx: typer.Context,
    customer_id: Annotated[str, typer.Argument(metavar="CUSTOMER_ID", help="Whom it is about.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it, as JSON.")],
    now: Now = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Write all that is held on one person, and what is not: the right of access. Erasing takes the file out, too.

    Example: vouch about C0000042 --out about.json
    """
    from vouch.features.project import Project, home, store_url, tracking
    from vouch.serving.lifecycle.about import about as tell

    run: CommandRun = ctx.obj
    project = Project(home(), None, store=store_url(), tracking=tracking())
    answer = tell(project, customer_id, run.now_us(now), out)
    show(answer.rows(), form, document=answer.as_dict())
    if form is Format.TABLE:
        for left in answer.document["left"]:
            warn(f"warning: {left}")
        say(f"in {answer.path}")
