"""`vouch notify`: tell people and systems what happened, once, and try again what has not arrived."""

from __future__ import annotations

from typing import Annotated

import typer

from vouch.serving.commands.options import CommandRun, Wait
from vouch.serving.output import Format, FormatOption, progress, say, show, warn

app = typer.Typer()


@app.command()
def notify(
    ctx: typer.Context,
    pause: Annotated[str | None, typer.Option(metavar="NAME", help="Let a receiver rest instead.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="NAME", help="Send to a receiver again.")] = None,
    retry_dead: Annotated[bool, typer.Option("--retry-dead", help="Try again what was given up.")] = False,
    wait: Wait = 0,
    form: FormatOption = Format.TABLE,
) -> None:
    """Send what happened to the receivers of destinations.toml: signed webhooks, Slack or Teams, e-mail.

    Run it after each `vouch score`, and as often as failed messages are to be tried again.
    Example: vouch notify
    """
    from vouch.features.errors import UsageError, did_you_mean
    from vouch.features.project import home, store_url
    from vouch.serving.batch.run_records import recording
    from vouch.serving.reach.destinations import load_destinations
    from vouch.serving.reach.messages.sending import channels_of, notify_once
    from vouch.serving.snapshots.files import lock
    from vouch.serving.store.audit import COMMAND_LINE
    from vouch.serving.store.callers import Caller
    from vouch.serving.store.connection import Database
    from vouch.serving.store.outbox import revive, set_paused, standing_of_destinations

    run: CommandRun = ctx.obj
    with recording(home(), "notify", run.clock_us) as run_record, progress() as step, lock(home(), "notify", wait):
        settings = load_destinations(home())
        database = Database(home(), store_url())
        try:
            for name, rests in ((pause, True), (resume, False)):
                if name is not None:
                    if name not in (channels := channels_of(settings)):
                        raise UsageError(f"No receiver is called {name!r}{did_you_mean(name, channels)}")
                    set_paused(database, name, rests, Caller(None, COMMAND_LINE, "admin"), run.clock_us)
            if retry_dead:
                revive(database, run.clock_us)
            step("sending")
            done = notify_once(home(), database, settings, run.clock_us)
            with database.reading() as connection:
                rows = standing_of_destinations(connection)
        finally:
            database.close()
        run_record.figures = {**vars(done), "destinations": rows}
    show(rows, form, document=run_record.figures)
    if form is Format.TABLE and not rows:
        say("nobody is told of anything: receivers are named in destinations.toml of the home")
    if done.failed > done.dead:
        warn(f"warning: {done.failed - done.dead:,} messages did not arrive: they are tried again later")
    if dead := sum(row["dead"] for row in rows):
        warn(f"warning: {dead:,} messages were given up: mend what stopped them, then vouch notify --retry-dead")
