"""Search for names in files, each decoded as what it is, and for numbers in documents: of what is held, and told."""

from __future__ import annotations

import gzip
import json
import sqlite3
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SEPARATOR = "\n"


def of_parquet(path: Path) -> str:
    table = pq.read_table(path)
    return SEPARATOR.join(str(value) for name in table.column_names for value in table[name].to_pylist())


def of_arrow(path: Path) -> str:
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    return SEPARATOR.join(map(str, table.to_pylist()))


def of_sqlite(path: Path) -> str:
    """Rows of all tables, Arrow batches decoded, and the bytes of the database and its write-ahead log."""
    found = []
    with sqlite3.connect(path) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for values in connection.execute(f'SELECT * FROM "{table}"'):
                for value in values:
                    if isinstance(value, bytes) and value[:4] == b"\xff\xff\xff\xff":
                        value = pa.ipc.open_stream(value).read_all().to_pylist()
                    found.append(str(value))
    connection.close()
    files = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))]
    return SEPARATOR.join([*found, *(file.read_bytes().decode(errors="replace") for file in files if file.exists())])


def of_packed(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode(errors="replace")


def of_text(path: Path) -> str:
    return path.read_bytes().decode(errors="replace")


DECODERS = {
    ".parquet": of_parquet,
    ".arrow": of_arrow,
    ".building": of_arrow,
    ".sqlite": of_sqlite,
    ".db": of_sqlite,
    ".gz": of_packed,
}


def forms(name: str) -> set[str]:
    """How a name may be written: composed or not, and as JSON escapes it."""
    spelt = {name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)}
    return spelt | {json.dumps(form)[1:-1] for form in spelt}


def names_in(*folders: Path, names: Iterable[str]) -> dict[str, dict[str, int]]:
    """How often each name stands in each file, decoded as what it is; a file counts for those that it holds."""
    wanted, found = {name: forms(name) for name in names}, {}
    for path in (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()):
        if path.suffix in (".sqlite-wal", ".sqlite-shm"):
            continue
        text = DECODERS.get(path.suffix, of_text)(path)
        counts = {name: sum(map(text.count, spelt)) for name, spelt in wanted.items()}
        if held := {name: times for name, times in counts.items() if times}:
            found[str(path)] = held
    return found


def found_in(*folders: Path, who: str) -> dict[str, int]:
    """How often one name stands in each file."""
    return {path: held[who] for path, held in names_in(*folders, names=[who]).items()}


def numbers(document: Any) -> list[float]:
    """All numbers of a document, in order."""
    if isinstance(document, dict):
        document = list(document.values())
    if isinstance(document, list):
        return [number for value in document for number in numbers(value)]
    return [document] if isinstance(document, int | float) and not isinstance(document, bool) else []
