"""File sources: Parquet and CSV files and relations of a DuckDB file, each as something that stands behind FROM.

Files are read through once as bytes before the engine sees them: that gives their digest for the fingerprint of a
run, and the exact byte where a text is not UTF-8.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from vouch.features.contract.casts import literal, place, quoted
from vouch.features.contract.tables import TABLES
from vouch.features.errors import ConfigurationError, SourceUnreadable, did_you_mean
from vouch.features.project import FILE_ENDINGS, LINES_ENDINGS, PROJECT_FILE, WORKBOOK_ENDINGS, files_of
from vouch.features.readers import PLAIN, Reader

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

SEPARATORS = ",;\t|"
ROW = "vouch row"
"""Name of the column that numbers the rows of a source."""
DELTA_LOG, ICEBERG_METADATA = "_delta_log", "metadata"
LONGEST_LINE = 128 * 1024 * 1024
_BLOCK = 1 << 20
_HEADER = 1 << 20
_NO_READERS: Mapping[str, Reader] = {}
_KINDS = ("parquet", "text", "packed", "lines", "workbook")


@dataclass(frozen=True)
class SourceFile:
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
    parts: tuple[SourceFile, ...] = ()

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
    reader: Reader = PLAIN
    digests: tuple[str, ...] = field(default=())
    """SHA-256 of each part, once it was read through."""

    def single_parts(self) -> list[SourceFile]:
        """Each part as a relation of its own."""
        alone = [replace(self, parts=(path,)).rows() for path in self.parts]
        return (
            [SourceFile(sql, digest) for sql, digest in zip(alone, self.digests, strict=True)] if self.digests else []
        )

    def rows(self) -> str:
        """SQL behind FROM: all columns, and the number of the row."""
        if self.is_csv:
            scan = _csv_scan(self)
        elif self.reader != PLAIN:
            paths = ", ".join(map(place, self.parts))
            scan = f"(SELECT {_as_written(self.reader)} FROM read_parquet([{paths}], hive_partitioning = false))"
        elif len(self.parts) == 1:
            scan = f"read_parquet({place(self.parts[0])}, file_row_number = true, hive_partitioning = false)"
            return f"(SELECT * EXCLUDE (file_row_number), file_row_number AS {quoted(ROW)} FROM {scan})"
        else:
            scan = f"read_parquet([{', '.join(map(place, self.parts))}], hive_partitioning = false)"
        return numbered(scan)


def numbered(scan: str) -> str:
    """SQL behind FROM that adds the number of each row in the order of reading."""
    return f"(SELECT *, row_number() OVER () - 1 AS {quoted(ROW)} FROM {scan})"


def _csv_scan(source: FileSource) -> str:
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in source.header)
    paths = ", ".join(map(place, source.parts))
    packed = "gzip" if kind(source.parts[0]) == "packed" else "none"
    header = str(source.reader.has_header).lower()
    scan = (
        f"read_csv([{paths}], auto_detect = false, header = {header}, "
        f"delim = {literal(source.separator)}, quote = '\"', "
        f"escape = '\"', strict_mode = true, null_padding = false, max_line_size = {LONGEST_LINE}, "
        f"columns = {{{columns}}}, compression = '{packed}', hive_partitioning = false)"
    )
    wanted = _as_written(source.reader)
    return scan if wanted == "*" else f"(SELECT {wanted} FROM {scan})"


def _as_written(reader: Reader) -> str:
    """SQL for all columns, numbers and dates of a form of their own as the contract writes them.

    What is not of that form stays as it is, and is judged like any other cell.
    """
    casts = {name: numeral(f"CAST({quoted(name)} AS VARCHAR)", reader.decimal) for name in reader.numbers}
    casts |= {name: as_instant(f"CAST({quoted(name)} AS VARCHAR)", forms) for name, forms in reader.dates.items()}
    replaced = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in casts.items())
    return f"* REPLACE ({replaced})" if replaced else "*"


def numeral(text: str, decimal: str) -> str:
    """SQL for a number that is written with a decimal sign, thousands and signs of money around it, as the engine's.

    >>> numeral("x", ",").partition(" AS ")[0]
    "coalesce(CAST(TRY_CAST(replace(regexp_replace(x, '[^0-9,+-]', '', 'g'), ',', '.')"
    """
    bare = f"replace(regexp_replace({text}, '[^0-9{decimal}+-]', '', 'g'), '{decimal}', '.')"
    return f"coalesce(CAST(TRY_CAST({bare} AS DECIMAL(38,10)) AS VARCHAR), {text})"


def as_instant(text: str, forms: Iterable[str]) -> str:
    """SQL for a date of one of several formats as ISO 8601; a text of none of them stays."""
    listed = ", ".join(map(literal, forms))
    return f"coalesce(CAST(try_strptime(trim({text}), [{listed}]) AS VARCHAR), {text})"


def folder_sources(folder: Path, wanted: Container[object]) -> tuple[dict[str, FileSource], list[str]]:
    """Sources that lie in a folder, each under its own name without the ending, and what is said of the others.

    The name of a table is known in any case of letters. Raises SourceUnreadable where two wanted ones have one name.
    """
    sources: dict[str, FileSource] = {}
    unread = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_")) or path.name == PROJECT_FILE or is_lake_table(path) or _is_truth(path):
            continue
        name = table_name(path)
        source, left = _source(name, path)
        if source is not None and name not in wanted:
            unread.append(not_wanted(path, name))
            continue
        unread += [f"{one} is not read: {', '.join(FILE_ENDINGS)} are, and parts of one kind" for one in left]
        if source is None:
            continue
        check_twin(sources, name, path)
        sources[name] = source
    return sources, unread


def table_name(path: Path) -> str:
    """What a file or folder is called as a source: a table of the contract in any case of letters."""
    name = path.name.split(".")[0].strip()
    return name.lower() if name.lower() in TABLES else name


def not_wanted(path: Path, name: str) -> str:
    """What is said of a source that no table is made of."""
    return f"{path} is not read: no table is made of {name!r}{did_you_mean(name, TABLES)}"


def check_twin(sources: Mapping[str, FileSource], name: str, path: Path) -> None:
    """Raise SourceUnreadable where another source has the name already."""
    twin = next((other for other in sources if other.lower() == name.lower()), None)
    if twin is not None:
        raise SourceUnreadable(f"{path} and {sources[twin].place} are both {name!r}: keep one of them")


def _is_truth(path: Path) -> bool:
    """Whether it is what only the simulator knows, beside a simulated company: for judging, never for reading."""
    return path.name == "truth" and (path / "parameters.json").is_file()


def is_lake_table(path: Path) -> bool:
    """Whether a folder is a Delta or an Iceberg table: not all of its files count, so that they are no parts."""
    return (path / DELTA_LOG).is_dir() or is_iceberg(path)


def is_iceberg(path: Path) -> bool:
    """Whether a folder is an Iceberg table."""
    return any((path / ICEBERG_METADATA).glob("*.metadata.json"))


def further_sources(folder: Path) -> dict[str, FileSource]:
    """Single files of a folder, each under its own name without the ending; of two of one name, neither."""
    further: dict[str, list[FileSource]] = {}
    for path in sorted(folder.iterdir()):
        if not path.name.startswith((".", "_")) and path.name != PROJECT_FILE and path.is_file():
            source, _ = _source(path.name.split(".")[0].strip(), path)
            if source is not None:
                further.setdefault(source.name.lower(), []).append(source)
    return {of[0].name: of[0] for of in further.values() if len(of) == 1}


def named_sources(named: Mapping[str, str], readers: Mapping[str, Reader] = _NO_READERS) -> dict[str, FileSource]:
    """Sources that are named singly, each with how it is read.

    Raises SourceUnreadable where one is missing, ConfigurationError where it is of a kind that is not read.
    """
    sources = {}
    for name, at in named.items():
        several = [] if Path(at).exists() else files_of(Path(at))
        if not several and not Path(at).exists():
            raise SourceUnreadable(f"[source] {name}: there is no file {at}")
        single, _ = _of_parts(name, Path(at), several) if several else _source(name, Path(at))
        if single is None:
            raise ConfigurationError(f"[source] {name}: {at} is none of {', '.join(FILE_ENDINGS)}")
        sources[name] = replace(single, reader=readers.get(name, PLAIN))
    return sources


def _source(name: str, path: Path) -> tuple[FileSource | None, list[Path]]:
    """A file, or a folder of parts as Spark writes it, None for anything else; and what of it is not read."""
    parts = [path]
    if path.is_dir():
        parts = sorted(part for part in path.iterdir() if not part.name.startswith((".", "_")))
    return _of_parts(name, path, parts)


def _of_parts(name: str, path: Path, parts: Sequence[Path]) -> tuple[FileSource | None, list[Path]]:
    """Files of one kind as one source, None where none can be read; and which are not of it."""
    files = [part for part in parts if part.is_file() and part.name.lower().endswith(FILE_ENDINGS)]
    for fitting in (tuple(part for part in files if kind(part) == of) for of in _KINDS):
        if fitting:
            left = [part for part in parts if part not in fitting]
            return FileSource(name, path, fitting, is_csv=kind(fitting[0]) in {"text", "packed"}), left
    return None, [path]


def kind(path: Path) -> Literal["parquet", "text", "packed", "lines", "workbook"]:
    """Whether a file is Parquet, a text with separators, such a text compressed, JSON, or a workbook."""
    if path.name.lower().endswith(".parquet"):
        return "parquet"
    if path.name.lower().endswith(LINES_ENDINGS):
        return "lines"
    if path.name.lower().endswith(WORKBOOK_ENDINGS):
        return "workbook"
    return "packed" if path.name.lower().endswith(".gz") else "text"


def _opened(path: Path) -> IO[bytes]:
    """The bytes of a text, whether it is compressed or not."""
    return gzip.open(path, "rb") if kind(path) == "packed" else path.open("rb")  # type: ignore[return-value]


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
    separator, header = _header(source.parts[0], source.reader)
    for part in source.parts[1:]:
        if _header(part, source.reader) != (separator, header):
            raise SourceUnreadable(f"{part}: another header than {source.parts[0].name}")
    names = [name.strip() or f"column{position}" for position, name in enumerate(header, 1)]
    _check_reader(source, names)
    for name in names:
        if [other.lower() for other in names].count(name.lower()) > 1:
            raise SourceUnreadable(f"{source.place}: two columns are called {name!r}: rename one of them")
    return replace(source, separator=separator, header=tuple(names)), digest


def _check_reader(source: FileSource, names: Sequence[str]) -> None:
    """Whether the columns that the reader speaks of are there; the engine would tell it less well."""
    for name in (*source.reader.numbers, *source.reader.dates):
        if name not in names:
            listed = f"{did_you_mean(name, names)}; there are: {', '.join(names)}"
            raise ConfigurationError(f"[source.{source.name}]: {source.place} has no column {name!r}{listed}")


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
    with _unpacking(path), _opened(path) as file:
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


@contextmanager
def _unpacking(path: Path) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SourceUnreadable(f"{path}: not a whole gzip file: {error}. Write it again.") from error


def _not_utf8(path: Path, byte: int) -> SourceUnreadable:
    return SourceUnreadable(f"{path}: not UTF-8 at byte {byte} (counted from 0). Save the file as UTF-8.")


def _header(path: Path, reader: Reader) -> tuple[str, list[str]]:
    """Separator and column names of a CSV file: of several separators the one that parts the first line most."""
    with _unpacking(path), _opened(path) as file:
        start = codecs.getincrementaldecoder("utf-8-sig")().decode(file.read(_HEADER))
    fields: dict[str, list[str]] = {}
    why: csv.Error | None = None
    for separator in reader.separator or SEPARATORS:
        try:
            fields[separator] = next(csv.reader(io.StringIO(start, newline=""), delimiter=separator, strict=True), [])
        except csv.Error as error:  # names in quotes, parted by another sign than this
            why = why or error
    if not fields:
        raise SourceUnreadable(f"{path}: line 1: the header cannot be read ({why})") from why
    separator = max(fields, key=lambda candidate: len(fields[candidate]))
    if not fields[separator]:
        raise SourceUnreadable(f"{path}: line 1: no header")
    if reader.has_header:
        return separator, fields[separator]
    if reader.names and len(reader.names) != len(fields[separator]):
        differing = f"{len(fields[separator])} fields in line 1, and {len(reader.names)} names under [source]"
        raise SourceUnreadable(f"{path}: {differing}")
    return separator, list(reader.names) or [""] * len(fields[separator])
