"""`vouch report` and `vouch export`: a published snapshot for people, and as files for other systems."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vouch.serving.commands.options import AsOf, CommandRun, Now, typed_instant
from vouch.serving.exports.targets import Taker, Target
from vouch.serving.output import Format, FormatOption, progress, say, show, warn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.serving.exports.decisions import CustomerDecision
    from vouch.serving.snapshots.files import Snapshot

app = typer.Typer()


class Language(StrEnum):
    """Languages of a report: those of the page."""

    EN = "en"
    KO = "ko"
    RO = "ro"


@app.command()
def report(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(metavar="FILE.html", help="The page to write.")],
    as_of: AsOf = None,
    text: Annotated[Path | None, typer.Option(metavar="FILE.txt", help="The same figures for an e-mail.")] = None,
    language: Annotated[Language, typer.Option(help="In which language.")] = Language.EN,
    page: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where the service is: names lead to the customer there, else into the CRM."),
    ] = None,
    now: Now = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Write a published week as one screen with an appendix, in one self-contained file, beside the week before.

    Example: vouch report --as-of 2026-11-16 --out week.html --text week.txt --language ko
    """
    from vouch.features.durable import write_where_asked
    from vouch.features.project import home, store_url
    from vouch.serving.asking.candidates import askable_now
    from vouch.serving.exports.written_files import note
    from vouch.serving.reports.email_text import as_text
    from vouch.serving.reports.rendering import as_page
    from vouch.serving.reports.report import TREND_WEEKS, figures
    from vouch.serving.snapshots.files import read_snapshot
    from vouch.serving.snapshots.read import week_before, weeks_up_to

    run: CommandRun = ctx.obj
    address = _web_address(page)
    with progress() as step:
        step("reading the snapshot")
        snapshot = read_snapshot(home(), typed_instant(as_of))
        people = askable_now(home(), store_url(), snapshot, run.now_us(now))
        weeks = weeks_up_to(home(), snapshot.as_of_us, TREND_WEEKS, ["metrics"])
        shown = figures(snapshot, people, week_before(home(), snapshot.as_of_us), weeks)
        step("drawing")
        write_where_asked(out, as_page(shown, language.value, address))
        if text is not None:
            write_where_asked(text, as_text(shown, language.value))
        for kind, path in (("page", out), ("text", text)):
            if path is not None:
                note(home(), kind, shown.as_of, [path], language.value, address)
        audited(run, "vouch report", "listed", len(shown.candidates) + len(shown.at_risk))
    written = {"page": str(out), "text": None if text is None else str(text)}
    if form is Format.TABLE:
        say(f"{shown.customers:,} customers as of {shown.as_of} in {' and '.join(filter(None, written.values()))}")
    else:
        show([written], form, document={**written, **shown.as_dict()})


