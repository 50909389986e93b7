"""`vouch keys`: who may call the service."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from vouch.serving.output import Format, FormatOption, say, show, warn

if TYPE_CHECKING:
    from vouch.serving.commands.options import CommandRun
    from vouch.serving.store.connection import Database

app = typer.Typer()
keys = typer.Typer(name="keys", help="Keys to the service: made, listed, revoked.", no_args_is_help=True)
app.add_typer(keys)


class Scope(StrEnum):
    """What a key may."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@keys.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will use it.")],
    scope: Annotated[
        Scope,
        typer.Option(help="read; write: also record, and withdraw one's own; admin: also withdraw that of others."),
    ] = Scope.READ,
    form: FormatOption = Format.TABLE,
) -> None:
    """Make a key. It is shown now and never again: the store keeps a hash.

    Example: vouch keys create crm --scope write
    """
    from vouch.serving.store.keys import create as make

    run: CommandRun = ctx.obj
    made = make(_database(), name, scope.value, run.clock_us)
    if form is Format.TABLE:
        say(made)
        warn(f"This is the only time that the key of {name} is shown. Send it as: Authorization: Bearer KEY")
    else:
        row = {"name": name, "scope": scope.value, "key": made}
        show([row], form, document=row)


@keys.command(name="list")
def list_keys(form: FormatOption = Format.TABLE) -> None:
    """List keys, revoked ones too.

    Example: vouch keys list
    """
    from vouch.serving.store.keys import everyone

    with _database().reading() as connection:
        rows = [key.as_dict() for key in everyone(connection).values()]
    show(rows, form, document={"keys": rows})


@keys.command()
def revoke(
    ctx: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME", help="Name or id of the key.")]
) -> None:
    """Revoke a key, and end what was signed in with it. Services follow within a second.

    It hangs on the store alone: whatever else of the home is damaged, a key can be revoked.

    Example: vouch keys revoke crm
    """
    from vouch.features.project import home_place, store_url
    from vouch.serving.store.connection import Database
    from vouch.serving.store.keys import revoke as take

    run: CommandRun = ctx.obj
    taken = take(Database(home_place(), store_url(), checks_home=False), name, run.clock_us)
    say(f"The key {taken.key_id} of {taken.name} is revoked")


def _database() -> Database:
    from vouch.features.project import home, store_url
    from vouch.serving.store.connection import Database

    return Database(home(), store_url())
