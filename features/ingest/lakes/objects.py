"""Objects on S3-compatible storage, brought into a folder of the run, as they stood when it began.

What lies right under the address is a table each, as in a folder: `customers.parquet`, `customers/part-0.parquet`, or a
Delta table `customers/`. Keys, region and endpoint are those that every S3 client reads from its environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from vouch.features.engines import first_line
from vouch.features.errors import MissingExtra, SourceUnreadable
from vouch.features.ingest.files import ICEBERG_METADATA
from vouch.features.project import FILE_ENDINGS, PROJECT_FILE

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

BLOCK_BYTES = 8 * 2**20


@dataclass(frozen=True)
class _Object:
    """One object: its key in the bucket, and its parts below the address."""

    key: str
    parts: tuple[str, ...]

    @property
    def table(self) -> str:
        """The name of the table that it belongs to."""
        return self.parts[0].split(".")[0].strip()


def copy_objects(address: str, wanted: Container[object], folder: Path) -> list[str]:
    """Bring the objects of the wanted tables under an address into a new folder; return what is said of the others.

    Raises MissingExtra where the client is not installed, SourceUnreadable where nothing is there or the storage says
    no.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import S3Store
    except ImportError as error:
        raise MissingExtra("S3 needs its client: pip install 'vouch[lakes]'") from error
    parts = urlsplit(address)
    prefix = parts.path.strip("/")
    folder.mkdir()
    try:
        store = S3Store(parts.netloc)
        objects = [
            _Object(one["path"], tuple(one["path"].removeprefix(f"{prefix}/").split("/")))
            for batch in store.list(prefix or None)
            for one in batch
        ]
        if not objects:
            raise SourceUnreadable(f"{address}: nothing is there")
        _check(address, objects)
        read = [one for one in objects if one.table in wanted]
        for one in read:
            path = folder.joinpath(*one.parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                for block in store.get(one.key).stream(min_chunk_size=BLOCK_BYTES):
                    file.write(block)
    except BaseError as error:
        raise SourceUnreadable(f"{address}: cannot be read: {first_line(error)}") from error
    others = sorted({one.table for one in objects if one not in read and one.parts[0] != PROJECT_FILE} - {""})
    return [f"{address}: not read, because no table is made of them: {', '.join(others)}"] if others else []


def _check(address: str, objects: list[_Object]) -> None:
    """Raise for what cannot be brought into a folder and read there."""
    for one in objects:
        if any(part in {"", ".", ".."} or "\\" in part or "\0" in part for part in one.parts):
            raise SourceUnreadable(f"{address}: the name {one.key!r} is none of a file")
        if one.parts[1:2] == (ICEBERG_METADATA,) and one.key.endswith(".metadata.json"):
            reason = "its log names objects by their whole address. Hand it over as Parquet, or as a Delta table"
            raise SourceUnreadable(f"{address}: {one.table} is an Iceberg table on S3, which is not read: {reason}")
    if not any(one.key.lower().endswith(FILE_ENDINGS) for one in objects):
        raise SourceUnreadable(f"{address}: nothing there ends with one of {', '.join(FILE_ENDINGS)}")
