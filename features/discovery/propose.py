"""The proposal: a mapping of all files to the contract, what becomes of each column and why, and what is open.

Nothing is decided in silence. Where values or names leave two readings open, the likelier is proposed and the question
stands, with its alternatives, to be answered by whoever knows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vouch.features.contract.tables import ACTIVITY_TABLES, TABLES
from vouch.features.discovery.columns import profiled
from vouch.features.discovery.customers import customers, home_of, membership, points
from vouch.features.discovery.further import with_columns
from vouch.features.discovery.left_out import Verdict, copies, verdicts
from vouch.features.discovery.links import Customer, Join, find_customer, find_joins, link, normal, with_other_names
from vouch.features.discovery.matching import TRIED, Matcher
from vouch.features.discovery.proposal import Proposal, Question
from vouch.features.discovery.without_history import no_history, nobody
from vouch.features.engines import FAILURES, first_line
from vouch.features.errors import DataError, UsageError, VouchError, did_you_mean
from vouch.features.naming.words import phrase_of_reason

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence
    from pathlib import Path

    from vouch.features.discovery.cells import TableProposal
    from vouch.features.discovery.columns import Source
    from vouch.features.discovery.files import FoundFile
    from vouch.features.discovery.links import Link
    from vouch.features.engines import Connection

DOUBTFUL = 0.5
"""A table that is proposed less surely than this is asked about."""
NONE = "none"
NO_TABLE = "_file"
"""Ends the name of a file that is called as a table of the contract and is none."""


def propose(
    connection: Connection,
    files: Sequence[FoundFile],
    folder: Path,
    answers: Mapping[str, str],
    unread: Sequence[str] = (),
) -> Proposal:
    """Look at files and propose how they feed the contract; `answers` settle questions by their names.

    Raises DataError where no column names a customer, UsageError for an answer to nothing.
    """
    sources: dict[str, Source] = {}
    left = list(unread)
    names = {file.name for file in files}
    apart = {f"{name}{NO_TABLE}": name for name in names & {*TABLES} if f"{name}{NO_TABLE}" not in names}
    answers = {_renamed(key, apart): said for key, said in answers.items()}
    for file in files:
        try:
            sources[file.name] = _answered_dates(connection, file, folder, answers)
        except VouchError as error:
            left.append(f"{file.path.name} is not read: {error}")
        except FAILURES as error:
            left.append(f"{file.path.name} is not read: {first_line(error)}")
    sources = {name: source for name, source in sources.items() if source.rows}
    if not sources:
        raise DataError("There is nothing that can be read. " + " ".join(left))
    customer = find_customer(sources, answers.get("customer"))
    if customer is None:
        raise DataError(nobody(sources))
    if "customer" not in answers:
        customer = with_other_names(connection, sources, customer)
    joins = find_joins(connection, sources)
    dropped = copies(connection, sources, customer)
    copied = {*dropped}
    tables = _tables(connection, sources, customer, joins, answers, dropped)
    if not tables:
        raise DataError(no_history(sources, customer))
    questions = [*_questions(sources, customer, tables), *_date_questions(sources)]
    _check_answers(answers, sources)
    open_questions = tuple(question for question in questions if question.name not in answers)
    settled = verdicts(sources, tables, joins, customer, home_of(customer, sources), dropped)
    clashing = {name for name in sources if name in TABLES and name not in {table.table for table in tables}}
    if clashing:  # a file that is called as a table and is none would be read as one
        renamed = [replace(file, name=f"{file.name}{NO_TABLE}") if file.name in clashing else file for file in files]
        meant = {_renamed(key, {name: f"{name}{NO_TABLE}" for name in clashing}): said for key, said in answers.items()}
        return propose(connection, renamed, folder, meant, unread)
    beside = _beside(sources, settled, copied | {name for name in sources if answers.get(f"table.{name}") == NONE})
    chosen = with_columns(tables, settled)
    return Proposal(sources, chosen, customer, tuple(joins), settled, open_questions, tuple(left), beside)


def _renamed(answer: str, names: Mapping[str, str]) -> str:
    """The name of an answer, where the file that it is about has another name."""
    kind, _, of = answer.partition(".")
    name, dot, column = of.partition(".")
    return f"{kind}.{names[name]}{dot}{column}" if name in names else answer


def _beside(sources: Mapping[str, Source], verdicts: Sequence[Verdict], out: Container[str]) -> tuple[str, ...]:
    """Files that no table is made of: neither a copy, nor about those who left, nor refused."""
    read = {verdict.source for verdict in verdicts if verdict.fate != "left out"}
    return tuple(
        name for name in sources if name not in read and name not in out and not phrase_of_reason(name, "leak")
    )


def _answered_dates(connection: Connection, file: FoundFile, folder: Path, answers: Mapping[str, str]) -> Source:
    source = profiled(connection, file, folder)
    dates = {
        column.name: (answers[f"dates.{file.name}.{column.name}"],)
        for column in source.columns.values()
        if f"dates.{file.name}.{column.name}" in answers
    }
    if not dates:
        return source
    return profiled(connection, replace(file, reader=replace(file.reader, dates=dates)), folder)


def _tables(
    connection: Connection,
    sources: Mapping[str, Source],
    customer: Customer,
    joins: Sequence[Join],
    answers: Mapping[str, str],
    dropped: dict[str, str],
) -> list[TableProposal]:
    """The tables of the contract, each from the file that is it most surely."""
    proposals: list[tuple[TableProposal, Link | None]] = []
    home = home_of(customer, sources)
    for source in sources.values():
        if source.name in dropped or source is home:
            continue
        proposals += _of_source(sources, source, link(source.name, customer, joins), joins, answers)
    if not {proposal.table for proposal, _ in proposals} & set(ACTIVITY_TABLES):
        proposals += _activity(
            sources, customer, joins, home, {proposal.source for proposal, _ in proposals} | dropped.keys()
        )
    chosen = _without_rivals(proposals, dropped)
    facts = [(proposal, way) for proposal, way in chosen if way is not None]
    facts.sort(key=lambda pair: (pair[0].table not in {"transactions", "usage_events"}, -sources[pair[0].source].rows))
    tables = [proposal for proposal, _ in chosen]
    names = {proposal.table for proposal in tables}
    ledger = [made for proposal, way in facts if (made := points(proposal, sources))]
    tables += [one for one in [*membership(customer, sources), *ledger[:1]] if one.table not in names]
    made = customers(connection, customer, sources, facts)
    order = list(TABLES)
    return sorted([*([made] if made else []), *tables], key=lambda proposal: order.index(proposal.table))


def _activity(
    sources: Mapping[str, Source], customer: Customer, joins: Sequence[Join], home: Source | None, used: Container[str]
) -> list[tuple[TableProposal, Link | None]]:
    """Where no file is called like activity, the longest that has a customer and a time, as what customers do."""
    proposals = []
    for source in sources.values():
        way = link(source.name, customer, joins)
        if source is home or source.name in used or way is None:
            continue
        match = Matcher(sources, source, way, joins).match("usage_events", is_chosen=True)
        if match is not None:
            evidence = "no file is called like activity: the longest with a customer and a time is taken for it"
            proposals.append((source.rows, replace(match, confidence=0.4, evidence=(evidence, *match.evidence)), way))
    return [(proposal, way) for _, proposal, way in sorted(proposals, key=lambda one: -one[0])[:1]]


def _of_source(
    sources: Mapping[str, Source], source: Source, way: Link | None, joins: Sequence[Join], answers: Mapping[str, str]
) -> list[tuple[TableProposal, Link | None]]:
    """What one file is: the table that it is most surely; a survey with a text is feedback, too."""
    matcher = Matcher(sources, source, way, joins)
    wanted = answers.get(f"table.{source.name}")
    if wanted == NONE:
        return []
    tried = [wanted] if wanted else TRIED
    matches = [match for name in tried if (match := matcher.match(name, is_chosen=bool(wanted)))]
    if wanted and not matches:
        raise UsageError(
            f"{source.name} cannot be {wanted}: what that needs is not there ({', '.join(source.columns)})"
        )
    if not matches:
        return []
    best = max(matches, key=lambda match: match.confidence)
    proposals = [(best, way)]
    for match in matches:
        is_text = best.table == "surveys" and match.table == "feedback" and "text" in match.cells
        is_asked = best.table == "feedback" and match.table == "surveys" and "invited_at" in match.cells
        if is_text or is_asked:
            proposals.append((match, way))
    return proposals


def _without_rivals(
    proposals: Sequence[tuple[TableProposal, Link | None]], dropped: dict[str, str]
) -> list[tuple[TableProposal, Link | None]]:
    """One file per table: of several, that with more of the contract's columns; the others are `dropped`, and why."""
    best: dict[str, tuple[TableProposal, Link | None]] = {}
    for proposal, way in sorted(proposals, key=lambda pair: _rank(pair[0]), reverse=True):
        taken = best.setdefault(proposal.table, (proposal, way))[0]
        if taken is not proposal:
            dropped[proposal.source] = f"{taken.source} is taken for {proposal.table}: it says more of the same"
    for proposal, _ in best.values():
        dropped.pop(proposal.source, None)
    return list(best.values())


