"""Output of commands: tables for people, JSON and CSV for machines, progress where somebody watches.

The only door from a command to a terminal, so that no password, no control character and no formula passes.
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vouch.features.shown import (
    aligned,
    cell_text,
    csv_line,
    is_number_column,
    plain_text,
    printable,
    redacted,
    value_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


class Format(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


_STEERING = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")

FormatOption = Annotated[Format, typer.Option("--format", help="json is one document and nothing else.")]


def show(rows: Sequence[Mapping[str, Any]], form: Format, document: Any = None, title: str = "") -> None:
    """Print rows as asked for; `document` is what JSON holds instead of the rows."""
    if form is Format.JSON:
        sys.stdout.write(as_json(rows if document is None else document) + "\n")
    elif form is Format.CSV:
        sys.stdout.writelines(csv_rows(rows))
    else:
        print_table(rows, title)


def csv_rows(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Lines of CSV: titles and rows, nothing where there are no rows."""
    lines = [list(rows[0]), *(row.values() for row in rows)] if rows else []
    yield from (csv_line(_csv_cell(value) for value in line) for line in lines)


def as_json(document: Any) -> str:
    """A document as JSON text, without passwords, and with what would steer a terminal as escapes."""
    text = json.dumps(redacted_document(document), indent=2, ensure_ascii=False)
    return _STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def redacted_document(document: Any) -> Any:
    """A document of plain values, with the texts in it as they may be shown and kept."""
    if isinstance(document, str):
        return redacted(document)
    if isinstance(document, dict):
        return {name: redacted_document(value) for name, value in document.items()}
    return [redacted_document(value) for value in document] if isinstance(document, list | tuple) else document


def print_table(rows: Sequence[Mapping[str, Any]], title: str = "") -> None:
    """Print rows as a table with a line of titles; plain text, nothing cut, where it is not read on a terminal."""
    if not sys.stdout.isatty():
        sys.stdout.write("\n".join([*([printable(title)] if title else []), *aligned(rows)]) + "\n")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=printable(title) or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in rows[0] if rows else ():
        table.add_column(printable(name), justify="right" if is_number_column(rows, name) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell_text(value) for value in row.values()))
    Console(highlight=False, markup=False).print(table)


def say(text: str = "") -> None:
    """Print text for people."""
    sys.stdout.write(f"{printable(redacted(text))}\n")


def warn(text: str) -> None:
    """Print a line on standard error."""
    sys.stderr.write(f"{printable(redacted(text))}\n")


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Give a function that shows what is being done, on standard error; it is silent where nobody watches."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status("") as status:
        yield lambda text: status.update(Text(printable(redacted(text))))


def _csv_cell(value: Any) -> str:
    """A value as one cell of CSV: a number as it is, a text so that no spreadsheet computes it."""
    is_text = not isinstance(value, int | float | None)
    return plain_text(redacted(value_text(value))) if is_text else value_text(value)
