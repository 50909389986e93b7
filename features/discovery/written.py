"""The project file of a proposal, as a person reads and edits it: what is unsure, and what is left out, as comments."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from vouch.features.discovery.queries import query_of
from vouch.features.ingest.own.proposed import sources_of_proposed
from vouch.features.readers import PLAIN
from vouch.features.shown import visible_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from vouch.features.discovery.cells import TableProposal
    from vouch.features.discovery.columns import Source
    from vouch.features.discovery.proposal import Proposal
    from vouch.features.ingest.own.proposed import ProposedTable

UNSURE = 0.75
"""A column or a table that is taken less surely than this is marked."""
_BARE = re.compile(r"[A-Za-z0-9_-]+$")
_WIDTH = 116


def project_text(proposal: Proposal, folder: Path) -> str:
    """The text of `vouch.toml` in a folder."""
    parts = [
        "# How these files feed the contract, which `vouch check --describe` prints; proposed by `vouch init` from\n"
        "# what they hold. A line with `?` is unsure. Change what is wrong, and see what `vouch check` says.",
        *_questions(proposal),
        _sources(proposal, folder),
        *(_table(table, proposal) for table in proposal.tables),
        *(_further(name, own) for name, own in (proposal.own or {}).items()),
        *_left_out(proposal),
    ]
    return "\n\n".join(parts) + "\n"


def _questions(proposal: Proposal) -> Iterator[str]:
    lines = [
        f"? {question.asked} Taken: {question.proposed}; it may be: {', '.join(question.others[:6])}"
        for question in proposal.questions
    ]
    if lines:
        yield _comment(lines)


def _sources(proposal: Proposal, folder: Path) -> str:
    read = {table.source for table in proposal.tables}
    read |= {join.target for table in proposal.tables for join in table.joins}
    queries = [f"{table.query or ''}{''.join(table.around or ())}" for table in proposal.tables]
    read |= {name for name in proposal.sources if any(f'"{name}"' in query for query in queries)}
    read |= {*(proposal.beside if proposal.own is None else sources_of_proposed(proposal.own))}
    plain, apart = ["[source]"], []
    for source in proposal.sources.values():
        if source.name not in read:
            continue
        if source.reader == PLAIN:
            plain.append(f"{_key(source.name)} = {_text(_place(source.path, folder))}")
        else:
            apart.append("\n".join(_reader(source, folder)))
    return "\n\n".join([*(["\n".join(plain)] if len(plain) > 1 else []), *apart])


def _place(path: Path, folder: Path) -> str:
    full = path.resolve()
    return full.relative_to(folder.resolve()).as_posix() if full.is_relative_to(folder.resolve()) else str(full)


def _reader(source: Source, folder: Path) -> Iterator[str]:
    reader = source.reader
    yield f"[source.{_key(source.name)}]"
    yield f"file = {_text(_place(source.path, folder))}"
    options: dict[str, Any] = {
        "encoding": reader.encoding,
        "separator": reader.separator,
        "header": None if reader.has_header else False,
        "names": list(reader.names) or None,
        "sheet": reader.sheet,
        "decimal": reader.decimal if reader.numbers else None,
        "numbers": list(reader.numbers) or None,
    }
    for name, value in options.items():
        if value is not None:
            yield f"{name} = {_value(value)}"
    if reader.dates:
        listed = (
            f"{_key(name)} = {_value(forms[0] if len(forms) == 1 else list(forms))}"
            for name, forms in reader.dates.items()
        )
        yield f"dates = {{ {', '.join(listed)} }}"


def _table(table: TableProposal, proposal: Proposal) -> str:
    evidence = "; ".join([*_evidence(table), *table.evidence]) or "by its name"
    text = f"{table.table}, {table.confidence:.0%} sure: {evidence}"
    lines = [_comment([("? " if table.confidence < UNSURE else "") + text]), f"[tables.{table.table}]"]
    if not table.is_plain:
        unsure = [f"{name} ({cell.confidence:.0%})" for name, cell in table.cells.items() if cell.confidence < UNSURE]
        if unsure:
            lines.insert(1, _comment([f"? {', '.join(unsure)}"]))
        query = query_of(table, proposal.sources)
        lines.append(f"query = {_block(query)}")
    else:
        lines += [f"from = {_text(table.source)}", "", f"[tables.{table.table}.columns]"]
        for name, cell in table.cells.items():
            mark = f"  # ? {cell.confidence:.0%} sure" if cell.confidence < UNSURE else ""
            lines.append(f"{name} = {_text(cell.plain or '')}{mark}")
        if table.constants:
            lines += ["", f"[tables.{table.table}.constants]"]
            lines += [f"{name} = {_value(value)}" for name, value in table.constants.items()]
    if table.epoch and table.is_plain:  # a query has made instants of them
        lines += [
            "",
            f"[tables.{table.table}.epoch]",
            *(f"{name} = {_text(unit)}" for name, unit in table.epoch.items()),
        ]
    if table.values:
        lines += ["", f"[tables.{table.table}.values]"]
        for name, words in table.values.items():
            listed = ", ".join(f"{_key(word)} = {_text(meant)}" for word, meant in words.items())
            lines.append(f"{name} = {{ {listed} }}")
    return "\n".join(lines)


def _further(name: str, own: ProposedTable) -> str:
    """A table that is none of the contract's."""
    mark = "? " if own.confidence < UNSURE else ""
    mapping = own.mapping
    lines = [_comment([f"{mark}{name}, a table of its own, {own.confidence:.0%} sure: {'; '.join(own.evidence)}"])]
    lines += [f"[tables.{_key(name)}]", f"from = {_text(mapping.source or name)}"]
    lines += [f"key = {_text(mapping.key)}"] if mapping.key else []
    for part, named in (("columns", mapping.columns), ("parents", mapping.parents)):
        if named:
            lines += ["", f"[tables.{_key(name)}.{part}]"]
            lines += [f"{_key(at)} = {_text(to)}" for at, to in named.items()]
    return "\n".join(lines)


def _evidence(table: TableProposal) -> Iterator[str]:
    for join in dict.fromkeys(table.joins):
        yield join.as_text


def _left_out(proposal: Proposal) -> Iterator[str]:
    for source in proposal.sources.values():
        reasons: dict[str, list[str]] = {}
        for verdict in proposal.verdicts:
            if verdict.source == source.name and verdict.fate == "left out":
                reasons.setdefault(verdict.reason, []).append(verdict.column)
        if reasons:
            lines = [f"left out of {source.name} ({source.path.name}):"]
            yield _comment([*lines, *(f"  {', '.join(names)}: {why}" for why, names in reasons.items())])
    if proposal.unread:
        yield _comment(proposal.unread)


def _comment(lines: Iterable[str]) -> str:
    """Lines as comments, broken at blanks where they are long."""
    shown = []
    for line in lines:
        words, now = visible_text(line).split(" "), ""
        for word in words:
            if now and len(now) + len(word) + 1 > _WIDTH:
                shown.append(now)
                now = f"    {word}"
            else:
                now = f"{now} {word}" if now else word
        shown.append(now)
    return "\n".join(f"# {line}".rstrip() for line in shown)


def _key(name: str) -> str:
    return name if _BARE.match(name) else _text(name)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _block(query: str) -> str:
    """A query as a text of several lines, as it is where it can be."""
    if "'''" not in query:
        return f"'''\n{query}\n'''"
    escaped = query.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'"""\n{escaped}\n"""'