def _rank(proposal: TableProposal) -> tuple[bool, float, int]:
    return "product_id" in proposal.cells, round(proposal.confidence, 1), len(proposal.cells)


def _questions(sources: Mapping[str, Source], customer: Customer, tables: Sequence[TableProposal]) -> list[Question]:
    questions = []
    if customer.confidence < 0.9:
        asked = f"Which column is a customer? ({customer.evidence})"
        questions.append(Question("customer", asked, customer.key, customer.alternatives))
    for proposal in tables:
        if proposal.confidence < DOUBTFUL and proposal.table != "customers":
            asked = f"Is {proposal.source} ({sources[proposal.source].path.name}) the table {proposal.table}?"
            questions.append(Question(f"table.{proposal.source}", asked, proposal.table, (NONE, *TRIED)))
    return questions


def _date_questions(sources: Mapping[str, Source]) -> list[Question]:
    questions = []
    for source in sources.values():
        for column in source.columns.values():
            if column.doubt:
                others = tuple(
                    form
                    for form in column.doubt.removesuffix(" both explain every value").split(" and ")
                    if form not in column.forms
                )
                asked = f"In which order are the dates of {source.name}.{column.name}? ({column.doubt})"
                questions.append(Question(f"dates.{source.name}.{column.name}", asked, column.forms[0], others))
    return questions


def _check_answers(answers: Mapping[str, str], sources: Mapping[str, Source]) -> None:
    """Whether each answer is to a question that could be asked."""
    known = ["customer", *(f"table.{name}" for name in sources)]
    known += [f"dates.{name}.{column}" for name, source in sources.items() for column in source.columns]
    for name, value in answers.items():
        if name not in known:
            raise UsageError(f"--answer {name}: there is no such question{did_you_mean(name, known)}")
        columns = {normal(column) for source in sources.values() for column in source.columns}
        if name == "customer" and normal(value.rpartition(".")[2]) not in columns:
            raise UsageError(f"--answer customer={value}: there is no such column")
        if name.startswith("table.") and value not in {*TRIED, NONE}:
            raise UsageError(
                f"--answer {name}={value}: it is one of {', '.join([*TRIED, NONE])}{did_you_mean(value, TRIED)}"
            )
