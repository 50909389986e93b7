"""Files that the engine cannot read as they lie, written anew as UTF-8 CSV: other encodings, JSON lines, workbooks.

Nothing is interpreted on the way: every cell becomes its text, and is read and judged like that of any CSV file.
"""

from __future__ import annotations

import csv
import gzip
import json
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from vouch.features.errors import SourceUnreadable
from vouch.features.ingest.files import FileSource, kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_BLOCK = 1 << 20


def rewritten(source: FileSource, folder: Path) -> FileSource:
    """Return a source that the engine reads as it is; what it cannot is written anew under `folder`.

    Raises SourceUnreadable where a file is not what its name or its reader says.
    """
    of = kind(source.parts[0])
    is_text = of in {"text", "packed"}
    if of == "parquet" or (is_text and source.reader.encoding is None):
        return source
    folder.mkdir(exist_ok=True)
    before = len(list(folder.iterdir()))
    parts = tuple(folder / f"{number}.csv" for number, _ in enumerate(source.parts, before))
    for path, copy in zip(source.parts, parts, strict=True):
        if is_text:
            _decode(path, copy, source.reader.encoding or "utf-8")
        else:
            rows = _sheet_rows(path, source.reader.sheet) if of == "workbook" else _line_rows(path)
            _write(copy, rows)
    has_header = source.reader.has_header or not (is_text or of == "workbook")
    reader = replace(source.reader, encoding=None, has_header=has_header)
    return replace(source, parts=parts, reader=reader, is_csv=True)


def _decode(path: Path, copy: Path, encoding: str) -> None:
    read = 0
    is_packed = path.name.lower().endswith(".gz")
    try:
        with (
            (
                gzip.open(path, "rt", encoding=encoding, newline="")
                if is_packed
                else path.open(encoding=encoding, newline="")
            ) as text,
            copy.open("w", encoding="utf-8", newline="") as out,
        ):
            while block := text.read(_BLOCK):
                out.write(block)
                read += len(block)
    except UnicodeError as error:
        raise SourceUnreadable(
            f"{path}: not {encoding} after character {read}. Name another `encoding` under [source]."
        ) from error
    except (OSError, EOFError) as error:
        raise SourceUnreadable(f"{path}: cannot be read: {error}. Write it again.") from error


@contextmanager
def _opened_book(path: Path) -> Iterator[Any]:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        yield CalamineWorkbook.from_path(str(path))
    except CalamineError as error:
        raise SourceUnreadable(f"{path}: not a workbook that can be read: {error}. Save it again.") from error


def sheet_names(path: Path) -> list[str]:
    """Names of the sheets of a workbook that hold anything."""
    with _opened_book(path) as book:
        return [name for name in book.sheet_names if book.get_sheet_by_name(name).to_python(nrows=1)]


def _sheet_rows(path: Path, sheet: str | None) -> Iterator[Sequence[str]]:
    """The rows of one sheet of a workbook as texts, the header first; empty rows before it are passed over."""
    with _opened_book(path) as book:
        if sheet is not None and sheet not in book.sheet_names:
            raise SourceUnreadable(f"{path}: there is no sheet {sheet!r} (there are: {', '.join(book.sheet_names)})")
        rows = book.get_sheet_by_name(sheet or book.sheet_names[0]).to_python(skip_empty_area=True)
    return ([_cell(value) for value in row] for row in rows)


def _cell(value: Any) -> str:
    """A cell as its text: whole numbers without a fraction, moments as ISO 8601."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def _line_rows(path: Path) -> Iterator[Sequence[str]]:
    """The objects of a file of JSON lines, or of one JSON list, as rows of texts under a header of all their names."""
    objects = list(_objects(path))
    names = list(dict.fromkeys(name for item in objects for name in item))
    if not names:
        raise SourceUnreadable(f"{path}: no object with a name in it. Write one JSON object per line.")
    yield names
    for item in objects:
        yield [_cell(item.get(name)) for name in names]


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    is_packed = path.name.lower().endswith(".gz")
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8-sig") if is_packed else path.open(encoding="utf-8-sig") as text:
            start = text.read(1)
            if start == "[":
                yield from _checked(path, 1, json.loads(start + text.read()))
                return
            for number, line in enumerate(text, 1):
                content = (start if number == 1 else "") + line
                if content.strip():
                    yield from _checked(path, number, [json.loads(content)])
    except json.JSONDecodeError as error:
        raise SourceUnreadable(f"{path}: line {max(number, 1)}: not JSON ({error.msg}). Write it again.") from error
    except UnicodeError as error:
        raise SourceUnreadable(f"{path}: not UTF-8. Save the file as UTF-8.") from error
    except (OSError, EOFError) as error:
        raise SourceUnreadable(f"{path}: cannot be read: {error}. Write it again.") from error


def _checked(path: Path, line: int, items: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for one in items:
        if not isinstance(one, dict):
            raise SourceUnreadable(f"{path}: line {line}: not a JSON object. Write one object per line.")
        yield one


def _write(copy: Path, rows: Iterable[Sequence[str]]) -> None:
    with copy.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows(rows)
