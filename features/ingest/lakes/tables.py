"""Delta and Iceberg tables of a folder, each copied into one Parquet file as it stands at its newest version.

A table of these kinds is a folder of Parquet files of which only some count: which ones, its log says. What the readers
do not follow (deletion vectors, column mapping, equality deletes) is refused, for rows that were deleted would come
back.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from vouch.features.engines import first_line
from vouch.features.errors import MissingExtra, SourceUnreadable
from vouch.features.ingest.files import (
    ICEBERG_METADATA,
    FileSource,
    check_twin,
    is_iceberg,
    is_lake_table,
    not_wanted,
    table_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping
    from pathlib import Path

HINT = "version-hint.text"
_NUMBER = re.compile(r"^v?(\d+)")


def lake_sources(
    folder: Path, wanted: Container[object], copies: Path, beside: Mapping[str, FileSource]
) -> tuple[dict[str, FileSource], list[str]]:
    """Copy the wanted tables of a folder into Parquet files under another one.

    Returns them by name, and what is said of the others; `beside` are the sources that lie there as files. Raises
    MissingExtra where the reader is not installed, SourceUnreadable where a table cannot be read as it stands, or lies
    there twice.
    """
    sources: dict[str, FileSource] = {}
    unread = []
    for path in sorted(path for path in folder.iterdir() if path.is_dir() and is_lake_table(path)):
        name = table_name(path)
        if name not in wanted:
            unread.append(not_wanted(path, name))
            continue
        check_twin({**beside, **sources}, name, path)
        copies.mkdir(exist_ok=True)
        target = copies / f"{name}.parquet"
        (_copy_iceberg if is_iceberg(path) else _copy_delta)(path, target)
        sources[name] = FileSource(name, path, (target,), is_csv=False)
    return sources, unread


def _copy_delta(path: Path, target: Path) -> None:
    try:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError
    except ImportError as error:
        raise MissingExtra("Delta tables need their reader: pip install 'vouch[lakes]'") from error
    try:
        table = DeltaTable(str(path))
        batches = table.to_pyarrow_dataset().scanner(use_threads=False).to_reader()
        _write(target, batches.schema, batches)
    except (DeltaError, pa.ArrowException, OSError) as error:
        raise _unreadable(path, "Delta", error) from error


def _copy_iceberg(path: Path, target: Path) -> None:
    try:
        from pyiceberg.exceptions import ResolveError, ValidationError
        from pyiceberg.table import StaticTable
    except ImportError as error:
        raise MissingExtra("Iceberg tables need their reader: pip install 'vouch[lakes]'") from error
    # The reader has no class above its errors: what it does not know is a ValueError or NotImplementedError.
    refusals = (ResolveError, ValidationError, ValueError, NotImplementedError, pa.ArrowException, OSError)
    try:
        table = StaticTable.from_metadata(str(newest_metadata(path)))
        batches = table.scan().to_arrow_batch_reader()
        _write(target, batches.schema, batches)
    except refusals as error:
        raise _unreadable(path, "Iceberg", error) from error


def newest_metadata(path: Path) -> Path:
    """The metadata of the version that stands: the one that the hint names, or the one of the highest number."""
    folder = path / ICEBERG_METADATA
    if (folder / HINT).is_file():
        hint = (folder / HINT).read_text(encoding="utf-8").strip()
        named = [folder / f"v{hint}.metadata.json", folder / f"{hint}.metadata.json", folder / hint]
        if files := [one for one in named if one.is_file()]:
            return files[0]
    return max(folder.glob("*.metadata.json"), key=lambda one: (_number(one.name), one.name))


def _number(name: str) -> int:
    match = _NUMBER.match(name)
    return int(match[1]) if match else -1


def _write(target: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write what a reader gives, large texts and views as plain ones."""
    plain = pa.schema([pa.field(one.name, _plain(one.type)) for one in schema])
    with pq.ParquetWriter(target, plain, compression="zstd") as writer:
        for batch in batches:
            writer.write_table(pa.Table.from_batches([batch]).cast(plain))


def _plain(of: pa.DataType) -> pa.DataType:
    plain: Mapping[Callable[[pa.DataType], bool], pa.DataType] = {
        pa.types.is_large_string: pa.string(),
        pa.types.is_string_view: pa.string(),
        pa.types.is_large_binary: pa.binary(),
    }
    return next((to for is_it, to in plain.items() if is_it(of)), of)


def _unreadable(path: Path, kind: str, error: Exception) -> SourceUnreadable:
    return SourceUnreadable(f"{path}: cannot be read as a {kind} table: {first_line(error)}")
