"""`vouch push` and `vouch pull`: a published week into a CRM through its API, and what came of it back."""

from __future__ import annotations

import time
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from vouch.serving.commands.options import AsOf, CommandRun, Wait, typed_instant
from vouch.serving.output import Format, FormatOption, progress, say, show, warn

app = typer.Typer()


class Crm(StrEnum):
    """A CRM that vouch can call."""

    SALESFORCE = "salesforce"
    HUBSPOT = "hubspot"


@app.command()
def push(
    ctx: typer.Context,
    to: Annotated[Crm, typer.Argument(metavar="salesforce|hubspot", help="The CRM.")],
    as_of: AsOf = None,
    wait: Wait = 0,
    form: FormatOption = Format.TABLE,
) -> None:
    """Send a published week into a CRM, once; what was killed on the way goes on when it is run again.

    Where the CRM is stands in destinations.toml of the home, the secrets in the environment.
    Example: vouch push hubspot --as-of 2026-11-16
    """
    from vouch.features.project import home, store_url
    from vouch.serving.batch.run_records import recording
    from vouch.serving.commands.publishing import audited, decided
    from vouch.serving.exports.targets import Target
    from vouch.serving.reach.crm.push import push as send
    from vouch.serving.reach.destinations import load_destinations
    from vouch.serving.snapshots.files import lock, read_snapshot
    from vouch.serving.snapshots.read import week_before
    from vouch.serving.store.actions import mark_of_objections
    from vouch.serving.store.connection import Database

    run: CommandRun = ctx.obj
    with recording(home(), "push", run.clock_us) as run_record, progress() as step, lock(home(), "push", wait):
        settings = load_destinations(home())
        step("reading the snapshot")
        snapshot = read_snapshot(home(), typed_instant(as_of), ["scores", "customers"])
        database = Database(home(), store_url())
        with database.reading() as connection:
            objections = mark_of_objections(connection)
        database.close()
        step(f"sending to {to.value}")
        record, is_new = send(
            home(),
            Target(to.value),
            snapshot,
            settings,
            time.sleep,
            before=lambda week: week_before(home(), week.as_of_us, ["scores"]),
            decide=partial(decided, run, snapshot),
            objections=objections,
            leaving=partial(audited, run, f"vouch push {to.value}", "exported"),
        )
        figures = {"as_of": record.as_of, "revision": record.revision, "to": to.value, "rows": record.rows}
        run_record.figures = {**figures, "failed": record.failed, "reasons": record.reasons, "is_new": is_new}
    if form is Format.TABLE:
        sent = "sent" if is_new else "was sent before; nothing is sent twice"
        say(f"{record.rows - record.failed:,} of {record.rows:,} customers as of {record.as_of} for {to.value}: {sent}")
    else:
        show([figures], form, document=run_record.figures)
    if record.failed:
        why = ", ".join(f"{name} {number:,}" for name, number in sorted(record.reasons.items()))
        warn(f"warning: {record.failed:,} of {record.rows:,} rows were not taken ({why}): see pushed/ in the home")


@app.command()
def pull(
    ctx: typer.Context,
    of: Annotated[Crm, typer.Argument(metavar="salesforce|hubspot", help="The CRM.")],
    wait: Wait = 0,
    form: FormatOption = Format.TABLE,
) -> None:
    """Take from a CRM what its people recorded of asks, objections, consents and owners since the last time.

    Which of its fields hold that stands in destinations.toml of the home, the secrets in the environment.
    Example: vouch pull salesforce
    """
    from vouch.features.project import home, store_url
    from vouch.serving.batch.run_records import recording
    from vouch.serving.exports.targets import Target
    from vouch.serving.reach.crm.pull import pull as take
    from vouch.serving.reach.destinations import load_destinations
    from vouch.serving.snapshots.files import lock
    from vouch.serving.store.connection import Database

    run: CommandRun = ctx.obj
    with recording(home(), "pull", run.clock_us) as run_record, progress() as step, lock(home(), "pull", wait):
        settings = load_destinations(home())
        step(f"reading {of.value}")
        database = Database(home(), store_url())
        try:
            done = take(home(), Target(of.value), database, settings, time.sleep, run.clock_us)
        finally:
            database.close()
        run_record.figures = {"of": of.value, **done.as_dict()}
    if form is Format.TABLE:
        say(
            f"{done.records:,} records of {of.value}: {done.outcomes:,} outcomes, {done.objections:,} objections, "
            f"{done.consents:,} consents, {done.owners:,} owners"
        )
    else:
        show([run_record.figures], form, document=run_record.figures)
    if done.conflicts or done.odd or done.unknown_asks:
        warn(
            f"warning: left as they are: {done.conflicts:,} outcomes that stand otherwise here, {done.unknown_asks:,} "
            f"of asks that are not known, {done.odd:,} values that are none of ours"
        )