@app.command()
def export(
    ctx: typer.Context,
    to: Annotated[Taker, typer.Option("--to", help="Who takes the files, or the kind of table to write into.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A folder to write the files, or the tables, into.")],
    as_of: AsOf = None,
    changed_since: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="Only rows that differ from the newest snapshot no later than WHEN."),
    ] = None,
    fields: Annotated[
        bool, typer.Option("--fields", help="Write what an admin installs before the first import instead.")
    ] = False,
    named: Annotated[
        str | None, typer.Option("--object", metavar="NAME", help="The CRM's object of customers, for --fields.")
    ] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Write a published week as files that a CRM's bulk import takes, or into Delta or Iceberg tables.

    Files have one row per customer, keyed by an external id. A week that stands in a table is replaced there.
    Example: vouch export --to salesforce --out ./crm --changed-since 2026-11-09
    """
    if to in (Taker.DELTA, Taker.ICEBERG):
        _write_into_lake(ctx.obj, to.value, out, as_of, changed_since, fields, form)
        return
    target = Target(to.value)
    if fields:
        _tell_fields(target, out, named, form)
        return
    from vouch.features.project import home
    from vouch.serving.batch.run_records import recording
    from vouch.serving.exports.export import export as write
    from vouch.serving.exports.written_files import note
    from vouch.serving.snapshots.files import lock, read_snapshot
    from vouch.serving.snapshots.read import at_or_before, week_before

    run: CommandRun = ctx.obj
    since = typed_instant(changed_since)
    with recording(home(), "export", run.now_us(None)) as record, progress() as step, lock(home(), "export"):
        step("reading the snapshot")
        snapshot = read_snapshot(home(), typed_instant(as_of), ["scores", "customers"])
        earlier = None if since is None else at_or_before(home(), since)
        step(f"writing files for {to.value}")
        before = lambda week: week_before(home(), week.as_of_us, ["scores"])  # noqa: E731 - one line, one use
        done = write(snapshot, target, out, earlier=earlier, before=before, decide=partial(decided, run, snapshot))
        note(home(), "files", done.as_of, [out / file["name"] for file in done.files])
        note(home(), "listing", done.as_of, [Path(done.listing)])
        audited(run, f"vouch export --to {to.value}", "exported", done.rows)
        record.figures = {"as_of": done.as_of, "to": to.value, "rows": done.rows}
    if form is Format.TABLE:
        say(done.summary())
    else:
        show(done.files, form, document=done.as_dict())
    for warning in done.warnings():
        warn(f"warning: {warning}")


def _write_into_lake(
    run: CommandRun, kind: str, out: Path, as_of: str | None, since: str | None, has_fields: bool, form: Format
) -> None:
    """Write a week into Delta or Iceberg tables."""
    from vouch.features.errors import UsageError
    from vouch.features.project import home, store_url
    from vouch.serving.batch.run_records import recording
    from vouch.serving.exports.lakes import TABLES, Lake, write_week
    from vouch.serving.exports.written_files import note
    from vouch.serving.snapshots.files import lock, read_snapshot
    from vouch.serving.store.actions import objectors
    from vouch.serving.store.connection import Database

    if since is not None or has_fields:
        raise UsageError(f"--to {kind} writes whole weeks, and needs no fields: leave --changed-since and --fields out")
    if str(out).partition("/")[0].endswith(":"):
        raise UsageError(f"--out {out} is an address: tables are written into a folder, which can be synchronised")
    with recording(home(), "export", run.now_us(None)) as record, progress() as step, lock(home(), "export"):
        step("reading the snapshot")
        snapshot = read_snapshot(home(), typed_instant(as_of), ["scores"])
        database = Database(home(), store_url())
        with database.reading() as connection:
            objecting = objectors(connection)
        database.close()
        step(f"writing into {out}")
        tables = write_week(snapshot, Lake(kind), out, objecting)
        week = snapshot.name
        note(home(), kind, week["as_of"], [one.path for one in tables if "customer_id" in TABLES[one.name]])
        new = {one.name: one.rows for one in tables if one.is_new}
        if new:
            audited(run, f"vouch export --to {kind}", "exported", new.get("scores", 0))
        record.figures = {**week, "to": kind, "rows": {one.name: one.rows for one in tables}, "is_new": bool(new)}
    rows = [{"table": str(one.path), "rows": one.rows, "is_new": one.is_new} for one in tables]
    if form is Format.TABLE:
        said = "written" if new else "stands there as it is; nothing is written"
        say(f"{', '.join(f'{one.rows:,} {one.name}' for one in tables)} as of {week['as_of']} for {kind}: {said}")
    else:
        show(rows, form, document={**record.figures, "tables": rows})


def _tell_fields(to: Target, out: Path, named: str | None, form: Format) -> None:
    """Write the metadata of the fields, and list the files."""
    from vouch.serving.exports.metadata import write_metadata

    rows = [{"file": str(path)} for path in write_metadata(to, out, named)]
    show(rows, form, document={"files": [row["file"] for row in rows]})


def decided(run: CommandRun, newest: Snapshot, week: Snapshot) -> Mapping[str, CustomerDecision]:
    """The decisions of the week that is exported as of now, those of an earlier one as of when it was scored."""
    from vouch.features.instants import parse_instant
    from vouch.features.project import home, store_url
    from vouch.serving.exports.decisions import decisions

    then_us = run.clock_us if week.as_of_us == newest.as_of_us else parse_instant(week.manifest["now"])
    return decisions(home(), store_url(), week, then_us)


def _web_address(text: str | None) -> str | None:
    """An address of the service as it was typed; raises UsageError for what is none."""
    if text is not None and not text.startswith(("https://", "http://")):
        from vouch.features.errors import UsageError

        raise UsageError(f"--page {text!r} is no web address: give one like https://vouch.example")
    return text


def audited(run: CommandRun, route: str, action: str, rows: int) -> None:
    """Note in the audit log that customers left by a command."""
    from vouch.features.project import home, store_url
    from vouch.serving.store.audit import COMMAND_LINE, noted
    from vouch.serving.store.connection import Database

    database = Database(home(), store_url())
    with database.writing() as connection:
        noted(connection, run.clock_us, COMMAND_LINE, action, route=route, rows=rows)
    database.close()
