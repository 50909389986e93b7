"""Where rows come from: Parquet and CSV files, relations of a DuckDB file, each as something that stands behind FROM.

Files are read through once as bytes before the engine sees them: that gives their digest for the fingerprint of a
run, and the exact byte where a text is not UTF-8.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vouch.features.contract.casts import literal, quoted
from vouch.features.errors import ConfigurationError, SourceUnreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SEPARATORS = ",;\t"
ROW = "vouch row"
"""Name of the column that numbers the rows of a source."""
LONGEST_LINE = 128 * 1024 * 1024
_BLOCK = 1 << 20
_HEADER = 1 << 20


@dataclass(frozen=True)
class Part:
    """One file of a source: what stands behind FROM for it alone, and the SHA-256 of its bytes."""

    sql: str
    digest: str


@dataclass(frozen=True)
class Relation:
    """Rows of a source: what stands behind FROM, its columns with their physical types, and where it is, for people.

    `sql` has a column `vouch row`, the 0-based number of a row, beside `columns`. `parts` are the files that it is made
    of, where there are several, or a large one, that read alike.
    """

    place: str
    sql: str
    columns: Mapping[str, str]
    is_csv: bool = False
    parts: tuple[Part, ...] = ()

    def find(self, name: str) -> str | None:
        """The column of that name, in any case of letters; None where there is none."""
        if name in self.columns:
            return name
        return next((column for column in self.columns if column.strip().lower() == name.lower()), None)


@dataclass(frozen=True)
class FileSource:
    """One named source that is a file, or a folder of parts."""

    name: str
    place: Path
    parts: tuple[Path, ...]
    is_csv: bool
    separator: str = ","
    header: tuple[str, ...] = field(default=())
    digests: tuple[str, ...] = field(default=())
    """SHA-256 of each part, once it was read through."""

    def single_parts(self) -> list[Part]:
        """Each part as a relation of its own."""
        alone = [replace(self, parts=(path,)).rows() for path in self.parts]
        return [Part(sql, digest) for sql, digest in zip(alone, self.digests, strict=True)] if self.digests else []

    def rows(self) -> str:
        """SQL behind FROM: all columns, and the number of the row."""
        if self.is_csv:
            scan = _csv_scan(self)
        elif len(self.parts) == 1:
            scan = f"read_parquet({literal(str(self.parts[0]))}, file_row_number = true)"
            return f"(SELECT * EXCLUDE (file_row_number), file_row_number AS {quoted(ROW)} FROM {scan})"
        else:
            scan = f"read_parquet([{', '.join(literal(str(part)) for part in self.parts)}])"
        return numbered(scan)


def numbered(scan: str) -> str:
    """SQL behind FROM that adds the number of each row in the order of reading."""
    return f"(SELECT *, row_number() OVER () - 1 AS {quoted(ROW)} FROM {scan})"


def _csv_scan(source: FileSource) -> str:
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in source.header)
    paths = ", ".join(literal(str(part)) for part in source.parts)
    return (
        f"read_csv([{paths}], auto_detect = false, header = true, delim = {literal(source.separator)}, quote = '\"', "
        f"escape = '\"', strict_mode = true, null_padding = false, max_line_size = {LONGEST_LINE}, "
        f"columns = {{{columns}}})"
    )


def file_sources(location: Path | None, named: Mapping[str, str]) -> dict[str, FileSource]:
    """Sources by name: what lies in the folder, under its own name without the ending, and what is named singly.

    Raises SourceUnreadable where a named file is missing or two files of the folder have one name.
    """
    found: dict[str, FileSource] = {}
    for path in sorted(location.iterdir()) if location else []:
        source = _source(path.name.split(".")[0], path)
        if source is None:
            continue
        if source.name in found:
            raise SourceUnreadable(f"{path} and {found[source.name].place} are both {source.name!r}: keep one of them")
        found[source.name] = source
    for name, place in named.items():
        if not Path(place).exists():
            raise SourceUnreadable(f"[source] {name}: there is no file {place}")
        single = _source(name, Path(place))
        if single is None:
            raise ConfigurationError(f"[source] {name}: {place} is neither a .parquet nor a .csv file")
        found[name] = single
    return found


def _source(name: str, path: Path) -> FileSource | None:
    """A file, or a folder of parts as Spark writes it; None for anything else."""
    if path.name.startswith((".", "_")):
        return None
    parts = [path]
    if path.is_dir():
        parts = sorted(part for part in path.iterdir() if part.is_file() and not part.name.startswith((".", "_")))
    for ending in (".parquet", ".csv"):
        fitting = tuple(part for part in parts if part.name.lower().endswith(ending))
        if fitting:
            return FileSource(name, path, fitting, is_csv=ending == ".csv")
    return None


def inspected(source: FileSource) -> tuple[FileSource, str]:
    """Read a source's files through: its separator and header where it is CSV, and the SHA-256 of all its bytes.

    Size and time of a file are not believed in place of its bytes: a copy may keep both, and a correction go unseen.
    Raises SourceUnreadable where a file is empty, cut short, or not UTF-8.
    """
    with ThreadPoolExecutor() as readers:
        digests = tuple(readers.map(_text_digest if source.is_csv else _parquet_digest, source.parts))
    source, digest = replace(source, digests=digests), _joined(digests)
    if not source.is_csv:
        return source, digest
    separator, header = _header(source.parts[0])
    for part in source.parts[1:]:
        if _header(part) != (separator, header):
            raise SourceUnreadable(f"{part}: another header than {source.parts[0].name}")
    names = [name.strip() or f"column{position}" for position, name in enumerate(header, 1)]
    for name in names:
        if [other.lower() for other in names].count(name.lower()) > 1:
            raise SourceUnreadable(f"{source.place}: two columns are called {name!r}: rename one of them")
    return replace(source, separator=separator, header=tuple(names)), digest


def _joined(digests: Iterable[str]) -> str:
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _parquet_digest(path: Path) -> str:
    with path.open("rb") as file:
        size = path.stat().st_size
        head = file.read(4)
        file.seek(max(size - 4, 0))
        tail = file.read(4)
        if size == 0:
            raise SourceUnreadable(f"{path}: the file is empty. Write it again.")
        if head != b"PAR1":
            raise SourceUnreadable(f"{path}: not a Parquet file: it does not begin with PAR1. Write it again.")
        if size < 12 or tail != b"PAR1":
            raise SourceUnreadable(f"{path}: cut short at byte {size}: it does not end with PAR1. Write it again.")
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text_digest(path: Path) -> str:
    digest, decoder, read = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            pending = len(decoder.getstate()[0])
            if read == 0 and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise SourceUnreadable(f"{path}: byte 0: the file is UTF-16. Save it as UTF-8.")
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                raise _not_utf8(path, read - pending + error.start) from error
            read += len(block)
    if pending := len(decoder.getstate()[0]):
        raise _not_utf8(path, read - pending)
    if read == 0:
        raise SourceUnreadable(f"{path}: the file is empty: not even a header. Write it again.")
    return digest.hexdigest()


def _not_utf8(path: Path, byte: int) -> SourceUnreadable:
    return SourceUnreadable(f"{path}: not UTF-8 at byte {byte} (counted from 0). Save the file as UTF-8.")


def _header(path: Path) -> tuple[str, list[str]]:
    """Separator and column names of a CSV file: of comma, semicolon and tab the one that parts the header most."""
    with path.open("rb") as file:
        start = codecs.getincrementaldecoder("utf-8-sig")().decode(file.read(_HEADER))
    fields: dict[str, list[str]] = {}
    for separator in SEPARATORS:
        try:
            fields[separator] = next(csv.reader(io.StringIO(start, newline=""), delimiter=separator, strict=True), [])
        except csv.Error as error:
            raise SourceUnreadable(f"{path}: line 1: the header cannot be read ({error})") from error
    separator = max(fields, key=lambda candidate: len(fields[candidate]))
    if not fields[separator]:
        raise SourceUnreadable(f"{path}: line 1: no header")
    return separator, fields[separator]
