"""`vouch runs`: which jobs ran, how they ended, and when each last went well."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vouch.serving.output import Format, FormatOption, say, show

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer()


@app.command()
def runs(
    command: Annotated[str | None, typer.Argument(metavar="[COMMAND]", help="Only these, such as `score`.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="So many, the newest first.")] = 20,
    form: FormatOption = Format.TABLE,
) -> None:
    """List the runs of score, train, clean, export, push, pull and notify: when, how long, how each ended, and why.

    Example: vouch runs score --limit 5
    """
    from vouch.features.project import home
    from vouch.serving.batch.run_records import FOLDER, recorded_runs

    documents = list(islice(recorded_runs(home(), command), limit))
    show([_row(document) for document in documents], form, document={"runs": documents})
    if form is Format.TABLE and not documents:
        say(f"no run {f'of {command} ' if command else ''}is on record in {home() / FOLDER}")


def _row(document: Mapping[str, Any]) -> dict[str, Any]:
    error = document.get("error") or {}
    weeks = [f"{week['as_of'][:10]} {week['outcome']}" for week in document.get("weeks", ())]
    return {
        "now": document["now"],
        "command": document["command"],
        "outcome": document["outcome"],
        "exit_code": document["exit_code"],
        "seconds": document.get("seconds"),
        "weeks": weeks or None,
        "why": error.get("message"),
    }
