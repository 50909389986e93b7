"""Files of a stranger: what lies in a folder, and how each file is read: encoding, separator, header.

What is found is said: it goes into the project file as reader options, so that the weekly run guesses nothing.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from charset_normalizer import from_bytes

from vouch.features.contract.casts import NULL_WORDS
from vouch.features.errors import SourceUnreadable, UsageError, VouchError
from vouch.features.ingest.files import SEPARATORS, kind
from vouch.features.ingest.rewritten import sheet_names
from vouch.features.project import FILE_ENDINGS, files_of
from vouch.features.readers import PLAIN, Reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_LOOKED_AT = 1 << 18
_LINES = 60
_BLOCK = 1 << 20
DEEPEST = 3
"""Folders below the one that is named are looked into so deep."""
_NUMBER = re.compile(r"[-+]?[\d.,]*\d[\d.,]*%?$")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}")


@dataclass(frozen=True)
class FoundFile:
    """A file that may hold a table: the name that it goes by, where it is, how it is read, and what told so."""

    name: str
    path: Path
    reader: Reader = PLAIN
    notes: tuple[str, ...] = ()


def find_files(places: Iterable[Path]) -> tuple[list[FoundFile], list[str]]:
    """Find all files with tables under some folders, or the files themselves.

    Returns them, each under a name of its own, and what lies there and cannot be read, with the reason. Raises
    UsageError where a place is not there.
    """
    paths: list[Path] = []
    for place in places:
        if not place.exists():
            raise UsageError(f"There is no file or folder {str(place)!r}")
        paths += _under(place, DEEPEST) if place.is_dir() else [place]
    files: list[FoundFile] = []
    left: list[str] = []
    paths, patterns = _patterns(paths)
    names = _names([patterns.get(path, path) for path in paths])
    for path in paths:
        if not path.name.lower().endswith(FILE_ENDINGS):
            left.append(f"{path.name} is not read: it is none of {', '.join(FILE_ENDINGS)}")
            continue
        try:
            several = patterns.get(path)
            looked = _looked_into(names[several or path], path)
            files += [replace(one, path=several) for one in looked] if several else looked
        except (VouchError, OSError) as error:
            left.append(f"{path.name} is not read: {error}")
    return files, left


def _under(folder: Path, depth: int) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_")) or path.suffix == ".toml":
            continue
        if path.is_file():
            yield path
        elif path.is_dir() and depth:
            yield from _under(path, depth - 1)


def _patterns(paths: list[Path]) -> tuple[list[Path], dict[Path, Path]]:
    """Files whose names differ by a number or a date alone and whose headers are equal: the first stands for all.

    Returns the files without the others, and for the first the pattern that means them all.
    """
    groups: dict[tuple[Path, bytes], list[Path]] = {}
    for path in paths:
        pattern = path.with_name(re.sub(r"\d+([-_.]?\d+)*(?=.*\.)", "*", path.name, count=1))
        if "*" in pattern.name and kind(path) in {"text", "packed", "parquet"}:
            groups.setdefault((pattern, _header_of(path)), []).append(path)
    patterns = {
        group[0]: pattern for (pattern, _), group in groups.items() if sorted(files_of(pattern)) == sorted(group)
    }
    patterns = {path: pattern for path, pattern in patterns.items() if len(files_of(pattern)) > 1}
    others = {path for pattern in patterns.values() for path in files_of(pattern)} - set(patterns)
    return [path for path in paths if path not in others], patterns


def _header_of(path: Path) -> bytes:
    """What must be equal in files that are parts of one: the first line of a text."""
    if kind(path) == "parquet":
        return b""
    opener = gzip.open if kind(path) == "packed" else open
    with opener(path, "rb") as file:
        line: bytes = file.readline()
    return line


def _names(paths: list[Path]) -> dict[Path, str]:
    """A short name for each file: what all file names begin with is left out, and folders tell namesakes apart."""
    stems = {path: _word(path.name.split(".")[0]) for path in paths}
    begin = _common_begin(list(stems.values()))
    names: dict[Path, str] = {}
    times = Counter(stems.values())
    for path, stem in stems.items():
        name = stem[len(begin) :]
        if times[stem] > 1:
            name = f"{_word(path.parent.name)}_{name}"
        name = re.sub(r"_(dataset|table|export|data)$", "", name) or name
        while name in names.values():
            name += "_2"
        names[path] = name if not name[:1].isdigit() else f"t{name}"
    return names


def _word(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_").lower() or "file"


def _common_begin(stems: list[str]) -> str:
    """Whole words that all names begin with.

    >>> _common_begin(["olist_orders", "olist_order_items"]), _common_begin(["orders", "orders_2"])
    ('olist_', '')
    """
    if len(stems) < 2:
        return ""
    begin = stems[0]
    for stem in stems:
        while begin and not stem.startswith(begin):
            begin = begin[:-1]
    begin = begin[: begin.rfind("_") + 1]
    return "" if begin in stems else begin


def _looked_into(name: str, path: Path) -> list[FoundFile]:
    of = kind(path)
    if of in {"parquet", "lines"}:
        return [FoundFile(name, path)]
    if of == "workbook":
        sheets = sheet_names(path)
        if len(sheets) == 1:
            return [FoundFile(name, path)]
        return [
            FoundFile(f"{name}_{_word(sheet)}", path, Reader(sheet=sheet), (f"sheet {sheet!r}",)) for sheet in sheets
        ]
    reader, notes = _text_reader(path)
    return [FoundFile(name, path, reader, notes)]


def _text_reader(path: Path) -> tuple[Reader, tuple[str, ...]]:
    start, encoding, decoding = _decoded(path)
    separator = _separator(start)
    rows = _first_rows(start, separator)
    if not rows:
        raise SourceUnreadable("it is empty")
    reader = Reader(encoding=encoding)
    sniffed = max(SEPARATORS, key=lambda sign: len(_first_rows(start, sign)[0]))
    if separator != sniffed or separator not in SEPARATORS:
        reader = replace(reader, separator=separator)
    named = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}.get(separator, separator)
    notes = [*decoding, *([f"separator {named}"] if separator != "," else [])]
    if not _has_header(rows):
        reader = replace(reader, has_header=False)
        notes.append("no header: the first line holds values")
    return reader, tuple(notes)


def _decoded(path: Path) -> tuple[str, str | None, tuple[str, ...]]:
    """The beginning of a text, its encoding where it is not UTF-8, and what told so; the whole file is looked at."""
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    decoder = codecs.getincrementaldecoder("utf-8")()
    with opener(path, "rb") as file:
        start = file.read(_LOOKED_AT)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return start.decode("utf-16", "ignore"), "utf-16", ("encoding utf-16: by its byte-order mark",)
        block = start
        try:
            while block:
                decoder.decode(block)
                block = file.read(_BLOCK)
        except UnicodeDecodeError as error:
            around = block[max(error.start - _LOOKED_AT // 2, 0) : error.start + _LOOKED_AT // 2]
            best = from_bytes(around).best()
            encoding = _usual(best.encoding if best else "cp1252")
            return start.decode(encoding, "replace"), encoding, (f"encoding {encoding}: some bytes are not UTF-8",)
    return start.decode("utf-8-sig", "ignore"), None, ()


def _usual(encoding: str) -> str:
    """The encoding that people mean: Windows writes more signs than the standard that looks alike."""
    western = {"latin_1", "iso8859_1", "iso8859_15", "cp1252", "mac_roman", "cp437", "cp850", "cp858", "hp_roman8"}
    return "cp1252" if encoding in western else encoding


def _first_rows(text: str, separator: str) -> list[list[str]]:
    lines = io.StringIO("\n".join(text.splitlines()[:_LINES]), newline="")
    try:
        return [row for row in csv.reader(lines, delimiter=separator) if row]
    except csv.Error:
        return [[]]


def _separator(text: str) -> str:
    """The sign that parts most lines into the same number of fields, the more fields the better."""

    def parted(sign: str) -> tuple[float, int]:
        counts = [len(row) for row in _first_rows(text, sign)]
        if not counts:
            return 0.0, 0
        (fields, times) = Counter(counts).most_common(1)[0]
        return (times / len(counts) if fields > 1 and counts[0] == fields else 0.0), fields

    signs = [*SEPARATORS, ":", "~", "^", "\x1f"]
    best = max(signs, key=lambda sign: (round(parted(sign)[0], 1), sign in SEPARATORS, parted(sign)[1]))
    return best if parted(best)[0] else ","


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first line names columns: no number and no date, no name twice, and nothing that stands below."""
    first = [cell.strip() for cell in rows[0]]
    if any(_is_value(cell) for cell in first) or len({cell.lower() for cell in first if cell}) < len(
        list(filter(None, first))
    ):
        return False
    below = rows[1:]
    repeated = [
        cell
        for at, cell in enumerate(first)
        if cell and any(len(row) > at and row[at].strip() == cell for row in below)
    ]
    return len(repeated) <= len(first) / 2


def _is_value(cell: str) -> bool:
    return bool(_NUMBER.match(cell) or _DATE.match(cell)) or cell.lower() in {*NULL_WORDS, "true", "false"}


def is_date(text: str, form: str) -> bool:
    """Whether a text is a date of a format."""
    try:
        datetime.strptime(text, form)  # noqa: DTZ007  # only its form is asked for
    except ValueError:
        return False
    return True
