"""`vouch init`: look at a company's files, propose how they feed the contract, and write `vouch.toml`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vouch.features.contract.tables import ACTIVITY_TABLES
from vouch.features.durable import write_where_asked
from vouch.features.errors import UsageError, VouchError
from vouch.serving.commands.data import checked_rows, readiness_rows, tell_check
from vouch.serving.commands.options import CommandRun, Now
from vouch.serving.output import Format, FormatOption, progress, say, show, warn

if TYPE_CHECKING:
    from vouch.features.discovery.proposal import Proposal, Question
    from vouch.features.ingest.stage import Staged

app = typer.Typer()


@app.command()
def init(
    ctx: typer.Context,
    data: Annotated[
        list[str],
        typer.Argument(metavar="DATA...", help="Files and folders: CSV, JSON, workbooks, Parquet; any names."),
    ],
    answer: Annotated[
        list[str] | None, typer.Option("--answer", metavar="NAME=VALUE", help="Answer a question that init asks.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take every proposal, and ask nothing.")] = False,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The project file to write.")] = Path("vouch.toml"),
    replace: Annotated[bool, typer.Option("--replace", help="Write over a project file that is there.")] = False,
    now: Now = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Look at files of any shape, propose how they feed the contract, and write the project file.

    Example: vouch init ./exports --yes
    """
    from vouch.features.discovery.written import project_text

    if out.exists() and not replace:
        raise UsageError(f"{out} is there already: see what it says, or write over it with --replace")
    run: CommandRun = ctx.obj
    proposal = _proposal(data, _answers(answer or []), is_asking=not yes)
    write_where_asked(out, project_text(proposal, out.parent))
    proposal, staged, why = _checked(proposal, out, run.now_us(now))
    show(_rows(proposal), form, document=_document(proposal, out, staged, why))
    if form is Format.TABLE:
        _tell(proposal, out, staged, why, run.now_us(now))


def _answers(given: list[str]) -> dict[str, str]:
    for one in given:
        if "=" not in one:
            raise UsageError(f"--answer {one}: it is NAME=VALUE")
    return {name.strip(): value.strip() for name, _, value in (one.partition("=") for one in given)}


def _proposal(data: list[str], answers: dict[str, str], *, is_asking: bool) -> Proposal:
    """The proposal, with what it leaves open asked where somebody is there to answer; each answer may open another."""
    from vouch.features.discovery.look import look
    from vouch.features.project import Project, home

    where = Project(home(), None)
    while True:
        with progress() as step:
            step("looking at the files")
            proposal = look(where, data, answers)
        if not is_asking or not proposal.questions:
            return proposal
        if not sys.stdin.isatty():
            raise UsageError(_unanswered(proposal.questions))
        for question in proposal.questions:
            answers[question.name] = _asked(question)


def _asked(question: Question) -> str:
    say(question.asked)
    answer: str = typer.prompt(
        f"  one of {', '.join([question.proposed, *question.others])}", default=question.proposed
    )
    return answer


def _unanswered(questions: tuple[Question, ...]) -> str:
    lines = [
        f"  {question.asked} --answer '{question.name}={question.proposed}' (or: {', '.join(question.others)})"
        for question in questions
    ]
    return "\n".join(["Some things only you know. Answer them, or take what is proposed with --yes:", *lines])


def _checked(proposal: Proposal, out: Path, now_us: int) -> tuple[Proposal, Staged | None, str]:
    """The proposal with its further tables and what became of their columns, and the tables as they are read.

    Where they cannot be read it says why.
    """
    from vouch.features.discovery.look import read_through

    try:
        with progress() as step:
            proposal, staged = read_through(proposal, out, now_us, step)
    except VouchError as error:
        return proposal, None, str(error)
    _add_settings(out, staged)
    return proposal, staged, ""


def _add_settings(out: Path, staged: Staged) -> None:
    """Write which tables come by deliveries, and what the figures propose for the question of churn, with evidence."""
    from vouch.features.ingest.proposed_settings import delivery_notes, proposed_settings

    blocks = ["\n".join(f"# {line}" for note in delivery_notes(staged) for line in wrap(note, 116))]
    if proposed := proposed_settings(staged).lines:
        lines = [f"# {why}\n{key} = {value}" for key, value, why in proposed]
        blocks.append(
            "\n".join(["# What counts as leaving, proposed from the company's own figures.", "[churn]", *lines])
        )
    if any(blocks):
        text = "".join(f"\n{block}\n" for block in blocks if block)
        write_where_asked(out, f"{out.read_text(encoding='utf-8')}{text}")


