"""The `vouch` command: doors only. It reads the clock once per run, and turns errors into messages and exit codes.

Heavy libraries are imported inside the commands that need them, so that `vouch --help` answers at once.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from vouch.features.errors import VouchError
from vouch.features.home_format import check_home
from vouch.features.instants import microseconds
from vouch.features.private import keep_private
from vouch.features.project import home_place, is_shared_home
from vouch.serving.commands import (
    agent,
    backup,
    data,
    demo,
    health,
    init,
    keeping,
    keys,
    metrics,
    models,
    publishing,
    runs,
    score,
    serve,
    tracking,
    train,
)
from vouch.serving.commands.options import CommandRun
from vouch.serving.commands.reach import crm, notify
from vouch.serving.output import warn

if TYPE_CHECKING:
    from types import TracebackType

DEBUG = "--debug"
CHECK_BY_THEMSELVES = ("keys", "restore")
"""A key is revoked whatever is damaged, and what was half restored is restored: these see themselves to the home."""

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
    if ctx.invoked_subcommand not in CHECK_BY_THEMSELVES:
        check_home(home_place())
    before = keep_private(home_place(), is_shared_home())
    ctx.call_on_close(lambda: os.umask(before))
    ctx.obj = CommandRun(microseconds(datetime.now(UTC)))


for part in (
    demo,
    data,
    init,
    train,
    models,
    notify,
    tracking,
    score,
    runs,
    metrics,
    health,
    publishing,
    crm,
    keeping,
    backup,
    serve,
    agent,
    keys,
):
    app.add_typer(part.app)


def main() -> None:
    """Run the command line; the entry point of the distribution."""
    is_debug = DEBUG in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != DEBUG]
    logging.lastResort = _Warned()
    try:
        app(arguments)
    except VouchError as error:
        if is_debug:
            raise
        warn(f"vouch: {error}")
        sys.exit(error.exit_code)
    finally:
        sys.excepthook = _whole if is_debug else _brief  # afterwards, because Typer sets one of its own


class _Warned(logging.Handler):
    """Where nobody has said how to log, warnings go where those of commands go."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message."""
        warn(record.getMessage())


def _brief(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    """One line for an error that nobody foresaw."""
    if isinstance(error, MemoryError):
        warn("vouch: there is too little memory. Free some, or lower memory_limit under [engine] of vouch.toml.")
    else:
        warn(f"vouch: {kind.__name__}: {error} ({DEBUG} shows where)")


def _whole(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """The whole traceback, by the same door."""
    warn("".join(traceback.format_exception(kind, error, where)).rstrip())