def _when(proposal: Proposal, staged: Staged) -> str:
    """The instant to look from where activity is known by the month: the first Monday after the newest month."""
    from vouch.features.instants import FIRST_MONDAY_US, WEEK_US, instant_text

    clocks = [cell.sql for table in proposal.tables if table.table in ACTIVITY_TABLES for cell in table.cells.values()]
    if staged.data_through_us is None or not any("interval 1 month" in sql for sql in clocks):
        return ""
    after_us = staged.data_through_us + 1 - FIRST_MONDAY_US
    return f" --as-of {instant_text(-(-after_us // WEEK_US) * WEEK_US + FIRST_MONDAY_US)}"


def _rows(proposal: Proposal) -> list[dict[str, Any]]:
    """One row per file: how it is read, and which tables of the contract come of it."""
    rows = []
    for source in proposal.sources.values():
        tables = [f"{table.table} ({table.confidence:.0%})" for table in proposal.tables if table.source == source.name]
        own = [(name, one) for name, one in (proposal.own or {}).items() if one.mapping.source == source.name]
        tables += [f"{name}, its own ({one.confidence:.0%})" for name, one in own]
        fates = [verdict.fate for verdict in proposal.verdicts if verdict.source == source.name]
        rows.append(
            {
                "file": source.path.name,
                "rows": source.rows,
                "columns": len(source.columns),
                "mapped": fates.count("mapped"),
                "used": fates.count("used"),
                "left out": fates.count("left out"),
                "becomes": tables,
                "read as": list(source.notes),
            }
        )
    return rows


def _document(proposal: Proposal, out: Path, staged: Staged | None, why: str) -> dict[str, Any]:
    from vouch.features.metrics.feeds import contract_report

    key = proposal.customer
    return {
        "project": str(out),
        "customer": {"key": key.key, "confidence": key.confidence, "told": key.evidence},
        "files": _rows(proposal),
        "tables": [
            {
                "table": table.table,
                "from": table.source,
                "confidence": round(table.confidence, 2),
                "evidence": list(table.evidence),
                "columns": {name: round(cell.confidence, 2) for name, cell in table.cells.items()},
            }
            for table in proposal.tables
        ],
        "own_tables": [
            {"table": name, "confidence": one.confidence, "evidence": list(one.evidence), **asdict(one.mapping)}
            for name, one in (proposal.own or {}).items()
        ],
        "accounted": round(proposal.accounted, 3),
        "columns": [vars(verdict) for verdict in proposal.verdicts],
        "questions": [vars(question) for question in proposal.questions],
        "unread": list(proposal.unread),
        "check": contract_report(staged) if staged else {"error": why},
    }


def _tell(proposal: Proposal, out: Path, staged: Staged | None, why: str, now_us: int) -> None:
    from vouch.features.metrics.feeds import contract_report
    from vouch.features.project import home, load_project

    key = proposal.customer
    say(f"\na customer is {key.key} ({key.confidence:.0%} sure: {key.evidence})")
    for join in dict.fromkeys(join for table in proposal.tables for join in table.joins):
        say(f"joined: {join.as_text}")
    for question in proposal.questions:
        say(f"? {question.asked} Taken: {question.proposed}. Otherwise: --answer '{question.name}=...'")
    for line in proposal.unread:
        say(f"warning: {line}")
    fates = [verdict.fate for verdict in proposal.verdicts]
    counts = ", ".join(f"{fates.count(fate)} {fate}" for fate in ("mapped", "used", "left out"))
    say(f"{len(fates)} columns: {counts}; {proposal.accounted:.0%} with the reason, which stands in {out}\n")
    if staged is None:
        warn(f"vouch check would say: {why}")
        return
    if (settings := load_project(str(out)).models.get("churn")) is not None:
        days = (("inactive after", settings.inactive_days), ("within", settings.horizon_days))
        say(f"churn, proposed: {', '.join(f'{name} {of} days' for name, of in days if of)}; why stands in {out}")
    say("vouch check says:")
    report = contract_report(staged)
    show(checked_rows(report, Format.TABLE), Format.TABLE)
    ready = readiness_rows(load_project(str(out)), staged, now_us)
    tell_check({**report, "readiness": ready}, home())
    at = _when(proposal, staged)
    say(f"\nwritten: {out}. Next: vouch train all{at}, vouch score{at}, vouch report --out week.html")
